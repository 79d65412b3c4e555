//! Many seeds on several threads, and what they found.

use super::choices::{Choices, Random};
use super::device::{self, Outcome, Setting};
use super::generate::{Case, Limits, case};
use super::report::Report;
use super::rewrites::{self, Passed};
use super::shrink::shrink;
use drift_ir::text;
use drift_runtime::Device;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where seeds begin.
    pub seed: u64,
    /// How many graphs.
    pub count: u64,
    /// Threads, each with its own share.
    pub threads: u64,
    /// Failures after which a thread stops.
    pub most_failures: usize,
}

/// A graph that failed, made small.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number: `--seed SEED --only NUMBER` makes it again.
    pub number: u64,
    /// What is wrong with the small graph.
    pub why: String,
    /// The small graph.
    pub graph: String,
    /// Its inputs.
    pub inputs: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}: {}\n{}", self.number, self.why, self.graph)?;
        self.inputs.iter().try_for_each(|input| writeln!(f, "// {input}"))
    }
}

/// What a thread counted and found.
type Share = Result<(Report, Vec<Found>), String>;

/// Runs a share of a plan on each thread; they take numbers from one counter.
fn on_threads(plan: Plan, share: impl Fn(&AtomicU64) -> Share + Sync) -> Share {
    let (next, share) = (&AtomicU64::new(0), &share);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads.max(1)).map(|_| scope.spawn(move || share(next))).collect();
        let (mut report, mut found) = (Report::default(), Vec::new());
        for thread in threads {
            let (counts, failures) = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            report.add(counts);
            found.extend(failures);
        }
        found.sort_by_key(|failure: &Found| failure.number);
        Ok((report, found))
    })
}

/// Checks the rewrites of many graphs.
pub fn rewrites(plan: Plan) -> Share {
    on_threads(plan, |next| {
        let (mut report, mut found) = (Report::default(), Vec::new());
        while found.len() < plan.most_failures.max(1) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.count {
                break;
            }
            found.extend(one(plan.seed, number, &mut report).err());
        }
        Ok((report, found))
    })
}

/// Graphs in one bundle.
const TOGETHER: u64 = 8;

/// Runs many graphs on a device, a bundle of them at a time, layouts and precisions in turn. Special values are taken
/// where asked for.
pub fn on_device(plan: Plan, specials: bool) -> Share {
    on_threads(plan, |next| {
        let device = device::open()?;
        let (mut report, mut found) = (Report::default(), Vec::new());
        while found.len() < plan.most_failures.max(1) {
            let start = next.fetch_add(TOGETHER, Ordering::Relaxed);
            if start >= plan.count {
                break;
            }
            let numbers = start..(start + TOGETHER).min(plan.count);
            found.extend(group_on(&device, plan.seed, numbers, specials, &mut report));
        }
        Ok((report, found))
    })
}

/// Runs some graphs on a device as one bundle.
pub fn group_on(
    device: &Device,
    seed: u64,
    numbers: std::ops::Range<u64>,
    specials: bool,
    report: &mut Report,
) -> Vec<Found> {
    let group = numbers.start / TOGETHER;
    let setting = device::SETTINGS[(group % device::SETTINGS.len() as u64) as usize];
    let limits = |number: u64| Limits { specials: specials && number % 2 == 1, ..limits_of(number, true) };
    let mut made: Vec<(u64, Vec<u32>, Case)> = Vec::new();
    for number in numbers {
        let mut choices = choices_of(seed, number);
        match case(&mut choices, limits(number)) {
            Some(case) => made.push((number, choices.used().to_vec(), case)),
            None => report.empty += 1,
        }
    }
    let cases: Vec<Case> = made.iter().map(|(.., case)| case.clone()).collect();
    let mut found = Vec::new();
    for ((number, choices, case), outcome) in made.into_iter().zip(on(device, &cases, setting)) {
        report.graph(&case);
        report.reached(match &outcome {
            Outcome::Agrees => "agrees",
            Outcome::Refused(_) => "refused by the compiler",
            Outcome::NotCompared => "not compared",
            Outcome::Wrong(_) => "wrong",
        });
        if let Outcome::Refused(why) = &outcome {
            report.refused(why);
        }
        if let Outcome::Wrong(why) = outcome {
            let raw = |case: &Case| match on(device, std::slice::from_ref(case), setting).pop() {
                Some(Outcome::Wrong(why)) => Some(why),
                _ => None,
            };
            let again = |case: &Case| raw(case).map(|why| format!("{setting:?}: {why}"));
            let small = smaller(choices, limits(number), |case| {
                raw(case).is_some_and(|other| kind(&other) == kind(&why))
            });
            found.push(described(number, why, small.unwrap_or(case), again));
        }
    }
    found
}

/// The check on a device, with panics as failures.
fn on(device: &Device, cases: &[Case], setting: Setting) -> Vec<Outcome> {
    let checked = catch_unwind(AssertUnwindSafe(|| device::check(device, cases, setting)));
    match checked {
        Ok(outcomes) => outcomes,
        Err(panic) if cases.len() == 1 => vec![Outcome::Wrong(panic_text(&*panic))],
        Err(_) => cases.iter().flat_map(|case| on(device, std::slice::from_ref(case), setting)).collect(),
    }
}

/// The limits of one graph: specials in every second, so that rounding is looked at in the others.
pub const fn limits_of(number: u64, device: bool) -> Limits {
    Limits { specials: number % 2 == 1, device, steps: 6 }
}

/// The choices of one graph.
pub const fn choices_of(seed: u64, number: u64) -> Choices {
    Choices::seeded(Random::new(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d)).next())
}

/// A graph as text.
pub fn shown(seed: u64, number: u64, device: bool, specials: bool) -> String {
    let limits = limits_of(number, device);
    let limits = Limits { specials: limits.specials && (specials || !device), ..limits };
    case(&mut choices_of(seed, number), limits).map_or_else(String::new, |case| text::print(&case.graph))
}

/// Checks one graph.
pub fn one(seed: u64, number: u64, report: &mut Report) -> Result<(), Found> {
    let limits = limits_of(number, false);
    let mut choices = choices_of(seed, number);
    let made = catch_unwind(AssertUnwindSafe(|| case(&mut choices, limits))).map_err(|panic| Found {
        number,
        why: format!("the generator {}", panic_text(&*panic)),
        graph: String::new(),
        inputs: Vec::new(),
    })?;
    let Some(made) = made else {
        report.empty += 1;
        return Ok(());
    };
    match guarded(&made) {
        Ok(passed) => {
            report.count(&made, &passed);
            Ok(())
        }
        Err(why) => {
            report.graph(&made);
            report.reached("wrong");
            let small = smaller(choices.used().to_vec(), limits, |case| {
                guarded(case).is_err_and(|other| kind(&other) == kind(&why))
            });
            Err(described(number, why, small.unwrap_or(made), |case| guarded(case).err()))
        }
    }
}

/// A failure in words, of the small graph where that still fails.
pub fn described(number: u64, why: String, small: Case, again: impl Fn(&Case) -> Option<String>) -> Found {
    let named = small.graph.inputs().iter().map(|&input| &small.graph.value(input).name);
    let inputs =
        named.zip(&small.inputs).filter(|(_, tensor)| tensor.len() <= 64).map(|(name, tensor)| match tensor
            .element()
        {
            element if element.is_float() => format!("%{name} = {:?}", tensor.to_f64_vec()),
            _ => format!("%{name} = {:?}", tensor.to_i64_vec()),
        });
    let inputs = inputs.collect();
    Found { number, why: again(&small).unwrap_or(why), graph: text::print(&small.graph), inputs }
}

/// The case made small, unless that panics: what fails may be the evaluator, which shrinking asks, too.
fn smaller(choices: Vec<u32>, limits: Limits, fails: impl Fn(&Case) -> bool) -> Option<Case> {
    catch_unwind(AssertUnwindSafe(|| shrink(choices, limits, fails))).ok().flatten()
}

/// The first words of a failure: a smaller graph is to fail in the same way.
fn kind(why: &str) -> String {
    why.split(' ').filter(|word| !word.contains(|c: char| c == '`' || c.is_ascii_digit())).take(3).collect()
}

/// The check, with panics as failures.
fn guarded(case: &Case) -> Result<Passed, String> {
    catch_unwind(AssertUnwindSafe(|| rewrites::check(case))).unwrap_or_else(|panic| Err(panic_text(&*panic)))
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    format!("panics: {}", text.unwrap_or_default())
}
