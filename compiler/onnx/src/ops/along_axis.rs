//! Operators that weigh the elements along one axis against each other.

use super::axis;
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Reduce, ReduceKind, ScalarOp, Softmax, UnaryOp};
use drift_ir::{Dim, Op, Tensor, ValueId};

/// Softmax. Since 13 over one axis, the last by default; before, over all axes from `axis` (default 1) on together.
pub(super) fn softmax(cx: &mut NodeCx<'_, '_>) -> Results {
    along_axis(cx, |cx, x, axis| cx.emit(Op::Softmax(Softmax { axis }), &[x]))
}

/// LogSoftmax, with the axes of Softmax: `d - log(sum(exp(d)))` with `d = x - max x`.
pub(super) fn log_softmax(cx: &mut NodeCx<'_, '_>) -> Results {
    along_axis(cx, log_of_softmax)
}

/// `d - log(sum(exp(d)))` with `d = x - max x`, along an axis.
pub(super) fn log_of_softmax(cx: &mut NodeCx<'_, '_>, x: ValueId, axis: usize) -> Result<ValueId, NodeError> {
    let max = reduce(cx, ReduceKind::Max, x, axis)?;
    let shifted = cx.binary(BinaryOp::Sub, x, max)?;
    let exponential = cx.unary(UnaryOp::Exp, shifted)?;
    let sum = reduce(cx, ReduceKind::Sum, exponential, axis)?;
    let log = cx.unary(UnaryOp::Log, sum)?;
    cx.binary(BinaryOp::Sub, shifted, log)
}

/// Hardmax, with the axes of Softmax: one at the first maximum, else zero. Places are counted in f32, which is exact up to
/// 2^24.
pub(super) fn hardmax(cx: &mut NodeCx<'_, '_>) -> Results {
    along_axis(cx, |cx, x, axis| {
        let shape = cx.shape(x);
        let count = match shape[axis] {
            Dim::Const(count) if count <= 1 << 24 => count,
            Dim::Const(count) => {
                return Err(NodeError::Unsupported(format!(
                    "an axis of {count} elements is too long, at most 2^24"
                )));
            }
            Dim::Expr(_) => {
                let reason = format!("axis {axis} has a free size; fix it with --dim");
                return Err(NodeError::Unsupported(reason));
            }
        };
        let element = cx.element(x);
        let mut place_shape = vec![1; shape.len() - axis];
        place_shape[0] = count;
        cx.take(Resource::ConstantBytes, count.saturating_mul(4))?;
        let places: Vec<f32> = (0..count).map(|place| place as f32).collect();
        let places = cx.constant(Tensor::from_f32(place_shape, &places)?)?;
        let end = cx.constant(Tensor::scalar_f32(count as f32))?;
        let max = reduce(cx, ReduceKind::Max, x, axis)?;
        let is_max = cx.binary(BinaryOp::Equal, x, max)?;
        let place = cx.emit(Op::Elementwise(ScalarOp::Select), &[is_max, places, end])?;
        let first = reduce(cx, ReduceKind::Min, place, axis)?;
        let is_first = cx.binary(BinaryOp::Equal, places, first)?;
        cx.cast(is_first, element)
    })
}

/// LpNormalization along one axis (the last by default) by the sum of magnitudes or, by default, the Euclidean norm. Where
/// the norm is zero the elements stay zero.
pub(super) fn lp_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(-1), cx.rank(x))?;
    let norm = match cx.attributes.int("p")?.unwrap_or(2) {
        1 => {
            let magnitude = cx.unary(UnaryOp::Abs, x)?;
            reduce(cx, ReduceKind::Sum, magnitude, axis)?
        }
        2 => reduce(cx, ReduceKind::L2, x, axis)?,
        other => {
            let expected = "1 or 2".to_owned();
            return Err(NodeError::Value { name: "p", value: other.to_string(), expected });
        }
    };
    let (zero, one) = (cx.scalar_like(x, 0.0)?, cx.scalar_like(x, 1.0)?);
    let vanishes = cx.binary(BinaryOp::Equal, norm, zero)?;
    let norm = cx.emit(Op::Elementwise(ScalarOp::Select), &[vanishes, one, norm])?;
    Ok(vec![cx.binary(BinaryOp::Div, x, norm)?])
}

fn reduce(cx: &mut NodeCx<'_, '_>, kind: ReduceKind, x: ValueId, axis: usize) -> Result<ValueId, NodeError> {
    cx.emit(Op::Reduce(Reduce { kind, axes: vec![axis], keep_dims: true }), &[x])
}

/// Applies a function along the axis that the node names. Before 13 that is the second of a matrix that operand 0 is
/// flattened to.
fn along_axis(
    cx: &mut NodeCx<'_, '_>,
    function: impl Fn(&mut NodeCx<'_, '_>, ValueId, usize) -> Result<ValueId, NodeError>,
) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let coerces = cx.opset() < 13;
    let given = cx.attributes.int("axis")?.unwrap_or(if coerces { 1 } else { -1 });
    let axis = axis(given, shape.len())?;
    if !coerces || axis + 1 == shape.len() {
        return Ok(vec![function(cx, x, axis)?]);
    }
    let matrix = vec![cx.product(&shape[..axis])?, cx.product(&shape[axis..])?];
    let matrix = cx.reshape(x, matrix)?;
    let result = function(cx, matrix, 1)?;
    Ok(vec![cx.reshape(result, shape)?])
}
