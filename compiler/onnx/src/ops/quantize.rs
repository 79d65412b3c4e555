//! Linear quantization: integers that stand for numbers by a scale and a zero point, for a whole tensor, along an axis, or
//! for blocks along an axis.

use super::axis;
use super::dequantized::Stored;
use super::elementwise::small_rounding;
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Reduce, ReduceKind, ScalarOp, Slice, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// What scales and zero points apply to.
#[derive(Clone, Copy)]
pub(super) enum Granularity {
    /// All elements.
    Tensor,
    /// Those at one place along an axis.
    Axis(usize),
    /// As many neighbours along an axis, the last block perhaps fewer.
    Blocks { axis: usize, size: u64 },
}

/// DequantizeLinear, since 10: `(x - zero_point) * scale`, computed in the scale's type. `axis` since 13, `block_size`
/// since 21, `output_dtype` since 23. Constants become constants.
pub(super) fn dequantize_linear(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, scale, zero) = (cx.operand(0)?, cx.operand(1)?, cx.optional(2));
    let granularity = granularity(cx, x, scale, zero)?;
    let element = match output_type(cx)? {
        Some(ty) if ty.is_exact() && ty.element().is_float() => ty.element(),
        Some(ty) => {
            let expected = "a type of floats that is supported".to_owned();
            return Err(NodeError::Value { name: "output_dtype", value: ty.name().to_owned(), expected });
        }
        None => cx.element(scale),
    };
    if let Some(tensor) = constant(cx, (x, scale, zero), granularity, element)? {
        return Ok(vec![cx.constant(tensor)?]);
    }
    // Small floats differ as floats do.
    let between =
        if cx.narrow(x).is_some_and(|ty| ty.small_float().is_some()) { element } else { ElementType::I32 };
    let mut y = cx.cast(x, between)?;
    if let Some(zero) = zero {
        let zero = cx.cast(zero, between)?;
        let zero = spread(cx, zero, x, granularity)?;
        y = cx.binary(BinaryOp::Sub, y, zero)?;
    }
    let y = cx.cast(y, element)?;
    let scale = cx.cast(scale, element)?;
    let scale = spread(cx, scale, x, granularity)?;
    Ok(vec![cx.binary(BinaryOp::Mul, y, scale)?])
}

/// QuantizeLinear, since 10: `x / scale` to the nearest integer, ties to even, plus the zero point, saturated. The zero
/// point's type is the result's, uint8 without one; since 21 `output_dtype` may give it, and it may have four bits, since 25 two. `axis` since 13, `block_size` since
/// 21, `precision` since 23, which asks for f32 at least.
pub(super) fn quantize_linear(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["precision"]);
    let saturates = cx.attributes.flag("saturate", true)?;
    let (x, scale, zero) = (cx.operand(0)?, cx.operand(1)?, cx.optional(2));
    let granularity = granularity(cx, x, scale, zero)?;
    let asked = output_type(cx)?;
    let narrow = match zero {
        Some(zero) => cx.narrow(zero),
        None => asked.filter(|ty| ty.is_narrow()),
    };
    let element = match (zero, asked) {
        (Some(zero), _) => cx.element(zero),
        (None, Some(ty)) if ty.is_exact() || ty.is_narrow() => ty.element(),
        (None, Some(ty)) => {
            return Err(NodeError::Unsupported(format!("a result of {} is not supported", ty.name())));
        }
        (None, None) => ElementType::U8,
    };
    let x = cx.cast(x, ElementType::F32)?;
    let scale = cx.cast(scale, ElementType::F32)?;
    let scale = spread(cx, scale, x, granularity)?;
    let scaled = cx.binary(BinaryOp::Div, x, scale)?;
    let zero = match zero {
        Some(zero) => {
            let zero = cx.cast(zero, ElementType::F32)?;
            Some(spread(cx, zero, x, granularity)?)
        }
        None => None,
    };
    let y = match narrow.and_then(DataType::small_float) {
        Some(format) => {
            let moved = match zero {
                Some(zero) => cx.binary(BinaryOp::Add, scaled, zero)?,
                None => scaled,
            };
            cx.unary(UnaryOp::Small(small_rounding(format, saturates, "up")?), moved)?
        }
        None => nearest(cx, scaled, zero, (element, narrow))?,
    };
    cx.set_narrow(y, narrow);
    Ok(vec![y])
}

/// Numbers to the nearest integer, ties to even, plus a zero point in f32, saturated.
pub(super) fn nearest(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    zero: Option<ValueId>,
    (element, narrow): (ElementType, Option<DataType>),
) -> Result<ValueId, NodeError> {
    let (min, max) = match (narrow.and_then(DataType::range), element) {
        (Some([min, max]), _) => (f64::from(min), f64::from(max)),
        (None, ElementType::U8) => (0.0, 255.0),
        (None, ElementType::I8) => (-128.0, 127.0),
        (None, ElementType::I16) => (f64::from(i16::MIN), f64::from(i16::MAX)),
        (None, ElementType::U16) => (0.0, f64::from(u16::MAX)),
        (None, other) => {
            let reason = format!("a result of {} is not supported", other.name());
            return Err(NodeError::Unsupported(reason));
        }
    };
    let mut y = cx.unary(UnaryOp::Round, x)?;
    if let Some(zero) = zero {
        y = cx.binary(BinaryOp::Add, y, zero)?;
    }
    let y = cx.emit(Op::Elementwise(ScalarOp::Clip { min, max }), &[y])?;
    cx.cast(y, element)
}

/// DynamicQuantizeLinear, since 11: QuantizeLinear to uint8 over the range of the tensor and zero. The results are the
/// integers, the scale, which is 1 where all are zero, as in ONNX Runtime, and the zero point.
pub(super) fn dynamic_quantize_linear(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    Ok(dynamically(cx, x)?.to_vec())
}

/// A tensor as uint8, its scale and its zero point, by its own range.
pub(super) fn dynamically(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<[ValueId; 3], NodeError> {
    let axes: Vec<usize> = (0..cx.rank(x)).collect();
    let zero = cx.scalar_like(x, 0.0)?;
    let mut end = |kind, op| {
        let end = match axes.is_empty() {
            true => x,
            false => cx.emit(Op::Reduce(Reduce { kind, axes: axes.clone(), keep_dims: false }), &[x])?,
        };
        cx.binary(op, end, zero)
    };
    let (least, most) = (end(ReduceKind::Min, BinaryOp::Min)?, end(ReduceKind::Max, BinaryOp::Max)?);
    let range = cx.binary(BinaryOp::Sub, most, least)?;
    let steps = cx.scalar_like(x, 255.0)?;
    let scale = cx.binary(BinaryOp::Div, range, steps)?;
    let is_nothing = cx.binary(BinaryOp::Equal, scale, zero)?;
    let one = cx.scalar_like(x, 1.0)?;
    let scale = cx.emit(Op::Elementwise(ScalarOp::Select), &[is_nothing, one, scale])?;
    let bytes = Op::Elementwise(ScalarOp::Clip { min: 0.0, max: 255.0 });
    let below = cx.binary(BinaryOp::Div, least, scale)?;
    let below = cx.unary(UnaryOp::Neg, below)?;
    let below = cx.emit(bytes.clone(), &[below])?;
    let zero_point = cx.unary(UnaryOp::Round, below)?;
    let y = cx.binary(BinaryOp::Div, x, scale)?;
    let y = cx.unary(UnaryOp::Round, y)?;
    let y = cx.binary(BinaryOp::Add, y, zero_point)?;
    let y = cx.emit(bytes, &[y])?;
    Ok([cx.cast(y, ElementType::U8)?, scale, cx.cast(zero_point, ElementType::U8)?])
}

/// The type that the node asks for, if it does.
fn output_type(cx: &mut NodeCx<'_, '_>) -> Result<Option<DataType>, NodeError> {
    let Some(given) = cx.attributes.int("output_dtype")?.filter(|&given| given != 0) else { return Ok(None) };
    let unsupported = |name| NodeError::Unsupported(format!("a result of {name} is not supported"));
    DataType::from_proto(i32::try_from(given).unwrap_or(i32::MAX)).map(Some).map_err(unsupported)
}

fn granularity(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    scale: ValueId,
    zero: Option<ValueId>,
) -> Result<Granularity, NodeError> {
    let (shape, scales) = (cx.shape(x), cx.shape(scale));
    // A single scale may be a scalar beside a zero point that is a list, and the other way around.
    let is_single = |shape: &[Dim]| shape.is_empty() || shape == [Dim::Const(1)];
    let differs = |zero: &[Dim]| zero != scales && !(is_single(zero) && is_single(&scales));
    if zero.is_some_and(|zero| differs(&cx.shape(zero))) {
        return Err(NodeError::Operands("scale and zero point have different shapes".to_owned()));
    }
    let given = cx.attributes.int("axis")?.unwrap_or(1);
    let block = cx.attributes.int("block_size")?.unwrap_or(0);
    if scales.is_empty() || scales == [Dim::Const(1)] && block == 0 {
        return Ok(Granularity::Tensor);
    }
    let axis = axis(given, shape.len())?;
    let Ok(size) = u64::try_from(block) else {
        let expected = "0 or more".to_owned();
        return Err(NodeError::Value { name: "block_size", value: block.to_string(), expected });
    };
    if size == 0 && scales.len() == 1 {
        if scales[0] != shape[axis] {
            return Err(NodeError::Operands(format!("axis {axis} has another size than the scale")));
        }
        return Ok(Granularity::Axis(axis));
    }
    let fits = |at: usize| match (&shape[at], &scales[at]) {
        (Dim::Const(elements), Dim::Const(blocks)) if at == axis && size > 0 => {
            elements.div_ceil(size) == *blocks
        }
        (elements, scales) => at != axis && elements == scales,
    };
    if size == 0 || scales.len() != shape.len() || !(0..shape.len()).all(fits) {
        let reason = format!("the scale has no value for each block of {size} elements along axis {axis}");
        return Err(NodeError::Operands(reason));
    }
    Ok(Granularity::Blocks { axis, size })
}

/// Scales or zero points in a shape that broadcasts to that of `x`.
fn spread(
    cx: &mut NodeCx<'_, '_>,
    parameter: ValueId,
    x: ValueId,
    granularity: Granularity,
) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    match granularity {
        Granularity::Tensor => cx.reshape(parameter, Vec::new()),
        Granularity::Axis(axis) => {
            let mut along = vec![Dim::Const(1); shape.len()];
            along[axis] = shape[axis].clone();
            cx.reshape(parameter, along)
        }
        Granularity::Blocks { axis, size } => {
            let mut split = cx.shape(parameter);
            split.insert(axis + 1, Dim::Const(1));
            let mut repeated = split.clone();
            repeated[axis + 1] = Dim::Const(size);
            let mut merged = cx.shape(parameter);
            merged[axis] = merged[axis].mul(&Dim::Const(size))?;
            let is_whole = merged == shape;
            let y = cx.reshape(parameter, split)?;
            let y = cx.expand(y, repeated)?;
            let y = cx.reshape(y, merged)?;
            if is_whole {
                return Ok(y);
            }
            let cut = SliceAxis { axis, start: 0, step: 1, count: shape[axis].clone() };
            cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[y])
        }
    }
}

/// The result where all operands are constant, as those of quantized weights are: in one pass, since they are large.
fn constant(
    cx: &mut NodeCx<'_, '_>,
    (x, scale, zero): (ValueId, ValueId, Option<ValueId>),
    granularity: Granularity,
    element: ElementType,
) -> Result<Option<Tensor>, NodeError> {
    let of = |value: ValueId| cx.constant_tensor(value).cloned();
    let (Some(numbers), Some(scales)) = (of(x), of(scale)) else { return Ok(None) };
    let zeros = zero.map(of);
    if zeros == Some(None) || !matches!(element, ElementType::F32 | ElementType::F16) {
        return Ok(None);
    }
    let zeros = zeros.flatten();
    let narrow = cx.narrow(x);
    if narrow.is_some_and(|ty| ty.small_float().is_some()) {
        return Ok(None);
    }
    cx.take(Resource::ConstantBytes, (numbers.len() as u64).saturating_mul(element.size_bytes() as u64))?;
    let stored = Stored { numbers: &numbers, narrow, scales: &scales, zeros: zeros.as_ref(), granularity };
    stored.tensor(element).map(Some)
}
