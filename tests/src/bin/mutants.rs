//! Makes mutants of bundles and counts how far each comes: `cargo xtask fuzz` starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use drift_tests::mutants::{self, Child, Counts, Kind, Stage};

const HELP: &str = "\
Usage: mutants [--seed S] [--from N] [--count N] [--minutes N] [--run] [--kind KIND]... [--keep FOLDER]

Opens N mutants of bundles (10,000 by default, or as many as fit the minutes), from a number on, and judges the SPIR-V of those that the
reader accepts. --run loads and runs the accepted ones on a Vulkan device, in a child process. --keep writes those that
SPIRV-Tools refuses, that crash or that hang. Kinds: bytes, section, manifest, words, text; all by default.";

struct Options {
    seed: u64,
    from: u64,
    count: u64,
    minutes: Option<u64>,
    run: bool,
    kinds: Vec<Kind>,
    keep: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => mutants::serve().map(|()| true),
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(true)
        }
        _ => options(&args).and_then(|options| work(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(args: &[String]) -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { seed: 1, from: 0, count: 10_000, minutes: None, run: false, kinds: Vec::new(), keep: None };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} wants a value\n\n{HELP}"));
        match name.as_str() {
            "--seed" => options.seed = value()?.parse()?,
            "--from" => options.from = value()?.parse()?,
            "--count" => options.count = value()?.parse()?,
            "--minutes" => options.minutes = Some(value()?.parse()?),
            "--run" => options.run = true,
            "--keep" => options.keep = Some(value()?.into()),
            "--kind" => {
                let wanted = value()?;
                let known = Kind::ALL.into_iter().find(|kind| format!("{kind:?}").to_lowercase() == *wanted);
                options.kinds.push(known.ok_or_else(|| format!("no kind `{wanted}`\n\n{HELP}"))?);
            }
            _ => return Err(format!("unknown option `{name}`\n\n{HELP}").into()),
        }
    }
    if options.kinds.is_empty() {
        options.kinds = Kind::ALL.to_vec();
    }
    Ok(options)
}

/// Whether nothing crashed or hung that must not.
fn work(options: &Options) -> Result<bool, Box<dyn Error>> {
    let seeds = mutants::seeds()?;
    let start = Instant::now();
    let until = options.minutes.map(|minutes| start + Duration::from_secs(60 * minutes));
    let mut child = if options.run { Some(Child::start(&std::env::current_exe()?)?) } else { None };
    let folder = std::env::temp_dir().join(format!("drift-mutants-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut counts = Counts::default();
    while until.map_or(counts.total() < options.count, |until| Instant::now() < until) {
        let number = options.from + counts.total();
        let mutant = mutants::mutant(&seeds, options.seed, number, &options.kinds);
        let (mut stage, mut said) = mutants::open(&mutant.bytes);
        if let (Some(child), Stage::Opened | Stage::Invalid) = (&mut child, stage) {
            let path = folder.join("mutant.drift");
            std::fs::write(&path, &mutant.bytes)?;
            let invalid = stage == Stage::Invalid;
            let (reached, why) = child.ask(&path)?;
            if !invalid || matches!(reached, Stage::Crashed | Stage::Hung) {
                (stage, said) = (reached, why);
            }
        }
        counts.add(mutant.kind, stage);
        if matches!(stage, Stage::Invalid | Stage::Crashed | Stage::Hung) {
            println!(
                "{stage:?}: number {number} of seed {}, {:?} of {}: {said}",
                options.seed, mutant.kind, mutant.seed
            );
            if let Some(keep) = &options.keep {
                std::fs::create_dir_all(keep)?;
                std::fs::write(
                    keep.join(format!("{stage:?}-{}-{number}.drift", options.seed)),
                    &mutant.bytes,
                )?;
            }
        }
    }
    std::fs::remove_dir_all(&folder)?;
    println!("{counts}, {:.0} a second", counts.total() as f64 / start.elapsed().as_secs_f64());
    Ok(counts.harmed() == 0)
}
