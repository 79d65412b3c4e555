//! `cargo xtask fuzz [--minutes N] [--seed S]`: seeded mutants of models and bundles, for as long as one likes.

use crate::prerequisites::{self, CPP_COMPILER, VULKAN_DRIVER, VULKAN_LOADER};
use crate::{Failure, shell};

/// Parts of one run: what the mutants are of, the share of the time that it gets, and whether they are also run.
const PARTS: &[(&str, u64, &[&str])] = &[
    ("models", 4, &[]),
    ("bytes and sections", 1, &["--kind", "bytes", "--kind", "section"]),
    (
        "manifests, and SPIR-V and text by words",
        5,
        &["--kind", "manifest", "--kind", "words", "--kind", "text"],
    ),
    ("the same on a device", 4, &["--run", "--kind", "manifest", "--kind", "words"]),
];

/// More than any run has time for.
const MOST: &str = "1000000000";

/// Runs every part; a part that finds something does not keep the next from being run.
pub(crate) fn fuzz(args: &[&str]) -> Result<(), Failure> {
    let (mut minutes, mut seed) = (10_u64, "1".to_owned());
    let mut rest = args;
    while let [name, value, tail @ ..] = rest {
        let number: u64 =
            value.parse().map_err(|_| Failure::Usage(format!("{name} wants a number, not `{value}`")))?;
        match *name {
            "--minutes" => minutes = number,
            "--seed" => seed = number.to_string(),
            _ => return Err(Failure::Usage(format!("unknown option `{name}`"))),
        }
        rest = tail;
    }
    if let [name] = rest {
        return Err(Failure::Usage(format!("{name} wants a value, or is no option")));
    }
    prerequisites::ensure(&[&CPP_COMPILER, &VULKAN_LOADER, &VULKAN_DRIVER])?;
    shell::run("cargo", &["build", "--locked", "--package", "drift-tests", "--bin", "mutants"])?;
    let folder = shell::target_directory();
    let program = folder.join("debug").join(format!("mutants{}", std::env::consts::EXE_SUFFIX));
    let (program, keep) = (program.display().to_string(), folder.join("mutants").display().to_string());
    let whole: u64 = PARTS.iter().map(|(_, share, _)| share).sum();
    let seconds = |share: u64| (60 * minutes * share).div_ceil(whole).to_string();
    // The number of a mutant of a model is all of its seed.
    let first = seed.parse::<u64>().unwrap_or_default().saturating_mul(1 << 32).to_string();
    let models = ["models", "tests/models/ops", "--from", &first];
    let mut found = false;
    for (what, share, flags) in PARTS {
        println!("{what}:");
        let common = ["--seed", &seed, "--seconds", &seconds(*share), "--count", MOST, "--keep", &keep];
        let first: &[&str] = if flags.is_empty() { &models } else { &[] };
        found |= shell::run(&program, &[first, &common, flags].concat()).is_err();
    }
    if found {
        Err(Failure::Check(format!(
            "a mutant of a model failed, or one of a bundle crashed or hung: see {keep}"
        )))
    } else {
        Ok(())
    }
}
