//! Compares what a device computed with what was expected.

use crate::errors::Errors;
use crate::host::{HostTensor, element_name, shape_text};
use std::fmt;

/// A float passes when `|got - expected| <= absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Counts for values near zero.
    pub absolute: f64,
    /// Counts for all others.
    pub relative: f64,
}

impl Tolerance {
    /// For whole models in single precision: sums run in another order than the reference's.
    pub const F32: Self = Self { absolute: 1e-4, relative: 1e-3 };
    /// For whole models with f16 in them: each stored value has 11 bits.
    pub const F16: Self = Self { absolute: 2e-2, relative: 2e-2 };
}

/// How far two tensors are apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Largest absolute difference; infinite where only one side is finite or a number.
    pub max_abs: f64,
    /// Largest difference relative to the expected value; differences at an expected zero do not count.
    pub max_rel: f64,
    /// Elements outside the tolerance.
    pub wrong: usize,
    /// The first of them.
    pub first_wrong: Option<Wrong>,
    /// All absolute differences by size.
    pub errors: Errors,
}

/// An element outside the tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wrong {
    /// Its index, row-major.
    pub index: usize,
    /// What came.
    pub got: f64,
    /// What should have come.
    pub expected: f64,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, got, expected } = *self;
        let kind = |value: f64| match value {
            value if value.is_nan() => "a NaN",
            value if value.is_infinite() => "an infinity",
            _ => "a number",
        };
        write!(f, "element {index} is {got}, expected {expected}")?;
        match (kind(got), kind(expected)) {
            (got, expected) if got != expected => write!(f, ": {got} where {expected} is expected"),
            ("an infinity", _) => f.write_str(": the other infinity"),
            _ => Ok(()),
        }
    }
}

impl Difference {
    /// Whether every element is within the tolerance.
    pub fn passes(&self) -> bool {
        self.wrong == 0
    }

    /// The larger of both in each respect, and all elements of both, for one output over several data sets.
    pub fn worst(mut self, other: Self) -> Self {
        self.errors.add(&other.errors);
        Self {
            max_abs: self.max_abs.max(other.max_abs),
            max_rel: self.max_rel.max(other.max_rel),
            wrong: self.wrong + other.wrong,
            first_wrong: self.first_wrong.or(other.first_wrong),
            errors: self.errors,
        }
    }
}

/// Tensors that cannot be compared element by element.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("got {got}, expected {expected}")]
pub struct Mismatch {
    /// Type and shape that came.
    got: String,
    /// Type and shape that should have come.
    expected: String,
}

/// Compares two tensors of one type and shape.
pub fn compare(
    got: &HostTensor,
    expected: &HostTensor,
    tolerance: Tolerance,
) -> Result<Difference, Mismatch> {
    if got.element() != expected.element() || got.shape() != expected.shape() {
        let text = |tensor: &HostTensor| {
            format!("{} {}", element_name(tensor.element()), shape_text(tensor.shape()))
        };
        return Err(Mismatch { got: text(got), expected: text(expected) });
    }
    let exact = Tolerance { absolute: 0.0, relative: 0.0 };
    let is_float = got.element().is_float();
    Ok(compare_values(&got.to_f64(), &expected.to_f64(), if is_float { tolerance } else { exact }))
}

/// Compares element by element. Two NaNs agree, and so do two infinities of one sign.
pub fn compare_values(got: &[f64], expected: &[f64], tolerance: Tolerance) -> Difference {
    let mut difference = Difference::default();
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        if got == expected || got.is_nan() && expected.is_nan() {
            difference.errors.count(0.0);
            continue;
        }
        // An infinity or a NaN on one side only is as wrong as can be, and NaN must not hide in a maximum.
        let absolute =
            if got.is_finite() && expected.is_finite() { (got - expected).abs() } else { f64::INFINITY };
        difference.max_abs = difference.max_abs.max(absolute);
        difference.errors.count(absolute);
        if *expected != 0.0 {
            let relative = if absolute.is_finite() { absolute / expected.abs() } else { f64::INFINITY };
            difference.max_rel = difference.max_rel.max(relative);
        }
        let bound = tolerance.absolute + tolerance.relative * expected.abs();
        if absolute.is_infinite() || absolute > bound {
            difference.wrong += 1;
            difference.first_wrong.get_or_insert(Wrong { index, got: *got, expected: *expected });
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::manifest::HostElement;
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    fn check(got: &[f64], expected: &[f64], wrong: usize, max_abs: f64, max_rel: f64) {
        let tolerance = Tolerance { absolute: 0.1, relative: 0.01 };
        let found = compare_values(got, expected, tolerance);
        assert_eq!(
            (found.wrong, found.max_abs, found.max_rel),
            (wrong, max_abs, max_rel),
            "{got:?} {expected:?}"
        );
    }

    #[test]
    fn values_within_the_bound_pass() {
        check(&[1.0, 0.0, -2.0], &[1.0, 0.0, -2.0], 0, 0.0, 0.0);
        check(&[0.0625], &[0.0], 0, 0.0625, 0.0);
        check(&[101.0], &[100.0], 0, 1.0, 0.01);
        check(&[102.0], &[100.0], 1, 2.0, 0.02);
    }

    #[test]
    fn values_that_are_no_numbers_agree_with_themselves_only() {
        check(&[NAN, INF, -INF], &[NAN, INF, -INF], 0, 0.0, 0.0);
        check(&[NAN], &[1.0], 1, INF, INF);
        check(&[1.0], &[NAN], 1, INF, INF);
        check(&[INF], &[-INF], 1, INF, INF);
        check(&[1.0], &[INF], 1, INF, INF);
        check(&[INF], &[0.0], 1, INF, 0.0);
    }

    #[test]
    fn the_first_wrong_element_is_named() {
        let found = compare_values(&[1.0, 5.0, 6.0], &[1.0, 1.0, 1.0], Tolerance::F32);
        let first = found.first_wrong.unwrap();
        assert_eq!((found.wrong, first.index), (2, 1));
        assert_eq!(first.to_string(), "element 1 is 5, expected 1");
    }

    #[test]
    fn a_wrong_special_value_is_told_in_words() {
        let words = |got, expected| {
            compare_values(&[got], &[expected], Tolerance::F32).first_wrong.unwrap().to_string()
        };
        assert!(words(NAN, 1.0).ends_with(": a NaN where a number is expected"));
        assert!(words(0.0, NAN).ends_with(": a number where a NaN is expected"));
        assert!(words(f64::from(f32::MIN), -INF).ends_with(": a number where an infinity is expected"));
        assert!(words(INF, -INF).ends_with("inf, expected -inf: the other infinity"));
    }

    #[test]
    fn integers_must_be_equal() {
        let tensor =
            |value: i64| HostTensor::new(HostElement::I64, vec![1], value.to_le_bytes().to_vec()).unwrap();
        let loose = Tolerance { absolute: 10.0, relative: 10.0 };
        assert!(compare(&tensor(3), &tensor(3), loose).unwrap().passes());
        assert!(!compare(&tensor(4), &tensor(3), loose).unwrap().passes());
    }

    #[test]
    fn other_shapes_cannot_be_compared() {
        let a = HostTensor::new(HostElement::U8, vec![2, 1], vec![0; 2]).unwrap();
        let b = HostTensor::new(HostElement::U8, vec![1, 2], vec![0; 2]).unwrap();
        assert_eq!(
            compare(&a, &b, Tolerance::F32).unwrap_err().to_string(),
            "got u8 [2, 1], expected u8 [1, 2]"
        );
    }
}
