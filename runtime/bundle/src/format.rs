//! The fixed bytes at the start of a file: magic, version and section table; and how sections are laid out in a file.
//!
//! Every field has one legal value once the section sizes are known, so a header either describes the file
//! exactly or is refused.

use crate::error::{BundleError, Section};
use crate::limits;

/// First bytes of every bundle. The line ends and the control-Z show a file that was copied as text.
pub const MAGIC: [u8; 8] = *b"DRIFT\r\n\x1a";

/// Version of the format. It is raised with every change of the header or of the manifest's types.
pub const FORMAT_VERSION: u32 = 6;

/// Alignment of weight blobs and of ranges that a dispatch binds: no API asks for a coarser storage buffer
/// offset.
pub const ALIGNMENT_BYTES: u64 = 256;

/// Bytes of the header; the manifest follows it.
pub(crate) const HEADER_BYTES: u64 = 256;

/// The weights section starts at a multiple of this, so that it can be mapped by itself.
const PAGE_BYTES: u64 = 4096;

/// Alignment of the sections between manifest and weights.
const SECTION_ALIGNMENT_BYTES: u64 = 64;

/// Offset, size and hash of a section in the section table.
const ENTRY_BYTES: usize = 48;

/// Where the section table ends; the rest of the header is zero. The weights' entry has no hash.
const TABLE_END: usize = 16 + HASHED.len() * ENTRY_BYTES + 16;

/// Sections with a hash of their own, as they are in the file.
pub(crate) const HASHED: [Section; 3] = [Section::Manifest, Section::Shaders, Section::Hashes];

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

/// Bytes of a hash in the table of the weights' hashes.
pub(crate) const HASH_BYTES: u64 = 32;

/// Where a section is and what it hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SectionEntry {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// None for the weights, whose blobs have hashes in a section before them.
    pub(crate) hash: Option<Hash>,
}

impl SectionEntry {
    pub(crate) const fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// The section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) manifest: SectionEntry,
    pub(crate) shaders: SectionEntry,
    pub(crate) hashes: SectionEntry,
    pub(crate) weights: SectionEntry,
}

impl Header {
    /// Lays out the file for sections of these sizes and hashes: manifest, shaders, hashes of weights, weights. `hashed` is
    /// in the order of [`HASHED`]. Weights come last, so that a reader of a stream has checked all that says what they are
    /// for when they come.
    pub(crate) fn new(hashed: [(u64, Hash); 3], weights: u64) -> Option<Self> {
        let [manifest, shaders, hashes] = hashed;
        let entry = |offset: u64, (size, hash): (u64, Hash)| {
            offset.checked_add(size)?;
            Some(SectionEntry { offset, size, hash: Some(hash) })
        };
        let after = |entry: &SectionEntry, alignment| entry.end().checked_next_multiple_of(alignment);
        let manifest = entry(HEADER_BYTES, manifest)?;
        let shaders = entry(after(&manifest, SECTION_ALIGNMENT_BYTES)?, shaders)?;
        let hashes = entry(after(&shaders, SECTION_ALIGNMENT_BYTES)?, hashes)?;
        let offset = after(&hashes, PAGE_BYTES)?;
        offset.checked_add(weights)?;
        let weights = SectionEntry { offset, size: weights, hash: None };
        Some(Self { manifest, shaders, hashes, weights })
    }

    /// Size of the whole file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.weights.end()
    }

    pub(crate) fn section(&self, section: Section) -> &SectionEntry {
        match section {
            Section::Manifest => &self.manifest,
            Section::Shaders => &self.shaders,
            Section::Hashes => &self.hashes,
            Section::Weights => &self.weights,
        }
    }

    /// The first bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(HASHED.len() as u32 + 1).to_le_bytes());
        for section in HASHED.into_iter().chain([Section::Weights]) {
            let entry = self.section(section);
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.size.to_le_bytes());
            bytes.extend(entry.hash.into_iter().flatten());
        }
        bytes.resize(HEADER_BYTES as usize, 0);
        bytes
    }

    /// Reads and checks the header at the start of `start`, which is all of the file where that is shorter. Afterwards
    /// sections follow each other as they must, none that is read into memory is too large, and all are inside of
    /// `file_bytes`, where that is known.
    pub(crate) fn decode(start: &[u8], file_bytes: Option<u64>) -> Result<Self, BundleError> {
        let known = start.len().min(MAGIC.len());
        if start[..known] != MAGIC[..known] || known == 0 {
            return Err(BundleError::Magic);
        }
        let truncated =
            |expected| BundleError::Truncated { expected, found: file_bytes.unwrap_or(start.len() as u64) };
        let header = start.get(..HEADER_BYTES as usize).ok_or_else(|| truncated(HEADER_BYTES))?;
        let version = u32_at(header, 8);
        if version != FORMAT_VERSION {
            return Err(BundleError::Version { found: version, expected: FORMAT_VERSION });
        }
        let (count, expected) = (u32_at(header, 12) as usize, HASHED.len() + 1);
        if count != expected {
            return Err(damaged(format!("{count} sections where there are {expected}")));
        }
        if header[TABLE_END..].iter().any(|byte| *byte != 0) {
            return Err(damaged("bytes after the section table are not zero".to_owned()));
        }
        let found = Self::table(header);
        for section in HASHED {
            let (size, most) = (found.section(section).size, most_bytes(section));
            if size > most {
                let problem = format!("{section} section of {size} bytes where at most {most} are accepted");
                return Err(damaged(problem));
            }
        }
        let hashed = HASHED.map(|section| {
            let entry = found.section(section);
            (entry.size, entry.hash.unwrap_or_default())
        });
        let expected = Self::new(hashed, found.weights.size)
            .ok_or_else(|| damaged("section sizes overflow".to_owned()))?;
        if expected != found {
            return Err(damaged("section offsets do not follow from the section sizes".to_owned()));
        }
        match file_bytes.map(|bytes| (bytes, expected.file_bytes())) {
            Some((found, expected)) if found < expected => Err(truncated(expected)),
            Some((found, expected)) if found > expected => {
                Err(damaged(format!("{} bytes follow the last section", found - expected)))
            }
            _ => Ok(expected),
        }
    }

    /// What the section table says.
    fn table(header: &[u8]) -> Self {
        let entry = |index: usize| {
            let at = 16 + index * ENTRY_BYTES;
            let (offset, size) = (u64_at(header, at), u64_at(header, at + 8));
            let hash = (index < HASHED.len()).then(|| array_at(header, at + 16));
            SectionEntry { offset, size, hash }
        };
        Self { manifest: entry(0), shaders: entry(1), hashes: entry(2), weights: entry(3) }
    }

    /// Holds the bytes of a section against its hash.
    pub(crate) fn check_hash(&self, section: Section, bytes: &[u8]) -> Result<(), BundleError> {
        match self.section(section).hash {
            Some(hash) if hash != *blake3::hash(bytes).as_bytes() => Err(BundleError::Hash { section }),
            _ => Ok(()),
        }
    }
}

/// Largest size of a section that is read into memory as a whole.
const fn most_bytes(section: Section) -> u64 {
    match section {
        Section::Manifest => limits::MANIFEST_BYTES as u64,
        Section::Shaders => limits::SHADER_BYTES,
        Section::Hashes => limits::WEIGHTS as u64 * HASH_BYTES,
        Section::Weights => u64::MAX,
    }
}

/// Bytes between sections, and between weights, carry nothing, so they must be zero: one content has one file.
pub(crate) fn check_padding(bytes: &[u8]) -> Result<(), BundleError> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(damaged("bytes between sections or weights are not zero".to_owned())),
    }
}

pub(crate) fn damaged(problem: String) -> BundleError {
    BundleError::Header { problem }
}

fn u32_at(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(header, at))
}

fn u64_at(header: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(header, at))
}

fn array_at<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&header[at..at + N]);
    array
}
