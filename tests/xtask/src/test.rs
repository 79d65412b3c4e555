//! `cargo xtask test`: every test of the workspace, as CI runs them.

use crate::prerequisites::{
    self, CHROMIUM, CLANG, CLANG_16, CPP_COMPILER, NODE, NPM, Need, OPENCL_DRIVER, OPENCL_LOADER,
    VULKAN_DRIVER, VULKAN_LOADER, VULKAN_VALIDATION,
};
use crate::summary::Summary;
use crate::{Failure, shell};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

/// What running kernels takes.
const KERNELS: [&Need; 7] = [
    &CPP_COMPILER,
    &VULKAN_LOADER,
    &VULKAN_DRIVER,
    &VULKAN_VALIDATION,
    &OPENCL_LOADER,
    &OPENCL_DRIVER,
    &CLANG_16,
];

/// Runs all tests, even after some failed. The last line on standard output is the sum over all test binaries.
pub(crate) fn test() -> Result<(), Failure> {
    prerequisites::ensure(&[&KERNELS[..], &[&CLANG, &CHROMIUM, &NODE, &NPM]].concat())?;
    let mut summary = Summary::default();
    let finished = run_tests(&mut summary);
    if let Err(failure) = &finished {
        println!("{failure}");
        // A binary that crashes prints no closing line, and one that does not compile runs no test.
        summary.failed = summary.failed.max(1);
    }
    println!("{summary}");
    finished.map_err(|_| Failure::Reported)
}

fn run_tests(summary: &mut Summary) -> Result<(), Failure> {
    let args = ["test", "--workspace", "--locked", "--no-fail-fast"];
    shell::announce("cargo", &args);
    let mut cargo = shell::command("cargo", &args)
        .env("CI", "true")
        .envs(driver_caches())
        .envs(QUICK_DRIVERS)
        // A snapshot that differs fails; it is never rewritten.
        .env("INSTA_UPDATE", "no")
        .env_remove("INSTA_FORCE_PASS")
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| shell::cannot_start("cargo", &error))?;
    if let Some(output) = cargo.stdout.take() {
        stream(BufReader::new(output), summary)
            .map_err(|error| Failure::Check(format!("reading cargo: {error}")))?;
    }
    let status = cargo.wait().map_err(|error| Failure::Check(format!("waiting for cargo: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::Check(format!("cargo test failed: {status}"))) }
}

/// Runs every setting of every kernel, of which `test` runs a sample, with drivers that optimise; has clang and a browser read each; runs
/// every model of one operator as MSL, and every kernel with mixed types.
pub(crate) fn matrix() -> Result<(), Failure> {
    prerequisites::ensure(&[&KERNELS[..], &[&CLANG, &CHROMIUM]].concat())?;
    let args = [
        "test",
        "--locked",
        "--package",
        "drift-tests",
        "--test",
        "kernels",
        "--test",
        "acceptance",
        "--test",
        "msl",
        "--test",
        "mixed",
    ];
    shell::announce("DRIFT_MATRIX=full cargo", &args);
    let mut cargo = shell::command("cargo", &args);
    cargo.env("DRIFT_MATRIX", "full").envs(driver_caches());
    let status = cargo.status().map_err(|error| shell::cannot_start("cargo", &error))?;
    if status.success() { Ok(()) } else { Err(Failure::Check(format!("cargo test failed: {status}"))) }
}

/// Has lavapipe and PoCL compile without optimising, which halves their time: what a driver's optimiser makes of kernels is for
/// `matrix` to show. Mesa and PoCL document both.
const QUICK_DRIVERS: [(&str, &str); 2] =
    [("GALLIVM_PERF", "nopt"), ("POCL_EXTRA_BUILD_FLAGS", "-cl-opt-disable")];

/// Where drivers keep what they compiled: below the build's own folder.
fn driver_caches() -> [(&'static str, PathBuf); 2] {
    let folder = shell::target_directory();
    [("MESA_SHADER_CACHE_DIR", folder.join("mesa-cache")), ("POCL_CACHE_DIR", folder.join("pocl-cache"))]
}

/// Shows each line as it comes. Tests may print bytes that are not UTF-8.
fn stream(mut output: impl BufRead, summary: &mut Summary) -> std::io::Result<()> {
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        summary.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    std::io::stdout().flush()
}
