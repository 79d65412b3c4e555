//! Memory that a layer's intermediates may take before a run's peak would grow much.

use crate::layout::device_type;
use crate::select::Context;
use drift_ir::{Graph, Node, NodeId, Op, ValueDef, ValueId};
use std::collections::BTreeMap;

/// A part of the peak that intermediates may add to it.
const SHARE: u64 = 8;

/// Bytes that no device misses.
const LEAST: u64 = 8 << 20;

/// Bytes for a node's intermediates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headroom {
    /// What its neighbours leave free below the most that is live at any node: whatever is there costs nothing.
    pub(super) below_peak: u64,
    /// The most that it may take: that, or a share of the peak.
    pub(super) most: u64,
    /// The most that is live at any node.
    pub(super) peak: u64,
}

/// Bytes that are live while each node runs.
pub(super) struct LiveBytes {
    at: BTreeMap<NodeId, u64>,
    /// The most of them.
    peak: u64,
}

/// The headroom of the node that makes `result`, estimated from the graph's values, each in a storage of its own.
pub(super) fn of(context: &Context<'_>, result: ValueId) -> Headroom {
    let LiveBytes { at, peak } = context.live_bytes.get_or_init(|| {
        let at = live_bytes(context);
        let peak = at.values().copied().max().unwrap_or(0);
        LiveBytes { at, peak }
    });
    let peak = *peak;
    let node = match context.graph.value(result).def {
        ValueDef::Node { node, .. } => at.get(&node).copied().unwrap_or(peak),
        ValueDef::Input(_) | ValueDef::Constant(_) => peak,
    };
    let below_peak = peak - node;
    Headroom { below_peak, most: below_peak.max(peak / SHARE).max(LEAST), peak }
}

/// Bytes that are live while each node runs. Reshapes are left out: they seldom move anything.
fn live_bytes(context: &Context<'_>) -> BTreeMap<NodeId, u64> {
    let graph = context.graph;
    let nodes: Vec<NodeId> = graph.nodes().collect();
    let last = last_uses(graph, &nodes);
    let mut alive: u64 = graph.inputs().iter().map(|&input| bytes(context, input)).sum();
    let mut result = BTreeMap::new();
    for (at, &id) in nodes.iter().enumerate() {
        let node = graph.node(id);
        alive += node.outputs.iter().map(|&output| bytes(context, output)).sum::<u64>();
        let dying = |value: &ValueId| last.get(value).is_none_or(|&last| last == at);
        if !matches!(node.op, Op::Reshape(_)) {
            result.insert(id, alive - in_place(context, node, dying));
        }
        let mut gone: Vec<ValueId> =
            node.operands().chain(node.outputs.iter().copied()).filter(dying).collect();
        gone.sort();
        gone.dedup();
        let made = |value: &ValueId| matches!(graph.value(*value).def, ValueDef::Node { .. });
        alive -= gone.iter().filter(|value| made(value)).map(|&value| bytes(context, value)).sum::<u64>();
    }
    result
}

/// The last reader of each value, by its place in the order; beyond all for the graph's outputs.
fn last_uses(graph: &Graph, nodes: &[NodeId]) -> BTreeMap<ValueId, usize> {
    let mut last = BTreeMap::new();
    for (at, &id) in nodes.iter().enumerate() {
        last.extend(graph.node(id).operands().map(|operand| (operand, at)));
    }
    last.extend(graph.outputs().iter().map(|&output| (output, usize::MAX)));
    last
}

/// Bytes of a result that is likely to be written over an operand of its element-wise function.
fn in_place(context: &Context<'_>, node: &Node, dying: impl Fn(&ValueId) -> bool) -> u64 {
    let Some(&output) = node.outputs.first() else { return 0 };
    let size = bytes(context, output);
    let element_wise = match node.op {
        Op::Elementwise(_) => node.inputs.as_slice(),
        Op::MatMul(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => &[],
    };
    let mut operands = element_wise.iter().chain(&node.epilogue.operands);
    let found = operands.any(|operand| {
        let made = matches!(context.graph.value(*operand).def, ValueDef::Node { .. });
        made && dying(operand) && bytes(context, *operand) == size
    });
    if found { size } else { 0 }
}

/// Bytes of a value in memory; none for constants.
fn bytes(context: &Context<'_>, value: ValueId) -> u64 {
    if context.constant_tensor(value).is_some() {
        return 0;
    }
    device_type(context.graph, value, context.precision)
        .map_or(0, |(element, shape)| shape.iter().product::<u64>() * element.size_bytes())
}
