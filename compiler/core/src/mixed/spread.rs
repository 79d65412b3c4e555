//! Values that rewriting for a profile makes stay f32 where they stand among values that do.

use drift_ir::{Graph, ValueId};

/// Keeps what a rewrite made since [`Graph::share`] in f32 where it is computed from, or becomes, something that stays f32: the
/// parts of a computation are stored no worse than what the whole was decided on.
pub fn spread(graph: &mut Graph) {
    let nodes: Vec<_> = graph.nodes().collect();
    // What follows, then what comes before.
    for &id in &nodes {
        let node = graph.node(id);
        if node.operands().any(|value| is_kept(graph, value)) {
            let made: Vec<ValueId> =
                node.outputs.iter().copied().filter(|&value| is_new(graph, value)).collect();
            keep(graph, &made);
        }
    }
    for &id in nodes.iter().rev() {
        let node = graph.node(id);
        if node.outputs.iter().any(|&value| graph.is_single(value)) {
            let read: Vec<ValueId> = node.operands().filter(|&value| is_new(graph, value)).collect();
            keep(graph, &read);
        }
    }
}

/// An activation that stays f32: a constant that does says nothing of what is computed with it.
fn is_kept(graph: &Graph, value: ValueId) -> bool {
    graph.is_single(value) && graph.constant(value).is_none()
}

fn is_new(graph: &Graph, value: ValueId) -> bool {
    !graph.is_shared(value) && graph.constant(value).is_none() && graph.value(value).ty.element.is_float()
}

fn keep(graph: &mut Graph, values: &[ValueId]) {
    values.iter().for_each(|&value| graph.keep_single(value));
}
