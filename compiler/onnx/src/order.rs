//! Why an operand is not there yet: nothing makes it, a later node does, or the reader itself does.

use crate::error::ImportError;
use crate::proto::NodeProto;
use std::collections::HashMap;

/// Explains why `value`, which `nodes[reader]` wants, is unknown when its turn comes. `label` names a node.
pub(crate) fn explain(
    nodes: &[NodeProto],
    reader: usize,
    value: &str,
    label: impl Fn(&NodeProto) -> String,
) -> ImportError {
    let (node, value) = (label(&nodes[reader]), value.to_owned());
    let producers = producers(nodes);
    match producers.get(value.as_str()) {
        None => ImportError::Undefined { node, value },
        Some(&producer) if depends_on(nodes, &producers, producer, reader) => {
            ImportError::Cycle { node, value }
        }
        Some(&producer) => ImportError::OutOfOrder { node, value, producer: label(&nodes[producer]) },
    }
}

fn producers(nodes: &[NodeProto]) -> HashMap<&str, usize> {
    let mut producers = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        producers
            .extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), index)));
    }
    producers
}

/// Whether `from` is `to`, or reads something that comes from it.
fn depends_on(nodes: &[NodeProto], producers: &HashMap<&str, usize>, from: usize, to: usize) -> bool {
    let mut seen = vec![false; nodes.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if !std::mem::replace(&mut seen[at], true) {
            open.extend(nodes[at].input.iter().filter_map(|name| producers.get(name.as_str())));
        }
    }
    false
}
