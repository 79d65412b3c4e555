//! The `driftc` command line as a library, so that whole-program tests reach it.
//!
//! The only crate that sees compiler and runtime together. It reads files, calls the stages in order and writes what
//! they say; it decides nothing about models or devices. [`execute`] does what a command line asks and returns the
//! exit code: 0 fine, 1 a check failed, 2 bad usage or bad input, 70 an internal error, 130 interrupted.

mod ablate;
pub mod args;
pub mod bench;
pub mod bind;
mod calibrate;
pub mod compare;
pub mod compile;
pub mod completions;
mod console;
pub mod contents;
pub mod crash;
pub mod dataset;
pub mod devices;
pub mod error;
pub mod errors;
pub mod explain;
pub mod files;
pub mod generate;
pub mod generate_error;
mod hint;
pub mod host;
mod html;
mod in_memory;
pub mod inspect;
pub mod kept;
pub mod meant;
mod measure;
pub mod model;
mod model_contents;
pub mod npy;
pub mod operators;
pub mod output;
mod per_node;
mod picture;
mod progress;
pub mod random;
pub mod reduce;
pub mod replay;
pub mod report;
pub mod run;
mod sampling_ranges;
pub mod screen;
pub mod self_test;
pub mod signals;
pub mod sizes;
mod spill;
pub mod stats;
mod tally;
pub mod tensor_file;
mod trace;
mod units;
pub mod verify;

pub use args::Cli;
pub use console::Console;
pub use error::CliError;

use args::Command;
use clap::Parser;
use report::FailureJson;
use std::ffi::OsString;
use std::io::ErrorKind;

/// How a command that could do its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is fine.
    Fine,
    /// Something was checked and is wrong; the command has said what.
    CheckFailed,
    /// Some of the input could not be read; the command has said which, and done the rest.
    BadInput,
    /// Something met a bug of driftc; the command has said what, and done the rest.
    Internal,
    /// A signal ended the work early; the command has said what came of it.
    Interrupted,
}

impl Outcome {
    /// What the process returns.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::CheckFailed => 1,
            Self::BadInput => 2,
            // `EX_SOFTWARE` of sysexits.h.
            Self::Internal => 70,
            // As shells count a process that the signal itself ends.
            Self::Interrupted => 130,
        }
    }
}

/// Reads a command line, whose first word is the program's name, and does what it asks.
pub fn execute_words<W: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = W>,
    console: &mut Console<'_>,
) -> u8 {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    if let Some(code) = refused_first(&words, console) {
        return code;
    }
    match Cli::try_parse_from(words) {
        Ok(cli) => execute(&cli, console),
        // `--help` and `--version` are told like errors, but belong to the results.
        Err(error) => {
            let stream = if error.use_stderr() { console.err() } else { console.out() };
            let _written = stream.write_all(error.to_string().as_bytes());
            error.exit_code().try_into().unwrap_or(2)
        }
    }
}

/// Refuses a first word that is no command and no file; the exit code.
pub fn refused_first(words: &[OsString], console: &mut Console<'_>) -> Option<u8> {
    Cli::check_first(words).err().map(|error| conclude(Err(error), console))
}

/// Does what the command line asks, reports errors with their causes, and returns the exit code.
pub fn execute(cli: &Cli, console: &mut Console<'_>) -> u8 {
    if cli.takes_standard_output() {
        console.leave_output_alone();
    }
    if cli.all {
        console.list_all();
    }
    // Before anything is written, a report of a failure too.
    if let Err(error) = cli.check() {
        return conclude(Err(error), console);
    }
    let done = crash::caught(|| {
        dispatch(cli, console).and_then(|outcome| Ok(console.out().flush().map(|()| outcome)?))
    });
    let done = done.unwrap_or_else(|panic| Err(CliError::Panicked(panic)));
    if let Err(error) = &done
        && !matches!(error, CliError::Output(_))
    {
        // The failure is what the user must see, whether or not this can be written.
        let _written = output::write_document(cli.json(), cli.name(), &FailureJson::of(error), console);
    }
    conclude(done, console)
}

/// Reports what stopped a command, and returns the exit code.
fn conclude(done: Result<Outcome, CliError>, console: &mut Console<'_>) -> u8 {
    let outcome = match done {
        Ok(outcome) => outcome,
        // Whoever reads has seen enough, as with `driftc inspect model.drift | head`.
        Err(CliError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Outcome::Fine,
        Err(error) => {
            // Where standard error is gone too, the exit code says it.
            let _written = console.error(&error);
            if error.is_internal() { Outcome::Internal } else { Outcome::BadInput }
        }
    };
    if outcome == Outcome::Internal {
        let _written = console.ask_for_report();
    }
    outcome.exit_code()
}

fn dispatch(cli: &Cli, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    match &cli.command {
        None => compile::run(&cli.compile, console),
        Some(Command::Run(args)) => run::run(args, console),
        Some(Command::Verify(args)) => verify::run(args, console),
        Some(Command::Bench(args)) => bench::run(args, console),
        Some(Command::SelfTest(args)) => self_test::run(args, console),
        Some(Command::Generate(args)) => generate::run(args, console),
        Some(Command::Compare(args)) => generate::divergence::run(args, console),
        Some(Command::Inspect(args)) => inspect::run(args, console),
        Some(Command::Explain(args)) => explain::run(args, console),
        Some(Command::Reduce(args)) => reduce::run(args, console),
        Some(Command::Devices(args)) => devices::run(args, console),
        Some(Command::Operators(args)) => operators::run(args, console),
        Some(Command::Completions(args)) => completions::run(args, console),
        Some(Command::Man(args)) => completions::man(args, console),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::BundleError;

    fn check(done: Result<Outcome, CliError>) -> (u8, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = conclude(done, &mut Console::new(&mut out, &mut err));
        assert!(out.is_empty());
        (code, String::from_utf8(err).unwrap())
    }

    #[test]
    fn every_end_has_its_exit_code() {
        let broken_pipe = std::io::Error::from(ErrorKind::BrokenPipe);
        let bug = "please report it";
        for (done, code, reported) in [
            (Ok(Outcome::Fine), 0, false),
            (Ok(Outcome::CheckFailed), 1, false),
            (Ok(Outcome::BadInput), 2, false),
            (Ok(Outcome::Internal), 70, true),
            (Ok(Outcome::Interrupted), 130, false),
            (Err(CliError::Output(broken_pipe)), 0, false),
            (Err(CliError::Usage("no".to_owned())), 2, false),
            (Err(CliError::Panicked("slot 3 is missing".to_owned())), 70, true),
            (Err(CliError::emitted(BundleError::Encode { reason: "odd".to_owned() })), 70, true),
        ] {
            let told = check(done);
            assert_eq!((told.0, told.1.contains(bug)), (code, reported), "{told:?}");
        }
    }
}
