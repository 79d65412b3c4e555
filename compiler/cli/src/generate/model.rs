//! A language model as the command sees it: tokens go in, logits of the last one come out, and caches can be cut.

use super::session::Replayed;
use crate::compile::{DECODE, GREEDY};
use crate::contents::shown;
use crate::error::CliError;
use crate::generate_error::GenerateError;
use drift_bundle::Bundle;
use drift_runtime::{Device, LoadOptions};

/// Entries that a bundle needs, for many tokens and for one.
const ENTRIES: [&str; 2] = ["prefill", DECODE];

/// A model over one sequence of tokens, whose caches hold what it was fed.
pub(crate) trait LanguageModel {
    /// Tokens that its caches hold at most.
    fn capacity(&self) -> usize;

    /// Logits that it gives: ids below this are tokens.
    fn vocabulary(&self) -> usize;

    /// Tokens that the caches hold now.
    fn position(&self) -> usize;

    /// Forgets all tokens from `length` on.
    fn truncate(&mut self, length: usize) -> Result<(), CliError>;

    /// Runs `tokens` behind those that the caches hold, and returns the logits of the last of them. Callers give at
    /// least one token, and no more than the caches have room for.
    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, CliError>;

    /// As [`LanguageModel::feed`], with the logits of each token.
    fn feed_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, CliError> {
        tokens.iter().map(|token| self.feed(&[*token])).collect()
    }

    /// Greedy steps without a round trip where the bundle can: up to `count` tokens behind `token`; `None` where it
    /// cannot.
    ///
    /// Runs `token`, and each token that it chooses but the last, so that `n` tokens come with `n` more in the caches.
    /// It chooses the largest logit, the lowest id among equals, and where one is NaN or infinite it is an error, as in
    /// [`super::sampling`].
    fn feed_greedy(&mut self, token: u32, count: usize) -> Result<Option<Vec<u32>>, CliError>;
}

/// Refuses a bundle that was not compiled for generating.
pub(crate) fn require_entries(bundle: &Bundle) -> Result<(), GenerateError> {
    let mut known: Vec<String> = Vec::new();
    for entry in shown(bundle.manifest()) {
        if !known.contains(&entry.name) {
            known.push(entry.name.clone());
        }
    }
    match ENTRIES.into_iter().find(|wanted| !known.iter().any(|name| name == wanted)) {
        Some(entry) => Err(GenerateError::NoEntry { entry, known }),
        None => Ok(()),
    }
}

/// The model that a bundle holds, on a device.
pub(crate) fn open_model(
    bundle: &Bundle,
    device: &Device,
    options: &LoadOptions,
) -> Result<Box<dyn LanguageModel>, CliError> {
    require_entries(bundle)?;
    // An entry of that name that takes inputs is another one.
    let has_greedy = shown(bundle.manifest()).any(|entry| entry.name == GREEDY && entry.inputs.is_empty());
    let entries = ENTRIES.into_iter().chain(has_greedy.then_some(GREEDY)).collect::<Vec<_>>();
    let mut sessions = device.load_entries(bundle, &entries, options)?.into_iter();
    match (sessions.next(), sessions.next()) {
        (Some(prefill), Some(decode)) => Ok(Box::new(Replayed::new((prefill, decode), sessions.next())?)),
        _ => Err(GenerateError::Stateless.into()),
    }
}
