//! Edits that rules make. What a rewrite leaves unread goes at once, and the node that takes over inherits its origins.

use super::declined::Declined;
use super::pattern::same_type;
use super::rule::Outcome;
use drift_ir::op::Epilogue;
use drift_ir::{ElementType, Graph, Node, NodeId, Op, Tensor, TensorType, ValueDef, ValueId};

/// Turns a node into another op on other operands. The graph refuses one whose result would have another type.
pub(crate) fn set_op(graph: &mut Graph, node: NodeId, op: Op, inputs: &[ValueId]) -> Outcome {
    let epilogue = graph.node(node).epilogue.clone();
    set_node(graph, node, op, inputs, epilogue)
}

/// Like [`set_op`], with another epilogue as well.
pub(crate) fn set_node(
    graph: &mut Graph,
    node: NodeId,
    op: Op,
    inputs: &[ValueId],
    epilogue: Epilogue,
) -> Outcome {
    let before: Vec<ValueId> = graph.node(node).operands().collect();
    graph.set_node(node, op, inputs, epilogue)?;
    bury_all(graph, before, node);
    Ok(true)
}

/// An operand that a rewrite is about to use.
pub(crate) enum Wanted {
    /// A value of the graph.
    Value(ValueId),
    /// A constant to be added under a name like this one.
    Constant(String, Tensor),
}

impl Wanted {
    /// The value; adds the constant.
    pub(crate) fn add(self, graph: &mut Graph) -> Result<ValueId, Declined> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Constant(name, tensor) => add_constant(graph, &name, tensor),
        }
    }

    /// Its type.
    pub(crate) fn ty(&self, graph: &Graph) -> TensorType {
        match self {
            Self::Value(value) => graph.value(*value).ty.clone(),
            Self::Constant(_, tensor) => tensor.ty(),
        }
    }
}

/// Adds a node before another, for a rewrite of that one; it stands for the same nodes of the model.
pub(crate) fn insert_before(
    graph: &mut Graph,
    anchor: NodeId,
    op: Op,
    inputs: &[ValueId],
) -> Result<ValueId, Declined> {
    let what = op.name();
    insert_named(graph, anchor, what, op, inputs)
}

/// The same under the anchor's name and `what`.
pub(crate) fn insert_named(
    graph: &mut Graph,
    anchor: NodeId,
    what: &str,
    op: Op,
    inputs: &[ValueId],
) -> Result<ValueId, Declined> {
    let node = graph.node(anchor);
    let origins = node.origins.clone();
    let name = graph.unique_name(&format!("{}.{what}", graph.value(node.outputs[0]).name));
    let inserted = graph.insert_node_before(anchor, name.clone(), op, inputs, [name])?;
    graph.set_origins(inserted, origins);
    Ok(graph.node(inserted).outputs[0])
}

/// Lets the users of a node's only result read `value` instead, and removes the node.
pub(crate) fn forward(graph: &mut Graph, node: NodeId, value: ValueId) -> Outcome {
    let result = graph.node(node).outputs[0];
    let producer = graph.producer(value);
    if graph.is_output(result) && (producer.is_none() || graph.is_output(value)) {
        // The output needs a buffer and a name of its own, so the copy is real.
        return Err(Declined::GraphOutput { value: graph.value(result).name.clone() });
    }
    graph.replace_uses(result, value)?;
    if let Some(producer) = producer {
        graph.merge_origins(producer, node);
    }
    let read: Vec<ValueId> = graph.node(node).operands().collect();
    graph.remove_node(node)?;
    for value in read {
        bury(graph, value, &mut Vec::new());
    }
    Ok(true)
}

/// Forwards a node's operand to its users when `of` names one of the result's own type.
pub(crate) fn forward_if(
    graph: &mut Graph,
    node: NodeId,
    of: fn(&Graph, &Node) -> Option<ValueId>,
) -> Outcome {
    let subject = graph.node(node);
    if !subject.epilogue.steps.is_empty() {
        return Ok(false);
    }
    match of(graph, subject) {
        Some(value) if same_type(graph, value, subject.outputs[0]) => forward(graph, node, value),
        Some(_) | None => Ok(false),
    }
}

/// Replaces the results of a node by constants of the same names.
pub(crate) fn become_constants(graph: &mut Graph, node: NodeId, tensors: Vec<Tensor>) -> Outcome {
    let results = graph.node(node).outputs.clone();
    let mut constants = Vec::new();
    for (result, tensor) in results.into_iter().zip(tensors) {
        let name = graph.value(result).name.clone();
        if graph.is_output(result) {
            return Err(Declined::GraphOutput { value: name });
        }
        let constant = add_constant(graph, &name, tensor)?;
        graph.replace_uses(result, constant)?;
        constants.push((constant, name));
    }
    graph.remove_node(node)?;
    for (constant, name) in constants {
        graph.rename_value(constant, name)?;
    }
    Ok(true)
}

/// Adds a constant; its name begins with `name`.
pub(crate) fn add_constant(graph: &mut Graph, name: &str, tensor: Tensor) -> Result<ValueId, Declined> {
    let name = graph.unique_name(name);
    Ok(graph.add_constant(name, tensor)?)
}

/// A tensor with the same value everywhere.
pub(crate) fn filled(element: ElementType, shape: &[u64], value: f64) -> Result<Tensor, Declined> {
    let count = shape.iter().product::<u64>() as usize;
    Ok(Tensor::from_f64_as(element, shape, &vec![value; count])?)
}

/// Removes what no output needs; gives the names of the nodes that went.
pub(crate) fn remove_unread(graph: &mut Graph) -> Vec<String> {
    let before: Vec<(NodeId, String)> = graph.nodes().map(|id| (id, graph.node(id).name.clone())).collect();
    graph.remove_dead();
    before.into_iter().filter(|&(id, _)| graph.get_node(id).is_none()).map(|(_, name)| name).collect()
}

/// Removes the producers of values that nobody reads any more; `heir` stands for what they did.
fn bury_all(graph: &mut Graph, values: Vec<ValueId>, heir: NodeId) {
    let mut origins = Vec::new();
    for value in values {
        bury(graph, value, &mut origins);
    }
    for origin in graph.node(heir).origins.clone() {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    graph.set_origins(heir, origins);
}

/// Removes the producer of a value if nobody reads its results, then what only it read; collects their origins, operands
/// first. Recursion is as deep as the pattern that a rule replaced.
fn bury(graph: &mut Graph, value: ValueId, origins: &mut Vec<String>) {
    let Some(producer) = graph.producer(value) else { return };
    // The graph refuses to remove what is still read.
    let Ok(node) = graph.remove_node(producer) else { return };
    for operand in node.operands() {
        bury(graph, operand, origins);
    }
    for origin in node.origins {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
}

/// All constants, in the order in which they were added.
pub(crate) fn constants(graph: &Graph) -> Vec<ValueId> {
    let is_constant = |def: &ValueDef| matches!(def, ValueDef::Constant(_));
    graph.values().filter(|(_, value)| is_constant(&value.def)).map(|(id, _)| id).collect()
}
