//! A chat with a language model's bundle, on the runtime crate alone: what a program needs of it to generate text.
//!
//! The bundle has the entries `prefill` and `decode` over caches that they share (docs/language-models.md):
//!
//! ```text
//! driftc model.onnx --target vulkan --precision f16 --logits last -o llama.drift --dim past_sequence_length=0..2048 \
//!     --entry prefill:sequence_length=128 --entry decode:sequence_length=1
//! cargo run --release --package drift-runtime --example chat -- llama.drift --tokenizer llama/tokenizer.json \
//!     --before "<|start_header_id|>user<|end_header_id|>\n\n" \
//!     --after "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" --stop "<|eot_id|>"
//! ```
//!
//! Each line of standard input is a message; the likeliest token is taken at each step. Caches are kept from turn to turn, so that
//! only what is new is fed. `driftc generate` reads chat templates and samples as well; this stays at what a program of one model
//! would do.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use drift_runtime::{Bundle, Device, DeviceKind, HostElement, LoadOptions, OpenOptions, Session, f16};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// Chats with a language model, a line of standard input at a time
#[derive(Parser)]
struct Args {
    /// A bundle with the entries prefill and decode
    bundle: PathBuf,
    /// The model's tokenizer.json
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// What stands before a message; `\n` is a line end
    #[arg(long, default_value = "")]
    before: String,
    /// What stands behind a message, before the answer
    #[arg(long, default_value = "\\n")]
    after: String,
    /// A token that ends an answer; may be repeated
    #[arg(long, value_name = "TOKEN")]
    stop: Vec<String>,
    /// Tokens of an answer, at most
    #[arg(long, default_value_t = 256)]
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
    let options = OpenOptions { device: args.device.clone(), ..OpenOptions::default() };
    let device = Device::open_with(args.target, &options)?;
    let mut model = Model::load(&device, &bundle)?;
    let tokenizer = Tokenizer::from_file(&args.tokenizer).map_err(|error| anyhow::anyhow!(error))?;
    let stops: Vec<u32> = args.stop.iter().filter_map(|stop| tokenizer.token_to_id(stop)).collect();
    ensure!(stops.len() == args.stop.len(), "the tokenizer has no token for one of --stop");
    for line in std::io::stdin().lock().lines() {
        let text = format!("{}{}{}", lines(&args.before), line?, lines(&args.after));
        // What a tokenizer puts at the beginning of a text is wanted once.
        let encoded = tokenizer.encode(text, model.position == 0).map_err(|error| anyhow::anyhow!(error))?;
        answer(&mut model, &tokenizer, encoded.get_ids(), (&stops, args.max_tokens))?;
        writeln!(std::io::stdout())?;
    }
    Ok(())
}

fn lines(text: &str) -> String {
    text.replace("\\n", "\n")
}

/// Feeds a message, and prints what the model says to it.
fn answer(
    model: &mut Model,
    tokenizer: &Tokenizer,
    message: &[u32],
    (stops, most): (&[u32], usize),
) -> Result<()> {
    let mut logits = model.feed(message)?;
    let (mut tokens, mut shown) = (Vec::new(), 0);
    while tokens.len() < most {
        let token = likeliest(&logits)?;
        if stops.contains(&token) {
            break;
        }
        tokens.push(token);
        let text = tokenizer.decode(&tokens, true).map_err(|error| anyhow::anyhow!(error))?;
        shown = show(&text, shown)?;
        if model.position == model.capacity {
            write!(std::io::stdout(), " [the context is full]")?;
            break;
        }
        logits = model.feed(&[token])?;
    }
    Ok(())
}

/// Prints what of a text has not been shown, unless its last letter may still be in parts. Returns what is shown now.
fn show(text: &str, shown: usize) -> Result<usize> {
    if text.ends_with('\u{fffd}') {
        return Ok(shown);
    }
    let mut out = std::io::stdout();
    write!(out, "{}", text.get(shown..).unwrap_or_default())?;
    out.flush()?;
    Ok(text.len().max(shown))
}

/// The id of the largest logit.
fn likeliest(logits: &[f32]) -> Result<u32> {
    ensure!(logits.iter().all(|logit| logit.is_finite()), "the model's logits are no numbers");
    let best = (0..logits.len()).reduce(|best, id| if logits[id] > logits[best] { id } else { best });
    Ok(best.context("the model gives no logits")? as u32)
}

/// A language model's two entries, and how many tokens their caches hold.
struct Model {
    /// Takes many tokens at a time.
    prefill: Session,
    /// Takes one.
    decode: Session,
    position: usize,
    capacity: usize,
}

impl Model {
    /// Loads both entries together: then they share weights and caches.
    fn load(device: &Device, bundle: &Bundle) -> Result<Self> {
        let sessions = device.load_entries(bundle, &["prefill", "decode"], &LoadOptions::default())?;
        let sessions = <[Session; 2]>::try_from(sessions);
        let [prefill, decode] = sessions.ok().context("as many sessions as entries")?;
        let rows = decode.states().iter().filter_map(|state| state.shape.get(2)).min();
        let capacity = *rows.context("the bundle has no caches; compile it with --dim PAST=0..N")? as usize;
        Ok(Self { prefill, decode, position: 0, capacity })
    }

    /// Runs tokens behind those that the caches hold, and gives the logits of the last.
    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        ensure!(!tokens.is_empty(), "a message without tokens");
        let room = self.capacity - self.position;
        ensure!(tokens.len() <= room, "{} tokens more than the {room} that fit", tokens.len() - room);
        let (mut rest, mut logits) = (tokens, Vec::new());
        while !rest.is_empty() {
            let session = if rest.len() > 1 { &mut self.prefill } else { &mut self.decode };
            let (now, later) = rest.split_at(rest.len().min(chunk(session)?));
            logits = run(session, now, self.position)?;
            self.position += now.len();
            rest = later;
        }
        Ok(logits)
    }
}

/// Tokens that an entry takes at a time.
fn chunk(session: &Session) -> Result<usize> {
    let tokens = session.inputs().iter().find(|input| input.name == "input_ids");
    let tokens = tokens.and_then(|input| input.shape.get(1).copied());
    Ok(tokens.context("the model has no input `input_ids`")? as usize)
}

/// Runs tokens, padded at their end, behind `position` others.
fn run(session: &mut Session, tokens: &[u32], position: usize) -> Result<Vec<f32>> {
    let mut ids: Vec<i64> = tokens.iter().copied().map(i64::from).collect();
    ids.resize(chunk(session)?, 0);
    let element = session.inputs().iter().find(|input| input.name == "input_ids").map(|input| input.element);
    match element {
        Some(HostElement::I32) => {
            session.write("input_ids", &ids.iter().map(|&id| id as i32).collect::<Vec<_>>())?;
        }
        _ => session.write("input_ids", &ids)?,
    }
    session.write("position", &[position as i32])?;
    if session.inputs().iter().any(|input| input.name == "count") {
        session.write("count", &[tokens.len() as i32])?;
    }
    session.run()?;
    let logits = session.outputs().iter().find(|output| output.name == "logits").cloned();
    let logits = logits.context("the model has no output `logits`")?;
    let values: Vec<f32> = match logits.element {
        HostElement::F16 => session.read::<f16>("logits")?.into_iter().map(f16::to_f32).collect(),
        _ => session.read("logits")?,
    };
    let [_, rows, vocabulary] = logits.shape[..] else { anyhow::bail!("logits are no rows") };
    // With `--logits last` there is one row, of the last token.
    let row = if rows == 1 { 0 } else { tokens.len() - 1 };
    let first = row * vocabulary as usize;
    Ok(values[first..first + vocabulary as usize].to_vec())
}
