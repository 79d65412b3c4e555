//! Memory maps of model files: the one place of this crate with `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it underneath")]

use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

/// Maps a whole file for reading.
///
/// Nothing can stop another process from writing to the file meanwhile. Then later reads see the new bytes, so that a
/// compilation may mix old and new weights; every reader checks what it reads, so this cannot break memory safety in
/// our own code. If the file becomes shorter, the operating system ends the process on the first read past the new end.
/// Whoever replaces a model should write a new file and rename it, which leaves existing maps alone.
pub(crate) fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is private and read-only, and nothing here derives a value from it that a later change of the
    // bytes could make invalid: text is checked and copied, numbers are read byte-wise, and any byte pattern is a
    // valid element. The remaining risk is that of the doc comment.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}
