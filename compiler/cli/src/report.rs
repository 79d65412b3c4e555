//! What commands write for scripts: JSON whose keys are a contract, and the process's own memory use.

use crate::compare::Difference;
use crate::error::CliError;
use crate::errors::ErrorsJson;
use crate::kept::MixedJson;
use drift_compiler::quantize::QuantizedWeight;
use serde::{Serialize, Serializer};

/// What `driftc MODEL.onnx --json FILE` writes.
#[derive(Debug, Serialize)]
pub struct CompileJson {
    /// Milliseconds of each stage, in the order in which they ran.
    #[serde(serialize_with = "in_order")]
    pub compile_ms: Vec<(&'static str, f64)>,
    /// Sum over the stages.
    pub total_ms: f64,
    /// Most memory that the process held; `null` where the system does not say.
    pub peak_rss_bytes: Option<u64>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// With `--weights q8` or `q4`: each weight that was quantized.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantized: Vec<QuantizedJson>,
    /// With `--precision mixed`: what each entry keeps in f32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mixed: Vec<MixedJson>,
}

/// A weight that was quantized.
#[derive(Debug, Serialize)]
pub struct QuantizedJson {
    /// The model's name of it.
    pub name: String,
    /// Its form.
    pub form: &'static str,
    /// How many numbers it has.
    pub elements: u64,
    /// Bytes that they take, with scales.
    pub bytes: u64,
    /// Length of the difference from the model's weights over the length of these.
    pub relative_error: f64,
}

impl From<&QuantizedWeight> for QuantizedJson {
    fn from(weight: &QuantizedWeight) -> Self {
        let QuantizedWeight { name, form, elements, bytes, relative_error } = weight.clone();
        Self { name, form, elements, bytes, relative_error }
    }
}

/// What `--json FILE` writes where a command could not do its work.
#[derive(Debug, Serialize)]
pub struct FailureJson {
    /// The error and its causes.
    pub error: Vec<String>,
    /// Whether the model is sound and only asks for more than this version can do.
    pub unsupported: bool,
    /// Whether it is a bug of driftc.
    pub internal: bool,
}

impl FailureJson {
    /// What is known of an error.
    pub fn of(error: &CliError) -> Self {
        Self {
            error: error.chain().map(ToString::to_string).collect(),
            unsupported: error.unsupported().is_some(),
            internal: error.is_internal(),
        }
    }
}

/// What `driftc verify --json FILE` writes.
#[derive(Debug, Default, Serialize)]
pub struct VerifyJson {
    /// One for each model and target.
    pub models: Vec<ModelJson>,
    /// Models that passed.
    pub passed: usize,
    /// Models whose outputs are right and of which nothing runs on the device, since constants decide all of them.
    pub folded: usize,
    /// Models with an output that is wrong.
    pub failed: usize,
    /// Models that cannot be compiled or replayed.
    pub unsupported: usize,
    /// Models that were not verified because they, their data or the command's flags are at fault.
    pub errors: usize,
}

impl VerifyJson {
    /// Whether anything could be compared at all.
    pub fn is_empty(&self) -> bool {
        self.passed + self.folded + self.failed == 0
    }
}

/// How one model did on one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelJson {
    /// Name of its folder or file.
    pub name: String,
    /// API that it was compiled for.
    pub target: &'static str,
    /// Device that replayed it; `null` where none did.
    pub device: Option<String>,
    /// Variant that the device chose; `null` where none was replayed.
    pub variant: Option<String>,
    /// Whether it passed.
    pub status: Status,
    /// Every output compared.
    pub outputs: Vec<OutputJson>,
    /// Why it is unsupported, or what is wrong beside numbers.
    pub reason: Option<String>,
    /// What the compiler or the importer warned of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// With `--per-node`: the first node whose result is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_wrong_node: Option<String>,
}

/// How one output did, the worst over all data sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputJson {
    /// Name of the output.
    pub name: String,
    /// Whether it passed.
    pub status: Status,
    /// Largest absolute difference; `null` where one side is not finite.
    pub max_abs: f64,
    /// Largest relative difference; `null` where one side is not finite.
    pub max_rel: f64,
    /// Elements outside the tolerance.
    pub wrong: usize,
    /// The first of them: where, what came and what was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_wrong: Option<String>,
    /// How large the differences are, over all elements of all data sets.
    pub errors: ErrorsJson,
}

impl OutputJson {
    /// An output with its verdict.
    pub fn new(name: &str, difference: &Difference) -> Self {
        Self {
            name: name.to_owned(),
            status: if difference.passes() { Status::Pass } else { Status::Fail },
            max_abs: difference.max_abs,
            max_rel: difference.max_rel,
            wrong: difference.wrong,
            first_wrong: difference.first_wrong.map(|wrong| wrong.to_string()),
            errors: difference.errors.report(),
        }
    }
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Within the tolerance.
    Pass,
    /// Within the tolerance, and nothing of it runs on the device.
    Folded,
    /// Outside.
    Fail,
    /// Not compiled, or not replayed, for a stated reason.
    Unsupported,
    /// Not verified: the model, its data or a flag is at fault.
    Error,
}

impl Status {
    /// As lines and JSON write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Folded => "FOLDED",
            Self::Fail => "FAIL",
            Self::Unsupported => "UNSUPPORTED",
            Self::Error => "ERROR",
        }
    }
}

/// What `driftc bench --json FILE` writes.
#[derive(Debug, Serialize)]
pub struct BenchJson {
    /// Device that replayed.
    pub device: String,
    /// API of its shaders.
    pub target: &'static str,
    /// Variant that it chose.
    pub variant: String,
    /// From the opened bundle to a session that can run.
    pub load_ms: f64,
    /// The first replay.
    pub first_run_ms: f64,
    /// What the pipeline cache held then: `created` (nothing, and it was filled), `used`, `replaced` or `unwritable`.
    pub pipeline_cache: &'static str,
    /// As `load_ms`, for a second load that finds the pipelines of the first in the cache.
    pub warm_load_ms: f64,
    /// As `first_run_ms`, after the second load.
    pub warm_first_run_ms: f64,
    /// Of `warm_load_ms`: memory set to zeros and the init program.
    pub init_ms: f64,
    /// Middle of the measured replays.
    pub median_ms: f64,
    /// Fastest of them.
    pub min_ms: f64,
    /// 90 of 100 were not slower.
    pub p90_ms: f64,
    /// 95 of 100 were not slower.
    pub p95_ms: f64,
    /// 99 of 100 were not slower.
    pub p99_ms: f64,
    /// Middle of the times that the GPU itself measured; `null` where it cannot.
    pub gpu_median_ms: Option<f64>,
    /// Part of a replay in which the GPU has nothing to do, from 0 to 1: it waits for the host; `null` where the GPU does not
    /// measure.
    pub host_share: Option<f64>,
    /// Most device memory held, which is while loading.
    pub peak_device_bytes: u64,
    /// Device memory held from then on.
    pub kept_device_bytes: u64,
    /// Replays measured.
    pub iterations: u32,
    /// What the importer or the compiler warned of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// With `--per-dispatch`: the middle GPU time of each, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dispatches: Vec<DispatchJson>,
    /// With `--ablate`: the model as it is, then without each technique that changes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ablation: Vec<AblationJson>,
}

/// One dispatch of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct DispatchJson {
    /// Its name.
    pub name: String,
    /// Middle GPU time.
    pub gpu_median_ms: f64,
    /// Bytes that it must read at least.
    pub bytes_read: u64,
    /// Bytes that it must write at least.
    pub bytes_written: u64,
    /// Its arithmetic.
    pub flops: u64,
}

/// A model compiled without one technique.
#[derive(Clone, Debug, Serialize)]
pub struct AblationJson {
    /// What was left out; `nothing` in the first line.
    pub without: String,
    /// Middle of the replays.
    pub median_ms: f64,
    /// Dispatches of a replay.
    pub dispatches: usize,
    /// Bytes of the memory plan for activations.
    pub activations_planned_bytes: u64,
    /// Bytes that a replay must read at least.
    pub bytes_read: u64,
    /// Bytes that a replay must write at least.
    pub bytes_written: u64,
    /// Largest difference from the outputs in f32, over their largest magnitude; none where those are not finite.
    pub error: Option<f64>,
}

/// Pairs as a JSON object whose keys keep their order.
fn in_order<S: Serializer>(pairs: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// A report as indented JSON. Numbers that JSON cannot hold become `null`.
pub fn json(report: &impl Serialize) -> String {
    serde_json::to_string_pretty(report).expect("reports hold strings and numbers only")
}

/// Most memory that this process held, as Linux counts it.
pub fn peak_rss_bytes() -> Option<u64> {
    peak_rss_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_rss_in(status: &str) -> Option<u64> {
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kibibytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Wrong;

    #[test]
    fn peak_memory_is_read_in_bytes() {
        assert_eq!(peak_rss_in("Name:\tdriftc\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_rss_in("Name:\tdriftc\n"), None);
    }

    #[test]
    fn an_infinite_difference_is_null() {
        let first_wrong = Some(Wrong { index: 0, got: f64::NAN, expected: 1.0 });
        let difference = Difference {
            max_abs: f64::INFINITY,
            max_rel: 0.5,
            wrong: 1,
            first_wrong,
            ..Difference::default()
        };
        let text = json(&OutputJson::new("y", &difference));
        assert!(text.contains("a NaN where a number is expected"), "{text}");
        assert!(text.contains("\"max_abs\": null") && text.contains("\"status\": \"FAIL\""), "{text}");
    }
}
