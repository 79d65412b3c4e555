//! Whisper from one bundle: encoder, the decoder's prompt and its steps with a past as three entries.
//!
//! The bundle is made from three exports, of which the last keeps its own past as states (docs/language-models.md):
//!
//! ```text
//! driftc encoder=encoder.onnx prefill=decoder.onnx decode=decoder_with_past.onnx \
//!     --dim decode.past_decoder_sequence_length=0..448 --target vulkan -o whisper.drift
//! cargo run --release --package drift-runtime --example whisper -- whisper.drift speech.wav --tokenizer tokenizer.json
//! ```
//!
//! Speech is a WAV file of 16 kHz; what is longer than the encoder's window is left out. The likeliest token is taken at each step.
//! `reference.py` does the same in onnxruntime, and tests hold both against each other token by token.

mod audio;
mod decoder;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use decoder::Transcriber;
use drift_runtime::{Bundle, Device, DeviceKind, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// Writes down what is said in a WAV file
#[derive(Parser)]
struct Args {
    /// A bundle with the entries encoder, prefill and decode
    bundle: PathBuf,
    /// Speech: PCM of 16 bits, 16 kHz
    speech: PathBuf,
    /// The model's tokenizer.json; without it the ids of the tokens are printed
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Tokens that the decoder begins with [default: those of an English transcription without times]
    #[arg(long, value_name = "ID,...", value_delimiter = ',', default_value = "50258,50259,50359,50363")]
    prompt: Vec<u32>,
    /// The token that ends a text
    #[arg(long, value_name = "ID", default_value_t = 50257)]
    end: u32,
    /// Tokens of a text, at most
    #[arg(long, default_value_t = 224)]
    max_tokens: usize,
    /// The API of the bundle's target
    #[arg(long, default_value = "vulkan", value_parser = kind)]
    target: DeviceKind,
    /// Device to replay on: its number or a part of its name
    #[arg(long, value_name = "D")]
    device: Option<String>,
}

fn kind(name: &str) -> Result<DeviceKind, String> {
    let known = DeviceKind::HERE.iter().copied();
    let mut named = known.filter(|kind| kind.target().name() == name);
    named.next().ok_or_else(|| format!("this platform replays no bundles for `{name}`"))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let bundle = Bundle::open(&args.bundle).context("cannot open the bundle")?;
    let wav =
        std::fs::read(&args.speech).with_context(|| format!("cannot read {}", args.speech.display()))?;
    let samples = audio::samples(&wav)?;
    let options = OpenOptions { device: args.device.clone(), ..OpenOptions::default() };
    let device = Device::open_with(args.target, &options)?;
    let mut transcriber = Transcriber::load(&device, &bundle)?;
    let [mels, frames] = transcriber.window();
    let features = audio::log_mel(&samples, mels, frames);
    let tokens = transcriber.transcribe(&features, &args.prompt, (args.end, args.max_tokens))?;
    match &args.tokenizer {
        None => writeln!(std::io::stdout(), "{tokens:?}")?,
        Some(path) => {
            let tokenizer = Tokenizer::from_file(path).map_err(|error| anyhow::anyhow!(error))?;
            let text = tokenizer.decode(&tokens, true).map_err(|error| anyhow::anyhow!(error))?;
            ensure!(!text.is_empty() || tokens.is_empty(), "the tokenizer knows none of the tokens");
            writeln!(std::io::stdout(), "{}", text.trim())?;
        }
    }
    Ok(())
}
