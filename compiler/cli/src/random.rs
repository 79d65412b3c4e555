//! Inputs where none are given: the same for the same name, type and shape, on every machine.
//!
//! Floats are normal with mean 0 and deviation 0.5, which keeps exponentials and f16 sums finite. 32- and 64-bit
//! integers are 0 or 1, mostly 1: indices into any table of two rows or more, and masks that let most through. Bytes
//! take their whole range, as pixels do.

use crate::host::byte_size;
use crate::host::{HostTensor, HostTensorError};
use drift_bundle::manifest::HostElement;
use half::{bf16, f16};

const DEVIATION: f64 = 0.5;

/// Random data for the input called `name`.
pub fn tensor(name: &str, element: HostElement, shape: &[u64]) -> Result<HostTensor, HostTensorError> {
    let too_large = || HostTensorError::TooLarge(shape.to_vec());
    let size = byte_size(element, shape).and_then(|size| usize::try_from(size).ok()).ok_or_else(too_large)?;
    let mut random = Random::for_name(name);
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        match element {
            HostElement::F32 => bytes.extend((random.normal() as f32).to_le_bytes()),
            HostElement::F16 => bytes.extend(f16::from_f64(random.normal()).to_le_bytes()),
            HostElement::I64 => bytes.extend(i64::from(random.mostly()).to_le_bytes()),
            HostElement::I32 => bytes.extend(i32::from(random.mostly()).to_le_bytes()),
            HostElement::Bool => bytes.push(random.mostly().into()),
            HostElement::I8 | HostElement::U8 => bytes.push(random.next().to_le_bytes()[7]),
            HostElement::I16 => bytes.extend(i16::from(random.mostly()).to_le_bytes()),
            HostElement::U16 => bytes.extend(u16::from(random.mostly()).to_le_bytes()),
            HostElement::U32 => bytes.extend(u32::from(random.mostly()).to_le_bytes()),
            HostElement::U64 => bytes.extend(u64::from(random.mostly()).to_le_bytes()),
            HostElement::Bf16 => bytes.extend(bf16::from_f64(random.normal()).to_le_bytes()),
            HostElement::I4 | HostElement::U4 | HostElement::I2 | HostElement::U2 => {
                let (low, high) = element.small_range().unwrap_or_default();
                let count = (i16::from(high) - i16::from(low) + 1) as u64;
                bytes.push(((random.next() >> 32) % count) as u8 + low.cast_unsigned());
            }
            HostElement::F8E4M3
            | HostElement::F8E4M3Fnuz
            | HostElement::F8E5M2
            | HostElement::F8E5M2Fnuz
            | HostElement::F8E8M0
            | HostElement::F4E2M1 => bytes.push(element.small_code(random.normal() as f32)),
        }
    }
    HostTensor::new(element, shape.to_vec(), bytes)
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// The same sequence for the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The state is the FNV-1a hash of the name, so that no input depends on the order or number of the others.
    fn for_name(name: &str) -> Self {
        let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0, at most 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The polar form of Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        DEVIATION * radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// True three times out of four.
    fn mostly(&mut self) -> bool {
        self.next() >> 62 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_the_stated_mean_and_deviation() {
        for element in [HostElement::F32, HostElement::F16] {
            let values = tensor("x", element, &[100, 100]).unwrap().to_f64();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 0.02, "{mean}");
            assert!((variance.sqrt() - DEVIATION).abs() < 0.02, "{variance}");
        }
    }

    #[test]
    fn integers_are_safe_as_indices_and_masks() {
        for element in [HostElement::I64, HostElement::I32, HostElement::Bool] {
            let values = tensor("ids", element, &[1000]).unwrap().to_f64();
            assert!(values.iter().all(|value| *value == 0.0 || *value == 1.0));
            let ones = values.iter().sum::<f64>();
            assert!((700.0..800.0).contains(&ones), "{ones}");
        }
    }

    #[test]
    fn the_name_alone_makes_the_difference() {
        let make = |name| tensor(name, HostElement::F32, &[8]).unwrap();
        assert_eq!(make("a"), make("a"));
        assert_ne!(make("a"), make("b"));
    }

    #[test]
    fn awkward_shapes_work() {
        assert_eq!(tensor("s", HostElement::F16, &[]).unwrap().to_f64().len(), 1);
        assert_eq!(tensor("e", HostElement::I64, &[3, 0]).unwrap().to_f64().len(), 0);
        assert!(tensor("huge", HostElement::I64, &[u64::MAX, 2]).is_err());
    }
}
