//! The fixed bytes at the start of a file: magic, version and section table.
//!
//! Every field has one legal value once the section sizes are known, so a header either describes the file
//! exactly or is refused.

use crate::error::{BundleError, Section};

/// First bytes of every bundle. The line ends and the control-Z show a file that was copied as text.
pub const MAGIC: [u8; 8] = *b"DRIFT\r\n\x1a";

/// Version of the format. It is raised with every change of the header or of the manifest's types.
pub const FORMAT_VERSION: u32 = 4;

/// Alignment of weight blobs and of ranges that a dispatch binds: no API asks for a coarser storage buffer
/// offset.
pub const ALIGNMENT_BYTES: u64 = 256;

/// The weights section starts here: a page, so that it can be mapped by itself. The header fills the page.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// Alignment of the sections after the weights.
const SECTION_ALIGNMENT_BYTES: u64 = 64;

/// Bytes of the header that carry meaning; the rest of the page is zero.
const HEADER_BYTES: usize = 16 + 3 * SECTION_ENTRY_BYTES;

const SECTION_ENTRY_BYTES: usize = 48;

/// Section table, in the order in which it is written.
pub(crate) const SECTIONS: [Section; 3] = [Section::Manifest, Section::Shaders, Section::Weights];

/// BLAKE3 of a section.
pub(crate) type Hash = [u8; 32];

/// Where a section lies and what it hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SectionEntry {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

/// The section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) manifest: SectionEntry,
    pub(crate) shaders: SectionEntry,
    pub(crate) weights: SectionEntry,
}

impl Header {
    /// Lays out the file for sections of these sizes and hashes: weights, shaders, manifest. Weights come
    /// first, so that a writer can stream them before it knows anything else.
    pub(crate) fn new(manifest: (u64, Hash), shaders: (u64, Hash), weights: (u64, Hash)) -> Option<Self> {
        let weights_offset = PAGE_BYTES;
        let shaders_offset = align(weights_offset.checked_add(weights.0)?)?;
        let manifest_offset = align(shaders_offset.checked_add(shaders.0)?)?;
        manifest_offset.checked_add(manifest.0)?;
        let entry = |offset, (size, hash)| SectionEntry { offset, size, hash };
        Some(Self {
            manifest: entry(manifest_offset, manifest),
            shaders: entry(shaders_offset, shaders),
            weights: entry(weights_offset, weights),
        })
    }

    /// Size of the whole file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.manifest.offset + self.manifest.size
    }

    pub(crate) fn section(&self, section: Section) -> &SectionEntry {
        match section {
            Section::Manifest => &self.manifest,
            Section::Shaders => &self.shaders,
            Section::Weights => &self.weights,
        }
    }

    /// The first page of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAGE_BYTES as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(SECTIONS.len() as u32).to_le_bytes());
        for section in SECTIONS {
            let entry = self.section(section);
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.size.to_le_bytes());
            bytes.extend_from_slice(&entry.hash);
        }
        bytes.resize(PAGE_BYTES as usize, 0);
        bytes
    }

    /// Reads and checks the first page of a file, `start`, or all of it where it is shorter. Afterwards every section
    /// lies inside of `file_bytes`.
    pub(crate) fn decode(start: &[u8], file_bytes: u64) -> Result<Self, BundleError> {
        let truncated = |expected| BundleError::Truncated { expected, found: file_bytes };
        let known = start.len().min(MAGIC.len());
        if start[..known] != MAGIC[..known] || known == 0 {
            return Err(BundleError::Magic);
        }
        let page = start.get(..PAGE_BYTES as usize).ok_or_else(|| truncated(PAGE_BYTES))?;
        let version = u32_at(page, 8);
        if version != FORMAT_VERSION {
            return Err(BundleError::Version { found: version, expected: FORMAT_VERSION });
        }
        let count = u32_at(page, 12);
        if count as usize != SECTIONS.len() {
            return Err(damaged(format!("{count} sections where there are {}", SECTIONS.len())));
        }
        if page[HEADER_BYTES..].iter().any(|byte| *byte != 0) {
            return Err(damaged("bytes after the section table are not zero".to_owned()));
        }
        let [manifest, shaders, weights] =
            [0, 1, 2].map(|index| entry_at(page, 16 + index * SECTION_ENTRY_BYTES));
        let sized = |entry: &SectionEntry| (entry.size, entry.hash);
        let expected = Self::new(sized(&manifest), sized(&shaders), sized(&weights))
            .ok_or_else(|| damaged("section sizes overflow".to_owned()))?;
        if expected != (Self { manifest, shaders, weights }) {
            return Err(damaged("section offsets do not follow from the section sizes".to_owned()));
        }
        let found = file_bytes;
        if found < expected.file_bytes() {
            return Err(truncated(expected.file_bytes()));
        }
        if found > expected.file_bytes() {
            return Err(damaged(format!("{} bytes follow the last section", found - expected.file_bytes())));
        }
        Ok(expected)
    }
}

/// Next section start at or after `offset`.
pub(crate) fn align(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(SECTION_ALIGNMENT_BYTES)
}

fn damaged(problem: String) -> BundleError {
    BundleError::Header { problem }
}

fn u32_at(page: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(page, at))
}

fn entry_at(page: &[u8], at: usize) -> SectionEntry {
    SectionEntry {
        offset: u64::from_le_bytes(array_at(page, at)),
        size: u64::from_le_bytes(array_at(page, at + 8)),
        hash: array_at(page, at + 16),
    }
}

fn array_at<const N: usize>(page: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&page[at..at + N]);
    array
}
