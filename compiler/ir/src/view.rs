//! The graph as petgraph sees it: for algorithms and pictures, not for storage.
//!
//! Edges lose operand order, so nothing is ever read back from a view.

use crate::graph::{Graph, NodeId, ValueId};
use petgraph::algo::toposort;
use petgraph::dot::{Config, Dot};
use petgraph::graph::DiGraph;
use std::collections::HashMap;
use std::fmt::Write;

/// One vertex per node in execution order, one edge per operand that another node computes.
pub fn view(graph: &Graph) -> DiGraph<NodeId, ValueId> {
    let mut view = DiGraph::new();
    let mut vertex = vec![None; graph.node_capacity()];
    for id in graph.nodes() {
        vertex[id.0 as usize] = Some(view.add_node(id));
    }
    for id in graph.nodes() {
        for value in graph.node(id).operands() {
            let producer = graph.producer(value).and_then(|producer| vertex[producer.0 as usize]);
            if let (Some(from), Some(to)) = (producer, vertex[id.0 as usize]) {
                view.add_edge(from, to, value);
            }
        }
    }
    view
}

/// A topological order, computed from the operands alone; the error is a node on a cycle.
pub fn execution_order(graph: &Graph) -> Result<Vec<NodeId>, NodeId> {
    let view = view(graph);
    match toposort(&view, None) {
        Ok(order) => Ok(order.into_iter().map(|vertex| view[vertex]).collect()),
        Err(cycle) => Err(view[cycle.node_id()]),
    }
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
enum Vertex {
    Input(ValueId),
    Node(NodeId),
    Output(ValueId),
}

/// Nodes, inputs and outputs, and an edge for each value that one gives to another. Constants are no vertices.
fn picture(graph: &Graph) -> DiGraph<Vertex, ValueId> {
    let mut picture = DiGraph::new();
    let mut makers = HashMap::new();
    for &input in graph.inputs() {
        makers.insert(input, picture.add_node(Vertex::Input(input)));
    }
    for id in graph.nodes() {
        let vertex = picture.add_node(Vertex::Node(id));
        makers.extend(graph.node(id).outputs.iter().map(|&value| (value, vertex)));
        for value in graph.node(id).operands() {
            if let Some(&maker) = makers.get(&value) {
                picture.add_edge(maker, vertex, value);
            }
        }
    }
    for &output in graph.outputs() {
        let vertex = picture.add_node(Vertex::Output(output));
        if let Some(&maker) = makers.get(&output) {
            picture.add_edge(maker, vertex, output);
        }
    }
    picture
}

/// The graph as a Graphviz picture: nodes with operator, name and the type of what they make, edges with names and types.
pub fn dot(graph: &Graph) -> String {
    let picture = picture(graph);
    let typed = |value: ValueId| {
        let value = graph.value(value);
        format!("{} {}", value.name, value.ty.display(&graph.symbols))
    };
    let edge_label = |_: &DiGraph<Vertex, ValueId>, edge: petgraph::graph::EdgeReference<'_, ValueId>| {
        format!("label = \"{}\" ", escape(&typed(*edge.weight())))
    };
    let node_label = |_: &DiGraph<Vertex, ValueId>, (_, vertex): (petgraph::graph::NodeIndex, &Vertex)| {
        let (shape, text) = match *vertex {
            Vertex::Input(value) => ("invhouse", typed(value)),
            Vertex::Output(value) => ("house", typed(value)),
            Vertex::Node(id) => ("box", node_text(graph, id)),
        };
        format!("shape = {shape} label = \"{}\" ", escape(&text))
    };
    let config = [Config::NodeNoLabel, Config::EdgeNoLabel];
    let dot = Dot::with_attr_getters(&picture, &config, &edge_label, &node_label);
    format!("{dot:?}")
}

/// Name, operator with what is fused to it, and the types of the results.
fn node_text(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let mut text = format!("{}\n{}", node.name, node.op.name());
    for step in &node.epilogue.steps {
        write!(text, " + {}", step.op.name()).expect("a string takes every write");
    }
    for &result in &node.outputs {
        write!(text, "\n{}", graph.value(result).ty.display(&graph.symbols))
            .expect("a string takes every write");
    }
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    #[test]
    fn the_picture_names_nodes_ops_and_types() {
        let text = "%x: f32[2,3]\n%\"a\\\"b\" = relu %x\n%2 = neg %\"a\\\"b\" epilogue(exp)\nreturn %2";
        let picture = dot(&parse(text).unwrap());
        assert!(picture.contains(r#"a\"b\nrelu"#), "{picture}");
        assert!(picture.contains("2\\nneg + exp\\nf32[2,3]"), "{picture}");
        assert!(picture.contains(r#"shape = invhouse label = "x f32[2,3]""#), "{picture}");
        assert!(picture.contains(r#"shape = house label = "2 f32[2,3]""#), "{picture}");
        assert_eq!(picture.matches(" -> ").count(), 3, "{picture}");
        assert!(picture.contains("f32[2,3]"), "{picture}");
    }

    #[test]
    fn the_order_follows_operands() {
        let graph = parse("%x: f32[2]\n%1 = relu %x\n%2 = neg %1\n%3 = add %2, %1\nreturn %3").unwrap();
        assert_eq!(execution_order(&graph).unwrap(), graph.nodes().collect::<Vec<_>>());
        assert_eq!(view(&graph).edge_count(), 3);
    }
}
