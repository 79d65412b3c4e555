//! Read-only memory maps of bundle files: the one place of this crate that needs `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it")]

use std::path::Path;

use memmap2::Mmap;

use crate::error::BundleError;
use crate::reader::Bundle;
use crate::source::{OpenFile, Source};

impl Bundle {
    /// Like [`Bundle::open`], but weights are mapped into memory instead of being read by position. Worth it only
    /// where many processes keep the same weights on the host, since [`crate::WeightReader`] copies them either way.
    ///
    /// # Safety
    ///
    /// Nobody may change or shorten the file while the bundle lives. A change would alter bytes that are borrowed as
    /// constant, and touching a page that is gone ends the process with a signal. [`crate::BundleWriter`] does neither:
    /// it renames a new file over the old one, which leaves a mapped one as it was.
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        let file = OpenFile::open(path.as_ref())?;
        // SAFETY: the caller promises that the file stays as it is, and the map is only ever read as `u8`.
        let map = unsafe { Mmap::map(file.file()) }.map_err(|source| file.error("map", source))?;
        Self::check(Source::Mapped(map))
    }
}
