//! Reads weights by position, and hashes them on the way where that is asked for.
//!
//! BLAKE3 is a tree over 1 KiB leaves, so that a piece of the section, [`PIECE_BYTES`] long and at a multiple of that,
//! has a hash of its own from which the section's follows. A verifying reader hashes each piece in its own memory as it
//! is used and hands out bytes of that memory only. The bytes that were hashed are therefore those that are used, whatever
//! happens to the file meanwhile, and in whatever order ranges are read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::error::{BundleError, Flaw, Section};
use crate::manifest::WeightBlob;
use crate::reader::Bundle;

/// A power of two and at least a leaf of BLAKE3.
const PIECE_BYTES: u64 = 1 << 20;

/// Reads weights of one bundle.
///
/// Call [`WeightReader::finish`] after the last read: only then is it known whether what was read is what was written.
pub struct WeightReader<'a> {
    bundle: &'a Bundle,
    pieces: Option<Pieces>,
}

/// What is known of the pieces of the weights section.
#[derive(Default)]
struct Pieces {
    hashes: BTreeMap<u64, ChainingValue>,
    /// The piece that was read last.
    last: Option<u64>,
    bytes: Vec<u8>,
}

impl Bundle {
    /// Reads weights as the file has them now. [`WeightReader::finish`] looks at length and time of change of the file,
    /// and at no hash.
    pub fn weight_reader(&self) -> WeightReader<'_> {
        WeightReader { bundle: self, pieces: None }
    }

    /// Reads weights and holds every byte that is handed out against the section's hash: [`WeightReader::finish`] reads
    /// what else the section holds and compares.
    pub fn verifying_weight_reader(&self) -> WeightReader<'_> {
        WeightReader { bundle: self, pieces: Some(Pieces::default()) }
    }

    /// All bytes of one of this bundle's weights, without a look at the hash: borrowed where they are in memory, read
    /// from the file otherwise.
    pub fn weight_bytes(&self, blob: &WeightBlob) -> Result<Cow<'_, [u8]>, BundleError> {
        let start = self.weight_offset(blob, 0, blob.size)?;
        if let Some(bytes) = self.source().in_memory() {
            return Ok(Cow::Borrowed(&bytes[start as usize..][..blob.size as usize]));
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(blob.size as usize)
            .map_err(|_| BundleError::OutOfMemory { bytes: blob.size })?;
        bytes.resize(blob.size as usize, 0);
        self.source().read(start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Reads all weights and compares their hash with the header's.
    pub fn verify_weights(&self) -> Result<(), BundleError> {
        self.verifying_weight_reader().finish()
    }

    /// Where in the file `size` bytes at `offset` of a blob lie.
    fn weight_offset(&self, blob: &WeightBlob, offset: u64, size: u64) -> Result<u64, BundleError> {
        let leaves = |within, available| {
            let flaw = Flaw::Range { offset, size, within, available };
            BundleError::Invalid { place: format!("weight `{}`", blob.name), flaw }
        };
        let end = offset.checked_add(size).filter(|end| *end <= blob.size);
        let end = end.ok_or_else(|| leaves("blob", blob.size))?;
        let section = self.section_bytes(Section::Weights);
        blob.offset
            .checked_add(end)
            .filter(|end| *end <= section)
            .ok_or_else(|| leaves("weights section", section))?;
        Ok(self.section_offset(Section::Weights) + blob.offset + offset)
    }
}

impl WeightReader<'_> {
    /// Fills `into` with the bytes at `offset` of one of the bundle's weights.
    pub fn read(&mut self, blob: &WeightBlob, offset: u64, into: &mut [u8]) -> Result<(), BundleError> {
        let start = self.bundle.weight_offset(blob, offset, into.len() as u64)?;
        match &mut self.pieces {
            None => self.bundle.source().read(start, into),
            Some(pieces) => {
                pieces.read(self.bundle, start - self.bundle.section_offset(Section::Weights), into)
            }
        }
    }

    /// Says whether all that was read is what was written; see the two ways to make a reader for what that means.
    pub fn finish(self) -> Result<(), BundleError> {
        if let Some(mut pieces) = self.pieces {
            for piece in 0..self.bundle.section_bytes(Section::Weights).div_ceil(PIECE_BYTES) {
                if !pieces.hashes.contains_key(&piece) {
                    pieces.load(self.bundle, piece)?;
                }
            }
            if pieces.root(self.bundle)? != self.bundle.section_hash(Section::Weights) {
                return Err(BundleError::Hash { section: Section::Weights });
            }
        }
        self.bundle.source().check_unchanged()
    }
}

impl Pieces {
    /// Copies bytes at `offset` of the section out of the pieces that they lie in.
    fn read(&mut self, bundle: &Bundle, mut offset: u64, mut into: &mut [u8]) -> Result<(), BundleError> {
        while !into.is_empty() {
            self.load(bundle, offset / PIECE_BYTES)?;
            let found = &self.bytes[(offset % PIECE_BYTES) as usize..];
            let count = found.len().min(into.len());
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(&found[..count]);
            (into, offset) = (later, offset + count as u64);
        }
        Ok(())
    }

    /// Reads and hashes a piece. One that was seen before must be as it was then.
    fn load(&mut self, bundle: &Bundle, piece: u64) -> Result<(), BundleError> {
        if self.last == Some(piece) {
            return Ok(());
        }
        let section = bundle.section_bytes(Section::Weights);
        let start = piece * PIECE_BYTES;
        let size = (section - start).min(PIECE_BYTES);
        self.last = None;
        self.bytes.resize(size as usize, 0);
        bundle.source().read(bundle.section_offset(Section::Weights) + start, &mut self.bytes)?;
        let hash = blake3::Hasher::new().set_input_offset(start).update(&self.bytes).finalize_non_root();
        if *self.hashes.entry(piece).or_insert(hash) != hash {
            return Err(BundleError::Hash { section: Section::Weights });
        }
        self.last = Some(piece);
        Ok(())
    }

    /// The section's hash; all pieces have been seen.
    fn root(&self, bundle: &Bundle) -> Result<[u8; 32], BundleError> {
        let hashes: Vec<ChainingValue> = self.hashes.values().copied().collect();
        let root = match hashes.len() {
            0 => blake3::hash(&[]),
            // A tree of one piece has its root inside of it.
            1 => {
                debug_assert_eq!(self.bytes.len() as u64, bundle.section_bytes(Section::Weights));
                blake3::hash(&self.bytes)
            }
            count => {
                let (left, right) = hashes.split_at(left_count(count));
                merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash)
            }
        };
        Ok(*root.as_bytes())
    }
}

/// The hash of a subtree of whole pieces.
fn subtree(pieces: &[ChainingValue]) -> ChainingValue {
    match pieces {
        [piece] => *piece,
        _ => {
            let (left, right) = pieces.split_at(left_count(pieces.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Pieces left of a node: the largest power of two that leaves one for the right.
fn left_count(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}
