//! What `driftc reduce` takes.

use super::values::TargetArg;
use super::{CompileFlags, ReplayFlags, tolerance};
use clap::Args;
use std::path::PathBuf;

/// `driftc reduce`
#[derive(Args, Debug)]
#[command(
    after_help = "A model fails where `driftc verify` finds other numbers than the reference evaluator's on seeded random inputs, or \
                  where it\ncannot be compiled. Nodes are left out, and what they made becomes an input, for as long as the rest fails in the \
                  same way:\nfirst behind and before the fault, then in between; at last free dimensions shrink.\n\n\
                  Beside SMALL.onnx stands test_data_set_0 with the data that show it.\n\n\
                  Example:\n  driftc reduce model.onnx --target vulkan --rtol 0 --atol 0 -o small/model.onnx"
)]
pub struct ReduceArgs {
    /// The model that fails
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// The file for what is left of it; its folder must have no test_data_set_0 yet
    #[arg(short, long, value_name = "SMALL.onnx")]
    pub output: PathBuf,
    /// GPU API to compile for and replay on
    #[arg(long, value_name = "T")]
    pub target: TargetArg,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Relative tolerance [default: 1e-3; 2e-2 where f16 is involved]
    #[arg(long, value_name = "R", value_parser = tolerance)]
    pub rtol: Option<f64>,
    /// Absolute tolerance [default: 1e-4; 2e-2 where f16 is involved]
    #[arg(long, value_name = "A", value_parser = tolerance)]
    pub atol: Option<f64>,
    /// Stop after this time, with what is found by then
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub deadline: u32,
    /// Write what was found as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}
