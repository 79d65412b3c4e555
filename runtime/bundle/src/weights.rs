//! Writes the weights section: blobs are made and hashed by several threads, and written in their order.
//!
//! Memory holds the blobs that are being made and no others: a thread begins one only while all that are in flight
//! together stay within [`IN_FLIGHT_BYTES`], or alone if it is larger than that.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{BundleError, Flaw};
use crate::format::{ALIGNMENT_BYTES, Hash};
use crate::manifest::WeightBlob;
use crate::threads::on_several;

/// Bytes of blobs that are made and not yet written.
const IN_FLIGHT_BYTES: u64 = 128 << 20;

/// More threads would wait for the one that writes.
const MOST_THREADS: usize = 4;

/// Largest piece that is written and reported at once.
const PIECE_BYTES: usize = 16 << 20;

/// The contents of a blob, made when the bundle is written, perhaps on another thread.
pub trait WeightSource: Send + Sync {
    /// How many bytes there will be.
    fn size_bytes(&self) -> u64;

    /// The bytes: the same on every call.
    fn bytes(&self) -> Cow<'_, [u8]>;
}

impl WeightSource for Vec<u8> {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

/// A source that waits for its turn.
pub(crate) struct Pending(pub(crate) Arc<dyn WeightSource>);

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.size_bytes())
    }
}

/// Where bytes go, in order.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), BundleError> + Send + 'a;

/// What is told after each piece: bytes written so far, and bytes in all.
pub(crate) type Progress<'a> = dyn Fn(u64, u64) + Sync + 'a;

/// Makes all blobs and gives them to `sink` with the padding between them; returns the hash of each.
/// Each source is dropped as soon as its bytes are written.
pub(crate) fn write(
    blobs: &[WeightBlob],
    sources: Vec<Pending>,
    sink: &mut Sink<'_>,
    progress: &Progress<'_>,
) -> Result<Vec<Hash>, BundleError> {
    let total = blobs.last().map_or(0, |blob| blob.offset + blob.size);
    let threads = MOST_THREADS.min(blobs.len());
    let line = Line {
        blobs,
        state: Mutex::new(State {
            sources: sources.into_iter().map(Some).collect(),
            hashes: vec![Hash::default(); blobs.len()],
            ..State::default()
        }),
        moved: Condvar::new(),
        out: Mutex::new(Output { sink, written: 0, total, progress }),
    };
    on_several(threads, || line.work());
    let state = line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failed.map_or(Ok(state.hashes), Err)
}

/// Blobs on their way.
struct Line<'a> {
    blobs: &'a [WeightBlob],
    state: Mutex<State>,
    /// A blob was begun, written or given up.
    moved: Condvar,
    out: Mutex<Output<'a>>,
}

#[derive(Default)]
struct State {
    sources: Vec<Option<Pending>>,
    /// Of the blobs that were made; of the others there is none yet.
    hashes: Vec<Hash>,
    /// The next blob to make.
    begun: usize,
    /// The next blob to write.
    written: usize,
    in_flight_bytes: u64,
    failed: Option<BundleError>,
    /// A thread panicked; the others stop, and the panic goes on when they are joined.
    panicked: bool,
}

struct Output<'a> {
    sink: &'a mut Sink<'a>,
    written: u64,
    total: u64,
    progress: &'a Progress<'a>,
}

impl Line<'_> {
    fn work(&self) {
        while let Some((index, source)) = self.begin() {
            let turn = Turn { line: self, size: self.blobs[index].size, done: false };
            turn.end(self.blob(index, source));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next blob once there is room for it.
    fn begin(&self) -> Option<(usize, Pending)> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() || state.panicked || state.begun == self.blobs.len() {
                return None;
            }
            let index = state.begun;
            let size = self.blobs[index].size;
            let fits = state.in_flight_bytes.saturating_add(size) <= IN_FLIGHT_BYTES;
            if state.in_flight_bytes == 0 || fits {
                state.begun += 1;
                state.in_flight_bytes += size;
                return state.sources[index].take().map(|source| (index, source));
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes and hashes a blob, waits for its turn and writes it. Nothing happens if another thread failed meanwhile.
    fn blob(&self, index: usize, source: Pending) -> Result<(), BundleError> {
        let blob = &self.blobs[index];
        let bytes = source.0.bytes();
        let found = bytes.len() as u64;
        if found != blob.size {
            let flaw = Flaw::WeightSize { name: blob.name.clone(), expected: blob.size, found };
            return Err(BundleError::Invalid { place: "weights".to_owned(), flaw });
        }
        let hash = *blake3::hash(&bytes).as_bytes();
        let mut state = self.lock();
        state.hashes[index] = hash;
        loop {
            // A blob that failed before its turn counts as written, so this comes first.
            if state.failed.is_some() || state.panicked {
                return Ok(());
            }
            if state.written == index {
                break;
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.append(blob.offset, &bytes)
    }
}

/// The right to write one blob; given up when dropped, so that nobody waits for a thread that panicked.
struct Turn<'a, 'l> {
    line: &'a Line<'l>,
    size: u64,
    done: bool,
}

impl Turn<'_, '_> {
    fn end(mut self, result: Result<(), BundleError>) {
        let mut state = self.line.lock();
        state.written += 1;
        state.in_flight_bytes -= self.size;
        if let Err(error) = result {
            state.failed.get_or_insert(error);
        }
        self.done = true;
        drop(state);
        self.line.moved.notify_all();
    }
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        if !self.done {
            self.line.lock().panicked = true;
            self.line.moved.notify_all();
        }
    }
}

impl Output<'_> {
    fn append(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BundleError> {
        let padding = [0; ALIGNMENT_BYTES as usize];
        self.piece(&padding[..(offset - self.written) as usize])?;
        bytes.chunks(PIECE_BYTES).try_for_each(|piece| self.piece(piece))
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        (self.sink)(bytes)?;
        self.written += bytes.len() as u64;
        (self.progress)(self.written, self.total);
        Ok(())
    }
}
