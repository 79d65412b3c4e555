//! Floats of eight and fewer bits, one in a byte each, as callers give and get them.
//!
//! ONNX's types of these names (`TensorProto.DataType` 17 to 20, 23 and 24): the OCP formats E4M3 (finite, one NaN), E5M2, E2M1 and the scale
//! E8M0, and the variants of both eight-bit ones without a negative zero, whose one NaN has its bits.

use crate::manifest::HostElement;

/// How a byte is read: exponent, then mantissa, in the low bits.
struct Form {
    mantissa_bits: u32,
    bias: i32,
    /// The code of the largest finite magnitude.
    most: u8,
    /// Its NaN; one without has none.
    nan: Option<u8>,
    /// Its infinity.
    infinity: Option<u8>,
    /// The bit of the sign.
    sign: u8,
    /// Whether zero has a sign.
    negative_zero: bool,
}

impl HostElement {
    const fn form(self) -> Option<Form> {
        Some(match self {
            Self::F8E4M3 => Form {
                mantissa_bits: 3,
                bias: 7,
                most: 0x7e,
                nan: Some(0x7f),
                infinity: None,
                sign: 0x80,
                negative_zero: true,
            },
            Self::F8E4M3Fnuz => Form {
                mantissa_bits: 3,
                bias: 8,
                most: 0x7f,
                nan: Some(0x80),
                infinity: None,
                sign: 0x80,
                negative_zero: false,
            },
            Self::F8E5M2 => Form {
                mantissa_bits: 2,
                bias: 15,
                most: 0x7b,
                nan: Some(0x7e),
                infinity: Some(0x7c),
                sign: 0x80,
                negative_zero: true,
            },
            Self::F8E5M2Fnuz => Form {
                mantissa_bits: 2,
                bias: 16,
                most: 0x7f,
                nan: Some(0x80),
                infinity: None,
                sign: 0x80,
                negative_zero: false,
            },
            Self::F4E2M1 => Form {
                mantissa_bits: 1,
                bias: 1,
                most: 0x7,
                nan: None,
                infinity: None,
                sign: 0x8,
                negative_zero: true,
            },
            _ => return None,
        })
    }

    /// The number that a byte of a small float type stands for; the bits that a type of four bits lacks are not looked at. Zero for
    /// other types.
    pub fn small_value(self, byte: u8) -> f32 {
        if self == Self::F8E8M0 {
            return if byte == 0xff { f32::NAN } else { 2f32.powi(i32::from(byte) - 127) };
        }
        let Some(form) = self.form() else { return 0.0 };
        let magnitude = byte & (form.sign - 1);
        let sign = if byte & form.sign != 0 { -1.0 } else { 1.0 };
        if form.nan == Some(byte)
            || (form.nan.is_some() && magnitude > form.most && form.infinity != Some(magnitude))
        {
            return f32::NAN;
        }
        if form.infinity == Some(magnitude) {
            return sign * f32::INFINITY;
        }
        sign * form.finite(magnitude)
    }

    /// The byte of the number next to `value`, of two the even one. What is beyond the largest becomes the largest, but for an infinity where the
    /// type has one; a NaN of a type without becomes zero. Zero for other types.
    pub fn small_code(self, value: f32) -> u8 {
        if self == Self::F8E8M0 {
            return scale_code(value);
        }
        let Some(form) = self.form() else { return 0 };
        let sign = if value.is_sign_negative() { form.sign } else { 0 };
        if value.is_nan() {
            return form.nan.unwrap_or(0);
        }
        if let (true, Some(infinity)) = (value.is_infinite(), form.infinity) {
            return sign | infinity;
        }
        let magnitude = form.nearest(value.abs());
        if magnitude == 0 && !form.negative_zero { 0 } else { sign | magnitude }
    }
}

impl Form {
    /// The number of a finite magnitude.
    fn finite(&self, magnitude: u8) -> f32 {
        let exponent = i32::from(magnitude >> self.mantissa_bits);
        let mantissa = f32::from(magnitude & ((1 << self.mantissa_bits) - 1));
        let unit = 2f32.powi(exponent.max(1) - self.bias - self.mantissa_bits as i32);
        let whole = if exponent == 0 { 0.0 } else { f32::from(1u8 << self.mantissa_bits) };
        (whole + mantissa) * unit
    }

    /// The code of the finite magnitude next to a number.
    fn nearest(&self, value: f32) -> u8 {
        // Codes are in the order of their numbers.
        let above = (0..=self.most).find(|&code| self.finite(code) >= value).unwrap_or(self.most);
        let Some(below) = above.checked_sub(1) else { return above };
        let (up, down) = (self.finite(above) - value, value - self.finite(below));
        if down < up || down == up && below % 2 == 0 { below } else { above }
    }
}

/// The power of two next to a number, of two the larger one; a NaN of what has none: NaN, zero and below.
fn scale_code(value: f32) -> u8 {
    if value.is_nan() || value <= 0.0 {
        return if value == 0.0 { 0 } else { 0xff };
    }
    let nearest = (0..=0xfe_u8).min_by(|&a, &b| {
        let distance = |code| (f64::from(HostElement::F8E8M0.small_value(code)) - f64::from(value)).abs();
        distance(a).total_cmp(&distance(b)).then(b.cmp(&a))
    });
    nearest.unwrap_or(0xfe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [HostElement; 6] = [
        HostElement::F8E4M3,
        HostElement::F8E4M3Fnuz,
        HostElement::F8E5M2,
        HostElement::F8E5M2Fnuz,
        HostElement::F8E8M0,
        HostElement::F4E2M1,
    ];

    #[test]
    fn every_byte_survives() {
        for element in ALL {
            let most = if element == HostElement::F4E2M1 { 15 } else { 255 };
            for byte in 0..=most {
                let value = element.small_value(byte);
                let again = element.small_code(value);
                match value.is_nan() {
                    true => assert!(element.small_value(again).is_nan(), "{element:?} {byte:#x}"),
                    false => assert_eq!(again, byte, "{element:?} {value}"),
                }
            }
        }
    }

    #[test]
    fn ends_and_ties_are_those_of_the_formats() {
        let most = |element: HostElement| element.small_value(element.small_code(f32::MAX));
        let ends = [448.0, 240.0, 57344.0, 57344.0, 2f32.powi(127), 6.0];
        assert_eq!(ALL.map(most), ends);
        assert_eq!(HostElement::F8E5M2.small_value(0x7c), f32::INFINITY);
        assert_eq!(HostElement::F8E5M2.small_code(f32::NEG_INFINITY), 0xfc);
        assert_eq!(HostElement::F8E4M3Fnuz.small_code(-0.0), 0);
        let fours = [0.25, 0.75, 1.25, 2.5, 5.0, 7.0]
            .map(|x| HostElement::F4E2M1.small_value(HostElement::F4E2M1.small_code(x)));
        assert_eq!(fours, [0.0, 1.0, 1.0, 2.0, 4.0, 6.0]);
        assert_eq!(HostElement::F8E4M3.small_value(0x01), 2f32.powi(-9));
        assert_eq!(HostElement::F8E8M0.small_value(0), 2f32.powi(-127));
    }
}
