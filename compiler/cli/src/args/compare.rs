//! What `driftc compare` takes.

use super::ReplayFlags;
use super::values::TargetArg;
use clap::Args;
use std::path::PathBuf;

/// `driftc compare`
#[derive(Args, Debug)]
#[command(
    after_help = "Both bundles are fed the same tokens, and the distributions of the next token are compared: the Kullback-Leibler \
                  divergence\nof B's from A's in nats, how often both find the same token most likely, and the perplexity of each over \
                  the tokens that\ndo follow. A is the reference: f16 or f32 weights where B has quantized ones.\n\n\
                  Tokens beyond what the caches hold begin another window, with empty caches.\n\n\
                  Example:\n  driftc compare llama.drift llama-q4.drift --tokens wiki.txt --json q4.json"
)]
pub struct CompareBundlesArgs {
    /// The bundle that is the reference, with entries prefill and decode
    #[arg(value_name = "A.drift")]
    pub reference: PathBuf,
    /// The bundle that is held against it
    #[arg(value_name = "B.drift")]
    pub other: PathBuf,
    /// Token ids: a .npy or .pb file of integers, or a text of ids with spaces, commas or line ends between them
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// Tokens of a window, at most [default: as many as both bundles' caches hold]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub window: Option<u32>,
    /// Write the figures as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Which of the bundles' targets to replay [default: the first that a device is here for]
    #[arg(long, value_name = "T")]
    pub target: Option<TargetArg>,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
}
