//! Random graphs through every rewrite, for as long as one likes: `cargo xtask fuzz-graphs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]
#![expect(unsafe_code, reason = "leaves without a driver's exit handlers")]

use drift_tests::graphs::campaign::{self, Plan};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Usage: cargo xtask fuzz-graphs [--count N] [--seed S] [--threads N] [--seconds N] [--only NUMBER] [--device] [--specials]

Evaluates random graphs before and after every rewrite and prints what differs, made small, and counts.
  --count N      graphs (100000)
  --from N       number of the first (0)
  --seed S       where seeds begin (1)
  --threads N    threads (all processors); on a device each opens it for itself
  --seconds N    begin no graph after so long, and end half a minute later at the latest
  --only NUMBER  this graph of the seed alone
  --show         with --only: print the graph first
  --examples N   failures of one kind that are made small, the others being counted (3)
  --device       run graphs on the first Vulkan device instead, and compare with the evaluator
  --specials     with --device: also NaN, infinities and the ends of types
Exit codes: 0 nothing found, 1 a graph failed, 2 bad usage.";

struct Options {
    plan: Plan,
    device: bool,
    show: bool,
}

fn main() -> ExitCode {
    let Some(Options { plan, device, show }) = options() else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    if show {
        println!("{}", campaign::shown(plan, device));
    }
    // A panic is a failure with a graph, which says more than its trace.
    std::panic::set_hook(Box::new(|_| {}));
    let done = if device { campaign::on_device(plan) } else { campaign::rewrites(plan) };
    match done {
        Ok(done) => {
            println!("{done}");
            let code = u8::from(done.findings.total() > 0);
            if !done.busy.is_empty() {
                leave(code);
            }
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("fuzz_graphs: {error}");
            ExitCode::from(2)
        }
    }
}

/// Ends the process without exit handlers: a driver's may wait for the threads that are stuck in it.
fn leave(code: u8) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: ends the process, whose other threads hold nothing that outlives it.
    unsafe { libc::_exit(i32::from(code)) }
}

fn options() -> Option<Options> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let plan = Plan { threads, ..Plan::new(1, 100_000) };
    let mut options = Options { plan, device: false, show: false };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--device" => options.device = true,
            "--show" => options.show = true,
            "--specials" => options.plan.specials = true,
            _ => {
                let number: u64 = args.next()?.parse().ok()?;
                let plan = &mut options.plan;
                match flag.as_str() {
                    "--examples" => plan.examples = number,
                    "--count" => plan.count = number,
                    "--from" => plan.from = number,
                    "--seed" => plan.seed = number,
                    "--threads" => plan.threads = number,
                    "--seconds" => plan.time = Some(Duration::from_secs(number)),
                    "--only" => (plan.from, plan.count, plan.threads) = (number, 1, 1),
                    _ => return None,
                }
            }
        }
    }
    Some(options)
}
