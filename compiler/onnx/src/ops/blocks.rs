//! Weights in blocks of a few bits each, as ONNX Runtime's tools store them: products with them, and rows picked of them.
//! They become constants of floats when the model is read.

use super::axis;
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, MatMul};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// The least number of weights in a block.
const LEAST_BLOCK: u64 = 16;

/// MatMulNBits: `A B^T` plus a bias, where B is stored as `[N, blocks, bytes of a block]`, the first weight of a byte in its low
/// bits. A weight is its number less the zero point of its block, times the block's scale. Zero points are bytes, packed like
/// the weights with each row on its own, or floats; without them they are half of the numbers. `g_idx` names the block that
/// each column takes its scale from. Weights have to be constant. `accuracy_level` lets ONNX Runtime round A to fewer bits,
/// which is not done here.
pub(super) fn matmul_n_bits(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["accuracy_level"]);
    let bits = bits(cx)?;
    let block = block_size(cx, None)?;
    let (rows, columns) = (size(cx, "N")?, size(cx, "K")?);
    if let Some(other) = cx.attributes.int("weight_prepacked")?.filter(|&layout| layout != 0) {
        let reason =
            format!("`weight_prepacked` {other} is not supported, only 0: the layout of the standard");
        return Err(NodeError::Unsupported(reason));
    }
    let a = cx.operand(0)?;
    let element = cx.element(a);
    let shape = cx.shape(a);
    if shape.last() != Some(&Dim::Const(columns)) {
        return Err(NodeError::Operands(format!("the last axis of `A` is not `K`, {columns}")));
    }
    let blocks = columns.div_ceil(block);
    let bytes = stored(cx, 1, "B", &[rows, blocks, block * bits / 8])?;
    let scales = floats(cx, 2, "scales", &[rows, blocks])?;
    let packed = Packed { bits, row_bytes: blocks * block * bits / 8 };
    let zeros = zero_points(cx, bits, [rows, blocks])?;
    let groups = groups(cx, columns, block)?;
    if cx.optional(4).is_some() && (bits != 4 || matches!(zeros, Zeros::Bytes(..))) {
        let reason = format!(
            "`g_idx` with {bits} bits or with packed zero points is not supported, only with 4 bits and without packed ones"
        );
        return Err(NodeError::Unsupported(reason));
    }
    take(cx, rows.saturating_mul(columns), element)?;
    let weight = |at: u64| {
        let (row, column) = (at / columns, at % columns);
        let place = row * blocks + groups.get(column as usize).copied().unwrap_or(column / block);
        let number = packed.number(&bytes, row, column) as f32;
        (number - zeros.at(row, place % blocks, blocks)) * scales[place as usize]
    };
    let weights: Vec<f32> = (0..rows * columns).map(weight).collect();
    let weights = cx.constant(Tensor::from_f32_as(element, [rows, columns], &weights)?)?;
    let matrix = if shape.len() == 1 { cx.insert_axis(a, 0)? } else { a };
    let mut y = cx.emit(Op::MatMul(MatMul { transpose_b: true }), &[matrix, weights])?;
    if shape.len() == 1 {
        y = cx.reshape(y, vec![Dim::Const(rows)])?;
    }
    if let Some(bias) = cx.optional(5) {
        if cx.shape(bias) != [Dim::Const(rows)] {
            return Err(NodeError::Operands(format!("`bias` is not [{rows}]")));
        }
        y = cx.binary(BinaryOp::Add, y, bias)?;
    }
    Ok(vec![y])
}

/// GatherBlockQuantized: rows of stored weights as floats. The weights are bytes that hold several along the last axis, or
/// 4-bit integers; each block along `quantize_axis` has a scale and perhaps a zero point, which is otherwise half of the numbers
/// for bytes and zero for 4-bit integers.
pub(super) fn gather_block_quantized(cx: &mut NodeCx<'_, '_>) -> Results {
    let bits = bits(cx)?;
    let block = block_size(cx, Some(128))?;
    let (data, indices) = (cx.operand(0)?, cx.operand(1)?);
    let narrow = cx.narrow(data);
    if let Some(ty) = narrow.filter(|ty| ty.bits() != bits) {
        let expected = format!("those of {}, {}", ty.name(), ty.bits());
        return Err(NodeError::Value { name: "bits", value: bits.to_string(), expected });
    }
    let stored = constant(cx, data, "data")?;
    let mut shape = stored.shape().to_vec();
    let (gather_axis, along) =
        (cx.attributes.int("gather_axis")?.unwrap_or(0), cx.attributes.int("quantize_axis")?.unwrap_or(1));
    let (gather_axis, along) = (axis(gather_axis, shape.len())?, axis(along, shape.len())?);
    let last = shape.len() - 1;
    if narrow.is_none() {
        if stored.element() != ElementType::U8 || gather_axis != 0 || along != last {
            let reason = "weights other than 4-bit integers have to be uint8, gathered along the first axis and in \
                          blocks along the last";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        shape[last] = shape[last].saturating_mul(8 / bits);
    }
    let mut blocks = shape.clone();
    blocks[along] = shape[along].div_ceil(block);
    let element = cx.element(cx.operand(2)?);
    let scales = floats(cx, 2, "scales", &blocks)?;
    let zeros = gathered_zeros(cx, bits, &blocks, narrow)?;
    let count = shape.iter().product::<u64>();
    take(cx, count, element)?;
    let inner: u64 = shape[along + 1..].iter().product();
    let packed = Packed { bits, row_bytes: stored.shape()[last] };
    let numbers = if narrow.is_some() { stored.to_i64_vec() } else { Vec::new() };
    let weight = |at: u64| {
        let (row, lane) = (at / inner, at % inner);
        let place = (row / shape[along] * blocks[along] + row % shape[along] / block) * inner + lane;
        let number = match numbers.get(at as usize) {
            Some(&number) => number,
            None => i64::from(packed.number(stored.bytes(), at / shape[last], at % shape[last])),
        };
        (number as f32 - zeros.at(place / blocks[last], place % blocks[last], blocks[last]))
            * scales[place as usize]
    };
    let weights: Vec<f32> = (0..count).map(weight).collect();
    let weights = cx.constant(Tensor::from_f32_as(element, shape, &weights)?)?;
    Ok(vec![cx.emit(Op::Gather(Gather { axis: gather_axis }), &[weights, indices])?])
}

/// Numbers of a few bits each in rows of whole bytes, the first in the low bits.
#[derive(Clone, Copy)]
struct Packed {
    bits: u64,
    row_bytes: u64,
}

impl Packed {
    fn number(&self, bytes: &[u8], row: u64, column: u64) -> u8 {
        let bit = column * self.bits;
        let byte = bytes[(row * self.row_bytes + bit / 8) as usize];
        byte >> (bit % 8) & (u8::MAX >> (8 - self.bits))
    }
}

/// The numbers that stand for zero, by block.
enum Zeros {
    One(f32),
    Bytes(Packed, bytes::Bytes),
    Floats(Vec<f32>),
}

impl Zeros {
    /// That of a block in a row of `blocks`.
    fn at(&self, row: u64, block: u64, blocks: u64) -> f32 {
        match self {
            Self::One(zero) => *zero,
            Self::Bytes(packed, bytes) => f32::from(packed.number(bytes, row, block)),
            Self::Floats(zeros) => zeros[(row * blocks + block) as usize],
        }
    }
}

/// The number in the middle of those that so many bits hold.
fn middle(bits: u64) -> f32 {
    f32::from(1u8 << (bits - 1))
}

/// The zero points of MatMulNBits.
fn zero_points(cx: &NodeCx<'_, '_>, bits: u64, [rows, blocks]: [u64; 2]) -> Result<Zeros, NodeError> {
    const NAME: &str = "zero_points";
    let Some(value) = cx.optional(3) else { return Ok(Zeros::One(middle(bits))) };
    if cx.element(value).is_float() {
        if bits == 8 {
            let reason = "zero points of floats are not supported beside 8 bits, only bytes";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        return Ok(Zeros::Floats(floats(cx, 3, NAME, &[rows, blocks])?));
    }
    let row_bytes = (blocks * bits).div_ceil(8);
    Ok(Zeros::Bytes(Packed { bits, row_bytes }, stored(cx, 3, NAME, &[rows, row_bytes])?))
}

/// The zero points of GatherBlockQuantized, `narrow` being the type of its weights where that is no byte.
fn gathered_zeros(
    cx: &NodeCx<'_, '_>,
    bits: u64,
    blocks: &[u64],
    narrow: Option<DataType>,
) -> Result<Zeros, NodeError> {
    const NAME: &str = "zero_points";
    let Some(value) = cx.optional(3) else {
        return Ok(Zeros::One(if narrow.is_some() { 0.0 } else { middle(bits) }));
    };
    if narrow.is_some() {
        let zeros = constant(cx, value, NAME)?;
        if cx.narrow(value) != narrow || zeros.shape() != blocks {
            return Err(wrong(NAME, &zeros, blocks));
        }
        return Ok(Zeros::Floats(zeros.to_f32_vec()));
    }
    let last = blocks.len() - 1;
    let mut shape = blocks.to_vec();
    shape[last] = (shape[last] * bits).div_ceil(8);
    let row_bytes = shape[last];
    Ok(Zeros::Bytes(Packed { bits, row_bytes }, stored(cx, 3, NAME, &shape)?))
}

/// The block of each column where `g_idx` says it; otherwise they are in order.
fn groups(cx: &NodeCx<'_, '_>, columns: u64, block: u64) -> Result<Vec<u64>, NodeError> {
    let Some(value) = cx.optional(4) else { return Ok(Vec::new()) };
    let given = constant(cx, value, "g_idx")?;
    let blocks = columns.div_ceil(block);
    if given.shape() != [columns] || !matches!(given.element(), ElementType::I32 | ElementType::I64) {
        return Err(wrong("g_idx", &given, &[columns]));
    }
    let group = |group: i64| {
        u64::try_from(group).ok().filter(|&group| group < blocks).ok_or_else(|| NodeError::Value {
            name: "g_idx",
            value: group.to_string(),
            expected: format!("a block, 0 to {}", blocks.saturating_sub(1)),
        })
    };
    given.to_i64_vec().into_iter().map(group).collect()
}

fn bits(cx: &mut NodeCx<'_, '_>) -> Result<u64, NodeError> {
    match cx.attributes.int("bits")?.unwrap_or(4) {
        bits @ (2 | 4 | 8) => Ok(bits as u64),
        other => Err(NodeError::Unsupported(format!(
            "weights of {other} bits are not supported, only of 2, 4 and 8"
        ))),
    }
}

/// The number of weights in a block; without a default it has to be given.
fn block_size(cx: &mut NodeCx<'_, '_>, default: Option<i64>) -> Result<u64, NodeError> {
    let name = "block_size";
    let given = cx.attributes.int(name)?.or(default).ok_or(NodeError::MissingAttribute(name))?;
    u64::try_from(given)
        .ok()
        .filter(|&size| size.is_power_of_two() && (LEAST_BLOCK..=1 << 16).contains(&size))
        .ok_or_else(|| {
            let expected = format!("a power of two from {LEAST_BLOCK} to {}", 1 << 16);
            NodeError::Value { name, value: given.to_string(), expected }
        })
}

/// A size that has to be given.
fn size(cx: &mut NodeCx<'_, '_>, name: &'static str) -> Result<u64, NodeError> {
    let given = cx.attributes.int(name)?.ok_or(NodeError::MissingAttribute(name))?;
    u64::try_from(given).ok().filter(|size| (1..1 << 31).contains(size)).ok_or_else(|| NodeError::Value {
        name,
        value: given.to_string(),
        expected: "a size".to_owned(),
    })
}

/// An operand that has to be constant, perhaps in another shape than it is stored in.
fn constant(cx: &NodeCx<'_, '_>, value: ValueId, name: &'static str) -> Result<Tensor, NodeError> {
    cx.stored(value).ok_or_else(|| {
        let reason = format!("operand `{name}` depends on data; only constants are supported");
        NodeError::Unsupported(reason)
    })
}

fn wrong(name: &'static str, found: &Tensor, expected: &[u64]) -> NodeError {
    let value = format!("a tensor {}{:?}", found.element().name(), found.shape());
    NodeError::Value { name, value, expected: format!("{expected:?}") }
}

/// A constant operand of bytes. Whoever leaves out axes, but not elements, is understood, except for weights.
fn stored(
    cx: &NodeCx<'_, '_>,
    operand: usize,
    name: &'static str,
    shape: &[u64],
) -> Result<bytes::Bytes, NodeError> {
    let tensor = constant(cx, cx.operand(operand)?, name)?;
    let flat = shape.len() == 2 && tensor.shape() == [shape.iter().product::<u64>()];
    if tensor.element() != ElementType::U8 || !flat && tensor.shape() != shape {
        return Err(wrong(name, &tensor, shape));
    }
    Ok(tensor.bytes().clone())
}

/// A constant operand of floats, in a shape or flat.
fn floats(
    cx: &NodeCx<'_, '_>,
    operand: usize,
    name: &'static str,
    shape: &[u64],
) -> Result<Vec<f32>, NodeError> {
    let tensor = constant(cx, cx.operand(operand)?, name)?;
    let flat = tensor.shape() == [shape.iter().product::<u64>()];
    if !matches!(tensor.element(), ElementType::F32 | ElementType::F16) || !flat && tensor.shape() != shape {
        return Err(wrong(name, &tensor, shape));
    }
    Ok(tensor.to_f32_vec())
}

/// Counts a constant of floats.
fn take(cx: &mut NodeCx<'_, '_>, count: u64, element: ElementType) -> Result<(), NodeError> {
    if !matches!(element, ElementType::F32 | ElementType::F16) {
        let reason = format!("weights of {} are not supported, only of f32 and f16", element.name());
        return Err(NodeError::Unsupported(reason));
    }
    cx.take(Resource::ConstantBytes, count.saturating_mul(element.size_bytes() as u64))
}
