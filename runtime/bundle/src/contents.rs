//! What a bundle holds before its weights: decoded and checked, whichever way the bytes came.

use std::fmt;

use crate::codec;
use crate::error::{BundleError, Flaw, Section};
use crate::format::{HASH_BYTES, Hash, Header};
use crate::limits::MANIFEST_BYTES;
use crate::manifest::{Manifest, Shader};
use crate::validate::{SectionBytes, validate};

/// Manifest, shaders and hashes of the weights: all of a bundle but the weights, and all that needs no device to be checked.
pub struct Contents {
    header: Header,
    manifest: Manifest,
    shaders: Vec<u8>,
    /// One for each weight.
    hashes: Vec<Hash>,
}

impl Contents {
    /// Takes sections whose hashes are right.
    pub(crate) fn new(
        header: Header,
        encoded: &[u8],
        shaders: Vec<u8>,
        hashes: &[u8],
    ) -> Result<Self, BundleError> {
        let manifest = decode_manifest(encoded)?;
        validate(&manifest, SectionBytes { shaders: &shaders, weights: header.weights.size })?;
        let (found, expected) = (hashes.len() as u64, manifest.weights.len() as u64 * HASH_BYTES);
        if found != expected {
            let flaw = Flaw::WeightHashes { found, expected };
            return Err(BundleError::Invalid { place: "weights".to_owned(), flaw });
        }
        let (hashes, _) = hashes.as_chunks();
        Ok(Self { header, manifest, shaders, hashes: hashes.to_vec() })
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Code of one of this bundle's shaders.
    pub fn shader_code(&self, shader: &Shader) -> &[u8] {
        &self.shaders[shader.offset as usize..][..shader.size as usize]
    }

    /// BLAKE3 of the shader section.
    pub fn shaders_hash(&self) -> [u8; 32] {
        self.header.shaders.hash.unwrap_or_default()
    }

    /// BLAKE3 of the header, which has the hash of all else but for the zeros between weights: equal for equal bundles.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.header.encode()).as_bytes()
    }

    /// Size of a section in bytes.
    pub fn section_bytes(&self, section: Section) -> u64 {
        self.header.section(section).size
    }

    /// Size of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.header.file_bytes()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Holds the hash of weight `index` against the one that was written.
    pub(crate) fn check_weight(&self, index: usize, hash: &Hash) -> Result<(), BundleError> {
        match self.hashes[index] == *hash {
            true => Ok(()),
            false => Err(BundleError::WeightHash { name: self.manifest.weights[index].name.clone() }),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("file_bytes", &self.file_bytes())
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

pub(crate) fn encode_manifest(manifest: &Manifest) -> Result<Vec<u8>, BundleError> {
    let bytes = codec::encode::<MANIFEST_BYTES>(manifest).map_err(|reason| BundleError::Encode { reason })?;
    if bytes.len() > MANIFEST_BYTES {
        let reason = format!("{} bytes where at most {MANIFEST_BYTES} are accepted", bytes.len());
        return Err(BundleError::Encode { reason });
    }
    Ok(bytes)
}

fn decode_manifest(bytes: &[u8]) -> Result<Manifest, BundleError> {
    codec::decode::<MANIFEST_BYTES, _>(bytes).map_err(|reason| BundleError::Decode { reason })
}
