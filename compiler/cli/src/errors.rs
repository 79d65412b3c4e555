//! How large the differences of an output are, over all its elements.

use serde::Serialize;
use std::fmt;

/// Steps a decade: a percentile is rounded up to the next, by 15 % at most.
const STEPS: i32 = 16;
/// The decades that are told apart, as powers of ten: below is counted as the smallest, above as the largest.
const DECADES: std::ops::Range<i32> = -12..6;

/// Absolute differences of elements, counted by their size. Takes the same memory for any number of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    /// Elements.
    elements: u64,
    /// Those without any difference.
    equal: u64,
    /// Those where only one side is finite or a number.
    not_finite: u64,
    sum: f64,
    squares: f64,
    /// Finite differences above zero by size, smallest first; empty where there are none.
    counts: Vec<u64>,
}

/// What `verify` says of an output's differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorsJson {
    /// Elements compared.
    pub elements: u64,
    /// Those that are equal, bit for bit or as numbers.
    pub equal: u64,
    /// Those where only one side is finite or a number; they are in none of the following.
    pub not_finite: u64,
    /// Mean of the absolute differences.
    pub mean_abs: f64,
    /// Square root of the mean of their squares.
    pub rms_abs: f64,
    /// Half of the differences are not larger, rounded up by 15 % at most, as are the next two.
    pub p50_abs: f64,
    /// 90 of 100 are not larger.
    pub p90_abs: f64,
    /// 99 of 100 are not larger.
    pub p99_abs: f64,
    /// How many are in each decade, without those that are equal.
    pub histogram: Vec<DecadeJson>,
}

/// One decade of differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecadeJson {
    /// Its end: differences from a tenth of it on.
    pub below: f64,
    /// How many there are.
    pub elements: u64,
}

impl Errors {
    /// Counts the difference of one element; infinite where only one side is finite.
    pub fn count(&mut self, difference: f64) {
        self.elements += 1;
        if difference == 0.0 {
            self.equal += 1;
        } else if difference.is_finite() {
            self.sum += difference;
            self.squares += difference * difference;
            let steps = (DECADES.len() as i32) * STEPS;
            let step = (difference.log10() * f64::from(STEPS)).floor() as i32 - DECADES.start * STEPS;
            self.counts.resize(steps as usize, 0);
            self.counts[step.clamp(0, steps - 1) as usize] += 1;
        } else {
            self.not_finite += 1;
        }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.elements += other.elements;
        self.equal += other.equal;
        self.not_finite += other.not_finite;
        self.sum += other.sum;
        self.squares += other.squares;
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (own, other) in self.counts.iter_mut().zip(&other.counts) {
            *own += other;
        }
    }

    /// Statistics over all that was counted.
    pub fn report(&self) -> ErrorsJson {
        let finite = self.elements - self.not_finite;
        let mean = |sum: f64| if finite == 0 { 0.0 } else { sum / finite as f64 };
        let decades = self.counts.chunks(STEPS as usize).zip(DECADES);
        let decades = decades
            .map(|(steps, power)| DecadeJson { below: 10_f64.powi(power + 1), elements: steps.iter().sum() });
        ErrorsJson {
            elements: self.elements,
            equal: self.equal,
            not_finite: self.not_finite,
            mean_abs: mean(self.sum),
            rms_abs: mean(self.squares).sqrt(),
            p50_abs: self.percentile(50),
            p90_abs: self.percentile(90),
            p99_abs: self.percentile(99),
            histogram: decades.filter(|decade| decade.elements > 0).collect(),
        }
    }

    /// The end of the step in which so many of a hundred are reached.
    fn percentile(&self, percent: u64) -> f64 {
        let wanted = ((self.elements - self.not_finite) as u128 * u128::from(percent)).div_ceil(100) as u64;
        let mut reached = self.equal;
        if reached >= wanted {
            return 0.0;
        }
        for (step, count) in self.counts.iter().enumerate() {
            reached += count;
            if reached >= wanted {
                let end = step as i32 + 1 + DECADES.start * STEPS;
                return 10_f64.powf(f64::from(end) / f64::from(STEPS));
            }
        }
        0.0
    }
}

impl fmt::Display for ErrorsJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, equal, not_finite, mean_abs, rms_abs, p50_abs, p90_abs, p99_abs, histogram } =
            self;
        write!(
            f,
            "mean {mean_abs:.1e}, rms {rms_abs:.1e}, p50 {p50_abs:.1e}, p90 {p90_abs:.1e}, p99 {p99_abs:.1e}; of {elements} elements \
             {equal} equal"
        )?;
        for DecadeJson { below, elements } in histogram {
            write!(f, ", {elements} below {below:.0e}")?;
        }
        if *not_finite > 0 { write!(f, ", {not_finite} not finite") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(differences: &[f64]) -> Errors {
        let mut errors = Errors::default();
        differences.iter().for_each(|&difference| errors.count(difference));
        errors
    }

    #[test]
    fn percentiles_are_within_a_step() {
        let errors = counted(&(1..=1000).map(|n| f64::from(n) * 1e-6).collect::<Vec<_>>()).report();
        assert!((errors.mean_abs - 500.5e-6).abs() < 1e-9, "{errors:?}");
        for (found, exact) in [(errors.p50_abs, 500e-6), (errors.p90_abs, 900e-6), (errors.p99_abs, 990e-6)] {
            assert!(found >= exact && found <= exact * 1.16, "{found} {exact}");
        }
        let decades: Vec<u64> = errors.histogram.iter().map(|decade| decade.elements).collect();
        // A power of ten may be on either side of its border.
        assert_eq!(decades.iter().sum::<u64>(), 1000);
        assert!(decades.contains(&900) || decades.contains(&899) || decades.contains(&901), "{decades:?}");
    }

    #[test]
    fn equal_and_infinite_ones_stand_apart() {
        let errors = counted(&[0.0, 0.0, 0.0, f64::INFINITY, 0.5]).report();
        assert_eq!((errors.elements, errors.equal, errors.not_finite), (5, 3, 1));
        assert_eq!((errors.p50_abs, errors.mean_abs), (0.0, 0.125));
        assert_eq!(errors.histogram, [DecadeJson { below: 1.0, elements: 1 }]);
        let (mut both, other) = (counted(&[0.0]), counted(&[2.0]));
        both.add(&other);
        assert_eq!((both.report().elements, both.report().rms_abs), (2, 2_f64.sqrt()));
        assert_eq!(Errors::default().report().p99_abs, 0.0);
        assert_eq!(counted(&[1e-300, 1e300]).report().histogram.len(), 2);
    }
}
