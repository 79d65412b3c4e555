//! `driftc bench --llm`: how fast a language model reads a prompt and generates, as llama-bench measures it.
//!
//! Random tokens, no tokenizer, no sampling, and logits of the last token only. `pp512` reads 512 tokens at once, `tg128`
//! feeds 128 tokens one after another, each with a round trip for its logits; `tg128 greedy` lets the device choose, where the
//! bundle can. `@ d1024` is behind 1,024 tokens that the caches hold.

use super::model::{self, LanguageModel};
use crate::args::BenchArgs;
use crate::error::CliError;
use crate::generate_error::GenerateError;
use crate::output::write_document;
use crate::progress::Progress;
use crate::random::Random;
use crate::{Console, Outcome, files, replay};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_runtime::LoadOptions;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What `driftc bench --llm --json FILE` writes.
#[derive(Debug, Serialize)]
struct BenchJson {
    /// Device that ran the model.
    device: String,
    /// Time to load the bundle.
    load_ms: f64,
    /// Tokens that the context holds.
    context_tokens: usize,
    /// The rows, in the order in which they were measured.
    tests: Vec<Row>,
}

/// What was measured of one kind of work.
#[derive(Debug, Serialize)]
struct Row {
    /// Such as `tg128 @ d1024`.
    test: String,
    /// Tokens of the prompt; 0 where it generates.
    prompt_tokens: usize,
    /// Tokens to generate; 0 where it reads a prompt.
    generated_tokens: usize,
    /// Tokens that the caches held before.
    depth: usize,
    /// Whether the device chose the tokens.
    greedy_on_device: bool,
    /// Mean over the repetitions.
    tokens_per_s: f64,
    /// Standard deviation of that.
    tokens_per_s_sd: f64,
    /// Time of each repetition.
    times_ms: Vec<f64>,
}

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Reads so many tokens.
    Prompt(usize),
    /// Feeds so many tokens, one after another.
    Steps(usize),
    /// Lets the device choose so many tokens.
    Greedy(usize),
}

impl Work {
    const fn tokens(self) -> usize {
        match self {
            Self::Prompt(tokens) | Self::Steps(tokens) | Self::Greedy(tokens) => tokens,
        }
    }

    fn name(self, depth: usize) -> String {
        let name = match self {
            Self::Prompt(tokens) => format!("pp{tokens}"),
            Self::Steps(tokens) => format!("tg{tokens}"),
            Self::Greedy(tokens) => format!("tg{tokens} greedy"),
        };
        if depth == 0 { name } else { format!("{name} @ d{depth}") }
    }
}

/// How to make what `--llm` measures of a model.
fn needs_a_bundle(model: &Path) -> String {
    format!(
        "--llm needs a bundle with the entries `prefill` and `decode`, whose caches are states; make one by: driftc {} --target \
         vulkan -o OUT.drift --logits last --dim PAST=0..2048 --entry prefill:NEW=128 --entry decode:NEW=1, where PAST is the \
         model's dimension of past rows (past_sequence_length) and NEW that of new tokens (sequence_length)",
        model.display()
    )
}

/// Runs `driftc bench --llm`.
pub(crate) fn run(args: &BenchArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    if !files::is_bundle(&args.model)? {
        return Err(CliError::Usage(needs_a_bundle(&args.model)));
    }
    let bundle = Bundle::open(&args.model)?;
    model::require_entries(&bundle)?;
    let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
    let options = LoadOptions { cache_dir: args.pipeline_cache.clone(), ..args.replay.options() };
    let started = Instant::now();
    let mut model = model::open_model(&bundle, &device, &options)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let tests = measure(model.as_mut(), args)?;
    let context_tokens = model.capacity();
    let report = BenchJson { device: device.info().name.clone(), load_ms, context_tokens, tests };
    print(&report, console.out())?;
    write_document(args.json.as_deref(), "bench", &report, console)?;
    Ok(Outcome::Fine)
}

fn measure(model: &mut dyn LanguageModel, args: &BenchArgs) -> Result<Vec<Row>, CliError> {
    let flags = &args.language;
    let sizes = |counts: &[u32]| counts.iter().map(|count| *count as usize).collect::<Vec<usize>>();
    let depths = sizes(&flags.depth);
    let prompts = sizes(&flags.prompt_tokens).into_iter().map(Work::Prompt);
    let steps = sizes(&flags.generate_tokens)
        .into_iter()
        .flat_map(|tokens| [Work::Steps(tokens), Work::Greedy(tokens)]);
    let works: Vec<Work> = prompts.chain(steps).filter(|work| work.tokens() > 0).collect();
    // All of them before the first: the last would be refused after minutes.
    for (&depth, work) in depths.iter().flat_map(|depth| works.iter().map(move |work| (depth, work))) {
        let (tokens, capacity) = (depth.saturating_add(work.tokens()), model.capacity());
        if tokens > capacity {
            return Err(GenerateError::TestTooLong { test: work.name(depth), tokens, capacity }.into());
        }
    }
    let progress = Progress::steps(depths.len() * works.len(), "measuring");
    let mut tester = Tester { model, random: Random::seeded(0) };
    let mut rows = Vec::new();
    for depth in depths {
        tester.fill(depth)?;
        for &work in &works {
            rows.extend(tester.row(work, depth, flags.repetitions)?);
            progress.step();
        }
    }
    Ok(rows)
}

/// A model that is fed random tokens.
struct Tester<'a> {
    model: &'a mut dyn LanguageModel,
    random: Random,
}

impl Tester<'_> {
    fn token(&mut self) -> u32 {
        (self.random.next() % self.model.vocabulary().max(1) as u64) as u32
    }

    fn tokens(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.token()).collect()
    }

    /// Has the caches hold `depth` tokens.
    fn fill(&mut self, depth: usize) -> Result<(), CliError> {
        self.model.truncate(0)?;
        let tokens = self.tokens(depth);
        if depth > 0 {
            self.model.feed(&tokens)?;
        }
        Ok(())
    }

    /// `None` where the device cannot do such work.
    fn row(&mut self, work: Work, depth: usize, repetitions: u32) -> Result<Option<Row>, CliError> {
        let mut times = Vec::new();
        // The first one warms up.
        for repetition in 0..=repetitions {
            let time = self.time(work)?;
            let (expected, found) = (depth + work.tokens(), self.model.position());
            self.model.truncate(depth)?;
            let Some(time) = time else { return Ok(None) };
            if expected != found {
                return Err(GenerateError::Position { expected, found }.into());
            }
            if repetition > 0 {
                times.push(time);
            }
        }
        let rates: Vec<f64> =
            times.iter().map(|time| work.tokens() as f64 / time.as_secs_f64().max(1e-9)).collect();
        let (mean, deviation) = mean_and_deviation(&rates);
        let is_prompt = matches!(work, Work::Prompt(_));
        Ok(Some(Row {
            test: work.name(depth),
            prompt_tokens: if is_prompt { work.tokens() } else { 0 },
            generated_tokens: if is_prompt { 0 } else { work.tokens() },
            depth,
            greedy_on_device: matches!(work, Work::Greedy(_)),
            tokens_per_s: mean,
            tokens_per_s_sd: deviation,
            times_ms: times.iter().map(|time| time.as_secs_f64() * 1e3).collect(),
        }))
    }

    fn time(&mut self, work: Work) -> Result<Option<Duration>, CliError> {
        let tokens = self.tokens(work.tokens());
        let started = Instant::now();
        match work {
            Work::Prompt(_) => drop(self.model.feed(&tokens)?),
            Work::Steps(_) => {
                for token in &tokens {
                    self.model.feed(std::slice::from_ref(token))?;
                }
            }
            Work::Greedy(count) => {
                let (mut token, mut left) = (tokens[0], count);
                while left > 0 {
                    let Some(chosen) = self.model.feed_greedy(token, left)? else { return Ok(None) };
                    match chosen.last() {
                        Some(&last) if chosen.len() <= left => token = last,
                        _ => return Err(GenerateError::Steps { found: chosen.len(), most: left }.into()),
                    }
                    left -= chosen.len();
                }
            }
        }
        Ok(Some(started.elapsed()))
    }
}

/// The mean and the standard deviation of what a sample was drawn from; no deviation is known of one value.
fn mean_and_deviation(sample: &[f64]) -> (f64, f64) {
    let mean = sample.iter().sum::<f64>() / sample.len().max(1) as f64;
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / sample.len().saturating_sub(1).max(1) as f64).sqrt())
}

/// A table in Markdown.
fn print(report: &BenchJson, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 3]> = report.tests.iter().map(cells).collect();
    let heads = ["test", "t/s", "ms"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let (test, rate, time) = (width(0), width(1), width(2));
    writeln!(out, "device  {}", report.device)?;
    writeln!(out, "load    {:.1} ms, context of {} tokens", report.load_ms, report.context_tokens)?;
    writeln!(out)?;
    writeln!(out, "| {:test$} | {:>rate$} | {:>time$} |", heads[0], heads[1], heads[2])?;
    writeln!(
        out,
        "| {:-<test$} | {:->rate$}: | {:->time$}: |",
        "",
        "",
        "",
        rate = rate - 1,
        time = time - 1
    )?;
    for row in &rows {
        writeln!(out, "| {:test$} | {:>rate$} | {:>time$} |", row[0], row[1], row[2])?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 3] {
    let (mean, deviation) = mean_and_deviation(&row.times_ms);
    let pair = |mean: f64, deviation: f64| format!("{mean:.2} \u{b1} {deviation:.2}");
    [row.test.clone(), pair(row.tokens_per_s, row.tokens_per_s_sd), pair(mean, deviation)]
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;
    use crate::Cli;
    use crate::args::Command;
    use clap::Parser;

    fn args(line: &str) -> BenchArgs {
        let words = ["driftc", "bench", "m.drift", "--llm"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Some(Command::Bench(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn tests(model: &mut Fake, line: &str) -> Vec<String> {
        measure(model, &args(line)).unwrap().into_iter().map(|row| row.test).collect()
    }

    #[test]
    fn each_depth_has_a_row_of_each_kind() {
        let mut model = Fake::new(50, 64);
        let names = ["pp8", "tg3", "pp8 @ d16", "tg3 @ d16"];
        assert_eq!(tests(&mut model, "-p 8 -n 3 -d 0,16 -r 2"), names);
        // Warm-up and two repetitions of each; the depth is filled once.
        let sizes: Vec<usize> = model.fed.iter().map(Vec::len).collect();
        let ones = [1; 9];
        assert_eq!(sizes, [&[8, 8, 8][..], &ones, &[16], &[8, 8, 8], &ones].concat());
        assert!(model.fed.concat().iter().any(|token| *token > 25));
    }

    #[test]
    fn a_device_that_chooses_has_rows_of_its_own() {
        let mut model = Fake::new(50, 64);
        model.greedy = Some(2);
        assert_eq!(tests(&mut model, "-p 0 -n 5 -r 1"), ["tg5", "tg5 greedy"]);
        assert_eq!(model.position(), 0);
    }

    #[test]
    fn more_than_the_context_is_refused_before_anything_runs() {
        let mut model = Fake::new(50, 64);
        let error = measure(&mut model, &args("-p 8,16 -n 0 -d 0,50 -r 1")).unwrap_err().to_string();
        assert!(
            error.starts_with("pp16 @ d50 takes 66 tokens, but the bundle's context holds 64"),
            "{error}"
        );
        assert!(model.fed.is_empty());
    }

    #[test]
    fn rows_are_a_table() {
        let row = |test: &str, rates: &[f64]| {
            let (mean, deviation) = mean_and_deviation(rates);
            Row {
                test: test.to_owned(),
                prompt_tokens: 0,
                generated_tokens: 0,
                depth: 0,
                greedy_on_device: false,
                tokens_per_s: mean,
                tokens_per_s_sd: deviation,
                times_ms: vec![1.0, 2.0, 3.0],
            }
        };
        let report = BenchJson {
            device: "a device".to_owned(),
            load_ms: 12.34,
            context_tokens: 64,
            tests: vec![row("pp512 @ d1024", &[100.0, 104.0]), row("tg128", &[7.0])],
        };
        let mut out = Vec::new();
        print(&report, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "device  a device\nload    12.3 ms, context of 64 tokens\n\n\
             | test          |           t/s |          ms |\n\
             | ------------- | ------------: | ----------: |\n\
             | pp512 @ d1024 | 102.00 \u{b1} 2.83 | 2.00 \u{b1} 1.00 |\n\
             | tg128         |   7.00 \u{b1} 0.00 | 2.00 \u{b1} 1.00 |\n"
        );
    }
}
