//! Rewrites of the graph: one driver, and rules by topic.
//!
//! Each rewrite is a named rule; [`rules`] lists them by pass, and `docs/rewrite-rules.md` is the law for authors. What depends
//! on a device is a rule of [`for_device`], which sees the profile and what was estimated on it.

mod algebra;
mod attention;
mod constants;
mod data_movement;
mod declined;
mod driver;
pub(crate) mod edit;
mod epilogue;
mod images;
mod long;
mod norms;
pub(crate) mod pattern;
mod products;
mod report;
mod rule;
pub mod rules;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use declined::Declined;
pub use epilogue::{MAX_EXTRA_OPERANDS, takes_epilogue};
pub use report::{Applied, Refusal, Report};
pub use rule::{Apply, At, Device, DeviceOutcome, Outcome, Rule};
pub use rules::{Rules, UnknownRule};

use drift_ir::Graph;
use driver::Driver;

/// Makes a graph smaller without changing what a device computes: folds constants, drops what changes nothing or is there
/// twice, and recognises activations and normalisations that exporters decompose.
pub fn simplify(mut graph: Graph, enabled: &Rules) -> (Graph, Report) {
    // The bound on folding is taken from the constants that there are before anything is folded.
    graph.count_folding(0);
    let report = Driver::new(enabled.of(rules::SIMPLIFY)).run(&mut graph);
    (graph, report)
}

/// Merges element-wise nodes into what makes their operands, and what attention consists of into one node.
pub fn fuse(mut graph: Graph, enabled: &Rules) -> (Graph, Report) {
    let report = Driver::new(enabled.of(rules::FUSE)).run(&mut graph);
    (graph, report)
}

/// Rewrites what one device computes better in other ops: attention without a good kernel, rows that are too long for one
/// workgroup, and products that are better one.
pub fn for_device(mut graph: Graph, device: &Device<'_>, enabled: &Rules) -> (Graph, Report) {
    let mut report = Report::default();
    for pass in rules::FOR_DEVICE {
        let Report { applied, declined } = Driver::new(enabled.of(pass)).on(device).run_once(&mut graph);
        report.applied.extend(applied);
        report.declined.extend(declined);
    }
    (graph, report)
}
