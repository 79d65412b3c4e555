//! Emitted MSL through clang, with the headers beside this file in place of Metal's library: syntax and types.
//!
//! Other crates use this file by its path.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// What clang says against `msl`, or nothing. `headers` is the folder of this file.
pub fn complaints(headers: &Path, msl: &str) -> io::Result<String> {
    let source: String = msl.lines().map(|line| for_clang(line) + "\n").collect();
    // This target has a half type; nothing is generated for it.
    let language =
        ["--target=aarch64-none-elf", "-ffreestanding", "-nostdinc++", "-fsigned-char", "-std=c++17"];
    let metal_only = ["unknown-attributes", "ignored-attributes", "unknown-pragmas", "user-defined-literals"];
    let mut clang = Command::new("clang++")
        .args(language)
        .args(metal_only.map(|warning| format!("-Wno-{warning}")))
        .args(["-fsyntax-only", "-x", "c++", "-I"])
        .arg(headers)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::other(format!("clang++ cannot be started ({error}); `cargo xtask test` installs it"))
        })?;
    if let Some(mut input) = clang.stdin.take() {
        input.write_all(source.as_bytes())?;
    }
    let output = clang.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.is_empty() && !output.status.success() {
        return Err(io::Error::other(format!("clang++ ends with {}", output.status)));
    }
    Ok(said)
}

/// C++ has no variables of another address space in a function, but names those that are elsewhere.
fn for_clang(line: &str) -> String {
    match line.strip_prefix("    threadgroup ") {
        Some(variable) => format!("    extern threadgroup {variable}"),
        None => line.to_owned(),
    }
}
