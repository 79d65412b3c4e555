//! Questions that rules ask about a graph.

use super::declined::Declined;
use bytes::Bytes;
use drift_ir::op::{BinaryOp, Operand, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, Tensor, TensorType, ValueDef, ValueId};

/// Constants of more elements are not searched for a single repeated value.
const MAX_UNIFORM_ELEMENTS: usize = 1 << 16;

/// The node whose first result a value is.
pub(crate) fn producer_id(graph: &Graph, value: ValueId) -> Option<NodeId> {
    match graph.value(value).def {
        ValueDef::Node { node, output: 0 } => Some(node),
        ValueDef::Node { .. } | ValueDef::Input(_) | ValueDef::Constant(_) => None,
    }
}

/// The node whose first result a value is, if nothing is fused into it.
pub(crate) fn producer(graph: &Graph, value: ValueId) -> Option<&Node> {
    let node = graph.node(producer_id(graph, value)?);
    node.epilogue.steps.is_empty().then_some(node)
}

/// The one value that all elements of a constant have. Integers beyond 2^53 are not represented and give `None`.
pub(crate) fn uniform(graph: &Graph, value: ValueId) -> Option<f64> {
    let tensor = graph.constant(value)?;
    if tensor.len() > MAX_UNIFORM_ELEMENTS {
        return None;
    }
    // Reading one element of its own keeps the type conversions where they are.
    let element = Bytes::copy_from_slice(tensor.splat_bytes()?);
    let scalar = Tensor::new(tensor.element(), [], element).ok()?;
    match tensor.element() {
        ElementType::I64 | ElementType::U64 if scalar.to_i64_vec()[0].unsigned_abs() > 1 << 53 => None,
        _ => scalar.to_f64_vec().first().copied(),
    }
}

/// How far, relatively, a constant of this type may be from the number that it stands for: exporters write `1.4142` for
/// the root of two, and f16 keeps three digits.
pub(crate) const fn constant_tolerance(element: ElementType) -> f64 {
    match element {
        ElementType::F16 => 1e-3,
        // Written with all digits, and folded with them.
        ElementType::F64 => 1e-12,
        ElementType::F32
        | ElementType::I64
        | ElementType::I32
        | ElementType::I8
        | ElementType::U8
        | ElementType::I16
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::Bool => 2e-5,
    }
}

/// The function of an element-wise node without epilogue.
pub(crate) fn plain_scalar_op(node: &Node) -> Option<ScalarOp> {
    match node.op {
        Op::Elementwise(op) if node.epilogue.steps.is_empty() => Some(op),
        _ => None,
    }
}

/// Operands of a plain binary node.
pub(crate) fn binary(node: &Node, op: BinaryOp) -> Option<(ValueId, ValueId)> {
    (plain_scalar_op(node)? == ScalarOp::Binary(op)).then(|| (node.inputs[0], node.inputs[1]))
}

/// Operands of the plain binary node that makes a value.
pub(crate) fn made_by_binary(graph: &Graph, value: ValueId, op: BinaryOp) -> Option<(ValueId, ValueId)> {
    binary(producer(graph, value)?, op)
}

/// Operand of the plain unary node that makes a value.
pub(crate) fn made_by_unary(graph: &Graph, value: ValueId, op: UnaryOp) -> Option<ValueId> {
    let node = producer(graph, value)?;
    (plain_scalar_op(node)? == ScalarOp::Unary(op)).then(|| node.inputs[0])
}

/// The operand beside a constant of one repeated value, and that value; either order.
pub(crate) fn beside_uniform(graph: &Graph, (a, b): (ValueId, ValueId)) -> Option<(ValueId, f64)> {
    match (uniform(graph, a), uniform(graph, b)) {
        (_, Some(value)) => Some((a, value)),
        (Some(value), None) => Some((b, value)),
        (None, None) => None,
    }
}

/// Whether two values have the same element type and shape.
pub(crate) fn same_type(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    graph.value(a).ty == graph.value(b).ty
}

/// Whether a plain node would keep the type of its result with operands of other types.
pub(crate) fn keeps_type(graph: &Graph, node: &Node, operands: &[&TensorType]) -> bool {
    let operands: Vec<Operand<'_>> = operands.iter().map(|&ty| Operand::of_type(ty)).collect();
    let inferred = node.op.infer(&operands, &graph.symbols);
    node.epilogue.is_empty() && inferred.is_ok_and(|types| types[0] == graph.value(node.outputs[0]).ty)
}

/// Proves that a value disappears when `user` no longer reads it.
pub(crate) fn only_user(graph: &Graph, value: ValueId, user: NodeId) -> Result<(), Declined> {
    let name = || graph.value(value).name.clone();
    if graph.is_output(value) {
        return Err(Declined::GraphOutput { value: name() });
    }
    let readers = graph.readers(value);
    let users = readers.len();
    if readers.into_iter().any(|other| other != user) {
        return Err(Declined::SeveralUsers { value: name(), users });
    }
    Ok(())
}
