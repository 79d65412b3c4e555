//! What is there twice, and what nobody needs.

use super::edit;
use super::rule::{Apply, Rule};
use bytes::Bytes;
use drift_ir::{ElementType, Graph, NodeId, ValueId};
use std::collections::HashMap;

/// `f(x), f(x)   =>   f(x)` for both users
pub(super) const COMMON_SUBEXPRESSION: Rule = Rule {
    name: "common-subexpression",
    picture: "f(x), f(x) => one f(x) for all users",
    apply: Apply::Graph(common_subexpression),
};

/// `c, c   =>   c` for constants of equal type and bytes
pub(super) const EQUAL_CONSTANTS: Rule = Rule {
    name: "equal-constants",
    picture: "two small constants of equal type and bytes => one for all users",
    apply: Apply::Graph(equal_constants),
};

/// `f(x) that nobody reads   =>   nothing`
pub(super) const DEAD_CODE: Rule = Rule {
    name: "dead-code",
    picture: "f(x) that nobody reads => nothing",
    apply: Apply::Graph(edit::remove_unread),
};

/// Larger constants are not compared: hashing all weights would cost more than the rare pair saves.
const MAX_COMPARED_BYTES: usize = 4096;

fn common_subexpression(graph: &mut Graph) -> Vec<String> {
    let mut seen: HashMap<(&'static str, Vec<ValueId>), Vec<NodeId>> = HashMap::new();
    let mut merged = Vec::new();
    // Users of a merged node come later in this order and see the merge.
    for node in graph.nodes().collect::<Vec<_>>() {
        let subject = graph.node(node);
        let alike = seen.entry((subject.op.name(), subject.inputs.clone())).or_default();
        let equal = alike.iter().copied().find(|&other| {
            let other = graph.node(other);
            other.op == subject.op && other.epilogue == subject.epilogue
        });
        let Some(other) = equal else {
            alike.push(node);
            continue;
        };
        let (name, result) = (subject.name.clone(), graph.node(other).outputs[0]);
        if subject.outputs.len() == 1 && edit::forward(graph, node, result).is_ok() {
            merged.push(name);
        }
    }
    merged
}

fn equal_constants(graph: &mut Graph) -> Vec<String> {
    let mut first_of: HashMap<(ElementType, Vec<u64>, Bytes), ValueId> = HashMap::new();
    let mut merged = Vec::new();
    for value in edit::constants(graph) {
        let Some(tensor) = graph.constant(value).filter(|t| t.bytes().len() <= MAX_COMPARED_BYTES) else {
            continue;
        };
        let key = (tensor.element(), tensor.shape().to_vec(), tensor.bytes().clone());
        let name = graph.value(value).name.clone();
        match first_of.get(&key) {
            Some(&first) => {
                let is_read =
                    graph.nodes().any(|node| graph.node(node).operands().any(|operand| operand == value));
                if is_read && !graph.is_output(value) && graph.replace_uses(value, first).is_ok() {
                    merged.push(name);
                }
            }
            None => {
                first_of.insert(key, value);
            }
        }
    }
    merged
}
