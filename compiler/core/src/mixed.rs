//! Which values of a graph may be stored as f16: `--precision mixed`.
//!
//! What `--precision f16` keeps in f32 whatever the numbers are ([`crate::layout::keep_wide`]) is not enough: a value may leave the
//! range of f16, or lose digits that a later function amplifies. So the reference evaluator runs the graph on calibration
//! inputs, once in f32 and, in step with it, once with every stored value rounded to f16 ([`twin`]). That tells for each value
//! how large it is, how much rounding changes it, and how much of a change each reader passes on. From these the error that each
//! value's rounding causes in the outputs follows ([`choose`]), to first order; what is chosen from that is measured again.
//! Where that is more work than [`WORK`], rules on the graph's structure decide ([`rules`]).
//!
//! The mechanism is the one that there is: [`Graph::keep_single`].

mod choose;
mod numbers;
mod report;
mod rules;
mod spread;
#[cfg(test)]
mod tests;
mod twin;
mod values;

pub use report::{Depth, Error, KeptValue, MixedReport, Why};
pub use rules::overflows;
pub use spread::spread;

use drift_ir::eval::{EvalError, steps_of};
use drift_ir::{Graph, Tensor};
use std::collections::BTreeMap;
use values::Values;

/// How far below the largest f16 the magnitudes of calibration must stay: other inputs make other numbers.
pub const HEADROOM: f64 = 4.0;

/// The largest share of an output's largest magnitude that f16 may change, where the caller says nothing.
pub const DEFAULT_BUDGET: f64 = 1e-3;

/// What the budget may be exceeded by where the error is spread so evenly that keeping a tenth of what f16 saves in f32 does not
/// bring it down; beyond it values are kept whatever that costs.
pub const SLACK: f64 = 5.0;

/// The share of what f16 saves, bytes and arithmetic on matrix units, which may be given back to come from [`SLACK`] budgets to
/// one.
pub const GIVEN_BACK: f64 = 0.1;

/// Elementary steps of the evaluator that the analysis of an entry may take: some minutes of one core.
pub const WORK: u64 = 1 << 37;

/// Tensors for the inputs of a graph, by their names.
pub type CalibrationSet = BTreeMap<String, Tensor>;

/// What is asked for by `--precision mixed`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The largest share of an output's largest magnitude by which it may change.
    pub budget: f64,
    /// Inputs to try; an entry takes those that fit it.
    pub sets: Vec<CalibrationSet>,
    /// What the sets are, for the bundle's provenance.
    pub told: String,
}

/// Why no decision could be made.
#[derive(Debug, thiserror::Error)]
pub enum MixedError {
    /// No set has a tensor for each input.
    #[error(
        "none of the {sets} calibration sets ({told}) fits the model: {reason}; give --calibrate a folder with a tensor for each input"
    )]
    NoSet {
        /// How many there are.
        sets: usize,
        /// What they are.
        told: String,
        /// What the first of them lacks.
        reason: String,
    },
    /// The evaluator failed.
    #[error("the reference evaluator does not run on calibration data ({told})")]
    Evaluate {
        /// What the data are.
        told: String,
        /// Why.
        #[source]
        source: Box<EvalError>,
    },
    /// A set makes outputs that hold no number to measure an error by.
    #[error(
        "on calibration data ({told}) the model's float results are not finite even in f32, so no error can be measured; give \
         --calibrate a folder with inputs as the model is used on"
    )]
    NotFinite {
        /// What the data are.
        told: String,
    },
}

/// Keeps in f32 what f16 would spoil, and says what and why. `strict` makes of a graph what `--precision f16` makes of it.
pub(crate) fn keep(
    graph: &mut Graph,
    entry: &str,
    options: &Mixed,
    strict: impl Fn(&mut Graph),
) -> Result<MixedReport, MixedError> {
    let mut subject = graph.clone();
    strict(&mut subject);
    let values = Values::of(&subject);
    let sets = fitting(&subject, options)?;
    let work = sets.first().map_or(Ok(u64::MAX), |set| work(&subject, set, options))?;
    let decided = match choose::decide(&subject, &values, &sets, (options, work))? {
        Some(decided) => decided,
        None => rules::decide(&subject, &values),
    };
    let stays = values.with_moved(&subject, |value| decided.kept.contains_key(&value));
    stays.into_iter().for_each(|value| graph.keep_single(value));
    Ok(report::report(&subject, &values, entry, options, decided))
}

/// The inputs of each distinct set that fits, in the graph's order.
fn fitting(graph: &Graph, options: &Mixed) -> Result<Vec<Vec<Tensor>>, MixedError> {
    let mut sets: Vec<Vec<Tensor>> = Vec::new();
    let mut first = None;
    for set in &options.sets {
        match inputs(graph, set) {
            Ok(inputs) if sets.contains(&inputs) => {}
            Ok(inputs) => sets.push(inputs),
            Err(reason) => {
                first.get_or_insert(reason);
            }
        }
    }
    match first {
        Some(reason) if sets.is_empty() => {
            let (sets, told) = (options.sets.len(), options.told.clone());
            Err(MixedError::NoSet { sets, told, reason })
        }
        _ => Ok(sets),
    }
}

/// A set's tensors for a graph, or what does not fit.
fn inputs(graph: &Graph, set: &CalibrationSet) -> Result<Vec<Tensor>, String> {
    let one = |&input: &drift_ir::ValueId| {
        let name = &graph.value(input).name;
        set.get(name).cloned().ok_or_else(|| format!("it has no input `{name}`"))
    };
    let tensors: Vec<Tensor> = graph.inputs().iter().map(one).collect::<Result<_, _>>()?;
    drift_ir::eval::bound(graph, &tensors).map_err(|error| error.to_string())?;
    Ok(tensors)
}

/// Elementary steps of one evaluation.
fn work(graph: &Graph, inputs: &[Tensor], options: &Mixed) -> Result<u64, MixedError> {
    let bound = drift_ir::eval::bound(graph, inputs).map_err(|error| failed(options, error))?;
    let steps = bound.nodes().map(|id| steps_of(&bound, bound.node(id)));
    Ok(steps.fold(0, u64::saturating_add))
}

fn failed(options: &Mixed, source: EvalError) -> MixedError {
    MixedError::Evaluate { told: options.told.clone(), source: Box::new(source) }
}
