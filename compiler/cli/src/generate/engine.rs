//! One text after another from a model: feeds a prompt behind what the caches share with it, and chooses tokens until
//! something ends the text.

use super::model::LanguageModel;
use super::sampling::Sampler;
use super::stream::TextStream;
use super::tokenizer::TextTokenizer;
use crate::error::CliError;
use crate::generate_error::{GenerateError, LogitsFault};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long steps of the device without a look at them should take: text appears, and a wish to stop is heard, after that.
const AHEAD: Duration = Duration::from_millis(40);

/// Steps without a look at them, at most.
const MOST_AHEAD: usize = 64;

/// What ends a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stops {
    /// Tokens that end it.
    pub(crate) ids: BTreeSet<u32>,
    /// Texts that it ends before.
    pub(crate) texts: Vec<String>,
    /// Most tokens; `None` for as many as the caches hold.
    pub(crate) limit: Option<usize>,
}

/// What ended a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stopped {
    /// A stop token.
    Token,
    /// A stop text.
    Text,
    /// The most tokens that were asked for.
    Limit,
    /// The caches are full.
    Context,
    /// A signal.
    Interrupt,
}

/// A text that was generated.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Tokens of the prompt that the caches had.
    pub(crate) cached: usize,
    /// Tokens of the prompt that were fed.
    pub(crate) fed: usize,
    /// Time to feed them.
    pub(crate) prompt: Duration,
    /// From the start to the first token.
    pub(crate) first_token: Duration,
    /// From the first token to the last.
    pub(crate) generation: Duration,
    /// Tokens that were chosen, with one that ended the text.
    pub(crate) tokens: Vec<u32>,
    /// Their text.
    pub(crate) text: String,
    /// What ended it.
    pub(crate) stopped: Stopped,
}

/// A model and what its caches hold.
pub(crate) struct Engine<'a> {
    model: &'a mut dyn LanguageModel,
    tokenizer: &'a TextTokenizer,
    sampler: Sampler,
    stops: Stops,
    /// Tokens in the caches.
    held: Vec<u32>,
    /// Tokens that the device has chosen beyond those that were looked at, the next one last.
    ahead: Vec<u32>,
    /// Steps that the device may go ahead.
    steps: usize,
}

/// What watches a text.
pub(crate) struct Watch<'a> {
    /// When it was asked for.
    pub(crate) started: Instant,
    /// Takes pieces of it.
    pub(crate) show: &'a mut dyn FnMut(&str) -> Result<(), CliError>,
    /// Whether it is to end.
    pub(crate) is_interrupted: &'a dyn Fn() -> bool,
}

impl<'a> Engine<'a> {
    /// An engine on a model whose caches hold nothing that counts.
    pub(crate) fn new(
        model: &'a mut dyn LanguageModel,
        tokenizer: &'a TextTokenizer,
        sampler: Sampler,
        stops: Stops,
    ) -> Result<Self, CliError> {
        model.truncate(0)?;
        Ok(Self { model, tokenizer, sampler, stops, held: Vec::new(), ahead: Vec::new(), steps: 1 })
    }

    /// Generates what follows `prompt`.
    pub(crate) fn turn(&mut self, prompt: &[u32], watch: &mut Watch<'_>) -> Result<Turn, CliError> {
        self.check(prompt)?;
        let cached = self.reuse(prompt)?;
        let before = Instant::now();
        let logits = self.feed(&prompt[cached..])?;
        let fed_in = before.elapsed();
        let mut all = prompt.to_vec();
        let mut token = self.choose(&logits, &all)?;
        let first = Instant::now();
        let stops = self.stops.clone();
        let mut stream = TextStream::behind(prompt, self.tokenizer, &stops.texts)?;
        let mut text = String::new();
        let mut show = |piece: &str| {
            text.push_str(piece);
            (watch.show)(piece)
        };
        let stopped = loop {
            all.push(token);
            if stops.ids.contains(&token) {
                break Stopped::Token;
            }
            let piece = stream.push(token)?;
            show(&piece.text)?;
            if piece.is_stop {
                break Stopped::Text;
            }
            if stops.limit.is_some_and(|limit| all.len() - prompt.len() >= limit) {
                break Stopped::Limit;
            }
            if (watch.is_interrupted)() {
                break Stopped::Interrupt;
            }
            if all.len() > self.model.capacity() {
                break Stopped::Context;
            }
            token = self.next(token, &all, prompt.len())?;
        };
        let generation = first.elapsed();
        if stopped != Stopped::Text {
            show(&stream.finish()?)?;
        }
        self.forget_beyond(all.len())?;
        Ok(Turn {
            cached,
            fed: prompt.len() - cached,
            prompt: fed_in,
            first_token: first - watch.started,
            generation,
            tokens: all.split_off(prompt.len()),
            text,
            stopped,
        })
    }

    fn check(&self, prompt: &[u32]) -> Result<(), GenerateError> {
        let (tokens, capacity) = (prompt.len(), self.model.capacity());
        match tokens {
            0 => Err(GenerateError::EmptyPrompt),
            tokens if tokens > capacity => Err(GenerateError::PromptTooLong { tokens, capacity }),
            _ => Ok(()),
        }
    }

    /// Keeps what the caches share with the prompt, but for its last token, whose logits are wanted. Returns how much.
    fn reuse(&mut self, prompt: &[u32]) -> Result<usize, CliError> {
        let shared = self.held.iter().zip(&prompt[..prompt.len() - 1]).take_while(|(a, b)| a == b).count();
        if shared < self.held.len() && self.model.truncate(shared).is_err() {
            // A window may have left behind what stands there; without any of it all is well.
            self.model.truncate(0)?;
            self.held.clear();
            return Ok(0);
        }
        self.held.truncate(shared);
        Ok(shared)
    }

    /// Gives back what a device chose beyond the end of a text.
    fn forget_beyond(&mut self, length: usize) -> Result<(), CliError> {
        self.ahead.clear();
        if self.held.len() > length {
            self.held.truncate(length);
            self.model.truncate(length)?;
        }
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, CliError> {
        let logits = self.model.feed(tokens)?;
        self.held.extend_from_slice(tokens);
        self.check_position()?;
        let (found, expected) = (logits.len(), self.model.vocabulary());
        if found != expected {
            return Err(self.fault(LogitsFault::Count { found, expected }).into());
        }
        Ok(logits)
    }

    fn choose(&mut self, logits: &[f32], all: &[u32]) -> Result<u32, CliError> {
        let chosen = self.sampler.choose(logits, all);
        Ok(chosen.map_err(|fault| self.fault(fault))?)
    }

    /// The token behind `token`, which is the last of `all` and not yet fed.
    fn next(&mut self, token: u32, all: &[u32], prompt: usize) -> Result<u32, CliError> {
        if let Some(token) = self.ahead.pop() {
            return Ok(token);
        }
        if self.sampler.sampling().is_argmax() && self.look_ahead(token, all, prompt)? {
            return Ok(self.ahead.pop().unwrap_or(token));
        }
        let logits = self.feed(&[token])?;
        self.choose(&logits, all)
    }

    /// Lets the device choose some tokens, if it can.
    fn look_ahead(&mut self, token: u32, all: &[u32], prompt: usize) -> Result<bool, CliError> {
        let room = self.model.capacity() - self.held.len();
        let wanted = self.stops.limit.map_or(usize::MAX, |limit| limit - (all.len() - prompt));
        let most = self.steps.min(room).min(wanted);
        let before = Instant::now();
        let Some(mut tokens) = self.model.feed_greedy(token, most)? else { return Ok(false) };
        let found = tokens.len();
        if found == 0 || found > most {
            return Err(GenerateError::Steps { found, most }.into());
        }
        let vocabulary = self.model.vocabulary();
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocabulary) {
            let what = "what the model chose".to_owned();
            return Err(GenerateError::TokenRange { what, id: id.into(), vocabulary }.into());
        }
        self.held.push(token);
        self.held.extend_from_slice(&tokens[..found - 1]);
        self.check_position()?;
        let took = before.elapsed();
        if found == self.steps && took * 2 < AHEAD {
            self.steps = (self.steps * 2).min(MOST_AHEAD);
        } else if took > AHEAD {
            self.steps = (self.steps / 2).max(1);
        }
        tokens.reverse();
        self.ahead = tokens;
        Ok(true)
    }

    fn check_position(&self) -> Result<(), GenerateError> {
        let (expected, found) = (self.held.len(), self.model.position());
        if expected == found { Ok(()) } else { Err(GenerateError::Position { expected, found }) }
    }

    fn fault(&self, fault: LogitsFault) -> GenerateError {
        GenerateError::Logits { position: self.held.len(), fault }
    }
}
