//! Which steps of a program compute a node together, and which values their storages hold before it.
//!
//! A storage is named after the value that it is made for. Where a step writes over an operand, what the storage holds changes
//! with the steps, so they are gone through in order.

use crate::kernel::{Access, Source};
use crate::program::{Program, ProgramStep};
use drift_ir::{Graph, NodeId, Op, ValueId};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap};

/// What steps compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Computes {
    /// The result of a node.
    Node(NodeId),
    /// A dense copy of a value.
    Copy(ValueId),
}

/// A value in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) value: ValueId,
    /// Whether it is a dense copy, and not as its layout says.
    pub(super) is_copy: bool,
}

/// Steps that compute one thing.
#[derive(Debug)]
pub(super) struct Group {
    /// What they compute; none for steps that stand for nothing in the graph.
    pub(super) computes: Option<Computes>,
    /// Indices of the steps, in order.
    pub(super) steps: Vec<usize>,
    /// The storages that they touch, with what is in each before the first step that does.
    pub(super) before: BTreeMap<u32, Option<Held>>,
    /// Of a concatenation: storages within that of its result which hold operands that no step has to copy.
    pub(super) joined: BTreeMap<u32, Held>,
    /// The storage of the result: what the last step writes.
    pub(super) result: Option<u32>,
}

/// The groups of a program, in order of their first steps.
pub(super) fn groups(graph: &Graph, program: &Program) -> Vec<Group> {
    let nodes: HashMap<&str, NodeId> =
        graph.nodes().map(|node| (graph.node(node).name.as_str(), node)).collect();
    let mut held: Vec<Option<Held>> = program
        .storages
        .iter()
        .map(|storage| graph.value_by_name(&storage.name).map(|value| Held { value, is_copy: false }))
        .collect();
    let mut groups: IndexMap<String, Group> = IndexMap::new();
    for (index, step) in program.steps.iter().enumerate() {
        let computes = computes(graph, &nodes, step);
        let key = format!("{computes:?} {}", step.name);
        let group = groups.entry(key).or_insert_with(|| Group {
            computes,
            steps: Vec::new(),
            before: BTreeMap::new(),
            joined: joined((graph, program), computes, step, &held),
            result: None,
        });
        group.steps.push(index);
        for slot in &step.call.slots {
            let Source::Activation(storage) = slot.source else { continue };
            group.before.entry(storage).or_insert(held[storage as usize]);
            if slot.access == Access::Write {
                group.result = Some(storage);
            }
        }
        let made = computes.and_then(|computes| match computes {
            Computes::Node(node) => {
                graph.node(node).outputs.first().map(|&value| Held { value, is_copy: false })
            }
            Computes::Copy(value) => Some(Held { value, is_copy: true }),
        });
        for slot in step.call.slots.iter().filter(|slot| slot.access == Access::Write) {
            if let Source::Activation(storage) = slot.source {
                held[storage as usize] = made;
            }
        }
    }
    groups.into_values().collect()
}

/// The storages within that of a concatenation's result, whose first step is `step`, with what they hold.
fn joined(
    (graph, program): (&Graph, &Program),
    computes: Option<Computes>,
    step: &ProgramStep,
    held: &[Option<Held>],
) -> BTreeMap<u32, Held> {
    let is_concat =
        matches!(computes, Some(Computes::Node(node)) if matches!(graph.node(node).op, Op::Concat(_)));
    let written = step.call.slots.iter().find_map(|slot| match slot.source {
        Source::Activation(storage) if slot.access == Access::Write => Some(storage),
        Source::Activation(_) | Source::Constant(_) => None,
    });
    let Some(result) = written.filter(|_| is_concat) else { return BTreeMap::new() };
    let range = |storage: u32| {
        let root = program.root(storage);
        let end = root.offset_bytes + program.storages[storage as usize].kind.size_bytes();
        (root.storage, root.offset_bytes, end)
    };
    let (root, start, end) = range(result);
    let is_part = |storage: u32| {
        let (other, first, last) = range(storage);
        storage != result && other == root && first >= start && last <= end
    };
    let storages = (0..program.storages.len() as u32).filter(|&storage| is_part(storage));
    storages.filter_map(|storage| Some((storage, held[storage as usize]?))).collect()
}

/// What a step computes. Copies that no node asks for are named after what they do and have no origins.
fn computes(graph: &Graph, nodes: &HashMap<&str, NodeId>, step: &ProgramStep) -> Option<Computes> {
    // A step that writes into the result of a concatenation stands for that, too.
    let is_of = |node: &&NodeId| {
        let origins = &graph.node(**node).origins;
        step.origins.starts_with(origins) && step.origins.is_empty() == origins.is_empty()
    };
    let node = nodes.get(step.name.as_str()).filter(is_of);
    if let Some(&node) = node {
        return Some(Computes::Node(node));
    }
    let (what, value) = step.name.split_once(' ').filter(|_| step.origins.is_empty())?;
    matches!(what, "convert" | "keep" | "constant").then_some(())?;
    graph.value_by_name(value).map(Computes::Copy)
}
