//! `GroupQueryAttention` of ONNX Runtime: attention with its rotary embedding and its cache of keys and values.

mod cache;
mod form;

use super::super::rotary::{Rotation, at_positions, turn};
use super::heads::{ROWS, concat, join, sizes, split, swapped, zero_rows};
use super::masks::{First, by_count, by_place, counted, padded, write_out_band};
use super::{Heads, Scores, Shown, attend, show};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use cache::Cache;
use drift_ir::op::{BinaryOp, RmsNorm, ScalarOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};
use form::{Form, Qk};

/// Sizes of a node, all known.
#[derive(Clone, Copy)]
struct Sizes {
    batch: u64,
    /// New queries.
    queries: u64,
    /// New keys: as many, or none where another layer has written them.
    new_keys: u64,
    /// Rows of the past keys and values.
    past: u64,
    /// `total_sequence_length`: rows up to the last that any batch may have.
    total: u64,
    heads: u64,
    kv_heads: u64,
    channels: u64,
    /// Whether past and present are a state, of which the importer knows how many rows it holds.
    is_state: bool,
}

impl Sizes {
    /// Whether the new queries are the first ones, so that the past does not count.
    fn is_first(&self) -> bool {
        self.queries == self.total && !self.is_state
    }

    /// Rows of the present keys and values.
    fn present(&self) -> u64 {
        self.past.max(self.total)
    }
}

/// GroupQueryAttention: queries `[batch, sequence, heads * size]`, keys and values alike with fewer heads, or all three packed
/// behind one another; past keys and values `[batch, kv_heads, rows, size]`, of which each batch has as many as
/// `seqlens_k + 1` less the new ones. Present ones are the past, the new ones and zeros, in as many rows as the past or
/// `total_sequence_length`. That has to be known; `seqlens_k` may be data. In a first prompt, where the sequence is all there
/// is, the past does not count, and rows beyond `seqlens_k` hold what ONNX Runtime leaves open.
pub(in crate::ops) fn group_query_attention(cx: &mut NodeCx<'_, '_>) -> Results {
    let form = form::read(cx)?;
    let [query, key, value] = projections(cx, &form)?;
    let sizes = known_sizes(cx, &form, query, key)?;
    let lengths = cache::lengths(cx, sizes)?;
    let (query, key) = prepared(cx, &form, sizes, lengths.first, [query, key])?;
    let value = swapped(cx, value)?;
    let keys = cache::joined(cx, sizes, &lengths, 3, key)?;
    let values = cache::joined(cx, sizes, &lengths, 4, value)?;
    let mut heads = Heads { query, key: keys.seen, value: values.seen };
    let mut scores = scores(cx, &form, sizes, &lengths, heads)?;
    let shown = shown(cx, &form, sizes, heads, &scores)?;
    if let Some(sink) = sink(cx, &form, sizes)? {
        heads = with_sink(cx, heads, &mut scores, sink)?;
    }
    let y = attend(cx, heads, &scores)?;
    let mut results = vec![join(cx, y)?, keys.present, values.present];
    results.extend(shown);
    Ok(results)
}

/// Queries, keys and values, each `[batch, sequence, heads, size]`.
fn projections(cx: &mut NodeCx<'_, '_>, form: &Form) -> Result<[ValueId; 3], NodeError> {
    let query = cx.operand(0)?;
    let (heads, kv_heads) = (form.heads, form.kv_heads);
    let (key, value) = match (cx.optional(1), cx.optional(2)) {
        (Some(key), Some(value)) => (key, value),
        (None, None) => {
            let all = split(cx, query, heads + 2 * kv_heads, "num_heads")?;
            let part =
                |cx: &mut NodeCx<'_, '_>, start: i64, count: i64| cx.part(all, 2, start as u64, count as u64);
            return Ok([
                part(cx, 0, heads)?,
                part(cx, heads, kv_heads)?,
                part(cx, heads + kv_heads, kv_heads)?,
            ]);
        }
        _ => {
            let reason = "`key` and `value` are given together, or both packed behind the queries";
            return Err(NodeError::Operands(reason.to_owned()));
        }
    };
    let query = split(cx, query, heads, "num_heads")?;
    let mut narrow = |x: ValueId| split(cx, x, kv_heads, "kv_num_heads");
    Ok([query, narrow(key)?, narrow(value)?])
}

fn known_sizes(cx: &NodeCx<'_, '_>, form: &Form, query: ValueId, key: ValueId) -> Result<Sizes, NodeError> {
    let (q, k) = (sizes(cx, query, "query")?, sizes(cx, key, "key")?);
    let states = [3, 4].map(|operand| cx.optional(operand).and_then(|past| cx.cache(past)));
    let past = match (cx.optional(3), cx.optional(4)) {
        (None, None) => 0,
        (Some(key), Some(value)) => {
            let [key, value] = match states {
                [Some(key), Some(value)] if [key.axis, value.axis] == [ROWS; 2] => [key.state, value.state],
                _ => [key, value],
            };
            let [key, value] = [sizes(cx, key, "past_key")?, sizes(cx, value, "past_value")?];
            if key.len() != 4
                || key != value
                || [key[0], key[1], key[3]] != [q[0], form.kv_heads as u64, q[3]]
            {
                let reason = format!(
                    "past keys and values are {key:?} and {value:?}, expected [{}, {}, rows, {}] each",
                    q[0], form.kv_heads, q[3]
                );
                return Err(NodeError::Operands(reason));
            }
            key[ROWS]
        }
        _ => {
            let reason = "`past_key` and `past_value` are given together";
            return Err(NodeError::Operands(reason.to_owned()));
        }
    };
    let total = cx.operand(6)?;
    let is_state = states.iter().all(Option::is_some);
    let known = if is_state { Some(past as f64) } else { cx.constant_scalar(total) };
    let Some(total) = known else {
        let reason = "`total_sequence_length` depends on data, and the sizes of results follow from it; \
                      fix it with --dim where shapes determine it, else with --bind";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    let found = Sizes {
        batch: q[0],
        queries: q[1],
        new_keys: k[1],
        past,
        // A negative number saturates to zero, which no sequence fits.
        total: total as u64,
        heads: form.heads as u64,
        kv_heads: form.kv_heads as u64,
        channels: q[3],
        is_state,
    };
    check(found, &k)?;
    Ok(found)
}

fn check(sizes: Sizes, key: &[u64]) -> Result<(), NodeError> {
    let Sizes { batch, queries, new_keys, past, total, channels, .. } = sizes;
    if [key[0], key[3]] != [batch, channels] || new_keys != queries && new_keys != 0 {
        let reason = format!("keys are {key:?}, expected [{batch}, {queries}, heads, {channels}]");
        return Err(NodeError::Operands(reason));
    }
    if total < queries || total > past && total != past + new_keys {
        let expected =
            format!("the {past} past and {new_keys} new rows together, or fewer that the past holds");
        let name = "total_sequence_length";
        return Err(NodeError::Value { name, value: total.to_string(), expected });
    }
    if batch > 1 && queries > 1 && !sizes.is_first() {
        let reason = format!(
            "a batch of {batch} with {queries} new tokens behind a past is not supported, only a batch of 1 or one token"
        );
        return Err(NodeError::Unsupported(reason));
    }
    Ok(())
}

/// Queries and keys after their norms and rotation.
fn prepared(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    sizes: Sizes,
    first: First,
    [query, key]: [ValueId; 2],
) -> Result<(ValueId, ValueId), NodeError> {
    let mut pair = [query, key];
    for ((x, operand), epsilon) in pair.iter_mut().zip([14, 15]).zip(form.norm_epsilons) {
        if let Some(weight) = cx.optional(operand) {
            *x = cx.emit(Op::RmsNorm(RmsNorm { axis: 3, epsilon }), &[*x, weight])?;
        }
        *x = swapped(cx, *x)?;
    }
    if form.rotates {
        let rotation = rotation(cx, form, sizes, first)?;
        for x in &mut pair {
            *x = turn(cx, *x, 1, rotation)?;
        }
    }
    Ok((pair[0], pair[1]))
}

/// The angles of the new tokens. Positions are those of the rows, or as `position_ids` say; in a first prompt, as in ONNX
/// Runtime on the CPU, all batches count from the very first of them.
fn rotation(cx: &mut NodeCx<'_, '_>, form: &Form, sizes: Sizes, first: First) -> Result<Rotation, NodeError> {
    let caches = [cx.operand(7)?, cx.operand(8)?];
    let rows = super::heads::sizes(cx, caches[0], "cos_cache")?;
    if rows.first().is_some_and(|&rows| rows < sizes.total) {
        let reason = format!("the caches of angles have {} rows for {} positions", rows[0], sizes.total);
        return Err(NodeError::Operands(reason));
    }
    let batch_and_sequence = [sizes.batch, sizes.queries].map(Dim::Const).to_vec();
    let given = cx.optional(9);
    if let Some(given) = given
        && cx.shape(given) != batch_and_sequence
    {
        let reason = format!("`position_ids` are not [{}, {}]", sizes.batch, sizes.queries);
        return Err(NodeError::Operands(reason));
    }
    let interleaved = form.interleaved;
    let positions = match (given, first) {
        (Some(given), _) if !sizes.is_first() => given,
        (Some(given), _) => {
            let start = cx.part(given, 0, 0, 1)?;
            let start = cx.part(start, 1, 0, 1)?;
            let places = counted(cx, [1, sizes.queries])?;
            let places = cx.cast(places, cx.element(start))?;
            cx.binary(BinaryOp::Add, start, places)?
        }
        (None, First::Known(first)) => {
            let mut part = |cache| {
                let rows = cx.part(cache, 0, first as u64, sizes.queries)?;
                cx.insert_axis(rows, 0)
            };
            let (cosine, sine) = (part(caches[0])?, part(caches[1])?);
            return Ok(Rotation { cosine, sine, interleaved });
        }
        (None, First::Data(first)) => {
            let first = cx.reshape(first, vec![Dim::Const(sizes.batch), Dim::Const(1)])?;
            let places = counted(cx, [1, sizes.queries])?;
            cx.binary(BinaryOp::Add, first, places)?
        }
    };
    let [cosine, sine] = at_positions(cx, caches, positions)?;
    Ok(Rotation { cosine, sine, interleaved })
}

fn scores(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    sizes: Sizes,
    lengths: &Cache,
    heads: Heads,
) -> Result<Scores, NodeError> {
    let (scale, softcap) = (form.scale, form.softcap);
    let mut scores = Scores { scale, softcap, unseen_is_zero: true, ..Scores::default() };
    if let Some(bias) = cx.optional(10) {
        scores.added = vec![bias_of(cx, sizes, heads, bias)?];
    }
    if form.is_causal {
        let before = form.window.map(|window| window - 1);
        by_place(&mut scores, lengths.first, [before, Some(0)]);
    } else if let Some(count) = lengths.count {
        by_count(cx, &mut scores, heads, count)?;
    }
    Ok(scores)
}

/// The bias, `[batch or 1, heads or 1, sequence, total]`, with as many columns as there are keys.
fn bias_of(cx: &mut NodeCx<'_, '_>, sizes: Sizes, heads: Heads, bias: ValueId) -> Result<ValueId, NodeError> {
    let shape = super::heads::sizes(cx, bias, "attention_bias")?;
    let fits = match shape[..] {
        [batch, heads, rows, columns] => {
            (batch == 1 || batch == sizes.batch)
                && (heads == 1 || heads == sizes.heads)
                && [rows, columns] == [sizes.queries, sizes.total]
        }
        _ => false,
    };
    if !fits {
        let reason = format!(
            "`attention_bias` is {shape:?}, expected [{} or 1, {} or 1, {}, {}]",
            sizes.batch, sizes.heads, sizes.queries, sizes.total
        );
        return Err(NodeError::Operands(reason));
    }
    match cx.shape(heads.key)[ROWS] {
        Dim::Const(keys) if keys < sizes.total => cx.part(bias, 3, 0, keys),
        _ => padded(cx, bias, heads.key),
    }
}

/// What stands for the fourth result: scores before or after the softmax, zero where a key is not seen.
fn shown(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    sizes: Sizes,
    heads: Heads,
    scores: &Scores,
) -> Result<Option<ValueId>, NodeError> {
    let what = match (cx.wants_result(3), form.qk) {
        (false, _) => return Ok(None),
        (true, Qk::None) => {
            let expected = "1 or 2, as the fourth result is named".to_owned();
            return Err(NodeError::Value { name: "qk_output", value: "0".to_owned(), expected });
        }
        (true, Qk::Scores) => Shown::Masked,
        (true, Qk::Weights) => Shown::Weights,
    };
    let has_sink = form.is_smooth || cx.optional(11).is_some();
    if form.window.is_some() || has_sink || cx.shape(heads.key)[ROWS] != Dim::Const(sizes.total) {
        let reason =
            "the fourth result is not supported beside a window, a sink, or a cache with room to spare";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let y = show(cx, heads, scores, what)?;
    if matches!(what, Shown::Weights) {
        return Ok(Some(y));
    }
    let mut seen = scores.clone();
    write_out_band(cx, &mut seen, heads)?;
    let Some(allowed) = seen.allowed else { return Ok(Some(y)) };
    let nothing = cx.scalar_like(y, 0.0)?;
    Ok(Some(cx.emit(Op::Elementwise(ScalarOp::Select), &[allowed, y, nothing])?))
}

/// The score of a key that is always seen and has no value, `[1, heads or 1, 1, 1]`.
fn sink(cx: &mut NodeCx<'_, '_>, form: &Form, sizes: Sizes) -> Result<Option<ValueId>, NodeError> {
    let Some(sink) = cx.optional(11) else {
        let like = cx.operand(0)?;
        return match form.is_smooth {
            true => {
                let zero = cx.scalar_like(like, 0.0)?;
                Ok(Some(cx.reshape(zero, vec![Dim::Const(1); 4])?))
            }
            false => Ok(None),
        };
    };
    if cx.shape(sink) != [Dim::Const(sizes.heads)] {
        let reason = format!("`head_sink` does not have one number for each of {} heads", sizes.heads);
        return Err(NodeError::Operands(reason));
    }
    let shape = [1, sizes.heads, 1, 1].map(Dim::Const).to_vec();
    Ok(Some(cx.reshape(sink, shape)?))
}

/// Adds a key of zeros and a value of zeros behind the others: its product is zero, also within a cap, so that its score is
/// what is added to it.
fn with_sink(
    cx: &mut NodeCx<'_, '_>,
    heads: Heads,
    scores: &mut Scores,
    sink: ValueId,
) -> Result<Heads, NodeError> {
    write_out_band(cx, scores, heads)?;
    let keys = super::heads::sizes(cx, heads.key, "key")?[ROWS];
    let mut with_zero = |x: ValueId| {
        let zero = zero_rows(cx, x, 1)?;
        concat(cx, ROWS, &[x, zero])
    };
    let heads = Heads { key: with_zero(heads.key)?, value: with_zero(heads.value)?, ..heads };
    let added = match scores.added.pop() {
        Some(bias) => bias,
        None => {
            let zero = cx.scalar_like(sink, 0.0)?;
            cx.expand(zero, [1, 1, 1, keys].map(Dim::Const).to_vec())?
        }
    };
    // Both in the shape that their leading axes broadcast to.
    let leading = |shape: Vec<Dim>| shape[..3].to_vec();
    let shape = cx.broadcast(&leading(cx.shape(added)), &leading(cx.shape(sink)))?;
    let mut part = |x: ValueId, columns: u64| {
        let wide = [shape.clone(), vec![Dim::Const(columns)]].concat();
        cx.expand(x, wide)
    };
    let parts = [part(added, keys)?, part(sink, 1)?];
    scores.added = vec![concat(cx, 3, &parts)?];
    if let Some(allowed) = scores.allowed {
        let mut shape = cx.shape(allowed);
        let axis = shape.len() - 1;
        shape[axis] = Dim::Const(1);
        let yes = cx.constant(Tensor::scalar_bool(true))?;
        let yes = cx.expand(yes, shape)?;
        scores.allowed = Some(concat(cx, axis, &[allowed, yes])?);
    }
    Ok(heads)
}

/// A number as i32.
fn number(cx: &mut NodeCx<'_, '_>, value: u64) -> Result<ValueId, NodeError> {
    cx.constant(Tensor::from_i64_as(ElementType::I32, [], &[value as i64])?)
}
