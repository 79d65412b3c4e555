//! What `driftc generate` takes.

use super::ReplayFlags;
use super::values::TargetArg;
use crate::sampling_ranges::allowed;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// `driftc generate`
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("text").required(true).args(["prompt", "chat"])))]
#[command(
    after_help = "Text goes to standard output as it comes, figures to standard error. Ctrl-C ends a text, a second one the \
                  command.\n\n\
                  The next token is chosen in this order: repetition penalty; then the largest score where the temperature \
                  is 0; otherwise temperature, top-k, top-p, min-p, one draw. What no flag says comes from \
                  generation_config.json, then from genai_config.json; where neither asks for sampling, and no flag does, \
                  it is greedy.\n\n\
                  A text ends at a stop token of those files or of config.json, at --stop, at --max-tokens, or at the end of \
                  the context."
)]
pub struct GenerateArgs {
    /// The bundle, with entries prefill and decode
    #[arg(value_name = "OUT.drift")]
    pub bundle: PathBuf,
    /// The folder of the exported model, for tokenizer.json and what stands beside it
    #[arg(long, value_name = "DIR")]
    pub model_dir: PathBuf,
    /// A text to continue
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Answer each line of standard input, by the model's chat template
    #[arg(long)]
    pub chat: bool,
    /// What a chat begins with
    #[arg(long, value_name = "TEXT", requires = "chat", conflicts_with = "prompt")]
    pub system: Option<String>,
    /// Tokens of a text, at most [default: max_new_tokens of generation_config.json, or as many as the context holds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// End a text at this token, by id or as the vocabulary writes a special one, or before this text; may be repeated
    #[arg(long, value_name = "ID|TOKEN|TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,
    /// What draws begin with: the same seed gives the same text [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write the text, its tokens and the figures as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Which of the bundle's targets to replay [default: the first that a device is here for]
    #[arg(long, value_name = "T")]
    pub target: Option<TargetArg>,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Keep compiled pipelines in this folder, and use those that an earlier load left there
    #[arg(long, value_name = "DIR")]
    pub pipeline_cache: Option<PathBuf>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
    /// What logits are divided by; 0 always takes the likeliest token
    #[arg(long, value_name = "T", value_parser = allowed("temperature"), help_heading = "Sampling")]
    pub temperature: Option<f64>,
    /// Draw among this many of the likeliest tokens; 0 is all of them
    #[arg(long, value_name = "K", help_heading = "Sampling")]
    pub top_k: Option<u32>,
    /// Draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", value_parser = allowed("top_p"), help_heading = "Sampling")]
    pub top_p: Option<f64>,
    /// Draw among tokens that have this part of the likeliest one's probability
    #[arg(long, value_name = "P", value_parser = allowed("min_p"), help_heading = "Sampling")]
    pub min_p: Option<f64>,
    /// Divide positive scores of tokens that are there already by this, and multiply negative ones; 1 does nothing
    #[arg(long, value_name = "R", value_parser = allowed("repetition_penalty"), help_heading = "Sampling")]
    pub repetition_penalty: Option<f64>,
}
