//! How constants are brought into layouts: the host side of the accessors' address formulas.
//!
//! A [`Packing`] says where each element of a constant goes, a [`Recipe`] is a constant with its packing and its layout.
//! A recipe has a size and a name before a byte is moved; [`Recipe::bytes`] does the work, when a bundle is written.

use super::transfer::{Conversion, Transfer};
use super::weights::PackedRows;
use super::{Element, Extents, LANES, Layout, Order};
use drift_ir::{ElementType, Tensor};
use half::f16;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Why a constant cannot be packed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PackError {
    /// An i64 outside of i32.
    #[error("element {index} is {value}, which a device's i32 cannot hold")]
    OutOfRange {
        /// Row-major index of the element.
        index: usize,
        /// Its value.
        value: i64,
    },
    /// Elements that are not in blocks, where a kernel reads those.
    #[error("weights are not in blocks")]
    NotInBlocks,
    /// An element type without a device form.
    #[error("{0:?} has no form on a device")]
    NoDeviceForm(ElementType),
}

/// How a constant is rearranged before a layout places it. Two packings of one constant are the same if and only if their
/// labels are, so everything that an arrangement depends on stands in its label.
#[derive(Clone)]
pub struct Packing {
    label: String,
    shape: Vec<u64>,
    arrange: Arrange,
}

/// From a constant's elements to those of a packed tensor.
type Compute = dyn Fn(&[f32]) -> Vec<f32> + Send + Sync;

#[derive(Clone)]
enum Arrange {
    /// The element at an index is that of the constant at the index times these strides.
    View(Vec<u64>),
    /// Moves elements to where they are stored; the layout only says how they are read.
    Moved(Arc<dyn Fn(&mut Transfer<'_>) + Send + Sync>),
    /// Computes the packed tensor, row-major.
    Computed(Arc<Compute>),
    /// Rows of quantized weights in a blob of words.
    Rows(PackedRows),
    /// Zeros, of no constant.
    Zeros,
}

impl fmt::Debug for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.label, self.shape)
    }
}

impl Packing {
    /// A constant of `shape` as it is.
    pub fn plain(shape: &[u64]) -> Self {
        Self { label: String::new(), shape: shape.to_vec(), arrange: Arrange::View(dense_strides(shape)) }
    }

    /// A constant of `shape` with its last two axes exchanged.
    pub fn transposed(shape: &[u64]) -> Self {
        let (mut turned, mut strides) = (shape.to_vec(), dense_strides(shape));
        if let Some(last) = shape.len().checked_sub(1).filter(|&last| last > 0) {
            turned.swap(last - 1, last);
            strides.swap(last - 1, last);
        }
        Self { label: "transposed".to_owned(), shape: turned, arrange: Arrange::View(strides) }
    }

    /// The constant seen as a tensor of `shape` whose neighbours along each axis are `strides` apart.
    pub fn view(label: &str, shape: impl Into<Vec<u64>>, strides: impl Into<Vec<u64>>) -> Self {
        let (shape, strides) = (shape.into(), strides.into());
        Self { label: format!("{label}({strides:?})"), shape, arrange: Arrange::View(strides) }
    }

    /// A tensor of `shape` that `arrange` fills element by element, in the order in which the layout stores them.
    /// `arrange` is a plain function, so that all it depends on stands in `parameters`, which are part of the label.
    pub fn moved<P: fmt::Debug + Send + Sync + 'static>(
        label: &str,
        shape: impl Into<Vec<u64>>,
        parameters: P,
        arrange: fn(&P, &mut Transfer<'_>),
    ) -> Self {
        let label = format!("{label}({parameters:?})");
        let arrange = Arrange::Moved(Arc::new(move |transfer| arrange(&parameters, transfer)));
        Self { label, shape: shape.into(), arrange }
    }

    /// A tensor of `shape` that `compute` makes from the constant's elements; row-major on both sides.
    /// `compute` is a plain function, so that all it depends on stands in `parameters`, which are part of the label.
    pub fn computed<P: fmt::Debug + Send + Sync + 'static>(
        label: &str,
        shape: impl Into<Vec<u64>>,
        parameters: P,
        compute: fn(&P, &[f32]) -> Vec<f32>,
    ) -> Self {
        let label = format!("{label}({parameters:?})");
        let arrange = Arrange::Computed(Arc::new(move |values| compute(&parameters, values)));
        Self { label, shape: shape.into(), arrange }
    }

    /// The numbers, scales and zero points of quantized weights as chunks of four words.
    pub(in crate::physical) fn rows(rows: &PackedRows) -> Self {
        let shape = vec![rows.size_bytes() / 16, LANES];
        Self { label: rows.describe(), shape, arrange: Arrange::Rows(rows.clone()) }
    }

    /// Zeros of `shape`; the constant is not read.
    pub fn zeros(shape: impl Into<Vec<u64>>) -> Self {
        let shape = shape.into();
        Self { label: format!("zeros{shape:?}"), shape, arrange: Arrange::Zeros }
    }

    /// What distinguishes it from other packings of the same constant; empty for the constant as it is.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Sizes of the packed tensor.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }
}

/// A constant to be packed.
#[derive(Clone, Debug)]
pub struct Recipe {
    source: Tensor,
    packing: Packing,
    layout: Layout,
}

impl Recipe {
    /// Checks that every element of `source` has a form on a device.
    pub fn new(source: &Tensor, packing: Packing, layout: Layout) -> Result<Self, PackError> {
        if matches!(packing.arrange, Arrange::Rows(_)) {
            // Their numbers are words as they are.
            return match source.blocks() {
                Some(_) => Ok(Self { source: source.clone(), packing, layout }),
                None => Err(PackError::NotInBlocks),
            };
        }
        if layout.element == Element::I32 {
            let fits: fn(i64) -> bool = match source.element() {
                ElementType::I64 => |value| i32::try_from(value).is_ok(),
                ElementType::U64 => |value| u32::try_from(value).is_ok(),
                _ => |_| true,
            };
            let is_wide = matches!(source.element(), ElementType::I64 | ElementType::U64);
            let values = if is_wide { source.to_i64_vec() } else { Vec::new() };
            let outside = values.into_iter().enumerate().find(|(_, value)| !fits(*value));
            if let Some((index, value)) = outside {
                return Err(PackError::OutOfRange { index, value });
            }
        }
        let source = match Conversion::between(source.element(), layout.element) {
            Some(_) => source.clone(),
            None => convert(source, layout.element)?,
        };
        Ok(Self { source, packing, layout })
    }

    /// What is packed, in a type that converts directly.
    pub fn source(&self) -> &Tensor {
        &self.source
    }

    /// Bytes of the packed constant.
    pub fn size_bytes(&self) -> u64 {
        self.layout.size_bytes(&self.packing.shape)
    }

    /// Little-endian bytes of the packed constant. Dead lanes are zeros.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if let (Arrange::Rows(rows), Some(blocks)) = (&self.packing.arrange, self.source.blocks()) {
            return Cow::Owned(rows.pack(blocks));
        }
        let conversion = self.conversion(self.source.element());
        let Layout { order, .. } = self.layout;
        match &self.packing.arrange {
            Arrange::View(strides) => {
                let plain = *strides == dense_strides(&self.packing.shape);
                if plain && order == Order::RowMajor && conversion.is_copy() {
                    return Cow::Borrowed(self.source.bytes());
                }
                Cow::Owned(self.place(self.source.bytes(), conversion, strides))
            }
            Arrange::Moved(arrange) => {
                let mut bytes = vec![0; self.size_bytes() as usize];
                arrange(&mut Transfer { conversion, from: self.source.bytes(), to: &mut bytes });
                Cow::Owned(bytes)
            }
            Arrange::Computed(compute) => {
                let values = compute(&self.source.to_f32_vec());
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let conversion = self.conversion(ElementType::F32);
                Cow::Owned(self.place(&bytes, conversion, &dense_strides(&self.packing.shape)))
            }
            Arrange::Rows(_) | Arrange::Zeros => Cow::Owned(vec![0; self.size_bytes() as usize]),
        }
    }

    fn conversion(&self, from: ElementType) -> Conversion {
        Conversion::between(from, self.layout.element)
            .unwrap_or_else(|| unreachable!("constructors convert what has no direct way"))
    }

    /// Elements of `from` under `strides` where the layout wants them.
    fn place(&self, from: &[u8], conversion: Conversion, strides: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; self.size_bytes() as usize];
        let mut transfer = Transfer { conversion, from, to: &mut bytes };
        match self.layout.order {
            Order::RowMajor => place_rows(&self.packing.shape, strides, &mut transfer),
            Order::Slices | Order::TextureRows | Order::TextureLayers => {
                place_slices(&self.layout, &self.packing.shape, strides, &mut transfer);
            }
        }
        bytes
    }
}

/// Little-endian bytes of `tensor` in `layout`. Dead lanes are zeros.
pub fn pack(tensor: &Tensor, layout: &Layout) -> Result<Vec<u8>, PackError> {
    let recipe = Recipe::new(tensor, Packing::plain(tensor.shape()), layout.clone())?;
    Ok(recipe.bytes().into_owned())
}

/// `tensor` in the host type that a device's element has.
fn convert(tensor: &Tensor, to: Element) -> Result<Tensor, PackError> {
    let shape = tensor.shape();
    let converted = match to {
        Element::F32 | Element::F16 => Tensor::from_f32(shape, &tensor.to_f32_vec()),
        Element::I32 => Tensor::from_i64(shape, &tensor.to_i64_vec()),
        Element::U32 => Tensor::from_bool(shape, &tensor.to_bool_vec()),
    };
    converted.map_err(|_| PackError::NoDeviceForm(tensor.element()))
}

fn dense_strides(shape: &[u64]) -> Vec<u64> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// Where the elements of a run of axes are, in row-major order.
fn offsets(shape: &[u64], strides: &[u64], axes: Range<usize>) -> Vec<usize> {
    axes.fold(vec![0], |outer, axis| {
        let inner = |from: usize| (0..shape[axis]).map(move |n| from + (n * strides[axis]) as usize);
        outer.into_iter().flat_map(inner).collect()
    })
}

/// Columns that are moved at once when neighbours in a row are far apart in the source: as many cache lines stay in use.
const BLOCK: usize = 64;

/// A row-major tensor, in blocks of columns.
fn place_rows(shape: &[u64], strides: &[u64], transfer: &mut Transfer<'_>) {
    if strides == dense_strides(shape) {
        return transfer.run(shape.iter().product::<u64>() as usize, (0, 1), (0, 1));
    }
    let Some(last) = shape.len().checked_sub(1) else { return };
    let (columns, step) = (shape[last] as usize, strides[last] as usize);
    let rows = offsets(shape, strides, 0..last);
    let block = if step == 1 { columns.max(1) } else { BLOCK };
    for first in (0..columns).step_by(block) {
        let count = block.min(columns - first);
        for (row, from) in rows.iter().enumerate() {
            transfer.run(count, (row * columns + first, 1), (from + first * step, step));
        }
    }
}

/// Whole slices, each texel with its live lanes, in the order in which they are stored.
fn place_slices(layout: &Layout, shape: &[u64], strides: &[u64], transfer: &mut Transfer<'_>) {
    let along = |axes: &Range<usize>| offsets(shape, strides, axes.clone());
    let (batch, height) = (along(&layout.axes.batch), along(&layout.axes.height));
    let (width, channels) = (along(&layout.axes.width), along(&layout.axes.channels));
    let slices = channels.len().div_ceil(LANES as usize);
    for (s, lanes) in channels.chunks(LANES as usize).enumerate() {
        for (y, from_y) in height.iter().enumerate() {
            let row = match layout.order {
                Order::TextureRows => y * slices + s,
                Order::Slices | Order::TextureLayers | Order::RowMajor => s * height.len() + y,
            };
            for (x, from_x) in width.iter().enumerate() {
                for (b, from_b) in batch.iter().enumerate() {
                    let texel = (row * width.len() + x) * batch.len() + b;
                    for (lane, from_c) in lanes.iter().enumerate() {
                        transfer.put(texel * LANES as usize + lane, from_b + from_y + from_x + from_c);
                    }
                }
            }
        }
    }
}

/// The elements of a tensor of `shape` that is packed in `bytes`, as f64 in row-major order.
pub fn unpack(bytes: &[u8], layout: &Layout, shape: &[u64]) -> Vec<f64> {
    let extents = layout.axes.extents(shape);
    let size = layout.element.size_bytes() as usize;
    (0..extents.elements() as usize)
        .map(|index| {
            let at = position(layout, shape, &extents, index) as usize * size;
            let word: [u8; 4] = match size {
                2 => [bytes[at], bytes[at + 1], 0, 0],
                _ => [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]],
            };
            match layout.element {
                Element::F32 => f64::from(f32::from_le_bytes(word)),
                Element::F16 => f16::from_le_bytes([word[0], word[1]]).to_f64(),
                Element::I32 => f64::from(i32::from_le_bytes(word)),
                Element::U32 => f64::from(u32::from_le_bytes(word)),
            }
        })
        .collect()
}

/// Element position in the resource of the element at row-major `index`.
fn position(layout: &Layout, shape: &[u64], extents: &Extents, index: usize) -> u64 {
    if layout.order == Order::RowMajor {
        return index as u64;
    }
    let strides = layout.axes.strides(shape);
    let coordinate = |n: usize, extent: u64| match strides[n] {
        0 => 0,
        stride => index as u64 / stride % extent,
    };
    let (b, y) = (coordinate(0, extents.batch), coordinate(1, extents.height));
    let (x, c) = (coordinate(2, extents.width), coordinate(3, extents.channels));
    let (s, lane) = (c / LANES, c % LANES);
    let texel = match layout.order {
        Order::TextureRows => {
            (y * extents.slices() + s) * (extents.width * extents.batch) + x * extents.batch + b
        }
        Order::Slices | Order::TextureLayers | Order::RowMajor => {
            ((s * extents.height + y) * extents.width + x) * extents.batch + b
        }
    };
    texel * LANES + lane
}

#[cfg(test)]
mod tests {
    use super::super::{AxisMap, StorageType};
    use super::*;

    fn values(count: u64) -> Vec<f32> {
        (0..count).map(|n| n as f32 - 7.0).collect()
    }

    fn tensor(shape: &[u64]) -> Tensor {
        Tensor::from_f32(shape, &values(shape.iter().product())).expect("a count for the shape")
    }

    fn layout(order: Order, element: Element, axes: AxisMap) -> Layout {
        Layout { storage_type: StorageType::Buffer, order, element, axes }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let shape = [2, 6, 3, 5];
        for order in [Order::RowMajor, Order::Slices, Order::TextureRows, Order::TextureLayers] {
            for element in [Element::F32, Element::F16] {
                for axes in [AxisMap::channels_first(4), AxisMap::channels_last(4), AxisMap::rows(2, 4)] {
                    let layout = layout(order, element, axes);
                    let packed = pack(&tensor(&shape), &layout).expect("floats have a form on a device");
                    assert_eq!(packed.len() as u64, layout.size_bytes(&shape));
                    let back = unpack(&packed, &layout, &shape);
                    assert!(back.iter().zip(values(180)).all(|(a, b)| *a == f64::from(b)), "{layout:?}");
                }
            }
        }
    }

    #[test]
    fn dead_lanes_are_zero() {
        let layout = layout(Order::Slices, Element::F32, AxisMap::channels_last(2));
        let packed = pack(&tensor(&[2, 3]), &layout).expect("packs");
        assert_eq!(packed[12..16], [0; 4]);
        assert_eq!(packed[28..32], [0; 4]);
    }

    /// Every arrangement of one transposition gives the same bytes.
    #[test]
    fn views_moves_and_computations_agree() {
        let (rows, columns) = (70_usize, 131_usize);
        let source = tensor(&[rows as u64, columns as u64]);
        let shape = [columns as u64, rows as u64];
        let turned = Packing::transposed(source.shape());
        assert_eq!(turned.shape(), shape);
        let viewed = Packing::view("turned", shape, [1, columns as u64]);
        let moved = Packing::moved("turned", shape, [rows, columns], |&[rows, columns], transfer| {
            for column in 0..columns {
                transfer.run(rows, (column * rows, 1), (column, columns));
            }
        });
        let computed = Packing::computed("turned", shape, [rows, columns], |&[rows, columns], values| {
            (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
        });
        for element in [Element::F32, Element::F16] {
            let layout = layout(Order::RowMajor, element, AxisMap::channels_last(2));
            let bytes = |packing: &Packing| {
                let recipe = Recipe::new(&source, packing.clone(), layout.clone()).expect("floats");
                assert_eq!(recipe.bytes().len() as u64, recipe.size_bytes());
                recipe.bytes().into_owned()
            };
            let expected = bytes(&computed);
            for packing in [&turned, &viewed, &moved] {
                assert!(bytes(packing) == expected, "{packing:?} as {element:?}");
            }
        }
        assert_ne!(moved.label(), Packing::moved("turned", shape, [columns, rows], |_, _| {}).label());
    }

    #[test]
    fn a_dense_constant_is_not_copied() {
        let source = Tensor::from_f16_bits([2, 2], &[1, 2, 3, 4]).expect("four halves");
        let layout = Layout::row_major(Element::F16, 2);
        let recipe = Recipe::new(&source, Packing::plain(source.shape()), layout).expect("halves");
        assert!(matches!(recipe.bytes(), Cow::Borrowed(bytes) if bytes.as_ptr() == source.bytes().as_ptr()));
    }

    #[test]
    fn integers_are_checked_before_they_are_packed() {
        let source = Tensor::from_i64([3], &[1, -5, 1 << 40]).expect("three");
        let layout = Layout::row_major(Element::I32, 1);
        let error = Recipe::new(&source, Packing::plain(&[3]), layout.clone()).expect_err("too large");
        assert_eq!(error, PackError::OutOfRange { index: 2, value: 1 << 40 });
        let source = Tensor::from_i64([2], &[1, -5]).expect("two");
        assert_eq!(pack(&source, &layout).expect("fits"), [1, 0, 0, 0, 251, 255, 255, 255]);
        let flags = Tensor::from_bool([2], &[true, false]).expect("two");
        let layout = Layout::row_major(Element::U32, 1);
        assert_eq!(pack(&flags, &layout).expect("bools"), [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
