//! How deep a node is: nodes on the longest way from an input to it. Depths are kept until an edit changes them.

use super::{Graph, NodeId, ValueDef, ValueId};

impl Graph {
    /// Nodes on the longest way from an input to a node, over first results only, the node itself included.
    pub fn depth(&mut self, node: NodeId) -> u32 {
        self.depths.resize(self.nodes.len().max(self.depths.len()), 0);
        let mut open = vec![node];
        // Without recursion: chains are long.
        while let Some(&id) = open.last() {
            if self.depths[id.0 as usize] != 0 {
                open.pop();
                continue;
            }
            let above = || self.node(id).operands().filter_map(|value| self.first_result_of(value));
            let deepest = above().map(|producer| self.depths[producer.0 as usize]).max();
            let unknown: Vec<NodeId> =
                above().filter(|producer| self.depths[producer.0 as usize] == 0).collect();
            if unknown.is_empty() {
                self.depths[id.0 as usize] = deepest.unwrap_or(0) + 1;
                open.pop();
            }
            open.extend(unknown);
        }
        self.depths[node.0 as usize]
    }

    /// The node whose first result a value is.
    fn first_result_of(&self, value: ValueId) -> Option<NodeId> {
        match self.value(value).def {
            ValueDef::Node { node, output: 0 } => Some(node),
            ValueDef::Node { .. } | ValueDef::Input(_) | ValueDef::Constant(_) => None,
        }
    }

    /// Forgets the depth of a node that is edited, and of those below it.
    pub(super) fn forget_depth(&mut self, node: NodeId) {
        let mut open = vec![node];
        while let Some(id) = open.pop() {
            // Nothing below is known where a node is not.
            if self.depths.get(id.0 as usize).is_none_or(|&depth| depth == 0) {
                continue;
            }
            self.depths[id.0 as usize] = 0;
            let outputs = self.nodes[id.0 as usize].iter().flat_map(|node| &node.outputs);
            open.extend(outputs.flat_map(|value| &self.readers[value.0 as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::NodeId;
    use crate::text::parse;

    #[test]
    fn depths_follow_edits() {
        let text = "%x: f32[2]\n%1 = relu %x\n%2 = neg %1\n%3 = exp %x\n%4 = add %2, %3\nreturn %4";
        let mut graph = parse(text).unwrap();
        let nodes: Vec<NodeId> = graph.nodes().collect();
        let depths = |graph: &mut super::Graph| nodes.iter().map(|&id| graph.depth(id)).collect::<Vec<_>>();
        assert_eq!(depths(&mut graph), [1, 2, 1, 3]);
        let x = graph.inputs()[0];
        graph.set_inputs(nodes[1], &[x]).unwrap();
        assert_eq!(depths(&mut graph), [1, 1, 1, 2]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let steps: String = (1..20_000).map(|n| format!("%{} = relu %{n}\n", n + 1)).collect();
        let mut graph = parse(&format!("%x: f32[2]\n%1 = relu %x\n{steps}return %20000")).unwrap();
        let last = graph.nodes().last().expect("a node");
        assert_eq!(graph.depth(last), 20_000);
    }
}
