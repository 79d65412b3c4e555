//! Arithmetic that changes nothing, and casts that are one.

use crate::rewrite::edit::{self, forward_if};
use crate::rewrite::pattern::{beside_uniform, plain_scalar_op, producer, uniform};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, ValueId};

/// `x + 0, x - 0, x * 1, x / 1, x ^ 1, x and true, x or false, not not x, c ? x : x   =>   x`; floats only `x + (-0)`
pub(in crate::rewrite) const IDENTITY_ARITHMETIC: Rule = Rule {
    name: "identity-arithmetic",
    picture: "x + 0, x - 0, x * 1, x / 1, x ^ 1, x and true, x or false, not not x, select c x x => x; the zero added to a \
              float is -0, since -0 + 0 is 0",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| forward_if(graph, node, identity_arithmetic)),
};

/// `select true a b   =>   a`, `select false a b   =>   b`
pub(in crate::rewrite) const SELECT_KNOWN: Rule = Rule {
    name: "select-known",
    picture: "select true a b => a, select false a b => b",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| forward_if(graph, node, select_known)),
};

/// `cast (cast x)   =>   cast x` when the inner cast holds every value exactly and the outer one treats both alike
pub(in crate::rewrite) const CAST_CAST: Rule = Rule {
    name: "cast-cast",
    picture: "cast (cast x) => cast x, when the type between holds every value of x; from integer over float to integer only \
              when the last holds them, too, since floats saturate where integers wrap",
    apply: Apply::Node(at::ELEMENTWISE, cast_cast),
};

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

fn select_known(graph: &Graph, node: &Node) -> Option<ValueId> {
    if plain_scalar_op(node)? != ScalarOp::Select {
        return None;
    }
    Some(if uniform(graph, node.inputs[0])? != 0.0 { node.inputs[1] } else { node.inputs[2] })
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
    use ElementType::{Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    match narrow {
        F64 | I64 | U64 => wide == narrow,
        F32 => matches!(wide, F32 | F64),
        F16 => matches!(wide, F16 | F32 | F64),
        I32 => matches!(wide, I32 | I64 | F64),
        // i64 has 32 bits with a sign on a device.
        U32 => matches!(wide, U32 | U64 | F64),
        I16 => matches!(wide, I16 | I32 | I64 | F32 | F64),
        U16 => matches!(wide, U16 | I32 | I64 | U32 | U64 | F32 | F64),
        I8 => matches!(wide, I8 | I16 | I32 | I64 | F16 | F32 | F64),
        U8 => matches!(wide, U8 | I16 | U16 | I32 | I64 | U32 | U64 | F16 | F32 | F64),
        Bool => true,
    }
}
