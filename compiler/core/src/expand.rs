//! Writes attention as the ops that it stands for, where a kernel without a matrix of scores would be slower on a profile,
//! or where none serves. What is left as one node gets such a kernel in `select`. Walks along rows that are too long for one
//! workgroup become ops over parts of the row ([`long()`]).

mod long;

pub use long::{LONG, long};

use crate::layout::{Precision, device_element};
use crate::profile::Profile;
use crate::select::attention::{Plan, Work, plan};
use drift_ir::graph::EditError;
use drift_ir::op::InferError;
use drift_ir::op::attention::{Band, HEADS_FIRST, HeadAxes};
use drift_ir::op::{
    Attention, Epilogue, Expand, MatMul, Reshape, ScalarOp, Softmax, Step, StepArg, Transpose, UnaryOp,
};
use drift_ir::{Dim, Graph, NodeId, Op, Tensor, ValueId};

/// Name of this pass for `--disable`: then whatever has a kernel keeps it.
pub const NAME: &str = "attention-decomposed";

/// Why a node cannot be written as the ops that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// Places of queries and keys are constants, so their numbers have to be known.
    #[error("`{value}` has a free dim; pass --dim NAME=SIZE")]
    FreeDim {
        /// The scores.
        value: String,
    },
    /// An edit that the graph refuses.
    #[error("the graph refuses the rewrite: {0}")]
    Refused(#[from] EditError),
}

impl From<InferError> for ExpandError {
    fn from(error: InferError) -> Self {
        Self::Refused(error.into())
    }
}

/// What was decided for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The node.
    pub node: String,
    /// In words.
    pub outcome: String,
}

/// Expands what should be. With `keep`, only what has no kernel. What the graph refuses stays as it is.
pub fn attention(
    graph: &mut Graph,
    profile: &Profile,
    precision: Option<Precision>,
    keep: bool,
) -> Vec<Decision> {
    let nodes: Vec<NodeId> =
        graph.nodes().filter(|&id| matches!(graph.node(id).op, Op::Attention(_))).collect();
    let mut decisions = Vec::new();
    for id in nodes {
        let Some(plan) = estimates(graph, id, profile, precision) else { continue };
        let stays = plan.fused().is_some() && (keep || plan.is_fused_faster());
        let node = graph.node(id).name.clone();
        if !stays {
            let end = graph.node_capacity();
            let outcome = match write_out(graph, id) {
                Ok(()) => {
                    let reason = if plan.fused().is_some() { plan.explain() } else { plan.why_not_fused() };
                    format!("{}: applied: {reason}", profile.name)
                }
                Err(reason) => {
                    graph.remove_unread_from(end);
                    format!("{}: declined: {reason}", profile.name)
                }
            };
            decisions.push(Decision { node, outcome });
        }
    }
    decisions
}

/// Writes out every attention, for tests; gives their number.
#[cfg(test)]
pub(crate) fn write_out_all(graph: &mut Graph) -> Result<usize, ExpandError> {
    let nodes: Vec<NodeId> =
        graph.nodes().filter(|&id| matches!(graph.node(id).op, Op::Attention(_))).collect();
    nodes.iter().try_for_each(|&id| write_out(graph, id))?;
    Ok(nodes.len())
}

/// The estimates for a node whose sizes are known.
fn estimates(graph: &Graph, id: NodeId, profile: &Profile, precision: Option<Precision>) -> Option<Plan> {
    let node = graph.node(id);
    let Op::Attention(op) = &node.op else { return None };
    let shape = |at: usize| graph.value(node.inputs[at]).ty.static_shape();
    let element = device_element(graph.value(node.inputs[0]).ty.element, precision)?;
    Some(plan(&Work::new(node, op, &op.sizes(&shape(0)?, &shape(1)?, &shape(2)?), element), profile))
}

/// Adds a node before `anchor` for the same nodes of the model.
fn insert(
    graph: &mut Graph,
    anchor: NodeId,
    what: &str,
    op: Op,
    inputs: &[ValueId],
) -> Result<ValueId, ExpandError> {
    let node = graph.node(anchor);
    let origins = node.origins.clone();
    let name = graph.unique_name(&format!("{}.{what}", graph.value(node.outputs[0]).name));
    let inserted = graph.insert_node_before(anchor, name.clone(), op, inputs, [name])?;
    graph.set_origins(inserted, origins);
    Ok(graph.node(inserted).outputs[0])
}

fn write_out(graph: &mut Graph, id: NodeId) -> Result<(), ExpandError> {
    let Op::Attention(op) = graph.node(id).op.clone() else { return Ok(()) };
    let inputs = graph.node(id).inputs.clone();
    let result = graph.value(graph.node(id).outputs[0]).ty.clone();
    let q = moved(graph, id, "queries", inputs[0], op.q)?;
    // Keys whose channels do not lie side by side are the right factor as they are.
    let transpose_b = op.k[3] > op.k[2];
    let k_axes = if transpose_b { op.k } else { [op.k[0], op.k[1], op.k[3], op.k[2]] };
    let k = moved(graph, id, "keys", inputs[1], k_axes)?;
    let v = moved(graph, id, "values", inputs[2], op.v)?;
    let heads = graph.value(q).ty.shape[1].clone();
    let k = repeated(graph, id, "keys", k, &heads)?;
    let v = repeated(graph, id, "values", v, &heads)?;
    let scores = insert(graph, id, "scores", Op::MatMul(MatMul { transpose_b }), &[q, k])?;
    let given = Epilogue { steps: op.scores.clone(), operands: inputs[3..].to_vec() };
    if let Some(node) = graph.producer(scores) {
        graph.set_epilogue(node, given.clone())?;
        let epilogue = with_band(graph, given, &op.band, scores)?;
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
) -> Result<ValueId, ExpandError> {
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
) -> Result<ValueId, ExpandError> {
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
    band: &Band,
    scores: ValueId,
) -> Result<Epilogue, ExpandError> {
    if band.is_open() {
        return Ok(made);
    }
    let scores_value = graph.value(scores);
    let Some(&[.., queries, keys]) = scores_value.ty.static_shape().as_deref() else {
        return Err(ExpandError::FreeDim { value: scores_value.name.clone() });
    };
    let Ok(places) = Band::operands(queries, keys) else {
        unreachable!("a model's sizes are less than 2^31")
    };
    let first = made.operands.len() as u32;
    for (what, tensor) in ["place_of_key", "place_of_query"].into_iter().zip(places) {
        let name = graph.unique_name(&format!("{}.{what}", graph.value(scores).name));
        made.operands.push(graph.add_constant(name, tensor)?);
    }
    // A query without keys is told by its infinities; where all have some, a low number serves, which is part of the shader.
    let hidden = match (0..queries).all(|query| !band.seen(query, keys).is_empty()) {
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
    made.steps = band.steps(made.clone(), [first, first + 1], hidden);
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
