//! Types of inputs and outputs as callers have them.

use super::DeviceElement;
use serde::{Deserialize, Serialize};

/// Element type of an input or output as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HostElement {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Signed 64-bit; range-checked to i32 at the boundary.
    I64,
    /// Signed 32-bit.
    I32,
    /// Signed 8-bit.
    I8,
    /// Unsigned 8-bit.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// Signed 16-bit.
    I16,
    /// Unsigned 16-bit.
    U16,
    /// Unsigned 32-bit.
    U32,
    /// Unsigned 64-bit; range-checked to u32 at the boundary.
    U64,
    /// The upper half of an IEEE single.
    Bf16,
    /// Four bits of exponent, three of mantissa, finite; one byte, as are all that follow.
    F8E4M3,
    /// The same without a negative zero.
    F8E4M3Fnuz,
    /// Five bits of exponent, two of mantissa.
    F8E5M2,
    /// The same, finite and without a negative zero.
    F8E5M2Fnuz,
    /// A power of two.
    F8E8M0,
    /// Two bits of exponent, one of mantissa, finite, in the low bits of a byte.
    F4E2M1,
    /// Signed 4-bit, as a byte from -8 to 7.
    I4,
    /// Unsigned 4-bit, as a byte to 15.
    U4,
    /// Signed 2-bit, as a byte from -2 to 1.
    I2,
    /// Unsigned 2-bit, as a byte to 3.
    U2,
}

impl HostElement {
    /// Every type, in the order of the enum.
    pub const ALL: [Self; 22] = [
        Self::F32,
        Self::F16,
        Self::I64,
        Self::I32,
        Self::I8,
        Self::U8,
        Self::Bool,
        Self::I16,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Bf16,
        Self::F8E4M3,
        Self::F8E4M3Fnuz,
        Self::F8E5M2,
        Self::F8E5M2Fnuz,
        Self::F8E8M0,
        Self::F4E2M1,
        Self::I4,
        Self::U4,
        Self::I2,
        Self::U2,
    ];

    /// Its name in driftc's texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bf16 => "bf16",
            Self::F8E4M3 => "f8e4m3",
            Self::F8E4M3Fnuz => "f8e4m3fnuz",
            Self::F8E5M2 => "f8e5m2",
            Self::F8E5M2Fnuz => "f8e5m2fnuz",
            Self::F8E8M0 => "f8e8m0",
            Self::F4E2M1 => "f4e2m1",
            Self::I4 => "i4",
            Self::U4 => "u4",
            Self::I2 => "i2",
            Self::U2 => "u2",
        }
    }

    /// Whether its values are floats.
    pub const fn is_float(self) -> bool {
        matches!(
            self,
            Self::F32
                | Self::F16
                | Self::Bf16
                | Self::F8E4M3
                | Self::F8E4M3Fnuz
                | Self::F8E5M2
                | Self::F8E5M2Fnuz
                | Self::F8E8M0
                | Self::F4E2M1
        )
    }

    /// The least and the largest of integers of fewer than eight bits.
    pub const fn small_range(self) -> Option<(i8, i8)> {
        Some(match self {
            Self::I4 => (-8, 7),
            Self::U4 => (0, 15),
            Self::I2 => (-2, 1),
            Self::U2 => (0, 3),
            _ => return None,
        })
    }

    /// Size of one element.
    pub const fn size_bytes(self) -> u64 {
        match self {
            Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8
            | Self::U8
            | Self::Bool
            | Self::F8E4M3
            | Self::F8E4M3Fnuz
            | Self::F8E5M2
            | Self::F8E5M2Fnuz
            | Self::F8E8M0
            | Self::F4E2M1
            | Self::I4
            | Self::U4
            | Self::I2
            | Self::U2 => 1,
        }
    }

    /// Whether a device can hold a tensor of this type as `device`; the runtime converts at the boundary.
    pub const fn fits(self, device: DeviceElement) -> bool {
        match self {
            Self::F32
            | Self::F16
            | Self::Bf16
            | Self::F8E4M3
            | Self::F8E4M3Fnuz
            | Self::F8E5M2
            | Self::F8E5M2Fnuz
            | Self::F8E8M0
            | Self::F4E2M1 => matches!(device, DeviceElement::F32 | DeviceElement::F16),
            Self::I64
            | Self::I32
            | Self::I8
            | Self::I16
            | Self::U16
            | Self::U32
            | Self::U64
            | Self::I4
            | Self::U4
            | Self::I2
            | Self::U2 => matches!(device, DeviceElement::I32),
            Self::U8 => matches!(device, DeviceElement::I32 | DeviceElement::U32),
            Self::Bool => matches!(device, DeviceElement::U32),
        }
    }
}
