//! Sizes as kernels see them: known when a program is made, or free inside of a bound until it runs.

use drift_ir::dim::DimError;
use drift_ir::{Dim, Symbols};
use std::fmt;
use std::iter::{Product, Sum};
use std::ops::{Add, Mul};
use std::sync::Arc;

/// A size, distance or number of workgroups in a kernel's text or grid.
///
/// Arithmetic keeps a free size symbolic. It cannot be compared with a number directly: use [`Size::max`] to choose kernels, and
/// [`Size::is_multiple_of`] and [`Size::is_always`] for facts that must hold at every size; they return false when unknown. Equal
/// free sizes compare equal, since their expressions are canonical; unequal ones may still have one value at some size.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Size {
    /// Known when the module is made.
    Const(u64),
    /// Follows from free dims: a word of the uniform buffer.
    Free(Arc<FreeSize>),
}

/// A size that follows from free dims.
#[derive(Clone)]
pub struct FreeSize {
    dim: Dim,
    low: u64,
    high: u64,
    symbols: Arc<Symbols>,
}

/// A size is free where a kernel is made for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("takes known sizes, and {size} is free: bind {}", dims.iter().map(|dim| format!("--dim {dim}=N")).collect::<Vec<_>>().join(" "))]
pub struct NotKnown {
    /// The size, with the dims by name.
    pub size: String,
    /// Names of the dims.
    pub dims: Vec<String>,
}

/// What no tensor has: a size whose expression leaves 64 bits is this many, so that every check of limits refuses it.
const BEYOND: u64 = u64::MAX;

impl FreeSize {
    /// The expression.
    pub fn dim(&self) -> &Dim {
        &self.dim
    }

    /// The dims that it is over.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }
}

impl PartialEq for FreeSize {
    fn eq(&self, other: &Self) -> bool {
        self.dim == other.dim
    }
}

impl Eq for FreeSize {}

impl std::hash::Hash for FreeSize {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.dim.hash(state);
    }
}

impl fmt::Debug for FreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dim.display(&self.symbols))
    }
}

/// As people read it: shapes of numbers are lists of numbers.
impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const(size) => write!(f, "{size}"),
            Self::Free(free) => write!(f, "{}", free.dim.display(&free.symbols)),
        }
    }
}

impl From<u64> for Size {
    fn from(size: u64) -> Self {
        Self::Const(size)
    }
}

/// Known sizes.
pub fn sizes(shape: &[u64]) -> Vec<Size> {
    shape.iter().copied().map(Size::Const).collect()
}

/// The largest sizes of a shape.
pub fn largest(shape: &[Size]) -> Vec<u64> {
    shape.iter().map(Size::max).collect()
}

/// The sizes of a shape, all of which are known.
pub fn known(shape: &[Size]) -> Result<Vec<u64>, NotKnown> {
    shape.iter().map(Size::to_known).collect()
}

impl Size {
    /// One.
    pub const ONE: Self = Self::Const(1);

    /// The size of an axis, whose dims are `symbols` with their bounds.
    pub fn of(dim: &Dim, symbols: &Arc<Symbols>) -> Self {
        match dim {
            Dim::Const(size) => Self::Const(*size),
            Dim::Expr(_) => {
                let (low, high) = dim.range(symbols);
                let high = high.unwrap_or(BEYOND);
                match low == high {
                    true => Self::Const(low),
                    false => {
                        let (dim, symbols) = (dim.clone(), Arc::clone(symbols));
                        Self::Free(Arc::new(FreeSize { dim, low, high, symbols }))
                    }
                }
            }
        }
    }

    /// The number, if it is known.
    pub fn as_known(&self) -> Option<u64> {
        match self {
            Self::Const(size) => Some(*size),
            Self::Free(_) => None,
        }
    }

    /// The number, for a kernel that is made for it.
    pub fn to_known(&self) -> Result<u64, NotKnown> {
        match self {
            Self::Const(size) => Ok(*size),
            Self::Free(free) => {
                let name =
                    |dim| free.symbols.get(dim).map_or_else(String::new, |symbol| symbol.dim().to_owned());
                let mut dims: Vec<String> = free.dim.symbols().map(name).collect();
                dims.sort();
                dims.dedup();
                Err(NotKnown { size: self.to_string(), dims })
            }
        }
    }

    /// The free size, if it is one.
    pub fn as_free(&self) -> Option<&FreeSize> {
        match self {
            Self::Const(_) => None,
            Self::Free(free) => Some(free),
        }
    }

    /// The dims that it follows from.
    pub fn symbols(&self) -> Option<&Arc<Symbols>> {
        self.as_free().map(|free| &free.symbols)
    }

    /// Whether it follows from free dims.
    pub fn is_free(&self) -> bool {
        self.as_free().is_some()
    }

    /// The largest that it may be.
    pub fn max(&self) -> u64 {
        match self {
            Self::Const(size) => *size,
            Self::Free(free) => free.high,
        }
    }

    /// The smallest that it may be.
    pub fn min(&self) -> u64 {
        match self {
            Self::Const(size) => *size,
            Self::Free(free) => free.low,
        }
    }

    /// Whether it is this number at every size that is allowed.
    pub fn is_always(&self, number: u64) -> bool {
        self.as_known() == Some(number)
    }

    /// Whether it is a multiple of this number at every size that is allowed.
    pub fn is_multiple_of(&self, number: u64) -> bool {
        match self {
            Self::Const(size) => size.is_multiple_of(number),
            Self::Free(free) => free.dim.divisor().is_multiple_of(number),
        }
    }

    /// This many times `other`.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Const(0), _) | (_, Self::Const(0)) => Self::Const(0),
            (Self::Const(1), size) | (size, Self::Const(1)) => size.clone(),
            (Self::Const(a), Self::Const(b)) => Self::Const(a.saturating_mul(*b)),
            _ => self.combined(other, Dim::mul),
        }
    }

    /// This and `other` together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Const(0), size) | (size, Self::Const(0)) => size.clone(),
            (Self::Const(a), Self::Const(b)) => Self::Const(a.saturating_add(*b)),
            _ => self.combined(other, Dim::add),
        }
    }

    /// This less `other`, which is never more.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (size, Self::Const(0)) => size.clone(),
            (Self::Const(a), Self::Const(b)) => Self::Const(a.saturating_sub(*b)),
            _ => self.combined(other, Dim::sub),
        }
    }

    /// The larger of both.
    #[must_use]
    pub fn at_least(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Const(a), Self::Const(b)) => Self::Const(*a.max(b)),
            _ if self.min() >= other.max() => self.clone(),
            _ if other.min() >= self.max() => other.clone(),
            _ => self.combined(other, Dim::max),
        }
    }

    /// Parts of `by` that it has, the last of which may be smaller.
    #[must_use]
    pub fn div_ceil(&self, by: u64) -> Self {
        match self {
            Self::Const(size) => Self::Const(size.div_ceil(by)),
            Self::Free(_) if by == 1 => self.clone(),
            Self::Free(_) => self.plus(&Self::Const(by - 1)).div_floor(by),
        }
    }

    /// Whole parts of `by` that it has.
    #[must_use]
    pub fn div_floor(&self, by: u64) -> Self {
        match self {
            Self::Const(size) => Self::Const(size / by),
            Self::Free(_) if by == 1 => self.clone(),
            Self::Free(_) => self.combined(&Self::Const(by), Dim::floor_div),
        }
    }

    fn combined(&self, other: &Self, by: impl Fn(&Dim, &Dim) -> Result<Dim, DimError>) -> Self {
        let Some(free) = self.as_free().or_else(|| other.as_free()) else {
            unreachable!("numbers are combined as such");
        };
        let dim = |size: &Self| match size {
            Self::Const(size) => Dim::Const(*size),
            Self::Free(free) => free.dim.clone(),
        };
        by(&dim(self), &dim(other)).map_or(Self::Const(BEYOND), |dim| Self::of(&dim, &free.symbols))
    }
}

impl Mul for Size {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.times(&other)
    }
}

impl Mul for &Size {
    type Output = Size;

    fn mul(self, other: Self) -> Size {
        self.times(other)
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.plus(&other)
    }
}

impl Add for &Size {
    type Output = Size;

    fn add(self, other: Self) -> Size {
        self.plus(other)
    }
}

impl<'a> Product<&'a Size> for Size {
    fn product<I: Iterator<Item = &'a Size>>(sizes: I) -> Self {
        sizes.fold(Self::ONE, |all, size| all.times(size))
    }
}

impl<'a> Sum<&'a Size> for Size {
    fn sum<I: Iterator<Item = &'a Size>>(sizes: I) -> Self {
        sizes.fold(Self::Const(0), |all, size| all.plus(size))
    }
}

/// A number of places: known in every case, or a [`Size`].
pub trait Extent: Clone + PartialEq {
    /// One place.
    fn one() -> Self;
    /// No place.
    fn none() -> Self;
    /// This many times `other`.
    #[must_use]
    fn by(&self, other: &Self) -> Self;
    /// Slices of four.
    #[must_use]
    fn in_slices(&self) -> Self;
}

impl Extent for u64 {
    fn one() -> Self {
        1
    }

    fn none() -> Self {
        0
    }

    fn by(&self, other: &Self) -> Self {
        self.saturating_mul(*other)
    }

    fn in_slices(&self) -> Self {
        self.div_ceil(super::LANES)
    }
}

impl Extent for Size {
    fn one() -> Self {
        Self::ONE
    }

    fn none() -> Self {
        Self::Const(0)
    }

    fn by(&self, other: &Self) -> Self {
        self.times(other)
    }

    fn in_slices(&self) -> Self {
        self.div_ceil(super::LANES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dim(low: u64, high: u64) -> Size {
        let mut symbols = Symbols::default();
        let symbol = symbols.intern("n");
        symbols.set_bounds(symbol, low, Some(high)).expect("bounds");
        Size::of(&Dim::symbol(symbol), &Arc::new(symbols))
    }

    #[test]
    fn what_holds_for_some_sizes_only_is_answered_no() {
        let n = dim(1, 512);
        assert!(!n.is_always(1) && !n.is_always(512) && !n.is_multiple_of(4));
        assert_eq!((n.min(), n.max(), n.as_known()), (1, 512, None));
        let four = n.times(&Size::Const(12));
        assert!(four.is_multiple_of(4) && four.is_multiple_of(12) && !four.is_multiple_of(8));
        assert!(
            !four.plus(&Size::Const(2)).is_multiple_of(4) && four.plus(&Size::Const(8)).is_multiple_of(4)
        );
    }

    #[test]
    fn equal_expressions_are_equal_sizes() {
        let n = dim(1, 512);
        assert_eq!(n.times(&Size::Const(4)).div_ceil(4), n);
        assert_eq!(n.plus(&n), n.times(&Size::Const(2)));
        assert_ne!(n.div_ceil(4).times(&Size::Const(4)), n);
        assert_eq!(n.div_ceil(4).max(), 128);
        assert_eq!(dim(3, 3), Size::Const(3));
        assert_eq!(dim(1, 8).div_ceil(8), Size::ONE);
    }

    #[test]
    fn what_leaves_its_range_is_beyond_every_limit() {
        let mut all = dim(1, 1 << 40);
        for _ in 0..4 {
            all = all.times(&dim(1, 1 << 40));
        }
        assert_eq!(all.max(), u64::MAX);
    }

    #[test]
    fn a_kernel_of_known_sizes_says_what_to_bind() {
        let error = dim(1, 512).times(&Size::Const(3)).to_known().expect_err("free");
        assert!(error.to_string().contains("--dim n=N"), "{error}");
    }
}
