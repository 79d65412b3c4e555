//! What `driftc run` takes.

use super::values::{InputArg, TargetArg};
use super::{CompileFlags, ReplayFlags};
use clap::Args;
use std::path::PathBuf;

/// `driftc run`
#[derive(Args, Debug)]
#[command(
    after_help = "A model is compiled first, in memory.\n\nExamples:\n  driftc run model.drift --input image=cat.npy --output-dir out\n  \
                  driftc run model.onnx --target vulkan --input image=cat.npy"
)]
pub struct RunArgs {
    /// A bundle, or a model to compile first
    #[arg(value_name = "OUT.drift|MODEL.onnx")]
    pub model: PathBuf,
    /// Which of a bundle's targets to replay, or GPU API to compile a model for [default: the first that a device is here for]
    #[arg(long, value_name = "T")]
    pub target: Option<TargetArg>,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Entry to replay, where a bundle has several [default: main, or the first]
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// An input's data; may be repeated
    #[arg(long, value_name = "NAME=FILE.npy|.pb")]
    pub input: Vec<InputArg>,
    /// Write each output there as NAME.npy
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Keep compiled pipelines in this folder, and use those that an earlier load left there
    #[arg(long, value_name = "DIR")]
    pub pipeline_cache: Option<PathBuf>,
    /// Take a variant only if its self-test passes here; what was found is kept in the folder of --pipeline-cache (bundles only)
    #[arg(long)]
    pub self_test: bool,
    /// Write what came out as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}
