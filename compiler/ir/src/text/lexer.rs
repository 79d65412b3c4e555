//! Splits text into tokens with positions.

use super::{ParseError, ParseErrorKind};
use std::iter::Peekable;
use std::str::Chars;

/// A piece of text that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `%name`.
    Value(String),
    /// `@name`.
    Constant(String),
    /// Letters, digits and `_`, not starting with a digit.
    Word(String),
    /// A name between double quotes.
    Quoted(String),
    /// Starts with a digit; sign not included.
    Number(String),
    /// One of the marks of the grammar.
    Mark(char),
    /// Nothing is left.
    End,
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    pub(super) fn error(self, kind: impl Into<ParseErrorKind>) -> ParseError {
        ParseError { line: self.line, column: self.column, kind: Box::new(kind.into()) }
    }

    pub(super) fn expected(self, expected: impl Into<String>, found: &Token) -> ParseError {
        self.error(ParseErrorKind::Expected { expected: expected.into(), found: found.describe() })
    }
}

impl Token {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Value(name) => format!("`%{name}`"),
            Self::Constant(name) => format!("`@{name}`"),
            Self::Word(text) | Self::Number(text) => format!("`{text}`"),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Mark(mark) => format!("`{mark}`"),
            Self::End => "the end of the text".to_owned(),
        }
    }
}

/// Reads tokens one at a time, with one token of look-ahead.
pub(super) struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    here: Position,
    ahead: Option<(Position, Token)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), here: Position { line: 1, column: 1 }, ahead: None }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(Position, Token), ParseError> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.read(),
        }
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Result<&Token, ParseError> {
        if self.ahead.is_none() {
            self.ahead = Some(self.read()?);
        }
        match &self.ahead {
            Some((_, token)) => Ok(token),
            None => unreachable!("just read"),
        }
    }

    /// Where the next token starts.
    pub(super) fn position(&mut self) -> Result<Position, ParseError> {
        self.peek()?;
        Ok(self.ahead.as_ref().map_or(self.here, |(position, _)| *position))
    }

    fn bump(&mut self) -> Option<char> {
        let character = self.chars.next()?;
        if character == '\n' {
            self.here.line += 1;
            self.here.column = 1;
        } else {
            self.here.column += 1;
        }
        Some(character)
    }

    fn take_while(&mut self, text: &mut String, keep: impl Fn(char) -> bool) {
        while let Some(&character) = self.chars.peek()
            && keep(character)
        {
            text.push(character);
            self.bump();
        }
    }

    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        while let Some(&character) = self.chars.peek() {
            if character == '/' {
                let position = self.here;
                self.bump();
                if self.chars.peek() != Some(&'/') {
                    return Err(position.expected("a comment `//`", &Token::Mark('/')));
                }
                self.take_while(&mut String::new(), |character| character != '\n');
            } else if character.is_whitespace() {
                self.bump();
            } else {
                break;
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(Position, Token), ParseError> {
        self.skip_blanks()?;
        let position = self.here;
        let Some(first) = self.bump() else {
            return Ok((position, Token::End));
        };
        let token = match first {
            '%' => Token::Value(self.name()?),
            '@' => Token::Constant(self.name()?),
            '"' => Token::Quoted(self.quoted(position)?),
            '0'..='9' => Token::Number(self.number(first)),
            'a'..='z' | 'A'..='Z' | '_' => {
                let mut word = String::from(first);
                self.take_while(&mut word, is_name_character);
                Token::Word(word)
            }
            '[' | ']' | '{' | '}' | '(' | ')' | ',' | ';' | ':' | '=' | '+' | '-' | '*' | '.' => {
                Token::Mark(first)
            }
            other => return Err(position.expected("a name, a number or a mark", &Token::Mark(other))),
        };
        Ok((position, token))
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let position = self.here;
        if self.chars.peek() == Some(&'"') {
            self.bump();
            return self.quoted(position);
        }
        let mut name = String::new();
        self.take_while(&mut name, is_name_character);
        if name.is_empty() {
            let found = self.chars.peek().map_or(Token::End, |&character| Token::Mark(character));
            return Err(position.expected("a name", &found));
        }
        Ok(name)
    }

    fn quoted(&mut self, start: Position) -> Result<String, ParseError> {
        let mut text = String::new();
        loop {
            let position = self.here;
            match self.bump() {
                None => return Err(start.expected("a closing quote", &Token::End)),
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(position)?),
                Some(plain) => text.push(plain),
            }
        }
    }

    fn escape(&mut self, position: Position) -> Result<char, ParseError> {
        let bad = |found: Option<char>| {
            let found = found.map_or(Token::End, Token::Mark);
            position.expected("an escape `\\\"`, `\\\\` or `\\u{..}`", &found)
        };
        match self.bump() {
            Some(character @ ('"' | '\\')) => Ok(character),
            Some('u') => {
                if self.bump() != Some('{') {
                    return Err(bad(Some('u')));
                }
                let mut digits = String::new();
                self.take_while(&mut digits, |character| character.is_ascii_hexdigit());
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                match (code, self.bump()) {
                    (Some(character), Some('}')) => Ok(character),
                    (_, found) => Err(bad(found)),
                }
            }
            other => Err(bad(other)),
        }
    }

    /// Digits, a fraction, an exponent, or hexadecimal digits. Two dots in a row belong to a range, not to a number.
    fn number(&mut self, first: char) -> String {
        let mut text = String::from(first);
        while let Some(&character) = self.chars.peek() {
            let is_hex = text.starts_with("0x");
            let signs_exponent = !is_hex && matches!(character, '+' | '-') && text.ends_with(['e', 'E']);
            let is_fraction = character == '.' && {
                let mut ahead = self.chars.clone();
                ahead.next();
                ahead.peek() != Some(&'.')
            };
            if !(is_name_character(character) || signs_exponent || is_fraction) {
                break;
            }
            text.push(character);
            self.bump();
        }
        text
    }
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
