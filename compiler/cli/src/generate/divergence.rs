//! `driftc compare`: how far the next-token distributions of two language models' bundles are apart, over the same tokens.

use super::model::{self, LanguageModel};
use crate::args::CompareBundlesArgs;
use crate::error::CliError;
use crate::generate_error::{GenerateError, LogitsFault};
use crate::host::element_name;
use crate::output::write_document;
use crate::progress::Progress;
use crate::{Console, Outcome, files, replay, tensor_file};
use drift_bundle::Bundle;
use drift_bundle::manifest::{HostElement, Target};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// Tokens that both models are fed before their logits are compared: logits of all of them are held.
const CHUNK: usize = 32;

/// What `driftc compare --json FILE` writes.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct CompareJson {
    /// Device that ran both.
    device: String,
    /// Tokens that were fed.
    tokens: usize,
    /// Times that caches began empty.
    windows: usize,
    /// Tokens of a window, at most.
    window_tokens: usize,
    /// Divergence of B from A, in nats.
    kl: KlJson,
    /// Share of places at which both find the same token most likely.
    top1_agreement: f64,
    /// Perplexity of A over the tokens that follow.
    perplexity_a: f64,
    /// The same of B.
    perplexity_b: f64,
}

/// The divergence over all places.
#[derive(Debug, PartialEq, Serialize)]
struct KlJson {
    mean: f64,
    /// Smallest value that at least 99 of 100 do not exceed.
    p99: f64,
    max: f64,
    /// Place of the token behind which it is largest.
    max_at: usize,
}

/// Runs `driftc compare`.
pub(crate) fn run(args: &CompareBundlesArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let open = |path: &Path| -> Result<Bundle, CliError> {
        files::check_regular(path)?;
        let bundle = Bundle::open(path)?;
        model::require_entries(&bundle)?;
        Ok(bundle)
    };
    let bundles = [open(&args.reference)?, open(&args.other)?];
    let tokens = read_tokens(&args.tokens)?;
    let device = replay::open_for(&bundles[0], args.target.map(Target::from), args.device.as_deref())?;
    let [a, b] = &bundles;
    let options = args.replay.options();
    let mut models = [model::open_model(a, &device, &options)?, model::open_model(b, &device, &options)?];
    let [a, b] = &mut models;
    let window = args.window.map(|window| window as usize);
    let compared = compare([a.as_mut(), b.as_mut()], &tokens, window)?;
    let report = CompareJson { device: device.info().name.clone(), ..compared };
    print(&report, console.out())?;
    write_document(args.json.as_deref(), "compare", &report, console)?;
    Ok(Outcome::Fine)
}

/// The ids in a file.
fn read_tokens(path: &Path) -> Result<Vec<u32>, CliError> {
    let refused = |reason: String| GenerateError::Tokens { path: path.to_owned(), reason };
    if path.extension().is_some_and(|extension| extension == "npy" || extension == "pb") {
        let tensor = tensor_file::read(path)?;
        if !matches!(tensor.element(), HostElement::I64 | HostElement::I32) {
            let element = element_name(tensor.element());
            return Err(refused(format!("it holds {element}, expected i64 or i32")).into());
        }
        let id = |value: f64| {
            let is_id = (0.0..=f64::from(u32::MAX)).contains(&value);
            is_id.then_some(value as u32).ok_or_else(|| refused(format!("{value} is no token id")))
        };
        return Ok(tensor.to_f64().into_iter().map(id).collect::<Result<_, _>>()?);
    }
    let bytes = files::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| refused(error.to_string()))?;
    // Brackets are those of a JSON array.
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'));
    let id = |word: &str| {
        word.parse::<u32>().map_err(|_| {
            let word: String = word.chars().take(40).collect();
            refused(format!(
                "`{word}` is no token id; a text of ids has spaces, commas or line ends between them"
            ))
        })
    };
    Ok(words.filter(|word| !word.is_empty()).map(id).collect::<Result<_, _>>()?)
}

/// Feeds both models the same tokens, window by window.
fn compare(
    [a, b]: [&mut dyn LanguageModel; 2],
    tokens: &[u32],
    window: Option<usize>,
) -> Result<CompareJson, CliError> {
    let [vocabulary, other] = [a.vocabulary(), b.vocabulary()];
    if vocabulary != other {
        return Err(GenerateError::OtherVocabulary { reference: vocabulary, other }.into());
    }
    if let Some((place, &id)) = tokens.iter().enumerate().find(|(_, id)| **id as usize >= vocabulary) {
        let what = format!("id {place} of --tokens");
        return Err(GenerateError::TokenRange { what, id: id.into(), vocabulary }.into());
    }
    if tokens.len() < 2 {
        return Err(GenerateError::FewTokens(tokens.len()).into());
    }
    let capacity = a.capacity().min(b.capacity());
    if window.is_some_and(|window| window > capacity) {
        let test = "--window".to_owned();
        let tokens = window.unwrap_or_default();
        return Err(GenerateError::TestTooLong { test, tokens, capacity }.into());
    }
    let window = window.unwrap_or(capacity);
    if window < 2 {
        return Err(GenerateError::ShortWindow(window).into());
    }
    let progress = Progress::steps(tokens.len(), "comparing");
    let mut sums = Sums::default();
    for (number, part) in tokens.chunks(window).enumerate() {
        a.truncate(0)?;
        b.truncate(0)?;
        for (at, chunk) in part.chunks(CHUNK).enumerate() {
            let first = number * window + at * CHUNK;
            let rows = [a.feed_each(chunk)?, b.feed_each(chunk)?];
            for (row, [a, b]) in (0..chunk.len()).map(|row| (row, [&rows[0][row], &rows[1][row]])) {
                // The last token of a window has none behind it.
                let next = part.get(at * CHUNK + row + 1);
                sums.add([a, b], next.map(|next| *next as usize), first + row)?;
                progress.step();
            }
        }
    }
    Ok(sums.report(tokens.len(), window))
}

/// What is added up over places.
#[derive(Default)]
struct Sums {
    divergences: Vec<f64>,
    agreed: usize,
    /// Tokens that follow, and the logarithms of their probabilities.
    followed: usize,
    logarithms: [f64; 2],
}

impl Sums {
    /// Adds the logits behind a token, of both models.
    fn add(
        &mut self,
        logits: [&[f32]; 2],
        next: Option<usize>,
        position: usize,
    ) -> Result<(), GenerateError> {
        let fault = |fault| GenerateError::Logits { position, fault };
        for logits in logits {
            if let Some(id) = logits.iter().position(|logit| !logit.is_finite()) {
                let nan = logits[id].is_nan();
                return Err(fault(if nan { LogitsFault::Nan(id) } else { LogitsFault::Infinite(id) }));
            }
        }
        let [a, b] = logits.map(log_softmax);
        let divergence: f64 = a.iter().zip(&b).map(|(a, b)| a.exp() * (a - b)).sum();
        // Rounding may leave a little below zero.
        self.divergences.push(divergence.max(0.0));
        let [best_a, best_b] = logits.map(largest);
        self.agreed += usize::from(best_a == best_b);
        if let Some(next) = next {
            self.followed += 1;
            self.logarithms[0] += a[next];
            self.logarithms[1] += b[next];
        }
        Ok(())
    }

    fn report(self, tokens: usize, window: usize) -> CompareJson {
        let Self { divergences, agreed, followed, logarithms } = self;
        let count = divergences.len().max(1);
        let max_at = (0..divergences.len()).reduce(|best, at| match divergences[at] > divergences[best] {
            true => at,
            false => best,
        });
        let max_at = max_at.unwrap_or(0);
        let mut sorted = divergences.clone();
        sorted.sort_by(f64::total_cmp);
        let of = |at: usize| sorted.get(at).copied().unwrap_or(0.0);
        let kl = KlJson {
            mean: divergences.iter().sum::<f64>() / count as f64,
            p99: of((count * 99).div_ceil(100) - 1),
            max: of(count - 1),
            max_at,
        };
        let [perplexity_a, perplexity_b] = logarithms.map(|sum| (-sum / followed.max(1) as f64).exp());
        CompareJson {
            device: String::new(),
            tokens,
            windows: tokens.div_ceil(window),
            window_tokens: window,
            kl,
            top1_agreement: agreed as f64 / count as f64,
            perplexity_a,
            perplexity_b,
        }
    }
}

/// Logarithms of the probabilities that logits stand for.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - f64::from(most) - sum.ln()).collect()
}

/// The id of the largest logit, the lowest among equals.
fn largest(logits: &[f32]) -> usize {
    (0..logits.len()).reduce(|best, id| if logits[id] > logits[best] { id } else { best }).unwrap_or(0)
}

fn print(report: &CompareJson, out: &mut dyn Write) -> io::Result<()> {
    let CompareJson {
        tokens, windows, window_tokens, kl, top1_agreement, perplexity_a, perplexity_b, ..
    } = report;
    let KlJson { mean, p99, max, max_at } = kl;
    writeln!(out, "tokens       {tokens} in {windows} windows of at most {window_tokens}")?;
    writeln!(out, "KL(A || B)   mean {mean:.3e}, p99 {p99:.3e}, max {max:.3e} behind token {max_at}")?;
    writeln!(out, "top-1        {:.2} % agree", top1_agreement * 100.0)?;
    let ratio = perplexity_b / perplexity_a;
    writeln!(out, "perplexity   A {perplexity_a:.4}, B {perplexity_b:.4}, B/A {ratio:.5}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    fn with(logits: impl Fn(&[u32]) -> Vec<f32> + 'static, capacity: usize) -> Fake {
        let mut fake = Fake::new(3, capacity);
        fake.logits = Box::new(logits);
        fake
    }

    /// Probabilities 1/2, 1/4, 1/4 against 1/4, 1/2, 1/4: the divergence is ln(2)/4 at every place.
    #[test]
    fn figures_are_those_of_known_distributions() {
        let logits = |p: [f32; 3]| p.map(f32::ln).to_vec();
        let mut a = with(move |_| logits([0.5, 0.25, 0.25]), 4);
        let mut b = with(move |_| logits([0.25, 0.5, 0.25]), 5);
        let report = compare([&mut a, &mut b], &[0, 0, 0, 1, 0, 0], None).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        let expected = 2.0_f64.ln() / 4.0;
        assert!([report.kl.mean, report.kl.p99, report.kl.max].into_iter().all(|kl| close(kl, expected)));
        assert_eq!((report.windows, report.window_tokens, report.top1_agreement), (2, 4, 0.0));
        // Behind the first four tokens 0, 0 and 1 follow, behind the other two 0.
        assert!(close(report.perplexity_a, (0.5_f64.powi(3) * 0.25).powf(-0.25)), "{report:?}");
        assert!(close(report.perplexity_b, (0.25_f64.powi(3) * 0.5).powf(-0.25)), "{report:?}");
    }

    #[test]
    fn equal_models_do_not_diverge() {
        let rule = |held: &[u32]| (0..3).map(|id| (held.len() * 7 % 5 + id) as f32).collect::<Vec<f32>>();
        let report = compare([&mut with(rule, 64), &mut with(rule, 64)], &[1; 40], Some(35)).unwrap();
        assert_eq!((report.kl.max, report.top1_agreement, report.windows), (0.0, 1.0, 2));
        assert_eq!(report.perplexity_a, report.perplexity_b);
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let flat = |_: &[u32]| vec![0.0; 3];
        let mut two = Fake::new(2, 8);
        let error = compare([&mut with(flat, 8), &mut two], &[0, 1], None).unwrap_err().to_string();
        assert!(error.contains("3 tokens") && error.contains("2"), "{error}");
        let of = |tokens: &[u32], window| {
            compare([&mut with(flat, 8), &mut with(flat, 8)], tokens, window).unwrap_err().to_string()
        };
        assert!(of(&[0, 3], None).contains("id 1 of --tokens is token 3"));
        assert!(of(&[0], None).contains("at least two"));
        assert!(of(&[0, 1], Some(9)).contains("holds 8"));
        let nan = |_: &[u32]| vec![0.0, f32::NAN, 0.0];
        let error = compare([&mut with(flat, 8), &mut with(nan, 8)], &[0, 1], None).unwrap_err();
        assert!(error.to_string().contains("NaN"), "{error}");
    }

    #[test]
    fn files_of_tokens_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_tokens(&path)
        };
        assert_eq!(read("[1, 2,3]\n 4").unwrap(), [1, 2, 3, 4]);
        assert_eq!(read("").unwrap(), Vec::<u32>::new());
        assert!(read("1 -2").unwrap_err().to_string().contains("`-2` is no token id"));
    }
}
