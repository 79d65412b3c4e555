//! Constant folding through the reference evaluator, and constants that need fewer bytes.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::pattern::{keeps_type, uniform};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::dim::IntExpr;
use drift_ir::eval::{self, Limits};
use drift_ir::{ElementType, Graph, NodeId, Op, Tensor, TensorType, ValueId};

/// `f(constants)   =>   constant` unless it would take more than twice the bytes of its operands
pub(in crate::rewrite) const FOLD_CONSTANTS: Rule = Rule {
    name: "fold-constants",
    picture: "f(constants) => constant, unless it would take more than twice the bytes of its operands",
    apply: Apply::Node(at::ANY, fold_constants),
};

/// `f(x, [c, c, ..])   =>   f(x, c)` when the result keeps its shape
pub(in crate::rewrite) const SCALAR_CONSTANT: Rule = Rule {
    name: "scalar-constant",
    picture: "f(x, [c, c, ..]) => f(x, c), when the result keeps its shape",
    apply: Apply::Node(at::ELEMENTWISE, scalar_constant),
};

/// `arithmetic on shapes   =>   constant` when no free dim is left in it
pub(in crate::rewrite) const STATIC_SHAPE: Rule = Rule {
    name: "static-shape",
    picture: "integers computed from shapes => constant, when no free dim is left in them",
    apply: Apply::Node(at::ANY, static_shape),
};

/// Steps that folding one node may take, whatever its operands are: about a second.
const WORK: u64 = 1 << 28;

/// Steps for each element of the operands beside that.
const WORK_PER_ELEMENT: u64 = 64;

/// Bytes that an element takes in a bundle and on a device.
const fn device_bytes(element: ElementType) -> u64 {
    match element {
        ElementType::F16 => 2,
        ElementType::F64 => 8,
        ElementType::F32
        | ElementType::I64
        | ElementType::I32
        | ElementType::I8
        | ElementType::U8
        | ElementType::I16
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::Bool => 4,
    }
}

/// Constants up to this size may come out of anything: they cost nothing in a bundle.
const TINY_BYTES: u64 = 4096;

fn fold_constants(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Some(operands) =
        subject.operands().map(|value| graph.constant(value)).collect::<Option<Vec<&Tensor>>>()
    else {
        return Ok(false);
    };
    let result = graph.value(subject.outputs[0]);
    let Some(elements) = result.ty.static_element_count() else {
        return Err(Declined::FreeDim { value: result.name.clone() });
    };
    if graph.outputs().iter().any(|output| subject.outputs.contains(output)) {
        return Err(Declined::GraphOutput { value: result.name.clone() });
    }
    // In a bundle, and as a tensor here: a byte takes four on a device, so that casts of weights are no growth.
    let sizes: [fn(ElementType) -> u64; 2] = [device_bytes, |element| element.size_bytes() as u64];
    let [grown, tensor] = sizes.map(|size| {
        let read: u64 = operands.iter().map(|operand| operand.len() as u64 * size(operand.element())).sum();
        (elements.saturating_mul(size(result.ty.element)), read * 2)
    });
    let (bytes, limit) = (tensor.0, TINY_BYTES.max(tensor.1));
    if bytes > limit && grown.0 > grown.1 {
        return Err(Declined::WouldGrow { bytes, limit });
    }
    if bytes > graph.folding_left() {
        return Err(Declined::WouldGrow { bytes, limit: graph.folding_left() });
    }
    let elements: u64 = operands.iter().map(|operand| operand.len() as u64).sum();
    let limits =
        Limits { work: WORK.saturating_add(elements.saturating_mul(WORK_PER_ELEMENT)), ..Limits::STANDARD };
    let results = eval::eval_node(subject, &operands, limits)
        .map_err(|error| Declined::CannotEvaluate { why: error.to_string() })?;
    graph.count_folding(bytes);
    edit::become_constants(graph, node, results)
}

fn scalar_constant(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Elementwise(op) = subject.op else { return Ok(false) };
    let repeats = |value: ValueId| {
        graph.constant(value).is_some_and(|tensor| tensor.len() > 1) && uniform(graph, value).is_some()
    };
    for (at, &input) in subject.inputs.iter().enumerate().filter(|&(_, &input)| repeats(input)) {
        let Some(tensor) = graph.constant(input) else { continue };
        let element = tensor.bytes().slice(..tensor.element().size_bytes());
        let scalar = Tensor::new(tensor.element(), [], element)?;
        let ty = scalar.ty();
        let mut types: Vec<&TensorType> =
            subject.inputs.iter().map(|&input| &graph.value(input).ty).collect();
        types[at] = &ty;
        if keeps_type(graph, subject, &types) {
            let name = format!("{}.scalar", graph.value(input).name);
            let mut inputs = subject.inputs.clone();
            inputs[at] = edit::add_constant(graph, &name, scalar)?;
            return edit::set_op(graph, node, Op::Elementwise(op), &inputs);
        }
    }
    Ok(false)
}

fn static_shape(graph: &mut Graph, node: NodeId) -> Outcome {
    let result = graph.node(node).outputs[0];
    let Some(elements) = graph.known_ints(result) else { return Ok(false) };
    let Some(elements) = elements.iter().map(IntExpr::as_const).collect::<Option<Vec<i64>>>() else {
        return Ok(false);
    };
    let ty = &graph.value(result).ty;
    let Some(shape) = ty.static_shape() else { return Ok(false) };
    let tensor = Tensor::from_i64_as(ty.element, shape, &elements)?;
    edit::become_constants(graph, node, vec![tensor])
}
