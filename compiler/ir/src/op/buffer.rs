//! Working storage of the evaluator: wider than the element types, so that rounding happens where it is meant to.

use crate::tensor::{ElementType, Tensor, TensorError};
use half::f16;

/// Elements while they are computed with: f16 as f32, bool and every integer as i64. Of u64 that holds the bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
}

/// A result before the epilogue: moved data as it is, computed data not yet rounded to its element type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    Tensor(Tensor),
    Buffer(Buffer),
}

/// Floats as the evaluator computes with them: every step in f64, rounded to the buffer's type.
pub(crate) trait Real: Copy + Default {
    fn wide(self) -> f64;
    fn narrow(value: f64) -> Self;
}

impl Real for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn narrow(value: f64) -> Self {
        value as Self
    }
}

impl Real for f64 {
    fn wide(self) -> f64 {
        self
    }

    fn narrow(value: f64) -> Self {
        value
    }
}

/// Keeps the low bits of an integer that its type has.
pub(crate) fn wrap(value: i64, element: ElementType) -> i64 {
    match element {
        ElementType::I32 => i64::from(value as i32),
        ElementType::I8 => i64::from(value as i8),
        ElementType::U8 => i64::from(value as u8),
        ElementType::I16 => i64::from(value as i16),
        ElementType::U16 => i64::from(value as u16),
        ElementType::U32 => i64::from(value as u32),
        ElementType::Bool => i64::from(value != 0),
        ElementType::I64 | ElementType::U64 | ElementType::F32 | ElementType::F16 | ElementType::F64 => value,
    }
}

/// A number in the order of its type: of u64 a buffer has the bits, whose upper half are negative numbers. Its own inverse.
pub(crate) fn in_order(value: i64, element: ElementType) -> i64 {
    if element == ElementType::U64 { value ^ i64::MIN } else { value }
}

/// An integer as a float.
fn as_float(value: i64, element: ElementType) -> f64 {
    if element == ElementType::U64 { value.cast_unsigned() as f64 } else { value as f64 }
}

/// Truncates toward zero and saturates at the type's ends; NaN gives 0.
fn saturate(value: f64, element: ElementType) -> i64 {
    match element {
        ElementType::I32 => i64::from(value as i32),
        ElementType::I8 => i64::from(value as i8),
        ElementType::U8 => i64::from(value as u8),
        ElementType::I16 => i64::from(value as i16),
        ElementType::U16 => i64::from(value as u16),
        ElementType::U32 => i64::from(value as u32),
        ElementType::U64 => (value as u64).cast_signed(),
        ElementType::Bool => i64::from(value != 0.0),
        ElementType::I64 | ElementType::F32 | ElementType::F16 | ElementType::F64 => value as i64,
    }
}

impl Buffer {
    pub(crate) fn from_tensor(tensor: &Tensor) -> Self {
        match tensor.element() {
            ElementType::F32 | ElementType::F16 => Self::F32(tensor.to_f32_vec()),
            ElementType::F64 => Self::F64(tensor.to_f64_vec()),
            ElementType::I64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64
            | ElementType::Bool => Self::Int(tensor.to_i64_vec()),
        }
    }

    /// One element of a type.
    pub(crate) fn constant(value: f64, element: ElementType) -> Self {
        match element {
            ElementType::F32 | ElementType::F16 => Self::F32(vec![value as f32]),
            ElementType::F64 => Self::F64(vec![value]),
            ElementType::I64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64
            | ElementType::Bool => Self::Int(vec![saturate(value, element)]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Int(values) => values.len(),
        }
    }

    /// Rounds to the element type and stores. The buffer has the kind that the element type computes in.
    pub(crate) fn into_tensor(self, element: ElementType, shape: &[u64]) -> Result<Tensor, TensorError> {
        match self {
            Self::F32(values) => Tensor::from_f32_as(element, shape, &values),
            Self::F64(values) => Tensor::from_f64_as(element, shape, &values),
            Self::Int(values) => Tensor::from_i64_as(element, shape, &values),
        }
    }

    /// Repeats elements of shape `from` to the shape `to`, to which inference found that it broadcasts.
    pub(crate) fn broadcast(&self, from: &[u64], to: &[u64]) -> Self {
        use crate::op::strided::broadcast_copy;
        let repeated = match self {
            Self::F32(values) => broadcast_copy(values, from, to).map(Self::F32),
            Self::F64(values) => broadcast_copy(values, from, to).map(Self::F64),
            Self::Int(values) => broadcast_copy(values, from, to).map(Self::Int),
        };
        repeated.expect("inferred: the operand broadcasts to the result")
    }

    /// Converts elements of type `from` as the op `cast` states.
    pub(crate) fn cast(&self, from: ElementType, to: ElementType) -> Self {
        match (self, to) {
            (Self::F32(values), ElementType::F32) => Self::F32(values.clone()),
            (Self::F64(values), ElementType::F64) => Self::F64(values.clone()),
            (Self::F32(values), _) => {
                cast_each(values, to, f64::from, |value| saturate(f64::from(value), to))
            }
            (Self::F64(values), _) => cast_each(values, to, |value| value, |value| saturate(value, to)),
            (Self::Int(values), _) => {
                cast_each(values, to, |value| as_float(value, from), |value| wrap(value, to))
            }
        }
    }
}

fn cast_each<T: Copy>(
    values: &[T],
    to: ElementType,
    as_float: impl Fn(T) -> f64,
    as_int: impl Fn(T) -> i64,
) -> Buffer {
    let each = values.iter().copied();
    match to {
        ElementType::F32 => Buffer::F32(each.map(|value| as_float(value) as f32).collect()),
        ElementType::F16 => Buffer::F32(each.map(|value| f16::from_f64(as_float(value)).to_f32()).collect()),
        ElementType::F64 => Buffer::F64(each.map(as_float).collect()),
        ElementType::I64
        | ElementType::I32
        | ElementType::I8
        | ElementType::U8
        | ElementType::I16
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::Bool => Buffer::Int(each.map(as_int).collect()),
    }
}
