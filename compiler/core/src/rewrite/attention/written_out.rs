//! Writes attention as the ops that it stands for, where a kernel without a matrix of scores would be slower on a device, or where
//! none serves. What is left as one node gets such a kernel in `select`.

use crate::estimate::attention::Plan;
use crate::rewrite::declined::Declined;
use crate::rewrite::edit::insert_named as insert;
use crate::rewrite::rule::{Apply, Device, DeviceOutcome, Rule, at};
use drift_ir::op::attention::{Band, HEADS_FIRST, HeadAxes};
use drift_ir::op::{
    Attention, BinaryOp, Epilogue, Expand, MatMul, Reshape, ScalarOp, Softmax, Step, StepArg, Transpose,
    UnaryOp,
};
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, Tensor, ValueId};

/// `attention q, k, v   =>   matmul(softmax(matmul(q, k)), v)` where no kernel serves
pub(in crate::rewrite) const ATTENTION_WITHOUT_KERNEL: Rule = Rule {
    name: "attention-without-kernel",
    picture: "attention q, k, v => matmul(softmax(matmul(q, k)), v), when no kernel without a matrix of scores serves",
    apply: Apply::Device(at::ATTENTION, without_kernel),
};

/// `attention q, k, v   =>   matmul(softmax(matmul(q, k)), v)` where that is estimated to be faster
pub(in crate::rewrite) const ATTENTION_DECOMPOSED: Rule = Rule {
    name: "attention-decomposed",
    picture: "attention q, k, v => matmul(softmax(matmul(q, k)), v), when that is estimated to be faster than any kernel \
              without a matrix of scores",
    apply: Apply::Device(at::ATTENTION, decomposed),
};

fn without_kernel(graph: &mut Graph, node: NodeId, device: &Device<'_>) -> DeviceOutcome {
    let plan = device.decisions.attention(node).filter(|plan| plan.fused().is_none());
    let Some(plan) = plan else { return Ok(None) };
    write_out(graph, node)?;
    Ok(Some(plan.why_not_fused()))
}

fn decomposed(graph: &mut Graph, node: NodeId, device: &Device<'_>) -> DeviceOutcome {
    let slower = |plan: &&Plan| plan.fused().is_some() && !plan.is_fused_faster();
    let Some(plan) = device.decisions.attention(node).filter(slower) else { return Ok(None) };
    write_out(graph, node)?;
    Ok(Some(plan.explain()))
}

/// Writes out every attention, for tests; gives their number.
#[cfg(test)]
pub(crate) fn write_out_all(graph: &mut Graph) -> Result<usize, Declined> {
    let nodes: Vec<NodeId> =
        graph.nodes().filter(|&id| matches!(graph.node(id).op, Op::Attention(_))).collect();
    nodes.iter().try_for_each(|&id| write_out(graph, id))?;
    Ok(nodes.len())
}

fn write_out(graph: &mut Graph, id: NodeId) -> Result<(), Declined> {
    let Op::Attention(op) = graph.node(id).op.clone() else { return Ok(()) };
    let inputs = graph.node(id).inputs.clone();
    let result = graph.value(graph.node(id).outputs[0]).ty.clone();
    let q = moved(graph, id, "queries", inputs[0], op.q)?;
    // Keys whose channels are not side by side are the right factor as they are.
    let transpose_b = op.k[3] > op.k[2];
    let k_axes = if transpose_b { op.k } else { [op.k[0], op.k[1], op.k[3], op.k[2]] };
    let k = moved(graph, id, "keys", inputs[1], k_axes)?;
    let v = moved(graph, id, "values", inputs[2], op.v)?;
    let heads = graph.value(q).ty.shape[1].clone();
    let k = repeated(graph, id, "keys", k, &heads)?;
    let v = repeated(graph, id, "values", v, &heads)?;
    let scores = insert(graph, id, "scores", Op::MatMul(MatMul { transpose_b }), &[q, k])?;
    let operands = op.read_by_scores(&inputs[3..]).to_vec();
    let given = Epilogue { steps: op.scores.clone(), operands };
    let first = inputs.last().copied().filter(|_| op.has_first);
    if let Some(node) = graph.producer(scores) {
        graph.set_epilogue(node, given.clone())?;
        let epilogue = with_band(graph, given, (&op.band, first), scores)?;
        graph.set_epilogue(node, epilogue)?;
    }
    let weights = insert(graph, id, "weights", Op::Softmax(Softmax { axis: 3 }), &[scores])?;
    if let Some(node) = graph.producer(weights) {
        graph.set_epilogue(node, weight_steps(graph, &op, weights, inputs[0]))?;
    }
    let product = Op::MatMul(MatMul { transpose_b: false });
    if op.y == HEADS_FIRST {
        return Ok(graph.set_op_and_inputs(id, product, &[weights, v])?);
    }
    let made = insert(graph, id, "heads", product, &[weights, v])?;
    let mut perm = vec![0; 4];
    for (from, &to) in op.y.iter().enumerate() {
        perm[to] = from;
    }
    debug_assert_eq!(graph.value(made).ty.element, result.element);
    Ok(graph.set_op_and_inputs(id, Op::Transpose(Transpose { perm }), &[made])?)
}

/// `value` with its axes in the order batch, heads, rows, channels.
fn moved(
    graph: &mut Graph,
    anchor: NodeId,
    what: &str,
    value: ValueId,
    axes: HeadAxes,
) -> Result<ValueId, Declined> {
    if axes == HEADS_FIRST {
        return Ok(value);
    }
    insert(graph, anchor, what, Op::Transpose(Transpose { perm: axes.to_vec() }), &[value])
}

/// `value` with each of its heads repeated, so that it has `heads`; one head repeats by itself.
fn repeated(
    graph: &mut Graph,
    anchor: NodeId,
    what: &str,
    value: ValueId,
    heads: &Dim,
) -> Result<ValueId, Declined> {
    let shape = graph.value(value).ty.shape.clone();
    let (Dim::Const(wanted), Dim::Const(own)) = (heads, &shape[1]) else { return Ok(value) };
    if wanted == own || *own == 1 {
        return Ok(value);
    }
    let with = |times: u64| {
        let mut wide = shape.clone();
        wide.insert(2, Dim::Const(times));
        wide
    };
    let single = insert(graph, anchor, what, Op::Reshape(Reshape { shape: with(1) }), &[value])?;
    let wide = insert(graph, anchor, what, Op::Expand(Expand { shape: with(wanted / own) }), &[single])?;
    let mut shape = shape;
    shape[1] = heads.clone();
    insert(graph, anchor, what, Op::Reshape(Reshape { shape }), &[wide])
}

/// The steps on the scores, then the band.
fn with_band(
    graph: &mut Graph,
    mut made: Epilogue,
    (band, first_place): (&Band, Option<ValueId>),
    scores: ValueId,
) -> Result<Epilogue, Declined> {
    if band.is_open() {
        return Ok(made);
    }
    let scores_value = graph.value(scores);
    let Some(&[.., queries, keys]) = scores_value.ty.static_shape().as_deref() else {
        return Err(Declined::FreeDim { value: scores_value.name.clone() });
    };
    let Ok(places) = Band::operands(queries, keys) else {
        unreachable!("a model's sizes are less than 2^31")
    };
    let first = made.operands.len() as u32;
    for (what, tensor) in ["place_of_key", "place_of_query"].into_iter().zip(places) {
        let name = graph.unique_name(&format!("{}.{what}", graph.value(scores).name));
        made.operands.push(graph.add_constant(name, tensor)?);
    }
    if let Some(first_place) = first_place {
        let queries = &mut made.operands[first as usize + 1];
        let anchor = graph.producer(scores).unwrap_or_else(|| unreachable!("a product makes the scores"));
        let place = insert(
            graph,
            anchor,
            "first",
            Op::Elementwise(ScalarOp::Cast(ElementType::I32)),
            &[first_place],
        )?;
        let add = Op::Elementwise(ScalarOp::Binary(BinaryOp::Add));
        *queries = insert(graph, anchor, "place_of_query", add, &[*queries, place])?;
    }
    // A query without keys is told by its infinities; where all have some, a low number serves, which is part of the shader.
    let all_see = first_place.is_none() && (0..queries).all(|query| !band.seen(query, keys).is_empty());
    let masked = match all_see {
        true => StepArg::Const(f64::from(f32::MIN)),
        false => {
            let name = graph.unique_name(&format!("{}.hidden", graph.value(scores).name));
            let element = graph.value(scores).ty.element;
            let Ok(low) = Tensor::from_f64_as(element, [], &[f64::NEG_INFINITY]) else {
                unreachable!("inferred: scores are floats")
            };
            made.operands.push(graph.add_constant(name, low)?);
            StepArg::Operand(first + 2)
        }
    };
    made.steps = band.steps(made.clone(), [first, first + 1], masked);
    Ok(made)
}

/// What happens to the softmax: zeros for queries that see nothing, and the type of the values.
fn weight_steps(graph: &Graph, op: &Attention, weights: ValueId, q: ValueId) -> Epilogue {
    let mut steps = Vec::new();
    if op.unseen_is_zero {
        steps.push(Step { op: ScalarOp::Unary(UnaryOp::IsNan), args: vec![StepArg::Result] });
        let args = vec![StepArg::Step(0), StepArg::Const(0.0), StepArg::Result];
        steps.push(Step { op: ScalarOp::Select, args });
    }
    let element = graph.value(q).ty.element;
    if graph.value(weights).ty.element != element {
        let epilogue = Epilogue { steps: steps.clone(), operands: Vec::new() };
        steps.push(Step { op: ScalarOp::Cast(element), args: vec![epilogue.current()] });
    }
    Epilogue { steps, operands: Vec::new() }
}
