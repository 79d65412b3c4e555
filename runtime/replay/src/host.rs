//! Values of the caller: which Rust types stand for which elements, and how they become what a device
//! computes with.

use drift_bundle::manifest::{DeviceElement, HostElement};
use half::{bf16, f16};

/// A Rust type that a tensor's elements can have: `f32`, [`half::f16`], [`half::bf16`], `i64`, `u64`, `i32`, `u32`, `i16`, `u16`, `i8`, `u8`, `bool`, and the bytes
/// of types of eight and fewer bits: [`F8E4M3`], [`F8E4M3Fnuz`], [`F8E5M2`], [`F8E5M2Fnuz`], [`F8E8M0`], [`F4E2M1`], [`I4`], [`U4`], [`I2`] and [`U2`].
pub trait HostScalar: sealed::Convert {
    /// The element that it stands for.
    const ELEMENT: HostElement;
}

/// Conversions between callers' values and devices' bytes.
pub(crate) mod sealed {
    use drift_bundle::manifest::DeviceElement;

    /// Kept apart from [`super::HostScalar`], so that the set of types stays closed.
    pub trait Convert: Copy + Default {
        /// Writes `values` as `device` elements. `Err` holds the position of a value that does not fit.
        fn to_device(values: &[Self], device: DeviceElement, out: &mut [u8]) -> Result<(), usize>;
        /// Reads as many `device` elements as `into` has places.
        fn from_device(bytes: &[u8], device: DeviceElement, into: &mut [Self]);
        /// Reads little-endian values.
        fn from_host(bytes: &[u8]) -> Vec<Self>;
        /// Appends little-endian values.
        fn to_host(values: &[Self], out: &mut Vec<u8>);
        /// The value as an integer, for messages about those that do not fit.
        fn as_i64(self) -> i64;
    }
}

fn write<const N: usize, T: Copy>(values: &[T], out: &mut [u8], bytes: impl Fn(T) -> [u8; N]) {
    for (value, place) in values.iter().zip(out.as_chunks_mut::<N>().0) {
        *place = bytes(*value);
    }
}

fn read_into<const N: usize, T>(bytes: &[u8], into: &mut [T], value: impl Fn([u8; N]) -> T) {
    for (bytes, place) in bytes.as_chunks::<N>().0.iter().zip(into) {
        *place = value(*bytes);
    }
}

fn read<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| value(*bytes)).collect()
}

fn mismatch(host: HostElement, device: DeviceElement) -> ! {
    unreachable!("verified: {host:?} is never {device:?} on a device")
}

macro_rules! host_scalar {
    ($type:ty, $element:ident, $size:literal, $as_i64:expr,
     { $($to:ident => $encode:expr),+ }, { $($from:ident => $decode:expr),+ },
     $from_bytes:expr, $to_bytes:expr) => {
        impl HostScalar for $type {
            const ELEMENT: HostElement = HostElement::$element;
        }

        impl sealed::Convert for $type {
            fn to_device(values: &[Self], device: DeviceElement, out: &mut [u8]) -> Result<(), usize> {
                match device {
                    $(DeviceElement::$to => write(values, out, $encode),)+
                    other => mismatch(Self::ELEMENT, other),
                }
                Ok(())
            }

            fn from_device(bytes: &[u8], device: DeviceElement, into: &mut [Self]) {
                match device {
                    $(DeviceElement::$from => read_into(bytes, into, $decode),)+
                    other => mismatch(Self::ELEMENT, other),
                }
            }

            fn from_host(bytes: &[u8]) -> Vec<Self> {
                read::<$size, _>(bytes, $from_bytes)
            }

            fn to_host(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|value| $to_bytes(*value)));
            }

            fn as_i64(self) -> i64 {
                $as_i64(self)
            }
        }
    };
}

host_scalar!(f32, F32, 4, |value| value as i64,
    { F32 => f32::to_le_bytes, F16 => |value| f16::from_f32(value).to_le_bytes() },
    { F32 => f32::from_le_bytes, F16 => |bytes| f16::from_le_bytes(bytes).to_f32() },
    f32::from_le_bytes, f32::to_le_bytes);
host_scalar!(f16, F16, 2, |value: f16| value.to_f32() as i64,
    { F16 => f16::to_le_bytes, F32 => |value| value.to_f32().to_le_bytes() },
    { F16 => f16::from_le_bytes, F32 => |bytes| f16::from_f32(f32::from_le_bytes(bytes)) },
    f16::from_le_bytes, f16::to_le_bytes);
host_scalar!(i32, I32, 4, i64::from,
    { I32 => i32::to_le_bytes }, { I32 => i32::from_le_bytes }, i32::from_le_bytes, i32::to_le_bytes);
// The low byte is what 8-bit arithmetic leaves, and devices compute with 32 bits.
host_scalar!(i8, I8, 1, i64::from,
    { I32 => |value| i32::from(value).to_le_bytes() }, { I32 => |bytes: [u8; 4]| bytes[0].cast_signed() },
    i8::from_le_bytes, i8::to_le_bytes);
host_scalar!(u8, U8, 1, i64::from,
    { I32 => |value| i32::from(value).to_le_bytes(), U32 => |value| u32::from(value).to_le_bytes() },
    { I32 => |bytes: [u8; 4]| bytes[0], U32 => |bytes: [u8; 4]| bytes[0] },
    u8::from_le_bytes, u8::to_le_bytes);
host_scalar!(bool, Bool, 1, i64::from,
    { U32 => |value| u32::from(value).to_le_bytes() }, { U32 => |bytes: [u8; 4]| bytes != [0; 4] },
    |bytes: [u8; 1]| bytes != [0], |value| [u8::from(value)]);

host_scalar!(bf16, Bf16, 2, |value: bf16| value.to_f32() as i64,
    { F32 => |value| value.to_f32().to_le_bytes(), F16 => |value| f16::from_f32(value.to_f32()).to_le_bytes() },
    { F32 => |bytes| bf16::from_f32(f32::from_le_bytes(bytes)), F16 => |bytes| bf16::from_f32(f16::from_le_bytes(bytes).to_f32()) },
    bf16::from_le_bytes, bf16::to_le_bytes);
// The low bits are what narrow arithmetic leaves.
host_scalar!(i16, I16, 2, i64::from,
    { I32 => |value| i32::from(value).to_le_bytes() },
    { I32 => |[low, high, _, _]| i16::from_le_bytes([low, high]) },
    i16::from_le_bytes, i16::to_le_bytes);
host_scalar!(u16, U16, 2, i64::from,
    { I32 => |value| i32::from(value).to_le_bytes() },
    { I32 => |[low, high, _, _]| u16::from_le_bytes([low, high]) },
    u16::from_le_bytes, u16::to_le_bytes);
// A device's i32 carries the bits.
host_scalar!(u32, U32, 4, i64::from,
    { I32 => u32::to_le_bytes }, { I32 => u32::from_le_bytes }, u32::from_le_bytes, u32::to_le_bytes);

/// Floats of eight and fewer bits, by their bits.
macro_rules! small_float {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub u8);

        impl $name {
            /// The value next to a number; what is beyond the largest becomes the largest, or the infinity of an infinity.
            pub fn from_f32(value: f32) -> Self {
                Self(HostElement::$name.small_code(value))
            }

            /// The number.
            pub fn to_f32(self) -> f32 {
                HostElement::$name.small_value(self.0)
            }
        }

        host_scalar!($name, $name, 1, |value: Self| value.to_f32() as i64,
            { F32 => |value| value.to_f32().to_le_bytes(), F16 => |value| f16::from_f32(value.to_f32()).to_le_bytes() },
            { F32 => |bytes| Self::from_f32(f32::from_le_bytes(bytes)), F16 => |bytes| Self::from_f32(f16::from_le_bytes(bytes).to_f32()) },
            |[byte]| Self(byte), |value: Self| [value.0]);
    )+};
}

small_float!(
    /// ONNX's `float8e4m3fn`.
    F8E4M3,
    /// ONNX's `float8e4m3fnuz`.
    F8E4M3Fnuz,
    /// ONNX's `float8e5m2`.
    F8E5M2,
    /// ONNX's `float8e5m2fnuz`.
    F8E5M2Fnuz,
    /// ONNX's `float8e8m0`.
    F8E8M0,
    /// ONNX's `float4e2m1`, in the low bits.
    F4E2M1
);

/// Integers that a device holds in an i32 but not all of whose host values it takes.
macro_rules! checked {
    ($type:ty, $element:ident, $size:literal, $as_i64:expr, $fits:expr, $encode:expr, $decode:expr, $from_bytes:expr, $to_bytes:expr) => {
        impl HostScalar for $type {
            const ELEMENT: HostElement = HostElement::$element;
        }

        impl sealed::Convert for $type {
            fn to_device(values: &[Self], device: DeviceElement, out: &mut [u8]) -> Result<(), usize> {
                if device != DeviceElement::I32 {
                    mismatch(Self::ELEMENT, device)
                }
                if let Some(index) = values.iter().position(|value| !$fits(*value)) {
                    return Err(index);
                }
                write(values, out, $encode);
                Ok(())
            }

            fn from_device(bytes: &[u8], device: DeviceElement, into: &mut [Self]) {
                if device != DeviceElement::I32 {
                    mismatch(Self::ELEMENT, device)
                }
                read_into(bytes, into, $decode);
            }

            fn from_host(bytes: &[u8]) -> Vec<Self> {
                read::<$size, _>(bytes, $from_bytes)
            }

            fn to_host(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|value| $to_bytes(*value)));
            }

            fn as_i64(self) -> i64 {
                $as_i64(self)
            }
        }
    };
}

checked!(
    i64,
    I64,
    8,
    |value| value,
    |value| i32::try_from(value).is_ok(),
    |value| (value as i32).to_le_bytes(),
    |bytes| i64::from(i32::from_le_bytes(bytes)),
    i64::from_le_bytes,
    i64::to_le_bytes
);
checked!(
    u64,
    U64,
    8,
    |value| i64::try_from(value).unwrap_or(i64::MAX),
    |value| u32::try_from(value).is_ok(),
    |value| (value as u32).to_le_bytes(),
    |bytes| u64::from(u32::from_le_bytes(bytes)),
    u64::from_le_bytes,
    u64::to_le_bytes
);

/// Integers of fewer than eight bits, in a byte each.
macro_rules! small_integer {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub i8);

        impl $name {
            fn fits(self) -> bool {
                Self::ELEMENT.small_range().is_some_and(|(low, high)| (low..=high).contains(&self.0))
            }

            /// What the low bits of a device's word stand for.
            fn of_word([byte, ..]: [u8; 4]) -> Self {
                let Some((low, high)) = Self::ELEMENT.small_range() else { return Self(0) };
                let count = i16::from(high) - i16::from(low) + 1;
                Self(((i16::from(byte.cast_signed()) - i16::from(low)).rem_euclid(count) + i16::from(low)) as i8)
            }
        }

        checked!($name, $name, 1, |value: Self| i64::from(value.0), Self::fits,
            |value: Self| i32::from(value.0).to_le_bytes(), Self::of_word,
            |[byte]: [u8; 1]| Self(byte.cast_signed()), |value: Self| [value.0.cast_unsigned()]);
    )+};
}

small_integer!(
    /// ONNX's `int4`: -8 to 7.
    I4,
    /// ONNX's `uint4`: 0 to 15.
    U4,
    /// ONNX's `int2`: -2 to 1.
    I2,
    /// ONNX's `uint2`: 0 to 3.
    U2
);

#[cfg(test)]
mod tests {
    use super::sealed::Convert;
    use super::*;

    #[track_caller]
    fn round_trip<T: HostScalar + PartialEq + std::fmt::Debug>(values: &[T], device: DeviceElement) {
        let mut bytes = vec![0; values.len() * device.size_bytes() as usize];
        T::to_device(values, device, &mut bytes).unwrap();
        let mut back = vec![T::default(); values.len()];
        T::from_device(&bytes, device, &mut back);
        assert_eq!(back, values);
        let mut raw = Vec::new();
        T::to_host(values, &mut raw);
        assert_eq!(raw.len() as u64, values.len() as u64 * T::ELEMENT.size_bytes());
        assert_eq!(T::from_host(&raw), values);
    }

    #[test]
    fn values_survive_the_way_to_a_device_and_back() {
        round_trip(&[0.0, -1.5, 3.0e30, f32::MIN_POSITIVE], DeviceElement::F32);
        round_trip(&[0.0_f32, -1.5, 65504.0], DeviceElement::F16);
        round_trip(&[f16::from_f32(-0.25), f16::MAX], DeviceElement::F16);
        round_trip(&[f16::from_f32(-0.25), f16::MAX], DeviceElement::F32);
        round_trip(&[i64::from(i32::MIN), -1, 0, i64::from(i32::MAX)], DeviceElement::I32);
        round_trip(&[i32::MIN, i32::MAX], DeviceElement::I32);
        round_trip(&[i8::MIN, -1, i8::MAX], DeviceElement::I32);
        round_trip(&[0_u8, 255], DeviceElement::I32);
        round_trip(&[0_u8, 255], DeviceElement::U32);
        round_trip(&[true, false], DeviceElement::U32);
        round_trip(&[i16::MIN, -1, i16::MAX], DeviceElement::I32);
        round_trip(&[0_u16, u16::MAX], DeviceElement::I32);
        round_trip(&[0_u32, 1 << 31, u32::MAX], DeviceElement::I32);
        round_trip(&[0_u64, u32::MAX.into()], DeviceElement::I32);
        round_trip(&[bf16::from_f32(-1.5), bf16::MAX, bf16::MIN_POSITIVE], DeviceElement::F32);
        round_trip(&[F8E4M3(0x7e), F8E4M3(0x81)], DeviceElement::F32);
        round_trip(&[F8E5M2(0x7c), F8E5M2(0x81)], DeviceElement::F16);
        round_trip(&[F4E2M1(0xf), F4E2M1(0)], DeviceElement::F32);
        round_trip(&[I4(-8), I4(7)], DeviceElement::I32);
        round_trip(&[U2(0), U2(3)], DeviceElement::I32);
    }

    #[test]
    fn what_small_integers_do_not_hold_is_pointed_at() {
        let mut word = [0; 4];
        assert_eq!(I4::to_device(&[I4(8)], DeviceElement::I32, &mut word), Err(0));
        assert_eq!(U4::to_device(&[U4(-1)], DeviceElement::I32, &mut word), Err(0));
        assert_eq!(u64::to_device(&[1 << 32], DeviceElement::I32, &mut word), Err(0));
        assert_eq!((I4::of_word([8, 0, 0, 0]), U2::of_word([255; 4])), (I4(-8), U2(3)));
    }

    #[test]
    fn a_64_bit_value_that_does_not_fit_is_pointed_at() {
        let values = [1, i64::from(i32::MAX) + 1, i64::MIN];
        assert_eq!(i64::to_device(&values, DeviceElement::I32, &mut [0; 12]), Err(1));
    }

    #[test]
    fn results_of_8_bit_arithmetic_wrap() {
        let (mut signed, mut unsigned) = ([0_i8], [0_u8]);
        i8::from_device(&300_i32.to_le_bytes(), DeviceElement::I32, &mut signed);
        u8::from_device(&(-1_i32).to_le_bytes(), DeviceElement::I32, &mut unsigned);
        assert_eq!((signed, unsigned), ([44], [255]));
    }
}
