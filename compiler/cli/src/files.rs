//! Reads whole files, and writes them so that a reader never sees half of one.

use crate::error::CliError;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads a file that the user named.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::Read { path: path.to_owned(), source })
}

/// Writes a file beside its final place and renames it into it: complete, or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let temporary = beside(path);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        // The failure is what the user must see; a leftover that cannot be removed adds nothing to it.
        let _removed = fs::remove_file(&temporary);
        CliError::Write { path: path.to_owned(), source }
    })
}

/// Creates a folder and its parents.
pub fn create_folder(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|source| CliError::Write { path: path.to_owned(), source })
}

/// A file name for something that the model names: separators and other awkward characters become `_`.
pub fn file_name(name: &str, extension: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let stem: String = name.chars().map(safe).collect();
    // A leading dot would hide the file, or leave the folder.
    format!("{}.{extension}", stem.trim_start_matches('.'))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        // A folder that is not empty cannot be replaced by a file.
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        write(&path, b"new").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(&folder.path().join("no/such/file"), b"").is_err());
    }

    #[test]
    fn names_from_models_stay_in_their_folder() {
        assert_eq!(file_name("/decoder/layer.0/out", "npy"), "_decoder_layer.0_out.npy");
        assert_eq!(file_name("../../etc/passwd", "npy"), "_.._etc_passwd.npy");
        assert_eq!(file_name("logits", "npy"), "logits.npy");
    }
}
