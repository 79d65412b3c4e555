//! `cargo xtask lint`: formatting, clippy and the dependencies.

use crate::{Failure, dependencies, shell};

/// Runs every check, so that one report holds everything that is wrong.
pub(crate) fn lint() -> Result<(), Failure> {
    let results = [
        ("formatting", formatting()),
        ("clippy", clippy()),
        ("the runtime's devices", devices()),
        ("dependencies", dependencies::check()),
    ];
    let mut failed = Vec::new();
    for (name, result) in results {
        if let Err(failure) = result {
            println!("{name}: {failure}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("lint: fine");
        Ok(())
    } else {
        Err(Failure::Check(format!("lint failed: {}", failed.join(", "))))
    }
}

fn formatting() -> Result<(), Failure> {
    shell::run("cargo", &["fmt", "--all", "--check"])
}

fn clippy() -> Result<(), Failure> {
    shell::run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
}

/// The runtime with each device alone.
fn devices() -> Result<(), Failure> {
    ["vulkan", "opencl", "wgpu"].iter().try_for_each(|device| {
        let runtime = ["clippy", "--package", "drift-runtime", "--locked", "--no-default-features"];
        let alone = ["--features", *device, "--", "--deny", "warnings"];
        shell::run("cargo", &[&runtime[..], &alone[..]].concat())
    })
}
