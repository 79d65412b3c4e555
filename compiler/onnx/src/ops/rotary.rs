//! Rotary position embeddings.

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Concat, Gather, Slice, data::SliceAxis};
use drift_ir::{Dim, Op, ValueId};

/// RotaryEmbedding, since 23: pairs of channels turn by an angle that depends on the position. `x` is `[batch, heads,
/// sequence, size]`, or `[batch, sequence, heads * size]` with `num_heads`; the caches hold cosines and sines per position,
/// or per batch and place where there are no `position_ids`. Pairs are neighbours when `interleaved`, else halves apart.
pub(super) fn rotary_embedding(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let heads = cx.attributes.int("num_heads")?.unwrap_or(0);
    let interleaved = cx.attributes.flag("interleaved", false)?;
    let given = cx.attributes.int("rotary_embedding_dim")?.unwrap_or(0);
    // A rank of three has its heads beside the channels, a rank of four before the sequence.
    let (headed, head_axis) = match shape.len() {
        3 => (split_heads(cx, x, heads)?, 2),
        4 => (x, 1),
        rank => return Err(NodeError::Operands(format!("the input has rank {rank}, expected 3 or 4"))),
    };
    let size = known_size(cx, headed)?;
    let turned = match u64::try_from(given) {
        Ok(0) => size,
        Ok(turned) if turned <= size => turned,
        _ => {
            let expected = format!("0 to the head's size {size}");
            return Err(NodeError::Value {
                name: "rotary_embedding_dim",
                value: given.to_string(),
                expected,
            });
        }
    };
    if turned % 2 != 0 {
        return Err(NodeError::Operands(format!("{turned} channels do not form pairs")));
    }
    let angles = [angles(cx, 1, head_axis, turned / 2)?, angles(cx, 2, head_axis, turned / 2)?];
    let rotated = rotate(cx, headed, angles, turned, interleaved)?;
    let y = match turned == size {
        true => rotated,
        false => {
            let rest = channels(cx, headed, turned, 1, size - turned)?;
            cx.emit(Op::Concat(Concat { axis: 3 }), &[rotated, rest])?
        }
    };
    Ok(vec![cx.reshape(y, shape)?])
}

/// `[batch, sequence, heads * size]` as `[batch, sequence, heads, size]`.
fn split_heads(cx: &mut NodeCx<'_, '_>, x: ValueId, heads: i64) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    match (&shape[2], u64::try_from(heads)) {
        (Dim::Const(width), Ok(heads)) if heads > 0 && width % heads == 0 => {
            let shape =
                vec![shape[0].clone(), shape[1].clone(), Dim::Const(heads), Dim::Const(width / heads)];
            cx.reshape(x, shape)
        }
        _ => {
            let expected = "a number that divides the last axis".to_owned();
            Err(NodeError::Value { name: "num_heads", value: heads.to_string(), expected })
        }
    }
}

fn known_size(cx: &NodeCx<'_, '_>, x: ValueId) -> Result<u64, NodeError> {
    match cx.shape(x).last() {
        Some(Dim::Const(size)) => Ok(*size),
        _ => Err(NodeError::Unsupported("the last axis has a free size; fix it with --dim".to_owned())),
    }
}

/// The cosines or sines, `[batch, sequence, pairs]` with an axis of size one where `x` has its heads.
fn angles(
    cx: &mut NodeCx<'_, '_>,
    operand: usize,
    head_axis: usize,
    pairs: u64,
) -> Result<ValueId, NodeError> {
    let mut cache = cx.operand(operand)?;
    if let Some(positions) = cx.optional(3) {
        cache = cx.emit(Op::Gather(Gather { axis: 0 }), &[cache, positions])?;
    }
    if cx.rank(cache) != 3 || known_size(cx, cache)? != pairs {
        return Err(NodeError::Operands(format!("a cache does not give {pairs} angles to each position")));
    }
    cx.insert_axis(cache, head_axis)
}

fn channels(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    start: u64,
    step: i64,
    count: u64,
) -> Result<ValueId, NodeError> {
    let part = SliceAxis { axis: 3, start, step, count: Dim::Const(count) };
    cx.emit(Op::Slice(Slice { axes: vec![part] }), &[x])
}

fn rotate(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    [cosine, sine]: [ValueId; 2],
    turned: u64,
    interleaved: bool,
) -> Result<ValueId, NodeError> {
    let pairs = turned / 2;
    let (second, step) = if interleaved { (1, 2) } else { (pairs, 1) };
    let first = channels(cx, x, 0, step, pairs)?;
    let second = channels(cx, x, second, step, pairs)?;
    let mut turn = |op, a, b| {
        let a = cx.binary(BinaryOp::Mul, a, cosine)?;
        let b = cx.binary(BinaryOp::Mul, b, sine)?;
        cx.binary(op, a, b)
    };
    let real = turn(BinaryOp::Sub, first, second)?;
    let imaginary = turn(BinaryOp::Add, second, first)?;
    if !interleaved {
        return cx.emit(Op::Concat(Concat { axis: 3 }), &[real, imaginary]);
    }
    let mut shape = cx.shape(real);
    shape[3] = Dim::Const(turned);
    let (real, imaginary) = (cx.insert_axis(real, 4)?, cx.insert_axis(imaginary, 4)?);
    let pairs = cx.emit(Op::Concat(Concat { axis: 4 }), &[real, imaginary])?;
    cx.reshape(pairs, shape)
}
