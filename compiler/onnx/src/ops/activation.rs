//! Activations, composed of arithmetic that becomes one kernel: a step that reads `x` and a function of `x` is fused with
//! what makes `x`.

use super::elementwise::{from_axis, unary};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use drift_ir::{Dim, Op, ValueId};

/// Celu, since 12: `max(x, 0) + min(0, alpha (exp(x / alpha) - 1))`, which is `x` above zero and the exponential below.
pub(super) fn celu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    if alpha.is_nan() || alpha <= 0.0 {
        let expected = "a positive number".to_owned();
        return Err(NodeError::Value { name: "alpha", value: alpha.to_string(), expected });
    }
    let x = cx.operand(0)?;
    let scaled = times(cx, x, 1.0 / alpha)?;
    let below = cx.unary(UnaryOp::Expm1, scaled)?;
    let below = times(cx, below, alpha)?;
    Ok(vec![below_zero(cx, x, below)?])
}

/// Elu: `x` above zero, `alpha (exp(x) - 1)` below.
pub(super) fn elu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let x = cx.operand(0)?;
    Ok(vec![elu_of(cx, x, alpha)?])
}

/// `x` above zero, `alpha (exp(x) - 1)` below.
pub(super) fn elu_of(cx: &mut NodeCx<'_, '_>, x: ValueId, alpha: f64) -> Result<ValueId, NodeError> {
    let below = cx.unary(UnaryOp::Expm1, x)?;
    let below = times(cx, below, alpha)?;
    below_zero(cx, x, below)
}

/// `below` where `x` is negative, `x` elsewhere: a NaN of `x` is in both.
fn below_zero(cx: &mut NodeCx<'_, '_>, x: ValueId, below: ValueId) -> Result<ValueId, NodeError> {
    let zero = cx.scalar_like(x, 0.0)?;
    let is_below = cx.binary(BinaryOp::Less, x, zero)?;
    cx.emit(Op::Elementwise(ScalarOp::Select), &[is_below, below, x])
}

/// `factor x`.
pub(super) fn times(cx: &mut NodeCx<'_, '_>, x: ValueId, factor: f64) -> Result<ValueId, NodeError> {
    if factor == 1.0 {
        return Ok(x);
    }
    let factor = cx.scalar_like(x, factor)?;
    cx.binary(BinaryOp::Mul, x, factor)
}

/// Gelu, since 20; `approximate` picks the form.
pub(super) fn gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let kind = match cx.attributes.text("approximate")?.unwrap_or("none") {
        "none" => GeluKind::Erf,
        "tanh" => GeluKind::Tanh,
        other => {
            let expected = "`none` or `tanh`".to_owned();
            return Err(NodeError::Value { name: "approximate", value: other.to_owned(), expected });
        }
    };
    unary(cx, UnaryOp::Gelu(kind))
}

/// HardSigmoid: `clip(alpha x + beta, 0, 1)`.
pub(super) fn hard_sigmoid(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(0.2);
    let beta = cx.attributes.float("beta")?.unwrap_or(0.5);
    let x = cx.operand(0)?;
    Ok(vec![hard_sigmoid_of(cx, x, f64::from(alpha), f64::from(beta))?])
}

/// `clip(alpha x + beta, 0, 1)`.
pub(super) fn hard_sigmoid_of(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    alpha: f64,
    beta: f64,
) -> Result<ValueId, NodeError> {
    let alpha = cx.scalar_like(x, alpha)?;
    let beta = cx.scalar_like(x, beta)?;
    let scaled = cx.binary(BinaryOp::Mul, x, alpha)?;
    let shifted = cx.binary(BinaryOp::Add, scaled, beta)?;
    cx.emit(Op::Elementwise(ScalarOp::Clip { min: 0.0, max: 1.0 }), &[shifted])
}

/// HardSwish, since 14: `x clip(x / 6 + 1/2, 0, 1)`.
pub(super) fn hard_swish(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let gate = hard_sigmoid_of(cx, x, 1.0 / 6.0, 0.5)?;
    Ok(vec![cx.binary(BinaryOp::Mul, x, gate)?])
}

/// LeakyRelu: `x` above zero, `alpha x` below. Since 16 also bfloat16.
pub(super) fn leaky_relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(0.01));
    let x = cx.operand(0)?;
    Ok(vec![leaky_of(cx, x, alpha)?])
}

/// `x` above zero, `alpha x` below.
pub(super) fn leaky_of(cx: &mut NodeCx<'_, '_>, x: ValueId, alpha: f64) -> Result<ValueId, NodeError> {
    let slope = cx.scalar_like(x, alpha)?;
    let scaled = cx.binary(BinaryOp::Mul, x, slope)?;
    below_zero(cx, x, scaled)
}

/// Mish, since 18: `x tanh(softplus(x))`.
pub(super) fn mish(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let gate = cx.unary(UnaryOp::Softplus, x)?;
    let gate = cx.unary(UnaryOp::Tanh, gate)?;
    Ok(vec![cx.binary(BinaryOp::Mul, x, gate)?])
}

/// PRelu: `x` above zero, `slope x` below, with one slope per element after broadcasting. Before 7 a slope for each channel; since 9 also integers.
pub(super) fn prelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, mut slope) = (cx.operand(0)?, cx.operand(1)?);
    let rank = cx.rank(x);
    if cx.is_before(7) && rank > 1 && cx.shape(slope) != [Dim::Const(1)] {
        slope = from_axis(cx, slope, 1, rank)?;
    }
    let scaled = cx.binary(BinaryOp::Mul, x, slope)?;
    Ok(vec![below_zero(cx, x, scaled)?])
}

/// Relu. Since 14 also integers.
pub(super) fn relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    if cx.element(x).is_float() {
        return unary(cx, UnaryOp::Relu);
    }
    let zero = cx.scalar_like(x, 0.0)?;
    Ok(vec![cx.binary(BinaryOp::Max, x, zero)?])
}

/// Selu: `gamma elu(x)`, with constants that keep mean and variance.
pub(super) fn selu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.673_263_2));
    let gamma = f64::from(cx.attributes.float("gamma")?.unwrap_or(1.050_701));
    let x = cx.operand(0)?;
    let y = elu_of(cx, x, alpha)?;
    Ok(vec![times(cx, y, gamma)?])
}

/// Shrink, since 9: zero within `lambd` of zero, moved toward zero by `bias` beyond.
pub(super) fn shrink(cx: &mut NodeCx<'_, '_>) -> Results {
    let bias = f64::from(cx.attributes.float("bias")?.unwrap_or(0.0));
    let lambd = f64::from(cx.attributes.float("lambd")?.unwrap_or(0.5));
    if lambd.is_nan() || lambd < 0.0 {
        let reason =
            format!("a negative `lambd` ({lambd}) gives two rules for one value, which is not supported");
        return Err(NodeError::Unsupported(reason));
    }
    let x = cx.operand(0)?;
    let magnitude = cx.unary(UnaryOp::Abs, x)?;
    let bound = cx.scalar_like(x, lambd)?;
    let beyond = cx.binary(BinaryOp::Greater, magnitude, bound)?;
    let moved = if bias == 0.0 {
        x
    } else {
        let side = cx.unary(UnaryOp::Sign, x)?;
        let step = times(cx, side, bias)?;
        cx.binary(BinaryOp::Sub, x, step)?
    };
    let zero = cx.scalar_like(x, 0.0)?;
    Ok(vec![cx.emit(Op::Elementwise(ScalarOp::Select), &[beyond, moved, zero])?])
}

/// Sigmoid.
pub(super) fn sigmoid(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sigmoid)
}

/// Softplus: `log(1 + exp(x))`.
pub(super) fn softplus(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Softplus)
}

/// Softsign: `x / (1 + |x|)`.
pub(super) fn softsign(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    Ok(vec![softsign_of(cx, x)?])
}

/// `x / (1 + |x|)`.
pub(super) fn softsign_of(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let magnitude = cx.unary(UnaryOp::Abs, x)?;
    let one = cx.scalar_like(x, 1.0)?;
    let scale = cx.binary(BinaryOp::Add, magnitude, one)?;
    cx.binary(BinaryOp::Div, x, scale)
}

/// Swish, since 24: `x sigmoid(alpha x)`.
pub(super) fn swish(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let x = cx.operand(0)?;
    Ok(vec![quick_gelu(cx, x, alpha)?])
}

/// SwiGLU, since 28: Swish of the first operand times the second, which has its shape.
pub(super) fn swi_glu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let (gate, value) = (cx.operand(0)?, cx.operand(1)?);
    if cx.shape(gate) != cx.shape(value) {
        return Err(NodeError::Operands("gate and value have different shapes".to_owned()));
    }
    let gate = quick_gelu(cx, gate, alpha)?;
    Ok(vec![cx.binary(BinaryOp::Mul, gate, value)?])
}

/// `x sigmoid(alpha x)`.
pub(super) fn quick_gelu(cx: &mut NodeCx<'_, '_>, x: ValueId, alpha: f64) -> Result<ValueId, NodeError> {
    if alpha == 1.0 {
        return cx.unary(UnaryOp::Silu, x);
    }
    let scaled = times(cx, x, alpha)?;
    let gate = cx.unary(UnaryOp::Sigmoid, scaled)?;
    cx.binary(BinaryOp::Mul, x, gate)
}

/// ThresholdedRelu, since 10: `x` above `alpha`, zero below.
pub(super) fn thresholded_relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let x = cx.operand(0)?;
    Ok(vec![thresholded_of(cx, x, alpha)?])
}

/// `x` above `alpha`, zero below.
pub(super) fn thresholded_of(cx: &mut NodeCx<'_, '_>, x: ValueId, alpha: f64) -> Result<ValueId, NodeError> {
    let bound = cx.scalar_like(x, alpha)?;
    let above = cx.binary(BinaryOp::Greater, x, bound)?;
    let zero = cx.scalar_like(x, 0.0)?;
    cx.emit(Op::Elementwise(ScalarOp::Select), &[above, x, zero])
}
