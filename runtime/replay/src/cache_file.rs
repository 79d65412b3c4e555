//! Files of the pipeline cache, in a folder that others may be able to write to: only the user's own regular files are
//! read, whatever has been planted under their names, and they are replaced as a whole.
#![cfg_attr(unix, expect(unsafe_code, reason = "asks for the user id"))]

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// More than any driver makes of a program.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// Names to try for a temporary file: each is random, so that one that is taken is planted or a wonder.
const ATTEMPTS: usize = 16;

/// Reads the file at `path`, which must be a regular file of this user that nobody else may write to, and no link.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = without_waiting(OpenOptions::new().read(true)).open(path)?;
    check(&file)?;
    let mut bytes = Vec::new();
    // One more, so that a file that grows is not taken for a whole one.
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES { Err(refused("it is too large")) } else { Ok(bytes) }
}

fn check(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("it is no regular file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(refused("it is too large"));
    }
    check_owner(&metadata)
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

#[cfg(unix)]
fn check_owner(metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: it takes nothing and cannot fail.
    if metadata.uid() != unsafe { libc::geteuid() } {
        return Err(refused("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused("other users may write to it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_metadata: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Neither follows a link in the last place nor waits for a pipe's other end.
#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Puts `bytes` at `path`, in place of whatever is there. Other processes may load the same bundle, so the file appears
/// whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        private(&mut fs::DirBuilder::new()).create(folder)?;
    }
    let (partial, mut file) = create_beside(path)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

/// A new file that nobody could have put there before, since its name is not known before and it must not exist.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut taken = None;
    for attempt in 0..ATTEMPTS {
        let random = RandomState::new().hash_one((std::process::id(), attempt));
        let partial = path.with_extension(format!("{random:016x}.partial"));
        match owned(OpenOptions::new().write(true).create_new(true)).open(&partial) {
            Ok(file) => return Ok((partial, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

#[cfg(unix)]
fn owned(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW)
}

#[cfg(not(unix))]
fn owned(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn private(builder: &mut fs::DirBuilder) -> &mut fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    builder.recursive(true).mode(0o700)
}

#[cfg(not(unix))]
fn private(builder: &mut fs::DirBuilder) -> &mut fs::DirBuilder {
    builder.recursive(true)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn in_a_folder(test: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        test(&folder.path().join("made/x.pipelines"));
    }

    #[track_caller]
    fn is_refused(path: &Path, reason: &str) {
        let error = read(path).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        // What is in the way goes, and nothing is written through it.
        replace(path, b"new").unwrap();
        assert_eq!(read(path).unwrap(), b"new");
        assert!(fs::symlink_metadata(path).unwrap().is_file());
    }

    #[test]
    fn what_is_written_is_read_and_leaves_nothing_else() {
        in_a_folder(|path| {
            assert_eq!(read(path).unwrap_err().kind(), io::ErrorKind::NotFound);
            replace(path, b"old").unwrap();
            replace(path, b"new").unwrap();
            assert_eq!(read(path).unwrap(), b"new");
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        });
    }

    #[test]
    fn planted_links_are_not_followed() {
        in_a_folder(|path| {
            let victim = path.parent().unwrap().with_file_name("victim");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&victim, b"precious").unwrap();
            symlink(&victim, path).unwrap();
            is_refused(path, "symbolic link");
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
        });
    }

    #[test]
    fn pipes_are_not_waited_for() {
        in_a_folder(|path| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            is_refused(path, "no regular file");
        });
    }

    #[test]
    fn files_that_others_may_write_to_are_not_read() {
        in_a_folder(|path| {
            replace(path, b"old").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o620)).unwrap();
            is_refused(path, "other users may write");
        });
    }

    #[test]
    fn a_file_without_end_is_not_read() {
        in_a_folder(|path| {
            replace(path, b"old").unwrap();
            OpenOptions::new().write(true).open(path).unwrap().set_len(MOST_BYTES + 1).unwrap();
            is_refused(path, "too large");
        });
    }
}
