//! `cargo xtask check-platforms [TARGET]...`: type-checks what apps link for platforms that this machine is not.
//!
//! A check needs the standard library of the target. It is checked from its source, by a toolchain that has it: the one that
//! started us, with `rustup component add rust-src`, or Debian's.

use std::path::Path;
use std::time::Instant;

use crate::prerequisites::{self, Need};
use crate::{Failure, shell};

/// A target, and the devices of the runtime that apps have there.
const PLATFORMS: [(&str, &str); 4] = [
    ("aarch64-apple-darwin", "metal,wgpu"),
    ("aarch64-apple-ios", "metal"),
    ("aarch64-linux-android", "vulkan,opencl"),
    ("x86_64-pc-windows-msvc", "vulkan,opencl,wgpu"),
];

/// Debian's newest Rust, which it keeps for its browsers, with the source of the standard library.
const DEBIAN_RUST: Need = Need {
    what: "Rust with the source of its standard library",
    packages: &["rustc-web", "cargo-web", "rust-web-src"],
    found: || {
        Path::new(DEBIAN_SOURCE).is_dir() && ["cargo", "rustc"].iter().all(|name| debian(name).is_file())
    },
};

const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std";

fn debian(program: &str) -> std::path::PathBuf {
    Path::new("/usr/bin").join(program)
}

/// Checks the targets that are named, or all. Each is given as `TARGET` or as `TARGET=DEVICE,DEVICE`.
pub(crate) fn check(wanted: &[&str]) -> Result<(), Failure> {
    let platforms = chosen(wanted)?;
    let toolchain = Toolchain::find()?;
    let mut failed = Vec::new();
    for (target, devices) in platforms {
        let start = Instant::now();
        match toolchain.check(target, devices) {
            Ok(()) => println!("{target} with {devices}: fine, {:.0} s", start.elapsed().as_secs_f64()),
            Err(failure) => {
                println!("{target} with {devices}: {failure}");
                failed.push(target);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Check(format!("the runtime does not compile for {}", failed.join(", "))))
}

fn chosen<'a>(wanted: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, Failure> {
    let known = || PLATFORMS.map(|(target, _)| target).join(", ");
    let one = |argument: &&'a str| {
        if let Some(given) = argument.split_once('=') {
            return Ok(given);
        }
        let found = PLATFORMS.iter().find(|(target, _)| target == argument).copied();
        found.ok_or_else(|| {
            Failure::Usage(format!(
                "no platform `{argument}`; there are {}, and others as TARGET=DEVICES",
                known()
            ))
        })
    };
    if wanted.is_empty() { Ok(PLATFORMS.to_vec()) } else { wanted.iter().map(one).collect() }
}

/// Cargo, and the compiler that it is told to use.
struct Toolchain {
    cargo: String,
    rustc: Option<String>,
}

impl Toolchain {
    /// The one that started us, where it has the source of its standard library.
    fn find() -> Result<Self, Failure> {
        let sysroot = shell::capture("rustc", &["--print", "sysroot"])?;
        if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").is_dir() {
            return Ok(Self { cargo: "cargo".to_owned(), rustc: None });
        }
        let hint = |failure: Failure| match failure {
            Failure::Usage(said) => Failure::Usage(format!("{said} (or `rustup component add rust-src`)")),
            other => other,
        };
        prerequisites::ensure(&[&DEBIAN_RUST]).map_err(hint)?;
        let [cargo, rustc] = ["cargo", "rustc"].map(|name| debian(name).display().to_string());
        Ok(Self { cargo, rustc: Some(rustc) })
    }

    fn check(&self, target: &str, devices: &str) -> Result<(), Failure> {
        let of_c = devices.split(',').map(|device| format!("drift-c/{device}"));
        // Assembly would have to be compiled for the target; its plain Rust is what is checked instead.
        let features: Vec<String> =
            devices.split(',').map(|device| format!("drift-runtime/{device}")).chain(of_c).collect();
        let features = format!("{},blake3/pure", features.join(","));
        let args = [
            "check",
            "--locked",
            "--package=drift-runtime",
            "--package=drift-c",
            "--package=blake3",
            "--no-default-features",
            "--features",
            &features,
            "-Zbuild-std=std,panic_abort",
            "--target",
            target,
        ];
        shell::announce(&format!("RUSTC_BOOTSTRAP=1 {}", self.cargo), &args);
        let mut command = shell::command(&self.cargo, &args);
        // Checking a library from its source is not stable yet.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "--deny warnings");
        command.env("CARGO_TARGET_DIR", shell::target_directory().join("platforms"));
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc).env_remove("RUSTUP_TOOLCHAIN");
        }
        let status = command.status().map_err(|error| shell::cannot_start(&self.cargo, &error))?;
        if status.success() { Ok(()) } else { Err(Failure::Check("it does not compile".to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_chosen_by_name_or_given_with_their_devices() {
        assert_eq!(chosen(&[]).unwrap().len(), PLATFORMS.len());
        assert_eq!(chosen(&["aarch64-apple-ios"]).unwrap(), [("aarch64-apple-ios", "metal")]);
        let other = "x86_64-apple-darwin=metal,vulkan";
        assert_eq!(chosen(&[other]).unwrap(), [("x86_64-apple-darwin", "metal,vulkan")]);
        assert!(
            matches!(chosen(&["mars"]), Err(Failure::Usage(said)) if said.contains("aarch64-apple-darwin"))
        );
    }
}
