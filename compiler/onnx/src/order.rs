//! The order in which nodes are imported: that of the file, except that a node waits for what it reads.
//!
//! ONNX wants nodes in execution order, but not every tool that edits models keeps it, and runtimes sort. What nodes read
//! inside their subgraphs counts as well.

use crate::error::ImportError;
use crate::proto::{GraphProto, NodeProto};
use std::collections::{HashMap, HashSet};

/// Indices of `nodes` in execution order. `label` names a node; a cycle is refused by the name of a node in it.
pub(crate) fn execution(
    nodes: &[NodeProto],
    label: impl Fn(&NodeProto) -> String,
) -> Result<Vec<usize>, ImportError> {
    let producers = producers(nodes);
    let mut states = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    // Nodes that wait for others, each with what it still has to look at.
    let mut open: Vec<(usize, std::vec::IntoIter<&str>)> = Vec::new();
    for first in 0..nodes.len() {
        if states[first] == State::New {
            states[first] = State::Waiting;
            open.push((first, reads(&nodes[first]).into_iter()));
        }
        while let Some((node, reads_left)) = open.last_mut() {
            let node = *node;
            let Some(name) = reads_left.next() else {
                states[node] = State::Done;
                order.push(node);
                open.pop();
                continue;
            };
            let Some(&producer) = producers.get(name) else { continue };
            match states[producer] {
                State::Done => {}
                State::Waiting => {
                    return Err(ImportError::Cycle { node: label(&nodes[node]), value: name.to_owned() });
                }
                State::New => {
                    states[producer] = State::Waiting;
                    open.push((producer, reads(&nodes[producer]).into_iter()));
                }
            }
        }
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Waiting,
    Done,
}

fn producers(nodes: &[NodeProto]) -> HashMap<&str, usize> {
    let mut producers = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            producers.entry(name.as_str()).or_insert(index);
        }
    }
    producers
}

/// The names that a node reads from its own graph or from those around it.
pub(crate) fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for attribute in &node.attribute {
        attribute.g.iter().chain(&attribute.graphs).for_each(|graph| captured(graph, &mut names));
    }
    names
}

/// The names that a subgraph reads from outside. The decoder bounds the depth of this recursion.
fn captured<'a>(graph: &'a GraphProto, names: &mut Vec<&'a str>) {
    let own = graph.input.iter().map(|info| info.name.as_str());
    let own = own.chain(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
    let own = own.chain(graph.node.iter().flat_map(|node| &node.output).map(String::as_str));
    let own: HashSet<&str> = own.collect();
    let outputs = graph.output.iter().map(|info| info.name.as_str());
    let read = graph.node.iter().flat_map(reads).chain(outputs);
    names.extend(read.filter(|name| !own.contains(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(input: &str, output: &str) -> NodeProto {
        NodeProto { input: vec![input.to_owned()], output: vec![output.to_owned()], ..NodeProto::default() }
    }

    fn order(nodes: &[NodeProto]) -> Option<Vec<usize>> {
        execution(nodes, |node| node.output.concat()).ok()
    }

    #[test]
    fn files_in_order_stay_as_they_are_and_others_are_sorted() {
        let nodes = [node("x", "a"), node("x", "b"), node("b", "c"), node("a", "d")];
        assert_eq!(order(&nodes), Some(vec![0, 1, 2, 3]));
        let nodes = [node("c", "d"), node("x", "a"), node("b", "c"), node("a", "b")];
        assert_eq!(order(&nodes), Some(vec![1, 3, 2, 0]));
    }

    #[test]
    fn cycles_are_refused() {
        assert_eq!(order(&[node("a", "a")]), None);
        assert_eq!(order(&[node("x", "y"), node("c", "a"), node("a", "b"), node("b", "c")]), None);
    }

    #[test]
    fn a_long_chain_backwards_needs_no_stack() {
        let nodes: Vec<NodeProto> =
            (0..50_000).map(|at| node(&format!("v{}", at + 1), &format!("v{at}"))).collect();
        assert_eq!(order(&nodes), Some((0..50_000).rev().collect()));
    }
}
