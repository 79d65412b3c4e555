//! Operators that compute with integers of eight bits. Products are exact, as i32; what ONNX Runtime computes in floats between
//! quantized operands and results is computed so here.

use super::axis;
use super::linear::{convolution, product};
use super::quantize::{dynamically, nearest};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Reduce, ReduceKind, UnaryOp};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// Integers that stand for numbers.
#[derive(Clone, Copy)]
struct Quantized {
    x: ValueId,
    scale: ValueId,
    zero: Option<ValueId>,
}

impl Quantized {
    /// Three operands in a row: the integers, their scale and their zero point.
    fn operands(cx: &NodeCx<'_, '_>, first: usize) -> Result<Self, NodeError> {
        Ok(Self { x: cx.operand(first)?, scale: cx.operand(first + 1)?, zero: cx.optional(first + 2) })
    }

    /// The numbers, with one scale for all of them.
    fn numbers(self, cx: &mut NodeCx<'_, '_>) -> Result<ValueId, NodeError> {
        let scale = one_number(cx, self.scale, "a scale")?;
        let zero = self.zero.map(|zero| one_number(cx, zero, "a zero point")).transpose()?;
        let y = less_zero(cx, self.x, zero, 0)?;
        let y = cx.cast(y, cx.element(scale))?;
        cx.binary(BinaryOp::Mul, y, scale)
    }
}

/// Numbers as the integers that a scale and a zero point among the operands ask for.
fn quantized(cx: &mut NodeCx<'_, '_>, y: ValueId, scale: usize) -> Results {
    let (scale, zero) = (cx.operand(scale)?, cx.optional(scale + 1));
    let scale = one_number(cx, scale, "a scale")?;
    let scaled = cx.binary(BinaryOp::Div, y, scale)?;
    rounded(cx, scaled, zero)
}

/// Numbers in units of a scale as integers of the zero point's type, uint8 without one.
fn rounded(cx: &mut NodeCx<'_, '_>, scaled: ValueId, zero: Option<ValueId>) -> Results {
    let element = zero.map_or(ElementType::U8, |zero| cx.element(zero));
    let zero = match zero {
        Some(zero) => {
            let zero = one_number(cx, zero, "a zero point")?;
            Some(cx.cast(zero, ElementType::F32)?)
        }
        None => None,
    };
    Ok(vec![nearest(cx, scaled, zero, (element, None))?])
}

fn one_number(cx: &mut NodeCx<'_, '_>, x: ValueId, what: &str) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    if !shape.iter().all(|dim| *dim == Dim::Const(1)) {
        return Err(NodeError::Operands(format!("{what} has rank {}, expected one number", shape.len())));
    }
    cx.reshape(x, Vec::new())
}

/// A parameter with a number for each place along an axis, or one for all, in a shape that broadcasts to rank `rank`.
pub(super) fn along(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    rank: usize,
    axis: usize,
) -> Result<ValueId, NodeError> {
    match &cx.shape(x)[..] {
        [] => Ok(x),
        [Dim::Const(1)] => cx.reshape(x, Vec::new()),
        [count] => {
            let mut shape = vec![Dim::Const(1); rank];
            shape[axis] = count.clone();
            cx.reshape(x, shape)
        }
        _ => Ok(x),
    }
}

/// Integers less their zero point, as i32.
pub(super) fn less_zero(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    zero: Option<ValueId>,
    at: usize,
) -> Result<ValueId, NodeError> {
    let wide = cx.cast(x, ElementType::I32)?;
    let Some(zero) = zero else { return Ok(wide) };
    let zero = cx.cast(zero, ElementType::I32)?;
    let shape = cx.shape(wide);
    let difference = cx.binary(BinaryOp::Sub, wide, zero)?;
    if cx.shape(difference) != shape {
        let reason = format!("the zero point of operand {at} has a larger shape than the operand");
        return Err(NodeError::Operands(reason));
    }
    Ok(difference)
}

/// The product of two matrices of integers less their zero points: one number, one for each row of A or column of B, or broadcast.
fn integer_product(
    cx: &mut NodeCx<'_, '_>,
    [a, b]: [ValueId; 2],
    zeros: [Option<ValueId>; 2],
) -> Result<ValueId, NodeError> {
    let rows = zeros[0].map(|zero| along(cx, zero, 2, 0)).transpose()?;
    let columns = zeros[1].map(|zero| along(cx, zero, 1, 0)).transpose()?;
    let a = less_zero(cx, a, rows, 0)?;
    let b = less_zero(cx, b, columns, 1)?;
    product(cx, a, b)
}

/// MatMulInteger, since 10: the product of integers of eight bits less their zero points, as i32. Zero points are one
/// number, one for each row of A or column of B, or broadcast.
pub(super) fn matmul_integer(cx: &mut NodeCx<'_, '_>) -> Results {
    let factors = [cx.operand(0)?, cx.operand(1)?];
    let zeros = [cx.optional(2), cx.optional(3)];
    Ok(vec![integer_product(cx, factors, zeros)?])
}

/// The convolution of integers less their zero points, as i32; padding is the zero point. Filters may have a zero point for each
/// result channel.
fn integer_convolution(
    cx: &mut NodeCx<'_, '_>,
    [x, w]: [ValueId; 2],
    zeros: [Option<ValueId>; 2],
    bias: Option<ValueId>,
) -> Result<ValueId, NodeError> {
    let zero = zeros[0].map(|zero| one_number(cx, zero, "the input's zero point")).transpose()?;
    let rank = cx.rank(w);
    let filters = zeros[1].map(|zero| along(cx, zero, rank, 0)).transpose()?;
    let x = less_zero(cx, x, zero, 0)?;
    let w = less_zero(cx, w, filters, 1)?;
    let y = convolution(cx, x, w, None)?;
    let Some(bias) = bias else { return Ok(y) };
    let bias = along(cx, bias, cx.rank(y), 1)?;
    cx.binary(BinaryOp::Add, y, bias)
}

/// ConvInteger, since 10.
pub(super) fn conv_integer(cx: &mut NodeCx<'_, '_>) -> Results {
    let operands = [cx.operand(0)?, cx.operand(1)?];
    let zeros = [cx.optional(2), cx.optional(3)];
    Ok(vec![integer_convolution(cx, operands, zeros, None)?])
}

/// QLinearConv, since 10: a convolution of integers, then one factor for what the scales come to. Filters may have a scale and a
/// zero point for each result channel; the bias is in units of both scales' product.
pub(super) fn qlinear_conv(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, w) = (Quantized::operands(cx, 0)?, Quantized::operands(cx, 3)?);
    let sum = integer_convolution(cx, [x.x, w.x], [x.zero, w.zero], cx.optional(8))?;
    let scale = along(cx, w.scale, cx.rank(sum), 1)?;
    requantized(cx, sum, [x.scale, scale], 6)
}

/// QLinearMatMul, since 10: a product of integers, then one factor for what the scales come to. Scales and zero points may differ by
/// row of A and by column of B. Since 21 scales may be f16, which are computed with in f32.
pub(super) fn qlinear_matmul(cx: &mut NodeCx<'_, '_>) -> Results {
    let (a, b) = (Quantized::operands(cx, 0)?, Quantized::operands(cx, 3)?);
    let sum = integer_product(cx, [a.x, b.x], [a.zero, b.zero])?;
    let rows = along(cx, a.scale, 2, 0)?;
    let columns = along(cx, b.scale, 1, 0)?;
    requantized(cx, sum, [rows, columns], 6)
}

/// Sums in units of two scales as integers in units of a third, which is an operand before its zero point.
fn requantized(cx: &mut NodeCx<'_, '_>, sum: ValueId, scales: [ValueId; 2], to: usize) -> Results {
    let (scale, zero) = (cx.operand(to)?, cx.optional(to + 1));
    let scale = one_number(cx, scale, "the result's scale")?;
    let [a, b, scale] = [cx.widened(scales[0])?, cx.widened(scales[1])?, cx.widened(scale)?];
    let factor = cx.binary(BinaryOp::Mul, a, b)?;
    let factor = cx.binary(BinaryOp::Div, factor, scale)?;
    let shape = cx.shape(sum);
    let numbers = cx.cast(sum, cx.element(factor))?;
    let scaled = cx.binary(BinaryOp::Mul, numbers, factor)?;
    if cx.shape(scaled) != shape {
        return Err(NodeError::Operands("a scale has a larger shape than its operand".to_owned()));
    }
    rounded(cx, scaled, zero)
}

/// MatMulIntegerToFloat: the product of integers times both scales, plus a bias.
pub(super) fn matmul_integer_to_float(cx: &mut NodeCx<'_, '_>) -> Results {
    let factors = [cx.operand(0)?, cx.operand(1)?];
    let sum = integer_product(cx, factors, [cx.optional(4), cx.optional(5)])?;
    let rows = cx.operand(2)?;
    let rows = along(cx, rows, 2, 0)?;
    let columns = cx.operand(3)?;
    scaled_product(cx, sum, [rows, columns], cx.optional(6))
}

/// DynamicQuantizeMatMul: the product of a tensor that is quantized by its own range and of integers, plus a bias.
pub(super) fn dynamic_quantize_matmul(cx: &mut NodeCx<'_, '_>) -> Results {
    let (a, b, columns) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let [a, scale, zero] = dynamically(cx, a)?;
    let sum = integer_product(cx, [a, b], [Some(zero), cx.optional(3)])?;
    scaled_product(cx, sum, [scale, columns], cx.optional(4))
}

/// Sums in units of two scales, the second by column, as numbers, plus a bias.
fn scaled_product(
    cx: &mut NodeCx<'_, '_>,
    sum: ValueId,
    scales: [ValueId; 2],
    bias: Option<ValueId>,
) -> Results {
    let columns = along(cx, scales[1], 1, 0)?;
    let factor = cx.binary(BinaryOp::Mul, scales[0], columns)?;
    let numbers = cx.cast(sum, cx.element(factor))?;
    let y = cx.binary(BinaryOp::Mul, numbers, factor)?;
    Ok(vec![match bias {
        Some(bias) => cx.binary(BinaryOp::Add, y, bias)?,
        None => y,
    }])
}

/// QGemm: `alpha A B` of integers plus an i32 bias in units of both scales; floats where there is no scale of the result.
pub(super) fn qgemm(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let transposes = [cx.attributes.flag("transA", false)?, cx.attributes.flag("transB", false)?];
    let (mut a, mut b) = (Quantized::operands(cx, 0)?, Quantized::operands(cx, 3)?);
    for (factor, transposed) in [&mut a, &mut b].into_iter().zip(transposes) {
        if cx.rank(factor.x) != 2 {
            return Err(NodeError::Operands("both factors must be matrices".to_owned()));
        }
        if transposed {
            factor.x = cx.transpose(factor.x, vec![1, 0])?;
        }
    }
    let mut sum = integer_product(cx, [a.x, b.x], [a.zero, b.zero])?;
    if let Some(bias) = cx.optional(6) {
        sum = cx.binary(BinaryOp::Add, sum, bias)?;
    }
    let alpha = cx.scalar_like(a.scale, alpha)?;
    let rows = one_number(cx, a.scale, "the scale of A")?;
    let rows = cx.binary(BinaryOp::Mul, alpha, rows)?;
    if cx.optional(7).is_some() {
        let columns = along(cx, b.scale, 1, 0)?;
        return requantized(cx, sum, [rows, columns], 7);
    }
    scaled_product(cx, sum, [rows, b.scale], None)
}

/// QLinearAdd.
pub(super) fn qlinear_add(cx: &mut NodeCx<'_, '_>) -> Results {
    between(cx, BinaryOp::Add)
}

/// QLinearMul.
pub(super) fn qlinear_mul(cx: &mut NodeCx<'_, '_>) -> Results {
    between(cx, BinaryOp::Mul)
}

fn between(cx: &mut NodeCx<'_, '_>, op: BinaryOp) -> Results {
    let a = Quantized::operands(cx, 0)?.numbers(cx)?;
    let b = Quantized::operands(cx, 3)?.numbers(cx)?;
    let y = cx.binary(op, a, b)?;
    quantized(cx, y, 6)
}

/// QLinearLeakyRelu.
pub(super) fn qlinear_leaky_relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(0.01));
    let x = Quantized::operands(cx, 0)?.numbers(cx)?;
    let y = super::activation::leaky_of(cx, x, alpha)?;
    quantized(cx, y, 3)
}

/// QLinearSigmoid.
pub(super) fn qlinear_sigmoid(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = Quantized::operands(cx, 0)?.numbers(cx)?;
    let y = cx.unary(UnaryOp::Sigmoid, x)?;
    quantized(cx, y, 3)
}

/// QLinearGlobalAveragePool.
pub(super) fn qlinear_global_average_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let channels_last = cx.attributes.flag("channels_last", false)?;
    let x = Quantized::operands(cx, 0)?.numbers(cx)?;
    let rank = cx.rank(x);
    let axes = if channels_last { 1..rank.saturating_sub(1) } else { 2..rank };
    if axes.is_empty() {
        return Err(NodeError::Operands(format!("the input has rank {rank}, expected 3 at least")));
    }
    let mean = Reduce { kind: ReduceKind::Mean, axes: axes.collect(), keep_dims: true };
    let y = cx.emit(Op::Reduce(mean), &[x])?;
    quantized(cx, y, 3)
}

/// QLinearConcat: scale and zero point of the result come first, then three operands for each part.
pub(super) fn qlinear_concat(cx: &mut NodeCx<'_, '_>) -> Results {
    let given = cx.attributes.int("axis")?.ok_or(NodeError::MissingAttribute("axis"))?;
    if cx.operand_count() % 3 != 2 {
        return Err(NodeError::Operands("each part needs a scale and a zero point".to_owned()));
    }
    let mut parts = Vec::new();
    for first in (2..cx.operand_count()).step_by(3) {
        parts.push(Quantized::operands(cx, first)?.numbers(cx)?);
    }
    let axis = axis(given, cx.rank(parts[0]))?;
    let y = cx.concat(axis, &parts)?;
    quantized(cx, y, 0)
}
