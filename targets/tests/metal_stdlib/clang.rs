//! Emitted MSL through clang, with the headers beside this file in place of Metal's library.
//!
//! Other crates use this file by its path.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The first clang that has `_Float16` on x86 and counts arrays of one element as such.
const LEAST_VERSION: u32 = 16;

/// What MSL is read with: literals are floats, every f16 operation rounds, and nothing is contracted.
pub const LANGUAGE: [&str; 14] = [
    "-std=c++17",
    "-nostdinc++",
    "-fno-exceptions",
    "-fno-rtti",
    "-fsigned-char",
    "-ffp-contract=off",
    "-Xclang",
    "-ffloat16-excess-precision=none",
    "-Xclang",
    "-cl-single-precision-constant",
    "-Wno-unknown-attributes",
    "-Wno-ignored-attributes",
    "-Wno-unknown-pragmas",
    "-Wno-user-defined-literals",
];

/// A clang that is new enough, and its version's line.
pub fn program() -> io::Result<(&'static str, &'static str)> {
    static FOUND: OnceLock<Option<(&str, String)>> = OnceLock::new();
    let names = || ["clang++-16", "clang++-17", "clang++-18", "clang++-19", "clang++-20", "clang++"];
    let found = FOUND.get_or_init(|| {
        names().into_iter().find_map(|name| {
            let output = Command::new(name).arg("--version").output().ok()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (version(&said)? >= LEAST_VERSION).then_some((name, said))
        })
    });
    found.as_ref().map(|(name, said)| (*name, said.as_str())).ok_or_else(|| {
        io::Error::other(format!(
            "no clang++ of version {LEAST_VERSION} or later was found; `cargo xtask test` installs it"
        ))
    })
}

/// The major version in what `clang --version` says.
fn version(said: &str) -> Option<u32> {
    said.split_once("clang version ")?.1.split('.').next()?.parse().ok()
}

/// What clang says against the syntax and the types of `msl`, or nothing. `headers` is the folder of this file.
pub fn complaints(headers: &Path, msl: &str) -> io::Result<String> {
    let (name, _) = program()?;
    let mut clang = Command::new(name)
        .args(LANGUAGE)
        .args(["-fsyntax-only", "-x", "c++", "-I"])
        .arg(headers)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = clang.stdin.take() {
        input.write_all(for_clang(msl).as_bytes())?;
    }
    let output = clang.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.is_empty() && !output.status.success() {
        return Err(io::Error::other(format!("{name} ends with {}", output.status)));
    }
    Ok(said)
}

/// C++ has no variables of another address space in a function, but references to them.
pub fn for_clang(msl: &str) -> String {
    let mut text = String::with_capacity(msl.len());
    for (number, line) in msl.lines().enumerate() {
        let variable = line.strip_prefix("    threadgroup ").and_then(|rest| rest.strip_suffix(';'));
        match variable.and_then(|variable| variable.rsplit_once(' ')) {
            Some((ty, name)) => text.push_str(&format!(
                "    threadgroup {ty}& {name} = metal::threadgroup_variable<{ty}, {number}>();\n"
            )),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
