//! Padding that moves into the window of the node after it, which reads zeros beyond its operand at no cost.
//!
//! A pool that rounds up starts no window beyond its elements and the padding before them: one that started on the pad's
//! elements behind them would be lost. The shape tells, and the graph refuses the edit.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::pattern::{plain_scalar_op, producer};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{Pad, PadMode, PoolKind, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, ValueId};

/// `conv(pad x, w, b)   =>   conv(x, w, b)` with more padding, when zeros are added around the pixels
pub(in crate::rewrite) const CONV_ABSORBS_PAD: Rule = Rule {
    name: "conv-absorbs-pad",
    picture: "conv(pad x, w, b) => conv(x, w, b) with more padding, when the pad adds zeros around pixels",
    apply: Apply::Node(at::CONV, conv_absorbs_pad),
};

/// `pool(pad x)   =>   pool x` with more padding, when what is added does not count or counts the same
pub(in crate::rewrite) const POOL_ABSORBS_PAD: Rule = Rule {
    name: "pool-absorbs-pad",
    picture: "pool(pad x) => pool x with more padding, when the pad adds what the pool's own padding means",
    apply: Apply::Node(at::POOL, pool_absorbs_pad),
};

/// What a pad adds around pixels: the operand, the constant, and begins and ends of the spatial axes.
struct Around {
    x: ValueId,
    value: f64,
    begins: Vec<u64>,
    ends: Vec<u64>,
}

/// The pad that makes a value, if it adds a constant around pixels only.
fn around_pixels(graph: &Graph, value: ValueId) -> Option<Around> {
    let node = producer(graph, value)?;
    let Op::Pad(Pad { mode: PadMode::Constant(constant), pads }) = &node.op else { return None };
    let (begins, ends) = pads.split_at(pads.len() / 2);
    let outer_is_plain = begins.len() > 2 && begins[..2].iter().chain(&ends[..2]).all(|&pad| pad == 0);
    outer_is_plain.then(|| Around {
        x: node.inputs[0],
        value: *constant,
        begins: begins[2..].to_vec(),
        ends: ends[2..].to_vec(),
    })
}

impl Around {
    /// A window's own padding and this one together.
    fn with(&self, pads: &[u64]) -> Option<Vec<u64>> {
        pads.iter()
            .zip(self.begins.iter().chain(&self.ends))
            .map(|(own, more)| own.checked_add(*more))
            .collect()
    }
}

fn conv_absorbs_pad(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Conv(conv) = &subject.op else { return Ok(false) };
    let Some(around) = around_pixels(graph, subject.inputs[0]).filter(|around| around.value == 0.0) else {
        return Ok(false);
    };
    let Some(pads) = around.with(&conv.pads) else { return Ok(false) };
    let mut conv = conv.clone();
    conv.pads = pads;
    let mut inputs = subject.inputs.clone();
    inputs[0] = around.x;
    edit::set_op(graph, node, Op::Conv(conv), &inputs)
}

fn pool_absorbs_pad(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Pool(pool) = &subject.op else { return Ok(false) };
    let Some(around) = around_pixels(graph, subject.inputs[0]) else { return Ok(false) };
    let mut pool = pool.clone();
    let plain = pool.pads.iter().all(|&pad| pad == 0);
    let kind = match pool.kind {
        PoolKind::Max if is_minus_infinity(graph, around.x, around.value) => Some(PoolKind::Max),
        // Beside an element that is not negative, a zero is never the largest; a NaN stays one.
        PoolKind::Max if around.value.to_bits() == 0 && is_not_negative(graph, around.x) => {
            Some(PoolKind::Max)
        }
        PoolKind::Average { count_padding } if around.value == 0.0 && (count_padding || plain) => {
            Some(PoolKind::Average { count_padding: true })
        }
        PoolKind::Lp(p) if around.value == 0.0 => Some(PoolKind::Lp(p)),
        PoolKind::Max | PoolKind::Average { .. } | PoolKind::Lp(_) => None,
    };
    let Some((kind, pads)) = kind.zip(around.with(&pool.pads)) else { return Ok(false) };
    // Whether each window covers an element, which it need not while pads are elements, shows in known sizes only.
    if graph.value(around.x).ty.static_shape_from(2).is_none() {
        return Err(Declined::FreeDim { value: graph.value(around.x).name.clone() });
    }
    (pool.kind, pool.pads) = (kind, pads);
    edit::set_op(graph, node, Op::Pool(pool), &[around.x])
}

/// Whether a number is minus infinity as an element of `value`. The lowest finite number is not: it would win over
/// windows of minus infinities.
fn is_minus_infinity(graph: &Graph, value: ValueId, number: f64) -> bool {
    match graph.value(value).ty.element {
        ElementType::F16 => number <= -65520.0,
        ElementType::F32 => number as f32 == f32::NEG_INFINITY,
        _ => number == f64::NEG_INFINITY,
    }
}

/// Whether a value comes from a function without negative results.
fn is_not_negative(graph: &Graph, value: ValueId) -> bool {
    let op = producer(graph, value).and_then(|node: &Node| plain_scalar_op(node));
    match op {
        Some(ScalarOp::Unary(op)) => {
            matches!(op, UnaryOp::Relu | UnaryOp::Abs | UnaryOp::Exp | UnaryOp::Sigmoid)
        }
        Some(ScalarOp::Clip { min, .. }) => min >= 0.0,
        _ => false,
    }
}
