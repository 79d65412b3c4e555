//! Text for people: what models, bundles and drivers call things is printed so that it cannot act on a terminal.
//!
//! Names come from files of others. A control character in one could move the cursor or change the window's title, and
//! a mark for the direction of text could show it backwards. Everything that driftc prints passes [`Screen`], which writes
//! such characters as `\u001b`: a form that JSON reads as the character that it stands for.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, Write};

/// The text on one line, with every character escaped that is invisible or acts on a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _written = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, marks for the direction of text, and what has no width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A stream of text. What is formatted (`writeln!`) is one line, whatever is in it; texts of several lines are written
/// as they are (`write_all`), but for characters that act on a terminal.
pub(crate) struct Screen<'a>(&'a mut dyn Write);

impl<'a> Screen<'a> {
    pub(crate) fn new(stream: &'a mut dyn Write) -> Self {
        Self(stream)
    }

    /// A text in some language: signs that join letters or turn their direction are part of it, control characters are not.
    pub(crate) fn write_text(&mut self, text: &str) -> io::Result<()> {
        let shown = escaped(text, |c| c.is_control() && !matches!(c, '\n' | '\t'));
        self.0.write_all(shown.as_bytes())
    }
}

impl Write for Screen<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let shown = escaped(&text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'));
        self.0.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn write_fmt(&mut self, text: Arguments<'_>) -> io::Result<()> {
        let text = text.to_string();
        let (line, end) = text.strip_suffix('\n').map_or((text.as_str(), ""), |line| (line, "\n"));
        self.0.write_all(printable(line).as_bytes())?;
        self.0.write_all(end.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}c\u{7}\r\nPASS\u{202e}d\u{200b}e\u{e0041}f\u{2028}\0";

    #[test]
    fn nothing_that_acts_on_a_terminal_is_printed() {
        let shown = printable(HOSTILE);
        assert_eq!(shown, r"a\u001b[2Jb\u009bc\u0007\u000d\u000aPASS\u202ed\u200be\udb40\udc41f\u2028\u0000");
        // In a JSON text the escapes are those of JSON.
        assert_eq!(serde_json::from_str::<String>(&format!("\"{shown}\"")).unwrap(), HOSTILE);
    }

    #[test]
    fn letters_of_every_script_stay_as_they_are() {
        for text in ["logits", "größe/выход:0", "出力 1", "مخرج", "a\\nb"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_text_keeps_the_marks_of_its_script_and_no_control_characters() {
        let mut out = Vec::new();
        Screen::new(&mut out)
            .write_text("\u{1f468}\u{200d}\u{1f469} \u{200f}x\n\ty\u{1b}[2J\r\u{9b}")
            .unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown, "\u{1f468}\u{200d}\u{1f469} \u{200f}x\n\ty\\u001b[2J\\u000d\\u009b");
    }

    #[test]
    fn a_formatted_line_stays_one_line_and_a_text_keeps_its_own() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out);
        let (a, c) = ("a\nPASS b", "c\nd");
        writeln!(screen, "name {a}").unwrap();
        writeln!(&mut screen as &mut dyn Write, "{c}").unwrap();
        screen.write_all("one\n\ttwo \u{1b}[0m\n".as_bytes()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "name a\\u000aPASS b\nc\\u000ad\none\n\ttwo \\u001b[0m\n");
    }
}
