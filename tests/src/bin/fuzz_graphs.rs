//! Random graphs through every rewrite, for as long as one likes: `cargo xtask fuzz-graphs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]

use drift_tests::graphs::campaign::{self, Plan};
use drift_tests::graphs::report::Report;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask fuzz-graphs [--count N] [--seed S] [--threads N] [--only NUMBER] [--device] [--specials]

Evaluates random graphs before and after every rewrite and prints what differs, made small.
  --count N      graphs (100000)
  --seed S       where seeds begin (1)
  --threads N    threads (all processors)
  --only NUMBER  this graph of the seed alone
  --show         with --only: print the graph first
  --failures N   stop after so many (10)
  --device       run graphs on the first Vulkan device instead, and compare with the evaluator
  --specials     with --device: also NaN, infinities and the ends of types
Exit codes: 0 nothing found, 1 a graph failed, 2 bad usage.";

fn main() -> ExitCode {
    let mut plan = Plan { seed: 1, count: 100_000, threads: threads(), most_failures: 10 };
    let (mut only, mut device, mut specials, mut show) = (None, false, false, false);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--device" => {
                device = true;
                continue;
            }
            "--show" => {
                show = true;
                continue;
            }
            "--specials" => {
                specials = true;
                continue;
            }
            _ => {}
        }
        let number = args.next().and_then(|value| value.parse::<u64>().ok());
        match (flag.as_str(), number) {
            ("--failures", Some(failures)) => plan.most_failures = failures as usize,
            ("--count", Some(count)) => plan.count = count,
            ("--seed", Some(seed)) => plan.seed = seed,
            ("--threads", Some(threads)) => plan.threads = threads,
            ("--only", Some(number)) => only = Some(number),
            _ => {
                eprintln!("{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(number) = only.filter(|_| show) {
        println!("{}", campaign::shown(plan.seed, number, device, specials));
    }
    // A panic is a failure with a graph, which says more than its trace.
    std::panic::set_hook(Box::new(|_| {}));
    let done = match (only, device) {
        (None, false) => campaign::rewrites(plan),
        (None, true) => campaign::on_device(plan, specials),
        (Some(number), false) => {
            let mut report = Report::default();
            let found = campaign::one(plan.seed, number, &mut report).err();
            Ok((report, found.into_iter().collect()))
        }
        (Some(number), true) => drift_tests::graphs::device::open().map(|device| {
            let mut report = Report::default();
            let found = campaign::group_on(&device, plan.seed, number..number + 1, specials, &mut report);
            (report, found)
        }),
    };
    let (report, found) = match done {
        Ok(done) => done,
        Err(error) => {
            eprintln!("fuzz_graphs: {error}");
            return ExitCode::from(2);
        }
    };
    found.iter().for_each(|failure| println!("{failure}"));
    println!("{report}{} failures", found.len());
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}
