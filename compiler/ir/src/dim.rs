//! Sizes of axes: a constant, or an expression over named symbols with bounds.
//!
//! An expression is flat postfix, never a recursive type, so that reading one from a file cannot exhaust the stack.

mod display;
mod expr;
mod poly;
mod symbols;

pub use display::DisplayDim;
pub(crate) use display::{is_plain_name, write_name, write_quoted};
pub use expr::IntExpr;
pub use symbols::Symbols;

use std::sync::Arc;

/// Index of a symbol in its graph's [`Symbols`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// A free dimension: its name in the model and the sizes that it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Name as the model writes it, such as `batch`.
    pub name: String,
    /// Smallest size allowed, inclusive.
    pub low: u64,
    /// Largest size allowed, inclusive; `None` while nobody bounded it.
    pub high: Option<u64>,
    /// Where it counts the steps of a dim: the dim's name, and what its sizes are multiples of.
    pub steps_of: Option<(String, u64)>,
}

impl Symbol {
    /// Name of the dim that it is, or whose steps it counts, as the model writes it.
    pub fn dim(&self) -> &str {
        self.steps_of.as_ref().map_or(&self.name, |(dim, _)| dim)
    }

    /// What sizes of that dim are multiples of.
    pub fn step(&self) -> u64 {
        self.steps_of.as_ref().map_or(1, |(_, step)| *step)
    }
}

/// One word of a postfix dim expression. Arithmetic is checked; a result below zero is an error, not a wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DimTerm {
    /// Pushes a constant.
    Const(i64),
    /// Pushes a symbol's size.
    Symbol(SymbolId),
    /// Pops `b`, then `a`; pushes `a + b`.
    Add,
    /// Pops `b`, then `a`; pushes `a - b`.
    Sub,
    /// Pops `b`, then `a`; pushes `a * b`.
    Mul,
    /// Pops `b`, then `a`; pushes `floor(a / b)`.
    FloorDiv,
    /// Pops `b`, then `a`; pushes `max(a, b)`.
    Max,
    /// Pops `b`, then `a`; pushes `min(a, b)`.
    Min,
}

/// The size of one axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A known size.
    Const(u64),
    /// A size that depends on symbols: postfix, canonical as [`Dim::expr`] makes it, never a plain constant.
    Expr(Arc<[DimTerm]>),
}

/// Why a dim expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DimError {
    /// A size came out below zero.
    #[error("a size came out as {value}; sizes are never negative")]
    Negative {
        /// What it came out as.
        value: i64,
    },
    /// Arithmetic left the range of a signed 64-bit integer.
    #[error("a size does not fit in 63 bits")]
    Overflow,
    /// A divisor is zero.
    #[error("a size is divided by zero")]
    DivisionByZero,
    /// The expression has more terms than driftc follows.
    #[error("the size expression has too many terms; bind some of its dims with --dim")]
    TooComplex,
    /// Postfix words that do not form one expression.
    #[error("the size expression is malformed: a word lacks operands or values are left over")]
    Malformed,
    /// A symbol has no value yet.
    #[error("dim `{0}` has no value; bind it with --dim")]
    Unbound(String),
    /// A symbol may not take a value.
    #[error("dim `{name}` is bounded by {low}..={}, which excludes {value}", .high.map_or_else(String::new, |high| high.to_string()))]
    OutOfBounds {
        /// The symbol's name.
        name: String,
        /// Smallest size allowed.
        low: u64,
        /// Largest size allowed.
        high: Option<u64>,
        /// What was asked.
        value: u64,
    },
}

impl From<u64> for Dim {
    fn from(size: u64) -> Self {
        Self::Const(size)
    }
}

impl From<SymbolId> for Dim {
    fn from(symbol: SymbolId) -> Self {
        Self::Expr(Arc::new([DimTerm::Symbol(symbol)]))
    }
}

impl TryFrom<IntExpr> for Dim {
    type Error = DimError;

    fn try_from(value: IntExpr) -> Result<Self, DimError> {
        match value {
            IntExpr::Const(value) => {
                u64::try_from(value).map(Self::Const).map_err(|_| DimError::Negative { value })
            }
            IntExpr::Expr(terms) => Ok(Self::Expr(terms)),
        }
    }
}

/// The symbols of an expression, with repeats.
fn symbols_of(terms: &[DimTerm]) -> impl Iterator<Item = SymbolId> + '_ {
    terms.iter().filter_map(|term| match term {
        DimTerm::Symbol(symbol) => Some(*symbol),
        _ => None,
    })
}

impl Dim {
    /// The size of a symbol.
    pub fn symbol(symbol: SymbolId) -> Self {
        Self::from(symbol)
    }

    /// Reads a postfix expression and brings it to canonical form: constants folded, sums and products in one order.
    pub fn expr(terms: &[DimTerm]) -> Result<Self, DimError> {
        Self::try_from(IntExpr::from_terms(terms)?)
    }

    /// The size, where it is known.
    pub const fn as_const(&self) -> Option<u64> {
        match self {
            Self::Const(size) => Some(*size),
            Self::Expr(_) => None,
        }
    }

    /// A symbol and what it is multiplied by, where the dim is that and nothing else.
    pub fn as_multiple(&self) -> Option<(SymbolId, u64)> {
        match self {
            Self::Expr(terms) => match terms.as_ref() {
                [DimTerm::Symbol(symbol)] => Some((*symbol, 1)),
                [DimTerm::Const(times), DimTerm::Symbol(symbol), DimTerm::Mul] => {
                    Some((*symbol, u64::try_from(*times).ok().filter(|&times| times > 0)?))
                }
                _ => None,
            },
            Self::Const(_) => None,
        }
    }

    /// The symbol, where the dim is one symbol and nothing else.
    pub fn as_symbol(&self) -> Option<SymbolId> {
        match self {
            Self::Expr(terms) => match terms.as_ref() {
                [DimTerm::Symbol(symbol)] => Some(*symbol),
                _ => None,
            },
            Self::Const(_) => None,
        }
    }

    /// The same size as a signed expression.
    pub fn to_int(&self) -> Result<IntExpr, DimError> {
        match self {
            Self::Const(size) => i64::try_from(*size).map(IntExpr::Const).map_err(|_| DimError::Overflow),
            Self::Expr(terms) => Ok(IntExpr::Expr(Arc::clone(terms))),
        }
    }

    /// `self + other`.
    pub fn add(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Add)
    }

    /// `self - other`; an error where that is known to be negative.
    pub fn sub(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Sub)
    }

    /// `self * other`.
    pub fn mul(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Mul)
    }

    /// `floor(self / other)`.
    pub fn floor_div(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::FloorDiv)
    }

    /// The smaller.
    pub fn min(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Min)
    }

    /// The larger.
    pub fn max(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Max)
    }

    fn combine(&self, other: &Self, word: DimTerm) -> Result<Self, DimError> {
        Self::try_from(self.to_int()?.combine(&other.to_int()?, word)?)
    }

    /// Replaces a symbol by its size.
    pub fn substitute(&self, symbol: SymbolId, value: u64) -> Result<Self, DimError> {
        match self {
            Self::Const(_) => Ok(self.clone()),
            Self::Expr(_) => Self::try_from(self.to_int()?.substitute(symbol, value)?),
        }
    }

    /// The size when every symbol has one.
    pub fn evaluate(&self, sizes: impl Fn(SymbolId) -> Option<u64>) -> Result<u64, DimError> {
        match self {
            Self::Const(size) => Ok(*size),
            Self::Expr(_) => {
                let value = self.to_int()?.evaluate(sizes)?;
                u64::try_from(value).map_err(|_| DimError::Negative { value })
            }
        }
    }

    /// Smallest and largest size under the symbols' bounds (conservative: the true range is inside).
    pub fn range(&self, symbols: &Symbols) -> (u64, Option<u64>) {
        match self {
            Self::Const(size) => (*size, Some(*size)),
            Self::Expr(terms) => {
                let (low, high) = poly::interval(terms, &|symbol| symbols.bounds(symbol));
                let low = low.map_or(0, |low| u64::try_from(low.max(0)).unwrap_or(0));
                (low, high.and_then(|high| u64::try_from(high.max(0)).ok()))
            }
        }
    }

    /// A number that divides the size whatever its symbols are: the largest that sums and products tell. Zero for no places.
    pub fn divisor(&self) -> u64 {
        match self {
            Self::Const(size) => *size,
            Self::Expr(terms) => poly::Poly::from_terms(terms).map_or(1, |poly| poly.divisor()),
        }
    }

    /// Whether the bounds rule out that both are the same size.
    pub fn differs_from(&self, other: &Self, symbols: &Symbols) -> bool {
        self.differs_within(other, &|symbol| symbols.bounds(symbol))
    }

    /// Whether both can only be the same size where some symbol is zero.
    pub(crate) fn differs_unless_empty(&self, other: &Self, symbols: &Symbols) -> bool {
        self.differs_within(other, &|symbol| {
            let (low, high) = symbols.bounds(symbol);
            (low.max(1), high.map(|high| high.max(1)))
        })
    }

    fn differs_within(&self, other: &Self, bounds: &dyn Fn(SymbolId) -> (u64, Option<u64>)) -> bool {
        let difference = self.to_int().and_then(|left| left.sub(&other.to_int()?));
        let (low, high) = match difference {
            Ok(IntExpr::Const(difference)) => return difference != 0,
            Ok(IntExpr::Expr(terms)) => poly::interval(&terms, bounds),
            // Sizes that no integer holds cannot be compared by their difference.
            Err(_) => return self.as_const().is_some() && other.as_const().is_some() && self != other,
        };
        low.is_some_and(|low| low > 0) || high.is_some_and(|high| high < 0)
    }

    /// The symbols that the size depends on, with repeats.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        let terms: &[DimTerm] = match self {
            Self::Const(_) => &[],
            Self::Expr(terms) => terms,
        };
        symbols_of(terms)
    }

    /// Writes the dim with symbol names.
    pub fn display<'a>(&'a self, symbols: &'a Symbols) -> DisplayDim<'a> {
        match self {
            Self::Const(size) => DisplayDim::constant(i128::from(*size)),
            Self::Expr(terms) => DisplayDim::expr(terms, symbols),
        }
    }
}

#[cfg(test)]
mod tests;
