//! The canonical form behind dim expressions: a sum of products of atoms with integer coefficients.
//!
//! Atoms are symbols, or opaque quotients, minima and maxima that are kept as postfix text of their own. Two
//! expressions that differ only in the order or grouping of sums and products have the same polynomial, hence the same
//! postfix text.

use super::{DimError, DimTerm, SymbolId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Words in one expression; models need a dozen, and hostile ones must not square it.
const MAX_WORDS: usize = 512;
/// Products in one sum.
const MAX_PRODUCTS: usize = 64;
/// Factors in one product.
const MAX_FACTORS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    Symbol(SymbolId),
    Opaque(Arc<[DimTerm]>),
}

/// Sum of `coefficient * atoms`; no coefficient is zero, atoms are sorted. The empty product is the constant.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Poly {
    products: BTreeMap<Vec<Atom>, i64>,
}

/// Atoms and their coefficient.
type Product<'a> = (&'a [Atom], i64);

/// Applies a two-operand word to constants.
pub(super) fn apply_const(word: DimTerm, a: i64, b: i64) -> Result<i64, DimError> {
    match word {
        DimTerm::Add => a.checked_add(b).ok_or(DimError::Overflow),
        DimTerm::Sub => a.checked_sub(b).ok_or(DimError::Overflow),
        DimTerm::Mul => a.checked_mul(b).ok_or(DimError::Overflow),
        DimTerm::FloorDiv => floor_div(a, b),
        DimTerm::Max => Ok(a.max(b)),
        DimTerm::Min => Ok(a.min(b)),
        DimTerm::Const(_) | DimTerm::Symbol(_) => Err(DimError::Malformed),
    }
}

fn floor_div(a: i64, b: i64) -> Result<i64, DimError> {
    if b == 0 {
        return Err(DimError::DivisionByZero);
    }
    let quotient = a.checked_div(b).ok_or(DimError::Overflow)?;
    let rounds_up = a % b != 0 && (a < 0) != (b < 0);
    Ok(quotient - i64::from(rounds_up))
}

impl Poly {
    pub(super) fn constant(value: i64) -> Self {
        let mut poly = Self::default();
        if value != 0 {
            poly.products.insert(Vec::new(), value);
        }
        poly
    }

    fn atom(atom: Atom) -> Self {
        Self { products: BTreeMap::from([(vec![atom], 1)]) }
    }

    pub(super) fn as_const(&self) -> Option<i64> {
        match self.products.len() {
            0 => Some(0),
            1 => self.products.get([].as_slice()).copied(),
            _ => None,
        }
    }

    pub(super) fn from_terms(terms: &[DimTerm]) -> Result<Self, DimError> {
        if terms.len() > MAX_WORDS {
            return Err(DimError::TooComplex);
        }
        let mut stack: Vec<Self> = Vec::new();
        for &term in terms {
            let poly = match term {
                DimTerm::Const(value) => Self::constant(value),
                DimTerm::Symbol(symbol) => Self::atom(Atom::Symbol(symbol)),
                word => {
                    let right = stack.pop().ok_or(DimError::Malformed)?;
                    let left = stack.pop().ok_or(DimError::Malformed)?;
                    left.combine(&right, word)?
                }
            };
            stack.push(poly);
        }
        let result = stack.pop().ok_or(DimError::Malformed)?;
        if stack.is_empty() { Ok(result) } else { Err(DimError::Malformed) }
    }

    pub(super) fn combine(&self, other: &Self, word: DimTerm) -> Result<Self, DimError> {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return apply_const(word, a, b).map(Self::constant);
        }
        match word {
            DimTerm::Add => self.plus_scaled(other, 1),
            DimTerm::Sub => self.plus_scaled(other, -1),
            DimTerm::Mul => self.times(other),
            DimTerm::FloorDiv => self.divided_by(other),
            DimTerm::Max | DimTerm::Min => self.extreme(other, word),
            DimTerm::Const(_) | DimTerm::Symbol(_) => Err(DimError::Malformed),
        }
    }

    /// What divides the sum whatever the atoms are: the greatest common divisor of the coefficients.
    pub(super) fn divisor(&self) -> u64 {
        let gcd = |mut a: u64, mut b: u64| {
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        self.products.values().fold(0, |all, coefficient| gcd(all, coefficient.unsigned_abs()))
    }

    fn plus_scaled(&self, other: &Self, scale: i64) -> Result<Self, DimError> {
        let mut sum = self.clone();
        for (atoms, &coefficient) in &other.products {
            let scaled = coefficient.checked_mul(scale).ok_or(DimError::Overflow)?;
            sum.accumulate(atoms.clone(), scaled)?;
        }
        Ok(sum)
    }

    fn times(&self, other: &Self) -> Result<Self, DimError> {
        let mut product = Self::default();
        for (left, &a) in &self.products {
            for (right, &b) in &other.products {
                if left.len() + right.len() > MAX_FACTORS {
                    return Err(DimError::TooComplex);
                }
                let mut atoms: Vec<Atom> = left.iter().chain(right).cloned().collect();
                atoms.sort();
                product.accumulate(atoms, a.checked_mul(b).ok_or(DimError::Overflow)?)?;
            }
        }
        Ok(product)
    }

    fn accumulate(&mut self, atoms: Vec<Atom>, coefficient: i64) -> Result<(), DimError> {
        let slot = self.products.entry(atoms.clone()).or_insert(0);
        *slot = slot.checked_add(coefficient).ok_or(DimError::Overflow)?;
        if *slot == 0 {
            self.products.remove(&atoms);
        }
        if self.products.len() > MAX_PRODUCTS {
            return Err(DimError::TooComplex);
        }
        Ok(())
    }

    /// floor((q*d + r) / d)   =>   q + floor(r / d)       for a divisor of one product, and all of r that d divides
    fn divided_by(&self, divisor: &Self) -> Result<Self, DimError> {
        let mut products = divisor.products.iter();
        let (Some((factors, &scale)), None) = (products.next(), products.next()) else {
            if divisor.products.is_empty() {
                return Err(DimError::DivisionByZero);
            }
            return if self == divisor {
                Ok(Self::constant(1))
            } else {
                self.opaque(divisor, DimTerm::FloorDiv)
            };
        };
        let mut quotient = Self::default();
        let mut rest = Self::default();
        for (atoms, &coefficient) in &self.products {
            match without(atoms, factors) {
                Some(remaining) if coefficient.checked_rem(scale) == Some(0) => {
                    quotient.accumulate(remaining, floor_div(coefficient, scale)?)?;
                }
                _ => rest.accumulate(atoms.clone(), coefficient)?,
            }
        }
        let remainder = match (rest.as_const(), divisor.as_const()) {
            (Some(0), _) => Self::default(),
            (Some(rest), Some(divisor)) => Self::constant(floor_div(rest, divisor)?),
            _ => rest.opaque(divisor, DimTerm::FloorDiv)?,
        };
        quotient.plus_scaled(&remainder, 1)
    }

    /// The larger or smaller of two; decided here where their difference has one sign for all sizes.
    fn extreme(&self, other: &Self, word: DimTerm) -> Result<Self, DimError> {
        let difference = self.plus_scaled(other, -1)?;
        let (low, high) = match difference.as_const() {
            Some(value) => (Some(i128::from(value)), Some(i128::from(value))),
            None => interval(&difference.to_terms()?, &|_| (0, None)),
        };
        let self_is_larger = low.is_some_and(|low| low >= 0);
        let other_is_larger = high.is_some_and(|high| high <= 0);
        let wants_larger = word == DimTerm::Max;
        if (self_is_larger && wants_larger) || (other_is_larger && !wants_larger) {
            return Ok(self.clone());
        }
        if self_is_larger || other_is_larger {
            return Ok(other.clone());
        }
        if self.to_terms()? <= other.to_terms()? {
            self.opaque(other, word)
        } else {
            other.opaque(self, word)
        }
    }

    fn opaque(&self, other: &Self, word: DimTerm) -> Result<Self, DimError> {
        let mut terms = self.to_terms()?;
        terms.extend(other.to_terms()?);
        terms.push(word);
        if terms.len() > MAX_WORDS {
            return Err(DimError::TooComplex);
        }
        Ok(Self::atom(Atom::Opaque(terms.into())))
    }

    /// Postfix text: positive products, then negative ones, the constant last unless it has to lead.
    pub(super) fn to_terms(&self) -> Result<Vec<DimTerm>, DimError> {
        let (leading, subtracted) = self.ordered();
        let mut terms = Vec::new();
        let added = leading.len();
        for (index, (atoms, coefficient)) in leading.into_iter().chain(subtracted).enumerate() {
            let subtract = index >= added && index > 0;
            let shown = if subtract { -coefficient } else { coefficient };
            push_product(&mut terms, atoms, shown);
            if index > 0 {
                terms.push(if subtract { DimTerm::Sub } else { DimTerm::Add });
            }
        }
        if terms.is_empty() {
            terms.push(DimTerm::Const(0));
        }
        if terms.len() > MAX_WORDS {
            return Err(DimError::TooComplex);
        }
        Ok(terms)
    }

    fn ordered(&self) -> (Vec<Product<'_>>, Vec<Product<'_>>) {
        let constant_last = |(atoms, _): &Product<'_>| atoms.is_empty();
        // The smallest integer has no positive counterpart to subtract.
        let is_added = |coefficient: i64| coefficient > 0 || coefficient == i64::MIN;
        let all = self.products.iter().map(|(atoms, &coefficient)| (atoms.as_slice(), coefficient));
        let (mut added, mut subtracted): (Vec<_>, Vec<_>) =
            all.partition(|&(_, coefficient)| is_added(coefficient));
        added.sort_by_key(constant_last);
        subtracted.sort_by_key(constant_last);
        (added, subtracted)
    }
}

/// `atoms` less `factors`, where all of those occur.
fn without(atoms: &[Atom], factors: &[Atom]) -> Option<Vec<Atom>> {
    let mut remaining = atoms.to_vec();
    for factor in factors {
        let position = remaining.iter().position(|atom| atom == factor)?;
        remaining.remove(position);
    }
    Some(remaining)
}

fn push_product(terms: &mut Vec<DimTerm>, atoms: &[Atom], coefficient: i64) {
    let mut factors = 0;
    if coefficient != 1 || atoms.is_empty() {
        terms.push(DimTerm::Const(coefficient));
        factors += 1;
    }
    for atom in atoms {
        match atom {
            Atom::Symbol(symbol) => terms.push(DimTerm::Symbol(*symbol)),
            Atom::Opaque(inner) => terms.extend_from_slice(inner),
        }
        factors += 1;
        if factors > 1 {
            terms.push(DimTerm::Mul);
        }
    }
}

type Interval = (Option<i128>, Option<i128>);

/// Interval arithmetic over a postfix expression; `None` is unbounded, also for anything malformed.
pub(super) fn interval(terms: &[DimTerm], bounds: &dyn Fn(SymbolId) -> (u64, Option<u64>)) -> Interval {
    let mut stack: Vec<Interval> = Vec::new();
    for &term in terms {
        let entry = match term {
            DimTerm::Const(value) => (Some(i128::from(value)), Some(i128::from(value))),
            DimTerm::Symbol(symbol) => {
                let (low, high) = bounds(symbol);
                (Some(i128::from(low)), high.map(i128::from))
            }
            word => {
                let (Some(b), Some(a)) = (stack.pop(), stack.pop()) else {
                    return (None, None);
                };
                interval_of(word, a, b)
            }
        };
        stack.push(entry);
    }
    stack.pop().unwrap_or((None, None))
}

fn interval_of(word: DimTerm, a: Interval, b: Interval) -> Interval {
    let both = |x: Option<i128>, y: Option<i128>, f: fn(i128, i128) -> Option<i128>| f(x?, y?);
    match word {
        DimTerm::Add => (both(a.0, b.0, i128::checked_add), both(a.1, b.1, i128::checked_add)),
        DimTerm::Sub => (both(a.0, b.1, i128::checked_sub), both(a.1, b.0, i128::checked_sub)),
        DimTerm::Mul => interval_product(a, b),
        DimTerm::FloorDiv => interval_quotient(a, b),
        DimTerm::Max => (a.0.max(b.0), both(a.1, b.1, |x, y| Some(x.max(y)))),
        DimTerm::Min => (
            both(a.0, b.0, |x, y| Some(x.min(y))),
            match (a.1, b.1) {
                (Some(x), Some(y)) => Some(x.min(y)),
                (x, y) => x.or(y),
            },
        ),
        DimTerm::Const(_) | DimTerm::Symbol(_) => (None, None),
    }
}

fn interval_product(a: Interval, b: Interval) -> Interval {
    if let (Some(a0), Some(a1), Some(b0), Some(b1)) = (a.0, a.1, b.0, b.1) {
        let corners = [a0.checked_mul(b0), a0.checked_mul(b1), a1.checked_mul(b0), a1.checked_mul(b1)];
        if corners.contains(&None) {
            return (None, None);
        }
        return (corners.iter().flatten().min().copied(), corners.iter().flatten().max().copied());
    }
    let scaled = |scale: i128, range: Interval| {
        let times = |bound: Option<i128>| bound.and_then(|bound| bound.checked_mul(scale));
        if scale < 0 { (times(range.1), times(range.0)) } else { (times(range.0), times(range.1)) }
    };
    match (a, b) {
        ((Some(low), Some(high)), range) | (range, (Some(low), Some(high))) if low == high => {
            scaled(low, range)
        }
        ((Some(a0), _), (Some(b0), _)) if a0 >= 0 && b0 >= 0 => (a0.checked_mul(b0), None),
        _ => (None, None),
    }
}

fn interval_quotient(a: Interval, b: Interval) -> Interval {
    match (a, b) {
        (_, (Some(b0), Some(b1))) if b0 == b1 && b0 > 0 => {
            (a.0.map(|low| low.div_euclid(b0)), a.1.map(|high| high.div_euclid(b0)))
        }
        // A divisor of zero is an error elsewhere, so one that may be zero counts from one.
        ((Some(a0), a1), (Some(b0), b1)) if a0 >= 0 && b0 >= 0 => {
            (Some(b1.map_or(0, |b1| a0 / b1.max(1))), a1.map(|a1| a1 / b0.max(1)))
        }
        _ => (None, None),
    }
}
