//! Checks a graph from the ground up, trusting none of the invariants that edits keep.
//!
//! Passes call it after each step in tests and debug builds; it is what "verified" means in `unreachable!` messages.

use crate::graph::{Graph, Node, NodeId, UseMap, Value, ValueDef, ValueId};
use crate::op::infer::{InferError, infer_node};
use crate::view;
use std::collections::BTreeSet;

/// What is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Two values or two nodes have one name.
    #[error("the name `{0}` is used twice")]
    DuplicateName(String),
    /// A value's record of its producer, and the producer's list of results, disagree.
    #[error("`{value}` does not match its definition: {problem}")]
    Definition {
        /// The value.
        value: String,
        /// What differs.
        problem: &'static str,
    },
    /// A node of the arena is not in the execution order exactly once.
    #[error("node `{0}` is not in the execution order exactly once")]
    NotOrdered(String),
    /// A node reads a value that was removed.
    #[error("node `{node}` reads operand {operand}, which is not in the graph")]
    MissingOperand {
        /// The node.
        node: String,
        /// Which operand.
        operand: usize,
    },
    /// A node reads a value that is computed after it.
    #[error("node `{node}` reads `{value}` before it is computed")]
    Order {
        /// The node.
        node: String,
        /// What it reads.
        value: String,
    },
    /// Nodes depend on each other in a circle.
    #[error("node `{0}` depends on its own result")]
    Cycle(String),
    /// Operands, attributes or epilogue do not fit.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A stored type is not what inference gives.
    #[error("`{value}` is stored as {stored}, inference gives {inferred}")]
    Type {
        /// The value.
        value: String,
        /// The stored type.
        stored: String,
        /// The inferred type.
        inferred: String,
    },
    /// A graph output was removed.
    #[error("graph output {0} is not in the graph")]
    MissingOutput(usize),
    /// A state's values are not an input and an output of one type.
    #[error("state {0} does not pair an input with an output of the same type")]
    State(usize),
}

/// Checks names, definitions, order, types, epilogues, outputs and states.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    unique_names(graph)?;
    definitions(graph)?;
    order(graph)?;
    readers(graph)?;
    types(graph)?;
    boundary(graph)
}

fn unique_names(graph: &Graph) -> Result<(), VerifyError> {
    let values = graph.values().map(|(_, value)| value.name.as_str());
    let nodes = live_nodes(graph).map(|(_, node)| node.name.as_str());
    first_repeat(values)
        .or(first_repeat(nodes))
        .map_or(Ok(()), |name| Err(VerifyError::DuplicateName(name.to_owned())))
}

fn first_repeat<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn live_nodes(graph: &Graph) -> impl Iterator<Item = (NodeId, &Node)> {
    let capacity = u32::try_from(graph.node_capacity()).unwrap_or(u32::MAX);
    (0..capacity).map(NodeId).filter_map(|id| Some((id, graph.get_node(id)?)))
}

fn definitions(graph: &Graph) -> Result<(), VerifyError> {
    for (id, value) in graph.values() {
        if let Some(problem) = definition_problem(graph, id, value) {
            let value = value.name.clone();
            return Err(VerifyError::Definition { value, problem });
        }
    }
    for (id, node) in live_nodes(graph) {
        for (index, &output) in node.outputs.iter().enumerate() {
            let def = graph.get_value(output).map(|value| &value.def);
            let is_mine = matches!(def, Some(ValueDef::Node { node, output }) if *node == id && *output as usize == index);
            if !is_mine {
                let value = format!("result {index} of node `{}`", node.name);
                let problem = "the value names another producer, or none";
                return Err(VerifyError::Definition { value, problem });
            }
        }
    }
    Ok(())
}

fn definition_problem(graph: &Graph, id: ValueId, value: &Value) -> Option<&'static str> {
    match &value.def {
        ValueDef::Input(index) if graph.inputs().get(*index as usize) != Some(&id) => {
            Some("it is not the graph input that it says")
        }
        ValueDef::Constant(tensor) if tensor.ty() != value.ty => Some("its type is not its content's"),
        ValueDef::Node { node, output } => {
            let outputs = graph.get_node(*node).map(|node| node.outputs.as_slice());
            match outputs.and_then(|outputs| outputs.get(*output as usize)) {
                Some(&result) if result == id => None,
                _ => Some("its producer does not have it as a result"),
            }
        }
        ValueDef::Input(_) | ValueDef::Constant(_) => None,
    }
}

fn order(graph: &Graph) -> Result<(), VerifyError> {
    let mut position = vec![None; graph.node_capacity()];
    for (index, id) in graph.nodes().enumerate() {
        let slot = position.get_mut(id.0 as usize);
        match (slot, graph.get_node(id)) {
            (Some(slot @ None), Some(_)) => *slot = Some(index),
            (_, node) => return Err(VerifyError::NotOrdered(node_label(id, node))),
        }
    }
    for (id, node) in live_nodes(graph) {
        if position[id.0 as usize].is_none() {
            return Err(VerifyError::NotOrdered(node.name.clone()));
        }
        if let Some(operand) = node.operands().position(|value| graph.get_value(value).is_none()) {
            let node = node.name.clone();
            return Err(VerifyError::MissingOperand { node, operand });
        }
    }
    if let Err(id) = view::execution_order(graph) {
        return Err(VerifyError::Cycle(node_label(id, graph.get_node(id))));
    }
    for (id, node) in live_nodes(graph) {
        let early = node.operands().find(|&value| {
            let producer = graph.producer(value);
            producer.is_some_and(|producer| position[producer.0 as usize] >= position[id.0 as usize])
        });
        if let Some(value) = early {
            return Err(VerifyError::Order {
                node: node.name.clone(),
                value: graph.value(value).name.clone(),
            });
        }
    }
    Ok(())
}

fn readers(graph: &Graph) -> Result<(), VerifyError> {
    let uses = UseMap::new(graph);
    for (id, value) in graph.values() {
        if graph.users(id) != uses.of(id) {
            let value = value.name.clone();
            return Err(VerifyError::Definition { value, problem: "the record of its readers is wrong" });
        }
    }
    Ok(())
}

fn node_label(id: NodeId, node: Option<&Node>) -> String {
    node.map_or_else(|| format!("{id:?}"), |node| node.name.clone())
}

fn types(graph: &Graph) -> Result<(), VerifyError> {
    for id in graph.nodes() {
        let node = graph.node(id);
        let operands: Vec<_> = node.operands().map(|value| graph.operand(value)).collect();
        let inferred = infer_node(&node.op, &node.epilogue, &operands, &graph.symbols)
            .map_err(|kind| InferError { node: node.name.clone(), op: node.op.name(), kind })?;
        if inferred.len() != node.outputs.len() {
            let value = format!("results of node `{}`", node.name);
            let problem = "their number is not the op's";
            return Err(VerifyError::Definition { value, problem });
        }
        for (&output, inferred) in node.outputs.iter().zip(inferred) {
            let value = graph.value(output);
            if value.ty != inferred {
                return Err(VerifyError::Type {
                    value: value.name.clone(),
                    stored: value.ty.display(&graph.symbols).to_string(),
                    inferred: inferred.display(&graph.symbols).to_string(),
                });
            }
        }
    }
    Ok(())
}

fn boundary(graph: &Graph) -> Result<(), VerifyError> {
    let is_missing = |value: &ValueId| graph.get_value(*value).is_none();
    if let Some(index) = graph.outputs().iter().position(is_missing) {
        return Err(VerifyError::MissingOutput(index));
    }
    for (index, state) in graph.states().iter().enumerate() {
        let is_pair = graph.inputs().contains(&state.input)
            && graph.outputs().contains(&state.output)
            && graph.value(state.input).ty == graph.value(state.output).ty;
        if !is_pair {
            return Err(VerifyError::State(index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    #[test]
    fn a_parsed_graph_verifies() {
        let graph = parse("%x: f32[2,3]\n%1 = relu %x\n%2 = add %1, %x\nreturn %2").unwrap();
        assert_eq!(verify(&graph), Ok(()));
    }
}
