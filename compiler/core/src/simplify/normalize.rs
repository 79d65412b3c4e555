//! Normalisations that exporters decompose, recognised as one op, which reads its operand twice instead of five times.

use super::edit;
use super::pattern::{
    beside_uniform, binary, made_by_binary, made_by_unary, only_user, producer, same_type, uniform,
};
use super::rule::{Apply, Declined, Outcome, Rule};
use drift_ir::op::{BinaryOp, LayerNorm, ReduceKind, Softmax, UnaryOp};
use drift_ir::{Dim, Graph, Node, NodeId, Op, ValueId};

/// `(x - mean x) / sqrt(mean((x - mean x)^2) + eps)   =>   layer_norm x, 1`
pub(super) const LAYER_NORM: Rule = Rule {
    name: "layer-norm",
    picture: "(x - mean x) / sqrt(mean((x - mean x)^2) + eps) => layer_norm x, 1",
    apply: Apply::Node(layer_norm),
};

/// `layer_norm(x, 1) * s   =>   layer_norm(x, s)`
pub(super) const LAYER_NORM_ABSORBS_SCALE: Rule = Rule {
    name: "layer-norm-absorbs-scale",
    picture: "layer_norm(x, 1) * s => layer_norm(x, s)",
    apply: Apply::Node(layer_norm_absorbs_scale),
};

/// `layer_norm(x, s) + b   =>   layer_norm(x, s, b)`
pub(super) const LAYER_NORM_ABSORBS_BIAS: Rule = Rule {
    name: "layer-norm-absorbs-bias",
    picture: "layer_norm(x, s) + b => layer_norm(x, s, b)",
    apply: Apply::Node(layer_norm_absorbs_bias),
};

/// `exp(x - max x) / sum(exp(x - max x))   =>   softmax x`
pub(super) const SOFTMAX: Rule = Rule {
    name: "softmax",
    picture: "exp(x - max x) / sum(exp(x - max x)) => softmax x, also without the max",
    apply: Apply::Node(softmax),
};

/// The operand of a plain reduction that keeps its axes.
fn reduced(graph: &Graph, value: ValueId, kind: ReduceKind) -> Option<(ValueId, &[usize])> {
    let node = producer(graph, value)?;
    match &node.op {
        Op::Reduce(reduce) if reduce.kind == kind && reduce.keep_dims => Some((node.inputs[0], &reduce.axes)),
        _ => None,
    }
}

/// `x` and the axes, if a value is `x - mean x`.
fn deviation(graph: &Graph, value: ValueId) -> Option<(ValueId, &[usize])> {
    let (x, mean) = made_by_binary(graph, value, BinaryOp::Sub)?;
    let (of, axes) = reduced(graph, mean, ReduceKind::Mean)?;
    (of == x).then_some((x, axes))
}

/// `v`, if a value is `sqrt v` in one of its spellings.
fn root_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    made_by_unary(graph, value, UnaryOp::Sqrt).or_else(|| {
        let (base, exponent) = made_by_binary(graph, value, BinaryOp::Pow)?;
        (uniform(graph, exponent)? == 0.5).then_some(base)
    })
}

/// `v`, if a value is `1 / sqrt v` in one of its spellings.
fn inverse_root_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    if let Some(root) = made_by_unary(graph, value, UnaryOp::Reciprocal) {
        return root_of(graph, root);
    }
    if let Some((one, root)) = made_by_binary(graph, value, BinaryOp::Div) {
        return if uniform(graph, one)? == 1.0 { root_of(graph, root) } else { None };
    }
    let (base, exponent) = made_by_binary(graph, value, BinaryOp::Pow)?;
    (uniform(graph, exponent)? == -0.5).then_some(base)
}

/// `d`, if a value is `d^2` in one of its spellings.
fn square_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    if let Some((a, b)) = made_by_binary(graph, value, BinaryOp::Mul) {
        return (a == b).then_some(a);
    }
    let (base, exponent) = made_by_binary(graph, value, BinaryOp::Pow)?;
    (uniform(graph, exponent)? == 2.0).then_some(base)
}

/// The deviation and the variance plus epsilon, if a node divides one by the root of the other.
fn standardised(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    if let Some((deviation, root)) = binary(node, BinaryOp::Div) {
        return Some((deviation, root_of(graph, root)?));
    }
    let (a, b) = binary(node, BinaryOp::Mul)?;
    inverse_root_of(graph, b).map(|v| (a, v)).or_else(|| Some((b, inverse_root_of(graph, a)?)))
}

/// What a decomposed layer normalisation normalises, from which axis, with which epsilon.
fn match_layer_norm(graph: &Graph, node: &Node) -> Option<(ValueId, LayerNorm)> {
    let (numerator, sum) = standardised(graph, node)?;
    let (x, axes) = deviation(graph, numerator)?;
    let (variance, epsilon) = beside_uniform(graph, made_by_binary(graph, sum, BinaryOp::Add)?)?;
    let (square, variance_axes) = reduced(graph, variance, ReduceKind::Mean)?;
    let squared = square_of(graph, square)?;
    let same = squared == numerator || deviation(graph, squared) == Some((x, axes));
    let rank = graph.value(x).ty.shape.len();
    let axis = *axes.first()?;
    let trailing = axes.iter().copied().eq(axis..rank);
    (same && trailing && variance_axes == axes).then_some((x, LayerNorm { axis, epsilon }))
}

fn layer_norm(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, op)) = match_layer_norm(graph, graph.node(node)) else { return Ok(false) };
    let ty = &graph.value(x).ty;
    if ty != &graph.value(graph.node(node).outputs[0]).ty {
        return Ok(false);
    }
    let element = ty.element;
    let normalised: Option<Vec<u64>> = ty.shape[op.axis..].iter().map(Dim::as_const).collect();
    let Some(shape) = normalised else {
        return Err(Declined::FreeDim { value: graph.value(x).name.clone() });
    };
    let ones = edit::filled(element, &shape, 1.0)?;
    let name = format!("{}.scale", graph.node(node).name);
    let scale = edit::add_constant(graph, &name, ones)?;
    edit::set_op(graph, node, Op::LayerNorm(op), &[x, scale])
}

/// The layer normalisation among the operands of a product or sum, and the other operand.
fn beside_layer_norm(graph: &Graph, node: NodeId, op: BinaryOp) -> Option<(&Node, ValueId)> {
    let (a, b) = binary(graph.node(node), op)?;
    [(a, b), (b, a)].into_iter().find_map(|(norm, other)| {
        let inner = producer(graph, norm).filter(|n| matches!(n.op, Op::LayerNorm(_)))?;
        same_type(graph, norm, graph.node(node).outputs[0]).then_some((inner, other))
    })
}

/// Whether a constant has exactly the shape of the normalised axes.
fn fits_normalised_axes(graph: &Graph, norm: &Node, parameter: ValueId) -> bool {
    let Op::LayerNorm(LayerNorm { axis, .. }) = norm.op else { return false };
    graph.constant(parameter).is_some()
        && graph.value(parameter).ty.shape == graph.value(norm.inputs[0]).ty.shape[axis..]
}

fn layer_norm_absorbs_scale(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((inner, scale)) = beside_layer_norm(graph, node, BinaryOp::Mul) else { return Ok(false) };
    let plain = inner.inputs.len() == 2 && uniform(graph, inner.inputs[1]) == Some(1.0);
    if !plain || !fits_normalised_axes(graph, inner, scale) {
        return Ok(false);
    }
    only_user(graph, inner.outputs[0], node)?;
    let (op, x) = (inner.op.clone(), inner.inputs[0]);
    edit::set_op(graph, node, op, &[x, scale])
}

fn layer_norm_absorbs_bias(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((inner, bias)) = beside_layer_norm(graph, node, BinaryOp::Add) else { return Ok(false) };
    if inner.inputs.len() != 2 || !fits_normalised_axes(graph, inner, bias) {
        return Ok(false);
    }
    only_user(graph, inner.outputs[0], node)?;
    let (op, x, scale) = (inner.op.clone(), inner.inputs[0], inner.inputs[1]);
    edit::set_op(graph, node, op, &[x, scale, bias])
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
