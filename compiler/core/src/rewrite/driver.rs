//! Runs rules over a graph: the one driver of all passes.
//!
//! It visits nodes in execution order, tries the rules in their order, and repeats until nothing changes; `explain` prints
//! the report.

use super::report::{Applied, Refusal, Report};
use super::rule::{Apply, Device, DeviceOutcome, Rule};
use drift_ir::{Graph, NodeId, verify};

/// Sweeps that a pass makes at most. Every rule makes its node simpler, so a graph that needs more has rules that undo
/// each other; stopping there costs speed, never correctness.
const MAX_SWEEPS: usize = 64;

/// Rewrites at one node in one sweep, at most.
const MAX_REPEATS: usize = 64;

/// Rules that run together.
pub(super) struct Driver<'a> {
    rules: Vec<&'a Rule>,
    /// The device that they rewrite for, if it is one.
    device: Option<&'a Device<'a>>,
}

impl<'a> Driver<'a> {
    /// Rules for every device, in the order in which a node tries them.
    pub(super) fn new(rules: impl Iterator<Item = &'a Rule>) -> Self {
        Self { rules: rules.collect(), device: None }
    }

    /// The same for one device.
    pub(super) fn on(self, device: &'a Device<'a>) -> Self {
        Self { device: Some(device), ..self }
    }

    /// Runs the rules until nothing changes.
    pub(super) fn run(&self, graph: &mut Graph) -> Report {
        let mut report = Report::default();
        for _ in 0..MAX_SWEEPS {
            report.declined.clear();
            let applied_before = report.applied.len();
            self.sweep(graph, &mut report);
            if report.applied.len() == applied_before {
                break;
            }
        }
        report
    }

    /// Runs the rules once over the nodes that there are, and leaves those that they add.
    pub(super) fn run_once(&self, graph: &mut Graph) -> Report {
        let mut report = Report::default();
        self.sweep(graph, &mut report);
        report
    }

    fn sweep(&self, graph: &mut Graph, report: &mut Report) {
        let nodes: Vec<NodeId> = graph.nodes().collect();
        for node in nodes {
            self.visit(graph, node, report);
        }
        for rule in &self.rules {
            if let Apply::Graph(apply) = rule.apply {
                let gone = apply(graph).into_iter();
                report.applied.extend(gone.map(|node| Applied { node, rule: rule.name, why: String::new() }));
            }
        }
        debug_assert_eq!(verify::verify(graph), Ok(()));
    }

    /// Applies rules to one node until none applies any more. Refusals count only from the last round.
    fn visit(&self, graph: &mut Graph, id: NodeId, report: &mut Report) {
        for _ in 0..MAX_REPEATS {
            let mut refusals = Vec::new();
            if !self.apply_first(graph, id, report, &mut refusals) {
                report.declined.append(&mut refusals);
                return;
            }
        }
    }

    /// Applies the first rule that applies at a node, if one does.
    fn apply_first(
        &self,
        graph: &mut Graph,
        id: NodeId,
        report: &mut Report,
        refusals: &mut Vec<Refusal>,
    ) -> bool {
        let Some(name) = graph.get_node(id).map(|subject| subject.name.clone()) else { return false };
        for rule in &self.rules {
            let end = graph.node_capacity();
            match self.attempt(rule, graph, id) {
                Ok(Some(why)) => {
                    report.applied.push(Applied { node: name, rule: rule.name, why });
                    return true;
                }
                Ok(None) => {}
                Err(reason) => {
                    graph.remove_unread_from(end);
                    refusals.push(Refusal { node: name.clone(), rule: rule.name, reason });
                }
            }
        }
        false
    }

    fn attempt(&self, rule: &Rule, graph: &mut Graph, id: NodeId) -> DeviceOutcome {
        match (rule.apply, self.device) {
            (Apply::Node(at, apply), _) if at(&graph.node(id).op) => Ok(apply(graph, id)?.then(String::new)),
            (Apply::Device(at, apply), Some(device)) if at(&graph.node(id).op) => apply(graph, id, device),
            _ => Ok(None),
        }
    }
}
