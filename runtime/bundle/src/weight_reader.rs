//! Reads weights by position, and hashes them on the way where that is asked for.
//!
//! BLAKE3 is a tree over 1 KiB leaves, so that a piece of a blob, [`PIECE_BYTES`] long and at a multiple of that, has a
//! hash of its own from which the blob's follows. A verifying reader hashes each piece in its own memory as it is used and
//! hands out bytes of that memory only. The bytes that were hashed are therefore those that are used, whatever happens to
//! the file meanwhile, and in whatever order ranges are read. Blobs that nobody reads are not hashed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::error::{BundleError, Flaw};
use crate::format::{Hash, check_padding};
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

/// What is known of the blobs that were read.
#[derive(Default)]
struct Pieces {
    /// Of each piece that was read. The one of a blob that has no other is that of the blob.
    hashes: Mutex<BTreeMap<PieceId, ChainingValue>>,
    /// The piece that a short read found last, so that the next one need not read it again.
    last: Option<PieceId>,
    bytes: Vec<u8>,
}

/// Index of a blob, and number of the piece in it.
type PieceId = (usize, u64);

impl Bundle {
    /// Reads weights as the file has them now. [`WeightReader::finish`] looks at length and time of change of the file,
    /// and at no hash.
    pub fn weight_reader(&self) -> WeightReader<'_> {
        WeightReader { bundle: self, pieces: None }
    }

    /// Reads weights and holds every byte that is handed out against its blob's hash: [`WeightReader::finish`] reads what
    /// else these blobs hold and compares.
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
        self.source().read_vec(start, blob.size).map(Cow::Owned)
    }

    /// Reads all weights and compares their hashes with those that were written.
    pub fn verify_weights(&self) -> Result<(), BundleError> {
        let reader = self.verifying_weight_reader();
        let blobs = &self.manifest().weights;
        for pair in blobs.windows(2) {
            let end = pair[0].offset + pair[0].size;
            let start = self.contents().header().weights.offset + end;
            check_padding(&self.source().read_vec(start, pair[1].offset - end)?)?;
        }
        if let Some(pieces) = &reader.pieces {
            pieces.load_all(self, 0..blobs.len())?;
        }
        reader.finish()
    }

    /// Where in the file `size` bytes at `offset` of a blob are.
    fn weight_offset(&self, blob: &WeightBlob, offset: u64, size: u64) -> Result<u64, BundleError> {
        let index = self.weight_index(blob)?;
        let blob = &self.manifest().weights[index];
        if offset.checked_add(size).is_none_or(|end| end > blob.size) {
            let flaw = Flaw::Range { offset, size, within: "blob", available: blob.size };
            return Err(BundleError::Invalid { place: format!("weight `{}`", blob.name), flaw });
        }
        Ok(self.contents().header().weights.offset + blob.offset + offset)
    }

    /// Index of a blob of this bundle; blobs are in the order of their offsets.
    fn weight_index(&self, blob: &WeightBlob) -> Result<usize, BundleError> {
        let blobs = &self.manifest().weights;
        let found = blobs.binary_search_by_key(&blob.offset, |other| other.offset).ok();
        found.filter(|index| blobs[*index] == *blob).ok_or_else(|| BundleError::Invalid {
            place: format!("weight `{}`", blob.name),
            flaw: Flaw::ForeignWeight,
        })
    }
}

impl WeightReader<'_> {
    /// Fills `into` with the bytes at `offset` of one of the bundle's weights; several threads read what is long.
    pub fn read(&mut self, blob: &WeightBlob, offset: u64, into: &mut [u8]) -> Result<(), BundleError> {
        let start = self.bundle.weight_offset(blob, offset, into.len() as u64)?;
        match &mut self.pieces {
            None if into.len() as u64 <= PIECE_BYTES => self.bundle.source().read(start, into),
            None => on_threads(by_piece(offset, into), |(at, part), _| {
                self.bundle.source().read(start - offset + at, part)
            }),
            Some(pieces) => pieces.read(self.bundle, self.bundle.weight_index(blob)?, offset, into),
        }
    }

    /// Says whether all that was read is what was written; see the two ways to make a reader for what that means.
    pub fn finish(self) -> Result<(), BundleError> {
        if let Some(pieces) = self.pieces {
            let read: BTreeSet<usize> = lock(&pieces.hashes).keys().map(|(blob, _)| *blob).collect();
            pieces.load_all(self.bundle, read.iter().copied())?;
            read.into_iter()
                .try_for_each(|blob| self.bundle.contents().check_weight(blob, &pieces.root(blob)))?;
        }
        self.bundle.source().check_unchanged()
    }
}

impl Pieces {
    /// Copies bytes at `offset` of a blob out of the pieces that they are in.
    fn read(
        &mut self,
        bundle: &Bundle,
        blob: usize,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(), BundleError> {
        let within = (offset % PIECE_BYTES) as usize;
        if within + into.len() > PIECE_BYTES as usize {
            return on_threads(by_piece(offset, into), |(offset, part), bytes| {
                self.load(bundle, (blob, offset / PIECE_BYTES), bytes)?;
                part.copy_from_slice(&bytes[(offset % PIECE_BYTES) as usize..][..part.len()]);
                Ok(())
            });
        }
        let piece = (blob, offset / PIECE_BYTES);
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
    fn load(&self, bundle: &Bundle, piece: PieceId, bytes: &mut Vec<u8>) -> Result<(), BundleError> {
        let blob = &bundle.manifest().weights[piece.0];
        let start = piece.1 * PIECE_BYTES;
        bytes.resize((blob.size - start).min(PIECE_BYTES) as usize, 0);
        bundle.source().read(bundle.contents().header().weights.offset + blob.offset + start, bytes)?;
        let hash = match blob.size <= PIECE_BYTES {
            true => *blake3::hash(bytes).as_bytes(),
            false => blake3::Hasher::new().set_input_offset(start).update(bytes).finalize_non_root(),
        };
        if *lock(&self.hashes).entry(piece).or_insert(hash) != hash {
            return Err(BundleError::WeightHash { name: blob.name.clone() });
        }
        Ok(())
    }

    /// Reads the pieces of blobs that nobody has asked for.
    fn load_all(
        &self,
        bundle: &Bundle,
        blobs: impl Iterator<Item = usize> + Send,
    ) -> Result<(), BundleError> {
        let count = |blob: usize| bundle.manifest().weights[blob].size.div_ceil(PIECE_BYTES);
        let pieces = blobs.flat_map(|blob| (0..count(blob)).map(move |piece| (blob, piece)));
        on_threads(pieces, |piece, bytes| {
            let seen = lock(&self.hashes).contains_key(&piece);
            if seen { Ok(()) } else { self.load(bundle, piece, bytes) }
        })
    }

    /// The hash of a blob all of whose pieces are known.
    fn root(&self, blob: usize) -> Hash {
        let hashes: Vec<ChainingValue> =
            lock(&self.hashes).range((blob, 0)..(blob + 1, 0)).map(|(_, hash)| *hash).collect();
        match &hashes[..] {
            [whole] => *whole,
            pieces => {
                let (left, right) = pieces.split_at(left_count(pieces.len()));
                *merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes()
            }
        }
    }
}

/// Parts of `into`, which begins at `offset` of a blob, none of which crosses the edge of a piece.
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
