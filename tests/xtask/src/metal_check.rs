//! `cargo xtask metal-check`: what only a Mac can tell, as a report to send back.

use crate::{Failure, shell};

/// Runs the device's own tests, the check, and the carried models on the device.
pub(crate) fn metal_check(args: &[&str]) -> Result<(), Failure> {
    let only_tool = ["--metallib", "--no-device", "--help", "-h"];
    let with_device = cfg!(target_os = "macos") && !args.iter().any(|arg| only_tool.contains(arg));
    let mut results = Vec::new();
    if with_device {
        let tests = ["test", "--locked", "--package", "drift-runtime", "--lib", "metal"];
        results.push(shell::run("cargo", &tests));
    }
    shell::run("cargo", &["build", "--locked", "--package", "drift-tests", "--bin", "metal_check"])?;
    let built = |name: &str| {
        let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        shell::target_directory().join("debug").join(program).display().to_string()
    };
    results.push(said(&built("metal_check"), args));
    if with_device {
        shell::run("cargo", &["build", "--locked", "--package", "driftc"])?;
        let models = models()?;
        let models: Vec<&str> = models.iter().map(String::as_str).collect();
        results
            .push(shell::run(&built("driftc"), &[&["verify"], &models[..], &["--target", "metal"]].concat()));
    }
    results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

/// The carried models.
fn models() -> Result<Vec<String>, Failure> {
    let folder = shell::root().join("tests/models");
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", folder.display()));
    let entries = std::fs::read_dir(&folder).map_err(unreadable)?.flatten();
    let mut models: Vec<_> = entries.map(|entry| entry.path()).collect();
    models.retain(|path| path.join("model.onnx").is_file());
    models.sort();
    Ok(models.iter().map(|path| path.display().to_string()).collect())
}

/// Runs a program whose own words and exit code are the result.
fn said(program: &str, args: &[&str]) -> Result<(), Failure> {
    shell::announce(program, args);
    let status =
        shell::command(program, args).status().map_err(|error| shell::cannot_start(program, &error))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(Failure::Reported),
        _ => Err(Failure::Usage("metal-check could not be run".to_owned())),
    }
}
