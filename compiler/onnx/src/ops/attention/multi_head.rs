//! `MultiHeadAttention` and `Attention` of ONNX Runtime, whose masks lower scores instead of hiding keys.

use super::heads::{self, ROWS, concat, join, sizes, swapped};
use super::masks::{First, by_place, counted};
use super::{Heads, Scores, attend};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, MatMul, ScalarOp};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// What both operators' attributes say.
struct Form {
    heads: i64,
    scale: Option<f64>,
    is_causal: bool,
    /// What is added to the scores of keys that the mask hides.
    hidden: f64,
}

fn form(cx: &mut NodeCx<'_, '_>) -> Result<Form, NodeError> {
    Ok(Form {
        heads: cx.attributes.int("num_heads")?.ok_or(NodeError::MissingAttribute("num_heads"))?,
        scale: cx.attributes.float("scale")?.map(f64::from).filter(|&scale| scale != 0.0),
        is_causal: cx.attributes.flag("unidirectional", false)?,
        hidden: f64::from(cx.attributes.float("mask_filter_value")?.unwrap_or(-10000.0)),
    })
}

/// MultiHeadAttention: queries `[batch, sequence, heads * size]`, keys and values alike, or with heads first, or two or all
/// three packed as `[batch, sequence, heads, 2 or 3, size]`. A bias is added to what has no heads yet. Past keys and values
/// stand before the new ones.
pub(in crate::ops) fn multi_head_attention(cx: &mut NodeCx<'_, '_>) -> Results {
    let form = form(cx)?;
    for (operand, name) in [(8, "past_sequence_length"), (9, "cache_indirection")] {
        if cx.optional(operand).is_some() {
            return Err(NodeError::Unsupported(format!("operand `{name}` is not supported")));
        }
    }
    if cx.wants_result(3) {
        return Err(NodeError::Unsupported("the result `qk` is not supported".to_owned()));
    }
    let new = projections(cx, &form)?;
    let (key, value) = match (cx.optional(6), cx.optional(7)) {
        (None, None) => (new.key, new.value),
        (Some(past_key), Some(past_value)) => {
            (concat(cx, ROWS, &[past_key, new.key])?, concat(cx, ROWS, &[past_value, new.value])?)
        }
        _ => return Err(NodeError::Operands("`past_key` and `past_value` are given together".to_owned())),
    };
    let heads = Heads { key, value, ..new };
    let (mask, bias) = (cx.optional(4), cx.optional(5));
    let y = masked(cx, &form, new, heads, mask, bias)?;
    Ok(vec![y, key, value])
}

/// Queries, keys and values with heads first.
fn projections(cx: &mut NodeCx<'_, '_>, form: &Form) -> Result<Heads, NodeError> {
    let (query, key, value) = (cx.operand(0)?, cx.optional(1), cx.optional(2));
    let mut parts = match (cx.rank(query), key, value) {
        (5, None, None) => unpacked(cx, query, 3)?,
        (3, Some(key), None) if cx.rank(key) == 5 => [vec![query], unpacked(cx, key, 2)?].concat(),
        (3, Some(key), Some(value)) => vec![query, key, value],
        (rank, _, _) => {
            let reason =
                format!("the query has rank {rank}, which does not go with the keys and values given");
            return Err(NodeError::Operands(reason));
        }
    };
    if let Some(bias) = cx.optional(3) {
        add_bias(cx, &mut parts, bias)?;
    }
    let mut with_heads = |x: ValueId| match cx.rank(x) {
        4 => Ok(x),
        _ => {
            let split = heads::split(cx, x, form.heads, "num_heads")?;
            swapped(cx, split)
        }
    };
    Ok(Heads { query: with_heads(parts[0])?, key: with_heads(parts[1])?, value: with_heads(parts[2])? })
}

/// `[batch, sequence, heads, count, size]` as `count` values `[batch, sequence, heads * size]`.
fn unpacked(cx: &mut NodeCx<'_, '_>, x: ValueId, count: u64) -> Result<Vec<ValueId>, NodeError> {
    let shape = cx.shape(x);
    if shape[3] != Dim::Const(count) {
        let reason = format!("{count} packed projections have {count} places on axis 3");
        return Err(NodeError::Operands(reason));
    }
    let width = cx.product(&[shape[2].clone(), shape[4].clone()])?;
    let flat = vec![shape[0].clone(), shape[1].clone(), width];
    let mut part = |at: u64| {
        let part = cx.part(x, 3, at, 1)?;
        cx.reshape(part, flat.clone())
    };
    (0..count).map(&mut part).collect()
}

/// Adds the bias, `[widths of queries, keys and values together]`, to the projections that have no heads yet.
fn add_bias(cx: &mut NodeCx<'_, '_>, parts: &mut [ValueId], bias: ValueId) -> Result<(), NodeError> {
    let given = sizes(cx, bias, "bias")?;
    let mut start = 0;
    for part in parts.iter_mut() {
        let (width, is_flat) = match sizes(cx, *part, "query, key and value")?[..] {
            [_, _, width] => (width, true),
            [_, heads, _, size] => (heads.saturating_mul(size), false),
            ref other => {
                return Err(NodeError::Operands(format!("a projection is {other:?}, expected rank 3 or 4")));
            }
        };
        let end = start + width;
        if given.len() != 1 || end > given[0] {
            let reason = format!("`bias` is {given:?}, which does not cover queries, keys and values");
            return Err(NodeError::Operands(reason));
        }
        if is_flat {
            let own = cx.part(bias, 0, start, width)?;
            *part = cx.binary(BinaryOp::Add, *part, own)?;
        }
        start = end;
    }
    if given != [start] {
        let reason = format!("`bias` is {given:?}, expected [{start}]");
        return Err(NodeError::Operands(reason));
    }
    Ok(())
}

/// Attention: operand 0 times the weights plus the bias gives queries, keys and values behind one another.
pub(in crate::ops) fn attention(cx: &mut NodeCx<'_, '_>) -> Results {
    let form = form(cx)?;
    if cx.attributes.flag("do_rotary", false)? || cx.attributes.int("rotary_embedding_dim")?.unwrap_or(0) != 0
    {
        return Err(NodeError::Unsupported("`do_rotary` 1 is not supported".to_owned()));
    }
    if cx.attributes.flag("past_present_share_buffer", false)? || cx.optional(6).is_some() {
        let reason = "`past_present_share_buffer` 1 and `past_sequence_length` are not supported";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let (x, weights) = (cx.operand(0)?, cx.operand(1)?);
    let mut product = cx.emit(Op::MatMul(MatMul::default()), &[x, weights])?;
    if let Some(bias) = cx.optional(2) {
        if cx.rank(bias) != 1 {
            return Err(NodeError::Operands(format!("`bias` has rank {}, expected 1", cx.rank(bias))));
        }
        product = cx.binary(BinaryOp::Add, product, bias)?;
    }
    let shape = sizes(cx, product, "input")?;
    let [_, _, width] = shape[..] else {
        return Err(NodeError::Operands(format!("the input has rank {}, expected 3", shape.len())));
    };
    let mut start = 0;
    let mut parts = Vec::new();
    for width in widths(cx, width)? {
        let part = cx.part(product, 2, start, width)?;
        let part = heads::split(cx, part, form.heads, "num_heads")?;
        parts.push(swapped(cx, part)?);
        start += width;
    }
    let new = Heads { query: parts[0], key: parts[1], value: parts[2] };
    let heads = match cx.optional(4) {
        Some(past) => after_past(cx, new, past)?,
        None => new,
    };
    let (mask, bias) = (cx.optional(3), cx.optional(5));
    let y = masked(cx, &form, new, heads, mask, bias)?;
    if !cx.wants_result(1) {
        return Ok(vec![y]);
    }
    let (key, value) = (cx.insert_axis(heads.key, 0)?, cx.insert_axis(heads.value, 0)?);
    Ok(vec![y, concat(cx, 0, &[key, value])?])
}

/// Widths of queries, keys and values, which are `whole` together.
fn widths(cx: &mut NodeCx<'_, '_>, whole: u64) -> Result<Vec<u64>, NodeError> {
    let name = "qkv_hidden_sizes";
    let Some(given) = cx.attributes.ints(name)?.filter(|given| !given.is_empty()) else {
        return match whole % 3 {
            0 => Ok(vec![whole / 3; 3]),
            _ => Err(NodeError::Operands(format!("{whole} columns of weights are not three parts"))),
        };
    };
    let sizes: Vec<u64> = given.iter().filter_map(|&size| u64::try_from(size).ok()).collect();
    let sum = sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
    if given.len() != 3 || sizes.len() != 3 || sum != Some(whole) {
        let expected = format!("three sizes that are {whole} together");
        return Err(NodeError::Value { name, value: format!("{given:?}"), expected });
    }
    Ok(sizes)
}

/// Keys and values behind past ones, `[2, batch, heads, rows, size]`.
fn after_past(cx: &mut NodeCx<'_, '_>, new: Heads, past: ValueId) -> Result<Heads, NodeError> {
    let shape = cx.shape(past);
    if shape.len() != 5 || shape[0] != Dim::Const(2) {
        return Err(NodeError::Operands("`past` is not [2, batch, heads, rows, size]".to_owned()));
    }
    let mut behind = |at: u64, new: ValueId| {
        let part = cx.part(past, 0, at, 1)?;
        let part = cx.reshape(part, shape[1..].to_vec())?;
        concat(cx, ROWS, &[part, new])
    };
    Ok(Heads { key: behind(0, new.key)?, value: behind(1, new.value)?, ..new })
}

/// The heads' results side by side, with a mask and a bias on the scores. `new` are the heads without the past.
fn masked(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    new: Heads,
    heads: Heads,
    mask: Option<ValueId>,
    bias: Option<ValueId>,
) -> Result<ValueId, NodeError> {
    let mut scores = Scores { scale: form.scale, ..Scores::default() };
    if let Some(mask) = mask {
        scores.added.extend(lowered(cx, form, heads, mask)?);
    }
    scores.added.extend(bias);
    if form.is_causal {
        let rows = |x: ValueId| cx.shape(x)[ROWS].as_const();
        let (Some(queries), Some(added), Some(keys)) = (rows(heads.query), rows(new.key), rows(heads.key))
        else {
            let reason = "`unidirectional` 1 needs known sequence lengths; fix them with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        };
        if queries != added {
            let reason =
                format!("`unidirectional` 1 with {queries} queries and {added} new keys is not supported");
            return Err(NodeError::Unsupported(reason));
        }
        by_place(&mut scores, First::Known((keys - added) as i64), [None, Some(0)]);
    }
    let y = attend(cx, heads, &scores)?;
    join(cx, y)
}

/// What a mask adds to the scores: nothing to keys that it keeps, the filter value to others. It is the numbers of valid keys
/// per batch, those and first keys, those with two lists of sums, or has one number for each key, or for each query and key.
fn lowered(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    heads: Heads,
    mask: ValueId,
) -> Result<Option<ValueId>, NodeError> {
    let (query, key) = (sizes(cx, heads.query, "query")?, sizes(cx, heads.key, "key")?);
    let [batch, queries, keys] = [query[0], query[ROWS], key[ROWS]];
    let shape = sizes(cx, mask, "mask")?;
    let per_batch = [batch, 1, 1, 1].map(Dim::Const).to_vec();
    let mask = cx.cast(mask, ElementType::I32)?;
    let kept = match shape[..] {
        [count] if count == batch || count == 2 * batch || count == 3 * batch + 2 => {
            let places = counted(cx, [1, keys])?;
            let end = cx.part(mask, 0, 0, batch)?;
            let end = cx.reshape(end, per_batch.clone())?;
            let before_end = cx.binary(BinaryOp::Less, places, end)?;
            if count == 2 * batch {
                let start = cx.part(mask, 0, batch, batch)?;
                let start = cx.reshape(start, per_batch)?;
                let behind_start = cx.binary(BinaryOp::GreaterOrEqual, places, start)?;
                cx.binary(BinaryOp::And, before_end, behind_start)?
            } else {
                before_end
            }
        }
        // A mask of one key says nothing: ONNX Runtime takes it for none.
        [_, 1] => return Ok(None),
        [rows, columns] if [rows, columns] == [batch, keys] => positive(cx, mask, [batch, 1, 1, keys])?,
        [rows, of, columns] if [rows, of, columns] == [batch, queries, keys] => {
            positive(cx, mask, [batch, 1, queries, keys])?
        }
        _ => {
            let reason = format!(
                "a mask of {shape:?} for a batch of {batch}, {queries} queries and {keys} keys is not supported"
            );
            return Err(NodeError::Unsupported(reason));
        }
    };
    let nothing = cx.scalar_like(heads.query, 0.0)?;
    let filter = cx.scalar_like(heads.query, form.hidden)?;
    Ok(Some(cx.emit(Op::Elementwise(ScalarOp::Select), &[kept, nothing, filter])?))
}

/// Whether the numbers of a mask are above zero.
fn positive(cx: &mut NodeCx<'_, '_>, mask: ValueId, shape: [u64; 4]) -> Result<ValueId, NodeError> {
    let mask = cx.reshape(mask, shape.map(Dim::Const).to_vec())?;
    let zero = cx.scalar_like(mask, 0.0)?;
    cx.binary(BinaryOp::Greater, mask, zero)
}
