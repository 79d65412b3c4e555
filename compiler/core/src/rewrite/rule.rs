//! What a rewrite rule is. A rule looks at one node and answers: applied, not its pattern, or declined with a typed reason.

use super::declined::Declined;
use crate::estimate::Decisions;
use crate::profile::Profile;
use drift_ir::{Graph, NodeId, Op};
use std::fmt;

/// Whether a rule changed the graph. `Ok(false)` means that the node is not the rule's pattern, which nobody reports.
pub type Outcome = Result<bool, Declined>;

/// The same of a rule that depends on the device: what speaks for the rewrite, or none where the node is not its pattern.
pub type DeviceOutcome = Result<Option<String>, Declined>;

/// Whether nodes of an op may be a rule's. It is asked before the rule is, and costs nothing.
pub type At = fn(&Op) -> bool;

/// A rewrite rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Kebab-case name: the same in code, in `--disable`, in the test case and in reports.
    pub name: &'static str,
    /// The rewrite in one line, for documents and `explain`.
    pub picture: &'static str,
    /// Where it looks, and how to try it.
    pub apply: Apply,
}

/// Where a rule looks.
#[derive(Clone, Copy)]
pub enum Apply {
    /// At one node, which stays alive or goes; others may come or go.
    Node(At, fn(&mut Graph, NodeId) -> Outcome),
    /// At one node, for one device.
    Device(At, fn(&mut Graph, NodeId, &Device<'_>) -> DeviceOutcome),
    /// At the whole graph, after each sweep over its nodes. Gives the names of the nodes and values that went.
    Graph(fn(&mut Graph) -> Vec<String>),
}

/// What rules know of the device that a graph is rewritten for.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    /// Its profile.
    pub profile: &'a Profile,
    /// What was estimated of the graph's nodes on it.
    pub decisions: &'a Decisions,
    /// Whether all values are buffers, which alone have views of what is inside of rows.
    pub buffers: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.picture)
    }
}

/// Ops at which rules look.
pub(in crate::rewrite) mod at {
    use super::At;
    use drift_ir::Op;

    pub(in crate::rewrite) const ANY: At = |_| true;
    pub(in crate::rewrite) const ATTENTION: At = |op| matches!(op, Op::Attention(_));
    pub(in crate::rewrite) const CONCAT: At = |op| matches!(op, Op::Concat(_));
    pub(in crate::rewrite) const CONV: At = |op| matches!(op, Op::Conv(_));
    pub(in crate::rewrite) const ELEMENTWISE: At = |op| matches!(op, Op::Elementwise(_));
    pub(in crate::rewrite) const GATHER: At = |op| matches!(op, Op::Gather(_));
    pub(in crate::rewrite) const MATMUL: At = |op| matches!(op, Op::MatMul(_));
    pub(in crate::rewrite) const POOL: At = |op| matches!(op, Op::Pool(_));
    pub(in crate::rewrite) const RESHAPE: At = |op| matches!(op, Op::Reshape(_));
    pub(in crate::rewrite) const ROW_NORM: At = |op| matches!(op, Op::LayerNorm(_) | Op::RmsNorm(_));
    pub(in crate::rewrite) const SLICE: At = |op| matches!(op, Op::Slice(_));
    pub(in crate::rewrite) const TRANSPOSE: At = |op| matches!(op, Op::Transpose(_));
}
