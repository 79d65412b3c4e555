//! Free sizes in a module's text: names and expressions become words of a uniform buffer.
//!
//! A text is written as if every size were a number. A free one stands in it as its expression, or as a constant that is declared
//! with the expression; when the text is whole, each is read from `sizes`, and constants that follow from one are written out where
//! they are named. So a kernel computes at each size what it would compute if that were a constant.

use super::line;
use super::literal::Literal;
use crate::physical::Size;
use drift_ir::dim::DimTerm;
use drift_ir::{Dim, SymbolId, Symbols};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The group of the uniform buffer, in which it is alone.
pub const PARAMS_GROUP: u32 = 2;

/// Stands before and after an expression; WGSL has no use for it.
const MARK: char = '$';

/// A number of places in text: a literal, or an expression in marks.
pub(super) fn count(size: &Size) -> String {
    match size.as_free() {
        None => Literal::U32(size.max()).to_string(),
        Some(free) => {
            let Dim::Expr(terms) = free.dim() else { unreachable!("a constant is not free") };
            let words: Vec<String> = terms.iter().map(|&term| word(term)).collect();
            format!("{MARK}{}{MARK}", words.join(" "))
        }
    }
}

fn word(term: DimTerm) -> String {
    match term {
        DimTerm::Const(value) => value.to_string(),
        DimTerm::Symbol(SymbolId(id)) => format!("n{id}"),
        DimTerm::Add => "+".to_owned(),
        DimTerm::Sub => "-".to_owned(),
        DimTerm::Mul => "*".to_owned(),
        DimTerm::FloorDiv => "/".to_owned(),
        DimTerm::Max => ">".to_owned(),
        DimTerm::Min => "<".to_owned(),
    }
}

fn term(word: &str) -> DimTerm {
    match word {
        "+" => DimTerm::Add,
        "-" => DimTerm::Sub,
        "*" => DimTerm::Mul,
        "/" => DimTerm::FloorDiv,
        ">" => DimTerm::Max,
        "<" => DimTerm::Min,
        word => match word.strip_prefix('n').map(str::parse) {
            Some(Ok(id)) => DimTerm::Symbol(SymbolId(id)),
            _ => DimTerm::Const(word.parse().unwrap_or_else(|_| unreachable!("written by `word`"))),
        },
    }
}

/// A module's text, and the words that it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleText {
    /// The WGSL.
    pub text: String,
    /// What `sizes` holds, in order; empty where all sizes are known, and then there is no such variable.
    pub words: Vec<Size>,
}

/// Reads every free size in `text` from words; `symbols` are the dims of their expressions.
pub(super) fn resolve(text: &str, symbols: Option<&Arc<Symbols>>) -> ModuleText {
    let Some(symbols) = symbols.filter(|_| text.contains(MARK)) else {
        return ModuleText { text: text.to_owned(), words: Vec::new() };
    };
    let mut resolving = Resolving { symbols, words: Vec::new(), named: BTreeMap::new() };
    let lines: Vec<String> = text.lines().filter_map(|line| resolving.line(line)).collect();
    let (directives, body): (Vec<String>, Vec<String>) =
        lines.into_iter().partition(|line| line.starts_with("enable "));
    let mut whole = String::new();
    for directive in directives {
        line(&mut whole, format_args!("{directive}"));
    }
    // Sizes of which the text names none leave no words.
    if !resolving.words.is_empty() {
        line(&mut whole, format_args!("struct Sizes {{"));
        for (name, size) in &resolving.words {
            line(&mut whole, format_args!("    {name}: u32, // at most {}", size.max()));
        }
        line(&mut whole, format_args!("}}\n@group({PARAMS_GROUP}) @binding(0) var<uniform> sizes: Sizes;"));
    }
    for body in body {
        line(&mut whole, format_args!("{body}"));
    }
    ModuleText { text: whole, words: resolving.words.into_iter().map(|(_, size)| size).collect() }
}

struct Resolving<'a> {
    symbols: &'a Arc<Symbols>,
    /// Members by name, in order.
    words: Vec<(String, Size)>,
    /// What stands for a constant that is free.
    named: BTreeMap<String, String>,
}

impl Resolving<'_> {
    /// A line of the text; nothing for the declaration of a constant that is free.
    fn line(&mut self, line: &str) -> Option<String> {
        let code = line.split("//").next().unwrap_or_default();
        let Some((name, value)) = constant(code) else { return Some(self.replaced(line)) };
        if let Some(size) = value.strip_prefix(MARK).and_then(|value| value.strip_suffix(MARK))
            && !size.contains(MARK)
        {
            self.named.insert(name.to_owned(), format!("{MARK}{}:{size}{MARK}", name.to_lowercase()));
            return None;
        }
        let resolved = self.replaced(value);
        if resolved != value {
            self.named.insert(name.to_owned(), format!("({resolved})"));
            return None;
        }
        Some(line.to_owned())
    }

    /// `text` with words for what is free.
    fn replaced(&mut self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == MARK {
                let inner = &rest[1..];
                let end = inner.find(MARK).unwrap_or(inner.len());
                replaced.push_str(&self.member("", &inner[..end]));
                rest = inner.get(end + 1..).unwrap_or_default();
            } else if first.is_ascii_alphabetic() || first == '_' {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                replaced.push_str(&self.value(name));
                rest = after;
            } else {
                replaced.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        replaced
    }

    /// What a name stands for.
    fn value(&mut self, name: &str) -> String {
        let Some(value) = self.named.get(name).cloned() else { return name.to_owned() };
        match value.strip_prefix(MARK).and_then(|value| value.strip_suffix(MARK)?.split_once(':')) {
            Some((member, size)) => self.member(member, size),
            None => value,
        }
    }

    /// The member that holds an expression; a new one has the name that is wanted.
    fn member(&mut self, wanted: &str, expression: &str) -> String {
        let terms: Vec<DimTerm> = expression.split(' ').map(term).collect();
        let dim = Dim::expr(&terms).unwrap_or_else(|_| unreachable!("canonical expressions read back"));
        let size = Size::of(&dim, self.symbols);
        let known = self.words.iter().find(|(_, known)| *known == size);
        let name = known.map(|(name, _)| name.clone()).unwrap_or_else(|| {
            let name = match wanted {
                "" => format!("size_{}", self.words.len()),
                wanted => wanted.to_owned(),
            };
            self.words.push((name.clone(), size));
            name
        });
        format!("sizes.{name}")
    }
}

/// Name and value of a module's constant: `const NAME: u32 = VALUE;`.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (declared, value) = line.strip_prefix("const ")?.split_once('=')?;
    let name = declared.split(':').next()?.trim();
    Some((name, value.trim().strip_suffix(';')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Arc<Symbols> {
        let mut symbols = Symbols::default();
        let symbol = symbols.intern("n");
        symbols.set_bounds(symbol, 1, Some(12)).expect("bounds");
        Arc::new(symbols)
    }

    #[test]
    fn names_are_words_and_so_is_what_follows_from_them() {
        let symbols = symbols();
        let n = Size::of(&Dim::symbol(SymbolId(0)), &symbols);
        let rows = count(&n.times(&Size::Const(3)));
        let text = format!(
            "enable f16;\nconst SRC_WIDTH: u32 = {rows};\nconst HALF: u32 = SRC_WIDTH / 2u;\nconst FOUR: u32 = 4u;\n\
             fn f() -> u32 {{\n    return HALF + MY_SRC_WIDTH + {} + {rows} + FOUR;\n}}\n",
            count(&n)
        );
        let ModuleText { text, words } = resolve(&text, Some(&symbols));
        let expected = "enable f16;\nstruct Sizes {\n    src_width: u32, // at most 36\n    size_1: u32, // at most 12\n}\n\
            @group(2) @binding(0) var<uniform> sizes: Sizes;\nconst FOUR: u32 = 4u;\nfn f() -> u32 {\n    \
            return (sizes.src_width / 2u) + MY_SRC_WIDTH + sizes.size_1 + sizes.src_width + FOUR;\n}\n";
        assert_eq!(text, expected);
        assert_eq!(words, [n.times(&Size::Const(3)), n]);
    }

    #[test]
    fn what_no_text_names_is_no_word() {
        let symbols = symbols();
        let n = count(&Size::of(&Dim::symbol(SymbolId(0)), &symbols));
        let module = resolve(&format!("const GRID_Y: u32 = {n};\nfn f() {{\n}}\n"), Some(&symbols));
        assert_eq!(module, ModuleText { text: "fn f() {\n}\n".to_owned(), words: Vec::new() });
    }

    #[test]
    fn a_text_of_numbers_stays_as_it_is() {
        let text = "const A: u32 = 4u;\nfn f() -> u32 {\n    return A;\n}\n";
        assert_eq!(resolve(text, None), ModuleText { text: text.to_owned(), words: Vec::new() });
    }
}
