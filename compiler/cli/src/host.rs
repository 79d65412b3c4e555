//! Tensors on the host: what files hold, what sessions take and give, what comparisons read.

use bytes::Bytes;
use drift_bundle::manifest::{Entry, HostElement, IoTensor};
use drift_compiler::emit::host_form;
use drift_ir::tensor::TensorError;
use drift_ir::{ElementType, HostForm, Tensor, TensorType};
use half::{bf16, f16};

/// Dense row-major data in little-endian order. [`HostTensor::new`] holds size and content to type and shape.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    element: HostElement,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

/// Data that does not fit its type and shape.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostTensorError {
    /// Too few or too many bytes.
    #[error("{element} {} needs {needed} bytes, but there are {found}", shape_text(.shape))]
    Size {
        /// Type of an element.
        element: &'static str,
        /// Sizes of the axes.
        shape: Vec<u64>,
        /// Bytes of such a tensor.
        needed: u64,
        /// Bytes that were given.
        found: u64,
    },
    /// A shape whose size does not fit into 64 bits.
    #[error("the shape {} is too large", shape_text(.0))]
    TooLarge(Vec<u64>),
    /// A bool that is neither 0 nor 1.
    #[error("a bool is stored as {0}; only 0 and 1 are truth values")]
    NotABool(u8),
}

/// What a model takes or gives that no caller can hold, or that a caller's data are not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// A type that bundles do not take.
    #[error("tensors of {0} do not cross a bundle's boundary")]
    Type(&'static str),
    /// A value whose size is not known before a run.
    #[error("`{0}` has a free dimension; bind it with --dim NAME=N")]
    FreeShape(String),
    /// Data of another type or shape than the input.
    #[error("input `{name}` is {expected}, but its data are {found}")]
    WrongInput {
        /// The input.
        name: String,
        /// Its type and shape.
        expected: String,
        /// Those of the data.
        found: String,
    },
}

impl HostTensor {
    /// Checks that `bytes` are exactly a tensor of this type and shape.
    pub fn new(element: HostElement, shape: Vec<u64>, bytes: Vec<u8>) -> Result<Self, HostTensorError> {
        let needed = byte_size(element, &shape).ok_or_else(|| HostTensorError::TooLarge(shape.clone()))?;
        let found = bytes.len() as u64;
        if needed != found {
            return Err(HostTensorError::Size { element: element_name(element), shape, needed, found });
        }
        if element == HostElement::Bool
            && let Some(&byte) = bytes.iter().find(|byte| **byte > 1)
        {
            return Err(HostTensorError::NotABool(byte));
        }
        Ok(Self { element, shape, bytes })
    }

    /// A tensor of the graph language, if callers can give or get its type. Double is given and got as f32.
    pub fn from_ir(tensor: &Tensor) -> Result<Self, BoundaryError> {
        if tensor.element() == ElementType::F64 {
            let values = tensor.to_f32_vec();
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            return Ok(Self { element: HostElement::F32, shape: tensor.shape().to_vec(), bytes });
        }
        let element = host_element(tensor.element())?;
        Ok(Self { element, shape: tensor.shape().to_vec(), bytes: tensor.bytes().to_vec() })
    }

    /// As [`Self::from_ir`] for a value that callers have otherwise than the graph: each is rounded to what that holds.
    pub fn from_ir_as(tensor: &Tensor, form: Option<HostForm>) -> Result<Self, BoundaryError> {
        let held = Self::from_ir(tensor)?;
        Ok(match form {
            Some(form) => held.rounded(host_form(form)),
            None => held,
        })
    }

    /// The same tensor in the graph language.
    pub fn to_ir(&self) -> Result<Tensor, TensorError> {
        let element = ir_element(self.element);
        if self.element.is_float() && !matches!(self.element, HostElement::F32 | HostElement::F16) {
            return Tensor::from_f64_as(element, self.shape.clone(), &self.to_f64());
        }
        Tensor::new(element, self.shape.clone(), Bytes::from(self.bytes.clone()))
    }

    /// The same numbers, as `element` has those next to them. Only floats become floats, and only bytes integers of fewer bits.
    fn rounded(&self, element: HostElement) -> Self {
        let values = self.to_f64().into_iter().map(|value| value as f32);
        let bytes = match element {
            HostElement::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            HostElement::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
            HostElement::F32 => values.flat_map(f32::to_le_bytes).collect(),
            small if small.is_float() => values.map(|value| small.small_code(value)).collect(),
            _ => self.bytes.clone(),
        };
        Self { element, shape: self.shape.clone(), bytes }
    }

    /// The tensor in the type that NumPy has for its numbers, where it has not its own.
    pub fn as_numpy(&self) -> Option<Self> {
        let own = matches!(self.element, HostElement::F32 | HostElement::F16);
        (self.element.is_float() && !own).then(|| self.rounded(HostElement::F32))
    }

    /// The tensor as an input takes it. A type that holds its numbers exactly is as good as the input's own, since files of arrays have no bfloat16 and no types of
    /// fewer than eight bits; other types and shapes are refused.
    pub fn fitted(&self, tensor: &IoTensor) -> Result<Self, BoundaryError> {
        let smaller = match (self.element, tensor.element) {
            (HostElement::F32 | HostElement::F16, to) => {
                to.is_float() && !matches!(to, HostElement::F32 | HostElement::F16)
            }
            (HostElement::I8, HostElement::I4 | HostElement::I2)
            | (HostElement::U8, HostElement::U4 | HostElement::U2) => true,
            _ => false,
        };
        if smaller {
            let fitted = self.rounded(tensor.element);
            let equal = |(a, b): (f64, f64)| a == b || a.is_nan() && b.is_nan();
            let in_range = |value: f64| {
                tensor
                    .element
                    .small_range()
                    .is_none_or(|(low, high)| (f64::from(low)..=f64::from(high)).contains(&value))
            };
            let (own, its) = (self.to_f64(), fitted.to_f64());
            if own.iter().all(|&value| in_range(value)) && own.into_iter().zip(its).all(equal) {
                fitted.check_is(tensor)?;
                return Ok(fitted);
            }
        }
        self.check_is(tensor)?;
        Ok(self.clone())
    }

    /// Type of an element.
    pub fn element(&self) -> HostElement {
        self.element
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Refuses data of another type or shape than an input has.
    pub fn check_is(&self, tensor: &IoTensor) -> Result<(), BoundaryError> {
        if self.element == tensor.element && self.shape == tensor.shape {
            return Ok(());
        }
        let text = |element, shape| format!("{} {}", element_name(element), shape_text(shape));
        Err(BoundaryError::WrongInput {
            name: tensor.name.clone(),
            expected: text(tensor.element, &tensor.shape),
            found: text(self.element, &self.shape),
        })
    }

    /// Every element as a double. 64-bit integers beyond 2^53 are rounded.
    pub fn to_f64(&self) -> Vec<f64> {
        fn each<const N: usize>(bytes: &[u8], convert: fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| convert(*chunk)).collect()
        }
        match self.element {
            HostElement::F32 => each(&self.bytes, |bytes| f32::from_le_bytes(bytes).into()),
            HostElement::F16 => each(&self.bytes, |bytes| f16::from_le_bytes(bytes).into()),
            HostElement::I64 => each(&self.bytes, |bytes| i64::from_le_bytes(bytes) as f64),
            HostElement::I32 => each(&self.bytes, |bytes| i32::from_le_bytes(bytes).into()),
            HostElement::I8 => each(&self.bytes, |[byte]| f64::from(byte.cast_signed())),
            HostElement::I16 => each(&self.bytes, |bytes| i16::from_le_bytes(bytes).into()),
            HostElement::U16 => each(&self.bytes, |bytes| u16::from_le_bytes(bytes).into()),
            HostElement::U32 => each(&self.bytes, |bytes| u32::from_le_bytes(bytes).into()),
            HostElement::U64 => each(&self.bytes, |bytes| u64::from_le_bytes(bytes) as f64),
            HostElement::Bf16 => each(&self.bytes, |bytes| bf16::from_le_bytes(bytes).into()),
            HostElement::I4 | HostElement::I2 => each(&self.bytes, |[byte]| byte.cast_signed().into()),
            HostElement::U8 | HostElement::Bool | HostElement::U4 | HostElement::U2 => {
                each(&self.bytes, |[byte]| byte.into())
            }
            HostElement::F8E4M3
            | HostElement::F8E4M3Fnuz
            | HostElement::F8E5M2
            | HostElement::F8E5M2Fnuz
            | HostElement::F8E8M0
            | HostElement::F4E2M1 => {
                self.bytes.iter().map(|&byte| self.element.small_value(byte).into()).collect()
            }
        }
    }
}

/// Bytes of a tensor, if that is a number.
pub fn byte_size(element: HostElement, shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(element.size_bytes(), |size, axis| size.checked_mul(*axis))
}

/// The type that callers know a graph's type as.
pub fn host_element(element: ElementType) -> Result<HostElement, BoundaryError> {
    match element {
        ElementType::F32 => Ok(HostElement::F32),
        ElementType::F16 => Ok(HostElement::F16),
        ElementType::I64 => Ok(HostElement::I64),
        ElementType::I32 => Ok(HostElement::I32),
        ElementType::I8 => Ok(HostElement::I8),
        ElementType::U8 => Ok(HostElement::U8),
        ElementType::Bool => Ok(HostElement::Bool),
        ElementType::I16 => Ok(HostElement::I16),
        ElementType::U16 => Ok(HostElement::U16),
        ElementType::U32 => Ok(HostElement::U32),
        ElementType::U64 => Ok(HostElement::U64),
        ElementType::F64 => Err(BoundaryError::Type(element.name())),
    }
}

const fn ir_element(element: HostElement) -> ElementType {
    match element {
        HostElement::F32
        | HostElement::Bf16
        | HostElement::F8E4M3
        | HostElement::F8E4M3Fnuz
        | HostElement::F8E5M2
        | HostElement::F8E5M2Fnuz
        | HostElement::F8E8M0
        | HostElement::F4E2M1 => ElementType::F32,
        HostElement::I16 => ElementType::I16,
        HostElement::U16 => ElementType::U16,
        HostElement::U32 => ElementType::U32,
        HostElement::U64 => ElementType::U64,
        HostElement::F16 => ElementType::F16,
        HostElement::I64 => ElementType::I64,
        HostElement::I32 => ElementType::I32,
        HostElement::I8 | HostElement::I4 | HostElement::I2 => ElementType::I8,
        HostElement::U8 | HostElement::U4 | HostElement::U2 => ElementType::U8,
        HostElement::Bool => ElementType::Bool,
    }
}

/// What a caller must give for a value of the graph, if its sizes are known.
pub fn io_tensor(name: &str, ty: &TensorType, form: Option<HostForm>) -> Result<IoTensor, BoundaryError> {
    let shape = ty.static_shape().ok_or_else(|| BoundaryError::FreeShape(name.to_owned()))?;
    let element = form.map_or_else(|| host_element(ty.element), |form| Ok(host_form(form)))?;
    Ok(IoTensor { name: name.to_owned(), element, shape, free: Vec::new() })
}

/// Name of a type, as driftc writes it everywhere.
pub const fn element_name(element: HostElement) -> &'static str {
    element.name()
}

/// `[1, 3, 224, 224]`.
pub fn shape_text(shape: &[u64]) -> String {
    format!("{shape:?}")
}

/// `image: f32 [1, 3, 224, 224]`.
pub fn io_text(tensor: &IoTensor) -> String {
    format!("{}: {} {}", tensor.name, element_name(tensor.element), shape_text(&tensor.shape))
}

/// The same of an entry, where free axes have names: `ids: i64 [1, sequence]`. What is too long for that is its largest size
/// with `at most` before it.
pub fn entry_io_text(entry: &Entry, tensor: &IoTensor) -> String {
    /// Terms that a line has room for.
    const MOST_TERMS: usize = 24;
    let mut axes: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    for free in &tensor.free {
        let size = entry.sizes.get(free.size as usize).filter(|size| size.0.len() <= MOST_TERMS);
        let words = size.and_then(|size| size.in_words(&entry.dims).ok());
        if let Some(axis) = axes.get_mut(free.axis as usize) {
            *axis = words.unwrap_or_else(|| format!("at most {axis}"));
        }
    }
    format!("{}: {} [{}]", tensor.name, element_name(tensor.element), axes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_convert_by_their_type() {
        let cases: [(HostElement, Vec<u8>, &[f64]); 15] = [
            (
                HostElement::F32,
                [1.5_f32, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect(),
                &[1.5, -0.25],
            ),
            (HostElement::F16, [f16::from_f32(-2.0)].iter().flat_map(|v| v.to_le_bytes()).collect(), &[-2.0]),
            (HostElement::I64, (-3_i64).to_le_bytes().to_vec(), &[-3.0]),
            (HostElement::I32, 70_000_i32.to_le_bytes().to_vec(), &[70_000.0]),
            (HostElement::I8, vec![0xff, 0x7f], &[-1.0, 127.0]),
            (HostElement::U8, vec![0xff, 0], &[255.0, 0.0]),
            (HostElement::Bool, vec![1, 0], &[1.0, 0.0]),
            (HostElement::I16, (-3_i16).to_le_bytes().to_vec(), &[-3.0]),
            (HostElement::U16, 65_535_u16.to_le_bytes().to_vec(), &[65_535.0]),
            (HostElement::U32, u32::MAX.to_le_bytes().to_vec(), &[4_294_967_295.0]),
            (HostElement::U64, (1_u64 << 40).to_le_bytes().to_vec(), &[1_099_511_627_776.0]),
            (HostElement::Bf16, bf16::from_f32(-2.5).to_le_bytes().to_vec(), &[-2.5]),
            (HostElement::F8E4M3, vec![0x7e, 0x80], &[448.0, 0.0]),
            (HostElement::F4E2M1, vec![0xf, 3], &[-6.0, 1.5]),
            (HostElement::I4, vec![0xf8, 7], &[-8.0, 7.0]),
        ];
        for (element, bytes, expected) in cases {
            let tensor = HostTensor::new(element, vec![expected.len() as u64], bytes).unwrap();
            assert_eq!(tensor.to_f64(), expected, "{element:?}");
        }
    }

    #[test]
    fn numbers_that_an_input_holds_are_taken() {
        let tensor = |element| IoTensor { name: "x".to_owned(), element, shape: vec![2], free: Vec::new() };
        let floats = |values: [f32; 2]| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            HostTensor::new(HostElement::F32, vec![2], bytes).unwrap()
        };
        let fitted = floats([1.5, -2.0]).fitted(&tensor(HostElement::Bf16)).unwrap();
        assert_eq!((fitted.element(), fitted.to_f64()), (HostElement::Bf16, vec![1.5, -2.0]));
        assert!(floats([0.1, 1.0]).fitted(&tensor(HostElement::Bf16)).is_err());
        assert!(floats([448.0, -1.5]).fitted(&tensor(HostElement::F8E4M3)).is_ok());
        assert!(floats([1.0, 2.0]).fitted(&tensor(HostElement::F16)).is_err());
        let bytes = HostTensor::new(HostElement::I8, vec![2], vec![7, 0xf8]).unwrap();
        assert!(
            bytes.fitted(&tensor(HostElement::I4)).is_ok() && bytes.fitted(&tensor(HostElement::I2)).is_err()
        );
    }

    #[test]
    fn a_scalar_has_one_element_and_an_empty_axis_none() {
        assert!(HostTensor::new(HostElement::F32, vec![], vec![0; 4]).is_ok());
        assert!(HostTensor::new(HostElement::F32, vec![2, 0], vec![]).is_ok());
    }

    #[test]
    fn bytes_that_do_not_fit_are_refused() {
        let error = HostTensor::new(HostElement::F32, vec![2, 3], vec![0; 23]).unwrap_err();
        assert_eq!(error.to_string(), "f32 [2, 3] needs 24 bytes, but there are 23");
        let error = HostTensor::new(HostElement::I64, vec![u64::MAX], vec![]).unwrap_err();
        assert_eq!(error, HostTensorError::TooLarge(vec![u64::MAX]));
        assert_eq!(HostTensor::new(HostElement::Bool, vec![1], vec![7]), Err(HostTensorError::NotABool(7)));
    }
}
