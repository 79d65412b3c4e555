//! Text of tokens as they come: whole characters, and nothing that may be the start of a stop text.

use super::tokenizer::TextTokenizer;
use crate::error::CliError;

/// What stands for bytes that are no character, or not yet one.
const REPLACEMENT: char = '\u{fffd}';

/// Tokens behind which a window starts anew although a character is open.
const LONGEST_WINDOW: usize = 256;

/// Tokens of a prompt that the first text is decoded behind: whether a word starts with a space may depend on them.
const CONTEXT: usize = 8;

/// Decodes a sequence of tokens piece by piece.
pub(crate) struct TextStream<'a> {
    tokenizer: &'a TextTokenizer,
    stops: &'a [String],
    /// Tokens that are decoded together: those of the last piece, whose text is shown, and what came since.
    window: Vec<u32>,
    /// Tokens of the window whose text is shown.
    boundary: usize,
    /// Their text.
    shown: String,
    /// Text that may be the start of a stop text.
    pending: String,
}

/// What a token added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Text that is certain by now.
    pub(crate) text: String,
    /// Whether a stop text follows.
    pub(crate) is_stop: bool,
}

impl<'a> TextStream<'a> {
    /// A stream of what follows `prompt`, up to any of `stops`.
    pub(crate) fn behind(
        prompt: &[u32],
        tokenizer: &'a TextTokenizer,
        stops: &'a [String],
    ) -> Result<Self, CliError> {
        let window = prompt[prompt.len().saturating_sub(CONTEXT)..].to_vec();
        let shown = tokenizer.decode(&window)?;
        Ok(Self { tokenizer, stops, boundary: window.len(), window, shown, pending: String::new() })
    }

    /// Takes the next token.
    pub(crate) fn push(&mut self, token: u32) -> Result<Piece, CliError> {
        self.window.push(token);
        let text = self.tokenizer.decode(&self.window)?;
        let is_full = self.window.len() >= LONGEST_WINDOW;
        if text.ends_with(REPLACEMENT) && !is_full {
            return Ok(self.release(""));
        }
        let new = self.beyond_shown(&text)?;
        if !new.is_empty() || is_full {
            self.window.drain(..if is_full { self.window.len() - CONTEXT } else { self.boundary });
            self.boundary = self.window.len();
            self.shown = self.tokenizer.decode(&self.window)?;
        }
        Ok(self.release(&new))
    }

    /// What the window's text has beyond what is shown.
    fn beyond_shown(&self, text: &str) -> Result<String, CliError> {
        match text.strip_prefix(&self.shown) {
            Some(new) => Ok(new.to_owned()),
            // A decoder may take back what it wrote: one of bytes turns a whole run into replacements where one byte is
            // wrong. What is shown stays.
            None => self.tokenizer.decode(&self.window[self.boundary..]),
        }
    }

    /// What is left when no token follows.
    pub(crate) fn finish(&mut self) -> Result<String, CliError> {
        let text = self.tokenizer.decode(&self.window)?;
        let rest = self.beyond_shown(&text)?;
        let released = self.release(&rest);
        let rest = if released.is_stop { String::new() } else { std::mem::take(&mut self.pending) };
        Ok(released.text + &rest)
    }

    /// Text that no stop text can begin in.
    fn release(&mut self, new: &str) -> Piece {
        self.pending.push_str(new);
        let found = self.stops.iter().filter_map(|stop| self.pending.find(stop.as_str())).min();
        if let Some(start) = found {
            let mut text = std::mem::take(&mut self.pending);
            text.truncate(start);
            return Piece { text, is_stop: true };
        }
        let begins = |start: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.pending[*start..]));
        let starts = self.pending.char_indices().map(|(start, _)| start);
        let start = starts.into_iter().find(begins).unwrap_or(self.pending.len());
        let rest = self.pending.split_off(start);
        Piece { text: std::mem::replace(&mut self.pending, rest), is_stop: false }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tokenizer;
    use super::*;

    /// The pieces that a text's tokens come in.
    fn pieces(name: &str, text: &str, stops: &[&str]) -> Vec<String> {
        let tokenizer = tokenizer(name);
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::behind(&[], &tokenizer, &stops).unwrap();
        let mut pieces = Vec::new();
        for token in tokenizer.encode(text, false).unwrap() {
            let piece = stream.push(token).unwrap();
            pieces.push(piece.text);
            if piece.is_stop {
                return pieces;
            }
        }
        pieces.push(stream.finish().unwrap());
        pieces
    }

    #[test]
    fn pieces_are_the_text() {
        for name in ["chatml", "llama", "spaces"] {
            for text in [
                "Hello, world",
                "a\n\n  b",
                "caf\u{e9} \u{4e2d}\u{6587} \u{1f468}\u{200d}\u{1f469} x",
                "\u{fffd}\u{fffd}a",
            ] {
                let pieces = pieces(name, text, &["never"]);
                assert_eq!(pieces.concat(), text, "{name}: {pieces:?}");
            }
        }
    }

    #[test]
    fn characters_come_whole() {
        for name in ["chatml", "spaces"] {
            let pieces = pieces(name, "\u{1f680}\u{4e2d}", &[]);
            assert!(pieces.iter().all(|piece| !piece.contains(REPLACEMENT)), "{name}: {pieces:?}");
            assert!(pieces.len() >= 7, "{pieces:?}");
        }
    }

    #[test]
    fn bytes_that_never_become_a_character_are_shown_in_the_end() {
        let tokenizer = tokenizer("spaces");
        // The first byte of three.
        let byte = tokenizer.id("<0xE4>");
        let mut stream = TextStream::behind(&[], &tokenizer, &[]).unwrap();
        for _ in 0..3 {
            assert_eq!(stream.push(byte).unwrap().text, "");
        }
        assert_eq!(stream.finish().unwrap(), "\u{fffd}\u{fffd}\u{fffd}");
        // The window stays short.
        let mut stream = TextStream::behind(&[], &tokenizer, &[]).unwrap();
        let mut shown: String = (0..1000).map(|_| stream.push(byte).unwrap().text).collect();
        assert!(shown.chars().count() > 600 && stream.window.len() < LONGEST_WINDOW);
        shown += &stream.finish().unwrap();
        assert_eq!(shown, "\u{fffd}".repeat(1000));
    }

    #[test]
    fn what_is_shown_stays_though_a_decoder_takes_it_back() {
        let tokenizer = tokenizer("spaces");
        let mut stream = TextStream::behind(&[], &tokenizer, &[]).unwrap();
        let bytes = ["<0xF0>", "<0x9F>", "<0x9A>", "<0x80>", "<0xE4>", "a"].map(|token| tokenizer.id(token));
        let shown: Vec<String> = bytes.iter().map(|byte| stream.push(*byte).unwrap().text).collect();
        assert_eq!(shown, ["", "", "", "\u{1f680}", "", "\u{fffd}a"]);
        assert_eq!(tokenizer.decode(&bytes).unwrap(), format!("{}a", "\u{fffd}".repeat(5)));
    }

    #[test]
    fn a_stop_text_is_never_shown() {
        for name in ["chatml", "spaces"] {
            let shown = |stops: &[&str]| pieces(name, "one two three twofold", stops).concat();
            assert_eq!(shown(&["three"]), "one two ");
            assert_eq!(shown(&["twofold", "three "]), "one two ");
            // What only begins like one is shown once it does not go on like it.
            assert_eq!(shown(&["two four"]), "one two three twofold");
            assert_eq!(shown(&["twofolded"]), "one two three twofold");
        }
    }

    #[test]
    fn the_first_word_keeps_its_space_behind_a_prompt() {
        let tokenizer = tokenizer("spaces");
        let whole = tokenizer.encode("the memory of", false).unwrap();
        let prompt = tokenizer.encode("the", false).unwrap();
        assert_eq!(whole[..prompt.len()], prompt);
        let mut stream = TextStream::behind(&prompt, &tokenizer, &[]).unwrap();
        let rest = &whole[prompt.len()..];
        let shown: String = rest.iter().map(|token| stream.push(*token).unwrap().text).collect();
        assert_eq!(shown, " memory of");
    }
}
