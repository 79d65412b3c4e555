//! The estimates for each attention of a graph on one profile, made once: rewriting writes out what has no kernel or a slow one,
//! and selection builds the kernel that was found best.

use super::attention::{Plan, Work, plan};
use crate::layout::{Precision, device_type};
use crate::profile::Profile;
use drift_ir::{Graph, NodeId, Op};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What was decided for the nodes of a graph on one profile.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    attention: BTreeMap<NodeId, (Work, Plan)>,
}

impl Decisions {
    /// Estimates every attention whose sizes are known or bounded.
    pub fn of(graph: &Graph, profile: &Profile, precision: Option<Precision>) -> Self {
        let estimated = |id| Some((id, work(graph, id, precision)?));
        let planned = |(id, work): (NodeId, Work)| (id, (work.clone(), plan(&work, profile)));
        Self { attention: graph.nodes().filter_map(estimated).map(planned).collect() }
    }

    /// The estimates for a node; none where its sizes have no bound.
    pub fn attention(&self, id: NodeId) -> Option<&Plan> {
        self.attention.get(&id).map(|(_, plan)| plan)
    }

    /// The same for a node that needs `work`. It is estimated anew where a later pass changed what there is to do: keeping
    /// an operand in f32 does.
    pub fn attention_of(&self, id: Option<NodeId>, work: &Work, profile: &Profile) -> Cow<'_, Plan> {
        match id.and_then(|id| self.attention.get(&id)) {
            Some((recorded, plan)) if recorded == work => Cow::Borrowed(plan),
            _ => Cow::Owned(plan(work, profile)),
        }
    }
}

/// Sizes of an attention; the largest where they are free, none where they have no bound.
fn work(graph: &Graph, id: NodeId, precision: Option<Precision>) -> Option<Work> {
    let node = graph.node(id);
    let Op::Attention(op) = &node.op else { return None };
    let dims = |at: usize| &graph.value(node.inputs[at]).ty.shape;
    let largest =
        |at: usize| -> Option<Vec<u64>> { dims(at).iter().map(|dim| dim.range(&graph.symbols).1).collect() };
    let is_free = (0..3).any(|at| dims(at).iter().any(|dim| dim.as_const().is_none()));
    let (element, _) = device_type(graph, node.inputs[0], precision).ok()?;
    let sizes = op.sizes(&largest(0)?, &largest(1)?, &largest(2)?);
    Some(Work::new(node, op, (&sizes, is_free), element))
}
