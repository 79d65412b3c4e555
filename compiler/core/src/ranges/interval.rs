//! Intervals of numbers: ends are f64, so integers beyond 2^53 are approximate, far beyond what has to be told apart.

use drift_ir::ElementType;
use std::fmt;

/// Numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    /// The smallest.
    pub(super) low: f64,
    /// The largest.
    pub(super) high: f64,
}

impl Interval {
    pub(super) const ALL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    pub(super) const ZERO: Self = Self { low: 0.0, high: 0.0 };

    /// From `low` to `high`; everything where one of them is no number.
    pub(super) fn new(low: f64, high: f64) -> Self {
        match low.is_nan() || high.is_nan() {
            true => Self::ALL,
            false => Self { low, high },
        }
    }

    /// What elements of this type hold on a device.
    pub(super) fn stored(element: ElementType) -> Self {
        let (low, high) = match element {
            ElementType::I64 | ElementType::I32 => (i32::MIN.into(), i32::MAX.into()),
            ElementType::I8 => (i8::MIN.into(), i8::MAX.into()),
            ElementType::U8 => (0.0, u8::MAX.into()),
            ElementType::I16 => (i16::MIN.into(), i16::MAX.into()),
            ElementType::U16 => (0.0, u16::MAX.into()),
            ElementType::U32 | ElementType::U64 => (0.0, u32::MAX.into()),
            ElementType::Bool => (0.0, 1.0),
            ElementType::F16 | ElementType::F32 | ElementType::F64 => return Self::ALL,
        };
        Self { low, high }
    }

    /// Places on an axis of this size.
    pub(super) fn below(size: f64) -> Self {
        Self::new(0.0, (size - 1.0).max(0.0))
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// The smallest interval that holds both.
    pub(super) fn join(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// What of this is in another; the nearest end of that where nothing does.
    pub(super) fn within(self, other: Self) -> Self {
        Self { low: self.low.clamp(other.low, other.high), high: self.high.clamp(other.low, other.high) }
    }

    /// The largest distance from zero.
    pub(super) fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    pub(super) fn negate(self) -> Self {
        Self { low: -self.high, high: -self.low }
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        self.corners(other, |a, b| a * b)
    }

    /// As many of them added up.
    pub(super) fn times(self, count: f64) -> Self {
        self.multiply(Self::new(count, count))
    }

    /// The hull of a function that is monotonic in each argument, from the ends of both.
    pub(super) fn corners(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let values = [
            f(self.low, other.low),
            f(self.low, other.high),
            f(self.high, other.low),
            f(self.high, other.high),
        ];
        if values.iter().any(|value| value.is_nan()) {
            return Self::ALL;
        }
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        Self { low, high }
    }

    /// The hull of a monotonic function.
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (f(self.low), f(self.high));
        Self::new(a.min(b), a.max(b))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self == Self::ALL {
            true => f.write_str("any number"),
            false => write!(f, "{}..={}", self.low, self.high),
        }
    }
}
