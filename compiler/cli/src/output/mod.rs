//! Files that a command writes: whole or not at all, without harm to what the path names already.
//!
//! A regular file is written under another name beside its place and renamed into it, with the old file's mode and, where
//! the system allows it, owner. A symbolic link is followed, and what it names is replaced. A device or a pipe is
//! written to, once everything is there, and so is what the process has open already (`/dev/stdout`). Links to a file by
//! another name (hard links), access lists and extended attributes are not kept.

pub mod document;
mod names;
mod partial;

pub use document::write_document;
pub use names::file_names;
pub use partial::remove_all as remove_partial_files;

pub(crate) use partial::Registered;

use crate::error::CliError;
use partial::Partial;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

/// Symbolic links followed one after another, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// A file on its way. Dropping it without [`Output::commit`] leaves everything as it was.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Replace { partial: Partial, target: PathBuf },
    Through { content: File, target: Place },
}

/// What a path names after all links.
#[derive(Debug)]
enum Place {
    /// Nothing yet, or a regular file.
    Regular { path: PathBuf, old: Option<fs::Metadata> },
    /// A device, a pipe or a socket.
    Special(PathBuf),
    /// What the process has open under this number.
    Descriptor(u32),
}

impl Output {
    /// Begins a file that takes the place of whatever `path` names.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        let way = Way::of(path).map_err(|source| unwritable(path, source))?;
        Ok(Self { path: path.to_owned(), way })
    }

    /// Where the content goes.
    pub fn file(&mut self) -> &mut File {
        match &mut self.way {
            Way::Replace { partial, .. } => partial.file(),
            Way::Through { content, .. } => content,
        }
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<(), CliError> {
        let done = match self.way {
            Way::Replace { partial, target } => partial.rename_to(&target),
            Way::Through { content, target } => write_through(content, &target),
        };
        done.map_err(|source| unwritable(&self.path, source))
    }
}

impl Way {
    fn of(path: &Path) -> io::Result<Self> {
        match resolve(path)? {
            Place::Regular { path, old } => {
                Ok(Self::Replace { partial: Partial::beside(&path, old.as_ref())?, target: path })
            }
            // Collected in a file without a name: a bundle's first bytes are known last, and a pipe cannot go back.
            target => Ok(Self::Through { content: tempfile::tempfile()?, target }),
        }
    }
}

/// Writes a whole file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut output = Output::create(path)?;
    output.file().write_all(bytes).map_err(|source| unwritable(path, source))?;
    output.commit()
}

/// Creates a folder and its parents.
pub fn create_folder(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|source| unwritable(path, source))
}

/// Whether what is written there comes out of standard output.
pub fn is_standard_output(path: &Path) -> bool {
    matches!(resolve(path), Ok(Place::Descriptor(1)))
}

/// The regular file that a path names or would name, without links; none for a device, a pipe, or where there is no folder.
pub fn regular_file(path: &Path) -> Option<PathBuf> {
    let Ok(Place::Regular { path, .. }) = resolve(path) else { return None };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

fn unwritable(path: &Path, source: io::Error) -> CliError {
    CliError::Write { path: path.to_owned(), source }
}

/// Follows the links that `path` itself is; those in its folders are the system's business.
fn resolve(path: &Path) -> io::Result<Place> {
    if path.as_os_str().is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Some(number) = descriptor(&path) {
            return Ok(Place::Descriptor(number));
        }
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(link);
                continue;
            }
            Ok(metadata) if metadata.is_file() => Place::Regular { path, old: Some(metadata) },
            Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(_) => Place::Special(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Place::Regular { path, old: None },
            Err(error) => return Err(error),
        };
        return Ok(kind);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The number that a path gives to something that this process has open.
fn descriptor(path: &Path) -> Option<u32> {
    if !cfg!(unix) {
        return None;
    }
    match path.to_str()? {
        "/dev/stdin" => return Some(0),
        "/dev/stdout" => return Some(1),
        "/dev/stderr" => return Some(2),
        _ => {}
    }
    let number = path.file_name().and_then(OsStr::to_str)?.parse().ok()?;
    let own = format!("/proc/{}/fd", std::process::id());
    let folder = path.parent()?;
    let folders = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd", own.as_str()];
    folders.iter().any(|known| folder == Path::new(known)).then_some(number)
}

fn write_through(mut content: File, target: &Place) -> io::Result<()> {
    let mut stream = open(target)?;
    content.rewind()?;
    io::copy(&mut content, &mut stream)?;
    stream.flush()
}

fn open(target: &Place) -> io::Result<File> {
    match target {
        Place::Regular { path, .. } | Place::Special(path) => OpenOptions::new().write(true).open(path),
        Place::Descriptor(number) => open_descriptor(*number),
    }
}

#[cfg(unix)]
fn open_descriptor(number: u32) -> io::Result<File> {
    use std::os::fd::AsFd;
    match number {
        // A copy goes on where the stream is; opening the path again would start at the front of a file.
        1 => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
        2 => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
        _ => OpenOptions::new().append(true).open(format!("/dev/fd/{number}")),
    }
}

#[cfg(not(unix))]
fn open_descriptor(_: u32) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests;
