//! The `driftc` binary: reads the command line and leaves the rest to the library.

use clap::Parser;
use driftc::{Cli, Console};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Ends the process itself on bad usage (2), `--help` and `--version` (0).
    let cli = Cli::parse();
    let mut console = Console { out: &mut std::io::stdout(), err: &mut std::io::stderr() };
    ExitCode::from(driftc::execute(&cli, &mut console))
}
