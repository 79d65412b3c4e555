//! What a pass did, for `explain` and for tests.

use super::declined::Declined;

/// A rewrite that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The node at which the rule matched.
    pub node: String,
    /// The rule.
    pub rule: &'static str,
    /// What speaks for it, where that is more than the rule itself.
    pub why: String,
}

/// A rewrite that was possible but did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node at which the rule matched.
    pub node: String,
    /// The rule.
    pub rule: &'static str,
    /// Why not.
    pub reason: Declined,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rewrites, in the order in which they happened.
    pub applied: Vec<Applied>,
    /// Refusals that still hold at the end, in execution order.
    pub declined: Vec<Refusal>,
}

impl Report {
    /// How often a rule applied.
    pub fn count(&self, rule: &str) -> usize {
        self.applied.iter().filter(|applied| applied.rule == rule).count()
    }
}
