//! Where commands write: results to one stream, notes to the other, both fit for a terminal.

use crate::error::CliError;
use crate::screen::Screen;
use std::io::Write;

/// The two streams of a command.
pub struct Console<'a> {
    out: Screen<'a>,
    err: Screen<'a>,
    /// A file of the command goes to standard output.
    is_taken: bool,
}

impl<'a> Console<'a> {
    /// Results, which scripts read, go to `out`; notes and errors, which people read, to `err`.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out: Screen::new(out), err: Screen::new(err), is_taken: false }
    }

    /// The stream of results. What is formatted into it is one line, whatever names are in it.
    pub fn out(&mut self) -> &mut dyn Write {
        if self.is_taken { &mut self.err } else { &mut self.out }
    }

    /// The stream of notes and errors.
    pub fn err(&mut self) -> &mut dyn Write {
        &mut self.err
    }

    /// From now on lines of results go to the other stream, because a file (`-o /dev/stdout`) goes to this one.
    pub(crate) fn leave_output_alone(&mut self) {
        self.is_taken = true;
    }

    /// A piece of a text that is a result itself: shown at once, with the marks that its script needs.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), CliError> {
        let stream = if self.is_taken { &mut self.err } else { &mut self.out };
        stream.write_text(text)?;
        Ok(stream.flush()?)
    }

    /// Something that the user should know and that stops nothing.
    pub(crate) fn note(&mut self, note: &str) -> Result<(), CliError> {
        Ok(writeln!(self.err, "note: {note}")?)
    }

    /// Something that may make results wrong for the user's data.
    pub(crate) fn warning(&mut self, warning: &str) -> Result<(), CliError> {
        Ok(writeln!(self.err, "warning: {warning}")?)
    }

    /// An error with its causes. Further lines of a cause stand further in, so that none looks like a cause of its own.
    pub(crate) fn error(&mut self, error: &CliError) -> Result<(), CliError> {
        for (index, cause) in error.chain().enumerate() {
            let head = if index == 0 { "driftc:" } else { "  because" };
            for (index, line) in cause.to_string().lines().enumerate() {
                writeln!(self.err, "{} {line}", if index == 0 { head } else { "     " })?;
            }
        }
        Ok(())
    }

    /// After an internal error: what helps to mend it.
    pub(crate) fn ask_for_report(&mut self) -> Result<(), CliError> {
        Ok(writeln!(
            self.err,
            "driftc: this is a bug of driftc; please report it with the lines above, the version (driftc {} for {} on {}), \
             all flags, and the model or a small one that shows it",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_forge_lines() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new(&mut out, &mut err);
        let name = "x\nFAIL y\u{1b}[2K";
        writeln!(console.out(), "PASS {name}").unwrap();
        console.note("a\nb").unwrap();
        console.error(&CliError::Usage("one\ndriftc: two".to_owned())).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "PASS x\\u000aFAIL y\\u001b[2K\n");
        assert_eq!(String::from_utf8(err).unwrap(), "note: a\\u000ab\ndriftc: one\n      driftc: two\n");
    }
}
