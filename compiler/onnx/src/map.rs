//! Memory maps of model files: the one place of this crate with `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it underneath")]

use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A mapped file, shared by the bytes that were cut from it.
#[derive(Debug, Clone)]
pub(crate) struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// The whole file.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Lets the system take back the memory of pages that were read. They are read from the file again when touched.
    pub(crate) fn release_pages(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is of a file, shared and read-only, so its pages hold nothing that the file does not:
            // whoever touches one again gets the same bytes.
            let released = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // Advice that is not taken costs memory and nothing else.
            drop(released);
        }
    }
}

/// Maps a whole file for reading; an empty one has no map.
///
/// Nothing can stop another process from writing to the file meanwhile. Then later reads see the new bytes, so that a
/// compilation may mix old and new weights; every reader checks what it reads, so this cannot break memory safety in
/// our own code. If the file becomes shorter, the operating system ends the process on the first read past the new end.
/// Whoever replaces a model should write a new file and rename it, which leaves existing maps alone.
pub(crate) fn map(path: &Path) -> io::Result<Option<Mapped>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the map is read-only, and nothing here derives a value from it that a later change of the
    // bytes could make invalid: text is checked and copied, numbers are read byte-wise, and any byte pattern is a
    // valid element. The remaining risk is that of the doc comment.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Some(Mapped(Arc::new(map))))
}
