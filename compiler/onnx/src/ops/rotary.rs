//! Rotary position embeddings: pairs of channels turn by an angle that depends on the position.

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, Rotary};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// By how much channels turn, and which form pairs.
#[derive(Clone, Copy)]
pub(super) struct Rotation {
    /// `[batch or 1, sequence, pairs]`.
    pub(super) cosine: ValueId,
    /// `[batch or 1, sequence, pairs]`.
    pub(super) sine: ValueId,
    /// Whether pairs are neighbours rather than halves apart.
    pub(super) interleaved: bool,
}

/// RotaryEmbedding, since 23. `x` is `[batch, heads, sequence, size]`, or `[batch, sequence, heads * size]` with `num_heads`;
/// the caches hold cosines and sines per position, or per batch and place where there are no `position_ids`.
pub(super) fn rotary_embedding(cx: &mut NodeCx<'_, '_>) -> Results {
    let (mut cosine, mut sine) = (cx.operand(1)?, cx.operand(2)?);
    if let Some(positions) = cx.optional(3) {
        [cosine, sine] = at_positions(cx, [cosine, sine], positions)?;
    }
    let interleaved = cx.attributes.flag("interleaved", false)?;
    embed(cx, Rotation { cosine, sine, interleaved }, 0)
}

/// RotaryEmbedding of ONNX Runtime: `position_ids` are the operand before the caches, which hold cosines and sines per
/// position: `[batch, sequence]`, or the position of the first place alone. Without `num_heads` heads of rank 3 have as
/// many channels as the caches turn. `scale` has no influence, as in ONNX Runtime.
pub(super) fn microsoft_rotary_embedding(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["scale"]);
    if cx.attributes.flag("is_packed_batching", false)? {
        let reason = "`is_packed_batching` 1 is not supported; export the model without packed sequences";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let (x, positions) = (cx.operand(0)?, cx.operand(1)?);
    let shape = cx.shape(x);
    let sequence_axis = if shape.len() == 4 { 2 } else { 1 };
    let positions = match (cx.rank(positions), shape.get(sequence_axis)) {
        (1, Some(Dim::Const(sequence))) => from_first(cx, positions, *sequence)?,
        (1, _) => {
            let reason = "a first position needs a known sequence length; fix it with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        (2, _) => positions,
        (rank, _) => {
            return Err(NodeError::Operands(format!("`position_ids` has rank {rank}, expected 1 or 2")));
        }
    };
    let caches = [cx.operand(2)?, cx.operand(3)?];
    let [cosine, sine] = at_positions(cx, caches, positions)?;
    let interleaved = cx.attributes.flag("interleaved", false)?;
    let pairs = known_size(cx, cosine)?;
    let heads = match shape.last() {
        Some(Dim::Const(width)) if shape.len() == 3 => width.checked_div(2 * pairs).unwrap_or(0),
        _ => 0,
    };
    embed(cx, Rotation { cosine, sine, interleaved }, heads as i64)
}

/// Positions `[1, sequence]` from the first on, which is the one element of `first`.
fn from_first(cx: &mut NodeCx<'_, '_>, first: ValueId, sequence: u64) -> Result<ValueId, NodeError> {
    let first = cx.reshape(first, vec![Dim::Const(1), Dim::Const(1)])?;
    let places = cx.counting(&[1, sequence], sequence)?;
    let places = cx.cast(places, cx.element(first))?;
    cx.binary(BinaryOp::Add, first, places)
}

/// Rows of the caches, `[batch, sequence, pairs]`. Positions that are known are held against the caches' rows.
pub(super) fn at_positions(
    cx: &mut NodeCx<'_, '_>,
    caches: [ValueId; 2],
    positions: ValueId,
) -> Result<[ValueId; 2], NodeError> {
    let mut found = caches;
    for cache in &mut found {
        if cx.rank(*cache) != 2 {
            let rank = cx.rank(*cache);
            let reason = format!("a cache has rank {rank}, expected 2 beside `position_ids`");
            return Err(NodeError::Operands(reason));
        }
        if let (Some(known), Some(Dim::Const(rows))) =
            (cx.constant_tensor(positions), cx.shape(*cache).first())
            && let Some(beyond) = beyond(known, *rows)
        {
            let expected = format!("0 to {}, as the caches have {rows} rows", rows.saturating_sub(1));
            let name = "position_ids";
            return Err(NodeError::Value { name, value: beyond.to_string(), expected });
        }
        *cache = cx.emit(Op::Gather(Gather { axis: 0 }), &[*cache, positions])?;
    }
    Ok(found)
}

/// A position that is no row.
fn beyond(positions: &Tensor, rows: u64) -> Option<i64> {
    let is_integer = matches!(positions.element(), ElementType::I32 | ElementType::I64);
    let numbers = if is_integer { positions.to_i64_vec() } else { Vec::new() };
    numbers.into_iter().find(|&number| u64::try_from(number).map_or(true, |number| number >= rows))
}

/// Turns the channels of operand 0, as the attributes `num_heads` and `rotary_embedding_dim` say. Rank 3 without either has
/// `heads`.
fn embed(cx: &mut NodeCx<'_, '_>, rotation: Rotation, heads: i64) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let pairs = known_size(cx, rotation.cosine)?;
    let given = cx.attributes.int("rotary_embedding_dim")?.unwrap_or(0);
    let heads = match cx.attributes.int("num_heads")?.unwrap_or(0) {
        0 if given == 0 => heads,
        given => given,
    };
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
    if turned != 2 * pairs {
        return Err(NodeError::Operands(format!(
            "a cache does not give {} angles to each position",
            turned / 2
        )));
    }
    let y = turn(cx, headed, head_axis, rotation)?;
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

/// Turns the first channels of `x`, as many as there are angles for, and keeps the others. `x` has four axes: the batch, the
/// heads at `head_axis`, the sequence, the channels.
pub(super) fn turn(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    head_axis: usize,
    rotation: Rotation,
) -> Result<ValueId, NodeError> {
    let (size, pairs) = (known_size(cx, x)?, known_size(cx, rotation.cosine)?);
    let sine_pairs = known_size(cx, rotation.sine)?;
    if cx.rank(rotation.cosine) != 3 || cx.rank(rotation.sine) != 3 || sine_pairs != pairs || 2 * pairs > size
    {
        let reason = format!("the caches do not give up to {} angles to each position", size / 2);
        return Err(NodeError::Operands(reason));
    }
    if pairs == 0 {
        return Ok(x);
    }
    let angles = [cx.insert_axis(rotation.cosine, head_axis)?, cx.insert_axis(rotation.sine, head_axis)?];
    // Angles are for the very places of x, or for those of any batch and any head.
    let (own, places) = (cx.shape(x), cx.shape(angles[0]));
    let repeats = |axis: usize| places[axis] == own[axis] || places[axis] == Dim::Const(1);
    if !(0..3).all(repeats) || places != cx.shape(angles[1]) {
        let reason = "the caches have another batch or sequence length than the input";
        return Err(NodeError::Operands(reason.to_owned()));
    }
    let op = Rotary { turned: 2 * pairs, interleaved: rotation.interleaved };
    cx.emit(Op::Rotary(op), &[x, angles[0], angles[1]])
}
