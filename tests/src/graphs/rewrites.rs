//! Compares the evaluator's results before and after rewrites.
//!
//! Where only rules applied that keep every bit, results are equal bit for bit. Elsewhere a result is no further from that of
//! an evaluation in f64 than before, but for what noise of the size of rounding errors does to it.

use super::effects::{self, Effect};
use super::generate::Case;
use super::reference::{self, Noise, Runs};
use drift_compiler::estimate::Decisions;
use drift_compiler::narrow;
use drift_compiler::profile::GENERIC;
use drift_compiler::rewrite::{self, Device, Report, Rules};
use drift_ir::{ElementType, Graph, Tensor, eval, text, verify};

/// How far a graph came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The evaluator refuses it, as for an index out of range: nothing to compare.
    Refused,
    /// No rule applied.
    Unchanged,
    /// Rules of `simplify` applied.
    Simplified,
    /// Rules of `fuse` applied.
    Fused,
    /// Attention was written out or projections were packed.
    Expanded,
}

/// What was found of a graph that is right.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The last stage that changed it.
    pub stage: Stage,
    /// Rules that applied.
    pub rules: Vec<&'static str>,
    /// Elements whose special value a listed rule changed.
    pub special: u64,
}

/// Roundings that noise stands for: an op of many operations rounds more than once.
const NOISE: Noise = Noise { scale: 4.0, f16: false };

/// Runs with noise: a few at first, and many before something is called wrong.
const RUNS: [u64; 2] = [3, 40];

/// Checks all rewrites of a graph; the error says what differs.
pub fn check(case: &Case) -> Result<Passed, String> {
    let mut passed = Passed { stage: Stage::Refused, rules: Vec::new(), special: 0 };
    let Ok(expected) = eval::run(&case.graph, &case.inputs) else { return Ok(passed) };
    passed.stage = Stage::Unchanged;
    let mut check = Check { case, expected, runs: None, effect: Effect::Same, hides: false };
    let mut widened = case.graph.clone();
    narrow::widen(&mut widened);
    if widened.node_capacity() > case.graph.node_capacity() {
        check.compare("widen", &widened, &mut passed)?;
    }
    let (simplified, report) = rewrite::simplify(widened, &Rules::default());
    check.stage("simplify", &simplified, &report, (Stage::Simplified, &mut passed))?;
    let (fused, report) = rewrite::fuse(simplified, &Rules::default());
    check.stage("fuse", &fused, &report, (Stage::Fused, &mut passed))?;
    let (expanded, report) = for_generic(fused);
    check.stage("expand", &expanded, &report, (Stage::Expanded, &mut passed))?;
    Ok(passed)
}

/// The graph after all rewrites, and what they may have done to its numbers.
pub fn rewritten(graph: &Graph) -> (Graph, Effect) {
    let (simplified, first) = rewrite::simplify(graph.clone(), &Rules::default());
    let (fused, second) = rewrite::fuse(simplified, &Rules::default());
    let (expanded, third) = for_generic(fused);
    let effects = [first, second, third].map(|report| effects::of_report(graph, &report));
    (expanded, effects.into_iter().max().unwrap_or(Effect::Same))
}

/// A graph as the profile that serves every device has it, all of whose values are buffers.
fn for_generic(graph: Graph) -> (Graph, Report) {
    let decisions = Decisions::of(&graph, &GENERIC, None);
    let device = Device { profile: &GENERIC, decisions: &decisions, buffers: true };
    rewrite::for_device(graph, &device, &Rules::default())
}

/// Compares a graph with what some rewrite of a known effect made of it.
pub fn compare(case: &Case, rewritten: &Graph, effect: Effect) -> Result<(), String> {
    let Ok(expected) = eval::run(&case.graph, &case.inputs) else { return Ok(()) };
    let mut passed = Passed { stage: Stage::Unchanged, rules: Vec::new(), special: 0 };
    Check { case, expected, runs: None, effect, hides: false }.compare("the rewrite", rewritten, &mut passed)
}

struct Check<'c> {
    case: &'c Case,
    expected: Vec<Tensor>,
    runs: Option<Runs>,
    /// Of all rules so far.
    effect: Effect,
    /// Whether a mask became a band: a merely low number then hides scores for good, however large they are.
    hides: bool,
}

impl Check<'_> {
    fn stage(
        &mut self,
        name: &str,
        graph: &Graph,
        report: &Report,
        (stage, passed): (Stage, &mut Passed),
    ) -> Result<(), String> {
        if report.applied.is_empty() {
            return Ok(());
        }
        passed.stage = stage;
        passed.rules.extend(report.applied.iter().map(|applied| applied.rule));
        self.effect = self.effect.max(effects::of_report(&self.case.graph, report));
        self.hides |= report.count("attention-band") > 0;
        self.compare(name, graph, passed).map_err(|why| {
            let rules: Vec<&str> = report.applied.iter().map(|applied| applied.rule).collect();
            format!("{why}\nafter {}:\n{}", rules.join(", "), text::print(graph))
        })
    }

    fn compare(&mut self, stage: &str, graph: &Graph, passed: &mut Passed) -> Result<(), String> {
        verify::verify(graph).map_err(|error| format!("{stage} leaves an invalid graph: {error}"))?;
        let printed = text::print(graph);
        match text::parse(&printed) {
            Ok(read) if text::print(&read) == printed => {}
            Ok(_) => return Err(format!("{stage}: the printed graph reads differently")),
            Err(error) => return Err(format!("{stage}: the printed graph does not parse: {error}")),
        }
        let boundary = |graph: &Graph| -> Vec<_> {
            let values = graph.outputs().iter().map(|&output| graph.value(output));
            values.map(|value| (value.name.clone(), value.ty.display(&graph.symbols).to_string())).collect()
        };
        if boundary(graph) != boundary(&self.case.graph) {
            let (before, after) = (boundary(&self.case.graph), boundary(graph));
            return Err(format!("{stage} changes the outputs {before:?} to {after:?}"));
        }
        let found = eval::run(graph, &self.case.inputs)
            .map_err(|error| format!("{stage}: the evaluator refuses the result: {error}"))?;
        for (output, after) in found.iter().enumerate() {
            let before = &self.expected[output];
            if before.ty() != after.ty() {
                return Err(format!("{stage}: output {output} changes its type"));
            }
            let found = if self.effect == Effect::Same {
                same(before, after)
            } else {
                self.near(output, after, graph)
            };
            let name = &boundary(graph)[output].0;
            passed.special += found.map_err(|why| format!("{stage}: `{name}` {why}"))?;
        }
        Ok(())
    }

    /// Whether an output is as near to the numbers in f64 as it was; gives the elements whose special value differs.
    fn near(&mut self, output: usize, after: &Tensor, graph: &Graph) -> Result<u64, String> {
        let before = &self.expected[output];
        if same(before, after).is_ok() {
            return Ok(0);
        }
        let mut judged = Err(String::new());
        for count in RUNS {
            if self.runs.as_ref().is_none_or(|runs| runs.len() as u64 <= count) {
                self.runs =
                    Some(reference::runs(self.case, NOISE, count).ok_or("cannot be evaluated in f64")?);
            }
            let Some(runs) = &self.runs else { return Ok(0) };
            let runs: Vec<&[f64]> = runs.iter().map(|run| &run[output][..]).collect();
            judged = judge_all(before, after, self.effect, &runs);
            if judged.is_ok() {
                return judged;
            }
        }
        // What a listed rule does to a special value, other ops may make a finite number or a bool of.
        let most = match self.effect {
            Effect::Special if self.hides => 1e4,
            Effect::Special => 1e18,
            Effect::F16 | Effect::Same => f64::INFINITY,
        };
        let special = is_extreme(&self.case.graph, self.case, most) || is_extreme(graph, self.case, most);
        if special { Ok(1) } else { judged }
    }
}

/// Whether a half on the way overflows, or nearly, or another float is beyond `most`.
fn is_extreme(graph: &Graph, case: &Case, most: f64) -> bool {
    let mut extreme = false;
    let mut look = |tensor: &Tensor| {
        let beyond = |value: f64| match tensor.element() {
            ElementType::F16 => value.is_nan() || value.abs() > most.min(3e4),
            ElementType::F32 | ElementType::F64 => most.is_finite() && (value.is_nan() || value.abs() > most),
            _ => false,
        };
        extreme |= tensor.to_f64_vec().into_iter().any(beyond);
    };
    case.inputs.iter().for_each(&mut look);
    let ran = eval::run_observed(graph, &case.inputs, |_, results| results.iter().for_each(&mut look));
    extreme || ran.is_err()
}

fn judge_all(before: &Tensor, after: &Tensor, effect: Effect, runs: &[&[f64]]) -> Result<u64, String> {
    let mut special = 0;
    for (at, (e, s)) in before.to_f64_vec().into_iter().zip(after.to_f64_vec()).enumerate() {
        let exact: Vec<f64> = runs.iter().map(|run| run[at]).collect();
        match judge(before.element(), effect, (e, s), &exact) {
            Verdict::Right => {}
            Verdict::Listed => special += 1,
            Verdict::Wrong => {
                let few = &exact[..exact.len().min(4)];
                return Err(format!("was {e:e} and is {s:e} at {at}; in f64 it is {few:?}"));
            }
        }
    }
    Ok(special)
}

enum Verdict {
    Right,
    /// A listed rule may change this special value.
    Listed,
    Wrong,
}

/// Judges an element before and after by what it is in f64, without noise and with it.
fn judge(element: ElementType, effect: Effect, (before, after): (f64, f64), exact: &[f64]) -> Verdict {
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    if same(before, after) || exact.iter().any(|&value| same(value, after)) {
        return Verdict::Right;
    }
    let steady =
        exact.iter().all(|value| value.is_finite()) || exact.iter().all(|&value| same(value, exact[0]));
    if !steady {
        // Noise decides what it is.
        return Verdict::Right;
    }
    if !element.is_float() {
        let moves = exact.iter().any(|&value| value != exact[0]);
        return if moves { Verdict::Right } else { Verdict::Wrong };
    }
    if !after.is_finite() || !exact[0].is_finite() {
        let largest = if element == ElementType::F16 { 65504.0 } else { f64::from(f32::MAX) };
        let overflows = exact[0].abs() >= largest * 0.99 && !after.is_finite();
        return if overflows || effect == Effect::Special { Verdict::Listed } else { Verdict::Wrong };
    }
    let spread = exact.iter().map(|value| (value - exact[0]).abs()).fold(0.0, f64::max);
    let smallest = match element {
        ElementType::F16 => 6e-8,
        // There is no wider type in which to see how much of a sum of such cancels.
        ElementType::F64 => 1e-14,
        _ => 1.2e-38,
    };
    let own = reference::unit(element) * exact[0].abs() * 4.0 + smallest;
    let was = if before.is_finite() { (before - exact[0]).abs() } else { 0.0 };
    match (after - exact[0]).abs() <= was * 2.0 + spread * 8.0 + own {
        // What overflowed in between does so no longer.
        true if !before.is_finite() => Verdict::Listed,
        true => Verdict::Right,
        false if !before.is_finite() && effect == Effect::Special => Verdict::Listed,
        false => Verdict::Wrong,
    }
}

/// Bit for bit; one NaN is like another.
fn same(before: &Tensor, after: &Tensor) -> Result<u64, String> {
    if before.bytes() == after.bytes() {
        return Ok(0);
    }
    let pairs = before.to_f64_vec().into_iter().zip(after.to_f64_vec());
    let differs = |(a, b): &(f64, f64)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
    match pairs.enumerate().find(|(_, pair)| differs(pair)) {
        Some((at, (a, b))) => {
            Err(format!("was {a:e} and is {b:e} at {at}, though every rule keeps all bits"))
        }
        None if before.element() == ElementType::I64 => Err("differs in integers beyond 2^53".to_owned()),
        None => Ok(0),
    }
}
