//! Brings a constant into a layout, and back: the host side of the accessors' address formulas.

use super::{Element, Extents, LANES, Layout, Order};
use drift_ir::{ElementType, Tensor};
use half::f16;

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
    /// An element type without a device form.
    #[error("{0:?} has no form on a device")]
    NoDeviceForm(ElementType),
}

/// Little-endian bytes of `tensor` in `layout`. Dead lanes are zeros.
pub fn pack(tensor: &Tensor, layout: &Layout) -> Result<Vec<u8>, PackError> {
    let shape = tensor.shape();
    let extents = layout.axes.extents(shape);
    let mut bytes = vec![0; layout.size_bytes(shape) as usize];
    let size = layout.element.size_bytes() as usize;
    let mut put = |index: usize, element: &[u8]| {
        let at = position(layout, shape, &extents, index) as usize * size;
        bytes[at..at + size].copy_from_slice(element);
    };
    match layout.element {
        Element::F32 => tensor.to_f32_vec().iter().enumerate().for_each(|(i, v)| put(i, &v.to_le_bytes())),
        Element::F16 => {
            tensor.to_f32_vec().iter().enumerate().for_each(|(i, v)| put(i, &f16::from_f32(*v).to_le_bytes()))
        }
        Element::I32 => {
            for (index, value) in tensor.to_i64_vec().into_iter().enumerate() {
                let narrow = i32::try_from(value).map_err(|_| PackError::OutOfRange { index, value })?;
                put(index, &narrow.to_le_bytes());
            }
        }
        Element::U32 => {
            for (index, value) in tensor.to_bool_vec().into_iter().enumerate() {
                put(index, &u32::from(value).to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

/// The elements of a tensor of `shape` that lies packed in `bytes`, as f64 in row-major order.
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

/// Element position in the object of the element at row-major `index`.
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
        Order::Slices | Order::RowMajor => ((s * extents.height + y) * extents.width + x) * extents.batch + b,
    };
    texel * LANES + lane
}
