//! Sizes that the host says at run time, and what follows from them.

use serde::{Deserialize, Serialize};

/// A dim of the model whose size the host says. A program is planned for the largest size and has it until another is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeDim {
    /// Name as the model writes it: `sequence`. Unique in the entry, whose dims are in the order of their names.
    pub name: String,
    /// Sizes are at least this.
    pub low: u64,
    /// Sizes are at most this.
    pub high: u64,
    /// Sizes are multiples of this, which is not zero.
    pub step: u64,
}

/// A size that follows from those of the dims, in postfix order: operators take the two values before them. It is a u32 for all
/// sizes of the dims, which the reader makes sure of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SizeExpression(pub Vec<SizeTerm>);

/// A value or operator of a [`SizeExpression`]. Arithmetic is that of u64, and is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SizeTerm {
    /// A number.
    Const(u64),
    /// The size of a dim: index in [`super::Entry::dims`].
    Dim(u32),
    /// Their sum.
    Add,
    /// The first without the second.
    Sub,
    /// Their product.
    Mul,
    /// The first divided by the second, rounded down.
    FloorDiv,
    /// The first divided by the second, rounded up.
    CeilDiv,
    /// The larger.
    Max,
    /// The smaller.
    Min,
}

/// An axis of an input or output whose size follows from the dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeAxis {
    /// Which axis, from 0; axes are in ascending order.
    pub axis: u32,
    /// Index in [`super::Entry::sizes`]. At the largest sizes of the dims this is what [`super::IoTensor::shape`] says.
    pub size: u32,
}

/// A word of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It never changes.
    Const(u32),
    /// A size: index in [`super::Entry::sizes`].
    Size(u32),
}

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeFlaw {
    /// An operator without operands, or values without an operator.
    #[error("is not one expression in postfix order")]
    Form,
    /// A dim that the entry does not have.
    #[error("takes dim {0}, which the entry does not have")]
    Dim(u32),
    /// Some sizes give more than fits.
    #[error("overflows for some sizes of the dims")]
    Overflow,
    /// Some sizes give less than nothing.
    #[error("is below zero for some sizes of the dims")]
    Negative,
    /// Some sizes divide by zero.
    #[error("divides by zero for some sizes of the dims")]
    ZeroDivisor,
}

/// The least and the greatest of something.
pub type Bounds = (u64, u64);

impl FreeDim {
    /// The smallest size that may be set; more than [`FreeDim::most`] where there is none.
    pub const fn least(&self) -> u64 {
        match self.low.checked_next_multiple_of(self.step) {
            Some(least) => least,
            None => u64::MAX,
        }
    }

    /// The largest size that may be set, and the one that a session begins with.
    pub const fn most(&self) -> u64 {
        match self.high.checked_rem(self.step) {
            Some(rest) => self.high - rest,
            None => 0,
        }
    }

    /// Whether `size` may be set.
    pub const fn holds(&self, size: u64) -> bool {
        self.low <= size && size <= self.high && size.is_multiple_of(self.step)
    }

    /// Which sizes may be set, for people: `1 to 512`, `multiples of 8 from 64 to 512`.
    pub fn in_words(&self) -> String {
        let (least, most) = (self.least(), self.most());
        match self.step {
            1 => format!("{least} to {most}"),
            step => format!("multiples of {step} from {least} to {most}"),
        }
    }
}

impl SizeExpression {
    /// Its value where the dims have these sizes.
    pub fn at(&self, sizes: &[u64]) -> Result<u64, SizeFlaw> {
        let value = self.fold(|dim| sizes.get(dim as usize).map(|size| (*size, *size)), |n| (n, n), apply)?;
        Ok(value.0)
    }

    /// Bounds of its values where those of the dims are within these. They hold for each of them; there need not be sizes that
    /// reach them, since an expression that takes a dim twice is bounded as if it took two.
    pub fn bounds(&self, dims: &[Bounds]) -> Result<Bounds, SizeFlaw> {
        self.fold(|dim| dims.get(dim as usize).copied(), |n| (n, n), apply)
    }

    /// What it says, for people: `ceil((sequence + 3) / 4)`.
    pub fn in_words(&self, dims: &[FreeDim]) -> Result<String, SizeFlaw> {
        let words = self.fold(
            |dim| dims.get(dim as usize).map(|dim| Words { text: dim.name.clone(), binds: 2 }),
            |n| Words { text: n.to_string(), binds: 2 },
            |term, a, b| Ok(Words::of(term, a, b)),
        )?;
        Ok(words.text)
    }

    /// Computes in any domain.
    fn fold<T>(
        &self,
        dim: impl Fn(u32) -> Option<T>,
        constant: impl Fn(u64) -> T,
        apply: impl Fn(SizeTerm, T, T) -> Result<T, SizeFlaw>,
    ) -> Result<T, SizeFlaw> {
        let mut stack = Vec::new();
        for term in &self.0 {
            let value = match *term {
                SizeTerm::Const(number) => constant(number),
                SizeTerm::Dim(index) => dim(index).ok_or(SizeFlaw::Dim(index))?,
                operator => {
                    let (Some(second), Some(first)) = (stack.pop(), stack.pop()) else {
                        return Err(SizeFlaw::Form);
                    };
                    apply(operator, first, second)?
                }
            };
            stack.push(value);
        }
        match (stack.pop(), stack.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(SizeFlaw::Form),
        }
    }
}

/// An operator over bounds.
fn apply(operator: SizeTerm, a: Bounds, b: Bounds) -> Result<Bounds, SizeFlaw> {
    let both = |of: fn(u64, u64) -> Option<u64>, flaw| -> Result<Bounds, SizeFlaw> {
        Ok((of(a.0, b.0).ok_or(flaw)?, of(a.1, b.1).ok_or(flaw)?))
    };
    let divided = |by: fn(u64, u64) -> u64| match b.0 {
        0 => Err(SizeFlaw::ZeroDivisor),
        _ => Ok((by(a.0, b.1), by(a.1, b.0))),
    };
    match operator {
        SizeTerm::Add => both(u64::checked_add, SizeFlaw::Overflow),
        SizeTerm::Mul => both(u64::checked_mul, SizeFlaw::Overflow),
        SizeTerm::Sub => match (a.0.checked_sub(b.1), a.1.checked_sub(b.0)) {
            (Some(least), Some(most)) => Ok((least, most)),
            _ => Err(SizeFlaw::Negative),
        },
        SizeTerm::FloorDiv => divided(|a, b| a / b),
        SizeTerm::CeilDiv => divided(u64::div_ceil),
        SizeTerm::Max => Ok((a.0.max(b.0), a.1.max(b.1))),
        SizeTerm::Min => Ok((a.0.min(b.0), a.1.min(b.1))),
        SizeTerm::Const(_) | SizeTerm::Dim(_) => Err(SizeFlaw::Form),
    }
}

/// A part of an expression, for people.
struct Words {
    text: String,
    /// 0 sums, 1 products, 2 what never needs parentheses.
    binds: u8,
}

impl Words {
    fn of(operator: SizeTerm, a: Self, b: Self) -> Self {
        let infix = |sign: &str, binds: u8| Self {
            text: format!("{} {sign} {}", a.within(binds), b.within(binds + u8::from(sign != "+"))),
            binds,
        };
        let call = |name: &str, inner: String| Self { text: format!("{name}({inner})"), binds: 2 };
        match operator {
            SizeTerm::Add => infix("+", 0),
            SizeTerm::Sub => infix("-", 0),
            SizeTerm::Mul => infix("*", 1),
            SizeTerm::FloorDiv => call("floor", infix("/", 1).text),
            SizeTerm::CeilDiv => call("ceil", infix("/", 1).text),
            SizeTerm::Min => call("min", format!("{}, {}", a.text, b.text)),
            SizeTerm::Max => call("max", format!("{}, {}", a.text, b.text)),
            SizeTerm::Const(_) | SizeTerm::Dim(_) => unreachable!("verified: operators alone have operands"),
        }
    }

    fn within(&self, binds: u8) -> String {
        if self.binds < binds { format!("({})", self.text) } else { self.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SizeTerm::{Add, CeilDiv, Const, Dim, FloorDiv, Max, Min, Mul, Sub};

    fn of(terms: &[SizeTerm]) -> SizeExpression {
        SizeExpression(terms.to_vec())
    }

    #[test]
    fn expressions_have_the_values_of_their_arithmetic() {
        let cases: &[(&[SizeTerm], u64, &str)] = &[
            (&[Dim(0)], 37, "n"),
            (&[Dim(0), Const(3), Add, Const(4), CeilDiv], 10, "ceil((n + 3) / 4)"),
            (&[Dim(0), Const(4), FloorDiv], 9, "floor(n / 4)"),
            (&[Dim(0), Dim(1), Mul, Const(1), Sub], 184, "n * past - 1"),
            (&[Dim(0), Dim(1), Const(1), Sub, Sub], 33, "n - (past - 1)"),
            (&[Dim(0), Dim(1), Max, Const(2), Mul], 74, "max(n, past) * 2"),
            (&[Dim(0), Dim(1), Min], 5, "min(n, past)"),
            (&[Const(2), Dim(0), Const(1), Add, Mul], 76, "2 * (n + 1)"),
        ];
        let dims = ["n", "past"].map(|name| FreeDim { name: name.to_owned(), low: 0, high: 99, step: 1 });
        for (terms, value, words) in cases {
            assert_eq!(of(terms).at(&[37, 5]), Ok(*value), "{words}");
            assert_eq!(of(terms).in_words(&dims).as_deref(), Ok(*words));
        }
    }

    #[test]
    fn what_has_no_value_is_said() {
        let cases: &[(&[SizeTerm], SizeFlaw)] = &[
            (&[], SizeFlaw::Form),
            (&[Add], SizeFlaw::Form),
            (&[Const(1), Add], SizeFlaw::Form),
            (&[Const(1), Const(2)], SizeFlaw::Form),
            (&[Dim(1)], SizeFlaw::Dim(1)),
            (&[Const(u64::MAX), Dim(0), Add], SizeFlaw::Overflow),
            (&[Const(u64::MAX), Dim(0), Mul], SizeFlaw::Overflow),
            (&[Const(6), Dim(0), Sub], SizeFlaw::Negative),
            (&[Const(6), Dim(0), Const(0), Mul, FloorDiv], SizeFlaw::ZeroDivisor),
            (&[Const(6), Dim(0), Const(0), Mul, CeilDiv], SizeFlaw::ZeroDivisor),
        ];
        for (terms, flaw) in cases {
            assert_eq!(of(terms).at(&[7]), Err(*flaw), "{terms:?}");
        }
    }

    #[test]
    fn bounds_hold_for_every_size() {
        let cases: &[&[SizeTerm]] = &[
            &[Dim(0), Const(3), Add, Const(4), CeilDiv],
            &[Const(20), Dim(0), Sub, Dim(1), FloorDiv],
            &[Dim(0), Dim(1), Mul, Dim(0), Max],
            &[Const(200), Dim(1), CeilDiv, Dim(0), Min],
            &[Dim(0), Const(4), CeilDiv, Const(4), Mul, Const(0), Sub],
        ];
        for terms in cases {
            let expression = of(terms);
            let (least, most) = expression.bounds(&[(2, 11), (1, 5)]).unwrap();
            for n in 2..=11 {
                for m in 1..=5 {
                    let value = expression.at(&[n, m]).unwrap();
                    assert!(least <= value && value <= most, "{terms:?} at {n}, {m}");
                }
            }
        }
        assert_eq!(of(&[Const(10), Dim(0), Sub]).bounds(&[(0, 11)]), Err(SizeFlaw::Negative));
        assert_eq!(of(&[Const(10), Dim(0), FloorDiv]).bounds(&[(0, 11)]), Err(SizeFlaw::ZeroDivisor));
        assert_eq!(of(&[Dim(0), Dim(0), Mul]).bounds(&[(0, 1 << 32)]), Err(SizeFlaw::Overflow));
    }

    #[test]
    fn sizes_of_a_dim_are_multiples_within_its_bounds() {
        let dim = |low, high, step| FreeDim { name: "n".to_owned(), low, high, step };
        let held = |dim: &FreeDim| (0..30).filter(|size| dim.holds(*size)).collect::<Vec<_>>();
        let of = dim(3, 26, 8);
        assert_eq!((held(&of), of.least(), of.most()), (vec![8, 16, 24], 8, 24));
        assert_eq!(of.in_words(), "multiples of 8 from 8 to 24");
        let of = dim(0, 2, 1);
        assert_eq!((held(&of), of.least(), of.most()), (vec![0, 1, 2], 0, 2));
        let of = dim(9, 15, 8);
        assert!(held(&of).is_empty() && of.least() > of.most());
        assert!(dim(u64::MAX, u64::MAX, 2).least() > dim(u64::MAX, u64::MAX, 2).most());
    }
}
