//! What `driftc completions` and `driftc man` take.

use clap::Args;
use clap_complete::Shell;

/// `driftc completions`
#[derive(Args, Debug)]
#[command(after_help = "\
For bash:       driftc completions bash > ~/.local/share/bash-completion/completions/driftc
For zsh:        driftc completions zsh > DIR/_driftc, DIR being in $fpath
For fish:       driftc completions fish > ~/.config/fish/completions/driftc.fish
For PowerShell: driftc completions powershell >> $PROFILE
For elvish:     driftc completions elvish >> ~/.config/elvish/rc.elv")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `driftc man`
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  driftc man verify\n\nTo read it at once: driftc man verify | man -l -")]
pub struct ManArgs {
    /// The command that the page is about [default: driftc itself, with the flags for compiling]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}
