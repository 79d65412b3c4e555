//! Opens bundles: header, hashes, manifest, then every rule of [`validate`].
//!
//! Weights are mapped and not read at open, since they may be gigabytes: [`Bundle::verify_weights`] checks
//! their hash.

use std::fmt;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use crate::error::{BundleError, Section};
use crate::format::Header;
use crate::manifest::{Manifest, Shader, WeightBlob};
use crate::map;
use crate::validate::limits::MANIFEST_BYTES;
use crate::validate::{SectionBytes, validate};

/// A bundle that has passed every check that needs no device.
pub struct Bundle {
    file: FileBytes,
    header: Header,
    manifest: Manifest,
}

enum FileBytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Bundle {
    /// Maps and checks the bundle at `path`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        Self::check(FileBytes::Mapped(map::map(path.as_ref())?))
    }

    /// Checks a bundle that is in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BundleError> {
        Self::check(FileBytes::Owned(bytes))
    }

    fn check(file: FileBytes) -> Result<Self, BundleError> {
        let header = Header::decode(&file)?;
        for section in [Section::Manifest, Section::Shaders] {
            check_hash(&file, &header, section)?;
        }
        check_padding(&file, &header)?;
        let manifest = decode_manifest(&file[range(&header, Section::Manifest)])?;
        let shaders = &file[range(&header, Section::Shaders)];
        validate(&manifest, SectionBytes { shaders, weights: header.weights.size })?;
        Ok(Self { file, header, manifest })
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Code of one of this bundle's shaders.
    pub fn shader_code(&self, shader: &Shader) -> &[u8] {
        let section = &self.file[range(&self.header, Section::Shaders)];
        &section[shader.offset as usize..][..shader.size as usize]
    }

    /// Bytes of one of this bundle's weights; pages are read when touched.
    pub fn weight_bytes(&self, blob: &WeightBlob) -> &[u8] {
        let section = &self.file[range(&self.header, Section::Weights)];
        &section[blob.offset as usize..][..blob.size as usize]
    }

    /// Reads all weights and compares their hash with the header's.
    pub fn verify_weights(&self) -> Result<(), BundleError> {
        check_hash(&self.file, &self.header, Section::Weights)
    }

    /// BLAKE3 of a section, as the header states it.
    pub fn section_hash(&self, section: Section) -> [u8; 32] {
        self.header.section(section).hash
    }

    /// Size of a section in bytes.
    pub fn section_bytes(&self, section: Section) -> u64 {
        self.header.section(section).size
    }

    /// Size of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file.len() as u64
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("file_bytes", &self.file_bytes())
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

/// [`Header::decode`] has checked that this lies in the file, and a file in memory fits in `usize`.
fn range(header: &Header, section: Section) -> Range<usize> {
    let entry = header.section(section);
    entry.offset as usize..(entry.offset + entry.size) as usize
}

fn check_hash(file: &[u8], header: &Header, section: Section) -> Result<(), BundleError> {
    let found = blake3::hash(&file[range(header, section)]);
    if found != header.section(section).hash {
        return Err(BundleError::Hash { section });
    }
    Ok(())
}

/// Bytes between sections carry nothing, so they must be zero: one content has one file.
fn check_padding(file: &[u8], header: &Header) -> Result<(), BundleError> {
    let (weights, shaders) = (range(header, Section::Weights), range(header, Section::Shaders));
    let gaps = [weights.end..shaders.start, shaders.end..range(header, Section::Manifest).start];
    if gaps.into_iter().any(|gap| file[gap].iter().any(|byte| *byte != 0)) {
        return Err(BundleError::Header { problem: "bytes between sections are not zero".to_owned() });
    }
    Ok(())
}

/// Variable-length little-endian integers; no more than [`MANIFEST_BYTES`] are read or claimed by any list.
fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MANIFEST_BYTES>()
}

pub(crate) fn encode_manifest(manifest: &Manifest) -> Result<Vec<u8>, BundleError> {
    let bytes = bincode::serde::encode_to_vec(manifest, config())
        .map_err(|error| BundleError::Encode { reason: error.to_string() })?;
    if bytes.len() > MANIFEST_BYTES {
        let reason = format!("{} bytes where at most {MANIFEST_BYTES} are accepted", bytes.len());
        return Err(BundleError::Encode { reason });
    }
    Ok(bytes)
}

fn decode_manifest(bytes: &[u8]) -> Result<Manifest, BundleError> {
    let (manifest, read) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| BundleError::Decode { reason: error.to_string() })?;
    if read != bytes.len() {
        let reason = format!("{} bytes are left over", bytes.len() - read);
        return Err(BundleError::Decode { reason });
    }
    Ok(manifest)
}
