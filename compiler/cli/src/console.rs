//! Where commands write: results to one stream, notes to the other, both fit for a terminal.

use crate::error::CliError;
use crate::hint;
use crate::screen::Screen;
use crate::tally;
use drift_onnx::ImportError;
use std::io::Write;

/// The two streams of a command.
pub struct Console<'a> {
    out: Screen<'a>,
    err: Screen<'a>,
    /// A file of the command goes to standard output.
    is_taken: bool,
    /// What is alike is listed one by one.
    lists_all: bool,
}

impl<'a> Console<'a> {
    /// Results, which scripts read, go to `out`; notes and errors, which people read, to `err`.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out: Screen::new(out), err: Screen::new(err), is_taken: false, lists_all: false }
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

    /// From now on what is alike is listed one by one (`--all`).
    pub(crate) fn list_all(&mut self) {
        self.lists_all = true;
    }

    /// Whether what is alike is listed one by one.
    pub(crate) fn lists_all(&self) -> bool {
        self.lists_all
    }

    /// Notes, a line for those that are alike.
    pub(crate) fn notes(&mut self, notes: &[String]) -> Result<(), CliError> {
        tally::lines(notes, self.lists_all).iter().try_for_each(|note| self.note(note))
    }

    /// Warnings, a line for those that are alike.
    pub(crate) fn warnings(&mut self, warnings: &[String]) -> Result<(), CliError> {
        tally::lines(warnings, self.lists_all).iter().try_for_each(|warning| self.warning(warning))
    }

    /// A document (`--json -`): it goes to the stream of results, which all else left alone.
    pub(crate) fn document(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
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
        if self.lists_all
            && let CliError::Model { source, .. } = error
            && let ImportError::Unsupported { nodes } = &**source
        {
            for node in nodes {
                writeln!(self.err, "  `{}` ({}): {}", node.node, node.op, node.reason)?;
            }
        }
        hint::of(error).map_or(Ok(()), |hint| Ok(writeln!(self.err, "  hint: {hint}")?))
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
