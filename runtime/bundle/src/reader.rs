//! Opens bundles: header, hashes, manifest, then every rule of [`validate`].
//!
//! Manifest and shaders are read into memory, so that what was hashed and validated is what is used. Weights may be
//! gigabytes and are read when they are needed: see [`crate::WeightReader`].

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::error::{BundleError, Section};
use crate::format::{Header, PAGE_BYTES};
use crate::manifest::{Manifest, Shader};
use crate::source::{OpenFile, Source};
use crate::validate::limits::{MANIFEST_BYTES, SHADER_BYTES};
use crate::validate::{SectionBytes, validate};

/// A bundle that has passed every check that needs no device.
pub struct Bundle {
    source: Source,
    header: Header,
    manifest: Manifest,
    shaders: Vec<u8>,
}

impl Bundle {
    /// Opens and checks the bundle at `path`, which must be a regular file. Its manifest and shaders are read now, its
    /// weights when a [`crate::WeightReader`] is asked for them: a file that is shortened or changed meanwhile is an error
    /// then, and never a signal.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        Self::check(Source::File(OpenFile::open(path.as_ref())?))
    }

    /// Checks a bundle that is in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BundleError> {
        Self::check(Source::Memory(Cow::Owned(bytes)))
    }

    /// Checks a bundle that is a part of the program: `Bundle::from_static(include_bytes!("model.drift"))`. Weights are read
    /// from where they are; manifest and shaders, which are small, are copied.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, BundleError> {
        Self::check(Source::Memory(Cow::Borrowed(bytes)))
    }

    pub(crate) fn check(source: Source) -> Result<Self, BundleError> {
        let mut start = vec![0; source.len().min(PAGE_BYTES) as usize];
        source.read(0, &mut start)?;
        let header = Header::decode(&start, source.len())?;
        let encoded = read_section(&source, &header, Section::Manifest, MANIFEST_BYTES as u64)?;
        let shaders = read_section(&source, &header, Section::Shaders, SHADER_BYTES)?;
        check_padding(&source, &header)?;
        let manifest = decode_manifest(&encoded)?;
        validate(&manifest, SectionBytes { shaders: &shaders, weights: header.weights.size })?;
        Ok(Self { source, header, manifest, shaders })
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Code of one of this bundle's shaders.
    pub fn shader_code(&self, shader: &Shader) -> &[u8] {
        &self.shaders[shader.offset as usize..][..shader.size as usize]
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
        self.source.len()
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Where a section starts in the file.
    pub(crate) fn section_offset(&self, section: Section) -> u64 {
        self.header.section(section).offset
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

/// Reads a section of at most `most` bytes and checks its hash.
fn read_section(
    source: &Source,
    header: &Header,
    section: Section,
    most: u64,
) -> Result<Vec<u8>, BundleError> {
    let entry = header.section(section);
    if entry.size > most {
        let problem = format!("{section} section of {} bytes where at most {most} are accepted", entry.size);
        return Err(BundleError::Header { problem });
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(entry.size as usize)
        .map_err(|_| BundleError::OutOfMemory { bytes: entry.size })?;
    bytes.resize(entry.size as usize, 0);
    source.read(entry.offset, &mut bytes)?;
    if *blake3::hash(&bytes).as_bytes() != entry.hash {
        return Err(BundleError::Hash { section });
    }
    Ok(bytes)
}

/// Bytes between sections carry nothing, so they must be zero: one content has one file.
fn check_padding(source: &Source, header: &Header) -> Result<(), BundleError> {
    for (before, after) in [(header.weights, header.shaders), (header.shaders, header.manifest)] {
        let start = before.offset + before.size;
        // Less than the alignment of a section.
        let mut gap = vec![0; (after.offset - start) as usize];
        source.read(start, &mut gap)?;
        if gap.iter().any(|byte| *byte != 0) {
            return Err(BundleError::Header { problem: "bytes between sections are not zero".to_owned() });
        }
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
