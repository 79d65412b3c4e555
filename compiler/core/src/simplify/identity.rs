//! Ops that change nothing, and pairs of data movements that are one.

use super::edit;
use super::pattern::{beside_uniform, plain_scalar_op, producer, same_type, uniform};
use super::rule::{Apply, Outcome, Rule};
use drift_ir::op::{BinaryOp, ReduceKind, Reshape, ScalarOp, Transpose, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, ValueId};

/// `x + 0, x - 0, x * 1, x / 1, x ^ 1, x and true, x or false, not not x, c ? x : x   =>   x`; floats only `x + (-0)`
pub(super) const IDENTITY_ARITHMETIC: Rule = Rule {
    name: "identity-arithmetic",
    picture: "x + 0, x - 0, x * 1, x / 1, x ^ 1, x and true, x or false, not not x, select c x x => x; the zero added to a \
              float is -0, since -0 + 0 is 0",
    apply: Apply::Node(|graph, node| forward_if(graph, node, identity_arithmetic)),
};

/// `reshape, transpose, cast, slice, expand, concat, reduce that keep all as it is   =>   x`
pub(super) const IDENTITY_MOVE: Rule = Rule {
    name: "identity-move",
    picture: "reshape to the same shape, transpose by identity, cast to the same type, slice of everything, expand to \
              the same shape, concat of one, reduction over axes of size 1 => x",
    apply: Apply::Node(|graph, node| forward_if(graph, node, identity_move)),
};

/// `select true a b   =>   a`, `select false a b   =>   b`
pub(super) const SELECT_KNOWN: Rule = Rule {
    name: "select-known",
    picture: "select true a b => a, select false a b => b",
    apply: Apply::Node(|graph, node| forward_if(graph, node, select_known)),
};

/// `reshape (reshape x)   =>   reshape x`
pub(super) const RESHAPE_RESHAPE: Rule = Rule {
    name: "reshape-reshape",
    picture: "reshape (reshape x) => reshape x",
    apply: Apply::Node(reshape_reshape),
};

/// `transpose (transpose x)   =>   transpose x`
pub(super) const TRANSPOSE_TRANSPOSE: Rule = Rule {
    name: "transpose-transpose",
    picture: "transpose (transpose x) => transpose x by the composed permutation",
    apply: Apply::Node(transpose_transpose),
};

/// `transpose x   =>   reshape x` when only axes of size 1 move
pub(super) const TRANSPOSE_TO_RESHAPE: Rule = Rule {
    name: "transpose-to-reshape",
    picture: "transpose x => reshape x, when only axes of size 1 change places",
    apply: Apply::Node(transpose_to_reshape),
};

/// `cast (cast x)   =>   cast x` when the inner cast holds every value exactly and the outer one treats both alike
pub(super) const CAST_CAST: Rule = Rule {
    name: "cast-cast",
    picture: "cast (cast x) => cast x, when the type between holds every value of x; from integer over float to integer only \
              when the last holds them, too, since floats saturate where integers wrap",
    apply: Apply::Node(cast_cast),
};

/// Forwards a node's operand to its users when `of` names one of the result's own type.
fn forward_if(graph: &mut Graph, node: NodeId, of: fn(&Graph, &Node) -> Option<ValueId>) -> Outcome {
    let subject = graph.node(node);
    if !subject.epilogue.steps.is_empty() {
        return Ok(false);
    }
    match of(graph, subject) {
        Some(value) if same_type(graph, value, subject.outputs[0]) => edit::forward(graph, node, value),
        Some(_) | None => Ok(false),
    }
}

fn identity_arithmetic(graph: &Graph, node: &Node) -> Option<ValueId> {
    // A number by its bits, so that the zeros of floats differ.
    let right = |neutral: f64| {
        let value = uniform(graph, node.inputs[1])?;
        (value.to_bits() == neutral.to_bits()).then_some(node.inputs[0])
    };
    let either = |neutral: f64| {
        let (x, value) = beside_uniform(graph, (node.inputs[0], node.inputs[1]))?;
        (value.to_bits() == neutral.to_bits()).then_some(x)
    };
    let is_float = node.inputs.iter().any(|&input| graph.value(input).ty.element.is_float());
    match plain_scalar_op(node)? {
        ScalarOp::Binary(BinaryOp::Add) => either(if is_float { -0.0 } else { 0.0 }),
        ScalarOp::Binary(BinaryOp::Or) => either(0.0),
        ScalarOp::Binary(BinaryOp::Mul | BinaryOp::And) => either(1.0),
        ScalarOp::Binary(BinaryOp::Sub) => right(0.0),
        ScalarOp::Binary(BinaryOp::Div | BinaryOp::Pow) => right(1.0),
        ScalarOp::Select => (node.inputs[1] == node.inputs[2]).then_some(node.inputs[1]),
        ScalarOp::Unary(UnaryOp::Not) => {
            let inner = producer(graph, node.inputs[0])?;
            (plain_scalar_op(inner)? == ScalarOp::Unary(UnaryOp::Not)).then(|| inner.inputs[0])
        }
        _ => None,
    }
}

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

fn select_known(graph: &Graph, node: &Node) -> Option<ValueId> {
    if plain_scalar_op(node)? != ScalarOp::Select {
        return None;
    }
    Some(if uniform(graph, node.inputs[0])? != 0.0 { node.inputs[1] } else { node.inputs[2] })
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

fn cast_cast(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    let Some(ScalarOp::Cast(to)) = plain_scalar_op(outer) else { return Ok(false) };
    let Some(inner) = producer(graph, outer.inputs[0]) else { return Ok(false) };
    let Some(ScalarOp::Cast(between)) = plain_scalar_op(inner) else { return Ok(false) };
    let x = inner.inputs[0];
    let from = graph.value(x).ty.element;
    // Numbers saturate on their way from float to integer, and wrap from integer to integer.
    let saturates = between.is_float() && !from.is_float() && to.is_integer();
    if !holds(between, from) || (saturates && !holds(to, from)) {
        return Ok(false);
    }
    edit::set_op(graph, node, Op::Elementwise(ScalarOp::Cast(to)), &[x])
}

/// Whether every value of one type is a value of the other.
fn holds(wide: ElementType, narrow: ElementType) -> bool {
    use ElementType::{Bool, F16, F32, F64, I8, I32, I64, U8};
    match narrow {
        F64 | I64 => wide == narrow,
        F32 => matches!(wide, F32 | F64),
        F16 => matches!(wide, F16 | F32 | F64),
        I32 => matches!(wide, I32 | I64 | F64),
        I8 => matches!(wide, I8 | I32 | I64 | F16 | F32 | F64),
        U8 => matches!(wide, U8 | I32 | I64 | F16 | F32 | F64),
        Bool => true,
    }
}
