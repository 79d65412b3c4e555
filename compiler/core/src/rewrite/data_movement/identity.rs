//! Data movements that change nothing, and pairs of them that are one.

use crate::rewrite::edit::{self, forward_if};
use crate::rewrite::pattern::producer;
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{ReduceKind, Reshape, ScalarOp, Transpose};
use drift_ir::{Graph, Node, NodeId, Op, ValueId};

/// `reshape, transpose, cast, slice, expand, concat, reduce that keep all as it is   =>   x`
pub(in crate::rewrite) const IDENTITY_MOVE: Rule = Rule {
    name: "identity-move",
    picture: "reshape to the same shape, transpose by identity, cast to the same type, slice of everything, expand to \
              the same shape, concat of one, reduction over axes of size 1 => x",
    apply: Apply::Node(at::ANY, |graph, node| forward_if(graph, node, identity_move)),
};

/// `reshape (reshape x)   =>   reshape x`
pub(in crate::rewrite) const RESHAPE_RESHAPE: Rule = Rule {
    name: "reshape-reshape",
    picture: "reshape (reshape x) => reshape x",
    apply: Apply::Node(at::RESHAPE, reshape_reshape),
};

/// `transpose (transpose x)   =>   transpose x`
pub(in crate::rewrite) const TRANSPOSE_TRANSPOSE: Rule = Rule {
    name: "transpose-transpose",
    picture: "transpose (transpose x) => transpose x by the composed permutation",
    apply: Apply::Node(at::TRANSPOSE, transpose_transpose),
};

/// `transpose x   =>   reshape x` when only axes of size 1 move
pub(in crate::rewrite) const TRANSPOSE_TO_RESHAPE: Rule = Rule {
    name: "transpose-to-reshape",
    picture: "transpose x => reshape x, when only axes of size 1 change places",
    apply: Apply::Node(at::TRANSPOSE, transpose_to_reshape),
};

fn identity_move(graph: &Graph, node: &Node) -> Option<ValueId> {
    let input = *node.inputs.first()?;
    let same_as_input = match &node.op {
        Op::Reshape(_) | Op::Expand(_) | Op::Elementwise(ScalarOp::Cast(_)) => true,
        Op::Concat(_) => node.inputs.len() == 1,
        // A negative step over everything reverses.
        Op::Slice(slice) => slice.axes.iter().all(|axis| axis.step > 0),
        Op::Transpose(transpose) => transpose.perm.iter().copied().eq(0..transpose.perm.len()),
        Op::Reduce(reduce) => {
            reduce.kind != ReduceKind::L2 && {
                let shape = &graph.value(input).ty.shape;
                reduce.axes.iter().all(|&axis| shape[axis] == drift_ir::Dim::Const(1))
            }
        }
        _ => false,
    };
    same_as_input.then_some(input)
}

fn reshape_reshape(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    let Op::Reshape(Reshape { shape }) = &outer.op else { return Ok(false) };
    let Some(inner) = producer(graph, outer.inputs[0]) else { return Ok(false) };
    if !matches!(inner.op, Op::Reshape(_)) {
        return Ok(false);
    }
    let (op, x) = (Op::Reshape(Reshape { shape: shape.clone() }), inner.inputs[0]);
    edit::set_op(graph, node, op, &[x])
}

fn transpose_transpose(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    let Op::Transpose(Transpose { perm: outer_perm }) = &outer.op else { return Ok(false) };
    let Some(inner) = producer(graph, outer.inputs[0]) else { return Ok(false) };
    let Op::Transpose(Transpose { perm: inner_perm }) = &inner.op else { return Ok(false) };
    let perm = outer_perm.iter().map(|&axis| inner_perm[axis]).collect();
    let x = inner.inputs[0];
    edit::set_op(graph, node, Op::Transpose(Transpose { perm }), &[x])
}

fn transpose_to_reshape(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Transpose(Transpose { perm }) = &subject.op else { return Ok(false) };
    let input = &graph.value(subject.inputs[0]).ty.shape;
    let long_axes: Vec<usize> =
        perm.iter().copied().filter(|&axis| input[axis] != drift_ir::Dim::Const(1)).collect();
    if perm.is_empty() || !long_axes.is_sorted() {
        return Ok(false);
    }
    let shape = perm.iter().map(|&axis| input[axis].clone()).collect();
    let x = subject.inputs[0];
    edit::set_op(graph, node, Op::Reshape(Reshape { shape }), &[x])
}
