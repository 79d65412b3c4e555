//! Mutated models from import to a planned program: whatever fields say, the end is a program or a typed error, soon and in
//! little memory.
//!
//! A model is decoded, a few fields are changed (sizes, attributes, types, operators, names, numbers of constants), and the
//! result goes through import, simplification, fusion, layouts, kernels and the memory plan. The number of a mutant
//! decides everything about it.

mod mutate;

use drift_bundle::manifest::Target;
use drift_compiler::{CompileError, CompileOptions, Stage, emit_stage};
use drift_onnx::{DimBinding, ImportError, ImportOptions, ModelSource, free_dims, import, inputs};
use mutate::{Random, mutate};
use onnx_protobuf::{Message, ModelProto};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What one mutant may take; the models themselves are of a few kilobytes.
const MOST_BYTES: u64 = 512 << 20;
const LONGEST: Duration = Duration::from_secs(5);

/// How long threads may take for what they have begun when the time is over.
const LAST: Duration = Duration::from_secs(60);

/// Where a mutant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It cannot be written.
    Unwritten,
    /// No model.
    Refused,
    /// An op, attribute or operator set that is not known.
    Unsupported,
    /// No layout.
    Layout,
    /// No kernel.
    Select,
    /// No memory plan.
    Memory,
    /// Refused elsewhere in the compiler.
    OtherError,
    /// A program.
    Program,
    /// A graph that does not verify.
    Unsound,
    /// A panic.
    Panicked,
    /// A program or an error, too late.
    Slow,
    /// A program or an error, in too much memory.
    Large,
}

impl End {
    /// Whether it must not happen.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Unsound | Self::Panicked | Self::Slow | Self::Large)
    }
}

/// A sound model.
#[derive(Clone, Debug)]
pub struct Model {
    name: String,
    decoded: ModelProto,
}

/// The models below a folder, by name.
pub fn models(folder: &Path) -> Result<Vec<Model>, String> {
    let listed = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let bytes = std::fs::read(path.join("model.onnx")).ok()?;
        Some(Model { name, decoded: ModelProto::parse_from_bytes(&bytes).ok()? })
    };
    let models: Vec<Model> = paths.into_iter().filter_map(read).collect();
    if models.is_empty() {
        return Err(format!("{} holds no NAME/model.onnx", folder.display()));
    }
    Ok(models)
}

/// Mutant `number`: the name of its model, and its bytes where it can be written.
pub fn mutant(models: &[Model], number: u64) -> (&str, Option<Vec<u8>>) {
    let mut random = Random::new(number);
    let model = &models[random.below(models.len())];
    let mut mutant = model.decoded.clone();
    for _ in 0..1 + random.below(3) {
        mutate(&mut mutant, &mut random);
    }
    (&model.name, mutant.write_to_bytes().ok())
}

/// Takes a model as far as it goes.
fn run(bytes: Vec<u8>) -> End {
    let refused = |error: ImportError| match error {
        ImportError::Unsupported { .. } | ImportError::Opset { .. } => End::Unsupported,
        _ => End::Refused,
    };
    let Ok(source) = ModelSource::from_bytes("mutant", bytes) else { return End::Refused };
    let free = match inputs(&source) {
        Ok(ports) => free_dims(&ports),
        Err(error) => return refused(error),
    };
    let dims: BTreeMap<String, DimBinding> =
        free.into_iter().map(|name| (name, DimBinding::Fixed(2))).collect();
    let graph = match import(&source, &ImportOptions { dims, ..ImportOptions::default() }) {
        Ok(imported) => imported.graph,
        Err(error) => return refused(error),
    };
    if drift_ir::verify::verify(&graph).is_err() {
        return End::Unsound;
    }
    let options = CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec!["generic".to_owned()],
        ..CompileOptions::default()
    };
    match emit_stage(graph, &options, Stage::Memory) {
        Ok(_) => End::Program,
        Err(CompileError::Layout(_)) => End::Layout,
        Err(CompileError::Select(_)) => End::Select,
        Err(CompileError::Memory(_)) => End::Memory,
        Err(_) => End::OtherError,
    }
}

/// Runs something on this thread; says how long it took and how many bytes it held at most.
pub type Measure = fn(&mut dyn FnMut()) -> (Duration, u64);

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The numbers.
    pub numbers: Range<u64>,
    /// Threads.
    pub threads: usize,
    /// How long mutants are begun.
    pub time: Option<Duration>,
    /// Where those that must not happen are written.
    pub keep: Option<PathBuf>,
}

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    ends: BTreeMap<End, u64>,
    /// What must not happen, in words.
    pub bad: Vec<String>,
}

impl Counts {
    /// Mutants that ended there.
    pub fn of(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// All mutants.
    pub fn total(&self) -> u64 {
        self.ends.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bad.iter().try_for_each(|bad| writeln!(f, "{bad}"))?;
        for (end, count) in &self.ends {
            writeln!(f, "{:<12} {count:>10}", format!("{end:?}"))?;
        }
        write!(f, "{:<12} {:>10}", "all models", self.total())
    }
}

struct Shared {
    plan: Plan,
    models: Vec<Model>,
    start: Instant,
    next: AtomicU64,
    counts: Mutex<Counts>,
    measure: Measure,
}

/// Runs the plan. A mutant that does not come back is among what is bad.
pub fn fuzz(models: Vec<Model>, plan: Plan, measure: Measure) -> Counts {
    let (start, next) = (Instant::now(), AtomicU64::new(plan.numbers.start));
    let (threads, time) = (plan.threads.max(1), plan.time);
    let shared = Arc::new(Shared { plan, models, start, next, counts: Mutex::default(), measure });
    let busy: Arc<Vec<AtomicU64>> = Arc::new((0..threads).map(|_| AtomicU64::new(u64::MAX)).collect());
    let (sender, ends) = channel();
    for thread in 0..threads {
        let (shared, busy, sender) = (Arc::clone(&shared), Arc::clone(&busy), sender.clone());
        std::thread::spawn(move || {
            shared.work(&busy[thread]);
            // Nobody listens after the time.
            let _ = sender.send(());
        });
    }
    for _ in 0..threads {
        let left = time.map_or(Duration::MAX, |time| (time + LAST).saturating_sub(start.elapsed()));
        if ends.recv_timeout(left).is_err() {
            break;
        }
    }
    let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stuck = busy.iter().map(|number| number.load(Ordering::Relaxed)).filter(|&number| number != u64::MAX);
    counts.bad.extend(stuck.map(|number| format!("mutant {number} did not come back")));
    counts
}

impl Shared {
    fn work(&self, busy: &AtomicU64) {
        while self.plan.time.is_none_or(|time| self.start.elapsed() < time) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.numbers.end {
                break;
            }
            busy.store(number, Ordering::Relaxed);
            let end = self.one(number);
            *self.lock().ends.entry(end).or_default() += 1;
        }
        busy.store(u64::MAX, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, number: u64) -> End {
        let (name, bytes) = mutant(&self.models, number);
        let Some(bytes) = bytes else { return End::Unwritten };
        let mut outcome = None;
        let (time, peak) = (self.measure)(&mut || {
            outcome = Some(catch_unwind(AssertUnwindSafe(|| run(bytes.clone()))));
        });
        let (end, said) = match outcome {
            Some(Ok(_)) if time > LONGEST => (End::Slow, format!("took {time:?}")),
            Some(Ok(_)) if peak > MOST_BYTES => (End::Large, format!("took {} MiB", peak >> 20)),
            Some(Ok(end)) => (end, String::new()),
            Some(Err(panic)) => (End::Panicked, crate::graphs::campaign::panic_text(&*panic)),
            None => (End::Panicked, "was not run".to_owned()),
        };
        if end.is_bad() {
            self.lock().bad.push(format!("mutant {number} (of {name}): {end:?} {said}"));
            if let Some(folder) = &self.plan.keep {
                // The number makes it again.
                let _ = std::fs::create_dir_all(folder);
                let _ = std::fs::write(folder.join(format!("{end:?}-{number}.onnx")), bytes);
            }
        }
        end
    }
}
