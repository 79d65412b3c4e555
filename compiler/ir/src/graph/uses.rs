//! Who reads which value.

use super::{Graph, NodeId, ValueDef, ValueId};

/// How a node reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// As operand `n` of its op.
    Input(usize),
    /// As operand `n` of its epilogue.
    Epilogue(usize),
}

/// The readers of every value at one moment; edits do not update it.
#[derive(Clone, Debug)]
pub struct UseMap {
    uses: Vec<Vec<(NodeId, Use)>>,
    outputs: Vec<u32>,
}

impl UseMap {
    /// Collects the readers of every value.
    pub fn new(graph: &Graph) -> Self {
        let mut uses = vec![Vec::new(); graph.value_capacity()];
        for id in graph.nodes() {
            for (value, how) in node_uses(graph, id) {
                uses[value.0 as usize].push((id, how));
            }
        }
        let mut outputs = vec![0; graph.value_capacity()];
        for value in graph.outputs() {
            outputs[value.0 as usize] += 1;
        }
        Self { uses, outputs }
    }

    /// Readers of a value, in execution order.
    pub fn of(&self, value: ValueId) -> &[(NodeId, Use)] {
        self.uses.get(value.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether the value is a graph output.
    pub fn is_output(&self, value: ValueId) -> bool {
        self.outputs.get(value.0 as usize).is_some_and(|&count| count > 0)
    }

    /// The only reader, when there is exactly one and the value is no graph output.
    pub fn only_use(&self, value: ValueId) -> Option<(NodeId, Use)> {
        match self.of(value) {
            [only] if !self.is_output(value) => Some(*only),
            _ => None,
        }
    }
}

fn node_uses(graph: &Graph, id: NodeId) -> impl Iterator<Item = (ValueId, Use)> + '_ {
    let node = graph.node(id);
    let inputs = node.inputs.iter().enumerate();
    let extra = node.epilogue.operands.iter().enumerate();
    inputs
        .map(|(index, &value)| (value, Use::Input(index)))
        .chain(extra.map(|(index, &value)| (value, Use::Epilogue(index))))
}

impl Graph {
    /// Readers of a value, in execution order.
    pub fn users(&self, value: ValueId) -> Vec<(NodeId, Use)> {
        let mut readers: Vec<NodeId> = self.readers(value).collect();
        readers.sort_by_key(|&id| self.order.rank(id));
        let uses =
            readers.into_iter().flat_map(|id| node_uses(self, id).map(move |(used, how)| (used, id, how)));
        uses.filter(|&(used, _, _)| used == value).map(|(_, id, how)| (id, how)).collect()
    }

    /// The nodes that read a value, each once, in the order in which they were added.
    pub fn readers(&self, value: ValueId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.readers[value.0 as usize].iter().copied()
    }

    /// Whether any node reads a value.
    pub fn is_read(&self, value: ValueId) -> bool {
        !self.readers[value.0 as usize].is_empty()
    }

    /// Whether the value is a graph input.
    pub fn is_input(&self, value: ValueId) -> bool {
        self.get_value(value).is_some_and(|value| matches!(value.def, ValueDef::Input(_)))
    }

    /// Whether the value is a graph output.
    pub fn is_output(&self, value: ValueId) -> bool {
        self.given_out.contains(&value)
    }
}
