//! Floats of eight and fewer bits: values that f32 holds, and how a float is rounded to one.
//!
//! ONNX's `float8e4m3fn`, `float8e4m3fnuz`, `float8e5m2`, `float8e5m2fnuz`, `float4e2m1` and `float8e8m0`; `Cast` of operator sets 19 to 24 says what
//! becomes of numbers that they lack.

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SmallFloat {
    /// Four bits of exponent, three of mantissa; no infinity.
    E4M3,
    /// The same without a negative zero.
    E4M3Fnuz,
    /// Five bits of exponent, two of mantissa.
    E5M2,
    /// The same without an infinity and a negative zero.
    E5M2Fnuz,
    /// Two bits of exponent, one of mantissa; no infinity and no NaN.
    E2M1,
    /// A power of two from 2^-127 to 2^127, or NaN.
    E8M0,
}

/// To which number of a format a float goes, and what becomes of one beyond the largest. Where nothing else is said it goes to the nearest, of
/// two the even one, and becomes the largest beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SmallRounding {
    /// E4M3.
    E4M3,
    /// E4M3, NaN beyond the largest.
    E4M3Open,
    /// E4M3 without a negative zero.
    E4M3Fnuz,
    /// The same, NaN beyond the largest.
    E4M3FnuzOpen,
    /// E5M2.
    E5M2,
    /// E5M2, infinity beyond the largest.
    E5M2Open,
    /// E5M2 without a negative zero.
    E5M2Fnuz,
    /// The same, NaN beyond the largest.
    E5M2FnuzOpen,
    /// E2M1; zero of a NaN.
    E2M1,
    /// The next power of two, of two the larger one; NaN below zero.
    E8M0,
    /// A power of two that is no smaller.
    E8M0Up,
    /// A power of two that is no larger.
    E8M0Down,
}

impl SmallFloat {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::E4M3, Self::E4M3Fnuz, Self::E5M2, Self::E5M2Fnuz, Self::E2M1, Self::E8M0];

    /// Bits of the mantissa that are stored.
    pub const fn mantissa_bits(self) -> u32 {
        match self {
            Self::E4M3 | Self::E4M3Fnuz => 3,
            Self::E5M2 | Self::E5M2Fnuz => 2,
            Self::E2M1 => 1,
            Self::E8M0 => 0,
        }
    }

    /// Exponent of the least number with all bits of the mantissa.
    pub const fn least_exponent(self) -> i32 {
        match self {
            Self::E4M3 => -6,
            Self::E4M3Fnuz => -7,
            Self::E5M2 => -14,
            Self::E5M2Fnuz => -15,
            Self::E2M1 => 0,
            Self::E8M0 => -127,
        }
    }

    /// The largest number.
    pub const fn most(self) -> f64 {
        match self {
            Self::E4M3 => 448.0,
            Self::E4M3Fnuz => 240.0,
            Self::E5M2 | Self::E5M2Fnuz => 57344.0,
            Self::E2M1 => 6.0,
            // 2^127
            Self::E8M0 => 170_141_183_460_469_231_731_687_303_715_884_105_728.0,
        }
    }

    /// Whether it has an infinity.
    pub const fn has_infinity(self) -> bool {
        matches!(self, Self::E5M2)
    }

    /// Whether its zero has a sign.
    pub const fn has_negative_zero(self) -> bool {
        matches!(self, Self::E4M3 | Self::E5M2 | Self::E2M1)
    }

    /// The number that a byte stands for; of four bits the low ones.
    pub fn decode(self, byte: u8) -> f32 {
        if self == Self::E8M0 {
            return if byte == u8::MAX { f32::NAN } else { 2f32.powi(i32::from(byte) - 127) };
        }
        let sign_bit = if self == Self::E2M1 { 0x8 } else { 0x80 };
        let (sign, magnitude) = (byte & sign_bit, byte & (sign_bit - 1));
        let unsigned = match self {
            Self::E4M3 if magnitude == 0x7f => f32::NAN,
            Self::E4M3Fnuz | Self::E5M2Fnuz if byte == 0x80 => f32::NAN,
            Self::E5M2 if magnitude > 0x7c => f32::NAN,
            Self::E5M2 if magnitude == 0x7c => f32::INFINITY,
            _ => {
                let bits = self.mantissa_bits();
                let (exponent, mantissa) = (magnitude >> bits, magnitude & ((1 << bits) - 1));
                let lead = if exponent == 0 { 0 } else { 1 << bits };
                let unit = self.least_exponent() - bits as i32 + i32::from(exponent.max(1)) - 1;
                f32::from(lead + mantissa) * 2f32.powi(unit)
            }
        };
        if sign == 0 { unsigned } else { -unsigned }
    }
}

impl SmallRounding {
    /// The format.
    pub const fn format(self) -> SmallFloat {
        match self {
            Self::E4M3 | Self::E4M3Open => SmallFloat::E4M3,
            Self::E4M3Fnuz | Self::E4M3FnuzOpen => SmallFloat::E4M3Fnuz,
            Self::E5M2 | Self::E5M2Open => SmallFloat::E5M2,
            Self::E5M2Fnuz | Self::E5M2FnuzOpen => SmallFloat::E5M2Fnuz,
            Self::E2M1 => SmallFloat::E2M1,
            Self::E8M0 | Self::E8M0Up | Self::E8M0Down => SmallFloat::E8M0,
        }
    }

    /// What is beyond the largest.
    pub const fn beyond(self) -> f64 {
        match self {
            Self::E4M3Open | Self::E4M3FnuzOpen | Self::E5M2FnuzOpen => f64::NAN,
            Self::E5M2Open => f64::INFINITY,
            _ => self.format().most(),
        }
    }

    /// The number that a float becomes.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::E8M0 | Self::E8M0Up | Self::E8M0Down => self.scale(value),
            _ => nearest(self.format(), value, self.beyond()),
        }
    }

    /// A power of two; zero becomes the least, what has a negative sign NaN.
    fn scale(self, value: f64) -> f64 {
        let least = 2f64.powi(-127);
        if value.is_nan() || value < 0.0 {
            return f64::NAN;
        }
        if value <= least {
            return least;
        }
        let below = 2f64.powi(value.log2().floor().min(128.0) as i32);
        // A logarithm that was rounded up to a whole number.
        let below = if below > value { below / 2.0 } else { below };
        let rounded = match self {
            Self::E8M0Down => below,
            Self::E8M0Up if value > below => below * 2.0,
            Self::E8M0 if value >= below * 1.5 => below * 2.0,
            _ => below,
        };
        rounded.min(self.beyond())
    }
}

/// The nearest number of a format, of two the even one; `beyond` where that is larger than the largest. A format without NaN has zero for it.
fn nearest(format: SmallFloat, value: f64, beyond: f64) -> f64 {
    if value.is_nan() {
        return if format == SmallFloat::E2M1 { 0.0 } else { value };
    }
    let magnitude = value.abs();
    let exponent = if magnitude == 0.0 { i32::MIN } else { magnitude.log2().floor().min(200.0) as i32 };
    let unit = 2f64.powi(exponent.max(format.least_exponent()) - format.mantissa_bits() as i32);
    let rounded = (magnitude / unit).round_ties_even() * unit;
    let limited = if rounded > format.most() { beyond } else { rounded };
    if limited == 0.0 && !format.has_negative_zero() { 0.0 } else { limited.copysign(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that go to the nearest, with two for most formats.
    const NEAREST: [SmallRounding; 9] = [
        SmallRounding::E4M3,
        SmallRounding::E4M3Open,
        SmallRounding::E4M3Fnuz,
        SmallRounding::E4M3FnuzOpen,
        SmallRounding::E5M2,
        SmallRounding::E5M2Open,
        SmallRounding::E5M2Fnuz,
        SmallRounding::E5M2FnuzOpen,
        SmallRounding::E2M1,
    ];

    fn numbers(format: SmallFloat) -> Vec<f64> {
        let codes = if format == SmallFloat::E2M1 { 16 } else { 256 };
        (0..codes)
            .map(|code| f64::from(format.decode(code as u8)))
            .filter(|value| value.is_finite())
            .collect()
    }

    #[test]
    fn numbers_of_a_format_stay() {
        for rounding in NEAREST.into_iter().chain([SmallRounding::E8M0, SmallRounding::E8M0Up]) {
            let numbers = numbers(rounding.format());
            numbers.iter().for_each(|&value| assert_eq!(rounding.round(value), value, "{rounding:?}"));
            assert_eq!(numbers.into_iter().fold(0.0, f64::max), rounding.format().most());
        }
    }

    #[test]
    fn others_go_to_the_nearest() {
        for rounding in NEAREST {
            let (format, numbers) = (rounding.format(), numbers(rounding.format()));
            for step in -3900..3900 {
                let value = f64::from(step) * format.most() / 3900.0;
                let distance = |of: f64| (of - value).abs();
                let best = numbers.iter().map(|&number| distance(number)).fold(f64::INFINITY, f64::min);
                assert_eq!(distance(rounding.round(value)), best, "{rounding:?} {value}");
            }
        }
    }

    #[test]
    fn what_is_beyond_is_as_the_cast_says() {
        assert_eq!(SmallRounding::E4M3.round(1e6), 448.0);
        assert_eq!(SmallRounding::E5M2.round(f64::NEG_INFINITY), -57344.0);
        assert_eq!(SmallRounding::E5M2Open.round(1e6), f64::INFINITY);
        assert!(SmallRounding::E4M3Open.round(1e6).is_nan());
        assert_eq!(SmallRounding::E4M3Open.round(464.0), 448.0);
        assert_eq!(SmallRounding::E2M1.round(f64::INFINITY), 6.0);
        assert_eq!(SmallRounding::E8M0.round(1.5), 2.0);
        assert_eq!((SmallRounding::E8M0Up.round(1.1), SmallRounding::E8M0Down.round(1.9)), (2.0, 1.0));
        assert_eq!(SmallRounding::E8M0Up.round(0.0), 2f64.powi(-127));
        assert_eq!(SmallRounding::E8M0Up.round(f64::INFINITY), SmallFloat::E8M0.most());
    }
}
