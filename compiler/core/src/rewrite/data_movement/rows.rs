//! One row of what is made row by row: only that row is made.

use crate::rewrite::edit;
use crate::rewrite::pattern::{only_user, producer};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{Gather, MatMul};
use drift_ir::{Dim, Graph, Node, NodeId, Op, ValueId};

/// `gather(matmul x, w)   =>   matmul(gather x), w`
pub(in crate::rewrite) const GATHER_BEFORE_ROWS: Rule = Rule {
    name: "gather-before-rows",
    picture: "gather(matmul x, @w) => matmul(gather x), @w, when one row is taken, which is all that is then made; through norms of \
              rows and functions of single elements, too",
    apply: Apply::Node(at::GATHER, gather_before_rows),
};

fn gather_before_rows(graph: &mut Graph, node: NodeId) -> Outcome {
    let gather = graph.node(node);
    let Op::Gather(op) = gather.op else { return Ok(false) };
    let (made, index) = (gather.inputs[0], gather.inputs[1]);
    if !gather.epilogue.is_empty() || graph.value(index).ty.static_shape().as_deref() != Some(&[1]) {
        return Ok(false);
    }
    let Some(maker) = producer(graph, made).filter(|maker| maker.epilogue.is_empty()) else {
        return Ok(false);
    };
    let Some(at) = row_operand(graph, maker, op, graph.value(made).ty.rank()) else { return Ok(false) };
    let (maker_op, mut inputs) = (maker.op.clone(), maker.inputs.clone());
    only_user(graph, made, node)?;
    inputs[at] = edit::insert_before(graph, node, Op::Gather(op), &[inputs[at], index])?;
    edit::set_op(graph, node, maker_op, &inputs)
}

/// The operand of which a row is all that a row of the result is made of, if there is one.
fn row_operand(graph: &Graph, maker: &Node, gather: Gather, rank: usize) -> Option<usize> {
    let is_constant = |value: &ValueId| graph.constant(*value).is_some();
    let shape = |value: ValueId| &graph.value(value).ty.shape;
    match &maker.op {
        // Less than one row is not made.
        Op::MatMul(MatMul { .. }) => {
            let (a, b) = (maker.inputs[0], maker.inputs[1]);
            let rows = gather.axis + 2 == rank && shape(a).len() == rank;
            (rows && is_constant(&b) && shape(b).len() == 2).then_some(0)
        }
        Op::RmsNorm(norm) => (norm.axis > gather.axis).then_some(0),
        Op::LayerNorm(norm) => (norm.axis > gather.axis).then_some(0),
        Op::Elementwise(_) => {
            let is_one = |value: &ValueId| shape(*value).iter().all(|size| *size == Dim::Const(1));
            let whole = |value: ValueId| shape(value) == shape(maker.outputs[0]);
            let mut others =
                maker.inputs.iter().enumerate().filter(|(_, input)| !(is_constant(input) && is_one(input)));
            match (others.next(), others.next()) {
                (Some((at, &input)), None) if whole(input) => Some(at),
                _ => None,
            }
        }
        Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => None,
    }
}
