//! Opens bundles: header, hashes, manifest, then every rule of [`crate::validate`].
//!
//! Manifest and shaders are read into memory, so that what was hashed and validated is what is used. Weights may be
//! gigabytes and are read when they are needed: see [`crate::WeightReader`].

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::contents::Contents;
use crate::error::{BundleError, Section};
use crate::format::{HASHED, HEADER_BYTES, Header, check_padding};
use crate::manifest::{Manifest, Shader};
use crate::source::{OpenFile, Source};

/// A bundle that has passed every check that needs no device.
pub struct Bundle {
    source: Source,
    contents: Contents,
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
        let start = source.read_vec(0, source.len().min(HEADER_BYTES))?;
        let header = Header::decode(&start, Some(source.len()))?;
        let [manifest, shaders, hashes] = HASHED.map(|section| read_section(&source, &header, section));
        let (manifest, shaders, hashes) = (manifest?, shaders?, hashes?);
        let sections = [header.manifest, header.shaders, header.hashes, header.weights];
        for pair in sections.windows(2) {
            let (start, end) = (pair[0].end(), pair[1].offset);
            // Less than a page.
            check_padding(&source.read_vec(start, end - start)?)?;
        }
        Ok(Self { source, contents: Contents::new(header, &manifest, shaders, &hashes)? })
    }

    /// What it holds but for its weights.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.contents.manifest()
    }

    /// Code of one of this bundle's shaders.
    pub fn shader_code(&self, shader: &Shader) -> &[u8] {
        self.contents.shader_code(shader)
    }

    /// Size of a section in bytes.
    pub fn section_bytes(&self, section: Section) -> u64 {
        self.contents.section_bytes(section)
    }

    /// Size of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.source.len()
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("contents", &self.contents).finish_non_exhaustive()
    }
}

/// Reads a section, whose size the header bounds, and checks its hash.
fn read_section(source: &Source, header: &Header, section: Section) -> Result<Vec<u8>, BundleError> {
    let entry = header.section(section);
    let bytes = source.read_vec(entry.offset, entry.size)?;
    header.check_hash(section, &bytes)?;
    Ok(bytes)
}
