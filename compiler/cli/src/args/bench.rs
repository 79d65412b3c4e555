//! What `driftc bench` takes.

use super::values::TargetArg;
use super::{CompileFlags, ReplayFlags};
use clap::Args;
use std::path::PathBuf;

/// `driftc bench`
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  driftc bench model.onnx --target vulkan --dim batch=1 --iterations 10 --ablate"
)]
pub struct BenchArgs {
    /// A bundle, or a model to compile first
    #[arg(value_name = "OUT.drift|MODEL.onnx")]
    pub model: PathBuf,
    /// GPU API to compile for, where a model is given; which target of a bundle to replay
    #[arg(long, value_name = "T")]
    pub target: Option<TargetArg>,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Entry to replay, where a bundle has several [default: main, or the first]
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Measured replays
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: u32,
    /// Replays before measuring starts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub warm_up: u32,
    /// Print where the time goes, longest first
    #[arg(long)]
    pub per_dispatch: bool,
    /// Compile again without each technique, and compare time, memory, traffic and error (models only)
    #[arg(long)]
    pub ablate: bool,
    /// Keep compiled pipelines in this folder, and use those that an earlier load left there [default: a folder that is removed
    /// afterwards]
    #[arg(long, value_name = "DIR")]
    pub pipeline_cache: Option<PathBuf>,
    /// Write one replay as a trace for chrome://tracing or Perfetto: what the host does, and when each dispatch runs
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
    /// Write the results as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// What is measured of a language model.
    #[command(flatten)]
    pub language: LanguageFlags,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}

/// What `driftc bench` measures of a language model.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Language models")]
pub struct LanguageFlags {
    /// Measure reading a prompt and generating, apart, on a bundle with entries prefill and decode: random tokens, logits of
    /// the last one only, no tokenizer, no sampling
    #[arg(long, conflicts_with_all = ["entry", "iterations", "warm_up", "per_dispatch", "ablate", "trace"])]
    pub llm: bool,
    /// Tokens of a prompt; 0 to measure none
    #[arg(
        short,
        long = "prompt-tokens",
        value_name = "N[,N...]",
        value_delimiter = ',',
        default_value = "512"
    )]
    #[arg(requires = "llm")]
    pub prompt_tokens: Vec<u32>,
    /// Tokens to generate; 0 to measure none
    #[arg(short = 'n', long, value_name = "N[,N...]", value_delimiter = ',', default_value = "128")]
    #[arg(requires = "llm")]
    pub generate_tokens: Vec<u32>,
    /// Tokens that the caches hold before
    #[arg(
        short,
        long,
        value_name = "N[,N...]",
        value_delimiter = ',',
        default_value = "0",
        requires = "llm"
    )]
    pub depth: Vec<u32>,
    /// Measurements of each kind, behind one that warms up
    #[arg(short, long, value_name = "N", default_value_t = 5, requires = "llm")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub repetitions: u32,
}
