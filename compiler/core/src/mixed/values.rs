//! The values that f16 would store, and what that saves.

use crate::layout;
use crate::profile::rates::MULTIPLY_ADDS_PER_BYTE;
use drift_ir::eval::steps_of;
use drift_ir::{ElementType, Graph, Node, NodeId, Op, ValueDef, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that an element saves.
const SAVED: u64 = 2;

/// The f32 values of a graph that f16 would store.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// The bytes that f16 saves of each in a run: a write, unless it is a constant or an input, and a read for each reader.
    saved_bytes: BTreeMap<ValueId, u64>,
    /// Those that only move what others hold: stored as these are, since rounding once more changes nothing.
    moved: BTreeMap<ValueId, Vec<ValueId>>,
    /// What states hold: entries share states, so that none chooses for itself.
    states: BTreeSet<ValueId>,
    /// Of factors, bytes that take as long to move as their products take longer in f32.
    arithmetic: BTreeMap<ValueId, u64>,
    /// Of each value that is none of those, the bytes with all that is moved from it.
    with_copies: BTreeMap<ValueId, u64>,
}

impl Values {
    pub(super) fn of(graph: &Graph) -> Self {
        let is_half = |&(id, value): &(ValueId, &drift_ir::Value)| {
            let blocks = graph.constant(id).is_some_and(|tensor| tensor.blocks().is_some());
            let is_used = graph.is_read(id) || graph.is_output(id);
            is_used && value.ty.element == ElementType::F32 && !graph.is_single(id) && !blocks
        };
        let bytes = |(id, value): (ValueId, &drift_ir::Value)| {
            let elements = value.ty.static_element_count().unwrap_or(1);
            let writes = u64::from(matches!(value.def, ValueDef::Node { .. }));
            let moves = writes + graph.readers(id).len() as u64 + u64::from(graph.is_output(id));
            (id, elements.saturating_mul(SAVED).saturating_mul(moves))
        };
        let saved_bytes: BTreeMap<ValueId, u64> = graph.values().filter(is_half).map(bytes).collect();
        let mut moved = BTreeMap::new();
        for id in graph.nodes() {
            let node = graph.node(id);
            let sources = moved_operands(node);
            for output in node.outputs.iter().filter(|output| saved_bytes.contains_key(output)) {
                // A copy of what is f32 anyhow is rounded itself.
                let rounded = |source: &ValueId| saved_bytes.contains_key(source);
                if !sources.is_empty() && sources.iter().all(rounded) {
                    moved.insert(*output, sources.to_vec());
                }
            }
        }
        Self {
            with_copies: with_copies(&saved_bytes, &moved),
            saved_bytes,
            moved,
            states: of_states(graph),
            arithmetic: arithmetic(graph),
        }
    }

    /// Whether f16 would store it.
    pub(super) fn contains(&self, value: ValueId) -> bool {
        self.saved_bytes.contains_key(&value)
    }

    /// Values that f16 would store, in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.saved_bytes.keys().copied()
    }

    /// Whether it may stay f32 by itself: it holds numbers of its own, and is no part of a state.
    pub(super) fn may_stay(&self, value: ValueId) -> bool {
        self.contains(value) && !self.is_moved(value) && !self.states.contains(&value)
    }

    /// Whether it only moves what other values hold.
    pub(super) fn is_moved(&self, value: ValueId) -> bool {
        self.moved.contains_key(&value)
    }

    /// The values that hold what this one does: itself, or those that it is made of by moving.
    pub(super) fn sources(&self, value: ValueId) -> BTreeSet<ValueId> {
        let (mut found, mut open) = (BTreeSet::new(), vec![value]);
        while let Some(value) = open.pop() {
            match self.moved.get(&value) {
                Some(sources) => open.extend(sources),
                None if self.may_stay(value) => {
                    found.insert(value);
                }
                None => {}
            }
        }
        found
    }

    /// What f16 saves of a value and of those that only move what it holds.
    pub(super) fn bytes(&self, value: ValueId) -> u64 {
        self.with_copies.get(&value).copied().unwrap_or(0)
    }

    /// The same with what its products lose, in bytes that take as long.
    pub(super) fn cost(&self, value: ValueId) -> u64 {
        self.bytes(value).saturating_add(self.arithmetic.get(&value).copied().unwrap_or(0))
    }

    /// The cost of all of them, the arithmetic of each product once.
    pub(super) fn all_cost(&self, graph: &Graph) -> u64 {
        let products = graph.nodes().filter(|&id| is_product(&graph.node(id).op));
        let steps = products.map(|id| steps_of(graph, graph.node(id)) / MULTIPLY_ADDS_PER_BYTE);
        steps.fold(self.all_bytes(), u64::saturating_add)
    }

    /// What f16 saves of a value alone.
    pub(super) fn own_bytes(&self, value: ValueId) -> u64 {
        self.saved_bytes.get(&value).copied().unwrap_or(0)
    }

    /// What f16 saves if it stores all of them.
    pub(super) fn all_bytes(&self) -> u64 {
        self.saved_bytes.values().fold(0, |sum, &bytes| sum.saturating_add(bytes))
    }

    /// Kept values, and those that hold what they hold.
    pub(super) fn with_moved(&self, graph: &Graph, kept: impl Fn(ValueId) -> bool) -> BTreeSet<ValueId> {
        let mut all: BTreeSet<ValueId> = self.all().filter(|&value| kept(value)).collect();
        for id in graph.nodes() {
            for output in &graph.node(id).outputs {
                let stays = |source: &ValueId| all.contains(source);
                if self.moved.get(output).is_some_and(|sources| sources.iter().any(stays)) {
                    all.insert(*output);
                }
            }
        }
        all
    }
}

/// Bytes of values and of what is moved from them: a value that is moved often is looked at once, in the order of values.
fn with_copies(
    own: &BTreeMap<ValueId, u64>,
    moved: &BTreeMap<ValueId, Vec<ValueId>>,
) -> BTreeMap<ValueId, u64> {
    let mut all = own.clone();
    // Results have larger numbers than what they are made of, unless a rewrite put them first; those count for their sources only.
    for (value, sources) in moved.iter().rev() {
        let bytes = all.get(value).copied().unwrap_or(0);
        for source in sources {
            all.entry(*source).and_modify(|sum| *sum = sum.saturating_add(bytes));
        }
    }
    all
}

/// Ops that matrix units compute where both factors are f16.
pub(super) const fn is_product(op: &Op) -> bool {
    matches!(op, Op::MatMul(_) | Op::Conv(_) | Op::ConvTranspose(_) | Op::Attention(_))
}

fn arithmetic(graph: &Graph) -> BTreeMap<ValueId, u64> {
    let mut all: BTreeMap<ValueId, u64> = BTreeMap::new();
    for id in graph.nodes() {
        let node = graph.node(id);
        for &factor in node.inputs.iter().take(2).filter(|_| is_product(&node.op)) {
            let sum = all.entry(factor).or_insert(0);
            *sum = sum.saturating_add(steps_of(graph, node) / MULTIPLY_ADDS_PER_BYTE);
        }
    }
    all
}

/// States, what they become, and what writes rows into them.
fn of_states(graph: &Graph) -> BTreeSet<ValueId> {
    let mut states: BTreeSet<ValueId> =
        graph.states().iter().flat_map(|state| [state.input, state.output]).collect();
    for id in graph.nodes() {
        let node = graph.node(id);
        if matches!(node.op, Op::WriteRows(_)) && states.contains(&node.inputs[0]) {
            states.extend(&node.outputs);
        }
    }
    states
}

/// What a node moves, if it does nothing else to it.
fn moved_operands(node: &Node) -> &[ValueId] {
    match &node.op {
        op if !node.epilogue.is_empty() || !layout::is_data_movement(op) => &[],
        Op::Concat(_) => &node.inputs,
        _ => &node.inputs[..1],
    }
}

/// Whether a node makes something else of floats: indices, truth values, integers. Rounding may change which; so what it reads
/// is compared, and its results are taken as exact.
pub(super) fn decides(graph: &Graph, node: &Node) -> bool {
    let is_float = |value: ValueId| graph.value(value).ty.element.is_float();
    node.operands().any(is_float)
        && !node.outputs.iter().any(|&output| is_float(output))
        && !matches!(node.op, Op::ShapeOf(_))
}

/// The values whose errors count: float outputs, and what decisions are made of.
pub(super) fn ends(graph: &Graph) -> Vec<ValueId> {
    let is_float = |value: &ValueId| graph.value(*value).ty.element.is_float();
    let made = |value: &ValueId| matches!(graph.value(*value).def, ValueDef::Node { .. });
    let deciding = graph.nodes().filter(|&id| decides(graph, graph.node(id)));
    let read = deciding.flat_map(|id: NodeId| graph.node(id).operands().collect::<Vec<_>>());
    let mut ends: Vec<ValueId> = read.filter(is_float).filter(made).collect();
    ends.extend(graph.outputs().iter().filter(|value| is_float(value)));
    ends.sort();
    ends.dedup();
    ends
}
