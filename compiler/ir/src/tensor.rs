//! Element types, tensor types and constant tensors.

pub mod blocks;
mod convert;

use crate::dim::{Dim, DimError, Symbols};
use blocks::Blocks;
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Element types that a graph value can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ElementType {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// IEEE double; constants and folding only, never on a device.
    F64,
    /// Signed 64-bit; i32 on the device, range-checked at the boundary.
    I64,
    /// Signed 32-bit.
    I32,
    /// Signed 8-bit.
    I8,
    /// Unsigned 8-bit.
    U8,
    /// Signed 16-bit; i32 on the device.
    I16,
    /// Unsigned 16-bit; i32 on the device.
    U16,
    /// Unsigned 32-bit; its bits as an i32 on the device.
    U32,
    /// Unsigned 64-bit; the bits of a u32 as an i32 on the device, range-checked at the boundary.
    U64,
    /// Truth value, one byte of 0 or 1 on the host; u32 on the device.
    Bool,
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ElementType {
    /// Bytes of one element on the host.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Name in the text form: `f32`, `bool`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bool => "bool",
        }
    }

    /// Every type, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::F32,
        Self::F16,
        Self::F64,
        Self::I64,
        Self::I32,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Bool,
    ];

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Whether this is a number; only `bool` is not.
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::Bool)
    }

    /// Whether this is an integer type; `bool` is not.
    pub const fn is_integer(self) -> bool {
        self.is_number() && !self.is_float()
    }

    /// Whether this is an integer type without a sign.
    pub const fn is_unsigned(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// Whether this is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::F64)
    }
}

/// Element type and shape of a value. Rank 0 is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Type of one element.
    pub element: ElementType,
    /// Size of each axis, outermost first.
    pub shape: Vec<Dim>,
}

/// A constant: element type, static shape and little-endian row-major bytes (possibly a slice of a mapped file), or floats
/// in [`Blocks`] that are widened when somebody asks for the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    element: ElementType,
    shape: Vec<u64>,
    content: Content,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Bytes(Bytes),
    Blocks(Arc<Widening>),
}

/// Blocks, and their elements' bytes once somebody has asked for them.
#[derive(Debug)]
struct Widening {
    blocks: Blocks,
    /// The tensor is a matrix, and its columns are the rows of the blocks.
    turned: bool,
    bytes: OnceLock<Bytes>,
}

impl PartialEq for Widening {
    fn eq(&self, other: &Self) -> bool {
        self.blocks == other.blocks && self.turned == other.turned
    }
}

/// Why bytes and a shape do not make a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The number of bytes does not fit in the address space.
    #[error("a tensor of shape {shape:?} is too large to address")]
    TooLarge {
        /// Its shape.
        shape: Vec<u64>,
    },
    /// The data is longer or shorter than the shape says.
    #[error(
        "a tensor {element}{shape:?} holds {expected} elements' bytes, its data has {actual} (in units of {unit} bytes)"
    )]
    Length {
        /// Element type.
        element: ElementType,
        /// Its shape.
        shape: Vec<u64>,
        /// Units that the shape asks for.
        expected: u64,
        /// Units given.
        actual: u64,
        /// Bytes in a unit.
        unit: usize,
    },
    /// The parts of quantized weights do not fit together.
    #[error("quantized weights have {0}")]
    Blocks(String),
}

/// Product of sizes, when it fits.
pub fn checked_product(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
}

/// Bytes of a row-major tensor, when an allocation could have that size.
fn byte_length(element: ElementType, shape: &[u64]) -> Option<usize> {
    let bytes = checked_product(shape)?.checked_mul(element.size_bytes() as u64)?;
    isize::try_from(bytes).ok().map(isize::unsigned_abs)
}

impl TensorType {
    /// A type from its element and sizes.
    pub fn new(element: ElementType, shape: impl Into<Vec<Dim>>) -> Self {
        Self { element, shape: shape.into() }
    }

    /// A type whose sizes are all known.
    pub fn fixed(element: ElementType, shape: &[u64]) -> Self {
        Self { element, shape: shape.iter().map(|&size| Dim::Const(size)).collect() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The sizes, when all of them are known.
    pub fn static_shape(&self) -> Option<Vec<u64>> {
        self.static_shape_from(0)
    }

    /// The sizes of the axes from `axis` on, when all of these are known.
    pub fn static_shape_from(&self, axis: usize) -> Option<Vec<u64>> {
        self.shape.get(axis..)?.iter().map(Dim::as_const).collect()
    }

    /// Number of elements.
    pub fn element_count(&self) -> Result<Dim, DimError> {
        product(&self.shape)
    }

    /// Number of elements, when all sizes are known and the product fits.
    pub fn static_element_count(&self) -> Option<u64> {
        checked_product(&self.static_shape()?)
    }

    /// Writes the type as the text form does, such as `f32[batch,3,224,224]`.
    pub fn display<'a>(&'a self, symbols: &'a Symbols) -> impl fmt::Display + 'a {
        DisplayType { ty: self, symbols }
    }
}

/// Product of sizes.
pub fn product(shape: &[Dim]) -> Result<Dim, DimError> {
    shape.iter().try_fold(Dim::Const(1), |count, size| count.mul(size))
}

struct DisplayType<'a> {
    ty: &'a TensorType,
    symbols: &'a Symbols,
}

impl fmt::Display for DisplayType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.ty.element, show_shape(&self.ty.shape, self.symbols))
    }
}

/// A shape as text: `[batch,3]`.
pub(crate) fn show_shape(shape: &[Dim], symbols: &Symbols) -> String {
    let sizes: Vec<String> = shape.iter().map(|size| size.display(symbols).to_string()).collect();
    format!("[{}]", sizes.join(","))
}

impl Tensor {
    /// A tensor over existing bytes, which are shared, not copied, and need no alignment.
    pub fn new(element: ElementType, shape: impl Into<Vec<u64>>, bytes: Bytes) -> Result<Self, TensorError> {
        let shape = shape.into();
        let Some(expected) = byte_length(element, &shape) else {
            return Err(TensorError::TooLarge { shape });
        };
        if bytes.len() != expected {
            return Err(TensorError::Length {
                element,
                shape,
                expected: expected as u64,
                actual: bytes.len() as u64,
                unit: 1,
            });
        }
        Ok(Self { element, shape, content: Content::Bytes(bytes) })
    }

    /// Floats of type `element` in blocks along the last axis: the other axes are their rows.
    pub fn from_blocks(
        element: ElementType,
        shape: impl Into<Vec<u64>>,
        blocks: Blocks,
    ) -> Result<Self, TensorError> {
        let (shape, [rows, columns]) = (shape.into(), blocks.shape());
        if !element.is_float() || byte_length(element, &shape).is_none() {
            return Err(TensorError::Blocks(format!("elements of floats, not {element}{shape:?}")));
        }
        let (last, outer) = shape.split_last().map_or((1, &[][..]), |(&last, outer)| (last, outer));
        if last != columns || checked_product(outer) != Some(rows) {
            return Err(TensorError::Blocks(format!("{rows} rows of {columns} elements, not {shape:?}")));
        }
        let widening = Widening { blocks, turned: false, bytes: OnceLock::new() };
        Ok(Self { element, shape, content: Content::Blocks(Arc::new(widening)) })
    }

    /// A matrix whose columns are the rows of `blocks`.
    pub fn from_turned_blocks(element: ElementType, blocks: Blocks) -> Result<Self, TensorError> {
        let shape = blocks.shape();
        Self::from_blocks(element, shape, blocks)?
            .transposed()
            .ok_or(TensorError::TooLarge { shape: shape.to_vec() })
    }

    /// A matrix in blocks with its axes exchanged, in the same blocks; nothing for other tensors.
    pub fn transposed(&self) -> Option<Self> {
        let (Content::Blocks(widening), [rows, columns]) = (&self.content, &self.shape[..]) else {
            return None;
        };
        let Widening { blocks, turned, .. } = widening.as_ref();
        let widening = Widening { blocks: blocks.clone(), turned: !turned, bytes: OnceLock::new() };
        let content = Content::Blocks(Arc::new(widening));
        Some(Self { element: self.element, shape: vec![*columns, *rows], content })
    }

    /// The blocks that the elements are stored in, if they are.
    pub fn blocks(&self) -> Option<&Blocks> {
        match &self.content {
            Content::Bytes(_) => None,
            Content::Blocks(widening) => Some(&widening.blocks),
        }
    }

    /// How quantized weights are stored, and whether turned: two whose stored bytes are equal are the same only if this is.
    pub fn form(&self) -> Option<(String, bool)> {
        self.blocks().map(|blocks| (blocks.describe(), self.is_turned()))
    }

    /// Whether it is a matrix whose columns are the rows of its blocks.
    pub fn is_turned(&self) -> bool {
        matches!(&self.content, Content::Blocks(widening) if widening.turned)
    }

    /// Type of one element.
    pub const fn element(&self) -> ElementType {
        self.element
    }

    /// Size of each axis.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The little-endian row-major bytes. Those of blocks are made when they are first asked for, and kept.
    pub fn bytes(&self) -> &Bytes {
        match &self.content {
            Content::Bytes(bytes) => bytes,
            Content::Blocks(widening) => {
                widening.bytes.get_or_init(|| widening.blocks.widened(self.element, widening.turned))
            }
        }
    }

    /// All that is stored of it, as it is: the elements' bytes, or numbers, scales and zero points of blocks.
    pub fn stored(&self) -> Vec<&Bytes> {
        match &self.content {
            Content::Bytes(bytes) => vec![bytes],
            Content::Blocks(widening) => widening.blocks.stored().collect(),
        }
    }

    /// Bytes of the elements, widened or not.
    pub fn size_bytes(&self) -> u64 {
        self.len() as u64 * self.element.size_bytes() as u64
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() / self.element.size_bytes(),
            Content::Blocks(_) => self.shape.iter().product::<u64>() as usize,
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        TensorType::fixed(self.element, &self.shape)
    }

    /// The same elements under another shape; shares the bytes, and keeps blocks where their rows stay rows.
    pub fn reshaped(&self, shape: impl Into<Vec<u64>>) -> Result<Self, TensorError> {
        let shape = shape.into();
        if let Content::Blocks(widening) = &self.content
            && (!widening.turned || shape == self.shape)
            && shape.last() == self.shape.last()
            && checked_product(&shape) == Some(self.len() as u64)
        {
            return Ok(Self { shape, ..self.clone() });
        }
        Self::new(self.element, shape, self.bytes().clone())
    }

    /// The value that every element has, as bytes, when they are all the same and there is one. Blocks are not looked into.
    pub fn splat_bytes(&self) -> Option<&[u8]> {
        let Content::Bytes(bytes) = &self.content else { return None };
        let mut elements = bytes.chunks_exact(self.element.size_bytes());
        let first = elements.next()?;
        elements.all(|element| element == first).then_some(first)
    }
}

#[cfg(test)]
mod tests;
