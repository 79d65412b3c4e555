//! Starts other programs in the repository's root, and says so first.

use crate::Failure;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The repository's root: two folders above this crate, as cargo tells it at run time.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .and_then(|here| here.ancestors().nth(2).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A command that runs in the root. `cargo` is the one that started us.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let real = match program {
        "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        _ => program.into(),
    };
    let mut command = Command::new(real);
    command.args(args).current_dir(root());
    // Set for this crate by `cargo run`; a nested cargo must find its own.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}

/// Prints the command as one would type it.
pub(crate) fn announce(program: &str, args: &[&str]) {
    println!("$ {program} {}", args.join(" "));
}

/// Runs a program with its output on the terminal. An exit code other than 0 is a failed check.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), Failure> {
    announce(program, args);
    let status = command(program, args).status().map_err(|error| cannot_start(program, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::Check(format!("`{program}` failed: {status}"))) }
}

/// Runs a program and returns what it wrote to its standard output.
pub(crate) fn capture(program: &str, args: &[&str]) -> Result<String, Failure> {
    announce(program, args);
    let output = command(program, args)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(program, &error))?;
    if !output.status.success() {
        return Err(Failure::Check(format!("`{program}` failed: {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::Check(format!("`{program}` did not write UTF-8")))
}

/// The failure of a program that cannot be started at all.
pub(crate) fn cannot_start(program: &str, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("cannot start `{program}`: {error}"))
}
