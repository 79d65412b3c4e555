//! Plans every memory problem in a folder of MiniMalloc's CSV form and prints its peak over its capacity.
//!
//! `cargo xtask memory FOLDER` runs it. A file is named
//! `NAME.CAPACITY.csv`, as that project names its benchmarks.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example reports on the terminal")]

use drift_compiler::memory::{Effort, MemoryError, minimalloc, plan};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Work of the exact search: about half a minute on one core.
const EXACT_WORK: u64 = 3_000_000_000;

/// Work of the search for the smallest plan: some seconds for each of its parts.
const SMALLEST_WORK: u64 = 500_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        eprintln!("usage: minimalloc FOLDER");
        return ExitCode::from(2);
    };
    match problems(Path::new(folder)).and_then(|problems| problems.iter().try_for_each(|path| report(path))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minimalloc: {error}");
            ExitCode::from(2)
        }
    }
}

/// The CSV files of a folder, by name.
fn problems(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() { Err(format!("no CSV files in {}", folder.display()).into()) } else { Ok(paths) }
}

fn report(path: &Path) -> Result<(), Box<dyn Error>> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let capacity: u64 = name
        .rsplit('.')
        .next()
        .and_then(|capacity| capacity.parse().ok())
        .ok_or_else(|| format!("{name}: the name does not end in a capacity"))?;
    let problem = minimalloc::read(&std::fs::read_to_string(path)?)?;
    println!("{name}: {} tensors, capacity {capacity}", problem.tensors.len());
    let fit = Effort::Fit { capacity, budget: EXACT_WORK };
    let smallest = Effort::Search { budget: SMALLEST_WORK };
    let efforts =
        [(Effort::Greedy, "greedy"), (Effort::COMPILE, "compile"), (fit, "fit"), (smallest, "smallest")];
    for (effort, label) in efforts {
        let started = Instant::now();
        let plan = plan(&problem.tensors, effort).map_err(|error: MemoryError| format!("{name}: {error}"))?;
        println!(
            "  {label:8} {:5.3} of capacity, {:5.3} of the lower bound{}, by {}, {:.2} s",
            plan.peak_bytes as f64 / capacity as f64,
            plan.peak_bytes as f64 / plan.lower_bound_bytes as f64,
            if plan.is_smallest { " (proved smallest)" } else { "" },
            plan.strategy.name(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
