//! Tensors from slices and to vectors. Reads need no alignment; every element type converts to every vector.
//!
//! Conversions: float to integer truncates toward zero and saturates (NaN gives 0); integer to a narrower integer
//! keeps the low bits; to a narrower float rounds to nearest even; anything to bool is `!= 0`.

use super::{ElementType, Tensor, TensorError, byte_length, checked_product};
use bytes::Bytes;
use half::f16;

macro_rules! from_slice {
    ($(#[$doc:meta])* $name:ident, $scalar:ty, $element:ident) => {
        $(#[$doc])*
        pub fn $name(shape: impl Into<Vec<u64>>, values: &[$scalar]) -> Result<Self, TensorError> {
            Self::from_elements(ElementType::$element, shape.into(), values, |value| value.to_le_bytes())
        }
    };
}

impl Tensor {
    fn from_elements<T: Copy, const SIZE: usize>(
        element: ElementType,
        shape: Vec<u64>,
        values: &[T],
        encode: impl Fn(T) -> [u8; SIZE],
    ) -> Result<Self, TensorError> {
        let Some(expected) = byte_length(element, &shape).and(checked_product(&shape)) else {
            return Err(TensorError::TooLarge { shape });
        };
        if expected != values.len() as u64 {
            return Err(TensorError::Length {
                element,
                shape,
                expected,
                actual: values.len() as u64,
                unit: SIZE,
            });
        }
        let mut bytes = Vec::with_capacity(values.len() * SIZE);
        for &value in values {
            bytes.extend_from_slice(&encode(value));
        }
        Self::new(element, shape, Bytes::from(bytes))
    }

    from_slice!(
        /// An f32 tensor.
        from_f32, f32, F32
    );
    from_slice!(
        /// An f16 tensor.
        from_f16, f16, F16
    );
    from_slice!(
        /// An f64 tensor.
        from_f64, f64, F64
    );
    from_slice!(
        /// An i64 tensor.
        from_i64, i64, I64
    );
    from_slice!(
        /// An i32 tensor.
        from_i32, i32, I32
    );
    from_slice!(
        /// An i8 tensor.
        from_i8, i8, I8
    );
    from_slice!(
        /// A u8 tensor.
        from_u8, u8, U8
    );

    /// An f16 tensor from bit patterns.
    pub fn from_f16_bits(shape: impl Into<Vec<u64>>, bits: &[u16]) -> Result<Self, TensorError> {
        Self::from_elements(ElementType::F16, shape.into(), bits, u16::to_le_bytes)
    }

    /// A bool tensor.
    pub fn from_bool(shape: impl Into<Vec<u64>>, values: &[bool]) -> Result<Self, TensorError> {
        Self::from_elements(ElementType::Bool, shape.into(), values, |value| [u8::from(value)])
    }

    /// A tensor of any element type from f64 values, converted as the file's head states.
    pub fn from_f64_as(
        element: ElementType,
        shape: impl Into<Vec<u64>>,
        values: &[f64],
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        match element {
            ElementType::F32 => {
                Self::from_elements(element, shape, values, |value| (value as f32).to_le_bytes())
            }
            ElementType::F16 => {
                Self::from_elements(element, shape, values, |value| f16::from_f64(value).to_le_bytes())
            }
            ElementType::F64 => Self::from_elements(element, shape, values, f64::to_le_bytes),
            ElementType::I64 => {
                Self::from_elements(element, shape, values, |value| (value as i64).to_le_bytes())
            }
            ElementType::I32 => {
                Self::from_elements(element, shape, values, |value| (value as i32).to_le_bytes())
            }
            ElementType::I8 => {
                Self::from_elements(element, shape, values, |value| (value as i8).to_le_bytes())
            }
            ElementType::U8 => Self::from_elements(element, shape, values, |value| [value as u8]),
            ElementType::I16 => {
                Self::from_elements(element, shape, values, |value| (value as i16).to_le_bytes())
            }
            ElementType::U16 => {
                Self::from_elements(element, shape, values, |value| (value as u16).to_le_bytes())
            }
            ElementType::U32 => {
                Self::from_elements(element, shape, values, |value| (value as u32).to_le_bytes())
            }
            ElementType::U64 => {
                Self::from_elements(element, shape, values, |value| (value as u64).to_le_bytes())
            }
            ElementType::Bool => {
                Self::from_elements(element, shape, values, |value| [u8::from(value != 0.0)])
            }
        }
    }

    /// A tensor of any element type from f32 values, converted as the file's head states.
    pub fn from_f32_as(
        element: ElementType,
        shape: impl Into<Vec<u64>>,
        values: &[f32],
    ) -> Result<Self, TensorError> {
        match element {
            ElementType::F32 => Self::from_f32(shape, values),
            ElementType::F16 => {
                Self::from_elements(element, shape.into(), values, |value| f16::from_f32(value).to_le_bytes())
            }
            ElementType::F64
            | ElementType::I64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64
            | ElementType::Bool => {
                let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
                Self::from_f64_as(element, shape, &values)
            }
        }
    }

    /// A tensor of any element type from i64 values, converted as the file's head states.
    pub fn from_i64_as(
        element: ElementType,
        shape: impl Into<Vec<u64>>,
        values: &[i64],
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        match element {
            ElementType::F32 => {
                Self::from_elements(element, shape, values, |value| (value as f32).to_le_bytes())
            }
            ElementType::F16 => {
                Self::from_elements(element, shape, values, |value| f16::from_f64(value as f64).to_le_bytes())
            }
            ElementType::F64 => {
                Self::from_elements(element, shape, values, |value| (value as f64).to_le_bytes())
            }
            ElementType::I64 => Self::from_elements(element, shape, values, i64::to_le_bytes),
            ElementType::I32 => {
                Self::from_elements(element, shape, values, |value| (value as i32).to_le_bytes())
            }
            ElementType::I8 => {
                Self::from_elements(element, shape, values, |value| (value as i8).to_le_bytes())
            }
            ElementType::U8 => Self::from_elements(element, shape, values, |value| [value as u8]),
            ElementType::I16 => {
                Self::from_elements(element, shape, values, |value| (value as i16).to_le_bytes())
            }
            ElementType::U16 => {
                Self::from_elements(element, shape, values, |value| (value as u16).to_le_bytes())
            }
            ElementType::U32 => {
                Self::from_elements(element, shape, values, |value| (value as u32).to_le_bytes())
            }
            ElementType::U64 => Self::from_elements(element, shape, values, i64::to_le_bytes),
            ElementType::Bool => Self::from_elements(element, shape, values, |value| [u8::from(value != 0)]),
        }
    }

    /// A rank-0 f32.
    pub fn scalar_f32(value: f32) -> Self {
        Self::scalar(ElementType::F32, &value.to_le_bytes())
    }

    /// A rank-0 i64.
    pub fn scalar_i64(value: i64) -> Self {
        Self::scalar(ElementType::I64, &value.to_le_bytes())
    }

    /// A rank-0 bool.
    pub fn scalar_bool(value: bool) -> Self {
        Self::scalar(ElementType::Bool, &[u8::from(value)])
    }

    fn scalar(element: ElementType, bytes: &[u8]) -> Self {
        Self { element, shape: Vec::new(), content: super::Content::Bytes(Bytes::copy_from_slice(bytes)) }
    }

    /// The elements as f32.
    pub fn to_f32_vec(&self) -> Vec<f32> {
        match self.element {
            ElementType::F32 => self.read(f32::from_le_bytes),
            ElementType::F16 => self.read(|bytes| f16::from_le_bytes(bytes).to_f32()),
            ElementType::I64 => self.read(|bytes| i64::from_le_bytes(bytes) as f32),
            ElementType::U64 => self.read(|bytes| u64::from_le_bytes(bytes) as f32),
            ElementType::F64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::Bool => self.to_f64_vec().into_iter().map(|value| value as f32).collect(),
        }
    }

    /// The elements as f64.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        match self.element {
            ElementType::F32 => self.read(|bytes| f64::from(f32::from_le_bytes(bytes))),
            ElementType::F16 => self.read(|bytes| f16::from_le_bytes(bytes).to_f64()),
            ElementType::F64 => self.read(f64::from_le_bytes),
            ElementType::I64 => self.read(|bytes| i64::from_le_bytes(bytes) as f64),
            ElementType::I32 => self.read(|bytes| f64::from(i32::from_le_bytes(bytes))),
            ElementType::I8 => self.read(|bytes| f64::from(i8::from_le_bytes(bytes))),
            ElementType::U8 => self.read(|[byte]| f64::from(byte)),
            ElementType::I16 => self.read(|bytes| f64::from(i16::from_le_bytes(bytes))),
            ElementType::U16 => self.read(|bytes| f64::from(u16::from_le_bytes(bytes))),
            ElementType::U32 => self.read(|bytes| f64::from(u32::from_le_bytes(bytes))),
            ElementType::U64 => self.read(|bytes| u64::from_le_bytes(bytes) as f64),
            ElementType::Bool => self.read(|[byte]| f64::from(u8::from(byte != 0))),
        }
    }

    /// The elements as i64.
    pub fn to_i64_vec(&self) -> Vec<i64> {
        match self.element {
            ElementType::F32 => self.read(|bytes| f32::from_le_bytes(bytes) as i64),
            ElementType::F16 => self.read(|bytes| f16::from_le_bytes(bytes).to_f32() as i64),
            ElementType::F64 => self.read(|bytes| f64::from_le_bytes(bytes) as i64),
            ElementType::I64 => self.read(i64::from_le_bytes),
            ElementType::I32 => self.read(|bytes| i64::from(i32::from_le_bytes(bytes))),
            ElementType::I8 => self.read(|bytes| i64::from(i8::from_le_bytes(bytes))),
            ElementType::U8 => self.read(|[byte]| i64::from(byte)),
            ElementType::I16 => self.read(|bytes| i64::from(i16::from_le_bytes(bytes))),
            ElementType::U16 => self.read(|bytes| i64::from(u16::from_le_bytes(bytes))),
            ElementType::U32 => self.read(|bytes| i64::from(u32::from_le_bytes(bytes))),
            // The bits, as integers keep theirs.
            ElementType::U64 => self.read(i64::from_le_bytes),
            ElementType::Bool => self.read(|[byte]| i64::from(byte != 0)),
        }
    }

    /// Whether each element differs from zero.
    pub fn to_bool_vec(&self) -> Vec<bool> {
        match self.element {
            ElementType::F32 | ElementType::F16 | ElementType::F64 => {
                self.to_f64_vec().into_iter().map(|value| value != 0.0).collect()
            }
            ElementType::I64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64
            | ElementType::Bool => self.to_i64_vec().into_iter().map(|value| value != 0).collect(),
        }
    }

    fn read<T, const SIZE: usize>(&self, decode: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        let (elements, rest) = self.bytes().as_chunks::<SIZE>();
        debug_assert!(rest.is_empty(), "constructors check the length");
        elements.iter().map(|&bytes| decode(bytes)).collect()
    }
}
