//! What the compiler decided, for people and for `--json`.

use crate::mixed::MixedReport;
use crate::plan::MemoryPlan;
use crate::program::{Program, ProgramStep};
use crate::quantize::QuantizedWeight;
use crate::rewrite::{Applied, Refusal, Report};
use crate::select::Agreement;
use drift_bundle::manifest::Target;
use std::time::Instant;

/// What was decided, and how long it took.
#[derive(Clone, Debug, Default)]
pub struct CompileReport {
    /// Milliseconds by stage.
    pub stages: Vec<(&'static str, f64)>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What options cost.
    pub notes: Vec<String>,
    /// Each variant made.
    pub variants: Vec<VariantReport>,
    /// What the rules did, and why they did not.
    pub rules: Vec<RuleReport>,
    /// Weights that were quantized.
    pub quantized: Vec<QuantizedWeight>,
    /// With mixed precision: what each entry keeps in f32.
    pub mixed: Vec<MixedReport>,
}

/// One variant.
#[derive(Clone, Debug)]
pub struct VariantReport {
    /// Its entry.
    pub entry: String,
    /// Its target.
    pub target: Target,
    /// Its name.
    pub variant: String,
    /// Its profile.
    pub profile: String,
    /// Its dispatches at load.
    pub init: Vec<DispatchReport>,
    /// Its dispatches of a run.
    pub dispatches: Vec<DispatchReport>,
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct DispatchReport {
    /// Name.
    pub name: String,
    /// Model nodes that it computes.
    pub origins: Vec<String>,
    /// Kernel chosen.
    pub kernel: String,
    /// Layouts of its arguments.
    pub layouts: String,
    /// Why this kernel.
    pub why: String,
    /// Kernels declined before it.
    pub declined: Vec<String>,
    /// Bytes read at least.
    pub bytes_read: u64,
    /// Bytes written at least.
    pub bytes_written: u64,
    /// Arithmetic.
    pub flops: u64,
}

/// What a rule did at a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleReport {
    /// The rule.
    pub rule: String,
    /// The node.
    pub node: String,
    /// `applied`, or why not.
    pub outcome: String,
}

/// What a pass over the graph did, or over that of one profile.
pub(crate) fn rule_reports(report: Report, profile: Option<&str>) -> impl Iterator<Item = RuleReport> {
    let of = profile.map(|name| format!("{name}: ")).unwrap_or_default();
    let entry = move |rule: &'static str, node, outcome: String| RuleReport {
        rule: rule.to_owned(),
        node,
        outcome: format!("{of}{outcome}"),
    };
    let applied = report.applied.into_iter().map(|Applied { node, rule, why }| match why.is_empty() {
        true => (rule, node, "applied".to_owned()),
        false => (rule, node, format!("applied: {why}")),
    });
    let declined = report.declined.into_iter();
    let declined = declined.map(|Refusal { node, rule, reason }| (rule, node, format!("declined: {reason}")));
    applied.chain(declined).map(move |(rule, node, outcome)| entry(rule, node, outcome))
}

/// The report of one variant of an entry.
pub(crate) fn variant(entry: &str, target: Target, variant: &str, program: &Program) -> VariantReport {
    let one = |step: &ProgramStep| DispatchReport {
        name: step.name.clone(),
        origins: step.origins.clone(),
        kernel: step.call.kernel.name.to_owned(),
        layouts: layouts_of(step),
        why: step.why.clone(),
        declined: step.declined.clone(),
        bytes_read: step.bytes_read,
        bytes_written: step.bytes_written,
        flops: step.flops,
    };
    VariantReport {
        entry: entry.to_owned(),
        target,
        variant: variant.to_owned(),
        profile: variant.to_owned(),
        init: program.init.iter().map(one).collect(),
        dispatches: program.steps.iter().map(one).collect(),
    }
}

/// What it costs to give inputs and outputs memory of their own: `without` is the plan with them in the arena.
pub(crate) fn own_io(profile: &str, plan: &MemoryPlan, without: &MemoryPlan) -> String {
    format!(
        "profile {profile}: inputs and outputs have {} bytes of their own; with them activations take {} bytes, {} where \
         inputs and outputs are in the arena",
        plan.io_bytes.iter().sum::<u64>(),
        plan.report.planned_bytes,
        without.report.planned_bytes
    )
}

/// What entries gain and pay by having weights in one order, if any do.
pub(crate) fn agreement(profile: &str, names: &[String], agreement: &Agreement) -> Option<String> {
    let times = names.iter().zip(&agreement.slower).map(|(name, slower)| format!("`{name}` {slower:.2}"));
    (agreement.weights > 0).then(|| {
        format!(
            "profile {profile}: {} weights are in one order for all entries, which saves {} bytes; by the cost model the \
             products that read them take this many times as long as in the entry's own order: {}",
            agreement.weights,
            agreement.saved_bytes,
            times.collect::<Vec<_>>().join(", ")
        )
    })
}

/// The layouts of a step's arguments in one line.
pub(crate) fn layouts_of(step: &ProgramStep) -> String {
    let slots = step.call.slots.iter().map(|slot| {
        let view = slot.describe_view();
        format!("{} {:?} {}{view}", slot.name, slot.shape, slot.describe())
    });
    slots.collect::<Vec<_>>().join("; ")
}

/// Wall time by stage, in order of first use.
#[derive(Default)]
pub(crate) struct Clock {
    /// Milliseconds by stage.
    pub(crate) stages: Vec<(&'static str, f64)>,
}

impl Clock {
    pub(crate) fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += ms,
            None => self.stages.push((stage, ms)),
        }
        result
    }
}
