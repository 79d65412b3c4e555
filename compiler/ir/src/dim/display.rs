//! Dim expressions as infix text with symbol names, and the quoting of names.

use super::{DimTerm, Symbols};
use std::fmt;

/// Writes a dim or integer expression; made by `display` of either.
pub struct DisplayDim<'a>(Shown<'a>);

enum Shown<'a> {
    Constant(i128),
    Expr(&'a [DimTerm], &'a Symbols),
}

impl<'a> DisplayDim<'a> {
    pub(super) const fn constant(value: i128) -> Self {
        Self(Shown::Constant(value))
    }

    pub(super) const fn expr(terms: &'a [DimTerm], symbols: &'a Symbols) -> Self {
        Self(Shown::Expr(terms, symbols))
    }
}

/// How tightly the outermost operator of a printed expression binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Atom,
}

impl fmt::Display for DisplayDim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shown::Constant(value) => write!(f, "{value}"),
            Shown::Expr(terms, symbols) => f.write_str(&infix(terms, symbols).ok_or(fmt::Error)?),
        }
    }
}

fn infix(terms: &[DimTerm], symbols: &Symbols) -> Option<String> {
    let mut stack: Vec<(String, Binding)> = Vec::new();
    for &term in terms {
        let entry = match term {
            DimTerm::Const(value) if value < 0 => (format!("({value})"), Binding::Atom),
            DimTerm::Const(value) => (value.to_string(), Binding::Atom),
            DimTerm::Symbol(symbol) => {
                let mut name = String::new();
                write_name(&mut name, &symbols.name(symbol)).ok()?;
                (name, Binding::Atom)
            }
            word => {
                let right = stack.pop()?;
                let left = stack.pop()?;
                join(word, left, right)
            }
        };
        stack.push(entry);
    }
    let (text, _) = stack.pop()?;
    stack.is_empty().then_some(text)
}

fn join(word: DimTerm, left: (String, Binding), right: (String, Binding)) -> (String, Binding) {
    let operator = |symbol: &str, binding: Binding, right_needs: Binding| {
        let left = parenthesised(&left, binding);
        let right = parenthesised(&right, right_needs);
        (format!("{left}{symbol}{right}"), binding)
    };
    let call = |name: &str| (format!("{name}({},{})", left.0, right.0), Binding::Atom);
    match word {
        DimTerm::Add => operator("+", Binding::Sum, Binding::Sum),
        DimTerm::Sub => operator("-", Binding::Sum, Binding::Product),
        DimTerm::Mul => operator("*", Binding::Product, Binding::Product),
        DimTerm::FloorDiv => call("floor_div"),
        DimTerm::Max => call("max"),
        DimTerm::Min => call("min"),
        DimTerm::Const(_) | DimTerm::Symbol(_) => unreachable!("leaves are pushed by the caller"),
    }
}

fn parenthesised(part: &(String, Binding), needs: Binding) -> String {
    if part.1 < needs { format!("({})", part.0) } else { part.0.clone() }
}

/// Whether a name needs no quotes in the text form.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Writes a name, quoted where it is not a plain identifier. A symbol of digits only is quoted too.
pub(crate) fn write_name(out: &mut impl fmt::Write, name: &str) -> fmt::Result {
    let starts_as_number = name.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    if is_plain_name(name) && !starts_as_number {
        return out.write_str(name);
    }
    write_quoted(out, name)
}

/// Writes a name between double quotes, with `\"`, `\\` and `\u{..}` escapes.
pub(crate) fn write_quoted(out: &mut impl fmt::Write, name: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in name.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            control if control.is_control() => write!(out, "\\u{{{:x}}}", u32::from(control))?,
            plain => out.write_char(plain)?,
        }
    }
    out.write_char('"')
}
