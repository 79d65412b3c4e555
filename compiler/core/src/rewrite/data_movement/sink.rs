//! Data movements that go behind other nodes, where they meet their like and leave arithmetic next to what makes its
//! operands.

use crate::rewrite::edit::{self, Wanted};
use crate::rewrite::pattern::{only_user, plain_scalar_op, producer};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{Operand, Reshape, ScalarOp, Transpose};
use drift_ir::tensor::product;
use drift_ir::{Dim, Graph, Node, NodeId, Op, Tensor, TensorType, ValueId};
use std::collections::BTreeSet;

/// `reshape (transpose (reshape x))   =>   transpose (reshape x)` when the outer reshape only splits axes
pub(in crate::rewrite) const TRANSPOSE_BETWEEN_RESHAPES: Rule = Rule {
    name: "transpose-between-reshapes",
    picture: "reshape (transpose (reshape x)) => transpose (reshape x), when the outer reshape only splits axes",
    apply: Apply::Node(at::RESHAPE, transpose_between_reshapes),
};

/// `f(transpose x, c)   =>   transpose (f(x, c'))`
pub(in crate::rewrite) const TRANSPOSE_SINKS: Rule = Rule {
    name: "transpose-sinks",
    picture: "f(transpose x, c) => transpose (f(x, c')), also f(transpose x, transpose y), when a transpose serves only f \
              and what it moves is computed, or when two vanish",
    apply: Apply::Node(at::ELEMENTWISE, transpose_sinks),
};

/// `f(reshape x, c)   =>   reshape (f(x, c))`
pub(in crate::rewrite) const RESHAPE_SINKS: Rule = Rule {
    name: "reshape-sinks",
    picture: "f(reshape x, c) => reshape (f(x, c)), when the reshape serves only f, x is computed and c repeats along \
              all axes but a last one that stays",
    apply: Apply::Node(at::ELEMENTWISE, reshape_sinks),
};

/// Runs of `fine` whose sizes multiply to those of `coarse`, in order; axes of size 1 belong to the run that follows
/// them, or to the last.
fn runs(fine: &[Dim], coarse: &[Dim]) -> Option<Vec<std::ops::Range<usize>>> {
    let mut end = 0;
    let mut runs = Vec::new();
    for size in coarse {
        let start = end;
        while product(&fine[start..end]).ok()? != *size {
            end += 1;
            if end > fine.len() {
                return None;
            }
        }
        runs.push(start..end);
    }
    if fine[end..].iter().any(|size| *size != Dim::Const(1)) {
        return None;
    }
    if let Some(last) = runs.last_mut() {
        last.end = fine.len();
    }
    Some(runs)
}

fn transpose_between_reshapes(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, shape, perm)) = match_transpose_between_reshapes(graph, graph.node(node)) else {
        return Ok(false);
    };
    let source = edit::insert_before(graph, node, Op::Reshape(Reshape { shape }), &[x])?;
    edit::set_op(graph, node, Op::Transpose(Transpose { perm }), &[source])
}

/// What is reshaped first, the shape that its axes are split into, and the permutation of these.
fn match_transpose_between_reshapes(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<Dim>, Vec<usize>)> {
    let is_reshape = |node: &&Node| matches!(node.op, Op::Reshape(_));
    let split = Some(node).filter(is_reshape).filter(|node| node.epilogue.is_empty())?;
    let moved = producer(graph, split.inputs[0])?;
    let Op::Transpose(Transpose { perm }) = &moved.op else { return None };
    let first = producer(graph, moved.inputs[0]).filter(is_reshape)?;
    let result = &graph.value(split.outputs[0]).ty.shape;
    let runs = runs(result, &graph.value(moved.outputs[0]).ty.shape)?;
    // Axis `from` of what is transposed becomes the run of result axes at `to`, in its old place.
    let mut sizes = Vec::new();
    let mut places = vec![0; result.len()];
    for from in 0..perm.len() {
        let to = perm.iter().position(|&axis| axis == from)?;
        for axis in runs[to].clone() {
            places[axis] = sizes.len();
            sizes.push(result[axis].clone());
        }
    }
    Some((first.inputs[0], sizes, places))
}

/// Whether a value is worth computing with before it is moved: nobody else reads it, and its own node does arithmetic,
/// so that it can take the rest over.
fn is_computed_for(graph: &Graph, value: ValueId, reader: NodeId) -> bool {
    let computes = graph.producer(value).is_some_and(|producer| !only_moves(&graph.node(producer).op));
    computes && only_user(graph, value, reader).is_ok()
}

/// Whether an op only moves data, or makes shapes.
fn only_moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Expand(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Gather(_)
            | Op::GatherNd(_)
            | Op::ShapeOf(_)
            | Op::Range(_)
    )
}

/// The node that moves a value, if its result serves only `reader`.
fn moved_for(graph: &Graph, value: ValueId, reader: NodeId) -> Option<&Node> {
    producer(graph, value).filter(|_| only_user(graph, value, reader).is_ok())
}

fn transpose_sinks(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Some(op) = plain_scalar_op(subject) else { return Ok(false) };
    let result = &graph.value(subject.outputs[0]).ty.shape;
    let transposed = |value: ValueId| {
        let moved = producer(graph, value)?;
        let Op::Transpose(Transpose { perm }) = &moved.op else { return None };
        (graph.value(value).ty.shape == *result).then_some((moved.inputs[0], perm))
    };
    let Some(perm) = subject.inputs.iter().find_map(|&input| Some(transposed(input)?.1)) else {
        return Ok(false);
    };
    let (mut sunk, mut computed) = (Vec::new(), false);
    let mut vanishing = BTreeSet::new();
    for &input in &subject.inputs {
        sunk.push(match (transposed(input), graph.constant(input)) {
            (Some((x, own)), _) if own == perm => {
                if only_user(graph, input, node).is_ok() {
                    vanishing.insert(input);
                    computed |= is_computed_for(graph, x, graph.producer(input).unwrap_or(node));
                }
                Wanted::Value(x)
            }
            (None, Some(tensor)) => match transposed_back(graph, input, tensor, perm) {
                Some(operand) => operand,
                None => return Ok(false),
            },
            _ => return Ok(false),
        });
    }
    // One transpose takes the place of those that vanish.
    if vanishing.len() < 2 && !computed {
        return Ok(false);
    }
    let perm = perm.clone();
    sink(graph, node, op, sunk, Op::Transpose(Transpose { perm }))
}

/// Constants are permuted here up to this size; larger ones are weights.
const MAX_PERMUTED_BYTES: usize = 1 << 16;

/// A constant that broadcasts to the transposed value, as it broadcasts to the value before.
fn transposed_back(graph: &Graph, value: ValueId, tensor: &Tensor, perm: &[usize]) -> Option<Wanted> {
    if tensor.rank() == 0 || tensor.size_bytes() > MAX_PERMUTED_BYTES as u64 {
        return (tensor.rank() == 0).then_some(Wanted::Value(value));
    }
    let mut shape = vec![1; perm.len().checked_sub(tensor.rank())?];
    shape.extend(tensor.shape());
    let padded = tensor.reshaped(shape).ok()?;
    let back: Vec<usize> =
        (0..perm.len()).map(|axis| perm.iter().position(|&from| from == axis)).collect::<Option<_>>()?;
    let moved = Op::Transpose(Transpose { perm: back }).eval(&[&padded]).ok()?.pop()?;
    let ones = moved.shape().iter().take_while(|&&size| size == 1).count();
    let moved = moved.reshaped(moved.shape()[ones..].to_vec()).ok()?;
    Some(Wanted::Constant(graph.value(value).name.clone(), moved))
}

fn reshape_sinks(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Some(op) = plain_scalar_op(subject) else { return Ok(false) };
    let result = &graph.value(subject.outputs[0]).ty.shape;
    let reshaped = |value: ValueId| {
        let moved = moved_for(graph, value, node).filter(|moved| matches!(moved.op, Op::Reshape(_)))?;
        (graph.value(value).ty.shape == *result).then_some(moved.inputs[0])
    };
    let Some(from) = subject.inputs.iter().find_map(|&input| reshaped(input)) else { return Ok(false) };
    let from = graph.value(from).ty.shape.clone();
    let last_stays = from.last().is_some() && from.last() == result.last();
    // Operands that repeat along all axes but one that stays broadcast to either shape.
    let broadcasts = |shape: &[Dim]| match shape.split_last() {
        None => true,
        Some((last, rest)) => {
            let one = Dim::Const(1);
            shape.len() <= from.len() && rest.iter().all(|size| *size == one) && (*last == one || last_stays)
        }
    };
    let (mut sunk, mut computed) = (Vec::new(), false);
    for &input in &subject.inputs {
        let shape = &graph.value(input).ty.shape;
        sunk.push(match reshaped(input) {
            Some(x) if graph.value(x).ty.shape == from => {
                computed |= is_computed_for(graph, x, graph.producer(input).unwrap_or(node));
                Wanted::Value(x)
            }
            None if broadcasts(shape) => Wanted::Value(input),
            _ => return Ok(false),
        });
    }
    if !computed {
        return Ok(false);
    }
    let shape = result.clone();
    sink(graph, node, op, sunk, Op::Reshape(Reshape { shape }))
}

/// Puts `op` before the node, which becomes `movement`, if that gives the node's result.
fn sink(graph: &mut Graph, node: NodeId, op: ScalarOp, sunk: Vec<Wanted>, movement: Op) -> Outcome {
    let op = Op::Elementwise(op);
    let types: Vec<TensorType> = sunk.iter().map(|operand| operand.ty(graph)).collect();
    let before = result_type(graph, &op, &types);
    let after = before.and_then(|ty| result_type(graph, &movement, &[ty]));
    if after.as_ref() != Some(&graph.value(graph.node(node).outputs[0]).ty) {
        return Ok(false);
    }
    let inputs = sunk.into_iter().map(|operand| operand.add(graph)).collect::<Result<Vec<_>, _>>()?;
    let before = edit::insert_before(graph, node, op, &inputs)?;
    edit::set_op(graph, node, movement, &[before])
}

fn result_type(graph: &Graph, op: &Op, operands: &[TensorType]) -> Option<TensorType> {
    let operands: Vec<Operand<'_>> = operands.iter().map(Operand::of_type).collect();
    op.infer(&operands, &graph.symbols).ok()?.pop()
}
