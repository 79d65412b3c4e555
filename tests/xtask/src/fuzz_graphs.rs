//! `cargo xtask fuzz-graphs [FLAG]...`: random graphs through every rewrite, optimised, on all processors.

use crate::prerequisites::{self, CPP_COMPILER, OPENCL_LOADER, VULKAN_LOADER};
use crate::{Failure, shell};

/// Builds and runs the fuzzer; flags are its own.
pub(crate) fn fuzz_graphs(flags: &[&str]) -> Result<(), Failure> {
    prerequisites::ensure(&[&CPP_COMPILER, &VULKAN_LOADER, &OPENCL_LOADER])?;
    let cargo = ["run", "--release", "--locked", "--package", "drift-tests", "--bin", "fuzz_graphs", "--"];
    shell::run("cargo", &[&cargo, flags].concat())
}
