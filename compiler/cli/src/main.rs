//! The `driftc` binary: reads the command line and leaves the rest to the library.

use clap::Parser;
use driftc::{Cli, Console};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut console = Console::new(&mut out, &mut err);
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = driftc::refused_first(&words, &mut console) {
        return ExitCode::from(code);
    }
    // Ends the process itself on bad usage (2), `--help` and `--version` (0).
    let cli = Cli::parse_from(words);
    driftc::crash::listen();
    // Where no thread can be started, the next run removes what an interrupted one leaves.
    let _started = driftc::signals::clean_up_on_signals();
    ExitCode::from(driftc::execute(&cli, &mut console))
}
