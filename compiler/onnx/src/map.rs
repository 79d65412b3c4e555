//! Memory maps of model files: the one place of this crate with `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it underneath")]

use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A mapped file, shared by the bytes that were cut from it.
#[derive(Debug, Clone)]
pub(crate) struct Mapped(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Mmap,
    file: File,
    path: PathBuf,
    state: State,
}

/// What a file system says of a file that changes with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

impl Mapped {
    /// The whole file.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether the mapped file has another length or time than when it was mapped. A file that took its name since then
    /// does not count: the map is of the old one.
    pub(crate) fn is_changed(&self) -> bool {
        State::of(&self.0.file).ok() != Some(self.0.state)
    }

    /// Lets the system take back the memory of pages that were read. They are read from the file again when touched.
    pub(crate) fn release_pages(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is of a file, shared and read-only, so its pages hold nothing that the file does not:
            // whoever touches one again gets the same bytes.
            let released = unsafe { self.0.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // Advice that is not taken costs memory and nothing else.
            drop(released);
        }
    }
}

/// Maps a whole file for reading; an empty one has no map.
///
/// Nothing can stop another process from writing to the file meanwhile. Then later reads see the new bytes, so that a
/// compilation may mix old and new weights; every reader checks what it reads, so this cannot break memory safety in
/// our own code, and [`Mapped::is_changed`] tells afterwards. If the file becomes shorter, the operating system ends the
/// process on the first read past the new end.
/// Whoever replaces a model should write a new file and rename it, which leaves existing maps alone.
pub(crate) fn map(path: &Path) -> io::Result<Option<Mapped>> {
    let file = File::open(path)?;
    let state = State::of(&file)?;
    if state.length == 0 {
        return Ok(None);
    }
    // SAFETY: the map is read-only, and nothing here derives a value from it that a later change of the
    // bytes could make invalid: text is checked and copied, numbers are read byte-wise, and any byte pattern is a
    // valid element. The remaining risk is that of the doc comment.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Some(Mapped(Arc::new(Inner { map, file, path: path.to_owned(), state }))))
}
