//! Attention, as ONNX and ONNX Runtime have it: their operators differ in how they write heads, caches and masks, and become
//! the graph's attention.

mod grouped;
mod heads;
mod masks;
mod multi_head;
mod standard;

pub(super) use grouped::group_query_attention;
pub(super) use multi_head::{attention as packed_attention, multi_head_attention};
pub(super) use standard::attention;

use super::activation::times;
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::attention::{Band, HEADS_FIRST};
use drift_ir::op::{
    Attention, BinaryOp, MatMul, Reduce, ReduceKind, ScalarOp, Softmax, Step, StepArg, UnaryOp,
};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// Queries, keys and values, each `[batch, heads, rows, channels]`; several heads of queries may share one of the others.
#[derive(Clone, Copy)]
struct Heads {
    query: ValueId,
    key: ValueId,
    value: ValueId,
}

/// What becomes of the products of queries and keys before the softmax, in this order.
#[derive(Clone, Default)]
struct Scores {
    /// A factor; without one, one by the root of the number of channels.
    scale: Option<f64>,
    /// The bound that `cap tanh(x / cap)` keeps scores within; zero is none.
    softcap: f64,
    /// What is added; each broadcasts to `[batch, heads, queries, keys]`.
    added: Vec<ValueId>,
    /// Where a key may be seen: bool, broadcasts like what is added.
    allowed: Option<ValueId>,
    /// Which keys a query sees by its place.
    band: Band,
    /// The place of the first query, from which the band counts, i32 `[batch, 1, 1, 1]`; 0 without one.
    first: Option<ValueId>,
    /// Whether a query that sees no key gives zeros rather than NaN.
    unseen_is_zero: bool,
}

/// Scores and weights as results of a node, each `[batch, heads, queries, keys]`.
#[derive(Clone, Copy)]
enum Shown {
    /// The scaled products.
    Products,
    /// Those within the cap.
    Capped,
    /// Those with what is added, and minus infinity where a key may not be seen.
    Masked,
    /// The softmax.
    Weights,
}

impl Scores {
    fn scale(&self, cx: &NodeCx<'_, '_>, heads: Heads) -> Result<f64, NodeError> {
        match (self.scale, cx.shape(heads.query).last()) {
            (Some(scale), _) => Ok(scale),
            (None, Some(Dim::Const(size))) => Ok((*size as f64).sqrt().recip()),
            (None, _) => {
                Err(NodeError::Unsupported("the heads have a free size; fix it with --dim".to_owned()))
            }
        }
    }

    /// Another condition that a key has to meet.
    fn require(&mut self, cx: &mut NodeCx<'_, '_>, also: ValueId) -> Result<(), NodeError> {
        self.allowed = Some(match self.allowed {
            None => also,
            Some(allowed) => cx.binary(BinaryOp::And, allowed, also)?,
        });
        Ok(())
    }
}

/// `softmax(scores(q k^T)) v`.
fn attend(cx: &mut NodeCx<'_, '_>, heads: Heads, scores: &Scores) -> Result<ValueId, NodeError> {
    let mut operands = vec![heads.query, heads.key, heads.value];
    let mut steps = Vec::new();
    let mut current = StepArg::Result;
    let multiply = ScalarOp::Binary(BinaryOp::Mul);
    let scale = scores.scale(cx, heads)?;
    if scale != 1.0 {
        current = push(&mut steps, multiply, &[current, StepArg::Const(scale)]);
    }
    if scores.softcap > 0.0 {
        current = push(&mut steps, multiply, &[current, StepArg::Const(scores.softcap.recip())]);
        current = push(&mut steps, ScalarOp::Unary(UnaryOp::Tanh), &[current]);
        current = push(&mut steps, multiply, &[current, StepArg::Const(scores.softcap)]);
    }
    let mut operand = |value: ValueId| {
        operands.push(value);
        StepArg::Operand(operands.len() as u32 - 4)
    };
    let element = cx.element(heads.query);
    for &added in &scores.added {
        let added = operand(cx.cast(added, element)?);
        current = push(&mut steps, ScalarOp::Binary(BinaryOp::Add), &[current, added]);
    }
    if let Some(allowed) = scores.allowed {
        let allowed = operand(allowed);
        let hidden = operand(cx.scalar_like(heads.query, f64::NEG_INFINITY)?);
        push(&mut steps, ScalarOp::Select, &[allowed, current, hidden]);
    }
    // Without a band it says nothing.
    let first = scores.first.filter(|_| !scores.band.is_open());
    let op = Attention {
        q: HEADS_FIRST,
        k: HEADS_FIRST,
        v: HEADS_FIRST,
        y: HEADS_FIRST,
        scores: steps,
        unseen_is_zero: scores.unseen_is_zero,
        band: scores.band,
        has_first: first.is_some(),
    };
    operands.extend(first);
    cx.emit(Op::Attention(op), &operands)
}

/// Adds a step, and gives what the next one calls it.
fn push(steps: &mut Vec<Step>, op: ScalarOp, args: &[StepArg]) -> StepArg {
    steps.push(Step { op, args: args.to_vec() });
    StepArg::Step(steps.len() as u32 - 1)
}

/// Scores or weights as a value. In f16 the queries are scaled instead of the products, which may exceed its range.
fn show(cx: &mut NodeCx<'_, '_>, heads: Heads, scores: &Scores, what: Shown) -> Result<ValueId, NodeError> {
    let scale = scores.scale(cx, heads)?;
    let is_narrow = cx.element(heads.query) == ElementType::F16;
    let query = if is_narrow { times(cx, heads.query, scale)? } else { heads.query };
    let mut y = products(cx, query, heads.key)?;
    if !is_narrow {
        y = times(cx, y, scale)?;
    }
    if matches!(what, Shown::Products) {
        return Ok(y);
    }
    if scores.softcap > 0.0 {
        y = times(cx, y, scores.softcap.recip())?;
        y = cx.unary(UnaryOp::Tanh, y)?;
        y = times(cx, y, scores.softcap)?;
    }
    if matches!(what, Shown::Capped) {
        return Ok(y);
    }
    let shape = cx.shape(y);
    for &added in &scores.added {
        let added = cx.cast(added, cx.element(y))?;
        y = cx.binary(BinaryOp::Add, y, added)?;
    }
    let mut scores = scores.clone();
    masks::write_out_band(cx, &mut scores, heads)?;
    if let Some(allowed) = scores.allowed {
        let hidden = cx.scalar_like(y, f64::NEG_INFINITY)?;
        y = cx.emit(Op::Elementwise(ScalarOp::Select), &[allowed, y, hidden])?;
    }
    if cx.shape(y) != shape {
        return Err(NodeError::Operands("the mask does not broadcast to the scores".to_owned()));
    }
    if matches!(what, Shown::Masked) {
        return Ok(y);
    }
    let weights = cx.emit(Op::Softmax(Softmax { axis: 3 }), &[y])?;
    if !scores.unseen_is_zero {
        return Ok(weights);
    }
    let most = Op::Reduce(Reduce { kind: ReduceKind::Max, axes: vec![3], keep_dims: true });
    let most = cx.emit(most, &[y])?;
    let lowest = cx.scalar_like(y, f64::NEG_INFINITY)?;
    let is_unseen = cx.binary(BinaryOp::Equal, most, lowest)?;
    let nothing = cx.scalar_like(y, 0.0)?;
    cx.emit(Op::Elementwise(ScalarOp::Select), &[is_unseen, nothing, weights])
}

/// `q k^T`, where several heads of queries share one of keys: they become rows of one matrix.
fn products(cx: &mut NodeCx<'_, '_>, query: ValueId, key: ValueId) -> Result<ValueId, NodeError> {
    let (shape, shared) = (cx.shape(query), cx.shape(key));
    let product = Op::MatMul(MatMul { transpose_b: true });
    if shape[1] == shared[1] {
        return cx.emit(product, &[query, key]);
    }
    let (Dim::Const(heads), Dim::Const(groups)) = (&shape[1], &shared[1]) else {
        return Err(NodeError::Unsupported("the number of heads is free; fix it with --dim".to_owned()));
    };
    let rows = cx.product(&[Dim::Const(heads / groups), shape[2].clone()])?;
    let grouped = cx.reshape(query, vec![shape[0].clone(), shared[1].clone(), rows, shape[3].clone()])?;
    let y = cx.emit(product, &[grouped, key])?;
    cx.reshape(y, vec![shape[0].clone(), shape[1].clone(), shape[2].clone(), shared[2].clone()])
}

/// Fails unless the heads of queries share those of keys evenly.
fn check_sharing(cx: &NodeCx<'_, '_>, heads: Heads) -> Result<(), NodeError> {
    let (query, key) = (cx.shape(heads.query), cx.shape(heads.key));
    match (&query[1], &key[1]) {
        (Dim::Const(heads), Dim::Const(groups)) if *groups == 0 || heads % groups != 0 => {
            Err(NodeError::Operands(format!("{heads} heads of queries cannot share {groups} of keys")))
        }
        _ => Ok(()),
    }
}
