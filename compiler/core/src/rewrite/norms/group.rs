//! Normalisation over groups of channels, which exporters without such an op write as reshapes around an instance
//! normalisation, recognised as one op on the image itself.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::pattern::{binary, only_user, producer, same_type, uniform};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{BinaryOp, GroupNorm};
use drift_ir::{Dim, Graph, Node, NodeId, Op, Tensor, ValueId};

/// `reshape(group_norm(reshape x to [n, g, ..]) to [n, c, ..])   =>   group_norm x` in g groups
pub(in crate::rewrite) const GROUP_NORM: Rule = Rule {
    name: "group-norm",
    picture: "reshape(group_norm(reshape x to [n, g, ..]) to [n, c, ..]) => group_norm x in g groups, without scale and bias",
    apply: Apply::Node(at::RESHAPE, group_norm),
};

/// `group_norm(x) * s   =>   group_norm(x, s)` when s has one value per channel
pub(in crate::rewrite) const GROUP_NORM_ABSORBS_SCALE: Rule = Rule {
    name: "group-norm-absorbs-scale",
    picture: "group_norm(x, a) * s => group_norm(x, a * s), when s has one value per channel",
    apply: Apply::Node(at::ELEMENTWISE, absorbs_scale),
};

/// `group_norm(x, s) + b   =>   group_norm(x, s, b)` when b has one value per channel
pub(in crate::rewrite) const GROUP_NORM_ABSORBS_BIAS: Rule = Rule {
    name: "group-norm-absorbs-bias",
    picture: "group_norm(x, s, a) + b => group_norm(x, s, a + b), when b has one value per channel",
    apply: Apply::Node(at::ELEMENTWISE, absorbs_bias),
};

/// The operand of a plain reshape.
fn reshaped(node: &Node) -> Option<ValueId> {
    (matches!(node.op, Op::Reshape(_)) && node.epilogue.is_empty()).then(|| node.inputs[0])
}

/// Whether a scale of ones and a bias of zeros change nothing.
fn has_no_parameters(graph: &Graph, norm: &Node) -> bool {
    let holds =
        |at: usize, value: f64| norm.inputs.get(at).is_none_or(|&input| uniform(graph, input) == Some(value));
    holds(1, 1.0) && holds(2, 0.0)
}

fn group_norm(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Some(normal) = reshaped(subject) else { return Ok(false) };
    let Some(norm) = producer(graph, normal) else { return Ok(false) };
    let Op::GroupNorm(GroupNorm { groups, epsilon }) = norm.op else { return Ok(false) };
    let Some(before) = producer(graph, norm.inputs[0]) else { return Ok(false) };
    let Some(x) = reshaped(before) else { return Ok(false) };
    let rows = &graph.value(norm.inputs[0]).ty.shape;
    let image = &graph.value(x).ty.shape;
    // Each channel of the rows is a group, and groups are runs of the image's channels.
    let whole = rows.len() >= 2
        && rows[1] == Dim::Const(groups)
        && image.len() >= 2
        && image[0] == rows[0]
        && image[1].as_const().is_some_and(|channels| channels % groups == 0);
    if !whole || !same_type(graph, x, subject.outputs[0]) || !has_no_parameters(graph, norm) {
        return Ok(false);
    }
    only_user(graph, normal, node)?;
    edit::set_op(graph, node, Op::GroupNorm(GroupNorm { groups, epsilon }), &[x])
}

/// The group normalisation among the operands of a product or sum, and the other operand as one value per channel.
fn beside_group_norm(graph: &Graph, node: NodeId, op: BinaryOp) -> Option<(&Node, Tensor)> {
    let (a, b) = binary(graph.node(node), op)?;
    [(a, b), (b, a)].into_iter().find_map(|(norm, other)| {
        let inner = producer(graph, norm).filter(|n| matches!(n.op, Op::GroupNorm(_)))?;
        let values = per_channel(graph.constant(other)?, &graph.value(norm).ty.shape)?;
        same_type(graph, norm, graph.node(node).outputs[0]).then_some((inner, values))
    })
}

/// A constant that varies along the channels only, as a vector.
fn per_channel(constant: &Tensor, image: &[Dim]) -> Option<Tensor> {
    let channels = image[1].as_const()?;
    let from_end = image.len() - 2;
    let mut sizes = constant.shape().iter().rev().enumerate();
    let fits = sizes.all(|(at, &size)| size == 1 || (at == from_end && size == channels));
    let values = constant.to_f64_vec();
    match values.as_slice() {
        _ if !fits => None,
        [value] => Tensor::from_f64_as(constant.element(), [channels], &vec![*value; channels as usize]).ok(),
        values => Tensor::from_f64_as(constant.element(), [channels], values).ok(),
    }
}

/// A parameter that the node has, combined with another one; the other one where it has none.
fn combined(
    graph: &Graph,
    parameter: Option<ValueId>,
    other: Tensor,
    combine: fn(f64, f64) -> f64,
) -> Result<Option<Tensor>, Declined> {
    let Some(parameter) = parameter else { return Ok(Some(other)) };
    let Some(own) = graph.constant(parameter) else { return Ok(None) };
    let values: Vec<f64> =
        own.to_f64_vec().into_iter().zip(other.to_f64_vec()).map(|(a, b)| combine(a, b)).collect();
    let tensor = Tensor::from_f64_as(own.element(), own.shape(), &values)?;
    if tensor.to_f32_vec().iter().any(|value| !value.is_finite()) {
        return Err(Declined::OutOfRange { element: own.element().name() });
    }
    Ok(Some(tensor))
}

fn absorbs_scale(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((inner, scale)) = beside_group_norm(graph, node, BinaryOp::Mul) else { return Ok(false) };
    // A bias other than zero would have to be scaled, too; exporters scale before they add one.
    if inner.inputs.get(2).is_some_and(|&bias| uniform(graph, bias) != Some(0.0)) {
        return Ok(false);
    }
    only_user(graph, inner.outputs[0], node)?;
    let (op, mut inputs, name) = (inner.op.clone(), inner.inputs.clone(), inner.name.clone());
    let Some(scale) = combined(graph, inputs.get(1).copied(), scale, |a, b| a * b)? else { return Ok(false) };
    inputs.truncate(1);
    inputs.push(edit::add_constant(graph, &format!("{name}.scale"), scale)?);
    edit::set_op(graph, node, op, &inputs)
}

fn absorbs_bias(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((inner, bias)) = beside_group_norm(graph, node, BinaryOp::Add) else { return Ok(false) };
    only_user(graph, inner.outputs[0], node)?;
    let (op, mut inputs, name) = (inner.op.clone(), inner.inputs.clone(), inner.name.clone());
    let Some(bias) = combined(graph, inputs.get(2).copied(), bias, |a, b| a + b)? else { return Ok(false) };
    inputs.truncate(2);
    if inputs.len() < 2 {
        let ones = edit::filled(bias.element(), bias.shape(), 1.0)?;
        inputs.push(edit::add_constant(graph, &format!("{name}.scale"), ones)?);
    }
    inputs.push(edit::add_constant(graph, &format!("{name}.bias"), bias)?);
    edit::set_op(graph, node, op, &inputs)
}
