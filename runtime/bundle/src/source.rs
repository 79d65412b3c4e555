//! Where a bundle's bytes come from: a file that is read by position, memory, or a map that its caller answers for.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::error::BundleError;

/// The bytes of one bundle.
pub(crate) enum Source {
    File(OpenFile),
    Memory(Cow<'static, [u8]>),
    Mapped(Mmap),
}

/// A regular file that stays open, as it was when it was opened.
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Source {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Mapped(map) => map.len() as u64,
        }
    }

    /// Fills `into` with the bytes at `offset`, which are inside of [`Source::len`].
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), BundleError> {
        match self {
            Self::File(file) => file.read(offset, into),
            Self::Memory(bytes) => {
                into.copy_from_slice(&bytes[offset as usize..][..into.len()]);
                Ok(())
            }
            Self::Mapped(map) => {
                into.copy_from_slice(&map[offset as usize..][..into.len()]);
                Ok(())
            }
        }
    }

    /// As [`Source::read`], into memory that is taken for it.
    pub(crate) fn read_vec(&self, offset: u64, size: u64) -> Result<Vec<u8>, BundleError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size as usize).map_err(|_| BundleError::OutOfMemory { bytes: size })?;
        bytes.resize(size as usize, 0);
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes themselves, where they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Self::File(_) => None,
            Self::Memory(bytes) => Some(bytes),
            Self::Mapped(map) => Some(map),
        }
    }

    /// Refuses a file whose length or time of change is another than when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), BundleError> {
        match self {
            Self::File(file) => file.check_unchanged(),
            Self::Memory(_) | Self::Mapped(_) => Ok(()),
        }
    }
}

impl OpenFile {
    /// Opens `path` if it is a regular file. What never ends or has no positions (a pipe, a device, a folder) is
    /// refused, and opening it waits for nobody.
    pub(crate) fn open(path: &Path) -> Result<Self, BundleError> {
        let io = |source| BundleError::Io { action: "open", path: path.to_owned(), source };
        let file = without_waiting(OpenOptions::new().read(true)).open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(BundleError::NotAFile { path: path.to_owned(), found: kind(&metadata) });
        }
        let modified = metadata.modified().ok();
        Ok(Self { file, path: path.to_owned(), bytes: metadata.len(), modified })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn error(&self, action: &'static str, source: io::Error) -> BundleError {
        BundleError::Io { action, path: self.path.clone(), source }
    }

    fn changed(&self) -> BundleError {
        BundleError::Changed { path: self.path.clone() }
    }

    fn read(&self, mut offset: u64, mut into: &mut [u8]) -> Result<(), BundleError> {
        while !into.is_empty() {
            match read_at(&self.file, into, offset) {
                // It was longer when it was opened.
                Ok(0) => return Err(self.changed()),
                Ok(read) => {
                    into = &mut into[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error("read", error)),
            }
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), BundleError> {
        let now = self.file.metadata().map_err(|error| self.error("look at", error))?;
        if (now.len(), now.modified().ok()) == (self.bytes, self.modified) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }
}

/// A pipe without a writer would otherwise keep `open` from returning. Regular files are read as ever.
#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "something else" }
}
