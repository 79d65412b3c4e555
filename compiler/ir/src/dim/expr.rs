//! Signed integer expressions over symbols: what shape arithmetic computes before it becomes a size.

use super::poly::{self, Poly};
use super::{Dim, DimError, DimTerm, DisplayDim, SymbolId, Symbols};
use std::sync::Arc;

/// An integer: a constant, or a canonical postfix expression over symbols. Equal expressions compare equal wherever
/// sums, products and exact quotients decide it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntExpr {
    /// A known integer.
    Const(i64),
    /// Depends on symbols; canonical, never a plain constant.
    Expr(Arc<[DimTerm]>),
}

impl From<i64> for IntExpr {
    fn from(value: i64) -> Self {
        Self::Const(value)
    }
}

impl TryFrom<&Dim> for IntExpr {
    type Error = DimError;

    fn try_from(dim: &Dim) -> Result<Self, DimError> {
        dim.to_int()
    }
}

impl IntExpr {
    /// Reads a postfix expression and brings it to canonical form.
    pub fn from_terms(terms: &[DimTerm]) -> Result<Self, DimError> {
        Self::from_poly(&Poly::from_terms(terms)?)
    }

    fn from_poly(poly: &Poly) -> Result<Self, DimError> {
        match poly.as_const() {
            Some(value) => Ok(Self::Const(value)),
            None => Ok(Self::Expr(poly.to_terms()?.into())),
        }
    }

    fn to_poly(&self) -> Result<Poly, DimError> {
        match self {
            Self::Const(value) => Ok(Poly::constant(*value)),
            Self::Expr(terms) => Poly::from_terms(terms),
        }
    }

    /// The integer, where it is known.
    pub const fn as_const(&self) -> Option<i64> {
        match self {
            Self::Const(value) => Some(*value),
            Self::Expr(_) => None,
        }
    }

    /// `self + other`.
    pub fn add(&self, other: &Self) -> Result<Self, DimError> {
        self.combine(other, DimTerm::Add)
    }

    /// `self - other`.
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

    pub(crate) fn combine_with(&self, constant: i64, word: DimTerm) -> Result<Self, DimError> {
        self.combine(&Self::Const(constant), word)
    }

    pub(super) fn combine(&self, other: &Self, word: DimTerm) -> Result<Self, DimError> {
        Self::from_poly(&self.to_poly()?.combine(&other.to_poly()?, word)?)
    }

    /// A number that divides it whatever its symbols are, as [`Dim::divisor`] says of sizes.
    pub(crate) fn divisor(&self) -> u64 {
        match self {
            Self::Const(value) => value.unsigned_abs(),
            Self::Expr(terms) => Poly::from_terms(terms).map_or(1, |poly| poly.divisor()),
        }
    }

    /// Replaces a symbol by its size.
    pub fn substitute(&self, symbol: SymbolId, value: u64) -> Result<Self, DimError> {
        let Self::Expr(terms) = self else {
            return Ok(self.clone());
        };
        if !terms.contains(&DimTerm::Symbol(symbol)) {
            return Ok(self.clone());
        }
        let value = i64::try_from(value).map_err(|_| DimError::Overflow)?;
        let replaced: Vec<DimTerm> = terms
            .iter()
            .map(|&term| if term == DimTerm::Symbol(symbol) { DimTerm::Const(value) } else { term })
            .collect();
        Self::from_terms(&replaced)
    }

    /// The integer when every symbol has a size.
    pub fn evaluate(&self, sizes: impl Fn(SymbolId) -> Option<u64>) -> Result<i64, DimError> {
        let terms = match self {
            Self::Const(value) => return Ok(*value),
            Self::Expr(terms) => terms,
        };
        let mut stack: Vec<i64> = Vec::new();
        for &term in terms.iter() {
            let value = match term {
                DimTerm::Const(value) => value,
                DimTerm::Symbol(symbol) => {
                    let size = sizes(symbol).ok_or_else(|| DimError::Unbound(format!("?{}", symbol.0)))?;
                    i64::try_from(size).map_err(|_| DimError::Overflow)?
                }
                word => {
                    let b = stack.pop().ok_or(DimError::Malformed)?;
                    let a = stack.pop().ok_or(DimError::Malformed)?;
                    poly::apply_const(word, a, b)?
                }
            };
            stack.push(value);
        }
        match stack.as_slice() {
            [value] => Ok(*value),
            _ => Err(DimError::Malformed),
        }
    }

    /// Smallest and largest value under the symbols' bounds; `None` is unbounded.
    pub fn range(&self, symbols: &Symbols) -> (Option<i128>, Option<i128>) {
        match self {
            Self::Const(value) => (Some(i128::from(*value)), Some(i128::from(*value))),
            Self::Expr(terms) => poly::interval(terms, &|symbol| symbols.bounds(symbol)),
        }
    }

    /// The symbols that it depends on, with repeats.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        let terms: &[DimTerm] = match self {
            Self::Const(_) => &[],
            Self::Expr(terms) => terms,
        };
        super::symbols_of(terms)
    }

    /// Writes the expression with symbol names.
    pub fn display<'a>(&'a self, symbols: &'a Symbols) -> DisplayDim<'a> {
        match self {
            Self::Const(value) => DisplayDim::constant(i128::from(*value)),
            Self::Expr(terms) => DisplayDim::expr(terms, symbols),
        }
    }
}
