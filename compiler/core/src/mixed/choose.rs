//! Which values stay f32, from what an evaluation in step shows and from measurements of what was chosen.

use super::report::Amplifier;
use super::report::{Decided, Depth, Error};
use super::twin::{Learned, Measured, Twin};
use super::values::Values;
use super::{GIVEN_BACK, Mixed, MixedError, SLACK, WORK, Why};
use crate::ranges;
use drift_ir::{Graph, NodeId, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Evaluations that learning takes: the exact one, the rounded one, and what several changing operands of a node ask for.
const LEARNING: u64 = 3;
/// Measurements of one set at most.
const MOST_ROUNDS: u64 = 8;
/// Where below the budget the expected error of a choice is to be.
const AIM: f64 = 0.7;
/// A gain above which a reader is named as what amplifies an error.
const AMPLIFIES: f64 = 8.0;

/// What stays f32, if the evaluator may do the work, of which one evaluation takes `work` steps.
pub(super) fn decide(
    graph: &Graph,
    values: &Values,
    sets: &[Vec<Tensor>],
    (options, work): (&Mixed, u64),
) -> Result<Option<Decided>, MixedError> {
    let affordable = WORK / work.max(1);
    if sets.is_empty() || affordable < LEARNING + 2 {
        return Ok(None);
    }
    let used = sets.len().min((affordable / (LEARNING + 2)) as usize);
    let rounds = (affordable / used as u64 - LEARNING).min(MOST_ROUNDS);
    let twins: Vec<Twin<'_>> =
        sets[..used].iter().map(|set| Twin::new(graph, values, set, options)).collect::<Result<_, _>>()?;
    let bounds = ranges::magnitudes(graph);
    let bound = |value: ValueId| bounds.get(&value).copied().unwrap_or(f64::INFINITY);
    let mut kept = BTreeMap::new();
    let learned: Vec<Learned> =
        twins.iter().map(|twin| twin.learn(&bound, &mut kept)).collect::<Result<_, _>>()?;
    let mut chooser = Chooser::new(graph, values, &twins, &learned, kept, options.budget);
    let strict = chooser.strict()?;
    let error = chooser.run(rounds)?;
    Ok(Some(Decided {
        kept: chooser.kept,
        depth: Depth::Measured { sets: used, of: sets.len() },
        error: Some(Error { strict, mixed: error }),
    }))
}

/// A choice under way.
struct Chooser<'a> {
    graph: &'a Graph,
    values: &'a Values,
    twins: &'a [Twin<'a>],
    learned: &'a [Learned],
    /// For each set, the change of the outputs for a change of each value, in shares of their largest magnitudes.
    passed: Vec<BTreeMap<ValueId, f64>>,
    kept: BTreeMap<ValueId, Why>,
    budget: f64,
}

impl<'a> Chooser<'a> {
    fn new(
        graph: &'a Graph,
        values: &'a Values,
        twins: &'a [Twin<'a>],
        learned: &'a [Learned],
        kept: BTreeMap<ValueId, Why>,
        budget: f64,
    ) -> Self {
        let passed = learned.iter().map(passed).collect();
        Self { graph, values, twins, learned, passed, kept, budget }
    }

    /// The error where f16 stores everything.
    fn strict(&self) -> Result<f64, MixedError> {
        let found: Option<Vec<f64>> = self.learned.iter().map(|learned| learned.error).collect();
        match found.filter(|_| self.kept.is_empty()) {
            Some(errors) => Ok(errors.into_iter().fold(0.0, f64::max)),
            None => Ok(worst(&self.measure(&BTreeSet::new())?)),
        }
    }

    fn measure(&self, kept: &BTreeSet<ValueId>) -> Result<Vec<Measured>, MixedError> {
        self.twins.iter().zip(self.learned).map(|(twin, learned)| twin.measure(learned, kept)).collect()
    }

    fn stored_single(&self) -> BTreeSet<ValueId> {
        self.values.with_moved(self.graph, |value| self.kept.contains_key(&value))
    }

    /// Keeps values until what is left is within the budget, or costs too much; the error then.
    fn run(&mut self, rounds: u64) -> Result<f64, MixedError> {
        let mut measured = self.measure(&self.stored_single())?;
        for _ in 1..rounds {
            if worst(&measured) <= self.budget || !self.keep_more(&measured) {
                break;
            }
            measured = self.measure(&self.stored_single())?;
        }
        match worst(&measured) {
            error if error <= self.budget * SLACK => Ok(error),
            _ => self.give_up(),
        }
    }

    /// Keeps everything: the numbers come before the speed.
    fn give_up(&mut self) -> Result<f64, MixedError> {
        for value in self.values.all().filter(|&value| self.values.may_stay(value)) {
            self.kept.entry(value).or_insert(Why::Unexplained);
        }
        Ok(worst(&self.measure(&self.stored_single())?))
    }

    /// Keeps more values; false where there are none that are worth it.
    fn keep_more(&mut self, measured: &[Measured]) -> bool {
        let broken: Vec<NodeId> = measured.iter().filter_map(|measured| measured.broken).collect();
        // Each of them, whatever the first one keeps.
        if broken.into_iter().map(|id| self.keep_around(id)).fold(false, |any, kept| any | kept) {
            return true;
        }
        let (errors, error) = (self.errors(measured), worst(measured));
        let sum: f64 = errors.values().map(|error| error * error).sum();
        // What is expected is the root of a mean square, and what is measured the largest.
        let is_known = sum > 0.0 && sum.is_finite() && error.is_finite();
        let factor = if is_known { error / sum.sqrt() } else { 1.0 };
        let is_far = error > self.budget * SLACK;
        let aim = AIM * self.budget * if is_far { SLACK } else { 1.0 } / factor.max(f64::MIN_POSITIVE);
        let more = self.worth_most(&errors, aim * aim, is_far);
        for &value in &more {
            let why = self.why(value, errors[&value] * factor);
            self.kept.insert(value, why);
        }
        !more.is_empty()
    }

    /// Of values that are not kept, with the error of each, those that bring the sum of squares below `aim` for the least cost;
    /// where the error is not far off, as many as may be given back for that.
    fn worth_most(&self, errors: &BTreeMap<ValueId, f64>, aim: f64, is_far: bool) -> Vec<ValueId> {
        let square = |value: &ValueId| errors[value] * errors[value];
        let cost = |value: &ValueId| self.values.cost(*value) as f64;
        let all = self.values.all_cost(self.graph) as f64;
        let worth = |value: &ValueId| square(value) / (cost(value) + all / 1000.0 + 1.0);
        let mut open: Vec<ValueId> = errors.keys().copied().filter(|value| square(value) > 0.0).collect();
        open.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        let given = self.kept.iter().filter(|(_, why)| why.is_error());
        let given: f64 = given.map(|(value, _)| cost(value)).sum();
        let mut left = if is_far { f64::INFINITY } else { GIVEN_BACK * all - given };
        let (mut more, mut at) = (Vec::new(), 0);
        // What is left is added up anew: differences of sums lose what is small beside what is large.
        while at < open.len() && open[at..].iter().map(square).sum::<f64>() > aim {
            let value = open[at];
            at += 1;
            if cost(&value) <= left {
                left -= cost(&value);
                more.push(value);
            }
        }
        more
    }

    /// Keeps what a node reads and makes; false where all of it is kept.
    fn keep_around(&mut self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let why = Why::NotFinite { node: node.name.clone(), op: node.op.name() };
        let read = node.operands().chain(node.outputs.iter().copied());
        let sources: Vec<ValueId> = read.flat_map(|value| self.values.sources(value)).collect();
        let before = self.kept.len();
        for value in sources {
            self.kept.entry(value).or_insert_with(|| why.clone());
        }
        self.kept.len() > before
    }

    /// The error that each value's rounding makes, in the set in which it is largest.
    fn errors(&self, measured: &[Measured]) -> BTreeMap<ValueId, f64> {
        let mut errors = BTreeMap::new();
        let open = |value: &ValueId| self.values.may_stay(*value) && !self.kept.contains_key(value);
        for value in self.values.all().filter(open) {
            let of = |((measured, learned), passed): ((&Measured, &Learned), &BTreeMap<ValueId, f64>)| {
                let constant = || learned.numbers.get(&value).map(|numbers| numbers.rounding);
                let fresh = measured.fresh.get(&value).copied().or_else(constant).unwrap_or(0.0);
                let passed = passed.get(&value).copied().unwrap_or(0.0);
                if fresh == 0.0 || passed == 0.0 { 0.0 } else { fresh * passed }
            };
            let sets = measured.iter().zip(self.learned).zip(&self.passed);
            errors.insert(value, sets.map(of).fold(0.0, f64::max));
        }
        errors
    }

    /// Why a value is kept whose rounding makes this error: the reader that amplifies it most, if one does.
    fn why(&self, value: ValueId, error: f64) -> Why {
        let mut most = (AMPLIFIES, None);
        for (learned, passed) in self.learned.iter().zip(&self.passed) {
            for edge in learned.edges.iter().filter(|edge| edge.from == value) {
                let rms = |value: &ValueId| learned.numbers.get(value).map_or(0.0, |numbers| numbers.rms);
                let reaches = passed.get(&edge.to).is_some_and(|&passed| passed > 0.0);
                let relative = edge.gain * rms(&edge.from) / rms(&edge.to).max(f64::MIN_POSITIVE);
                if reaches && relative > most.0 {
                    most = (relative, Some(edge.node));
                }
            }
        }
        let name = |id: NodeId| (self.graph.node(id).name.clone(), self.graph.node(id).op.name());
        let by = most.1.map(name).map(|(node, op)| Amplifier { node, op, times: most.0 });
        Why::Error { share: error / self.budget, by }
    }
}

/// The change of what is compared, in shares of its largest magnitudes, for a change of each value: root sums of squares over
/// all ways from it.
fn passed(learned: &Learned) -> BTreeMap<ValueId, f64> {
    let end = |(&value, &largest): (&ValueId, &f64)| {
        (value, 1.0 / if largest > 0.0 { largest * largest } else { 1.0 })
    };
    let mut squares: BTreeMap<ValueId, f64> = learned.ends.iter().map(end).collect();
    for edge in learned.edges.iter().rev() {
        let Some(&to) = squares.get(&edge.to) else { continue };
        if to > 0.0 && edge.gain > 0.0 {
            *squares.entry(edge.from).or_insert(0.0) += to * edge.gain * edge.gain;
        }
    }
    squares.into_iter().map(|(value, square)| (value, square.sqrt().min(f64::MAX))).collect()
}

fn worst(measured: &[Measured]) -> f64 {
    let errors = measured.iter().map(|measured| measured.error);
    errors.fold(0.0, |worst, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) })
}
