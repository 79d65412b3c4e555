//! Makes mutants of bundles and of models and counts how far each comes: `cargo xtask fuzz` starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]

#[path = "../../../compiler/onnx/tests/it/memory.rs"]
mod memory;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drift_tests::model_mutants::{self, Plan};
use drift_tests::mutants::{self, Child, Counts, Kind, Known, Seed, Stage};

const HELP: &str = "\
Usage: mutants [OPTION]...             mutants of bundles that this program compiles
       mutants models FOLDER [OPTION]...   mutants of the models FOLDER/NAME/model.onnx

Opens mutants of bundles, and judges the SPIR-V of those that the reader accepts; or takes mutants of models as far as a
planned program. Ends with a table of how far they came.
  --count N      so many mutants (10000)
  --from N       number of the first (0)
  --seconds N    begin none after so long
  --threads N    threads (all processors)
  --keep FOLDER  write those that must not happen, and bundles that SPIRV-Tools refuses
Of bundles:
  --seed S       which mutants (1)
  --run          load and run the accepted ones on a Vulkan device, in a child process for each thread
  --kind KIND    bytes, section, manifest, words or text, as often as wanted; all by default
Exit codes: 0 nothing bad, 1 something crashed, hung, panicked or took too much, 2 bad usage.";

struct Options {
    models: Option<PathBuf>,
    seed: u64,
    from: u64,
    count: u64,
    time: Option<Duration>,
    threads: usize,
    run: bool,
    kinds: Vec<Kind>,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => mutants::serve().map(|()| true),
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(true)
        }
        _ => options(&args).and_then(|options| match &options.models {
            Some(folder) => of_models(folder, &options),
            None => of_bundles(&options),
        }),
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
    let mut options = Options {
        models: None,
        seed: 1,
        from: 0,
        count: 10_000,
        time: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        run: false,
        kinds: Vec::new(),
        keep: None,
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} wants a value\n\n{HELP}"));
        match name.as_str() {
            "models" => options.models = Some(value()?.into()),
            "--seed" => options.seed = value()?.parse()?,
            "--from" => options.from = value()?.parse()?,
            "--count" => options.count = value()?.parse()?,
            "--seconds" => options.time = Some(Duration::from_secs(value()?.parse()?)),
            "--threads" => options.threads = value()?.parse()?,
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

/// Whether nothing happened that must not.
fn of_models(folder: &std::path::Path, options: &Options) -> Result<bool, Box<dyn Error>> {
    let models = model_mutants::models(folder)?;
    // A panic is counted, and the mutant named.
    std::panic::set_hook(Box::new(|_| {}));
    let plan = Plan {
        numbers: options.from..options.from.saturating_add(options.count),
        threads: options.threads,
        time: options.time,
        keep: options.keep.clone(),
    };
    let start = Instant::now();
    let counts = model_mutants::fuzz(models, plan, memory::measured);
    println!("{counts}\n{:.0} a second", counts.total() as f64 / start.elapsed().as_secs_f64());
    Ok(counts.bad.is_empty())
}

/// What threads share.
struct Bundles<'a> {
    options: &'a Options,
    seeds: &'a [Seed],
    known: &'a Known,
    start: Instant,
    next: AtomicU64,
    failed: AtomicBool,
}

/// Whether nothing crashed or hung that must not.
fn of_bundles(options: &Options) -> Result<bool, Box<dyn Error>> {
    let seeds = mutants::seeds()?;
    let known = Known::of(&seeds);
    let (start, next) = (Instant::now(), AtomicU64::new(options.from));
    let run = Bundles { options, seeds: &seeds, known: &known, start, next, failed: AtomicBool::new(false) };
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads.max(1)).map(|n| scope.spawn(move_to(&run, n))).collect();
        for thread in threads {
            match thread.join() {
                Ok(own) => counts += own,
                Err(_) => run.failed.store(true, Ordering::Relaxed),
            }
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    println!("{counts}{:.0} a second", counts.total() as f64 / seconds);
    Ok(counts.harmed() == 0 && !run.failed.load(Ordering::Relaxed))
}

fn move_to<'a>(run: &'a Bundles<'a>, thread: usize) -> impl FnOnce() -> Counts + 'a {
    move || {
        let mut counts = Counts::default();
        if let Err(error) = run.work(thread, &mut counts) {
            eprintln!("mutants: {error}");
            run.failed.store(true, Ordering::Relaxed);
        }
        counts
    }
}

impl Bundles<'_> {
    fn work(&self, thread: usize, counts: &mut Counts) -> Result<(), Box<dyn Error>> {
        let Options { seed, from, count, time, run, kinds, keep, .. } = self.options;
        let mut child = if *run { Some(Child::start(&std::env::current_exe()?)?) } else { None };
        let path = std::env::temp_dir().join(format!("drift-mutant-{}-{thread}.drift", std::process::id()));
        while time.is_none_or(|time| self.start.elapsed() < time) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= from.saturating_add(*count) {
                break;
            }
            let mutant = mutants::mutant(self.seeds, *seed, number, kinds);
            let (mut stage, mut said) = self.known.open(&mutant.bytes);
            if let (Some(child), Stage::Opened | Stage::Invalid) = (&mut child, stage) {
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
                    "{stage:?}: number {number} of seed {seed}, {:?} of {}: {said}",
                    mutant.kind, mutant.seed
                );
                if let Some(keep) = keep {
                    std::fs::create_dir_all(keep)?;
                    std::fs::write(keep.join(format!("{stage:?}-{seed}-{number}.drift")), &mutant.bytes)?;
                }
            }
        }
        // It is there only where something was run.
        let _ = std::fs::remove_file(&path);
        Ok(())
    }
}
