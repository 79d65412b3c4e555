//! The command over a model that is made up, and real tokenizers.

mod chat;
mod engine;
mod prompt;

use super::folder::Folder;
use super::model::LanguageModel;
use super::tokenizer::TextTokenizer;
use super::{Input, Loaded, generate};
use crate::args::{Command, GenerateArgs};
use crate::error::CliError;
use crate::{Cli, Console, Outcome};
use clap::Parser;
use serde_json::Value;
use std::path::PathBuf;

/// The moment that expected texts were made at: 7 March 2026, 14:05:09.
pub(crate) const NOW: u64 = 1_772_892_309;

/// A model's folder, made by `tests/models/tokenizers/make_tokenizers.py`.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/tokenizers")).join(name)
}

/// What Python made of that folder.
pub(crate) fn cases(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name).join("cases.json")).unwrap()).unwrap()
}

pub(crate) fn tokenizer(name: &str) -> TextTokenizer {
    TextTokenizer::open(&folder(name), 512).unwrap()
}

/// Logits behind tokens.
type Rule = dyn Fn(&[u32]) -> Vec<f32>;

/// A model whose logits are a rule over the tokens that its caches hold.
pub(crate) struct Fake {
    vocabulary: usize,
    capacity: usize,
    held: Vec<u32>,
    /// Every call of `feed`.
    pub(crate) fed: Vec<Vec<u32>>,
    /// Tokens that came of greedy steps on the device.
    pub(crate) chosen: usize,
    /// Most greedy steps at a time, where the device can.
    pub(crate) greedy: Option<usize>,
    /// Tokens before which nothing can be cut, as with a window.
    pub(crate) evicted: usize,
    /// The logits behind these tokens.
    pub(crate) logits: Box<Rule>,
}

impl Fake {
    /// A model of pairs: which tokens follow depends on the last one alone.
    pub(crate) fn new(vocabulary: usize, capacity: usize) -> Self {
        let pairs = move |held: &[u32]| {
            let last = held.last().copied().unwrap_or_default() as usize;
            (0..vocabulary).map(|id| ((last * 31 + id * 17) % 23) as f32 / 4.0).collect()
        };
        Self {
            vocabulary,
            capacity,
            held: Vec::new(),
            fed: Vec::new(),
            chosen: 0,
            greedy: None,
            evicted: 0,
            logits: Box::new(pairs),
        }
    }

    /// A model that says `answer` behind any `question`, and nothing but its last token elsewhere.
    pub(crate) fn saying(answers: Vec<(Vec<u32>, Vec<u32>)>, end: u32) -> Self {
        let mut model = Self::new(512, 256);
        model.logits = Box::new(move |held| {
            let next = answers.iter().find_map(|(question, answer)| {
                let said = held.strip_prefix(question.as_slice())?;
                answer.strip_prefix(said)?.first().copied()
            });
            let mut logits = vec![0.0; 512];
            logits[next.unwrap_or(end) as usize] = 9.0;
            logits
        });
        model
    }

    fn step(&mut self, tokens: &[u32]) -> Vec<f32> {
        assert!(!tokens.is_empty() && tokens.iter().all(|token| (*token as usize) < self.vocabulary));
        self.held.extend_from_slice(tokens);
        assert!(self.held.len() <= self.capacity, "{} tokens", self.held.len());
        (self.logits)(&self.held)
    }
}

impl LanguageModel for Fake {
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn position(&self) -> usize {
        self.held.len()
    }

    fn truncate(&mut self, length: usize) -> Result<(), CliError> {
        assert!(length <= self.held.len());
        if length > 0 && length < self.evicted {
            return Err(CliError::Usage("evicted".to_owned()));
        }
        self.held.truncate(length);
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, CliError> {
        self.fed.push(tokens.to_vec());
        Ok(self.step(tokens))
    }

    fn feed_greedy(&mut self, token: u32, count: usize) -> Result<Option<Vec<u32>>, CliError> {
        let Some(most) = self.greedy else { return Ok(None) };
        let mut tokens = vec![token];
        for _ in 0..count.min(most) {
            let logits = self.step(&[tokens[tokens.len() - 1]]);
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            tokens.push(logits.iter().position(|logit| *logit == largest).unwrap() as u32);
        }
        self.chosen += tokens.len() - 1;
        Ok(Some(tokens.split_off(1)))
    }
}

/// What the command did.
pub(crate) struct Done {
    pub(crate) result: Result<Outcome, CliError>,
    pub(crate) out: String,
    pub(crate) err: String,
    /// What it wrote with `--json`.
    pub(crate) json: Value,
}

/// Runs `driftc generate m.drift --model-dir FOLDER` with these words and this input.
pub(crate) fn command(model: &mut Fake, name: &str, words: &[&str], input: &str) -> Done {
    let place = tempfile::tempdir().unwrap();
    let json = place.path().join("out.json");
    let folder = folder(name);
    let (folder_text, json_text) = (folder.to_str().unwrap(), json.to_str().unwrap());
    let head = ["driftc", "generate", "m.drift", "--model-dir", folder_text, "--json", json_text];
    let args = arguments(head.into_iter().chain(words.iter().copied()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console::new(&mut out, &mut err);
    let mut lines = input.as_bytes();
    let mut input = Input { is_terminal: false, lines: &mut lines };
    let loaded = Loaded { device: "a device".to_owned(), load_ms: 1.0, now: NOW };
    let result = generate(&args, model, &Folder::open(&folder).unwrap(), loaded, &mut input, &mut console);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let json = std::fs::read(json).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    Done { result, out: text(out), err: text(err), json }
}

fn arguments<'a>(words: impl Iterator<Item = &'a str>) -> GenerateArgs {
    match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Generate(args)) => args,
        other => panic!("{other:?}"),
    }
}
