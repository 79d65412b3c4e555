//! `driftc reduce`: from a model that fails to the smallest one that fails in the same way.

mod failure;
mod search;
mod write;

use crate::args::{ReduceArgs, VerifyArgs};
use crate::bind::Dims;
use crate::error::CliError;
use crate::progress::Progress;
use crate::{Console, Outcome, model, output, replay};
use drift_onnx::{DimBinding, ModelSource, NodeLabel, ValueTypes};
use drift_runtime::Device;
use failure::Failure;
use serde::Serialize;
use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What `driftc reduce --json FILE` writes.
#[derive(Serialize)]
struct ReduceJson {
    /// `numbers`, or `error` where the model cannot be compiled.
    failure: &'static str,
    /// What is wrong: of the error the words, of numbers the first wrong output.
    what: String,
    nodes_before: usize,
    nodes_after: usize,
    /// What is left.
    nodes: Vec<NodeJson>,
    /// Models tried.
    tries: u32,
    /// Whether the search came to its end before the deadline.
    is_complete: bool,
    /// The file.
    model: PathBuf,
    /// The folder of its data.
    data: PathBuf,
}

#[derive(Serialize)]
struct NodeJson {
    name: String,
    operator: String,
}

/// Runs `driftc reduce`.
pub fn run(args: &ReduceArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    write::check_folder(&args.output)?;
    let (source, bindings) = model::open_bound(&args.model, &args.flags)?;
    let failed = |error| CliError::model(&args.model, error);
    let labels = source.node_labels().map_err(failed)?;
    let dims = with_defaults(&source, bindings.dims);
    let types = source.value_types(&dims).unwrap_or_default();
    let device = replay::open(args.target.into(), args.device.as_deref())?;
    let progress = Progress::spinner("looking for the failure");
    let verify = verify_args(args);
    let trial = Trial { device: &device, args: &verify };
    let Some(kind) = trial.failure(&source, &dims)? else {
        let text = "the model does not fail on seeded random inputs: nothing can be left out of it; `driftc verify` says what \
                    is compared, and --rtol and --atol how strictly";
        return Err(CliError::Usage(text.to_owned()));
    };
    let limit = Duration::from_secs(args.deadline.into());
    let (started, tries) = (Instant::now(), Cell::new(1));
    let mut reducer = Reducer { trial, source: &source, types, kind, dims, started, limit, tries };
    let nodes = reducer.nodes(labels.len(), &progress);
    reducer.shrink(&nodes, &progress);
    let small =
        reducer.part(&nodes).ok_or_else(|| CliError::Usage("no node is left to look at".to_owned()))?;
    drop(progress);
    let data = write::model(args, &small, &reducer.types, &reducer.dims, &reducer.kind)?;
    let shown: Vec<&NodeLabel> = nodes.iter().filter_map(|&node| labels.get(node)).collect();
    finish(args, console, &reducer, (labels.len(), &shown, data))
}

/// Says what is left, and how to see it fail.
fn finish(
    args: &ReduceArgs,
    console: &mut Console<'_>,
    reducer: &Reducer<'_>,
    (before, left, data): (usize, &[&NodeLabel], PathBuf),
) -> Result<Outcome, CliError> {
    let (file, tries) = (args.output.display(), reducer.tries.get());
    let is_complete = !reducer.is_over();
    writeln!(console.out(), "failure  {}", reducer.kind)?;
    writeln!(console.out(), "nodes    {} of {before} are left, after {tries} tries", left.len())?;
    const SHOWN: usize = 10;
    for node in left.iter().take(SHOWN) {
        writeln!(console.out(), "  {}  {}", node.op, node.name)?;
    }
    if left.len() > SHOWN {
        writeln!(console.out(), "  and {} more", left.len() - SHOWN)?;
    }
    if !is_complete {
        console.note("the deadline ended the search; a later one (--deadline) may leave fewer nodes")?;
    }
    let folder = data.display();
    writeln!(
        console.out(),
        "{file}: see it with `driftc verify {file} --data {folder}` and the flags given here"
    )?;
    let json = ReduceJson {
        failure: reducer.kind.word(),
        what: reducer.kind.to_string(),
        nodes_before: before,
        nodes_after: left.len(),
        nodes: left
            .iter()
            .map(|node| NodeJson { name: node.name.clone(), operator: node.op.clone() })
            .collect(),
        tries,
        is_complete,
        model: args.output.clone(),
        data: data.clone(),
    };
    output::write_document(args.json.as_deref(), "reduce", &json, console)?;
    Ok(Outcome::Fine)
}

fn verify_args(args: &ReduceArgs) -> VerifyArgs {
    VerifyArgs {
        models: Vec::new(),
        target: vec![args.target],
        data: None,
        entry: None,
        device: args.device.clone(),
        rtol: args.rtol,
        atol: args.atol,
        statistics: false,
        strict: false,
        per_node: false,
        bind_data: false,
        json: None,
        replay: args.replay.clone(),
        flags: crate::args::CompileFlags {
            // The source is cut and bound already.
            bind: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            dim: Vec::new(),
            ..args.flags.clone()
        },
    }
}

/// Tries models.
struct Trial<'a> {
    device: &'a Device,
    args: &'a VerifyArgs,
}

impl Trial<'_> {
    /// How a model fails, if it does. Sizes that it does not have are left out.
    fn failure(&self, source: &ModelSource, dims: &Dims) -> Result<Option<Failure>, CliError> {
        failure::of(source, known(source, dims), self.device, self.args)
    }
}

/// The sizes that a model has.
fn known(source: &ModelSource, dims: &Dims) -> Dims {
    let names = drift_onnx::inputs(source).map(|ports| drift_onnx::sizes(&ports)).unwrap_or_default();
    dims.iter().filter(|(name, _)| names.contains(name)).map(|(name, size)| (name.clone(), *size)).collect()
}

/// Sizes that the import would choose are the same for each part.
fn with_defaults(source: &ModelSource, mut dims: Dims) -> Dims {
    let batches = drift_onnx::inputs(source).and_then(|ports| drift_onnx::default_dims(&ports, &dims));
    dims.extend(batches.unwrap_or_default().into_iter().map(|name| (name, DimBinding::Fixed(1))));
    dims
}

/// One search.
struct Reducer<'a> {
    trial: Trial<'a>,
    source: &'a ModelSource,
    types: ValueTypes,
    /// The failure that is looked for.
    kind: Failure,
    /// Sizes of free dimensions.
    dims: Dims,
    started: Instant,
    limit: Duration,
    tries: Cell<u32>,
}

impl Reducer<'_> {
    fn is_over(&self) -> bool {
        self.started.elapsed() >= self.limit
    }

    fn part(&self, nodes: &[usize]) -> Option<ModelSource> {
        self.source.of_nodes(nodes, &self.types).ok().flatten()
    }

    /// Whether a model fails as the whole does; none when time is up.
    fn fails(&self, source: Option<&ModelSource>, dims: &Dims) -> Option<bool> {
        if self.is_over() {
            return None;
        }
        self.tries.set(self.tries.get() + 1);
        let found = source.and_then(|source| self.trial.failure(source, dims).ok().flatten());
        Some(found.is_some_and(|found| found.is_like(&self.kind)))
    }

    /// The places of the fewest nodes that fail.
    fn nodes(&self, count: usize, progress: &Progress) -> Vec<usize> {
        search::smallest(count, |nodes| {
            progress.message(&format!("try {} of {count} nodes, {} tried", nodes.len(), self.tries.get()));
            self.fails(self.part(nodes).as_ref(), &self.dims)
        })
    }

    /// Smaller sizes of free dimensions, as long as it still fails. Inner values have sizes of their own for this, which follow from
    /// free ones.
    fn shrink(&mut self, nodes: &[usize], progress: &Progress) {
        let fixed = self.source.value_types(&Dims::new()).unwrap_or_default();
        let fixed = std::mem::replace(&mut self.types, fixed);
        let small = self.part(nodes);
        let Some(small) = small.filter(|small| self.fails(Some(small), &self.dims) == Some(true)) else {
            self.types = fixed;
            return;
        };
        let mut dims = known(&small, &self.dims);
        for name in dims.keys().cloned().collect::<Vec<_>>() {
            while let Some(DimBinding::Fixed(size @ 2..)) = dims.get(&name).copied() {
                progress.message(&format!("shrink {name} from {size}"));
                let mut smaller =
                    [1, size / 2, size - 1].into_iter().map(|smaller| with(&dims, &name, smaller));
                let found = smaller.find(|dims| self.fails(Some(&small), dims) == Some(true));
                let Some(found) = found else { break };
                dims = found;
            }
        }
        self.dims = dims;
    }
}

fn with(dims: &Dims, name: &str, size: u64) -> Dims {
    let mut dims = dims.clone();
    dims.insert(name.to_owned(), DimBinding::Fixed(size));
    dims
}
