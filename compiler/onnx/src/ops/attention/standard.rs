//! `Attention` of ONNX's own domain.

use super::heads::{self, ROWS, concat, join, swapped};
use super::masks::{First, by_count, by_place, padded, per_batch};
use super::{Heads, Scores, Shown, attend, check_sharing, show};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::BinaryOp;
use drift_ir::{Dim, ElementType, Tensor, ValueId};

/// What the node's attributes say.
struct Form {
    scale: Option<f64>,
    softcap: f64,
    is_causal: bool,
    /// Keys before and behind the query's own place that it sees.
    window: [Option<i64>; 2],
    /// Which scores the fourth result shows.
    shown: Shown,
    heads: [i64; 2],
}

/// Attention, since 23; 24 adds `nonpad_kv_seqlen`, the number of valid keys per batch, 25 the sliding window. Queries,
/// keys and values are `[batch, heads, sequence, size]`, or `[batch, sequence, heads * size]` with the numbers of heads as
/// attributes; past keys and values stand before the new ones. Several heads of queries may share one of keys. Scores are
/// scaled, capped, masked; softmax computes in at least f32, which is all that `softmax_precision` may ask for.
pub(in crate::ops) fn attention(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["softmax_precision"]);
    let form = form(cx)?;
    let (query, key, value) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let is_flat = cx.rank(query) == 3;
    let query = with_heads(cx, query, form.heads[0], "q_num_heads")?;
    let key = with_heads(cx, key, form.heads[1], "kv_num_heads")?;
    let value = with_heads(cx, value, form.heads[1], "kv_num_heads")?;
    let key = after_past(cx, 4, key)?;
    let value = after_past(cx, 5, value)?;
    let heads = Heads { query, key, value };
    check_sharing(cx, heads)?;
    let scores = scores(cx, &form, heads)?;
    let y = attend(cx, heads, &scores)?;
    let y = if is_flat { join(cx, y)? } else { y };
    let mut results = vec![y, key, value];
    if cx.wants_result(3) {
        results.push(show(cx, heads, &scores, form.shown)?);
    }
    Ok(results)
}

fn form(cx: &mut NodeCx<'_, '_>) -> Result<Form, NodeError> {
    let mut heads = [0; 2];
    for (heads, name) in heads.iter_mut().zip(["q_num_heads", "kv_num_heads"]) {
        *heads = cx.attributes.int(name)?.unwrap_or(0);
    }
    let mut window = [None; 2];
    for (side, name) in window.iter_mut().zip(["left_window_size", "right_window_size"]) {
        let given = cx.attributes.int(name)?.unwrap_or(-1);
        *side = match given {
            0.. => Some(given),
            -1 => None,
            _ => {
                let expected = "-1 or a size".to_owned();
                return Err(NodeError::Value { name, value: given.to_string(), expected });
            }
        };
    }
    let shown = match cx.attributes.int("qk_matmul_output_mode")?.unwrap_or(0) {
        0 => Shown::Products,
        1 => Shown::Capped,
        2 => Shown::Masked,
        3 => Shown::Weights,
        other => {
            let (name, expected) = ("qk_matmul_output_mode", "0 to 3".to_owned());
            return Err(NodeError::Value { name, value: other.to_string(), expected });
        }
    };
    Ok(Form {
        scale: cx.attributes.float("scale")?.map(f64::from),
        softcap: f64::from(cx.attributes.float("softcap")?.unwrap_or(0.0)),
        is_causal: cx.attributes.flag("is_causal", false)?,
        window,
        shown,
        heads,
    })
}

/// `[batch, sequence, heads * size]` as `[batch, heads, sequence, size]`.
fn with_heads(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    heads: i64,
    name: &'static str,
) -> Result<ValueId, NodeError> {
    match cx.rank(x) {
        4 => Ok(x),
        3 => {
            let split = heads::split(cx, x, heads, name)?;
            swapped(cx, split)
        }
        rank => Err(NodeError::Operands(format!("an operand has rank {rank}, expected 3 or 4"))),
    }
}

/// Past keys or values before the new ones.
fn after_past(cx: &mut NodeCx<'_, '_>, operand: usize, new: ValueId) -> Result<ValueId, NodeError> {
    match cx.optional(operand) {
        Some(past) => concat(cx, ROWS, &[past, new]),
        None => Ok(new),
    }
}

fn scores(cx: &mut NodeCx<'_, '_>, form: &Form, heads: Heads) -> Result<Scores, NodeError> {
    let mut scores = Scores { scale: form.scale, softcap: form.softcap, ..Scores::default() };
    if let Some(given) = cx.optional(3) {
        let given = padded(cx, given, heads.key)?;
        match cx.element(given) {
            ElementType::Bool => scores.allowed = Some(given),
            _ => scores.added = vec![given],
        }
    }
    let valid = cx.optional(6).map(|valid| per_batch(cx, valid)).transpose()?;
    let behind = if form.is_causal { Some(0) } else { form.window[1] };
    let bounds = [form.window[0], behind];
    if bounds.iter().any(Option::is_some) {
        let first = first(cx, heads, valid)?;
        by_place(&mut scores, first, bounds);
    }
    if let Some(valid) = valid {
        by_count(cx, &mut scores, heads, valid)?;
    }
    // A window may end before the keys begin; a query's own place is in all the others.
    let has_window = form.window.iter().any(Option::is_some);
    scores.unseen_is_zero = has_window || scores.allowed.is_some() || !scores.added.is_empty();
    Ok(scores)
}

/// The place of the first query among the keys: behind the past, or such that the last query is the last valid key.
fn first(cx: &mut NodeCx<'_, '_>, heads: Heads, valid: Option<ValueId>) -> Result<First, NodeError> {
    match (cx.optional(4), valid) {
        (Some(past), _) => match cx.shape(past).get(ROWS) {
            Some(Dim::Const(past)) => Ok(First::Known(*past as i64)),
            _ => {
                let reason = "the past has a free length; fix it with --dim";
                Err(NodeError::Unsupported(reason.to_owned()))
            }
        },
        (None, Some(valid)) => {
            let Some(rows) = cx.shape(heads.query)[ROWS].as_const() else {
                let reason = "masks by place need known sequence lengths; fix them with --dim";
                return Err(NodeError::Unsupported(reason.to_owned()));
            };
            let rows = cx.constant(Tensor::from_i64_as(ElementType::I32, [], &[rows as i64])?)?;
            Ok(First::Data(cx.binary(BinaryOp::Sub, valid, rows)?))
        }
        (None, None) => Ok(First::Known(0)),
    }
}
