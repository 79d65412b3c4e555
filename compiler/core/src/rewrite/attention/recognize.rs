//! Attention, which every exporter writes as two products around a softmax. By the time these rules see it, scale, bias and
//! mask are steps of the first product's epilogue, whatever they were before; so a few rules serve all spellings.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::epilogue::MAX_EXTRA_OPERANDS;
use crate::rewrite::pattern::{only_user, producer, producer_id, uniform};
use crate::rewrite::products::operands::repeated;
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::attention::{Band, HEADS_FIRST, HeadAxes};
use drift_ir::op::{
    Attention, Epilogue, MatMul, Operand, Reshape, ScalarOp, Softmax, StepArg, Transpose, UnaryOp,
};
use drift_ir::{Dim, ElementType, Graph, Node, NodeId, Op, ValueId};

/// `matmul(softmax(matmul(q, k)), v)   =>   attention q, k, v`
pub(in crate::rewrite) const ATTENTION: Rule = Rule {
    name: "attention",
    picture: "matmul(softmax(s(matmul(q, k))), v) => attention q, k, v with s on its scores, when nobody else reads these; \
              also with NaNs of rows without keys replaced by zeros, and of rank 3",
    apply: Apply::Node(at::MATMUL, attention),
};

/// `attention(transpose x, k, v)   =>   attention x, k, v`
pub(in crate::rewrite) const ATTENTION_ABSORBS_TRANSPOSE: Rule = Rule {
    name: "attention-absorbs-transpose",
    picture: "attention(transpose x, ..) => attention(x, ..), read where heads and rows are, when channels stay innermost \
              and nobody else reads the transpose",
    apply: Apply::Node(at::ATTENTION, absorbs_transpose),
};

/// `attention(q, repeat g k, repeat g v)   =>   attention(q, k, v)`
pub(in crate::rewrite) const ATTENTION_ABSORBS_REPEAT: Rule = Rule {
    name: "attention-absorbs-repeat",
    picture: "attention(q, k and v with each head repeated g times) => attention(q, k, v), whose heads of q share those of k \
              and v: grouped queries",
    apply: Apply::Node(at::ATTENTION, absorbs_repeat),
};

/// `transpose (attention q, k, v)   =>   attention q, k, v`
pub(in crate::rewrite) const ATTENTION_WRITES_TRANSPOSED: Rule = Rule {
    name: "attention-writes-transposed",
    picture: "transpose (attention ..) => attention .., written where heads and rows are wanted, when channels stay \
              innermost; a reshape between them that only adds or drops axes of size 1 goes too",
    apply: Apply::Node(at::TRANSPOSE, writes_transposed),
};

/// What stands before the second product.
struct Scores<'g> {
    /// The first product.
    node: &'g Node,
    /// Whether rows without keys become zeros.
    unseen_is_zero: bool,
}

/// Whether the steps behind a softmax replace the NaNs of unseen rows by zeros; `None` if they do anything else than that
/// and casts between floats.
fn replaces_nan(graph: &Graph, epilogue: &Epilogue) -> Option<bool> {
    let is_zero = |arg: StepArg| match arg {
        StepArg::Const(value) => value == 0.0,
        StepArg::Operand(at) => uniform(graph, epilogue.operands[at as usize]) == Some(0.0),
        StepArg::Result | StepArg::Step(_) => false,
    };
    let (mut current, mut replaces) = (StepArg::Result, false);
    let mut steps = (0..).zip(&epilogue.steps);
    while let Some((at, step)) = steps.next() {
        let reads_current = step.args == [current];
        current = match step.op {
            ScalarOp::Cast(ElementType::F32 | ElementType::F16) if reads_current => StepArg::Step(at),
            ScalarOp::Unary(UnaryOp::IsNan) if reads_current => {
                let (next, select) = steps.next()?;
                let [condition, zero, otherwise] = select.args[..] else { return None };
                let guards = condition == StepArg::Step(at) && is_zero(zero) && otherwise == current;
                replaces = (select.op == ScalarOp::Select && guards).then_some(true)?;
                StepArg::Step(next)
            }
            _ => return None,
        };
    }
    Some(replaces)
}

/// The scores whose softmax a product takes as its left factor. `None` where there is no such pattern.
fn scores(graph: &Graph, weights: ValueId, reader: NodeId) -> Result<Option<Scores<'_>>, Declined> {
    let pattern = || {
        let softmax_id = producer_id(graph, weights)?;
        let softmax = graph.node(softmax_id);
        let Op::Softmax(Softmax { axis }) = softmax.op else { return None };
        let rank = graph.value(weights).ty.rank();
        let unseen_is_zero = replaces_nan(graph, &softmax.epilogue).filter(|_| axis + 1 == rank)?;
        let node = graph.node(producer_id(graph, softmax.inputs[0])?);
        matches!(node.op, Op::MatMul(_)).then_some((softmax_id, Scores { node, unseen_is_zero }))
    };
    let Some((softmax, found)) = pattern() else { return Ok(None) };
    only_user(graph, weights, reader)?;
    only_user(graph, found.node.outputs[0], softmax)?;
    Ok(Some(found))
}

fn attention(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::MatMul(MatMul { transpose_b: false }) = subject.op else { return Ok(false) };
    let (weights, v) = (subject.inputs[0], subject.inputs[1]);
    let Some(Scores { node: first, unseen_is_zero }) = scores(graph, weights, node)? else {
        return Ok(false);
    };
    let Op::MatMul(MatMul { transpose_b }) = first.op else { return Ok(false) };
    let (q, k) = (first.inputs[0], first.inputs[1]);
    let [q_type, k_type, v_type] = [q, k, v].map(|value| graph.value(value).ty.clone());
    let rank = q_type.rank();
    let plain = (3..=4).contains(&rank) && k_type.rank() == rank && v_type.rank() == rank;
    let one_type = q_type.element == v_type.element && q_type.element != ElementType::F64;
    if !plain || !one_type || first.epilogue.operands.len() > MAX_EXTRA_OPERANDS {
        return Ok(false);
    }
    let k_axes: HeadAxes = if transpose_b { HEADS_FIRST } else { [0, 1, 3, 2] };
    let op =
        Attention { k: k_axes, scores: first.epilogue.steps.clone(), unseen_is_zero, ..plain_attention() };
    let operands = first.epilogue.operands.clone();
    let batched = |shape: &[Dim]| -> Vec<Dim> {
        let ones = std::iter::repeat_n(Dim::Const(1), 4 - shape.len());
        ones.chain(shape.iter().cloned()).collect()
    };
    let types: Vec<_> = [&q_type, &k_type, &v_type]
        .into_iter()
        .map(|ty| drift_ir::TensorType { element: ty.element, shape: batched(&ty.shape) })
        .collect();
    let known = types.iter().map(Operand::of_type);
    let known: Vec<Operand<'_>> =
        known.chain(operands.iter().map(|&value| Operand::of_type(&graph.value(value).ty))).collect();
    let made = Op::Attention(op.clone()).infer(&known, &graph.symbols);
    let result = graph.value(subject.outputs[0]).ty.clone();
    let wanted = batched(&result.shape);
    // A batch of k or v that repeats where it may not, and the like.
    if !made.is_ok_and(|types| types[0].shape == wanted && types[0].element == q_type.element) {
        return Ok(false);
    }
    if rank == 4 {
        let inputs = [vec![q, k, v], operands].concat();
        return edit::set_op(graph, node, Op::Attention(op), &inputs);
    }
    if !subject.epilogue.is_empty() {
        return Ok(false);
    }
    let mut inputs = Vec::new();
    for (value, ty) in [q, k, v].into_iter().zip(&types) {
        let reshape = Op::Reshape(Reshape { shape: ty.shape.clone() });
        inputs.push(edit::insert_before(graph, node, reshape, &[value])?);
    }
    inputs.extend(operands);
    let made = edit::insert_before(graph, node, Op::Attention(op), &inputs)?;
    edit::set_op(graph, node, Op::Reshape(Reshape { shape: result.shape }), &[made])
}

fn plain_attention() -> Attention {
    Attention {
        q: HEADS_FIRST,
        k: HEADS_FIRST,
        v: HEADS_FIRST,
        y: HEADS_FIRST,
        scores: Vec::new(),
        unseen_is_zero: false,
        band: Band::default(),
        has_first: false,
    }
}

/// A value that another one is a rearrangement of, with the permutation: axis `i` of the value is axis `perm[i]` of it.
struct Moved {
    source: ValueId,
    /// Axes of size 1 that the source gets before it is permuted.
    shape: Option<Vec<Dim>>,
    perm: Vec<usize>,
}

/// What `value` is a transpose of, if only `reader` reads it. A reshape behind the transpose may add or drop axes of size 1.
fn moved(graph: &Graph, value: ValueId, reader: NodeId) -> Result<Option<Moved>, Declined> {
    let Some(node) = producer(graph, value) else { return Ok(None) };
    if let Op::Transpose(Transpose { perm }) = &node.op {
        only_user(graph, value, reader)?;
        return Ok(Some(Moved { source: node.inputs[0], shape: None, perm: perm.clone() }));
    }
    let Op::Reshape(_) = node.op else { return Ok(None) };
    let (inner, inner_id) = match (producer(graph, node.inputs[0]), graph.producer(value)) {
        (Some(inner), Some(id)) => (inner, id),
        _ => return Ok(None),
    };
    let Op::Transpose(Transpose { perm }) = &inner.op else { return Ok(None) };
    let outer_shape = &graph.value(value).ty.shape;
    let inner_shape = &graph.value(node.inputs[0]).ty.shape;
    let one = Dim::Const(1);
    let without_ones = |shape: &[Dim]| shape.iter().filter(|dim| **dim != one).cloned().collect::<Vec<_>>();
    if without_ones(outer_shape) != without_ones(inner_shape) {
        return Ok(None);
    }
    only_user(graph, value, reader)?;
    only_user(graph, node.inputs[0], inner_id)?;
    // The source in the order of its own axes, without those of size 1, behind as many ones as are left over.
    let source_shape = &graph.value(inner.inputs[0]).ty.shape;
    let kept: Vec<usize> = (0..source_shape.len()).filter(|&axis| source_shape[axis] != one).collect();
    let lead = outer_shape.len() - kept.len();
    let mut shape = vec![one.clone(); lead];
    shape.extend(kept.iter().map(|&axis| source_shape[axis].clone()));
    let mut ones = 0..lead;
    let mut moving = perm.iter().filter(|axis| kept.contains(axis));
    let place = |axis: &usize| kept.iter().position(|kept| kept == axis).map(|at| lead + at);
    let composed: Option<Vec<usize>> = outer_shape
        .iter()
        .map(|dim| if *dim == one { ones.next() } else { moving.next().and_then(place) })
        .collect();
    Ok(composed.map(|perm| Moved { source: inner.inputs[0], shape: Some(shape), perm }))
}

fn absorbs_transpose(graph: &mut Graph, node: NodeId) -> Outcome {
    let Op::Attention(op) = &graph.node(node).op else { return Ok(false) };
    let mut op = op.clone();
    let mut refusal = None;
    for at in 0..3 {
        let value = graph.node(node).inputs[at];
        let Moved { source, shape, perm } = match moved(graph, value, node) {
            Ok(Some(moved)) => moved,
            Ok(None) => continue,
            Err(reason) => {
                refusal = refusal.or(Some(reason));
                continue;
            }
        };
        let axes = [&mut op.q, &mut op.k, &mut op.v].into_iter().nth(at);
        let Some(axes) = axes else { continue };
        let from: HeadAxes = axes.map(|axis| perm[axis]);
        // Channels side by side are what kernels read well.
        if from[3] != 3 {
            continue;
        }
        *axes = from;
        let source = match shape {
            Some(shape) => edit::insert_before(graph, node, Op::Reshape(Reshape { shape }), &[source])?,
            None => source,
        };
        let mut inputs = graph.node(node).inputs.clone();
        inputs[at] = source;
        return edit::set_op(graph, node, Op::Attention(op), &inputs);
    }
    refusal.map_or(Ok(false), Err)
}

fn absorbs_repeat(graph: &mut Graph, node: NodeId) -> Outcome {
    let Op::Attention(op) = &graph.node(node).op else { return Ok(false) };
    let op = op.clone();
    if op.k != HEADS_FIRST || op.v != HEADS_FIRST {
        return Ok(false);
    }
    let mut inputs = graph.node(node).inputs.clone();
    let (Some(k), Some(v)) = (repeated(graph, inputs[1]), repeated(graph, inputs[2])) else {
        return Ok(false);
    };
    // The axis that was repeated stands behind the heads.
    let heads_only = |source: ValueId| -> Vec<Dim> {
        let mut shape = graph.value(source).ty.shape.clone();
        shape.remove(shape.len() - 3);
        shape
    };
    let shapes = [heads_only(k.source), heads_only(v.source)];
    if k.times != v.times || shapes.iter().any(|shape| shape.len() != 4) {
        return Ok(false);
    }
    for ((at, source), shape) in [(1, k.source), (2, v.source)].into_iter().zip(shapes) {
        inputs[at] = edit::insert_before(graph, node, Op::Reshape(Reshape { shape }), &[source])?;
    }
    edit::set_op(graph, node, Op::Attention(op), &inputs)
}

fn writes_transposed(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Transpose(Transpose { perm }) = &subject.op else { return Ok(false) };
    let before = subject.inputs[0];
    // Reshapes that leave out a leading axis, as rank 3 asks for, and add it again.
    let (mut made, mut read) = (before, vec![(before, node)]);
    while let (Some(between), Some(id)) = (producer(graph, made), graph.producer(made)) {
        if !matches!(between.op, Op::Reshape(_)) {
            break;
        }
        made = between.inputs[0];
        read.push((made, id));
    }
    let Some(Node { op: Op::Attention(op), inputs, .. }) = producer(graph, made) else { return Ok(false) };
    if graph.value(made).ty.shape != graph.value(before).ty.shape || !subject.epilogue.is_empty() {
        return Ok(false);
    }
    let (mut op, inputs) = (op.clone(), inputs.clone());
    op.y = op.y.map(|axis| perm.iter().position(|&from| from == axis).unwrap_or(axis));
    if op.y[3] != 3 {
        return Ok(false);
    }
    for (value, reader) in read {
        only_user(graph, value, reader)?;
    }
    edit::set_op(graph, node, Op::Attention(op), &inputs)
}
