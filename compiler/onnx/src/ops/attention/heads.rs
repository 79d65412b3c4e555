//! Heads: how operators write them beside the channels, and what stands before or behind keys and values.

use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::Concat;
use drift_ir::{Dim, Op, Tensor, ValueId};

/// The axis of the keys' rows in `[batch, heads, rows, channels]`.
pub(super) const ROWS: usize = 2;

/// `[batch, rows, heads * channels]` as `[batch, rows, heads, channels]`; `name` is the attribute that gives `heads`.
pub(super) fn split(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    heads: i64,
    name: &'static str,
) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    let width = match &shape[..] {
        [_, _, Dim::Const(width)] => *width,
        [_, _, _] => {
            let reason = "the last axis has a free size; fix it with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        _ => {
            let rank = shape.len();
            return Err(NodeError::Operands(format!("an operand has rank {rank}, expected 3")));
        }
    };
    let Some(heads) = u64::try_from(heads).ok().filter(|&heads| heads > 0 && width % heads == 0) else {
        let expected = format!("a number that divides the last axis, {width}");
        return Err(NodeError::Value { name, value: heads.to_string(), expected });
    };
    let split = vec![shape[0].clone(), shape[1].clone(), Dim::Const(heads), Dim::Const(width / heads)];
    cx.reshape(x, split)
}

/// Swaps the axes of heads and rows.
pub(super) fn swapped(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    cx.transpose(x, vec![0, 2, 1, 3])
}

/// `[batch, heads, rows, channels]` as `[batch, rows, heads * channels]`.
pub(super) fn join(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let x = swapped(cx, x)?;
    let shape = cx.shape(x);
    let width = cx.product(&shape[2..])?;
    cx.reshape(x, vec![shape[0].clone(), shape[1].clone(), width])
}

/// Tensors behind one another along an axis, those without elements along it left out.
pub(super) fn concat(cx: &mut NodeCx<'_, '_>, axis: usize, parts: &[ValueId]) -> Result<ValueId, NodeError> {
    let is_empty = |part: &ValueId| cx.shape(*part).get(axis) == Some(&Dim::Const(0));
    let some: Vec<ValueId> = parts.iter().copied().filter(|part| !is_empty(part)).collect();
    match some[..] {
        [] => Ok(parts[0]),
        [only] => Ok(only),
        _ => cx.emit(Op::Concat(Concat { axis }), &some),
    }
}

/// `count` rows of zeros like those of `x`, `[batch, heads, count, channels]`.
pub(super) fn zero_rows(cx: &mut NodeCx<'_, '_>, x: ValueId, count: u64) -> Result<ValueId, NodeError> {
    let mut shape = cx.shape(x);
    shape[ROWS] = Dim::Const(count);
    let zero = cx.constant(Tensor::from_f64_as(cx.element(x), [], &[0.0])?)?;
    cx.expand(zero, shape)
}

/// The sizes of a value, all of which must be known.
pub(super) fn sizes(cx: &NodeCx<'_, '_>, x: ValueId, name: &'static str) -> Result<Vec<u64>, NodeError> {
    let sizes: Option<Vec<u64>> = cx.shape(x).iter().map(Dim::as_const).collect();
    sizes
        .ok_or_else(|| NodeError::Unsupported(format!("operand `{name}` has a free size; fix it with --dim")))
}
