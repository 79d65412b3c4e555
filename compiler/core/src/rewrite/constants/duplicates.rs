//! What is there twice, and what nobody needs.

use crate::rewrite::edit;
use crate::rewrite::rule::{Apply, Rule};
use bytes::Bytes;
use drift_ir::{ElementType, Graph, Node, NodeId, Tensor, ValueId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// `f(x), f(x)   =>   f(x)` for both users
pub(in crate::rewrite) const COMMON_SUBEXPRESSION: Rule = Rule {
    name: "common-subexpression",
    picture: "f(x), f(x) => one f(x) for all users",
    apply: Apply::Graph(common_subexpression),
};

/// `c, c   =>   c` for constants of equal type and bytes
pub(in crate::rewrite) const EQUAL_CONSTANTS: Rule = Rule {
    name: "equal-constants",
    picture: "two constants of equal type and bytes => one for all users",
    apply: Apply::Graph(equal_constants),
};

/// `f(x) that nobody reads   =>   nothing`
pub(in crate::rewrite) const DEAD_CODE: Rule = Rule {
    name: "dead-code",
    picture: "f(x) that nobody reads => nothing",
    apply: Apply::Graph(edit::remove_unread),
};

/// Bytes at either end that are looked at before whole constants are compared.
const SAMPLE_BYTES: usize = 256;

fn common_subexpression(graph: &mut Graph) -> Vec<String> {
    let mut seen: HashMap<(&'static str, Vec<ValueId>), Alike> = HashMap::new();
    let mut merged = Vec::new();
    // Users of a merged node come later in this order and see the merge.
    for node in graph.nodes().collect::<Vec<_>>() {
        let subject = graph.node(node);
        let alike = match seen.entry((subject.op.name(), subject.inputs.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(Alike { first: node, printed: HashMap::new() });
                continue;
            }
        };
        if alike.printed.is_empty() {
            alike.printed.insert(print(graph.node(alike.first)), vec![alike.first]);
        }
        let alike = alike.printed.entry(print(subject)).or_default();
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

/// Nodes of one op on the same operands: the first, and where there are several all of them as they are printed.
struct Alike {
    first: NodeId,
    printed: HashMap<String, Vec<NodeId>>,
}

/// What a node does with its operands. The printed form tells zeros of either sign apart, which are equal as numbers.
fn print(node: &Node) -> String {
    format!("{:?} {:?}", node.op, node.epilogue.steps)
}

fn equal_constants(graph: &mut Graph) -> Vec<String> {
    let mut alike: HashMap<Sample, Vec<ValueId>> = HashMap::new();
    let mut merged = Vec::new();
    for value in edit::constants(graph) {
        let Some(tensor) = graph.constant(value) else { continue };
        let candidates = alike.entry(sample(tensor)).or_default();
        let equal = |other: &ValueId| graph.constant(*other).is_some_and(|other| same(other, tensor));
        let Some(first) = candidates.iter().copied().find(equal) else {
            candidates.push(value);
            continue;
        };
        let name = graph.value(value).name.clone();
        if graph.is_read(value) && !graph.is_output(value) && graph.replace_uses(value, first).is_ok() {
            merged.push(name);
        }
    }
    merged
}

type Sample = (ElementType, Vec<u64>, Bytes, Bytes);

/// What equal constants have in common, and others seldom, read in a moment whatever their size.
fn sample(tensor: &Tensor) -> Sample {
    // Of quantized weights, their numbers.
    let bytes = tensor.stored().first().copied().cloned().unwrap_or_default();
    let end = bytes.len().min(SAMPLE_BYTES);
    (tensor.element(), tensor.shape().to_vec(), bytes.slice(..end), bytes.slice(bytes.len() - end..))
}

/// Whether two are stored alike.
fn same(a: &Tensor, b: &Tensor) -> bool {
    let (stored, other) = (a.stored(), b.stored());
    stored.len() == other.len()
        && a.form() == b.form()
        && stored.into_iter().zip(other).all(|(a, b)| same_bytes(a, b))
}

/// Equality that reads nothing where both are the same memory.
fn same_bytes(a: &Bytes, b: &Bytes) -> bool {
    a.len() == b.len() && (a.as_ptr() == b.as_ptr() || a == b)
}
