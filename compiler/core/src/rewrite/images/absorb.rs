//! Arithmetic with constants that moves into the weights of the node before it.
//!
//! The product is computed here, once, instead of on every run. Rules that only save a bias operand belong to `fuse`.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::pattern::{binary, only_user, producer, same_type};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::BinaryOp;
use drift_ir::{Graph, Node, NodeId, Op, Tensor, ValueId};

/// `conv(x, w, b) * c   =>   conv(x, w * c, b * c)` when c has one value per output channel
pub(in crate::rewrite) const CONV_ABSORBS_SCALE: Rule = Rule {
    name: "conv-absorbs-scale",
    picture: "conv(x, w, b) * c => conv(x, w * c, b * c), also / c, when c has one value per output channel",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        conv_absorbs(graph, node, &[BinaryOp::Mul, BinaryOp::Div])
    }),
};

/// `conv(x, w, b) + c   =>   conv(x, w, b + c)` when c has one value per output channel
pub(in crate::rewrite) const CONV_ABSORBS_BIAS: Rule = Rule {
    name: "conv-absorbs-bias",
    picture: "conv(x, w, b) + c => conv(x, w, b + c), also - c, when c has one value per output channel",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        conv_absorbs(graph, node, &[BinaryOp::Add, BinaryOp::Sub])
    }),
};

/// A convolution and the constant that follows it.
struct ConvThen<'g> {
    conv: &'g Node,
    op: BinaryOp,
    parameter: ValueId,
}

/// A plain convolution followed by one of `ops` with a constant as the other operand.
fn match_conv_then<'g>(graph: &'g Graph, node: &Node, ops: &[BinaryOp]) -> Option<ConvThen<'g>> {
    ops.iter().find_map(|&op| {
        let (a, b) = binary(node, op)?;
        let is_conv = |value| producer(graph, value).filter(|n| matches!(n.op, Op::Conv(_)));
        let swaps = matches!(op, BinaryOp::Add | BinaryOp::Mul);
        [(a, b), (b, a)].into_iter().take(if swaps { 2 } else { 1 }).find_map(|(x, parameter)| {
            graph.constant(parameter)?;
            let conv = is_conv(x).filter(|_| same_type(graph, x, node.outputs[0]))?;
            Some(ConvThen { conv, op, parameter })
        })
    })
}

fn conv_absorbs(graph: &mut Graph, node: NodeId, ops: &[BinaryOp]) -> Outcome {
    let Some(ConvThen { conv, op, parameter }) = match_conv_then(graph, graph.node(node), ops) else {
        return Ok(false);
    };
    let Some((parameter, weights)) = graph.constant(parameter).zip(graph.constant(conv.inputs[1])) else {
        return Ok(false);
    };
    let bias = conv.inputs.get(2).map(|&bias| graph.constant(bias));
    let Some(per_channel) = per_channel(parameter, weights.shape()) else { return Ok(false) };
    if bias == Some(None) {
        return Ok(false);
    }
    only_user(graph, conv.outputs[0], node)?;
    let Some(conv_id) = graph.producer(conv.outputs[0]) else { return Ok(false) };
    let scales = matches!(op, BinaryOp::Mul | BinaryOp::Div);
    let new_weights = if scales {
        // Weights that another node reads would be there twice.
        only_user(graph, conv.inputs[1], conv_id)?;
        Some(combined_rows(op, weights, &per_channel)?)
    } else {
        None
    };
    let new_bias = match bias.flatten() {
        Some(bias) => Some(combined_rows(op, bias, &per_channel)?),
        None if scales => None,
        None => Some(combined_rows(
            op,
            &edit::filled(weights.element(), &[weights.shape()[0]], 0.0)?,
            &per_channel,
        )?),
    };
    let (conv_op, mut inputs, name) = (conv.op.clone(), conv.inputs.clone(), conv.name.clone());
    inputs.truncate(2);
    if let Some(weights) = new_weights {
        inputs[1] = edit::add_constant(graph, &format!("{name}.weights"), weights)?;
    }
    if let Some(bias) = new_bias {
        inputs.push(edit::add_constant(graph, &format!("{name}.bias"), bias)?);
    }
    edit::set_op(graph, node, conv_op, &inputs)
}

/// The constant's values, one per output channel; `None` if it varies along another axis.
fn per_channel(parameter: &Tensor, weights_shape: &[u64]) -> Option<Vec<f64>> {
    let channels = weights_shape[0];
    let spatial_rank = weights_shape.len() - 2;
    // Of the result [n, o, spatial..] the constant may span o only, which is the axis before the spatial ones.
    let spans_channels_only = parameter
        .shape()
        .iter()
        .rev()
        .enumerate()
        .all(|(from_end, &size)| size == 1 || (from_end == spatial_rank && size == channels));
    if !spans_channels_only {
        return None;
    }
    let values = parameter.to_f64_vec();
    if values.len() == 1 { Some(vec![values[0]; channels as usize]) } else { Some(values) }
}

/// `op` between each outermost row of a tensor and its own parameter, in f64, rounded once.
fn combined_rows(op: BinaryOp, tensor: &Tensor, parameters: &[f64]) -> Result<Tensor, Declined> {
    let row = tensor.len() / parameters.len().max(1);
    let combine = |value: f64, parameter: f64| match op {
        BinaryOp::Mul => value * parameter,
        BinaryOp::Div => value / parameter,
        BinaryOp::Sub => value - parameter,
        _ => value + parameter,
    };
    let mut values = tensor.to_f64_vec();
    for (row, &parameter) in values.chunks_mut(row.max(1)).zip(parameters) {
        row.iter_mut().for_each(|value| *value = combine(*value, parameter));
    }
    let combined = Tensor::from_f64_as(tensor.element(), tensor.shape(), &values)?;
    // A half overflows soon, and 1 / 0 or an infinity would turn zeros into NaN.
    if combined.to_f32_vec().iter().any(|value| !value.is_finite()) {
        return Err(Declined::OutOfRange { element: tensor.element().name() });
    }
    Ok(combined)
}
