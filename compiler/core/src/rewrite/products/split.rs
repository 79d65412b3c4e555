//! A product that is only read in slices becomes one product for each slice: gated units and packed projections.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit::{self, Wanted};
use crate::rewrite::pattern::{binary, only_user, producer, producer_id, same_type};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, MatMul, ScalarOp, Slice};
use drift_ir::{Dim, Graph, Node, NodeId, Op, ValueId};

/// `slice (matmul(a, w) + c)   =>   matmul(a, slice w) + slice c`
pub(in crate::rewrite) const MATMUL_ABSORBS_SLICE: Rule = Rule {
    name: "matmul-absorbs-slice",
    picture: "slice (matmul(a, w) + c) => matmul(a, slice w) + slice c, when w and c are constants, only slices of the \
              last axis read the sum, and none of them overlap",
    apply: Apply::Node(at::SLICE, matmul_absorbs_slice),
};

/// A product with constant weights, and what is added to it.
struct Linear {
    matmul: NodeId,
    /// The constant, and whether it is the first operand.
    bias: Option<(ValueId, bool)>,
}

fn matmul_absorbs_slice(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Some(cut) = last_axis_cut(graph, subject).cloned() else { return Ok(false) };
    let value = subject.inputs[0];
    let Some(Linear { matmul, bias }) = linear(graph, value) else { return Ok(false) };
    if graph.is_output(value) || !is_read_in_parts(graph, value) {
        return Ok(false);
    }
    let product = graph.node(matmul);
    let (op, a, weights) = (product.op.clone(), product.inputs[0], product.inputs[1]);
    let Op::MatMul(MatMul { transpose_b }) = op else { return Ok(false) };
    // Weights that another node reads would be there twice.
    only_user(graph, weights, matmul)?;
    let columns_axis = graph.value(weights).ty.rank() - if transpose_b { 2 } else { 1 };
    let weights = part(graph, weights, columns_axis, &cut)?;
    let bias = match bias {
        Some((bias, is_first)) => {
            let shape = &graph.value(bias).ty.shape;
            let repeats = shape.last().is_none_or(|last| *last == Dim::Const(1));
            let part = if repeats { Wanted::Value(bias) } else { part(graph, bias, shape.len() - 1, &cut)? };
            Some((part, is_first))
        }
        None => None,
    };
    let weights = weights.add(graph)?;
    let Some((bias, is_first)) = bias else { return edit::set_op(graph, node, op, &[a, weights]) };
    let bias = bias.add(graph)?;
    let product = edit::insert_before(graph, node, op, &[a, weights])?;
    let inputs = if is_first { [bias, product] } else { [product, bias] };
    edit::set_op(graph, node, Op::Elementwise(ScalarOp::Binary(BinaryOp::Add)), &inputs)
}

/// The cut of a slice that takes neighbours along the last axis and all of every other.
fn last_axis_cut<'g>(graph: &Graph, node: &'g Node) -> Option<&'g SliceAxis> {
    let Op::Slice(Slice { axes }) = &node.op else { return None };
    let [cut] = axes.as_slice() else { return None };
    let is_last = cut.axis + 1 == graph.value(node.inputs[0]).ty.rank();
    (is_last && cut.step == 1 && cut.count.as_const().is_some() && node.epilogue.is_empty()).then_some(cut)
}

/// Matches `matmul(a, w)` and `matmul(a, w) + c` with constants w and c.
fn linear(graph: &Graph, value: ValueId) -> Option<Linear> {
    let is_linear = |value: ValueId| {
        let matmul = producer_id(graph, value)?;
        let node = producer(graph, value).filter(|node| matches!(node.op, Op::MatMul(_)))?;
        graph.constant(node.inputs[1]).map(|_| matmul)
    };
    if let Some(matmul) = is_linear(value) {
        return Some(Linear { matmul, bias: None });
    }
    let sum = producer_id(graph, value)?;
    let (a, b) = binary(graph.node(sum), BinaryOp::Add)?;
    [(a, b, false), (b, a, true)].into_iter().find_map(|(product, bias, is_first)| {
        graph.constant(bias)?;
        let matmul = is_linear(product).filter(|_| same_type(graph, product, value))?;
        only_user(graph, product, sum).ok()?;
        Some(Linear { matmul, bias: Some((bias, is_first)) })
    })
}

/// Whether every reader is a slice of the last axis, and none takes what another takes.
fn is_read_in_parts(graph: &Graph, value: ValueId) -> bool {
    let ranges = graph.readers(value).map(|reader| {
        let cut = last_axis_cut(graph, graph.node(reader))?;
        Some((cut.start, cut.start.checked_add(cut.count.as_const()?)?))
    });
    let Some(mut ranges) = ranges.collect::<Option<Vec<(u64, u64)>>>() else { return false };
    ranges.sort_unstable();
    ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

/// The part of a constant that a cut of another axis takes.
fn part(graph: &Graph, value: ValueId, axis: usize, cut: &SliceAxis) -> Result<Wanted, Declined> {
    let slice = Op::Slice(Slice { axes: vec![SliceAxis { axis, ..cut.clone() }] });
    let operands: Vec<_> = graph.constant(value).into_iter().collect();
    let parts = slice.eval(&operands).map_err(|error| Declined::CannotEvaluate { why: error.to_string() })?;
    let name = format!("{}.{}", graph.value(value).name, cut.start);
    let tensor = parts.into_iter().next().unwrap_or_else(|| unreachable!("a slice has one result"));
    Ok(Wanted::Constant(name, tensor))
}
