//! What was kept in f32, and why: for people and for `--json`.

use super::values::{Values, is_product};
use super::{HEADROOM, Mixed};
use drift_ir::eval::steps_of;
use drift_ir::{Graph, ValueDef, ValueId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A reader that makes more of an error than it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Amplifier {
    /// The node.
    pub node: String,
    /// Its op.
    pub op: &'static str,
    /// How many times as large a share of its result is changed as of its operand.
    pub times: f64,
}

/// Why a value stays f32.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// Calibration, or a constant, has magnitudes that f16 does not hold with headroom.
    Overflow {
        /// The largest.
        largest: f64,
    },
    /// Its bounds are beyond f16.
    Bound {
        /// The largest magnitude within them.
        largest: f64,
    },
    /// Its numbers are so small that f16 loses their digits.
    Underflow {
        /// The root of their mean square.
        rms: f64,
    },
    /// Scores of attention, which are stored as queries are, may leave the range of f16.
    Scores {
        /// What they may reach.
        largest: f64,
        /// The attention.
        node: String,
    },
    /// Rounding it changes the outputs.
    Error {
        /// By this many budgets.
        share: f64,
        /// What makes more of it than it was.
        by: Option<Amplifier>,
    },
    /// With it rounded a node makes infinities or no numbers.
    NotFinite {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// A function that amplifies errors reads it.
    Amplified {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// The budget was not met by any part of the values.
    Unexplained,
}

impl Why {
    /// Whether it is for the error that it makes, rather than for its range.
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Error { .. })
    }

    /// In one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Overflow { .. } | Self::Bound { .. } | Self::Scores { .. } => "overflow",
            Self::Underflow { .. } => "underflow",
            Self::Error { .. } | Self::Unexplained => "error",
            Self::NotFinite { .. } => "not-finite",
            Self::Amplified { .. } => "amplified",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow { largest } => {
                write!(
                    f,
                    "overflow: largest magnitude {largest:.4e}, and f16 ends at 65504 ({HEADROOM} times that is left free)"
                )
            }
            Self::Bound { largest } => {
                write!(f, "overflow: its bounds go up to {largest:.4e}, and f16 ends at 65504")
            }
            Self::Underflow { rms } => {
                write!(f, "underflow: its numbers are around {rms:.1e}, where f16 has few digits or none")
            }
            Self::Scores { largest, node } => {
                write!(f, "overflow: scores of `{node}`, stored as queries are, may reach {largest:.4e}")
            }
            Self::Error { share, by: None } => {
                write!(f, "error: rounding it takes {} times the budget", times(*share))
            }
            Self::Error { share, by: Some(by) } => {
                let Amplifier { node, op, times: more } = by;
                let (share, more) = (times(*share), times(*more));
                write!(
                    f,
                    "error: rounding it takes {share} times the budget; `{node}` ({op}) amplifies it {more} times"
                )
            }
            Self::NotFinite { node, op } => {
                write!(f, "error: with it rounded `{node}` ({op}) makes infinities or no numbers")
            }
            Self::Amplified { node, op } => write!(f, "error: `{node}` ({op}) may amplify its rounding"),
            Self::Unexplained => {
                f.write_str("error: the budget is not met while any part of the model is f16")
            }
        }
    }
}

/// A number of times in few characters.
fn times(number: f64) -> String {
    if number < 1000.0 { format!("{number:.2}") } else { format!("{number:.1e}") }
}

/// A value that stays f32.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptValue {
    /// Its name.
    pub value: String,
    /// The node that makes it, or what else it is: an input, a weight.
    pub node: String,
    /// Why.
    pub why: Why,
    /// Bytes that f16 would save of it in a run, with the values that hold the same.
    pub bytes: u64,
}

/// How far the analysis could go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Calibration sets were evaluated, and errors measured.
    Measured {
        /// Sets that were.
        sets: usize,
        /// Sets that there are.
        of: usize,
    },
    /// Evaluating was beyond the budget of work: bounds and rules on the structure decided.
    Structure,
}

/// Errors of the outputs on calibration data, in shares of their largest magnitudes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Error {
    /// Where f16 stores everything that `--precision f16` stores so.
    pub strict: f64,
    /// As decided.
    pub mixed: f64,
}

/// What an analysis decided.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) kept: BTreeMap<ValueId, Why>,
    pub(super) depth: Depth,
    pub(super) error: Option<Error>,
}

/// What was decided for one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedReport {
    /// The entry.
    pub entry: String,
    /// The largest share of an output's largest magnitude by which it may change.
    pub budget: f64,
    /// What the calibration data are.
    pub calibration: String,
    /// How far the analysis went.
    pub depth: Depth,
    /// What was measured, if it was.
    pub error: Option<Error>,
    /// Values that stay f32, in the order in which they are made; those that only hold what another one does are left out.
    pub kept: Vec<KeptValue>,
    /// All values that stay f32 for this.
    pub kept_values: usize,
    /// Values that are f16.
    pub half_values: usize,
    /// Bytes that f16 would save in a run if it stored all of them.
    pub all_bytes: u64,
    /// Bytes of these that are not saved.
    pub kept_bytes: u64,
    /// Arithmetic of nodes that read a kept value, of products those whose factor is one; a multiply-add counts two.
    pub kept_flops: u64,
    /// Arithmetic of all nodes.
    pub all_flops: u64,
}

pub(super) fn report(
    graph: &Graph,
    values: &Values,
    entry: &str,
    options: &Mixed,
    decided: Decided,
) -> MixedReport {
    let Decided { kept, depth, error } = decided;
    let single = values.with_moved(graph, |value| kept.contains_key(&value));
    let is_source = |value: &ValueId| !values.is_moved(*value);
    let own = |value: ValueId, why: &Why| KeptValue {
        value: graph.value(value).name.clone(),
        node: maker(graph, value),
        why: why.clone(),
        bytes: values.bytes(value),
    };
    let listed = kept.iter().filter(|(value, _)| is_source(value)).map(|(&value, why)| own(value, why));
    let (mut kept_flops, mut all_flops) = (0_u64, 0_u64);
    for id in graph.nodes() {
        let node = graph.node(id);
        let flops = steps_of(graph, node).saturating_mul(2);
        all_flops = all_flops.saturating_add(flops);
        // A product whose bias or result alone is f32 is computed as if it were not.
        let read = if is_product(&node.op) { &node.inputs[..2] } else { &node.inputs[..] };
        if read.iter().any(|value| single.contains(value)) {
            kept_flops = kept_flops.saturating_add(flops);
        }
    }
    let bytes = |values_: &BTreeSet<ValueId>| values_.iter().map(|&value| values.own_bytes(value)).sum();
    MixedReport {
        entry: entry.to_owned(),
        budget: options.budget,
        calibration: options.told.clone(),
        depth,
        error,
        kept: listed.collect(),
        kept_values: single.len(),
        half_values: values.all().count() - single.len(),
        all_bytes: values.all_bytes(),
        kept_bytes: bytes(&single),
        kept_flops,
        all_flops,
    }
}

/// What makes a value, in words.
fn maker(graph: &Graph, value: ValueId) -> String {
    match &graph.value(value).def {
        ValueDef::Input(_) => "an input".to_owned(),
        ValueDef::Constant(_) => "a weight".to_owned(),
        ValueDef::Node { node, .. } => {
            let node = graph.node(*node);
            format!("`{}` ({})", node.name, node.op.name())
        }
    }
}

impl MixedReport {
    /// What the user should know: that even so outputs change by more than [`super::SLACK`] budgets.
    pub fn warning(&self) -> Option<String> {
        let Error { mixed, .. } = self.error?;
        (mixed > self.budget * super::SLACK).then(|| {
            format!(
                "with everything in f32 that may be, outputs still change by {mixed:.1e} of their largest magnitude on calibration data; \
                 what states hold is f16, which --precision f32 changes"
            )
        })
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let Self { kept_values, half_values, .. } = self;
        let share = |part: u64, all: u64| if all == 0 { 0.0 } else { 100.0 * part as f64 / all as f64 };
        let measured = match (self.depth, self.error) {
            (Depth::Measured { sets, of }, Some(Error { strict, mixed })) => {
                let left =
                    if sets < of { format!(" of {of}, as many as the work allows") } else { String::new() };
                format!(
                    "outputs change by {mixed:.1e} of their largest magnitude (all f16: {strict:.1e}; budget {:.0e}) on {sets} set(s){left} of {}",
                    self.budget, self.calibration
                )
            }
            _ => format!(
                "not measured: one evaluation of the model is beyond the budget of work, so bounds and rules decided (budget {:.0e} unused)",
                self.budget
            ),
        };
        format!(
            "{kept_values} values stay f32 and {half_values} are f16: {:.1} % of what f16 saves is given up, and {:.1} % of the arithmetic \
             touches f32; {measured}",
            share(self.kept_bytes, self.all_bytes),
            share(self.kept_flops, self.all_flops),
        )
    }
}
