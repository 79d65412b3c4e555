//! The graph: two typed arenas, and edits that keep them consistent.
//!
//! Nodes are kept in execution order: [`Graph::nodes`] iterates a topological order that every edit preserves.

mod build;
mod depth;
mod edit;
mod error;
mod order;
mod uses;

pub use crate::id::{NodeId, ValueId};
pub use edit::EpilogueArg;
pub use error::EditError;
pub use uses::{Use, UseMap};

use self::order::Order;
use crate::dim::{IntExpr, Symbols};
use crate::host_form::HostForm;
use crate::op::known::Known;
use crate::op::{Epilogue, Op, Operand};
use crate::tensor::{Tensor, TensorType};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueDef {
    /// The `n`th graph input.
    Input(u32),
    /// A constant.
    Constant(Tensor),
    /// The `output`th result of a node.
    Node {
        /// The producer.
        node: NodeId,
        /// Which of its results.
        output: u32,
    },
}

/// A tensor in the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name as the model writes it; unique in a graph.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// Where it comes from.
    pub def: ValueDef,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name as the model writes it (or the name of its first output where it has none).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands of `op`, in order. Optional trailing operands are absent, never null.
    pub inputs: Vec<ValueId>,
    /// Scalar steps applied to result 0 before it is written; its operands broadcast to the result.
    pub epilogue: Epilogue,
    /// Results, in order.
    pub outputs: Vec<ValueId>,
    /// Names of the model's own nodes that this one stands for, in model order. Errors and `explain` use them.
    pub origins: Vec<String>,
}

/// A state that outlives a run: an input whose next content is an output, kept in place (a KV cache).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The graph input that reads it.
    pub input: ValueId,
    /// The graph output that writes it.
    pub output: ValueId,
}

/// A model as driftc sees it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name of the model.
    pub name: String,
    /// Free dimensions.
    pub symbols: Symbols,
    /// How callers have inputs and outputs, by name, where not as their element type. The text form leaves it out.
    pub host_forms: BTreeMap<String, HostForm>,
    nodes: Vec<Option<Node>>,
    values: Vec<Option<Value>>,
    order: Order,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    /// The outputs again, to be asked for.
    given_out: BTreeSet<ValueId>,
    states: Vec<State>,
    /// Elements as shape arithmetic determines them, by value index.
    known: Vec<Option<Known>>,
    /// Nodes that read a value, by value index.
    readers: Vec<BTreeSet<NodeId>>,
    value_names: BTreeMap<String, ValueId>,
    node_names: BTreeSet<String>,
    /// Values that stay f32 where floats become f16.
    single: BTreeSet<ValueId>,
    /// Bytes that folded constants may still take.
    folding: Option<u64>,
    /// Where values begin that a copy of the graph has for itself.
    shared: Option<u32>,
    /// Depths of nodes that were asked for, by node index; 0 is not known.
    depths: Vec<u32>,
}

impl Node {
    /// Everything the node reads: its inputs, then the operands of its epilogue.
    pub fn operands(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().chain(&self.epilogue.operands).copied()
    }
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Nodes in execution order: every operand is computed before its users.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + '_ {
        self.order.nodes()
    }

    /// Says that copies are made from here on: values added later are theirs, and another copy's of the same index is another
    /// value.
    pub fn share(&mut self) {
        self.shared = Some(self.values.len() as u32);
    }

    /// Whether a value is the same in all copies since [`Graph::share`].
    pub fn is_shared(&self, value: ValueId) -> bool {
        self.shared.is_none_or(|end| value.0 < end)
    }

    /// Bytes that folded constants may still take, which is several times what the graph's constants had at first: a chain
    /// of folded nodes that double what they read ends soon.
    pub fn folding_left(&self) -> u64 {
        const LEAST: u64 = 64 << 20;
        const FACTOR: u64 = 16;
        self.folding.unwrap_or_else(|| {
            let constants = self.values().filter_map(|(value, _)| self.constant(value));
            let bytes: u64 = constants.map(Tensor::size_bytes).sum();
            LEAST.saturating_add(bytes.saturating_mul(FACTOR))
        })
    }

    /// Counts a folded constant; false, and nothing is counted, where it would take more than is left.
    pub fn count_folding(&mut self, bytes: u64) -> bool {
        let left = self.folding_left().checked_sub(bytes);
        self.folding = left.or(self.folding);
        left.is_some()
    }

    /// Whether a value stays f32 where a program's floats become f16.
    pub fn is_single(&self, value: ValueId) -> bool {
        self.single.contains(&value)
    }

    /// Lets a value stay f32 where a program's floats become f16.
    pub fn keep_single(&mut self, value: ValueId) {
        self.single.insert(value);
    }

    /// Which of two nodes comes first in execution order. Panics for nodes that were removed.
    pub fn compare(&self, a: NodeId, b: NodeId) -> Ordering {
        self.order.rank(a).cmp(&self.order.rank(b))
    }

    /// A node. Panics for one that was removed.
    pub fn node(&self, node: NodeId) -> &Node {
        self.get_node(node).expect("the node is in the graph")
    }

    /// A node, unless it was removed.
    pub fn get_node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node.0 as usize)?.as_ref()
    }

    /// A value. Panics for one that was removed.
    pub fn value(&self, value: ValueId) -> &Value {
        self.get_value(value).expect("the value is in the graph")
    }

    /// A value, unless it was removed.
    pub fn get_value(&self, value: ValueId) -> Option<&Value> {
        self.values.get(value.0 as usize)?.as_ref()
    }

    /// Every value, in the order in which they were added.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        (0u32..).map(ValueId).zip(&self.values).filter_map(|(id, value)| Some((id, value.as_ref()?)))
    }

    /// One more than the largest value index: the length of a side table by value.
    pub fn value_capacity(&self) -> usize {
        self.values.len()
    }

    /// One more than the largest node index: the length of a side table by node.
    pub fn node_capacity(&self) -> usize {
        self.nodes.len()
    }

    /// The value of that name.
    pub fn value_by_name(&self, name: &str) -> Option<ValueId> {
        self.value_names.get(name).copied()
    }

    /// Graph inputs, in the model's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Graph outputs, in the model's order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Pairs of an input and the output that becomes its next content.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The content of a constant; `None` for other values.
    pub fn constant(&self, value: ValueId) -> Option<&Tensor> {
        match &self.get_value(value)?.def {
            ValueDef::Constant(tensor) => Some(tensor),
            ValueDef::Input(_) | ValueDef::Node { .. } => None,
        }
    }

    /// The node that computes a value.
    pub fn producer(&self, value: ValueId) -> Option<NodeId> {
        match self.get_value(value)?.def {
            ValueDef::Node { node, .. } => Some(node),
            ValueDef::Input(_) | ValueDef::Constant(_) => None,
        }
    }

    /// The elements of an integer or bool value, row-major, where constants and shape arithmetic determine all of them.
    pub fn known_ints(&self, value: ValueId) -> Option<&[IntExpr]> {
        self.known(value)?.ints()
    }

    /// The elements of a value, where constants and shape arithmetic determine all of them.
    pub fn known(&self, value: ValueId) -> Option<&Known> {
        self.known.get(value.0 as usize)?.as_ref()
    }

    /// What inference may know about a value.
    pub fn operand(&self, value: ValueId) -> Operand<'_> {
        Operand { ty: &self.value(value).ty, known: self.known(value), constant: self.constant(value) }
    }

    /// A value name that is free: `base`, or `base` with a number.
    pub fn unique_name(&self, base: &str) -> String {
        unique(base, |name| self.value_names.contains_key(name))
    }

    /// A node name that is free: `base`, or `base` with a number.
    pub fn unique_node_name(&self, base: &str) -> String {
        unique(base, |name| self.node_names.contains(name))
    }
}

fn unique(base: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(base) {
        return base.to_owned();
    }
    (1u64..)
        .map(|number| format!("{base}_{number}"))
        .find(|name| !is_taken(name))
        .expect("there are more numbers than names")
}

#[cfg(test)]
mod tests;
