//! Scaled dot-product attention.

use super::activation::times;
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Concat, MatMul, ScalarOp, Softmax, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// Which keys a query may not see.
struct Mask {
    /// True where it may; absent where no such condition is given.
    allowed: Option<ValueId>,
    /// What is added to the scores.
    bias: Option<ValueId>,
    /// Whether a query may be left without keys; its result is zero then.
    may_be_empty: bool,
}

/// What the node's attributes say.
struct Form {
    scale: Option<f64>,
    softcap: f64,
    is_causal: bool,
    /// Keys before and behind the query's own place that it sees.
    window: [Option<u64>; 2],
    /// Which scores the fourth result shows: scaled, capped, masked, or the probabilities.
    output_mode: i64,
    heads: [i64; 2],
}

/// Attention, since 23; 24 adds `nonpad_kv_seqlen`, the number of valid keys per batch, 25 the sliding window. Queries,
/// keys and values are `[batch, heads, sequence, size]`, or `[batch, sequence, heads * size]` with the numbers of heads as
/// attributes; past keys and values stand before the new ones. Several heads of queries may share one of keys: they become
/// rows of one product, so that nothing is repeated. Scores are scaled, capped, masked; softmax computes in at least f32,
/// which is all that `softmax_precision` may ask for.
pub(super) fn attention(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["softmax_precision"]);
    let form = form(cx)?;
    let (query, key, value) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let is_flat = cx.rank(query) == 3;
    let query = with_heads(cx, query, form.heads[0], "q_num_heads")?;
    let key = with_heads(cx, key, form.heads[1], "kv_num_heads")?;
    let value = with_heads(cx, value, form.heads[1], "kv_num_heads")?;
    let key = after_past(cx, 4, key)?;
    let value = after_past(cx, 5, value)?;
    let scores = scores(cx, &form, query, key)?;
    let raw = scores;
    let scores = capped(cx, scores, form.softcap)?;
    let mask = mask(cx, &form, query, key)?;
    let masked = apply(cx, scores, &mask)?;
    let probabilities = cx.emit(Op::Softmax(Softmax { axis: 3 }), &[masked])?;
    let probabilities = without_empty_rows(cx, probabilities, &mask)?;
    let y = grouped_product(cx, probabilities, value, false)?;
    let y = if is_flat { join_heads(cx, y)? } else { y };
    let shown = match form.output_mode {
        0 => raw,
        1 => scores,
        2 => masked,
        _ => probabilities,
    };
    Ok(vec![y, key, value, shown])
}

fn form(cx: &mut NodeCx<'_, '_>) -> Result<Form, NodeError> {
    let mut heads = [0; 2];
    for (heads, name) in heads.iter_mut().zip(["q_num_heads", "kv_num_heads"]) {
        *heads = cx.attributes.int(name)?.unwrap_or(0);
    }
    let mut window = [None; 2];
    for (side, name) in window.iter_mut().zip(["left_window_size", "right_window_size"]) {
        let given = cx.attributes.int(name)?.unwrap_or(-1);
        *side = match u64::try_from(given) {
            Ok(size) => Some(size),
            Err(_) if given == -1 => None,
            Err(_) => {
                let expected = "-1 or a size".to_owned();
                return Err(NodeError::Value { name, value: given.to_string(), expected });
            }
        };
    }
    let output_mode = cx.attributes.int("qk_matmul_output_mode")?.unwrap_or(0);
    if !(0..=3).contains(&output_mode) {
        let (name, expected) = ("qk_matmul_output_mode", "0 to 3".to_owned());
        return Err(NodeError::Value { name, value: output_mode.to_string(), expected });
    }
    Ok(Form {
        scale: cx.attributes.float("scale")?.map(f64::from),
        softcap: f64::from(cx.attributes.float("softcap")?.unwrap_or(0.0)),
        is_causal: cx.attributes.flag("is_causal", false)?,
        window,
        output_mode,
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
    let shape = cx.shape(x);
    let width = match (shape.len(), &shape.last()) {
        (4, _) => return Ok(x),
        (3, Some(Dim::Const(width))) => *width,
        (3, _) => {
            return Err(NodeError::Unsupported(
                "the last axis has a free size; fix it with --dim".to_owned(),
            ));
        }
        (rank, _) => return Err(NodeError::Operands(format!("an operand has rank {rank}, expected 3 or 4"))),
    };
    let Some(heads) = u64::try_from(heads).ok().filter(|&heads| heads > 0 && width % heads == 0) else {
        let expected = format!("a number that divides the last axis, {width}");
        return Err(NodeError::Value { name, value: heads.to_string(), expected });
    };
    let split = vec![shape[0].clone(), shape[1].clone(), Dim::Const(heads), Dim::Const(width / heads)];
    let split = cx.reshape(x, split)?;
    cx.transpose(split, vec![0, 2, 1, 3])
}

fn join_heads(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let x = cx.transpose(x, vec![0, 2, 1, 3])?;
    let shape = cx.shape(x);
    let width = cx.product(&shape[2..])?;
    cx.reshape(x, vec![shape[0].clone(), shape[1].clone(), width])
}

/// Past keys or values before the new ones.
fn after_past(cx: &mut NodeCx<'_, '_>, operand: usize, new: ValueId) -> Result<ValueId, NodeError> {
    match cx.optional(operand) {
        Some(past) => cx.emit(Op::Concat(Concat { axis: 2 }), &[past, new]),
        None => Ok(new),
    }
}

/// `query key^T` times the scale. In f16 the query is scaled instead, because the products may exceed its range.
fn scores(cx: &mut NodeCx<'_, '_>, form: &Form, query: ValueId, key: ValueId) -> Result<ValueId, NodeError> {
    let scale = match (form.scale, cx.shape(query).last()) {
        (Some(scale), _) => scale,
        (None, Some(Dim::Const(size))) => (*size as f64).sqrt().recip(),
        (None, _) => {
            return Err(NodeError::Unsupported("the heads have a free size; fix it with --dim".to_owned()));
        }
    };
    if cx.element(query) == ElementType::F16 {
        let query = times(cx, query, scale)?;
        return grouped_product(cx, query, key, true);
    }
    let product = grouped_product(cx, query, key, true)?;
    times(cx, product, scale)
}

/// `a b` or `a b^T`, where several heads of `a` share one of `b`: they become rows of one matrix.
fn grouped_product(
    cx: &mut NodeCx<'_, '_>,
    a: ValueId,
    b: ValueId,
    transpose_b: bool,
) -> Result<ValueId, NodeError> {
    let (shape, shared) = (cx.shape(a), cx.shape(b));
    let product = Op::MatMul(MatMul { transpose_b });
    if shape[1] == shared[1] {
        return cx.emit(product, &[a, b]);
    }
    let (Dim::Const(heads), Dim::Const(groups)) = (&shape[1], &shared[1]) else {
        return Err(NodeError::Unsupported("the number of heads is free; fix it with --dim".to_owned()));
    };
    if *groups == 0 || heads % groups != 0 {
        return Err(NodeError::Operands(format!("{heads} heads of queries cannot share {groups} of keys")));
    }
    let rows = cx.product(&[Dim::Const(heads / groups), shape[2].clone()])?;
    let grouped = vec![shape[0].clone(), shared[1].clone(), rows, shape[3].clone()];
    let grouped = cx.reshape(a, grouped)?;
    let y = cx.emit(product, &[grouped, b])?;
    let last = cx.shape(y)[3].clone();
    cx.reshape(y, vec![shape[0].clone(), shape[1].clone(), shape[2].clone(), last])
}

/// `cap tanh(x / cap)`.
fn capped(cx: &mut NodeCx<'_, '_>, scores: ValueId, cap: f64) -> Result<ValueId, NodeError> {
    if cap <= 0.0 {
        return Ok(scores);
    }
    let y = times(cx, scores, 1.0 / cap)?;
    let y = cx.unary(UnaryOp::Tanh, y)?;
    times(cx, y, cap)
}

/// The conditions of all masks together.
fn mask(cx: &mut NodeCx<'_, '_>, form: &Form, query: ValueId, key: ValueId) -> Result<Mask, NodeError> {
    let given = cx.optional(3).map(|given| padded(cx, given, key)).transpose()?;
    let is_condition = given.is_some_and(|given| cx.element(given) == ElementType::Bool);
    let mut mask = Mask { allowed: None, bias: None, may_be_empty: given.is_some() };
    if is_condition {
        mask.allowed = given;
    } else {
        mask.bias = given;
    }
    let valid = cx.optional(6);
    let bounds = [form.window[0], if form.is_causal { Some(0) } else { None }, form.window[1]];
    if bounds.iter().all(Option::is_none) && valid.is_none() {
        return Ok(mask);
    }
    let [rows, columns] = [cx.shape(query)[2].clone(), cx.shape(key)[2].clone()];
    let (Dim::Const(rows), Dim::Const(columns)) = (rows, columns) else {
        let reason = "masks by place need known sequence lengths; fix them with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    cx.take(Resource::ConstantBytes, rows.saturating_add(columns).saturating_mul(8))?;
    let counted = |count: u64| -> Vec<i64> { (0..count as i64).collect() };
    let own = cx.constant_i64(&[rows, 1], &counted(rows))?;
    let keys = cx.constant_i64(&[1, columns], &counted(columns))?;
    // The place of the first query among the keys.
    let first = match (cx.optional(4), valid) {
        (Some(past), _) => match cx.shape(past)[2] {
            Dim::Const(past) => cx.constant_i64(&[], &[past as i64])?,
            Dim::Expr(_) => {
                return Err(NodeError::Unsupported(
                    "the past has a free length; fix it with --dim".to_owned(),
                ));
            }
        },
        (None, Some(valid)) => {
            let valid = per_batch(cx, valid)?;
            let rows = cx.constant_i64(&[], &[rows as i64])?;
            cx.binary(BinaryOp::Sub, valid, rows)?
        }
        (None, None) => cx.constant_i64(&[], &[0])?,
    };
    let place = cx.binary(BinaryOp::Add, own, first)?;
    for (side, bound) in bounds.into_iter().enumerate() {
        let Some(bound) = bound else { continue };
        let bound = cx.constant_i64(&[], &[i64::try_from(bound).unwrap_or(i64::MAX)])?;
        let (nearer, farther) = if side == 0 { (keys, place) } else { (place, keys) };
        let reach = cx.binary(BinaryOp::Add, nearer, bound)?;
        let seen = cx.binary(BinaryOp::LessOrEqual, farther, reach)?;
        both(cx, &mut mask.allowed, seen)?;
    }
    if let Some(valid) = valid {
        let valid = per_batch(cx, valid)?;
        let exists = cx.binary(BinaryOp::Less, keys, valid)?;
        both(cx, &mut mask.allowed, exists)?;
        mask.may_be_empty = true;
    }
    // A window may end before the keys begin; a query's own place lies in all the others.
    mask.may_be_empty |= form.window.iter().any(Option::is_some);
    Ok(mask)
}

fn both(cx: &mut NodeCx<'_, '_>, allowed: &mut Option<ValueId>, also: ValueId) -> Result<(), NodeError> {
    *allowed = Some(match *allowed {
        None => also,
        Some(allowed) => cx.binary(BinaryOp::And, allowed, also)?,
    });
    Ok(())
}

/// One number per batch, against scores.
fn per_batch(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let batch = cx.product(&cx.shape(x))?;
    let x = cx.cast(x, ElementType::I64)?;
    cx.reshape(x, vec![batch, Dim::Const(1), Dim::Const(1), Dim::Const(1)])
}

/// A mask may end before the keys do: those behind it are not seen.
fn padded(cx: &mut NodeCx<'_, '_>, mask: ValueId, key: ValueId) -> Result<ValueId, NodeError> {
    let (mut shape, keys) = (cx.shape(mask), cx.shape(key)[2].clone());
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
    let hidden = cx.expand(hidden, shape.clone())?;
    cx.emit(Op::Concat(Concat { axis: shape.len() - 1 }), &[mask, hidden])
}

/// Masked scores: the bias added, minus infinity where a key may not be seen.
fn apply(cx: &mut NodeCx<'_, '_>, scores: ValueId, mask: &Mask) -> Result<ValueId, NodeError> {
    let mut y = scores;
    if let Some(bias) = mask.bias {
        let element = cx.element(y);
        let bias = cx.cast(bias, element)?;
        y = cx.binary(BinaryOp::Add, y, bias)?;
    }
    if let Some(allowed) = mask.allowed {
        let hidden = cx.scalar_like(y, f64::NEG_INFINITY)?;
        y = cx.emit(Op::Elementwise(ScalarOp::Select), &[allowed, y, hidden])?;
    }
    let shape = cx.shape(scores);
    if cx.shape(y) != shape {
        return Err(NodeError::Operands("the mask does not broadcast to the scores".to_owned()));
    }
    Ok(y)
}

/// Zeros for queries that see no key: all of their scores are minus infinity, so that their softmax is NaN.
fn without_empty_rows(
    cx: &mut NodeCx<'_, '_>,
    probabilities: ValueId,
    mask: &Mask,
) -> Result<ValueId, NodeError> {
    if !mask.may_be_empty {
        return Ok(probabilities);
    }
    let is_nan = cx.unary(UnaryOp::IsNan, probabilities)?;
    let nothing = cx.scalar_like(probabilities, 0.0)?;
    cx.emit(Op::Elementwise(ScalarOp::Select), &[is_nan, nothing, probabilities])
}
