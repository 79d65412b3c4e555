//! Which keys a query may see: by its place among them, by their number, and by masks.

use super::heads::{ROWS, concat};
use super::{Heads, Scores};
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::BinaryOp;
use drift_ir::op::attention::Band;
use drift_ir::{Dim, ElementType, Tensor, ValueId};

/// The place of the first query among the keys.
#[derive(Clone, Copy)]
pub(super) enum First {
    /// The same for all, known now.
    Known(i64),
    /// Known when the model runs: i32 `[batch, 1, 1, 1]`.
    Data(ValueId),
}

/// Hides the keys more than `before` before a query's own place, and those more than `behind` behind it.
pub(super) fn by_place(scores: &mut Scores, first: First, [before, behind]: [Option<i64>; 2]) {
    let from = match first {
        First::Known(first) => first,
        First::Data(first) => {
            scores.first = Some(first);
            0
        }
    };
    scores.band = Band {
        min_offset: before.map(|before| from.saturating_sub(before)),
        max_offset: behind.map(|behind| from.saturating_add(behind)),
    };
}

/// A distance such that places and it make no sum beyond i32.
fn near(distance: i64) -> i64 {
    distance.clamp(-(1 << 30), 1 << 30)
}

/// Hides the keys from `count` on, i32 `[batch, 1, 1, 1]`.
pub(super) fn by_count(
    cx: &mut NodeCx<'_, '_>,
    scores: &mut Scores,
    heads: Heads,
    count: ValueId,
) -> Result<(), NodeError> {
    let [_, keys] = places(cx, heads)?;
    let exists = cx.binary(BinaryOp::Less, keys, count)?;
    scores.require(cx, exists)
}

/// Makes a condition of the band, for what has no bands.
pub(super) fn write_out_band(
    cx: &mut NodeCx<'_, '_>,
    scores: &mut Scores,
    heads: Heads,
) -> Result<(), NodeError> {
    let band = std::mem::take(&mut scores.band);
    if band.is_open() {
        return Ok(());
    }
    let [mut queries, keys] = places(cx, heads)?;
    if let Some(first) = scores.first.take() {
        queries = cx.binary(BinaryOp::Add, queries, first)?;
    }
    let offset = cx.binary(BinaryOp::Sub, keys, queries)?;
    let bounds = [(BinaryOp::GreaterOrEqual, band.min_offset), (BinaryOp::LessOrEqual, band.max_offset)];
    for (op, bound) in bounds {
        let Some(bound) = bound else { continue };
        let bound = cx.constant(Tensor::from_i64_as(ElementType::I32, [], &[near(bound)])?)?;
        let seen = cx.binary(op, offset, bound)?;
        scores.require(cx, seen)?;
    }
    Ok(())
}

/// Places of queries, i32 `[queries, 1]`, and of keys, i32 `[1, keys]`.
fn places(cx: &mut NodeCx<'_, '_>, heads: Heads) -> Result<[ValueId; 2], NodeError> {
    let (queries, keys) = (cx.shape(heads.query)[ROWS].as_const(), cx.shape(heads.key)[ROWS].as_const());
    let (Some(queries), Some(keys)) = (queries, keys) else {
        let reason = "masks by place need known sequence lengths; fix them with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    Ok([counted(cx, [queries, 1])?, counted(cx, [1, keys])?])
}

/// The numbers from 0 on as i32, in a shape with one axis other than 1.
pub(super) fn counted(cx: &mut NodeCx<'_, '_>, shape: [u64; 2]) -> Result<ValueId, NodeError> {
    let count = shape[0].saturating_mul(shape[1]);
    cx.take(Resource::ConstantBytes, count.saturating_mul(12))?;
    let numbers: Vec<i64> = (0..count as i64).collect();
    cx.constant(Tensor::from_i64_as(ElementType::I32, shape, &numbers)?)
}

/// One number per batch as i32, against scores.
pub(super) fn per_batch(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let batch = cx.product(&cx.shape(x))?;
    let x = cx.cast(x, ElementType::I32)?;
    cx.reshape(x, vec![batch, Dim::Const(1), Dim::Const(1), Dim::Const(1)])
}

/// A mask may end before the keys do: those behind it are not seen.
pub(super) fn padded(cx: &mut NodeCx<'_, '_>, mask: ValueId, key: ValueId) -> Result<ValueId, NodeError> {
    let (mut shape, keys) = (cx.shape(mask), cx.shape(key)[ROWS].clone());
    let Some(last) = shape.last_mut() else { return Ok(mask) };
    let missing = match (&*last, &keys) {
        (Dim::Const(covered), Dim::Const(keys)) if *covered < *keys && *covered != 1 => keys - covered,
        _ => return Ok(mask),
    };
    *last = Dim::Const(missing);
    let hidden = match cx.element(mask) {
        ElementType::Bool => Tensor::scalar_bool(false),
        element => Tensor::from_f64_as(element, [], &[f64::NEG_INFINITY])?,
    };
    let hidden = cx.constant(hidden)?;
    let axis = shape.len() - 1;
    let hidden = cx.expand(hidden, shape)?;
    concat(cx, axis, &[mask, hidden])
}
