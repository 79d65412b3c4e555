//! The `driftc` binary: reads the command line and leaves the rest to the library.

use clap::Parser;
use driftc::{Cli, Console};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Ends the process itself on bad usage (2), `--help` and `--version` (0).
    let cli = Cli::parse();
    driftc::crash::listen();
    // Where no thread can be started, the next run removes what an interrupted one leaves.
    let _started = driftc::signals::clean_up_on_signals();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut console = Console::new(&mut out, &mut err);
    ExitCode::from(driftc::execute(&cli, &mut console))
}
