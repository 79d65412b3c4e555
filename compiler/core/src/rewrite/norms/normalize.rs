//! Normalisations that exporters decompose, recognised as one op, which reads its operand twice instead of five times.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit::{self, Wanted};
use crate::rewrite::pattern::{
    beside_uniform, binary, made_by_binary, made_by_unary, only_user, plain_scalar_op, producer, same_type,
    uniform,
};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{BinaryOp, Expand, LayerNorm, ReduceKind, RmsNorm, ScalarOp, Transpose, UnaryOp};
use drift_ir::{Graph, Node, NodeId, Op, ValueId};

/// `(x - mean x) / sqrt(mean((x - mean x)^2) + eps)   =>   layer_norm x, 1`
pub(in crate::rewrite) const LAYER_NORM: Rule = Rule {
    name: "layer-norm",
    picture: "(x - mean x) / sqrt(mean((x - mean x)^2) + eps) => layer_norm x, 1, between transposes where other axes than the \
              last are normalised",
    apply: Apply::Node(at::ELEMENTWISE, layer_norm),
};

/// `layer_norm(x, 1) * s   =>   layer_norm(x, s)`
pub(in crate::rewrite) const LAYER_NORM_ABSORBS_SCALE: Rule = Rule {
    name: "layer-norm-absorbs-scale",
    picture: "layer_norm(x, 1) * s => layer_norm(x, s)",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        absorb_scale(graph, node, |op| matches!(op, Op::LayerNorm(_)))
    }),
};

/// `layer_norm(x, s) + b   =>   layer_norm(x, s, b)`
pub(in crate::rewrite) const LAYER_NORM_ABSORBS_BIAS: Rule = Rule {
    name: "layer-norm-absorbs-bias",
    picture: "layer_norm(x, s) + b => layer_norm(x, s, b)",
    apply: Apply::Node(at::ELEMENTWISE, layer_norm_absorbs_bias),
};

/// `layer_norm(x, s)   =>   layer_norm(x, expand s)` when s repeats along the normalised axes
pub(in crate::rewrite) const NORM_EXPANDS_PARAMETERS: Rule = Rule {
    name: "norm-expands-parameters",
    picture: "layer_norm(x, s) => layer_norm(x, expand s), also rms_norm and the bias, when they repeat along the normalised \
              axes: kernels read one parameter for each element of a row",
    apply: Apply::Node(at::ROW_NORM, norm_expands_parameters),
};

/// The operand of a plain reduction that keeps its axes.
pub(super) fn reduced(graph: &Graph, value: ValueId, kind: ReduceKind) -> Option<(ValueId, &[usize])> {
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
pub(super) fn square_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    if let Some((a, b)) = made_by_binary(graph, value, BinaryOp::Mul) {
        return (a == b).then_some(a);
    }
    let (base, exponent) = made_by_binary(graph, value, BinaryOp::Pow)?;
    (uniform(graph, exponent)? == 2.0).then_some(base)
}

/// The dividend and the square of the divisor, if a node divides by a root. The root may be cast on its way.
pub(super) fn standardised(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    if let Some((dividend, root)) = binary(node, BinaryOp::Div) {
        return Some((dividend, root_of(graph, before_cast(graph, root))?));
    }
    let (a, b) = binary(node, BinaryOp::Mul)?;
    let square = |value| inverse_root_of(graph, before_cast(graph, value));
    square(b).map(|v| (a, v)).or_else(|| Some((b, square(a)?)))
}

/// What a value was before it was cast from one float type to another, or itself.
pub(super) fn before_cast(graph: &Graph, value: ValueId) -> ValueId {
    let from = || {
        let node = producer(graph, value)?;
        let ScalarOp::Cast(to) = plain_scalar_op(node)? else { return None };
        let element = graph.value(node.inputs[0]).ty.element;
        (to.is_float() && element.is_float()).then_some(node.inputs[0])
    };
    from().unwrap_or(value)
}

/// What a decomposed layer normalisation normalises, over which axes, with which epsilon.
fn match_layer_norm(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<usize>, f64)> {
    let (numerator, sum) = standardised(graph, node)?;
    let (x, axes) = deviation(graph, numerator)?;
    let (variance, epsilon) = beside_uniform(graph, made_by_binary(graph, sum, BinaryOp::Add)?)?;
    let (square, variance_axes) = reduced(graph, variance, ReduceKind::Mean)?;
    let squared = square_of(graph, square)?;
    let same = squared == numerator || deviation(graph, squared) == Some((x, axes));
    (same && !axes.is_empty() && variance_axes == axes).then(|| (x, axes.to_vec(), epsilon))
}

fn layer_norm(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, axes, epsilon)) = match_layer_norm(graph, graph.node(node)) else { return Ok(false) };
    normalise(graph, node, x, &axes, |axis| Op::LayerNorm(LayerNorm { axis, epsilon }))
}

/// Makes a node the normalisation of `x` over some of its axes, without scale and bias. Where these are not the last, a
/// transpose brings them there and another one back: three steps, of which often one or two vanish, for at least five.
pub(super) fn normalise(
    graph: &mut Graph,
    node: NodeId,
    x: ValueId,
    axes: &[usize],
    op: impl Fn(usize) -> Op,
) -> Outcome {
    if !same_type(graph, x, graph.node(node).outputs[0]) {
        return Ok(false);
    }
    let rank = graph.value(x).ty.rank();
    let first = rank - axes.len();
    let perm: Vec<usize> =
        (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    if perm.is_sorted() {
        let scale = unit_scale(graph, node, x, first)?;
        return edit::set_op(graph, node, op(first), &[x, scale]);
    }
    if axes.iter().any(|&axis| graph.value(x).ty.shape[axis].as_const().is_none()) {
        return Err(Declined::FreeDim { value: graph.value(x).name.clone() });
    }
    let mut back = vec![0; rank];
    perm.iter().enumerate().for_each(|(at, &axis)| back[axis] = at);
    let moved = edit::insert_before(graph, node, Op::Transpose(Transpose { perm }), &[x])?;
    let scale = unit_scale(graph, node, moved, first)?;
    let normal = edit::insert_before(graph, node, op(first), &[moved, scale])?;
    edit::set_op(graph, node, Op::Transpose(Transpose { perm: back }), &[normal])
}

/// The normalisation among the operands of a product or sum, and the other operand.
fn beside_norm(
    graph: &Graph,
    node: NodeId,
    op: BinaryOp,
    is_norm: fn(&Op) -> bool,
) -> Option<(&Node, ValueId)> {
    let (a, b) = binary(graph.node(node), op)?;
    [(a, b), (b, a)].into_iter().find_map(|(norm, other)| {
        let inner = producer(graph, norm).filter(|n| is_norm(&n.op))?;
        same_type(graph, norm, graph.node(node).outputs[0]).then_some((inner, other))
    })
}

/// A constant as a parameter in the shape of the normalised axes, if it has that shape but for leading ones.
fn parameter_of(graph: &Graph, norm: &Node, parameter: ValueId) -> Option<Wanted> {
    let (Op::LayerNorm(LayerNorm { axis, .. }) | Op::RmsNorm(RmsNorm { axis, .. })) = norm.op else {
        return None;
    };
    let normalised = graph.value(norm.inputs[0]).ty.static_shape_from(axis)?;
    let tensor = graph.constant(parameter)?;
    if tensor.shape() == normalised {
        return Some(Wanted::Value(parameter));
    }
    let leading = tensor.rank().checked_sub(normalised.len())?;
    let (ones, rest) = tensor.shape().split_at(leading);
    if rest != normalised || ones.iter().any(|&size| size != 1) {
        return None;
    }
    Some(Wanted::Constant(graph.value(parameter).name.clone(), tensor.reshaped(normalised).ok()?))
}

fn norm_expands_parameters(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let (Op::LayerNorm(LayerNorm { axis, .. }) | Op::RmsNorm(RmsNorm { axis, .. })) = subject.op else {
        return Ok(false);
    };
    let normalised = graph.value(subject.inputs[0]).ty.shape[axis..].to_vec();
    let repeats = |value: &&ValueId| graph.value(**value).ty.shape != normalised;
    let Some(&parameter) = subject.inputs[1..].iter().find(repeats) else { return Ok(false) };
    let (op, mut inputs) = (subject.op.clone(), subject.inputs.clone());
    let expand = Op::Expand(Expand { shape: normalised });
    let wide = match graph.constant(parameter) {
        Some(tensor) => {
            let wide = expand.eval(&[tensor]);
            let wide = wide.map_err(|error| Declined::CannotEvaluate { why: error.to_string() })?;
            let name = format!("{}.wide", graph.value(parameter).name);
            let Some(wide) = wide.into_iter().next() else { return Ok(false) };
            edit::add_constant(graph, &name, wide)?
        }
        None => edit::insert_before(graph, node, expand, &[parameter])?,
    };
    for input in inputs[1..].iter_mut().filter(|input| **input == parameter) {
        *input = wide;
    }
    edit::set_op(graph, node, op, &inputs)
}

/// Gives a normalisation whose scale is 1 the constant that multiplies its result as scale.
pub(super) fn absorb_scale(graph: &mut Graph, node: NodeId, is_norm: fn(&Op) -> bool) -> Outcome {
    let Some((inner, scale)) = beside_norm(graph, node, BinaryOp::Mul, is_norm) else { return Ok(false) };
    let plain = inner.inputs.len() == 2 && uniform(graph, inner.inputs[1]) == Some(1.0);
    let Some(scale) = parameter_of(graph, inner, scale).filter(|_| plain) else { return Ok(false) };
    only_user(graph, inner.outputs[0], node)?;
    let (op, x) = (inner.op.clone(), inner.inputs[0]);
    let scale = scale.add(graph)?;
    edit::set_op(graph, node, op, &[x, scale])
}

fn layer_norm_absorbs_bias(graph: &mut Graph, node: NodeId) -> Outcome {
    let is_norm = |op: &Op| matches!(op, Op::LayerNorm(_));
    let Some((inner, bias)) = beside_norm(graph, node, BinaryOp::Add, is_norm) else { return Ok(false) };
    let has_bias = inner.inputs.len() > 2;
    let Some(bias) = parameter_of(graph, inner, bias).filter(|_| !has_bias) else { return Ok(false) };
    only_user(graph, inner.outputs[0], node)?;
    let (op, x, scale) = (inner.op.clone(), inner.inputs[0], inner.inputs[1]);
    let bias = bias.add(graph)?;
    edit::set_op(graph, node, op, &[x, scale, bias])
}

/// Ones in the shape of the axes from `axis` on, for a normalisation whose scale is yet to be found.
fn unit_scale(graph: &mut Graph, node: NodeId, x: ValueId, axis: usize) -> Result<ValueId, Declined> {
    let ty = &graph.value(x).ty;
    let Some(shape) = ty.static_shape_from(axis) else {
        return Err(Declined::FreeDim { value: graph.value(x).name.clone() });
    };
    let ones = edit::filled(ty.element, &shape, 1.0)?;
    let name = format!("{}.scale", graph.node(node).name);
    edit::add_constant(graph, &name, ones)
}
