//! Operators of ONNX Runtime's own domain, `com.microsoft` operator set 1, that are compositions of ONNX's. Its optimiser
//! and its exporters write them; their definitions are in its `ContribOperators.md`.

use super::activation::{quick_gelu as quick_gelu_of, times};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, GeluKind, MatMul, Slice, UnaryOp, data::SliceAxis};
use drift_ir::{Dim, Op, ValueId};

/// Gelu by the error function.
pub(super) fn gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    Ok(vec![cx.unary(UnaryOp::Gelu(GeluKind::Erf), x)?])
}

/// BiasGelu: Gelu, by the error function, of the sum of both operands.
pub(super) fn bias_gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, bias) = (cx.operand(0)?, cx.operand(1)?);
    let sum = cx.binary(BinaryOp::Add, x, bias)?;
    Ok(vec![cx.unary(UnaryOp::Gelu(GeluKind::Erf), sum)?])
}

/// FastGelu: Gelu by the hyperbolic tangent, of the sum of both operands where there are two.
pub(super) fn fast_gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let mut x = cx.operand(0)?;
    if let Some(bias) = cx.optional(1) {
        x = cx.binary(BinaryOp::Add, x, bias)?;
    }
    Ok(vec![cx.unary(UnaryOp::Gelu(GeluKind::Tanh), x)?])
}

/// QuickGelu: `x sigmoid(alpha x)`.
pub(super) fn quick_gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.702));
    let x = cx.operand(0)?;
    Ok(vec![quick_gelu_of(cx, x, alpha)?])
}

/// BiasSplitGelu: the sum of both operands is halved along the last axis; the first half times Gelu of the second.
pub(super) fn bias_split_gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, bias) = (cx.operand(0)?, cx.operand(1)?);
    let sum = cx.binary(BinaryOp::Add, x, bias)?;
    let axis = cx.rank(sum).saturating_sub(1);
    let half = match cx.shape(sum).last() {
        Some(Dim::Const(size)) if size % 2 == 0 => size / 2,
        _ => return Err(NodeError::Operands("the last axis has no known even size".to_owned())),
    };
    let part =
        |start| Op::Slice(Slice { axes: vec![SliceAxis { axis, start, step: 1, count: Dim::Const(half) }] });
    let value = cx.emit(part(0), &[sum])?;
    let gate = cx.emit(part(half), &[sum])?;
    let gate = cx.unary(UnaryOp::Gelu(GeluKind::Erf), gate)?;
    Ok(vec![cx.binary(BinaryOp::Mul, value, gate)?])
}

/// FusedMatMul: `alpha A B` with optional transposes of the last two axes (`transA`, `transB`), or of the batch axes with
/// the first of the two (`transBatchA`, `transBatchB`).
pub(super) fn fused_matmul(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    if cx.rank(a) < 2 || cx.rank(b) < 2 {
        return Err(NodeError::Unsupported("factors of rank 1 are not supported; use MatMul".to_owned()));
    }
    let a = batch_first(cx, a, "transBatchA")?;
    let b = batch_first(cx, b, "transBatchB")?;
    let transpose_b = cx.attributes.flag("transB", false)?;
    let a = if cx.attributes.flag("transA", false)? { swap_last(cx, a)? } else { a };
    let product = cx.emit(Op::MatMul(MatMul { transpose_b }), &[a, b])?;
    Ok(vec![times(cx, product, alpha)?])
}

/// `[m, batch.., k]` becomes `[batch.., m, k]` where the attribute asks for it.
fn batch_first(cx: &mut NodeCx<'_, '_>, x: ValueId, name: &'static str) -> Result<ValueId, NodeError> {
    let rank = cx.rank(x);
    if !cx.attributes.flag(name, false)? || rank < 3 {
        return Ok(x);
    }
    let mut perm: Vec<usize> = (1..rank - 1).collect();
    perm.extend([0, rank - 1]);
    cx.transpose(x, perm)
}

fn swap_last(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let rank = cx.rank(x);
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(rank - 2, rank - 1);
    cx.transpose(x, perm)
}
