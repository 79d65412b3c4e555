//! Reads size expressions: operators by precedence on an explicit stack, so that nesting costs no call stack.

use super::ParseError;
use super::lexer::{Lexer, Position, Token};
use super::literal::parse_int;
use crate::dim::{Dim, DimTerm, IntExpr, Symbols};

/// What waits on the stack for its rhs or its closing parenthesis.
#[derive(Clone, Copy, PartialEq)]
enum Pending {
    Operator(DimTerm),
    Group,
    Call { word: DimTerm, commas: u8 },
}

struct Reader {
    out: Vec<DimTerm>,
    pending: Vec<Pending>,
}

/// Reads one size, which ends at the first mark that cannot belong to it.
pub(super) fn parse_dim(lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Result<Dim, ParseError> {
    let position = lexer.position()?;
    let value = parse_int_expr(lexer, symbols)?;
    Dim::try_from(value).map_err(|error| position.error(error))
}

/// Reads one integer expression.
pub(super) fn parse_int_expr(lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Result<IntExpr, ParseError> {
    let start = lexer.position()?;
    let mut reader = Reader { out: Vec::new(), pending: Vec::new() };
    loop {
        reader.operand(lexer, symbols)?;
        if !reader.after_operand(lexer)? {
            break;
        }
    }
    IntExpr::from_terms(&reader.out).map_err(|error| start.error(error))
}

impl Reader {
    /// Opening parentheses, then a number or a name.
    fn operand(&mut self, lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Result<(), ParseError> {
        loop {
            let (position, token) = lexer.next()?;
            match token {
                Token::Mark('(') => self.pending.push(Pending::Group),
                Token::Mark('-') => {
                    let (position, token) = lexer.next()?;
                    let Token::Number(text) = &token else {
                        return Err(position.expected("a number", &token));
                    };
                    let value = parse_int(&format!("-{text}")).map_err(|kind| position.error(kind))?;
                    self.out.push(DimTerm::Const(value));
                    return Ok(());
                }
                Token::Number(text) => {
                    let value = parse_int(&text).map_err(|kind| position.error(kind))?;
                    self.out.push(DimTerm::Const(value));
                    return Ok(());
                }
                Token::Quoted(name) => {
                    self.out.push(DimTerm::Symbol(symbols.intern(&name)));
                    return Ok(());
                }
                Token::Word(name) if *lexer.peek()? == Token::Mark('(') => {
                    let word = call(&name).ok_or_else(|| {
                        position.expected("`floor_div`, `min` or `max`", &Token::Word(name))
                    })?;
                    lexer.next()?;
                    self.pending.push(Pending::Call { word, commas: 0 });
                }
                Token::Word(name) => {
                    self.out.push(DimTerm::Symbol(symbols.intern(&name)));
                    return Ok(());
                }
                other => return Err(position.expected("a size", &other)),
            }
        }
    }

    /// Closing parentheses, then an operator or a comma inside a call; `false` at the end of the expression.
    fn after_operand(&mut self, lexer: &mut Lexer<'_>) -> Result<bool, ParseError> {
        loop {
            let is_nested = self.pending.iter().any(|pending| !matches!(pending, Pending::Operator(_)));
            let operator = match lexer.peek()? {
                Token::Mark('+') => Some(DimTerm::Add),
                Token::Mark('-') => Some(DimTerm::Sub),
                Token::Mark('*') => Some(DimTerm::Mul),
                _ => None,
            };
            let closes = *lexer.peek()? == Token::Mark(')');
            let separates = *lexer.peek()? == Token::Mark(',');
            if let Some(word) = operator {
                lexer.next()?;
                self.reduce(binding(word));
                self.pending.push(Pending::Operator(word));
                return Ok(true);
            }
            if !is_nested {
                self.reduce(0);
                return Ok(false);
            }
            let (position, token) = lexer.next()?;
            self.reduce(0);
            if closes {
                self.close(position, &token)?;
            } else if separates {
                self.separate(position, &token)?;
                return Ok(true);
            } else {
                return Err(position.expected("an operator, `,` or `)`", &token));
            }
        }
    }

    /// Emits waiting operators that bind at least as tightly.
    fn reduce(&mut self, least: u8) {
        while let Some(Pending::Operator(word)) = self.pending.last()
            && binding(*word) >= least
        {
            self.out.push(*word);
            self.pending.pop();
        }
    }

    fn close(&mut self, position: Position, token: &Token) -> Result<(), ParseError> {
        match self.pending.pop() {
            Some(Pending::Group) => Ok(()),
            Some(Pending::Call { word, commas: 1 }) => {
                self.out.push(word);
                Ok(())
            }
            _ => Err(position.expected("a second argument", token)),
        }
    }

    fn separate(&mut self, position: Position, token: &Token) -> Result<(), ParseError> {
        match self.pending.last_mut() {
            Some(Pending::Call { commas: commas @ 0, .. }) => {
                *commas = 1;
                Ok(())
            }
            _ => Err(position.expected("`)`", token)),
        }
    }
}

fn call(name: &str) -> Option<DimTerm> {
    match name {
        "floor_div" => Some(DimTerm::FloorDiv),
        "min" => Some(DimTerm::Min),
        "max" => Some(DimTerm::Max),
        _ => None,
    }
}

const fn binding(word: DimTerm) -> u8 {
    match word {
        DimTerm::Mul => 2,
        _ => 1,
    }
}
