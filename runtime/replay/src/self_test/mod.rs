//! Tries a device on a bundle's self-test (`drift_bundle::self_test`): runs its program, compares the samples with their right
//! values, and says which dispatch is the first that is wrong.

mod json;
pub(crate) mod verdicts;

use std::fmt;

use drift_bundle::manifest::Dispatch;
use drift_bundle::self_test::{Samples, SelfTest, Test};

use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::program::Program;

pub use drift_bundle::self_test::Untested;

/// How a device did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelfTestReport {
    /// Name of the device.
    pub device: String,
    /// Its driver and the driver's version.
    pub driver: String,
    /// The API, and its version.
    pub api: String,
    /// PCI ids of the vendor and of the device.
    pub ids: [u32; 2],
    /// BLAKE3 of what the bundle says of itself, hex: equal for equal bundles.
    pub bundle: String,
    /// Name of the model.
    pub model: String,
    /// The entry that was tested, not that of the self-test.
    pub entry: String,
    /// The variant.
    pub variant: String,
    /// How many tests ran.
    pub tests: usize,
    /// Those that are wrong, in the order of the program.
    pub wrong: Vec<WrongDispatch>,
    /// Dispatches that the self-test leaves out, with the reason.
    pub untested: Vec<Untested>,
}

/// A test whose samples are wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongDispatch {
    /// Names of its dispatches: one, or several that compute a node together.
    pub dispatches: Vec<String>,
    /// Names of their shaders.
    pub shaders: Vec<String>,
    /// The model's nodes that they compute.
    pub nodes: Vec<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// They are too far from their right values.
    Values {
        /// How many.
        wrong: usize,
        /// Of how many.
        samples: usize,
        /// The worst of them, by its number.
        sample: usize,
        /// Its right value.
        expected: f64,
        /// What the device made.
        got: f64,
        /// How far it may be off.
        tolerance: f64,
    },
    /// They are right, and others in a second run on the same operands.
    Unsteady {
        /// How many differ.
        differ: usize,
        /// Of how many.
        samples: usize,
    },
}

impl SelfTestReport {
    /// Whether all that was tested is right.
    pub const fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    /// The first dispatch that is wrong.
    pub fn first_wrong(&self) -> Option<&WrongDispatch> {
        self.wrong.first()
    }
}

impl fmt::Display for WrongDispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.dispatches.join("`, `"))?;
        if !self.nodes.is_empty() {
            write!(f, " (for {})", self.nodes.join(", "))?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values { wrong, samples, sample, expected, got, tolerance } => write!(
                f,
                "{wrong} of {samples} samples are wrong, the worst of them (sample {sample}) is {got} where {expected} is right \
                 within {tolerance}"
            ),
            Self::Unsteady { differ, samples } => {
                write!(f, "{differ} of {samples} samples differ between two runs on the same operands")
            }
        }
    }
}

/// A self-test as a session keeps it: what to compare with, and what to call each test.
pub(crate) struct Plan {
    right: SelfTest,
    /// One for each test.
    named: Vec<WrongDispatch>,
    report: SelfTestReport,
}

impl Plan {
    /// The self-test that a program is; none for a program of the model.
    pub(crate) fn of(program: &Program<'_>, info: &DeviceInfo) -> Result<Option<Self>, RuntimeError> {
        let Some(entry) = drift_bundle::self_test::tested_entry(&program.entry.name) else { return Ok(None) };
        let Some(right) = SelfTest::of(program.bundle, program.entry, program.variant)? else {
            return Ok(None);
        };
        let named = right.tests.iter().map(|test| named(program, test)).collect();
        let report = SelfTestReport {
            device: info.name.clone(),
            driver: info.driver.clone(),
            api: format!("{} {}", info.kind.title(), info.api_version),
            ids: [info.vendor_id, info.device_id],
            bundle: verdicts::hex(&program.bundle.contents().hash()),
            model: program.bundle.manifest().provenance.model.clone(),
            entry: entry.to_owned(),
            variant: program.variant.name.clone(),
            tests: right.tests.len(),
            wrong: Vec::new(),
            untested: right.untested.clone(),
        };
        Ok(Some(Self { right, named, report }))
    }

    /// What comes of the bits that two runs left.
    pub(crate) fn judge(&self, first: &[i32], second: &[i32]) -> SelfTestReport {
        let mut report = self.report.clone();
        for (test, named) in self.right.tests.iter().zip(&self.named) {
            let range = test.sample as usize..test.sample as usize + test.expected.len();
            let (first, second) = (&first[range.clone()], &second[range]);
            // A wrong second run is told as such, whatever the first one was.
            let fault =
                values(test, first).or_else(|| values(test, second)).or_else(|| unsteady(first, second));
            report.wrong.extend(fault.map(|fault| WrongDispatch { fault, ..named.clone() }));
        }
        report
    }
}

/// What a test is called when it is wrong.
fn named(program: &Program<'_>, test: &Test) -> WrongDispatch {
    let first = test.first as usize;
    let dispatches = &program.variant.dispatches[first..first + test.count as usize];
    let each = |of: &dyn Fn(&Dispatch) -> Vec<String>| {
        let mut all: Vec<String> = Vec::new();
        for name in dispatches.iter().flat_map(of) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    };
    WrongDispatch {
        dispatches: each(&|dispatch| vec![dispatch.name.clone()]),
        shaders: each(&|dispatch| vec![program.shader(dispatch).name.clone()]),
        nodes: each(&|dispatch| dispatch.origins.clone()),
        fault: Fault::Unsteady { differ: 0, samples: test.expected.len() },
    }
}

/// Samples that are too far from their right values.
fn values(test: &Test, bits: &[i32]) -> Option<Fault> {
    let one = |sample: usize| match &test.expected {
        Samples::Floats(values) => {
            let (expected, got) = (values[sample], f32::from_bits(bits[sample].cast_unsigned()));
            let share = if expected.is_finite() { test.relative * expected.abs() } else { 0.0 };
            let tolerance = test.absolute.max(share);
            (f64::from(expected), f64::from(got), f64::from(tolerance))
        }
        Samples::Integers(values) => (f64::from(values[sample]), f64::from(bits[sample]), 0.0),
    };
    let (mut wrong, mut worst) = (0, None);
    for sample in 0..bits.len() {
        let (expected, got, tolerance) = one(sample);
        let off = (got - expected).abs();
        // Two infinities of one sign are as far apart as no number says.
        if off <= tolerance || got == expected {
            continue;
        }
        wrong += 1;
        // What is no number is farther off than any number.
        let off = if off.is_nan() { f64::INFINITY } else { off - tolerance };
        if worst.is_none_or(|(_, most)| off > most) {
            worst = Some((sample, off));
        }
    }
    let (sample, _) = worst?;
    let (expected, got, tolerance) = one(sample);
    Some(Fault::Values { wrong, samples: bits.len(), sample, expected, got, tolerance })
}

/// Samples that are others in a second run.
fn unsteady(first: &[i32], second: &[i32]) -> Option<Fault> {
    let differ = first.iter().zip(second).filter(|(a, b)| a != b).count();
    (differ > 0).then_some(Fault::Unsteady { differ, samples: first.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(values: &[f32]) -> Vec<i32> {
        values.iter().map(|value| value.to_bits().cast_signed()).collect()
    }

    fn test(expected: Samples) -> Test {
        Test { sample: 0, first: 0, count: 1, absolute: 0.5, relative: 0.25, expected }
    }

    #[test]
    fn samples_are_held_against_the_larger_tolerance() {
        let test = test(Samples::Floats(vec![0.0, 1.0, 4.0]));
        assert_eq!(values(&test, &bits(&[0.5, 0.5, 5.0])), None);
        let fault = values(&test, &bits(&[0.75, 1.0, 5.5])).expect("a fault");
        let Fault::Values { wrong, sample, expected, got, tolerance, .. } = fault else {
            panic!("{fault:?}")
        };
        assert_eq!((wrong, sample, expected, got, tolerance), (2, 2, 4.0, 5.5, 1.0));
    }

    #[test]
    fn what_is_no_number_is_never_right() {
        let test = test(Samples::Floats(vec![0.0, 1.0]));
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let fault = values(&test, &bits(&[100.0, special])).expect("a fault");
            assert!(matches!(fault, Fault::Values { wrong: 2, sample: 1, .. }), "{fault:?}");
        }
    }

    #[test]
    fn infinities_are_right_where_they_are_expected() {
        let test = test(Samples::Floats(vec![f32::INFINITY, f32::NEG_INFINITY]));
        assert_eq!(values(&test, &bits(&[f32::INFINITY, f32::NEG_INFINITY])), None);
        for other in [f32::NEG_INFINITY, f32::NAN, f32::MAX] {
            let fault = values(&test, &bits(&[other, f32::NEG_INFINITY])).expect("a fault");
            assert!(matches!(fault, Fault::Values { wrong: 1, sample: 0, .. }), "{fault:?}");
        }
    }

    #[test]
    fn integers_are_exact() {
        let test = test(Samples::Integers(vec![1, -3]));
        assert_eq!(values(&test, &[1, -3]), None);
        assert!(values(&test, &[1, -2]).is_some());
    }

    #[test]
    fn other_bits_of_a_second_run_are_told() {
        assert_eq!(unsteady(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(unsteady(&[1, 2, 3], &[1, 0, 0]), Some(Fault::Unsteady { differ: 2, samples: 3 }));
    }
}
