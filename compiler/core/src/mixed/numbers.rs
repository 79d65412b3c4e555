//! What f16 does to numbers.

pub(super) use crate::physical::F16_MAX as MOST;
use drift_ir::{ElementType, Tensor};
use half::f16;

/// A tensor's elements as they are after a stay in f16.
pub(super) fn rounded(tensor: &Tensor) -> Tensor {
    let values: Vec<f32> =
        tensor.to_f32_vec().into_iter().map(|value| f16::from_f32(value).to_f32()).collect();
    Tensor::from_f32(tensor.shape().to_vec(), &values).unwrap_or_else(|_| tensor.clone())
}

/// Whether it holds what [`rounded`] is for.
pub(super) fn is_single(tensor: &Tensor) -> bool {
    tensor.element() == ElementType::F32
}

/// What is known of a tensor's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    /// The largest finite magnitude.
    pub(super) largest: f64,
    /// The smallest magnitude that is not zero; infinite where there is none.
    pub(super) smallest: f64,
    /// The root of the mean square of the finite ones.
    pub(super) rms: f64,
    /// The same of what rounding to f16 changes; of what becomes infinite all.
    pub(super) rounding: f64,
    /// Whether all are finite.
    pub(super) is_all_finite: bool,
}

impl Numbers {
    pub(super) fn of(values: &[f32]) -> Self {
        let (mut count, mut squares, mut errors) = (0_u64, 0.0, 0.0);
        let (mut largest, mut smallest) = (0.0_f64, f64::INFINITY);
        for &value in values.iter().filter(|value| value.is_finite()) {
            let (exact, half) = (f64::from(value), f64::from(f16::from_f32(value).to_f32()));
            count += 1;
            squares += exact * exact;
            errors += if half.is_finite() { (half - exact) * (half - exact) } else { exact * exact };
            largest = largest.max(exact.abs());
            if value != 0.0 {
                smallest = smallest.min(exact.abs());
            }
        }
        let mean = |sum: f64| if count == 0 { 0.0 } else { (sum / count as f64).sqrt() };
        let is_all_finite = count == values.len() as u64;
        Self { largest, smallest, rms: mean(squares), rounding: mean(errors), is_all_finite }
    }

    /// Rounding's share of the numbers.
    pub(super) fn relative_rounding(&self) -> f64 {
        if self.rms > 0.0 { self.rounding / self.rms } else { 0.0 }
    }
}

/// How far numbers are from what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Distance {
    /// The root of the mean square.
    pub(super) rms: f64,
    /// The largest; infinite where one is no number, or not finite, and the other is.
    pub(super) largest: f64,
}

impl Distance {
    pub(super) fn between(exact: &[f32], other: &[f32]) -> Self {
        Self::of(exact.iter().zip(other).map(|(&exact, &other)| difference(exact, other)))
    }

    fn of(differences: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut squares, mut largest) = (0_u64, 0.0, 0.0_f64);
        for difference in differences {
            count += 1;
            squares += difference * difference;
            largest = largest.max(difference.abs());
        }
        Self { rms: if count == 0 { 0.0 } else { (squares / count as f64).sqrt() }, largest }
    }

    /// What is left of the way to `all` when the ways to `parts` are gone.
    pub(super) fn rest(exact: &[f32], all: &[f32], parts: &[Vec<f32>]) -> Self {
        Self::of((0..exact.len()).map(|at| {
            let gone = |part: &Vec<f32>| difference(exact[at], part[at]);
            let rest = difference(exact[at], all[at]) - parts.iter().map(gone).sum::<f64>();
            // Infinities of the whole and of a part.
            if rest.is_nan() { f64::INFINITY } else { rest }
        }))
    }

    pub(super) fn is_finite(&self) -> bool {
        self.largest.is_finite() && self.rms.is_finite()
    }
}

fn difference(exact: f32, other: f32) -> f64 {
    let same = exact == other || exact.is_nan() && other.is_nan();
    match exact.is_finite() && other.is_finite() {
        _ if same => 0.0,
        true => f64::from(other) - f64::from(exact),
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_told_by_its_share() {
        let of = |values: &[f32]| Numbers::of(values).relative_rounding();
        assert_eq!(of(&[1.0, -2.0, 0.0]), 0.0);
        assert!((1e-5..5e-4).contains(&of(&[1.0001, 3.3333])));
        assert!(of(&[1e-7, 1e-9]) > 0.1, "digits are gone");
        assert_eq!(of(&[1e5]), 1.0, "nothing is left of what overflows");
        assert_eq!(Numbers::of(&[f32::INFINITY, -3.0]).largest, 3.0);
    }

    #[test]
    fn infinities_count_where_the_other_is_finite() {
        let inf = f32::INFINITY;
        assert_eq!(Distance::between(&[inf, f32::NAN, 1.0], &[inf, f32::NAN, 1.0]), Distance::default());
        assert!(!Distance::between(&[1.0], &[inf]).is_finite());
        assert!(!Distance::between(&[1.0], &[f32::NAN]).is_finite());
        let rest = Distance::rest(&[0.0, 0.0], &[3.0, 3.0], &[vec![1.0, 1.0], vec![2.0, 1.0]]);
        assert_eq!(rest.largest, 1.0);
    }
}
