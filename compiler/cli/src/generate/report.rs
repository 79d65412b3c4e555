//! What `driftc generate` measured, for people and for scripts.

use super::engine::{Stopped, Turn};
use super::sampling::Sampling;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// What `driftc generate --json FILE` writes.
#[derive(Debug, Serialize)]
pub(crate) struct GenerateJson {
    /// Device that ran the model.
    pub(crate) device: String,
    /// Time to load the bundle.
    pub(crate) load_ms: f64,
    /// Tokens that the context holds.
    pub(crate) context_tokens: usize,
    /// How tokens were chosen.
    pub(crate) sampling: Sampling,
    /// What draws began with.
    pub(crate) seed: u64,
    /// One for a prompt, and one for each message of a chat.
    pub(crate) turns: Vec<TurnJson>,
}

/// One text.
#[derive(Debug, Serialize)]
pub(crate) struct TurnJson {
    /// Tokens of the prompt, with all that was said before.
    pub(crate) prompt_tokens: usize,
    /// Those of them that the caches still had.
    pub(crate) cached_tokens: usize,
    /// Time to feed the others.
    pub(crate) prompt_ms: f64,
    /// How many of them in a second.
    pub(crate) prompt_tokens_per_s: Option<f64>,
    /// From the text to its first new token, with the tokenizer's work.
    pub(crate) first_token_ms: f64,
    /// New tokens.
    pub(crate) generated_tokens: usize,
    /// Time from the first of them to the last.
    pub(crate) generation_ms: f64,
    /// How many behind the first in a second; `null` where there is only one.
    pub(crate) generated_tokens_per_s: Option<f64>,
    /// What ended the text.
    pub(crate) stopped_by: Stopped,
    /// The ids of the new tokens.
    pub(crate) tokens: Vec<u32>,
    /// The text of the new tokens.
    pub(crate) text: String,
}

impl From<Turn> for TurnJson {
    fn from(turn: Turn) -> Self {
        let rate = |tokens: usize, time: Duration| {
            (tokens > 0 && !time.is_zero()).then(|| tokens as f64 / time.as_secs_f64())
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            prompt_tokens: turn.cached + turn.fed,
            cached_tokens: turn.cached,
            prompt_ms: milliseconds(turn.prompt),
            prompt_tokens_per_s: rate(turn.fed, turn.prompt),
            first_token_ms: milliseconds(turn.first_token),
            generated_tokens: turn.tokens.len(),
            generation_ms: milliseconds(turn.generation),
            generated_tokens_per_s: rate(turn.tokens.len() - 1, turn.generation),
            stopped_by: turn.stopped,
            tokens: turn.tokens,
            text: turn.text,
        }
    }
}

impl TurnJson {
    /// The figures, a line each.
    pub(crate) fn print(&self, err: &mut dyn Write) -> io::Result<()> {
        let rate = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!(", {rate:.1} tokens/s"));
        let fed = self.prompt_tokens - self.cached_tokens;
        let cached = match self.cached_tokens {
            0 => String::new(),
            cached => format!(", {cached} more from the cache"),
        };
        let end = match self.stopped_by {
            Stopped::Token => "a stop token",
            Stopped::Text => "a stop text",
            Stopped::Limit => "--max-tokens",
            Stopped::Context => "the end of the context",
            Stopped::Interrupt => "a signal",
        };
        writeln!(err, "prompt       {fed} tokens{}{cached}", rate(self.prompt_tokens_per_s))?;
        let generated = self.generated_tokens;
        writeln!(
            err,
            "generated    {generated} tokens{}, ended by {end}",
            rate(self.generated_tokens_per_s)
        )?;
        writeln!(err, "first token  {:.1} ms", self.first_token_ms)
    }
}
