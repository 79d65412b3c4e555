//! The kernels' cases on the Metal device, against the evaluator.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use drift_compiler::Precision;
use drift_runtime::{Device, DeviceKind, RuntimeError};

use super::shaders::settings;
use crate::cases;
use crate::conformance::{Outcome, graph, on_device};

/// What became of the cases.
#[derive(Debug, Default)]
pub struct Suite {
    /// Runs whose numbers are right.
    pub right: usize,
    /// Runs that the device declined, by why.
    pub declined: BTreeMap<&'static str, usize>,
    /// Runs that failed or whose numbers are wrong, with what is known of them.
    pub failures: Vec<String>,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cases      {} right, {} failed", self.right, self.failures.len())?;
        for (reason, count) in &self.declined {
            writeln!(f, "declined   {count}: {reason}")?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "FAILED {failure}"))
    }
}

/// Runs every case that begins with `prefix` under every layout and precision that Metal has. A device that is lost stays lost:
/// what comes after it fails, too.
pub fn suite(prefix: &str) -> Result<Suite, RuntimeError> {
    let device = Device::open(DeviceKind::Metal)?;
    let mut suite = Suite::default();
    for case in cases::all().filter(|case| case.name.starts_with(prefix)) {
        for setting in settings(case.name) {
            if setting.precision == Precision::F16 && cases::BEYOND_F16.contains(&case.name) {
                continue;
            }
            let run = || on_device(&device, &graph(case.graph), setting).map_err(|error| error.to_string());
            let failed =
                match catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".to_owned())) {
                    Ok(Outcome::Declined(reason)) => {
                        *suite.declined.entry(reason).or_default() += 1;
                        continue;
                    }
                    Ok(Outcome::Ran(worst)) if worst.relative <= tolerance(setting.precision) => {
                        suite.right += 1;
                        continue;
                    }
                    Ok(Outcome::Ran(worst)) => format!("{worst:?}"),
                    Err(error) => error,
                };
            suite.failures.push(format!(
                "{} {:?} {:?} {}: {failed}",
                case.name, setting.layout, setting.precision, setting.profile
            ));
        }
    }
    Ok(suite)
}

/// The error that the other devices are allowed, relative to the larger of 1 and the value.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 3e-2,
    }
}
