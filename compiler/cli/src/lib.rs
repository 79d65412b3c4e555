//! The `driftc` command line as a library, so that whole-program tests reach it.
//!
//! The only crate that sees compiler and runtime together. It reads files, calls the stages in order and writes what
//! they say; it decides nothing about models or devices. [`execute`] does what a command line asks and returns the
//! exit code: 0 fine, 1 a check failed, 2 bad usage or bad input.

mod ablate;
pub mod args;
pub mod bench;
pub mod compare;
pub mod compile;
pub mod dataset;
pub mod devices;
pub mod error;
pub mod explain;
pub mod files;
pub mod host;
mod html;
pub mod inspect;
pub mod model;
pub mod npy;
mod per_node;
mod picture;
mod progress;
pub mod random;
pub mod replay;
pub mod report;
pub mod run;
pub mod stats;
mod trace;
mod units;
pub mod verify;

pub use args::Cli;
pub use error::CliError;

use args::Command;
use clap::Parser;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};

/// How a command that could do its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is fine.
    Fine,
    /// Something was checked and is wrong; the command has said what.
    CheckFailed,
    /// Some of the input could not be read; the command has said which, and done the rest.
    BadInput,
}

/// Where a command writes: results, and notes beside them.
pub struct Console<'a> {
    /// Results; scripts read them.
    pub out: &'a mut dyn Write,
    /// Notes and errors; people read them.
    pub err: &'a mut dyn Write,
}

impl Console<'_> {
    /// Something that the user should know and that stops nothing.
    fn note(&mut self, note: &str) -> Result<(), CliError> {
        Ok(writeln!(self.err, "note: {note}")?)
    }

    /// An error with its causes, a line each.
    fn error(&mut self, error: &CliError) -> Result<(), CliError> {
        for (index, cause) in error.chain().enumerate() {
            writeln!(self.err, "{} {cause}", if index == 0 { "driftc:" } else { "  because" })?;
        }
        Ok(())
    }
}

/// Reads a command line, whose first word is the program's name, and does what it asks.
pub fn execute_words<W: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = W>,
    console: &mut Console<'_>,
) -> u8 {
    match Cli::try_parse_from(words) {
        Ok(cli) => execute(&cli, console),
        // `--help` and `--version` are told like errors, but belong to the results.
        Err(error) => {
            let stream = if error.use_stderr() { &mut console.err } else { &mut console.out };
            let _written = write!(stream, "{error}");
            error.exit_code().try_into().unwrap_or(2)
        }
    }
}

/// Does what the command line asks, reports errors with their causes, and returns the exit code.
pub fn execute(cli: &Cli, console: &mut Console<'_>) -> u8 {
    match dispatch(cli, console).and_then(|outcome| Ok(console.out.flush().map(|()| outcome)?)) {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::CheckFailed) => 1,
        Ok(Outcome::BadInput) => 2,
        // Whoever reads has seen enough, as with `driftc inspect model.drift | head`.
        Err(CliError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => {
            // Where standard error is gone too, the exit code says it.
            let _written = console.error(&error);
            2
        }
    }
}

fn dispatch(cli: &Cli, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    match &cli.command {
        None => compile::run(&cli.compile, console),
        Some(Command::Run(args)) => run::run(args, console),
        Some(Command::Verify(args)) => verify::run(args, console),
        Some(Command::Bench(args)) => bench::run(args, console),
        Some(Command::Inspect(args)) => inspect::run(args, console),
        Some(Command::Explain(args)) => explain::run(args, console),
        Some(Command::Devices(args)) => devices::run(args, console),
    }
}
