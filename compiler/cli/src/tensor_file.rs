//! Files that hold one tensor: `.npy`, and the `.pb` of the ONNX backend-test layout.

use crate::error::CliError;
use crate::host::HostTensor;
use crate::{files, npy};
use std::path::Path;

/// Reads a tensor from a `.npy` or `.pb` file.
pub fn read(path: &Path) -> Result<HostTensor, CliError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => {
            npy::read(&files::read(path)?).map_err(|source| CliError::Npy { path: path.to_owned(), source })
        }
        Some("pb") => Ok(read_pb(path)?.1),
        _ => Err(CliError::TensorFile(path.to_owned())),
    }
}

/// Reads a tensor from a `.npy` or `.pb` file with its name, which is empty where there is none.
pub fn read_named(path: &Path) -> Result<(String, HostTensor), CliError> {
    match path.extension() {
        Some(extension) if extension == "pb" => read_pb(path),
        _ => Ok((String::new(), read(path)?)),
    }
}

/// Reads a tensor of an ONNX data set: its name, which may be empty, and its data.
pub fn read_pb(path: &Path) -> Result<(String, HostTensor), CliError> {
    let (name, tensor, form) = drift_onnx::read_host_tensor_pb(files::read(path)?)
        .map_err(|source| CliError::TensorPb { path: path.to_owned(), source })?;
    Ok((name, HostTensor::from_ir_as(&tensor, form)?))
}
