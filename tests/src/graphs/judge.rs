//! Whether what a device computes is right.
//!
//! The device may be as far from an evaluation in f64 as noise of its rounding errors reaches. Signs of zeros, and what such
//! noise decides, are not compared; nor are graphs whose integers leave 32 bits, or whose floats come near their end.

use super::effects::Effect;
use super::generate::Case;
use super::reference::{self, Noise, Runs};
use super::rewrites;
use drift_ir::{ElementType, Tensor, eval};
use std::fmt;

/// Why a graph is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The evaluator refuses it.
    Refused,
    /// An integer leaves 32 bits.
    Integers,
    /// A float comes near the end of its type: kernels overflow in between.
    Floats,
    /// The evaluation in f64 refuses it.
    Reference,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the evaluator refuses it",
            Self::Integers => "integers beyond 32 bits",
            Self::Floats => "floats near the end of their type",
            Self::Reference => "the evaluation in f64 refuses it",
        })
    }
}

/// What a case should give.
pub struct Judge {
    expected: Vec<Tensor>,
    runs: Runs,
    /// The evaluator's results after rewrites that may change special values: what was infinite in between may not be.
    rewritten: Option<Vec<Tensor>>,
    f16: bool,
}

/// Magnitudes of f16 and of other floats that are still compared: beyond, kernels overflow in between.
const MOST: [f64; 2] = [30_000.0, 1e15];

/// Runs with noise: a few at first, and many before something is called wrong.
const RUNS: [u64; 2] = [5, 60];

fn runs(case: &Case, f16: bool, count: u64) -> Result<Runs, Skipped> {
    // A device's functions are good to some hundred roundings.
    let noise = Noise { scale: if f16 { 8.0 } else { 64.0 }, f16 };
    reference::runs(case, noise, count).ok_or(Skipped::Reference)
}

impl Judge {
    /// The evaluator's results; an error where numbers are beyond what is compared.
    pub fn expected(case: &Case, f16: bool) -> Result<Vec<Tensor>, Skipped> {
        let mut skipped = None;
        let mut look = |tensor: &Tensor| {
            let element = tensor.element();
            let most = MOST[usize::from(!f16 && element != ElementType::F16)];
            let is_far = |value: f64| value.abs() >= most && value.is_finite();
            if element == ElementType::I64
                && tensor.to_i64_vec().iter().any(|&value| i32::try_from(value).is_err())
            {
                skipped = skipped.or(Some(Skipped::Integers));
            } else if element.is_float() && tensor.to_f64_vec().into_iter().any(is_far) {
                skipped = skipped.or(Some(Skipped::Floats));
            }
        };
        case.inputs.iter().for_each(&mut look);
        case.graph.values().filter_map(|(id, _)| case.graph.constant(id)).for_each(&mut look);
        let expected = eval::run_observed(&case.graph, &case.inputs, |_, results| {
            results.iter().for_each(&mut look);
        });
        skipped.map_or(expected.map_err(|_| Skipped::Refused), Err)
    }

    /// Evaluates the case in f64, with noise and without.
    pub fn new(case: &Case, expected: Vec<Tensor>, f16: bool) -> Result<Self, Skipped> {
        let runs = runs(case, f16, RUNS[0])?;
        let is_special = |tensor: &Tensor| {
            tensor.element().is_float() && tensor.to_f64_vec().iter().any(|value| !value.is_finite())
        };
        let rewritten = expected.iter().any(is_special).then(|| rewrites::rewritten(&case.graph));
        let rewritten = rewritten.filter(|(_, effect)| *effect == Effect::Special);
        let rewritten = rewritten.and_then(|(graph, _)| eval::run(&graph, &case.inputs).ok());
        Ok(Self { expected, runs, rewritten, f16 })
    }

    /// How many outputs there are.
    pub const fn outputs(&self) -> usize {
        self.expected.len()
    }

    /// Says what is wrong with a device's outputs of the case.
    pub fn judge(&self, case: &Case, found: &[Tensor]) -> Result<(), String> {
        if self.judge_by(&self.runs, found).is_ok() {
            return Ok(());
        }
        let many = runs(case, self.f16, RUNS[1]).map_err(|skipped| skipped.to_string())?;
        self.judge_by(&many, found)
    }

    fn judge_by(&self, runs: &Runs, found: &[Tensor]) -> Result<(), String> {
        for (output, (expected, found)) in self.expected.iter().zip(found).enumerate() {
            let pairs = expected.to_f64_vec().into_iter().zip(found.to_f64_vec());
            let rewritten = self.rewritten.as_ref().map(|results| results[output].to_f64_vec());
            for (at, (wanted, got)) in pairs.enumerate() {
                if rewritten.as_ref().is_some_and(|results| self.replaces(wanted, results[at], got)) {
                    continue;
                }
                let exact: Vec<f64> = runs.iter().map(|run| run[output][at]).collect();
                if !self.agrees(expected.element(), wanted, got, &exact) {
                    return Err(format!(
                        "output {output} is {got:e} at {at}; the evaluator has {wanted:e}, f64 {:e} ({:?})",
                        exact[0],
                        &exact[..exact.len().min(6)]
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether a rewrite replaced a special value, by what was found.
    fn replaces(&self, wanted: f64, rewritten: f64, got: f64) -> bool {
        let near = if self.f16 { 0.05 } else { 1e-3 };
        let is_near = (got - rewritten).abs() <= near * rewritten.abs().max(1.0);
        (!wanted.is_finite() || !rewritten.is_finite())
            && (is_near || got == rewritten || (got.is_nan() && rewritten.is_nan()))
    }

    fn agrees(&self, element: ElementType, wanted: f64, got: f64, exact: &[f64]) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        if same(wanted, got) || exact.iter().any(|&value| same(value, got)) {
            return true;
        }
        let steady =
            exact.iter().all(|value| value.is_finite()) || exact.iter().all(|&value| same(value, exact[0]));
        let moves = exact.iter().any(|&value| value != exact[0]);
        if !steady || (!element.is_float() && moves) {
            return true;
        }
        if !element.is_float() || !got.is_finite() || !exact[0].is_finite() {
            return false;
        }
        let f16 = self.f16 || element == ElementType::F16;
        let (unit, least) = if f16 { (1.0 / 2048.0, 1e-3) } else { (1.0 / 16_777_216.0, 1e-6) };
        let spread = exact.iter().map(|value| (value - exact[0]).abs()).fold(0.0, f64::max);
        let own = unit * exact[0].abs() * 16.0 + least;
        // The evaluator's f16 may overflow where a device has floats.
        let off = if wanted.is_finite() { (wanted - exact[0]).abs() } else { 0.0 };
        (got - exact[0]).abs() <= off * 2.0 + spread * 6.0 + own
    }
}
