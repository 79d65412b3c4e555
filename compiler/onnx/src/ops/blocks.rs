//! Weights in blocks of a few bits each, as ONNX Runtime's tools store them: products with them, and rows picked of them.
//! They stay so in the graph (`drift_ir::tensor::blocks`).

use super::axis;
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, MatMul};
use drift_ir::tensor::blocks::{BITS, Blocks, Parts, Zeros, pack_numbers};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// The least number of weights in a block.
const LEAST_BLOCK: u64 = 16;

/// MatMulNBits: `A B^T` plus a bias, where B is stored as `[N, blocks, bytes of a block]`, the first weight of a byte in its low
/// bits. A weight is its number less the zero point of its block, times the block's scale. Zero points are bytes, packed like
/// the weights with each row on its own, or floats; without them they are half of the numbers. `g_idx` names the block that
/// each column takes its scale from: columns are brought into the order of their blocks, and A with them. Weights have to be
/// constant. `accuracy_level` lets ONNX Runtime round A to fewer bits, which is not done here.
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
    let numbers = stored(cx, 1, "B", &[rows, blocks, block * bits / 8])?;
    let scales = floats(cx, 2, "scales", &[rows, blocks])?;
    let zeros = zero_points(cx, bits, [rows, blocks])?;
    let groups = groups(cx, columns, block)?;
    if cx.optional(4).is_some() && (bits != 4 || matches!(zeros, Zeros::Numbers(..))) {
        let reason = format!(
            "`g_idx` with {bits} bits or with packed zero points is not supported, only with 4 bits and without packed ones"
        );
        return Err(NodeError::Unsupported(reason));
    }
    take(cx, rows.saturating_mul(columns), element)?;
    let bits = bits as u32;
    let weights = Blocks::new(Parts { bits, size: block, shape: [rows, columns], numbers, scales, zeros })?;
    let mut matrix = if shape.len() == 1 { cx.insert_axis(a, 0)? } else { a };
    let weights = match order_of(&groups, block) {
        Order::Kept => Tensor::from_blocks(element, [rows, columns], weights)?,
        Order::By(order) => {
            let axis = cx.rank(matrix) - 1;
            let places: Vec<i64> = order.iter().map(|&column| column as i64).collect();
            let places = cx.constant(Tensor::from_i64([columns], &places)?)?;
            matrix = cx.emit(Op::Gather(Gather { axis }), &[matrix, places])?;
            Tensor::from_blocks(element, [rows, columns], in_order(&weights, &order)?)?
        }
        Order::None => spread(element, &weights, &groups)?,
    };
    let weights = cx.constant(weights)?;
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

/// How columns come into the order of their blocks.
enum Order {
    /// They are.
    Kept,
    /// These columns one after another.
    By(Vec<u64>),
    /// In none: blocks have more or fewer columns than they hold.
    None,
}

fn order_of(groups: &[u64], block: u64) -> Order {
    let mut order: Vec<u64> = (0..groups.len() as u64).collect();
    order.sort_by_key(|&column| groups[column as usize]);
    let fits = |(place, &column): (u64, &u64)| groups[column as usize] == place / block;
    match (order.is_sorted(), (0..).zip(&order).all(fits)) {
        (true, true) => Order::Kept,
        (false, true) => Order::By(order),
        (_, false) => Order::None,
    }
}

/// Four-bit numbers with their columns in another order; scales and zero points stay.
fn in_order(weights: &Blocks, order: &[u64]) -> Result<Blocks, NodeError> {
    let [rows, columns] = weights.shape();
    let nibble = |row: &[u8], column: u64| row[(column / 2) as usize] >> (column % 2 * 4) & 15;
    let row =
        |row: u64| pack_numbers(order.iter().map(|&column| nibble(weights.row(row), column)), weights.bits());
    let numbers: Vec<u8> = (0..rows).flat_map(row).collect();
    let (scales, zeros) = (weights.scales().clone(), weights.zeros().clone());
    let shape = [rows, columns];
    Ok(Blocks::new(Parts {
        bits: weights.bits(),
        size: weights.size(),
        shape,
        numbers: numbers.into(),
        scales,
        zeros,
    })?)
}

/// Floats, where blocks do not describe what columns take their scales from.
fn spread(element: ElementType, weights: &Blocks, groups: &[u64]) -> Result<Tensor, NodeError> {
    let ([rows, columns], per_row) = (weights.shape(), weights.per_row());
    let scales = weights.scales().to_f32_vec();
    let zeros = match weights.zeros() {
        Zeros::All(zero) => vec![f32::from(*zero); scales.len()],
        Zeros::Floats(zeros) => zeros.to_f32_vec(),
        Zeros::Numbers(_) => {
            return Err(NodeError::Unsupported("`g_idx` with packed zero points".to_owned()));
        }
    };
    let weight = |row: u64, column: u64| {
        let number = weights.row(row)[(column / 2) as usize] >> (column % 2 * 4) & 15;
        let block = (row * per_row + groups[column as usize]) as usize;
        (f32::from(number) - zeros[block]) * scales[block]
    };
    let values: Vec<f32> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(r, c)| weight(r, c))
        .collect();
    Ok(Tensor::from_f32_as(element, [rows, columns], &values)?)
}

/// GatherBlockQuantized: rows of stored weights as floats. The weights are bytes that hold several along the last axis, or
/// 4-bit integers; each block along `quantize_axis` has a scale and perhaps a zero point, which is otherwise half of the numbers
/// for bytes and zero for 4-bit integers. Blocks along another axis than the last become floats.
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
    let count = shape.iter().product::<u64>();
    take(cx, count, element)?;
    let weights = match narrow {
        Some(ty) => {
            let zeros = narrow_zeros(cx, ty, &blocks)?;
            let quantized = Quantized { numbers: &stored, ty, scales, zeros, element };
            if along == last { quantized.in_blocks(block)? } else { quantized.floats(along, block)? }
        }
        None => {
            let zeros = gathered_zeros(cx, bits, &blocks)?;
            let rows = shape[..last].iter().product();
            let (bits, shape_of_rows) = (bits as u32, [rows, shape[last]]);
            let numbers = stored.bytes().clone();
            let parts = Parts { bits, size: block, shape: shape_of_rows, numbers, scales, zeros };
            Tensor::from_blocks(element, shape, Blocks::new(parts)?)?
        }
    };
    let weights = cx.constant(weights)?;
    Ok(vec![cx.emit(Op::Gather(Gather { axis: gather_axis }), &[weights, indices])?])
}

/// Weights that the file stores as integers of four bits, which a tensor holds in a byte each.
struct Quantized<'a> {
    numbers: &'a Tensor,
    ty: DataType,
    scales: Tensor,
    /// Those that stand for zero, by block; none where that is zero.
    zeros: Option<Vec<i64>>,
    element: ElementType,
}

impl Quantized<'_> {
    /// Blocks along the last axis.
    fn in_blocks(&self, size: u64) -> Result<Tensor, NodeError> {
        let shape = self.numbers.shape();
        let last = shape.len() - 1;
        let (bits, rows, columns) = (self.ty.bits() as u32, shape[..last].iter().product(), shape[last]);
        let least = i64::from(self.ty.range().map_or(0, |[least, _]| least));
        let unsigned = |number: &i64| (number - least) as u8;
        let pack = |numbers: &[i64], row: usize| -> Vec<u8> {
            numbers.chunks(row.max(1)).flat_map(|row| pack_numbers(row.iter().map(unsigned), bits)).collect()
        };
        let numbers = pack(&self.numbers.to_i64_vec(), columns as usize).into();
        let zeros = match &self.zeros {
            None => Zeros::All(unsigned(&0)),
            Some(zeros) => Zeros::Numbers(pack(zeros, columns.div_ceil(size) as usize).into()),
        };
        let parts = Parts { bits, size, shape: [rows, columns], numbers, scales: self.scales.clone(), zeros };
        Ok(Tensor::from_blocks(self.element, shape, Blocks::new(parts)?)?)
    }

    /// Floats, of blocks along any axis.
    fn floats(&self, along: usize, size: u64) -> Result<Tensor, NodeError> {
        let shape = self.numbers.shape();
        let inner: u64 = shape[along + 1..].iter().product();
        let (blocks, scales) = (shape[along].div_ceil(size), self.scales.to_f32_vec());
        let weight = |(at, number): (u64, i64)| {
            let (row, lane) = (at / inner, at % inner);
            let place = ((row / shape[along] * blocks + row % shape[along] / size) * inner + lane) as usize;
            let zero = self.zeros.as_ref().map_or(0, |zeros| zeros[place]);
            (number as f32 - zero as f32) * scales[place]
        };
        let weights: Vec<f32> = (0..).zip(self.numbers.to_i64_vec()).map(weight).collect();
        Ok(Tensor::from_f32_as(self.element, shape, &weights)?)
    }
}

/// The number in the middle of those that so many bits hold.
fn middle(bits: u64) -> Zeros {
    Zeros::All(1 << (bits - 1))
}

/// The zero points of MatMulNBits.
fn zero_points(cx: &NodeCx<'_, '_>, bits: u64, [rows, blocks]: [u64; 2]) -> Result<Zeros, NodeError> {
    const NAME: &str = "zero_points";
    let Some(value) = cx.optional(3) else { return Ok(middle(bits)) };
    if cx.element(value).is_float() {
        if bits == 8 {
            let reason = "zero points of floats are not supported beside 8 bits, only bytes";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        return Ok(Zeros::Floats(floats(cx, 3, NAME, &[rows, blocks])?));
    }
    Ok(Zeros::Numbers(stored(cx, 3, NAME, &[rows, (blocks * bits).div_ceil(8)])?))
}

/// The zero points of GatherBlockQuantized beside weights of bytes.
fn gathered_zeros(cx: &NodeCx<'_, '_>, bits: u64, blocks: &[u64]) -> Result<Zeros, NodeError> {
    if cx.optional(3).is_none() {
        return Ok(middle(bits));
    }
    let last = blocks.len() - 1;
    let mut shape = blocks.to_vec();
    shape[last] = (shape[last] * bits).div_ceil(8);
    Ok(Zeros::Numbers(stored(cx, 3, "zero_points", &shape)?))
}

/// The same beside weights of a type of four bits.
fn narrow_zeros(cx: &NodeCx<'_, '_>, ty: DataType, blocks: &[u64]) -> Result<Option<Vec<i64>>, NodeError> {
    const NAME: &str = "zero_points";
    let Some(value) = cx.optional(3) else { return Ok(None) };
    let zeros = constant(cx, value, NAME)?;
    if cx.narrow(value) != Some(ty) || zeros.shape() != blocks {
        return Err(wrong(NAME, &zeros, blocks));
    }
    Ok(Some(zeros.to_i64_vec()))
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
    let given = cx.attributes.int("bits")?.unwrap_or(4);
    BITS.into_iter().find(|&bits| i64::from(bits) == given).map(u64::from).ok_or_else(|| {
        NodeError::Unsupported(format!("weights of {given} bits are not supported, only of 2, 4 and 8"))
    })
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
) -> Result<Tensor, NodeError> {
    let tensor = constant(cx, cx.operand(operand)?, name)?;
    let flat = tensor.shape() == [shape.iter().product::<u64>()];
    if !matches!(tensor.element(), ElementType::F32 | ElementType::F16) || !flat && tensor.shape() != shape {
        return Err(wrong(name, &tensor, shape));
    }
    Ok(tensor)
}

/// Counts a constant of floats.
fn take(cx: &mut NodeCx<'_, '_>, count: u64, element: ElementType) -> Result<(), NodeError> {
    if !matches!(element, ElementType::F32 | ElementType::F16) {
        let reason = format!("weights of {} are not supported, only of f32 and f16", element.name());
        return Err(NodeError::Unsupported(reason));
    }
    cx.take(Resource::ConstantBytes, count.saturating_mul(element.size_bytes() as u64))
}
