//! `cargo xtask memory FOLDER`: how close the memory planner comes to the capacities of public benchmarks.

use crate::{Failure, shell};
use std::path::Path;

/// Runs the planner, optimised and without the C++ of SPIRV-Tools, on every CSV file of a folder.
pub(crate) fn memory(folder: &str) -> Result<(), Failure> {
    // The planner runs in the repository's root, whatever the folder is relative to.
    let folder = Path::new(folder)
        .canonicalize()
        .map_err(|error| Failure::Usage(format!("cannot open {folder}: {error}")))?;
    let example = ["run", "--release", "--package", "drift-compiler", "--no-default-features", "--example"];
    let folder = folder.to_string_lossy();
    shell::run("cargo", &[&example[..], &["minimalloc", "--", &folder]].concat())
}
