//! Read-only memory maps of bundle files: the one place of this crate that needs `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it")]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::BundleError;

/// Maps `path` for reading.
///
/// Changing the file in place while it is mapped changes what is read. Writers of this crate never do: they
/// write a new file and rename it over the old one, which leaves the mapped one as it was.
pub(crate) fn map(path: &Path) -> Result<Mmap, BundleError> {
    let io = |action| move |source| BundleError::Io { action, path: path.to_owned(), source };
    let file = File::open(path).map_err(io("open"))?;
    // SAFETY: the map is read-only and private to this process, and bytes are only ever read as `u8`, for
    // which any value is valid. A concurrent truncation of the file by another process is outside what a
    // reader can prevent; see above.
    unsafe { Mmap::map(&file) }.map_err(io("map"))
}
