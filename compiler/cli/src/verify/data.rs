//! Stored tensors in a model's order.

use crate::dataset::DataSet;
use crate::error::CliError;
use crate::host::HostTensor;
use crate::tensor_file;
use std::path::{Path, PathBuf};

/// Stored tensors by the names that a model gives them, in its order: by their own names where all of those are the
/// model's, else as they are numbered.
pub(super) fn in_order(
    folder: &Path,
    what: &'static str,
    files: &[PathBuf],
    names: &[String],
) -> Result<Vec<HostTensor>, CliError> {
    if files.len() != names.len() {
        let (found, expected) = (files.len(), names.len());
        return Err(CliError::DataCount { folder: folder.to_owned(), what, found, expected });
    }
    let stored = files.iter().map(|path| tensor_file::read_named(path)).collect::<Result<Vec<_>, _>>()?;
    let place = |name: &str| names.iter().position(|known| known == name);
    let mut placed: Vec<(usize, HostTensor)> = Vec::with_capacity(stored.len());
    let by_name = stored.iter().all(|(name, _)| place(name).is_some());
    for (index, (name, tensor)) in stored.into_iter().enumerate() {
        placed.push((if by_name { place(&name).unwrap_or(index) } else { index }, tensor));
    }
    placed.sort_by_key(|(index, _)| *index);
    Ok(placed.into_iter().map(|(_, tensor)| tensor).collect())
}

/// The stored outputs of a data set.
pub(super) fn outputs(data: &DataSet, names: &[String]) -> Result<Vec<HostTensor>, CliError> {
    in_order(&data.folder, "output", &data.outputs, names)
}
