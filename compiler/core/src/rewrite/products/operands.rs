//! What a matrix product takes over from the nodes that make its operands.

use crate::rewrite::edit;
use crate::rewrite::pattern::{
    beside_uniform, only_user, plain_scalar_op, producer, producer_id, same_type, uniform,
};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{
    BinaryOp, Epilogue, Expand, MatMul, Operand, Reshape, ScalarOp, Step, StepArg, Transpose,
};
use drift_ir::{Dim, ElementType, Graph, Node, NodeId, Op, ValueId};

/// `matmul(a, transpose b)   =>   matmul(a, b')` where the innermost axis of b stays innermost
pub(in crate::rewrite) const MATMUL_ABSORBS_TRANSPOSE: Rule = Rule {
    name: "matmul-absorbs-transpose",
    picture: "matmul(a, transpose b) => matmul(a, b) read as [.., n, k], when the last two axes are swapped; other axes \
              that change places stay a transpose, which then keeps the innermost axis",
    apply: Apply::Node(at::MATMUL, matmul_absorbs_transpose),
};

/// `matmul(a * s, b * t)   =>   matmul(a, b) * s t`
pub(in crate::rewrite) const MATMUL_HOISTS_SCALE: Rule = Rule {
    name: "matmul-hoists-scale",
    picture: "matmul(a * s, b * t) => matmul(a, b) with epilogue * s t, also / s, when s and t are constants of one value",
    apply: Apply::Node(at::MATMUL, matmul_hoists_scale),
};

/// `matmul(a, expand b)   =>   matmul(a, b)` when only batch axes repeat and the result keeps its shape
pub(in crate::rewrite) const MATMUL_ABSORBS_EXPAND: Rule = Rule {
    name: "matmul-absorbs-expand",
    picture: "matmul(a, expand b) => matmul(a, b), when only batch axes repeat and the result keeps its shape",
    apply: Apply::Node(at::MATMUL, matmul_absorbs_expand),
};

/// `matmul(a[h g, 1, k], repeat g b[h, ..])   =>   matmul(a[h, g, k], b[h, ..])`
pub(in crate::rewrite) const MATMUL_ABSORBS_REPEAT: Rule = Rule {
    name: "matmul-absorbs-repeat",
    picture: "matmul(a, b with each head repeated g times) => matmul(a with its g heads as rows, b), when a has one row \
              a head: grouped queries of a decoder",
    apply: Apply::Node(at::MATMUL, matmul_absorbs_repeat),
};

fn matmul_absorbs_transpose(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::MatMul(MatMul { transpose_b }) = subject.op else { return Ok(false) };
    let (a, b) = (subject.inputs[0], subject.inputs[1]);
    let Some(moved) = producer(graph, b) else { return Ok(false) };
    let Op::Transpose(Transpose { perm }) = &moved.op else { return Ok(false) };
    let Some(outer) = perm.len().checked_sub(2) else { return Ok(false) };
    if perm[outer] != outer + 1 {
        return Ok(false);
    }
    let mut rest = perm.clone();
    rest.swap(outer, outer + 1);
    let mut source = moved.inputs[0];
    if !rest.is_sorted() {
        only_user(graph, b, node)?;
        source = edit::insert_before(graph, node, Op::Transpose(Transpose { perm: rest }), &[source])?;
    }
    edit::set_op(graph, node, Op::MatMul(MatMul { transpose_b: !transpose_b }), &[a, source])
}

/// `x` and the factor, if a value is `x * c` or `x / c` and nobody else reads it.
fn scaled(graph: &Graph, value: ValueId, reader: NodeId) -> Option<(ValueId, f64)> {
    let node = producer(graph, value)?;
    let (x, factor) = match plain_scalar_op(node)? {
        ScalarOp::Binary(BinaryOp::Mul) => beside_uniform(graph, (node.inputs[0], node.inputs[1]))?,
        ScalarOp::Binary(BinaryOp::Div) => (node.inputs[0], 1.0 / uniform(graph, node.inputs[1])?),
        _ => return None,
    };
    let wanted = graph.constant(x).is_none() && same_type(graph, x, value);
    (wanted && graph.value(x).ty.element.is_float() && only_user(graph, value, reader).is_ok())
        .then_some((x, factor))
}

/// Scales that a product is multiplied by instead of its operands. With others, sums might overflow or vanish before
/// they are scaled.
const HOISTED: std::ops::RangeInclusive<f64> = 1.0 / 16_777_216.0..=16_777_216.0;

/// The product is scaled before it is rounded to its type, so that f16 does not overflow in between.
fn matmul_hoists_scale(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::MatMul(op) = subject.op else { return Ok(false) };
    let mut factor = match subject.epilogue.steps.as_slice() {
        [] => 1.0,
        // What an earlier application left.
        [Step { op: ScalarOp::Binary(BinaryOp::Mul), args }] => match args.as_slice() {
            [StepArg::Result, StepArg::Const(factor)] => *factor,
            _ => return Ok(false),
        },
        _ => return Ok(false),
    };
    let mut inputs = subject.inputs.clone();
    for input in &mut inputs {
        let fits = |scale: f64| HOISTED.contains(&scale.abs()) && HOISTED.contains(&(factor * scale).abs());
        if let Some((x, scale)) = scaled(graph, *input, node).filter(|&(_, scale)| fits(scale)) {
            *input = x;
            factor *= scale;
        }
    }
    if inputs == subject.inputs {
        return Ok(false);
    }
    if graph.value(subject.outputs[0]).ty.element != ElementType::F64 {
        factor = f64::from(factor as f32);
    }
    let args = vec![StepArg::Result, StepArg::Const(factor)];
    let step = Step { op: ScalarOp::Binary(BinaryOp::Mul), args };
    let epilogue = Epilogue { steps: vec![step], operands: Vec::new() };
    edit::set_node(graph, node, Op::MatMul(op), &inputs, epilogue)
}

fn matmul_absorbs_expand(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::MatMul(op) = subject.op else { return Ok(false) };
    let result = &graph.value(subject.outputs[0]).ty.shape;
    for at in 0..2 {
        let Some(expand) = producer(graph, subject.inputs[at]) else { continue };
        if !keeps_matrices(graph, expand) {
            continue;
        }
        let mut inputs = subject.inputs.clone();
        inputs[at] = expand.inputs.first().copied().unwrap_or(inputs[at]);
        let operands: Vec<Operand<'_>> =
            inputs.iter().map(|&input| Operand::of_type(&graph.value(input).ty)).collect();
        let keeps_shape =
            Op::MatMul(op).infer(&operands, &graph.symbols).is_ok_and(|types| types[0].shape == *result);
        if matches!(expand.op, Op::Expand(_)) && keeps_shape {
            return edit::set_op(graph, node, Op::MatMul(op), &inputs);
        }
    }
    Ok(false)
}

/// Whether a broadcast leaves the last two axes as they are. Inference cannot tell for inner sizes that are free dims: one of
/// them may be 1, for all that it knows.
fn keeps_matrices(graph: &Graph, expand: &Node) -> bool {
    let last_two = |value: ValueId| {
        let shape = &graph.value(value).ty.shape;
        shape.len().checked_sub(2).map(|outer| &shape[outer..])
    };
    let Some(&narrow) = expand.inputs.first() else { return false };
    last_two(narrow).is_some() && last_two(narrow) == last_two(expand.outputs[0])
}

/// A value whose heads are repeated: what it is made from, `[.., heads, rows, columns]`.
pub(crate) struct Repeated {
    pub(crate) source: ValueId,
    heads: Dim,
    pub(crate) times: Dim,
}

/// Matches `reshape (expand x)` with x `[.., h, 1, t, d]`, expanded to `[.., h, g, t, d]` and merged to `[.., h g, t, d]`.
pub(crate) fn repeated(graph: &Graph, value: ValueId) -> Option<Repeated> {
    let merged = producer(graph, value).filter(|node| matches!(node.op, Op::Reshape(_)))?;
    let expand = producer(graph, merged.inputs[0])?;
    let Op::Expand(Expand { shape: wide }) = &expand.op else { return None };
    let narrow = &graph.value(expand.inputs[0]).ty.shape;
    let result = &graph.value(value).ty.shape;
    let repeat = wide.len().checked_sub(3)?;
    let heads_axis = repeat.checked_sub(1)?;
    let outer_agrees = result.len() + 1 == wide.len() && result[..heads_axis] == wide[..heads_axis];
    let inner_agrees = result.get(heads_axis + 1..)? == &wide[repeat + 1..];
    let only_repeats = narrow.len() == wide.len()
        && narrow[repeat] == Dim::Const(1)
        && (0..wide.len()).all(|axis| axis == repeat || narrow[axis] == wide[axis]);
    (outer_agrees && inner_agrees && only_repeats).then(|| Repeated {
        source: expand.inputs[0],
        heads: wide[heads_axis].clone(),
        times: wide[repeat].clone(),
    })
}

fn matmul_absorbs_repeat(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::MatMul(op) = subject.op else { return Ok(false) };
    if !subject.epilogue.operands.is_empty() {
        return Ok(false);
    }
    let a = subject.inputs[0];
    let Some(Repeated { source, heads, times }) = repeated(graph, subject.inputs[1]) else {
        return Ok(false);
    };
    let rows = graph.value(a).ty.shape.clone();
    let result = graph.value(subject.outputs[0]).ty.shape.clone();
    let narrow = graph.value(source).ty.shape.clone();
    let axis = narrow.len() - 4;
    // More rows would be between the heads of a group, and what follows could not broadcast over them any more.
    if rows.len() != narrow.len() - 1 || rows[..axis] != narrow[..axis] || rows[axis + 1] != Dim::Const(1) {
        return Ok(false);
    }
    let grouped = rows[..axis].iter().cloned().chain([heads, times, rows[axis + 2].clone()]).collect();
    let heads_only: Vec<Dim> =
        narrow.iter().enumerate().filter(|&(at, _)| at != axis + 1).map(|(_, dim)| dim.clone()).collect();
    let reshape = |shape: Vec<Dim>| Op::Reshape(Reshape { shape });
    let epilogue = subject.epilogue.clone();
    let a = edit::insert_before(graph, node, reshape(grouped), &[a])?;
    let b = edit::insert_before(graph, node, reshape(heads_only), &[source])?;
    let product = edit::insert_before(graph, node, Op::MatMul(op), &[a, b])?;
    if let Some(product) = producer_id(graph, product) {
        graph.set_epilogue(product, epilogue)?;
    }
    edit::set_node(graph, node, reshape(result), &[product], Epilogue::default())
}
