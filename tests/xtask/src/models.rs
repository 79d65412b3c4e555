//! `cargo xtask models FOLDER [FLAG]...`: real-size models against the outputs stored beside them. Takes minutes to hours.

use crate::prerequisites::{self, CPP_COMPILER, VULKAN_DRIVER, VULKAN_LOADER};
use crate::{Failure, shell};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Verifies every folder below `folder` that holds a `model.onnx`, each in a process of its own, so that one model's
/// memory is gone before the next one's is needed. `flags` go to `driftc verify`.
pub(crate) fn models(folder: &str, flags: &[&str]) -> Result<(), Failure> {
    let mut found = folders(Path::new(folder))?;
    found.sort();
    if found.is_empty() {
        return Err(Failure::Usage(format!("{folder}: no folder below it holds a model.onnx")));
    }
    prerequisites::ensure(&[&CPP_COMPILER, &VULKAN_LOADER, &VULKAN_DRIVER])?;
    shell::run("cargo", &["build", "--release", "--locked", "--package", "driftc"])?;
    let driftc =
        shell::target_directory().join("release").join(format!("driftc{}", std::env::consts::EXE_SUFFIX));
    let driftc = driftc.display().to_string();

    let report = shell::target_directory().join("models.json").display().to_string();
    let mut lines = Vec::new();
    let mut passed = 0;
    for model in &found {
        let model = model.display().to_string();
        let start = Instant::now();
        let _ = std::fs::remove_file(&report);
        let verify = ["verify", &model, "--target", "vulkan", "--json", &report];
        // A model that fails does not keep the others from being tried; its own report says what became of it.
        let _ = shell::run(&driftc, &[&verify, flags].concat());
        let status = status(Path::new(&report));
        passed += usize::from(status == "PASS");
        lines.push(format!("{status:>11} {:8.1} s  {model}", start.elapsed().as_secs_f64()));
    }
    println!("\n{}\n{passed} of {} models passed", lines.join("\n"), found.len());
    if passed == found.len() { Ok(()) } else { Err(Failure::Reported) }
}

/// What `driftc verify` wrote about its only model.
fn status(report: &Path) -> String {
    let text = std::fs::read_to_string(report).unwrap_or_default();
    let report: Value = serde_json::from_str(&text).unwrap_or_default();
    report["models"][0]["status"].as_str().unwrap_or("FAIL").to_owned()
}

/// Folders with a model, at most two levels down.
fn folders(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        if folder.join("model.onnx").is_file() {
            let absolute = folder.canonicalize();
            found.push(absolute.map_err(|error| unreadable(&folder, &error))?);
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if depth < 2 && path.is_dir() {
                open.push((path, depth + 1));
            }
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", path.display()))
}
