//! Ops that accumulate over an axis, as exporters decompose them or put casts around them.

use super::normalize::{absorb_scale, before_cast, normalise, reduced, square_of, standardised};
use crate::rewrite::edit;
use crate::rewrite::pattern::{
    beside_uniform, binary, made_by_binary, made_by_unary, only_user, plain_scalar_op, producer, same_type,
};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{BinaryOp, ReduceKind, RmsNorm, ScalarOp, Softmax, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, ValueId};

/// `x / sqrt(mean(x^2) + eps)   =>   rms_norm x, 1`
pub(in crate::rewrite) const RMS_NORM: Rule = Rule {
    name: "rms-norm",
    picture: "x / sqrt(mean(x^2) + eps) => rms_norm x, 1, also with the statistics cast to f32 and back, between transposes \
              where other axes than the last are normalised",
    apply: Apply::Node(at::ELEMENTWISE, rms_norm),
};

/// `rms_norm(x, 1) * s   =>   rms_norm(x, s)`
pub(in crate::rewrite) const RMS_NORM_ABSORBS_SCALE: Rule = Rule {
    name: "rms-norm-absorbs-scale",
    picture: "rms_norm(x, 1) * s => rms_norm(x, s)",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        absorb_scale(graph, node, |op| matches!(op, Op::RmsNorm(_)))
    }),
};

/// `exp(x - max x) / sum(exp(x - max x))   =>   softmax x`
pub(in crate::rewrite) const SOFTMAX: Rule = Rule {
    name: "softmax",
    picture: "exp(x - max x) / sum(exp(x - max x)) => softmax x, also without the max",
    apply: Apply::Node(at::ELEMENTWISE, softmax),
};

/// `cast(f(cast x))   =>   f x` for f that accumulates in f32 anyhow
pub(in crate::rewrite) const ACCUMULATION_ABSORBS_CASTS: Rule = Rule {
    name: "accumulation-absorbs-casts",
    picture: "cast(f(cast x)) => f x, from f16 to f32 and back, when f is a softmax, normalisation or reduction, which \
              accumulate in f32 anyhow",
    apply: Apply::Node(at::ELEMENTWISE, accumulation_absorbs_casts),
};

fn rms_norm(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, axes, epsilon)) = match_rms_norm(graph, graph.node(node)) else { return Ok(false) };
    normalise(graph, node, x, &axes, |axis| Op::RmsNorm(RmsNorm { axis, epsilon }))
}

/// What a decomposed normalisation normalises, over which axes, with which epsilon.
fn match_rms_norm(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<usize>, f64)> {
    let (x, sum) = standardised(graph, node)?;
    let (mean, epsilon) = beside_uniform(graph, made_by_binary(graph, sum, BinaryOp::Add)?)?;
    let (square, axes) = reduced(graph, mean, ReduceKind::Mean)?;
    let squared = square_of(graph, square)?;
    let same = squared == x || before_cast(graph, squared) == x;
    (same && !axes.is_empty() && epsilon >= 0.0).then(|| (x, axes.to_vec(), epsilon))
}

fn softmax(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, axis)) = match_softmax(graph, graph.node(node)) else { return Ok(false) };
    if !same_type(graph, x, graph.node(node).outputs[0]) {
        return Ok(false);
    }
    edit::set_op(graph, node, Op::Softmax(Softmax { axis }), &[x])
}

/// What a decomposed softmax reads, and its axis. The op subtracts the maximum itself.
fn match_softmax(graph: &Graph, node: &Node) -> Option<(ValueId, usize)> {
    let (numerator, sum) = binary(node, BinaryOp::Div)?;
    let (summed, axes) = reduced(graph, sum, ReduceKind::Sum)?;
    let exponent = made_by_unary(graph, numerator, UnaryOp::Exp)?;
    let &[axis] = axes else { return None };
    let shifted = made_by_binary(graph, exponent, BinaryOp::Sub).and_then(|(x, max)| {
        let (of, axes) = reduced(graph, max, ReduceKind::Max)?;
        (of == x && axes == [axis]).then_some(x)
    });
    (summed == numerator).then_some((shifted.unwrap_or(exponent), axis))
}

fn accumulation_absorbs_casts(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    if plain_scalar_op(outer) != Some(ScalarOp::Cast(ElementType::F16)) {
        return Ok(false);
    }
    let Some(inner) = producer(graph, outer.inputs[0]) else { return Ok(false) };
    if !matches!(inner.op, Op::Softmax(_) | Op::LayerNorm(_) | Op::RmsNorm(_) | Op::Reduce(_)) {
        return Ok(false);
    }
    let x = before_cast(graph, inner.inputs[0]);
    if graph.value(x).ty.element != ElementType::F16 {
        return Ok(false);
    }
    only_user(graph, inner.outputs[0], node)?;
    // Scale and bias keep their type.
    let (op, mut inputs) = (inner.op.clone(), inner.inputs.clone());
    inputs[0] = x;
    edit::set_op(graph, node, op, &inputs)
}
