//! Many seeds on several threads, and what they found. A run ends when its graphs or its seconds do, whatever it meets.

use super::choices::{Choices, Random};
use super::device::{Checker, Fault, Outcome, SETTINGS, Setting};
use super::findings::{Findings, Found};
use super::generate::{Case, Limits, case};
use super::isolate;
use super::report::Report;
use super::rewrites::{self, Passed};
use super::shrink::shrink;
use drift_ir::text;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where seeds begin.
    pub seed: u64,
    /// The first graph.
    pub from: u64,
    /// How many graphs.
    pub count: u64,
    /// Threads, each with its own share.
    pub threads: u64,
    /// Failures of one kind that are made small; others are counted.
    pub examples: u64,
    /// How long graphs are begun.
    pub time: Option<Duration>,
    /// On a device, whether special values are among the numbers; without a device they always are.
    pub specials: bool,
}

impl Plan {
    /// So many graphs of a seed, on one thread.
    pub const fn new(seed: u64, count: u64) -> Self {
        Self { seed, from: 0, count, threads: 1, examples: 3, time: None, specials: false }
    }
}

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Counts.
    pub report: Report,
    /// What failed.
    pub findings: Findings,
    /// How long it took.
    pub time: Duration,
    /// First graphs of the bundles that threads were still busy with at the end of the time.
    pub busy: Vec<u64>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        writeln!(f, "{}{}", self.report, self.findings)?;
        if !self.busy.is_empty() {
            let firsts: Vec<String> = self.busy.iter().map(u64::to_string).collect();
            writeln!(
                f,
                "{} threads did not come back in time; what they did last, from graphs {} on, is not counted",
                self.busy.len(),
                firsts.join(", ")
            )?;
        }
        write!(f, "{:.1} graphs a second for {seconds:.0} s", self.report.graphs as f64 / seconds)
    }
}

/// How long a failure is made smaller.
const SHRINKING: Duration = Duration::from_secs(20);

/// How long threads may take for what they have begun.
const LAST: Duration = Duration::from_secs(30);

/// Graphs in one bundle.
const TOGETHER: u64 = 32;

/// What threads share.
struct Shared {
    plan: Plan,
    start: Instant,
    next: AtomicU64,
    report: Mutex<Report>,
    findings: Mutex<Findings>,
    /// First graphs of what threads are busy with.
    busy: Mutex<BTreeSet<u64>>,
}

impl Shared {
    /// The next graphs; none at the end.
    fn numbers(&self) -> Option<Range<u64>> {
        if self.plan.time.is_some_and(|time| self.start.elapsed() >= time) {
            return None;
        }
        let end = self.plan.from + self.plan.count;
        let first = self.next.fetch_add(TOGETHER, Ordering::Relaxed);
        if first >= end {
            return None;
        }
        self.busy().insert(first);
        Some(first..(first + TOGETHER).min(end))
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure, and says whether it is to be an example.
    fn is_example(&self, kind: &str) -> bool {
        self.findings().count(kind) <= self.plan.examples
    }

    /// Until when a failure is made smaller.
    fn shrinking(&self) -> Instant {
        let end = self.plan.time.map_or(SHRINKING, |time| time.saturating_sub(self.start.elapsed()));
        Instant::now() + end.min(SHRINKING)
    }

    /// Adds what came of the graphs from `first` on.
    fn add(&self, first: u64, report: Report) {
        self.busy().remove(&first);
        self.report.lock().unwrap_or_else(PoisonError::into_inner).add(report);
    }
}

/// Runs a plan on its threads; they take numbers from one counter.
fn on_threads(plan: Plan, work: fn(&Shared) -> Result<(), String>) -> Result<Done, String> {
    let start = Instant::now();
    let (report, findings, busy) = Default::default();
    let shared = Arc::new(Shared { plan, start, next: AtomicU64::new(plan.from), report, findings, busy });
    let (sender, ends) = channel();
    let mut running = plan.threads.max(1);
    for _ in 0..running {
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        std::thread::spawn(move || {
            let worked = catch_unwind(AssertUnwindSafe(|| work(&shared)));
            // Nobody listens after the time.
            let _ = sender.send(worked.unwrap_or_else(|panic| Err(panic_text(&*panic))));
        });
    }
    while running > 0 {
        let patience = match plan.time {
            Some(time) => (time + LAST).saturating_sub(start.elapsed()),
            None => Duration::MAX,
        };
        let Ok(ended) = ends.recv_timeout(patience) else { break };
        ended?;
        running -= 1;
    }
    let report = shared.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let findings = shared.findings().clone();
    let busy = shared.busy().iter().copied().collect();
    Ok(Done { report, findings, time: start.elapsed(), busy })
}

/// Checks the rewrites of many graphs.
pub fn rewrites(plan: Plan) -> Result<Done, String> {
    on_threads(plan, |shared| {
        while let Some(numbers) = shared.numbers() {
            let (first, mut report) = (numbers.start, Report::default());
            for number in numbers {
                one(shared, number, &mut report);
            }
            shared.add(first, report);
        }
        Ok(())
    })
}

/// Runs many graphs on a device, a bundle of them at a time, settings in turn.
pub fn on_device(plan: Plan) -> Result<Done, String> {
    on_threads(plan, |shared| {
        let mut checker = Checker::open()?;
        while let Some(numbers) = shared.numbers() {
            let first = numbers.start;
            let mut report = group(&mut checker, shared, numbers);
            report.times = std::mem::take(&mut checker.times);
            shared.add(first, report);
        }
        Ok(())
    })
}

/// The setting of a graph's bundle. SPIR-V is optimised in every fourth round.
fn setting_of(number: u64) -> Setting {
    let group = number / TOGETHER;
    let setting = SETTINGS[(group % SETTINGS.len() as u64) as usize];
    Setting { optimize: (group / SETTINGS.len() as u64).is_multiple_of(4), ..setting }
}

/// A graph in the making of a failure's example.
struct Failed {
    number: u64,
    choices: Vec<u32>,
    limits: Limits,
    case: Case,
}

/// Runs some graphs on a device as one bundle.
fn group(checker: &mut Checker, shared: &Shared, numbers: Range<u64>) -> Report {
    let (plan, setting, mut report) = (shared.plan, setting_of(numbers.start), Report::default());
    let mut made = Vec::new();
    for number in numbers {
        let limits = limits_of(number, true, plan.specials);
        let mut choices = choices_of(plan.seed, number);
        match case(&mut choices, limits) {
            Some(case) => made.push(Failed { number, choices: choices.used().to_vec(), limits, case }),
            None => report.empty += 1,
        }
    }
    let cases: Vec<Case> = made.iter().map(|one| one.case.clone()).collect();
    for (one, outcome) in made.into_iter().zip(checker.check(&cases, setting)) {
        report.graph(&one.case);
        match outcome {
            Outcome::Agrees => report.reached("agrees"),
            Outcome::Refused(why) => {
                report.reached("refused by the compiler");
                report.refused(&why);
            }
            Outcome::NotCompared(why) => report.reached(&format!("not compared ({why})")),
            Outcome::Wrong(fault) => {
                report.reached("wrong");
                examine(checker, shared, one, &fault, setting);
            }
        }
    }
    report
}

/// Counts a graph that failed on a device, and makes it small where it is to be an example.
fn examine(checker: &mut Checker, shared: &Shared, failed: Failed, fault: &Fault, setting: Setting) {
    let (kind, single) = isolate::kind(checker, &failed.case, fault, setting);
    if !shared.is_example(&kind) {
        return;
    }
    let Failed { number, choices, limits, case } = failed;
    let small = single.or_else(|| {
        let until = shared.shrinking();
        smaller(choices, limits, until, |case| {
            checker.fault(case, setting).is_some_and(|other| other.is_like(fault))
        })
    });
    let small = small.unwrap_or(case);
    let why = checker.fault(&small, setting).unwrap_or_else(|| fault.clone());
    let why = format!("{setting:?}: {}", why.why());
    shared.findings().keep(&kind, Found::new(number, why, &small));
}

/// The limits of one graph: specials in every second, so that rounding is looked at in the others.
pub const fn limits_of(number: u64, device: bool, specials: bool) -> Limits {
    Limits { specials: specials && number % 2 == 1, device, steps: 6 }
}

/// The choices of one graph.
pub const fn choices_of(seed: u64, number: u64) -> Choices {
    Choices::seeded(Random::new(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d)).next())
}

/// A graph as text.
pub fn shown(plan: Plan, device: bool) -> String {
    let limits = limits_of(plan.from, device, plan.specials || !device);
    let made = case(&mut choices_of(plan.seed, plan.from), limits);
    made.map_or_else(String::new, |case| text::print(&case.graph))
}

/// Checks the rewrites of one graph.
fn one(shared: &Shared, number: u64, report: &mut Report) {
    let limits = limits_of(number, false, true);
    let mut choices = choices_of(shared.plan.seed, number);
    let made = match catch_unwind(AssertUnwindSafe(|| case(&mut choices, limits))) {
        Ok(Some(made)) => made,
        Ok(None) => {
            report.empty += 1;
            return;
        }
        Err(panic) => {
            let why = format!("the generator {}", panic_text(&*panic));
            if shared.is_example(&why) {
                let found = Found { number, why: why.clone(), graph: String::new(), inputs: Vec::new() };
                shared.findings().keep(&why, found);
            }
            return;
        }
    };
    let why = match guarded(&made) {
        Ok(passed) => return report.count(&made, &passed),
        Err(why) => why,
    };
    report.graph(&made);
    report.reached("wrong");
    let kind = kind(&why);
    if shared.is_example(&kind) {
        let small = smaller(choices.used().to_vec(), limits, shared.shrinking(), |case| {
            guarded(case).is_err_and(|other| self::kind(&other) == kind)
        });
        let small = small.unwrap_or(made);
        let why = guarded(&small).err().unwrap_or(why);
        shared.findings().keep(&kind, Found::new(number, why, &small));
    }
}

/// The case made small, unless that panics: what fails may be the evaluator, which shrinking asks, too.
fn smaller(
    choices: Vec<u32>,
    limits: Limits,
    until: Instant,
    fails: impl FnMut(&Case) -> bool,
) -> Option<Case> {
    catch_unwind(AssertUnwindSafe(|| shrink(choices, limits, until, fails))).ok().flatten()
}

/// The first words of a failure: a smaller graph is to fail in the same way.
fn kind(why: &str) -> String {
    isolate::words(why).split(' ').take(3).collect::<Vec<_>>().join(" ")
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
