//! Statistics over measured times.

/// Order statistics of a sample, in the unit of the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Smallest.
    pub min: f64,
    /// Middle; the mean of the two middle ones in an even sample.
    pub median: f64,
    /// Smallest value that at least 90 of 100 do not exceed.
    pub p90: f64,
    /// The same of 95.
    pub p95: f64,
    /// The same of 99.
    pub p99: f64,
}

impl Statistics {
    /// `None` for an empty sample.
    pub fn of(sample: &[f64]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let middle = (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0;
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        Some(Self { min: sorted[0], median: middle, p90: rank(90), p95: rank(95), p99: rank(99) })
    }
}

/// The median of a sample; `None` for an empty one.
pub fn median(sample: &[f64]) -> Option<f64> {
    Statistics::of(sample).map(|statistics| statistics.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics_of_small_samples() {
        let check = |sample: &[f64], min, median, [p90, p95, p99]: [f64; 3]| {
            assert_eq!(Statistics::of(sample), Some(Statistics { min, median, p90, p95, p99 }), "{sample:?}");
        };
        check(&[7.0], 7.0, 7.0, [7.0; 3]);
        check(&[3.0, 1.0], 1.0, 2.0, [3.0; 3]);
        check(&[3.0, 1.0, 2.0], 1.0, 2.0, [3.0; 3]);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, 1.0, 50.5, [90.0, 95.0, 99.0]);
        assert_eq!(Statistics::of(&[]), None);
    }
}
