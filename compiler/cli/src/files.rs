//! Reads files that the user named: regular ones, whole.

use crate::error::CliError;
use drift_bundle::MAGIC;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    check_regular(path)?;
    fs::read(path).map_err(|source| CliError::Read { path: path.to_owned(), source })
}

/// A bundle says so in its first bytes; everything else is taken for a model.
pub fn is_bundle(path: &Path) -> Result<bool, CliError> {
    check_regular(path)?;
    let unreadable = |source| CliError::Read { path: path.to_owned(), source };
    let mut start = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(unreadable)?;
    Ok(start == MAGIC)
}

/// Whether a file is a model where a bundle is as welcome: by its name, so that damaged bundles are told to be such.
pub fn is_model(path: &Path) -> Result<bool, CliError> {
    let is_named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    Ok(!is_bundle(path)? && is_named)
}

/// Refuses folders, pipes and devices before they are opened: opening a pipe waits for a writer, and a device may have no
/// end.
pub fn check_regular(path: &Path) -> Result<(), CliError> {
    let metadata = fs::metadata(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(CliError::NotAFile { path: path.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().ends_with("is a folder, not a file"));
        assert!(read(&folder.path().join("none")).unwrap_err().to_string().starts_with("cannot read"));
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            for path in [pipe.as_path(), Path::new("/dev/zero")] {
                assert!(read(path).unwrap_err().to_string().contains("is a pipe or a device"));
                assert!(is_bundle(path).is_err());
            }
        }
    }
}
