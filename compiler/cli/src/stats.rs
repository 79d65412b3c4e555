//! Statistics over measured times.

/// Order statistics of a sample, in the unit of the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Smallest.
    pub min: f64,
    /// Middle; the mean of the two middle ones in an even sample.
    pub median: f64,
    /// Smallest value that at least 95 of 100 do not exceed.
    pub p95: f64,
}

impl Statistics {
    /// `None` for an empty sample.
    pub fn of(sample: &[f64]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let middle = (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0;
        let rank = (sorted.len() * 95).div_ceil(100) - 1;
        Some(Self { min: sorted[0], median: middle, p95: sorted[rank] })
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
        let check = |sample: &[f64], min, median, p95| {
            assert_eq!(Statistics::of(sample), Some(Statistics { min, median, p95 }), "{sample:?}");
        };
        check(&[7.0], 7.0, 7.0, 7.0);
        check(&[3.0, 1.0], 1.0, 2.0, 3.0);
        check(&[3.0, 1.0, 2.0], 1.0, 2.0, 3.0);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, 1.0, 50.5, 95.0);
        assert_eq!(Statistics::of(&[]), None);
    }
}
