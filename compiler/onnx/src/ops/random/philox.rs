//! Philox4x32-10, a generator of random words that counts (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011).

use drift_ir::ElementType;
use std::f64::consts::PI;

/// A stream of random words.
pub(super) struct Philox {
    key: [u32; 2],
    counter: u128,
    words: [u32; 4],
    /// Words of the block that were given.
    taken: usize,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Philox {
    pub(super) fn new(key: u64) -> Self {
        Self { key: halves(key).map(|half| half as u32), counter: 0, words: [0; 4], taken: 4, spare: None }
    }

    /// The next random word.
    fn word(&mut self) -> u32 {
        if self.taken == 4 {
            let counter = std::array::from_fn(|word| (self.counter >> (32 * word)) as u32);
            self.words = block(counter, self.key);
            self.counter += 1;
            self.taken = 0;
        }
        self.taken += 1;
        self.words[self.taken - 1]
    }

    /// From 0 up to below 1, in steps that the type holds exactly, so that rounding makes no 1.
    pub(super) fn uniform(&mut self, element: ElementType) -> f64 {
        let bits = if element == ElementType::F16 { 11 } else { 24 };
        f64::from(self.word() >> (32 - bits)) / f64::from(1u32 << bits)
    }

    /// Of mean 0 and deviation 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // Above 0, so that the logarithm is finite.
        let radius = (f64::from(self.word()) + 1.0) / 4_294_967_296.0;
        let angle = 2.0 * PI * f64::from(self.word()) / 4_294_967_296.0;
        let radius = (-2.0 * radius.ln()).sqrt();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Low and high word.
fn halves(word: u64) -> [u64; 2] {
    [word & 0xffff_ffff, word >> 32]
}

/// Ten rounds.
fn block(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low_0, high_0] = halves(0xd251_1f53 * u64::from(counter[0])).map(|half| half as u32);
        let [low_1, high_1] = halves(0xcd9e_8d57 * u64::from(counter[2])).map(|half| half as u32);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the authors' Random123 1.14 (`kat_vectors`, philox4x32 10).
    #[test]
    fn blocks_are_those_of_random123() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(block(counter, key), expected);
        }
    }

    #[test]
    fn numbers_have_the_moments_of_their_distributions() {
        const COUNT: usize = 1 << 16;
        let moments = |numbers: Vec<f64>| {
            let mean = numbers.iter().sum::<f64>() / COUNT as f64;
            (mean, numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / COUNT as f64)
        };
        let mut philox = Philox::new(7);
        let (mean, variance) = moments((0..COUNT).map(|_| philox.normal()).collect());
        // Five deviations of the mean and of the variance.
        assert!(mean.abs() < 5.0 / 256.0 && (variance - 1.0).abs() < 5.0 * 2f64.sqrt() / 256.0);
        for element in [ElementType::F16, ElementType::F32] {
            let numbers: Vec<f64> = (0..COUNT).map(|_| philox.uniform(element)).collect();
            assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
            let (mean, variance) = moments(numbers);
            assert!((mean - 0.5).abs() < 0.006 && (variance - 1.0 / 12.0).abs() < 0.002, "{mean} {variance}");
        }
    }
}
