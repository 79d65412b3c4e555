//! Floats that follow from sizes: exporters scale a size as a float and round it to a size again.
//!
//! Such a float is what f32 computes of one whole number. Where it is rounded it is a formula of whole numbers again, if one gives what f32
//! gives at every value that the number may have: all of them are tried, so that no rounding of f32 is left to chance.

use crate::dim::{DimTerm, IntExpr, SymbolId, Symbols};
use crate::op::{BinaryOp, UnaryOp};
use crate::tensor::{ElementType, Tensor};

/// Values of a number that are tried; one with more is not followed.
pub const MOST_TRIED: i128 = 1 << 16;
/// Whole numbers up to this are all of them f32.
const LARGEST: i128 = 1 << 24;
/// Steps from the number to the float.
const MOST_STEPS: usize = 8;
/// The largest divisor of a formula.
const LARGEST_DIVISOR: i64 = 1 << 12;

/// A float that is known before the model runs.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatExpr {
    /// A number, which is finite.
    Const(f32),
    /// What f32 computes of a whole number that depends on symbols.
    Of(IntExpr, Vec<FloatStep>),
}

/// One step of f32 arithmetic, by a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloatStep {
    /// Adds it.
    Add(f32),
    /// Takes it away.
    Sub(f32),
    /// Multiplies with it.
    Mul(f32),
    /// Divides by it.
    Div(f32),
}

impl FloatStep {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Add(c) => x + c,
            Self::Sub(c) => x - c,
            Self::Mul(c) => x * c,
            Self::Div(c) => x / c,
        }
    }
}

impl FloatExpr {
    /// A whole number as f32.
    pub fn of(int: IntExpr) -> Self {
        match int.as_const() {
            Some(number) => Self::Const(number as f32),
            None => Self::Of(int, Vec::new()),
        }
    }

    /// The elements of a small constant.
    pub(crate) fn of_constant(tensor: &Tensor) -> Option<Vec<Self>> {
        let is_small = tensor.element() == ElementType::F32 && tensor.len() <= super::MAX_FLOATS;
        let numbers = is_small.then(|| tensor.to_f32_vec())?;
        numbers
            .iter()
            .all(|number| number.is_finite())
            .then(|| numbers.into_iter().map(Self::Const).collect())
    }

    /// What arithmetic gives of two, at most one of which depends on symbols.
    pub(crate) fn combined(&self, op: BinaryOp, other: &Self) -> Option<Self> {
        let step = |constant: f32| match op {
            BinaryOp::Add => Some(FloatStep::Add(constant)),
            BinaryOp::Sub => Some(FloatStep::Sub(constant)),
            BinaryOp::Mul => Some(FloatStep::Mul(constant)),
            BinaryOp::Div => Some(FloatStep::Div(constant)),
            _ => None,
        };
        let commutes = matches!(op, BinaryOp::Add | BinaryOp::Mul);
        match (self, other) {
            (Self::Const(a), Self::Const(b)) => {
                Some(step(*b)?.apply(*a)).filter(|found| found.is_finite()).map(Self::Const)
            }
            (Self::Of(int, steps), Self::Const(constant)) => Self::stepped(int, steps, step(*constant)?),
            (Self::Const(constant), Self::Of(int, steps)) if commutes => {
                Self::stepped(int, steps, step(*constant)?)
            }
            (Self::Const(_) | Self::Of(..), Self::Of(..)) => None,
        }
    }

    fn stepped(int: &IntExpr, steps: &[FloatStep], step: FloatStep) -> Option<Self> {
        let steps: Vec<FloatStep> = steps.iter().copied().chain([step]).collect();
        (steps.len() <= MOST_STEPS).then(|| Self::Of(int.clone(), steps))
    }

    /// The whole number that `Floor`, `Ceil` or `Round` makes of it.
    pub(crate) fn rounded(&self, rounding: UnaryOp, symbols: &Symbols) -> Option<IntExpr> {
        match rounding {
            UnaryOp::Floor => self.whole(f32::floor, symbols),
            UnaryOp::Ceil => self.whole(f32::ceil, symbols),
            UnaryOp::Round => self.whole(f32::round_ties_even, symbols),
            _ => None,
        }
    }

    /// The whole number that a cast to integers makes of it.
    pub(crate) fn truncated(&self, symbols: &Symbols) -> Option<IntExpr> {
        self.whole(f32::trunc, symbols)
    }

    /// Whether it is another number than zero, as a number of 0 or 1; nothing where that depends on symbols.
    pub(crate) fn is_nonzero(&self) -> Option<IntExpr> {
        match self {
            Self::Const(number) => Some(IntExpr::Const(i64::from(*number != 0.0))),
            Self::Of(..) => None,
        }
    }

    fn whole(&self, rounding: fn(f32) -> f32, symbols: &Symbols) -> Option<IntExpr> {
        let (int, steps) = match self {
            Self::Const(number) => {
                let rounded = rounding(*number);
                return (f64::from(rounded).abs() <= LARGEST as f64)
                    .then_some(IntExpr::Const(rounded as i64));
            }
            Self::Of(int, steps) => (int, steps),
        };
        let tried = Tried::of(int, symbols)?;
        let rounded = |number: i64| {
            let float = steps.iter().fold(number as f32, |x, step| step.apply(x));
            let rounded = rounding(float);
            (f64::from(rounded).abs() <= LARGEST as f64).then_some(rounded as i64)
        };
        let (slope, start) = line(steps);
        let fits = |formula: &Formula| {
            tried
                .numbers()
                .all(|number| formula.at(number).is_some_and(|found| rounded(number) == Some(found)))
        };
        let formulas = fractions(slope).flat_map(|(times, by)| Formula::near(times, by, start));
        formulas.into_iter().find(fits)?.of(int)
    }

    /// The symbols that it depends on, with repeats.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        let int = match self {
            Self::Const(_) => None,
            Self::Of(int, _) => Some(int),
        };
        int.into_iter().flat_map(IntExpr::symbols)
    }

    /// Writes it with symbol names, such as `height*0.5+1`.
    pub fn display(&self, symbols: &Symbols) -> String {
        match self {
            Self::Const(number) => number.to_string(),
            Self::Of(int, steps) => {
                steps.iter().fold(int.display(symbols).to_string(), |shown, step| match step {
                    FloatStep::Add(c) => format!("({shown} + {c})"),
                    FloatStep::Sub(c) => format!("({shown} - {c})"),
                    FloatStep::Mul(c) => format!("{shown} * {c}"),
                    FloatStep::Div(c) => format!("{shown} / {c}"),
                })
            }
        }
    }
}

/// The values that a number may have: multiples of a unit.
struct Tried {
    unit: i64,
    first: i64,
    last: i64,
}

impl Tried {
    fn of(int: &IntExpr, symbols: &Symbols) -> Option<Self> {
        let (Some(low), Some(high)) = int.range(symbols) else { return None };
        let unit = i128::from(int.divisor().max(1));
        let (first, last) = (-(-low).div_euclid(unit), high.div_euclid(unit));
        let fits = low >= -LARGEST && high <= LARGEST && last - first < MOST_TRIED;
        let small = |number: i128| i64::try_from(number).ok();
        fits.then_some(Self { unit: small(unit)?, first: small(first)?, last: small(last)? })
    }

    fn numbers(&self) -> impl Iterator<Item = i64> + '_ {
        (self.first..=self.last).map(|number| number * self.unit)
    }
}

/// `floor((times * n + plus) / by)`.
struct Formula {
    times: i64,
    plus: i64,
    by: i64,
}

impl Formula {
    /// Those that floors, ceilings and roundings of `times / by * n + start` may come to.
    fn near(times: i64, by: i64, start: f64) -> impl Iterator<Item = Self> {
        let plus = (start * by as f64).round() as i64;
        [0, by - 1, by / 2].into_iter().map(move |more| Self { times, plus: plus.saturating_add(more), by })
    }

    fn at(&self, number: i64) -> Option<i64> {
        Some(number.checked_mul(self.times)?.checked_add(self.plus)?.div_euclid(self.by))
    }

    fn of(&self, int: &IntExpr) -> Option<IntExpr> {
        let scaled = int.combine_with(self.times, DimTerm::Mul).ok()?;
        scaled.combine_with(self.plus, DimTerm::Add).ok()?.combine_with(self.by, DimTerm::FloorDiv).ok()
    }
}

/// Steps as a line: what a number is multiplied with, and what is added.
fn line(steps: &[FloatStep]) -> (f64, f64) {
    steps.iter().fold((1.0, 0.0), |(slope, start), step| match *step {
        FloatStep::Add(c) => (slope, start + f64::from(c)),
        FloatStep::Sub(c) => (slope, start - f64::from(c)),
        FloatStep::Mul(c) => (slope * f64::from(c), start * f64::from(c)),
        FloatStep::Div(c) => (slope / f64::from(c), start / f64::from(c)),
    })
}

/// Fractions that f32 does not tell from a number, simplest first: convergents of its continued fraction.
fn fractions(number: f64) -> impl Iterator<Item = (i64, i64)> {
    let mut found = Vec::new();
    let (mut before, mut last) = ((0_i64, 1_i64), (1_i64, 0_i64));
    let mut rest = number;
    while (0.0..1e9).contains(&rest) {
        let whole = rest.floor() as i64;
        let next = |before: i64, last: i64| whole.checked_mul(last)?.checked_add(before);
        let (Some(times), Some(by)) = (next(before.0, last.0), next(before.1, last.1)) else { break };
        if by > LARGEST_DIVISOR {
            break;
        }
        (before, last) = (last, (times, by));
        if (times as f64 / by as f64 - number).abs() <= number * f64::from(f32::EPSILON) {
            found.push(last);
        }
        if rest == whole as f64 {
            break;
        }
        rest = 1.0 / (rest - whole as f64);
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use FloatStep::{Add, Div, Mul, Sub};

    fn symbols(low: u64, high: Option<u64>) -> (IntExpr, Symbols) {
        let mut symbols = Symbols::default();
        let n = symbols.intern("n");
        symbols.set_bounds(n, low, high).expect("bounds");
        (IntExpr::from_terms(&[DimTerm::Symbol(n)]).expect("a symbol"), symbols)
    }

    /// The formula of a rounded float over sizes from 0 to 4,000, in words, held against f32 at each of them.
    fn formula(steps: &[FloatStep], rounding: UnaryOp) -> Option<String> {
        let (n, symbols) = symbols(0, Some(4000));
        let whole = FloatExpr::Of(n, steps.to_vec()).rounded(rounding, &symbols)?;
        for size in 0..=4000_u64 {
            let x = steps.iter().fold(size as f32, |x, step| step.apply(x));
            let expected = match rounding {
                UnaryOp::Floor => x.floor(),
                UnaryOp::Ceil => x.ceil(),
                _ => x.round_ties_even(),
            };
            assert_eq!(whole.evaluate(|_| Some(size)), Ok(expected as i64), "{steps:?} at {size}");
        }
        Some(whole.display(&symbols).to_string())
    }

    #[test]
    fn scales_become_formulas_where_f32_agrees_with_them_at_every_size() {
        let floor = |steps: &[FloatStep]| formula(steps, UnaryOp::Floor);
        assert_eq!(floor(&[Mul(2.0)]).as_deref(), Some("2*n"));
        assert_eq!(floor(&[Mul(0.5)]).as_deref(), Some("floor_div(n,2)"));
        assert_eq!(floor(&[Mul(1.5)]).as_deref(), Some("floor_div(3*n,2)"));
        assert_eq!(floor(&[Div(3.0)]).as_deref(), Some("floor_div(n,3)"));
        assert_eq!(floor(&[Div(3.0), Mul(2.0)]).as_deref(), Some("floor_div(2*n,3)"));
        assert_eq!(floor(&[Mul(0.5), Add(1.0)]).as_deref(), Some("floor_div(n,2)+1"));
        assert_eq!(floor(&[Sub(1.0), Div(2.0), Add(1.0)]).as_deref(), Some("floor_div(n+1,2)"));
        assert_eq!(floor(&[Mul(0.7)]).as_deref(), Some("floor_div(7*n,10)"));
        assert_eq!(floor(&[Mul(0.0)]).as_deref(), Some("0"));
        assert_eq!(formula(&[Div(32.0)], UnaryOp::Ceil).as_deref(), Some("floor_div(n+31,32)"));
        assert_eq!(formula(&[Mul(4.0)], UnaryOp::Round).as_deref(), Some("4*n"));
    }

    #[test]
    fn any_number_but_zero_is_true() {
        let known = [0.5, -0.25, 3.0, 0.0, -0.0].map(|number| FloatExpr::Const(number).is_nonzero());
        assert_eq!(known, [1, 1, 1, 0, 0].map(|bit| Some(IntExpr::Const(bit))));
        let (n, _) = symbols(1, Some(10));
        assert_eq!(FloatExpr::Of(n, vec![Mul(0.25)]).is_nonzero(), None);
    }

    #[test]
    fn what_f32_rounds_otherwise_at_some_size_has_no_formula() {
        // In f32 900 * 0.13 is less than 117, and 100 * 0.13 is 13.
        for (steps, rounding) in [
            ([Mul(0.13)], UnaryOp::Floor),
            ([Mul(0.123_456)], UnaryOp::Floor),
            ([Mul(0.5)], UnaryOp::Round),
            ([Mul(-1.0)], UnaryOp::Floor),
            ([Div(0.0)], UnaryOp::Floor),
            ([Mul(1e9)], UnaryOp::Floor),
            ([Mul(f32::MIN_POSITIVE)], UnaryOp::Ceil),
        ] {
            assert_eq!(formula(&steps, rounding), None, "{steps:?}");
        }
    }

    #[test]
    fn more_sizes_than_can_be_tried_have_no_formula() {
        for (high, is_followed) in [(Some(1 << 15), true), (Some(1 << 20), false), (None, false)] {
            let (n, symbols) = symbols(1, high);
            let half = FloatExpr::Of(n.clone(), vec![Mul(0.5)]);
            assert_eq!(half.truncated(&symbols).is_some(), is_followed, "{high:?}");
            // Of multiples there are fewer.
            let many = n.combine_with(64, DimTerm::Mul).expect("small");
            let half = FloatExpr::Of(many, vec![Mul(0.5)]).truncated(&symbols);
            assert_eq!(half.is_some(), is_followed, "{high:?}");
        }
    }
}
