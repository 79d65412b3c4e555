//! Files under a temporary name: created by nobody else, removed when dropped, on signals, and by the next run.
//!
//! A file is locked for as long as its process lives, so that whoever gets the lock knows that it was left behind.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PREFIX: &str = ".driftc-";
const SUFFIX: &str = ".part";

/// Names tried before giving up; one is enough unless somebody is in the way on purpose.
const MOST_NAMES: usize = 16;

/// What this process must not leave behind.
static REGISTER: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Folders that were searched for what dead processes left.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A path that is removed if a signal ends the process.
#[derive(Debug)]
pub(crate) struct Registered(PathBuf);

impl Registered {
    /// Registers a path before anything is there.
    pub(crate) fn new(path: PathBuf) -> Self {
        lock(&REGISTER).insert(path.clone());
        Self(path)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&REGISTER).remove(&self.0);
    }
}

/// Removes every partial file and temporary folder of this process, which is about to end: nothing new can be begun
/// afterwards.
pub fn remove_all() {
    let register = lock(&REGISTER);
    for path in register.iter() {
        // What is not there, or cannot be removed, stays for the next run.
        let _removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    std::mem::forget(register);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that has no place yet.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: Registered,
    renamed: bool,
    /// Of the file that is replaced.
    mode: Option<u32>,
}

impl Partial {
    /// Creates a file beside `target`, so that a rename stays on one file system. While it is written, nobody may read it
    /// who may not read `old`.
    pub(super) fn beside(target: &Path, old: Option<&Metadata>) -> io::Result<Self> {
        let folder = folder_of(target);
        for _ in 0..MOST_NAMES {
            let path = Registered::new(folder.join(random_name()));
            let file = match create(&path.0, old.is_some()) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let mut partial = Self { file, path, renamed: false, mode: None };
            if partial.is_ours() {
                partial.mode = old.and_then(|old| take_over(&partial.file, old));
                sweep(folder, &partial.file);
                return Ok(partial);
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Locks the file. Another process may take it for one that was left behind in the moment before.
    fn is_ours(&self) -> bool {
        match self.file.try_lock() {
            Err(TryLockError::WouldBlock) => false,
            // Where files cannot be locked, nobody takes any for left behind.
            Ok(()) | Err(TryLockError::Error(_)) => is_linked(&self.file),
        }
    }

    pub(super) fn rename_to(mut self, target: &Path) -> io::Result<()> {
        if let Some(mode) = self.mode {
            set_mode(&self.file, mode)?;
        }
        // Without this a crash of the machine could leave the new name on an empty file.
        self.file.sync_all()?;
        fs::rename(&self.path.0, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is already on its way.
            let _removed = fs::remove_file(&self.path.0);
        }
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Nobody can guess it: the keys of a [`RandomState`] come from the operating system.
fn random_name() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{PREFIX}{:016x}{:016x}{SUFFIX}", word(), word())
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let middle = name.and_then(|name| name.strip_prefix(PREFIX)).and_then(|name| name.strip_suffix(SUFFIX));
    middle.is_some_and(|middle| middle.len() == 32 && middle.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Removes what processes that ended left in a folder; once for each folder.
fn sweep(folder: &Path, own: &File) {
    if !lock(&SWEPT).insert(folder.to_owned()) {
        return;
    }
    // Tidying up is no reason to fail.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_partial(path)) {
        let _removed = remove_if_left(&path, own);
    }
}

fn remove_if_left(path: &Path, own: &File) -> io::Result<()> {
    let there = fs::symlink_metadata(path)?;
    if !there.is_file() || !same_owner(&there, &own.metadata()?) {
        return Ok(());
    }
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

#[cfg(unix)]
fn create(path: &Path, private: bool) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if private { 0o600 } else { 0o666 };
    OpenOptions::new().write(true).read(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _: bool) -> io::Result<File> {
    OpenOptions::new().write(true).read(true).create_new(true).open(path)
}

#[cfg(unix)]
fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

#[cfg(not(unix))]
fn is_linked(_: &File) -> bool {
    true
}

#[cfg(unix)]
fn same_owner(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    a.uid() == b.uid()
}

#[cfg(not(unix))]
fn same_owner(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Gives a new file the old one's owner and group where the system allows it, and returns the mode that it shall have:
/// without them, the bits that act in their name are left out.
#[cfg(unix)]
fn take_over(file: &File, old: &Metadata) -> Option<u32> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = file.metadata().ok()?;
    let is_same = (own.uid(), own.gid()) == (old.uid(), old.gid());
    let is_kept = is_same || fchown(file, Some(old.uid()), Some(old.gid())).is_ok();
    Some(old.mode() & if is_kept { 0o7777 } else { 0o777 })
}

#[cfg(not(unix))]
fn take_over(_: &File, _: &Metadata) -> Option<u32> {
    None
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partials(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().filter(|entry| is_partial(&entry.as_ref().unwrap().path())).count()
    }

    #[test]
    fn names_cannot_be_foreseen_and_are_known_again() {
        let names: BTreeSet<String> = (0..100).map(|_| random_name()).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| is_partial(Path::new(name))));
        assert!(!is_partial(Path::new(".driftc-notes.part")));
    }

    #[test]
    fn what_was_left_behind_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(random_name());
        fs::write(&left, b"half of a bundle").unwrap();
        let strangers = folder.path().join(".driftc-notes.part");
        fs::write(&strangers, b"").unwrap();
        let first = Partial::beside(&folder.path().join("a"), None).unwrap();
        assert!(!left.exists() && strangers.exists());
        lock(&SWEPT).clear();
        let second = Partial::beside(&folder.path().join("b"), None).unwrap();
        assert_eq!(partials(folder.path()), 2);
        drop((first, second));
        assert_eq!(partials(folder.path()), 0);
    }
}
