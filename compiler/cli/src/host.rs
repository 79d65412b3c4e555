//! Tensors on the host: what files hold, what sessions take and give, what comparisons read.

use bytes::Bytes;
use drift_bundle::manifest::{Entry, HostElement, IoTensor};
use drift_ir::tensor::TensorError;
use drift_ir::{ElementType, Tensor, TensorType};
use half::f16;

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

    /// The same tensor in the graph language.
    pub fn to_ir(&self) -> Result<Tensor, TensorError> {
        Tensor::new(ir_element(self.element), self.shape.clone(), Bytes::from(self.bytes.clone()))
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
            HostElement::U8 | HostElement::Bool => each(&self.bytes, |[byte]| byte.into()),
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
        ElementType::F64 => Err(BoundaryError::Type(element.name())),
    }
}

const fn ir_element(element: HostElement) -> ElementType {
    match element {
        HostElement::F32 => ElementType::F32,
        HostElement::F16 => ElementType::F16,
        HostElement::I64 => ElementType::I64,
        HostElement::I32 => ElementType::I32,
        HostElement::I8 => ElementType::I8,
        HostElement::U8 => ElementType::U8,
        HostElement::Bool => ElementType::Bool,
    }
}

/// What a caller must give for a value of the graph, if its sizes are known.
pub fn io_tensor(name: &str, ty: &TensorType) -> Result<IoTensor, BoundaryError> {
    let shape = ty.static_shape().ok_or_else(|| BoundaryError::FreeShape(name.to_owned()))?;
    Ok(IoTensor { name: name.to_owned(), element: host_element(ty.element)?, shape, free: Vec::new() })
}

/// Name of a type, as driftc writes it everywhere.
pub const fn element_name(element: HostElement) -> &'static str {
    ir_element(element).name()
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
        let cases: [(HostElement, Vec<u8>, &[f64]); 7] = [
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
        ];
        for (element, bytes, expected) in cases {
            let tensor = HostTensor::new(element, vec![expected.len() as u64], bytes).unwrap();
            assert_eq!(tensor.to_f64(), expected, "{element:?}");
        }
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
