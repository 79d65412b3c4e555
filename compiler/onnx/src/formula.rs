//! Dimension names that are arithmetic over other dimensions, such as `past_sequence_length + sequence_length`.
//!
//! Exporters name a size that follows from others by its formula. [`parse`] reads `+ - * // /`, parentheses, `min`, `max`,
//! `floor` and `floor_div`; a name that is none of these, or that has no operator in it, stays a name. Whether the names in a formula
//! are dimensions is for the caller to check, because `unk-1` may be a formula or a name.

use drift_ir::dim::{DimError, IntExpr};
use std::collections::BTreeMap;

/// Names nested deeper than this are not read as formulas.
const MAX_DEPTH: usize = 32;

/// An arithmetic formula over names, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    text: String,
    /// In postfix order.
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Number(i64),
    Name(String),
    Apply(Operator),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Sub,
    Mul,
    FloorDiv,
    Min,
    Max,
}

impl Formula {
    /// As the file has it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names in it, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|word| match word {
            Word::Name(name) => Some(name.as_str()),
            Word::Number(_) | Word::Apply(_) => None,
        })
    }

    /// Its value for known names. `None` when a name is unknown.
    pub(crate) fn value(&self, of: impl Fn(&str) -> Option<IntExpr>) -> Option<Result<IntExpr, DimError>> {
        let mut stack: Vec<IntExpr> = Vec::new();
        for word in &self.words {
            let next = match word {
                Word::Number(number) => IntExpr::Const(*number),
                Word::Name(name) => of(name)?,
                Word::Apply(operator) => {
                    let (b, a) = (stack.pop()?, stack.pop()?);
                    match apply(*operator, &a, &b) {
                        Ok(value) => value,
                        Err(error) => return Some(Err(error)),
                    }
                }
            };
            stack.push(next);
        }
        stack.pop().map(Ok)
    }

    /// The size that this formula has for known sizes.
    pub(crate) fn size(&self, sizes: &BTreeMap<String, u64>) -> Option<u64> {
        let size = |name: &str| Some(IntExpr::Const(i64::try_from(*sizes.get(name)?).ok()?));
        u64::try_from(self.value(size)?.ok()?.as_const()?).ok()
    }

    /// The size of the one unknown name that gives this formula a value, where the formula is linear in it.
    pub(crate) fn solve(&self, value: u64, sizes: &BTreeMap<String, u64>) -> Option<(String, u64)> {
        // Two neighbours on the line, far enough from zero that a difference is still a size.
        const START: u64 = 1 << 20;
        let mut unknown: Vec<&str> = self.names().filter(|name| !sizes.contains_key(*name)).collect();
        unknown.dedup();
        let [name] = unknown[..] else { return None };
        let at = |size: u64| -> Option<i128> {
            let mut sizes = sizes.clone();
            sizes.insert(name.to_owned(), size);
            self.size(&sizes).map(i128::from)
        };
        let (first, second) = (at(START)?, at(START + 1)?);
        let (slope, distance) = (second - first, i128::from(value) - first);
        let steps = distance.checked_div(slope)?;
        let size = u64::try_from(i128::from(START) + steps).ok()?;
        (at(size)? == i128::from(value)).then(|| (name.to_owned(), size))
    }
}

fn apply(operator: Operator, a: &IntExpr, b: &IntExpr) -> Result<IntExpr, DimError> {
    match operator {
        Operator::Add => a.add(b),
        Operator::Sub => a.sub(b),
        Operator::Mul => a.mul(b),
        Operator::FloorDiv => a.floor_div(b),
        Operator::Min => a.min(b),
        Operator::Max => a.max(b),
    }
}

/// Reads a name as a formula, if it is one.
pub(crate) fn parse(text: &str) -> Option<Formula> {
    let mut parser = Parser { rest: text, words: Vec::new(), depth: 0 };
    parser.sum()?;
    parser.skip_space();
    let has_operator = parser.words.iter().any(|word| matches!(word, Word::Apply(_)));
    let has_name = parser.words.iter().any(|word| matches!(word, Word::Name(_)));
    (parser.rest.is_empty() && has_operator && has_name)
        .then(|| Formula { text: text.to_owned(), words: parser.words })
}

struct Parser<'a> {
    rest: &'a str,
    words: Vec<Word>,
    depth: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.take(token).then_some(())
    }

    fn sum(&mut self) -> Option<()> {
        if self.take("-") {
            self.words.push(Word::Number(0));
            self.product()?;
            self.words.push(Word::Apply(Operator::Sub));
        } else {
            self.product()?;
        }
        loop {
            let operator = match () {
                () if self.take("+") => Operator::Add,
                () if self.take("-") => Operator::Sub,
                () => return Some(()),
            };
            self.product()?;
            self.words.push(Word::Apply(operator));
        }
    }

    fn product(&mut self) -> Option<()> {
        self.atom()?;
        loop {
            let operator = match () {
                // A power is no product.
                () if self.rest.trim_start().starts_with("**") => return None,
                () if self.take("*") => Operator::Mul,
                () if self.take("//") || self.take("/") => Operator::FloorDiv,
                () => return Some(()),
            };
            self.atom()?;
            self.words.push(Word::Apply(operator));
        }
    }

    fn atom(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        if self.take("(") {
            self.sum()?;
            self.expect(")")?;
        } else {
            self.name_or_number()?;
        }
        self.depth -= 1;
        Some(())
    }

    fn name_or_number(&mut self) -> Option<()> {
        self.skip_space();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            self.words.push(Word::Number(word.parse().ok()?));
            return Some(());
        }
        let function = match word.to_ascii_lowercase().as_str() {
            "" => return None,
            "min" => Some(Operator::Min),
            "max" => Some(Operator::Max),
            "floor_div" => Some(Operator::FloorDiv),
            // A quotient of sizes is rounded down in any case.
            "floor" => None,
            _ => {
                self.words.push(Word::Name(word.to_owned()));
                return Some(());
            }
        };
        self.expect("(")?;
        self.sum()?;
        while let Some(operator) = function
            && self.take(",")
        {
            self.sum()?;
            self.words.push(Word::Apply(operator));
        }
        self.expect(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(sizes: &[(&str, u64)]) -> BTreeMap<String, u64> {
        sizes.iter().map(|&(name, size)| (name.to_owned(), size)).collect()
    }

    #[test]
    fn formulas_have_values() {
        let sizes = sizes(&[("past", 7), ("s1", 5)]);
        let cases = [
            ("past + s1", 12),
            ("2*s1 - 1", 9),
            ("-1 + s1*past", 34),
            ("((s1 - 1)//2) + 1", 3),
            ("floor(past/2)", 3),
            ("Max(1, past - 9, s1)", 5),
            ("min(past,s1)", 5),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text).and_then(|formula| formula.size(&sizes)), Some(value), "{text}");
        }
    }

    #[test]
    fn names_are_no_formulas() {
        for text in ["batch", "64", "", "a b", "a +", "s0**2", "a[0]", "3 * 4", "+", "f(x)", "(a"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("a + {}b{}", "(".repeat(1000), ")".repeat(1000))), None);
    }

    #[test]
    fn one_unknown_is_solved() {
        let formula = parse("past + 2*s1").unwrap();
        assert_eq!(formula.solve(17, &sizes(&[("past", 7)])), Some(("s1".to_owned(), 5)));
        assert_eq!(formula.solve(16, &sizes(&[("past", 7)])), None);
        assert_eq!(formula.solve(3, &sizes(&[("past", 7)])), None);
        assert_eq!(formula.solve(17, &sizes(&[])), None);
    }
}
