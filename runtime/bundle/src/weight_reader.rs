//! Reads weights by position, and hashes them on the way where that is asked for.
//!
//! BLAKE3 is a tree over 1 KiB leaves, so that a piece of the section, [`PIECE_BYTES`] long and at a multiple of that,
//! has a hash of its own from which the section's follows. A verifying reader hashes each piece in its own memory as it
//! is used and hands out bytes of that memory only. The bytes that were hashed are therefore those that are used, whatever
//! happens to the file meanwhile, and in whatever order ranges are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::error::{BundleError, Flaw, Section};
use crate::manifest::WeightBlob;
use crate::reader::Bundle;
use crate::threads::on_several;

/// A power of two and at least a leaf of BLAKE3.
const PIECE_BYTES: u64 = 1 << 20;

/// More threads would wait for memory.
const MOST_THREADS: usize = 4;

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
    hashes: Mutex<BTreeMap<u64, ChainingValue>>,
    /// The piece that a short read found last, so that the next one need not read it again.
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
    /// Fills `into` with the bytes at `offset` of one of the bundle's weights; several threads read what is long.
    pub fn read(&mut self, blob: &WeightBlob, offset: u64, into: &mut [u8]) -> Result<(), BundleError> {
        let start = self.bundle.weight_offset(blob, offset, into.len() as u64)?;
        let section = self.bundle.section_offset(Section::Weights);
        match &mut self.pieces {
            None if into.len() as u64 <= PIECE_BYTES => self.bundle.source().read(start, into),
            None => on_threads(by_piece(start - section, into), |(offset, part), _| {
                self.bundle.source().read(section + offset, part)
            }),
            Some(pieces) => pieces.read(self.bundle, start - section, into),
        }
    }

    /// Says whether all that was read is what was written; see the two ways to make a reader for what that means.
    pub fn finish(self) -> Result<(), BundleError> {
        if let Some(pieces) = self.pieces
            && pieces.root(self.bundle)? != self.bundle.section_hash(Section::Weights)
        {
            return Err(BundleError::Hash { section: Section::Weights });
        }
        self.bundle.source().check_unchanged()
    }
}

impl Pieces {
    /// Copies bytes at `offset` of the section out of the pieces that they lie in.
    fn read(&mut self, bundle: &Bundle, offset: u64, into: &mut [u8]) -> Result<(), BundleError> {
        let within = (offset % PIECE_BYTES) as usize;
        if within + into.len() > PIECE_BYTES as usize {
            return on_threads(by_piece(offset, into), |(offset, part), bytes| {
                self.load(bundle, offset / PIECE_BYTES, bytes)?;
                part.copy_from_slice(&bytes[(offset % PIECE_BYTES) as usize..][..part.len()]);
                Ok(())
            });
        }
        let piece = offset / PIECE_BYTES;
        if !into.is_empty() && self.last != Some(piece) {
            let mut bytes = std::mem::take(&mut self.bytes);
            self.last = None;
            self.load(bundle, piece, &mut bytes)?;
            (self.last, self.bytes) = (Some(piece), bytes);
        }
        into.copy_from_slice(self.bytes.get(within..within + into.len()).unwrap_or_default());
        Ok(())
    }

    /// Reads a piece into `bytes` and hashes it there. One that was seen before must be as it was then.
    fn load(&self, bundle: &Bundle, piece: u64, bytes: &mut Vec<u8>) -> Result<(), BundleError> {
        let start = piece * PIECE_BYTES;
        let size = (bundle.section_bytes(Section::Weights) - start).min(PIECE_BYTES);
        bytes.resize(size as usize, 0);
        bundle.source().read(bundle.section_offset(Section::Weights) + start, bytes)?;
        let hash = blake3::Hasher::new().set_input_offset(start).update(bytes).finalize_non_root();
        if *lock(&self.hashes).entry(piece).or_insert(hash) != hash {
            return Err(BundleError::Hash { section: Section::Weights });
        }
        Ok(())
    }

    /// The section's hash; reads the pieces that nobody has asked for.
    fn root(&self, bundle: &Bundle) -> Result<[u8; 32], BundleError> {
        let section = bundle.section_bytes(Section::Weights);
        if section <= PIECE_BYTES {
            // A tree of one piece has its root inside of it.
            let mut bytes = Vec::new();
            if section > 0 {
                self.load(bundle, 0, &mut bytes)?;
            }
            return Ok(*blake3::hash(&bytes).as_bytes());
        }
        let pieces = 0..section.div_ceil(PIECE_BYTES);
        on_threads(pieces, |piece, bytes| {
            let seen = lock(&self.hashes).contains_key(&piece);
            if seen { Ok(()) } else { self.load(bundle, piece, bytes) }
        })?;
        let hashes: Vec<ChainingValue> = lock(&self.hashes).values().copied().collect();
        let (left, right) = hashes.split_at(left_count(hashes.len()));
        Ok(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
    }
}

/// Parts of `into`, which begins at `offset` of the section, none of which crosses the edge of a piece.
fn by_piece(mut offset: u64, into: &mut [u8]) -> impl Iterator<Item = (u64, &mut [u8])> {
    let mut rest = into;
    std::iter::from_fn(move || {
        let size = ((PIECE_BYTES - offset % PIECE_BYTES) as usize).min(rest.len());
        let (part, later) = std::mem::take(&mut rest).split_at_mut(size);
        let at = offset;
        (rest, offset) = (later, offset + size as u64);
        (size > 0).then_some((at, part))
    })
}

/// Does `work` on every item, with some memory that each thread keeps; the first failure ends it.
fn on_threads<T>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T, &mut Vec<u8>) -> Result<(), BundleError> + Sync,
) -> Result<(), BundleError> {
    let most = items.size_hint().1.unwrap_or(MOST_THREADS).min(MOST_THREADS);
    let (items, failed) = (Mutex::new(items), Mutex::new(None));
    on_several(most, || {
        let mut memory = Vec::new();
        while lock(&failed).is_none() {
            let Some(item) = lock(&items).next() else { break };
            if let Err(error) = work(item, &mut memory) {
                lock(&failed).get_or_insert(error);
            }
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
