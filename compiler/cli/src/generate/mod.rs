//! `driftc generate`: text from a bundle of a language model, by the tokenizer and the settings that were exported with it.
//!
//! A prompt is continued, or a chat read line by line from standard input. Text goes to standard output as it comes,
//! figures to standard error. Everything here is on the host's side: [`model`] says what it asks of a bundle.

pub(crate) mod bench;
pub(crate) mod divergence;
mod engine;
mod folder;
mod greedy;
mod model;
mod python;
mod report;
mod sampling;
mod session;
mod stream;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;

use crate::args::GenerateArgs;
use crate::error::CliError;
use crate::generate_error::GenerateError;
use crate::output::write_document;
use crate::signals::Held;
use crate::{Console, Outcome, files, replay};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_runtime::LoadOptions;
use engine::{Engine, Stops, Watch};
use folder::{Defaults, Folder};
use model::LanguageModel;
use report::{GenerateJson, TurnJson};
use sampling::Sampler;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, IsTerminal};
use std::time::{Instant, SystemTime};
use template::{ChatTemplate, Message};
use tokenizer::TextTokenizer;

/// Bytes of a message, at most: far more than any context holds.
const LONGEST_MESSAGE: u64 = 16 << 20;

/// Runs `driftc generate`.
pub fn run(args: &GenerateArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    files::check_regular(&args.bundle)?;
    let bundle = Bundle::open(&args.bundle)?;
    model::require_entries(&bundle)?;
    let folder = Folder::open(&args.model_dir)?;
    let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
    let options = LoadOptions { cache_dir: args.pipeline_cache.clone(), ..args.replay.options() };
    let started = Instant::now();
    let mut model = model::open_model(&bundle, &device, &options)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let stdin = std::io::stdin();
    let mut input = Input { is_terminal: stdin.is_terminal(), lines: &mut stdin.lock() };
    let loaded = Loaded { device: device.info().name.clone(), load_ms, now: now() };
    generate(args, model.as_mut(), &folder, loaded, &mut input, console)
}

/// What a model was loaded on.
struct Loaded {
    device: String,
    load_ms: f64,
    /// Seconds since 1970.
    now: u64,
}

/// Where messages come from.
struct Input<'a> {
    is_terminal: bool,
    lines: &'a mut dyn BufRead,
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

/// Everything behind the model.
fn generate(
    args: &GenerateArgs,
    model: &mut dyn LanguageModel,
    folder: &Folder,
    loaded: Loaded,
    input: &mut Input<'_>,
    console: &mut Console<'_>,
) -> Result<Outcome, CliError> {
    let tokenizer = TextTokenizer::open(folder.path(), model.vocabulary())?;
    let (flags, defaults) = (flags(args), folder.defaults()?);
    let sampling = folder::sampling(&flags, &defaults);
    // A new hasher is as random as the system makes it; 32 bits are easy to type.
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    let template = if args.chat { Some(ChatTemplate::open(folder, loaded.now)?) } else { None };
    let stops = stops(args, &tokenizer, folder, model.vocabulary(), &defaults)?;
    let mut json = GenerateJson {
        device: loaded.device,
        load_ms: loaded.load_ms,
        context_tokens: model.capacity(),
        sampling,
        seed,
        turns: Vec::new(),
    };
    let engine = Engine::new(model, &tokenizer, Sampler::new(sampling, seed), stops)?;
    let mut speaker = Speaker { engine, tokenizer: &tokenizer, turns: &mut json.turns };
    let done = match &template {
        Some(template) => speaker.chat(args, template, input, console),
        None => speaker.say(args.prompt.as_deref().unwrap_or_default(), true, console),
    };
    if !json.turns.is_empty() {
        writeln!(console.err(), "sampling     {sampling}, seed {seed}")?;
    }
    let outcome = done?;
    write_document(args.json.as_deref(), "generate", &json, console)?;
    Ok(outcome)
}

/// What the flags say of sampling.
fn flags(args: &GenerateArgs) -> Defaults {
    Defaults {
        is_sampled: None,
        temperature: args.temperature,
        top_k: args.top_k.map(f64::from),
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        max_tokens: args.max_tokens.map(f64::from),
    }
}

fn stops(
    args: &GenerateArgs,
    tokenizer: &TextTokenizer,
    folder: &Folder,
    vocabulary: usize,
    defaults: &Defaults,
) -> Result<Stops, CliError> {
    let mut ids = folder.stop_ids(vocabulary)?;
    let mut texts = Vec::new();
    for stop in &args.stop {
        let id = stop.parse::<u32>().ok().or_else(|| tokenizer.special_id(stop));
        match id {
            Some(id) if id as usize >= vocabulary => {
                let what = format!("--stop {stop}");
                return Err(GenerateError::TokenRange { what, id: id.into(), vocabulary }.into());
            }
            Some(id) => drop(ids.insert(id)),
            None => texts.push(stop.clone()),
        }
    }
    let limit = args.max_tokens.map(f64::from).or(defaults.max_tokens).map(|limit| limit as usize);
    // The first token is there before anything could end the text.
    Ok(Stops { ids, texts, limit: limit.map(|limit| limit.max(1)) })
}

/// Says one text after another.
struct Speaker<'a> {
    engine: Engine<'a>,
    tokenizer: &'a TextTokenizer,
    turns: &'a mut Vec<TurnJson>,
}

impl Speaker<'_> {
    /// Continues a text, and shows the figures.
    fn say(
        &mut self,
        text: &str,
        with_special: bool,
        console: &mut Console<'_>,
    ) -> Result<Outcome, CliError> {
        let started = Instant::now();
        let tokens = self.tokenizer.encode(text, with_special)?;
        let held = Held::interrupts();
        let mut show = |piece: &str| console.text(piece);
        let mut watch = Watch { started, show: &mut show, is_interrupted: &|| held.is_heard() };
        let turn = TurnJson::from(self.engine.turn(&tokens, &mut watch)?);
        if !turn.text.ends_with('\n') {
            console.text("\n")?;
        }
        turn.print(console.err())?;
        self.turns.push(turn);
        Ok(if held.is_heard() { Outcome::Interrupted } else { Outcome::Fine })
    }

    /// Answers each line of the input until it ends. At a terminal an interrupt ends an answer, elsewhere all.
    fn chat(
        &mut self,
        args: &GenerateArgs,
        template: &ChatTemplate,
        input: &mut Input<'_>,
        console: &mut Console<'_>,
    ) -> Result<Outcome, CliError> {
        let system = args.system.iter().map(|text| Message { role: "system", content: text.clone() });
        let mut messages: Vec<Message> = system.collect();
        while let Some(content) = input.message(console)? {
            messages.push(Message { role: "user", content });
            // Templates write the tokens around a text themselves.
            let outcome = self.say(&template.render(&messages)?, false, console)?;
            if outcome != Outcome::Fine && !input.is_terminal {
                return Ok(outcome);
            }
            let answer = self.turns.last().map(|turn| turn.text.clone()).unwrap_or_default();
            messages.push(Message { role: "assistant", content: answer });
        }
        Ok(Outcome::Fine)
    }
}

impl Input<'_> {
    /// The next line that is not empty.
    fn message(&mut self, console: &mut Console<'_>) -> Result<Option<String>, CliError> {
        use std::io::Read;

        loop {
            if self.is_terminal {
                console.err().write_all(b"> ")?;
                console.err().flush()?;
            }
            let mut line = Vec::new();
            let read = (&mut *self.lines).take(LONGEST_MESSAGE).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == LONGEST_MESSAGE {
                return Err(GenerateError::Message("is longer than any context").into());
            }
            let line = String::from_utf8(line).map_err(|_| GenerateError::Message("is not UTF-8"))?;
            let line = line.trim_end_matches(['\r', '\n']);
            if !line.trim().is_empty() {
                return Ok(Some(line.to_owned()));
            }
        }
    }
}
