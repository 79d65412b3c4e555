//! `driftc completions` and `driftc man`: what shells and manuals know of the command line, from its one definition.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::error::CliError;
use crate::{Console, Outcome};
use clap::CommandFactory;

/// Runs `driftc completions`.
pub fn run(args: &CompletionsArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    write(&script, console)
}

/// Runs `driftc man`: a page for `driftc`, and one for each command behind it.
pub fn man(args: &ManArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let page = match &args.command {
        None => command,
        Some(name) => find(&command, name)?,
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    write(&roff, console)
}

/// A command, which `build` gave its whole name: `driftc-verify`.
fn find(all: &clap::Command, name: &str) -> Result<clap::Command, CliError> {
    let known = || all.get_subcommands().map(clap::Command::get_name);
    let Some(found) = all.find_subcommand(name) else {
        let meant = crate::hint::text(&crate::hint::alike(name, known())).unwrap_or_default();
        let known: Vec<&str> = known().collect();
        return Err(CliError::Usage(format!(
            "there is no command `{name}`, only {}; {meant}",
            known.join(", ")
        )));
    };
    Ok(found.clone().version(env!("CARGO_PKG_VERSION")))
}

/// Lines as they are: the console escapes line ends inside of what it is given, and no name of a user is among them.
fn write(text: &[u8], console: &mut Console<'_>) -> Result<Outcome, CliError> {
    console.text(&String::from_utf8_lossy(text))?;
    Ok(Outcome::Fine)
}
