//! `driftc verify`: compiles, replays, and compares every output with what is expected.
//!
//! Expected are the outputs stored beside a model; where there are none, those of the reference evaluator. A model that
//! cannot be compiled for a stated reason is unsupported, which is no failure. A model that cannot be read is bad input;
//! the others are still checked.

use crate::args::{CompileFlags, PrecisionArg, VerifyArgs, WeightsArg};
use crate::compare::{self, Difference, Tolerance};
use crate::dataset::{self, Case, DataSet};
use crate::error::CliError;
use crate::host::{self, HostTensor};
use crate::model::{self, Dims, Model};
use crate::progress::Progress;
use crate::report::{self, ModelJson, OutputJson, Status, VerifyJson};
use crate::{Console, Outcome, per_node, random, replay, run};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_ir::{ElementType, Graph, Tensor, ValueId};
use drift_onnx::{DimBinding, ImportError, ModelSource};
use drift_runtime::{Device, Session};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

/// Runs `driftc verify`.
pub fn run(args: &VerifyArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let mut cases = Vec::new();
    for path in &args.models {
        cases.extend(dataset::find(path)?);
    }
    let mut devices = Vec::new();
    for target in &args.target {
        devices.push((Target::from(*target), replay::open(Target::from(*target), args.device.as_deref())?));
    }
    let progress = Progress::steps(cases.len() * devices.len(), "verifying");
    let mut tally = Tally { several_targets: devices.len() > 1, ..Tally::default() };
    for case in &cases {
        for (target, device) in &devices {
            progress.message(&case.name);
            let check = Check { case, target: *target, device, args };
            let verdict = caught(|| check.run(console));
            progress.suspend(|| tally.add(&case.name, *target, verdict, console))?;
            progress.step();
        }
    }
    drop(progress);
    let VerifyJson { passed, failed, unsupported, .. } = tally.report;
    writeln!(console.out, "{passed} passed, {failed} failed, {unsupported} unsupported")?;
    report::write_json(args.json.as_deref(), &tally.report)?;
    Ok(match (tally.broken, failed) {
        (true, _) => Outcome::BadInput,
        (false, 0) => Outcome::Fine,
        (false, _) => Outcome::CheckFailed,
    })
}

/// What `check` says, a panic included: one model must not hide the others.
fn caught<T>(check: impl FnOnce() -> Result<T, CliError>) -> Result<T, CliError> {
    // Nothing that the check borrowed is half changed afterwards: it writes whole lines to the console, and the device
    // drops what was loaded.
    std::panic::catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(CliError::Panicked(message.unwrap_or("without a message").to_owned()))
    })
}

/// Counts models and prints their lines.
#[derive(Default)]
struct Tally {
    report: VerifyJson,
    several_targets: bool,
    /// A model or its data could not even be read.
    broken: bool,
}

impl Tally {
    fn add(
        &mut self,
        name: &str,
        target: Target,
        verdict: Result<ModelJson, CliError>,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let without_numbers = |status, reason: String| ModelJson {
            name: name.to_owned(),
            target: target.name(),
            status,
            outputs: Vec::new(),
            reason: Some(reason),
            first_wrong_node: None,
        };
        let model = match verdict {
            Ok(model) => model,
            Err(error) => match error.unsupported() {
                Some(reason) => without_numbers(Status::Unsupported, reason),
                None => {
                    self.broken |= !error.is_failed_check();
                    console.error(&error)?;
                    without_numbers(Status::Fail, error.in_one_line())
                }
            },
        };
        self.print(&model, console)?;
        match model.status {
            Status::Pass => self.report.passed += 1,
            Status::Fail => self.report.failed += 1,
            Status::Unsupported => self.report.unsupported += 1,
        }
        self.report.models.push(model);
        Ok(())
    }

    fn print(&self, model: &ModelJson, console: &mut Console<'_>) -> Result<(), CliError> {
        let name = if self.several_targets {
            format!("{}@{}", model.name, model.target)
        } else {
            model.name.clone()
        };
        for output in &model.outputs {
            let OutputJson { status, max_abs, max_rel, .. } = output;
            writeln!(console.out, "{} {name}/{} {max_abs:.3e} {max_rel:.3e}", status.word(), output.name)?;
        }
        if let Some(reason) = &model.reason {
            writeln!(console.out, "{} {name} {reason}", model.status.word())?;
        }
        if let Some(node) = &model.first_wrong_node {
            writeln!(console.out, "FIRST {name} {node}")?;
        }
        Ok(())
    }
}

/// One model on one target.
struct Check<'a> {
    case: &'a Case,
    target: Target,
    device: &'a Device,
    args: &'a VerifyArgs,
}

/// A model compiled for one binding of its free dimensions, ready to replay.
struct Subject {
    dims: Dims,
    graph: Graph,
    session: Session,
    tolerance: Tolerance,
}

impl Check<'_> {
    fn run(&self, console: &mut Console<'_>) -> Result<ModelJson, CliError> {
        let source = model::open(&self.case.model)?;
        let data_sets: Vec<Option<&DataSet>> = match self.case.data_sets.as_slice() {
            [] => vec![None],
            sets => sets.iter().map(Some).collect(),
        };
        let mut outputs: Vec<(String, Difference)> = Vec::new();
        let mut first_wrong_node = None;
        let mut subject: Option<Subject> = None;
        for data in data_sets {
            let stored = data.map(|data| read_inputs(&source, data, self)).transpose()?;
            let dims = self.dims(&source, stored.as_deref().unwrap_or_default())?;
            let ready = match subject.take() {
                Some(ready) if ready.dims == dims => ready,
                _ => self.prepare(&source, dims, console)?,
            };
            let subject = subject.insert(ready);
            let inputs = inputs(&subject.graph, stored)?;
            let expected = self.expected(&subject.graph, data, &inputs)?;
            for (index, difference) in subject.differences(&inputs, &expected)?.into_iter().enumerate() {
                match outputs.get_mut(index) {
                    Some((_, worst)) => *worst = worst.worst(difference.1),
                    None => outputs.push(difference),
                }
            }
            if self.args.per_node && first_wrong_node.is_none() {
                first_wrong_node = self.first_wrong_node(&source, subject, &inputs)?;
            }
        }
        let wrong = first_wrong_node.is_some() || outputs.iter().any(|(_, difference)| !difference.passes());
        Ok(ModelJson {
            name: self.case.name.clone(),
            target: self.target.name(),
            status: if wrong { Status::Fail } else { Status::Pass },
            outputs: outputs.iter().map(|(name, difference)| OutputJson::new(name, *difference)).collect(),
            reason: None,
            first_wrong_node,
        })
    }

    /// Sizes from the data, then from the command line. Bounds stay bounds, so that they are what is verified.
    fn dims(&self, source: &ModelSource, data: &[(String, HostTensor)]) -> Result<Dims, CliError> {
        let shapes: Vec<(&str, &[u64])> =
            data.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        let mut dims = drift_onnx::infer_dims_from_inputs(source, &shapes)
            .map_err(|source| self.import_error(source))?;
        for (name, given) in model::dims(&self.args.flags) {
            match given {
                DimBinding::Range(..) => {
                    dims.insert(name, given);
                }
                DimBinding::Fixed(_) => {
                    dims.entry(name).or_insert(given);
                }
            }
        }
        Ok(dims)
    }

    fn prepare(
        &self,
        source: &ModelSource,
        dims: Dims,
        console: &mut Console<'_>,
    ) -> Result<Subject, CliError> {
        let Model { graph, identity, notes } =
            model::import(source, dims.clone()).map_err(|source| self.import_error(source))?;
        notes.iter().try_for_each(|note| console.note(&format!("{}: {note}", self.case.name)))?;
        let half = uses_half(&graph, &self.args.flags);
        let session = self.compile(graph.clone(), identity)?;
        Ok(Subject { dims, graph, session, tolerance: self.args.tolerance(half) })
    }

    fn compile(&self, graph: Graph, identity: drift_compiler::ModelIdentity) -> Result<Session, CliError> {
        let options = model::options(&self.args.flags, vec![self.target]);
        let compiled = drift_compiler::compile(graph, identity, &options)
            .map_err(|source| CliError::compile(&self.case.model, source))?;
        let bundle = Bundle::from_bytes(compiled.bundle.to_bytes()?)?;
        Ok(self.device.load(&bundle)?)
    }

    fn expected(
        &self,
        graph: &Graph,
        data: Option<&DataSet>,
        inputs: &[HostTensor],
    ) -> Result<Vec<HostTensor>, CliError> {
        match data {
            Some(data) if !data.outputs.is_empty() => {
                let names: Vec<&str> =
                    graph.outputs().iter().map(|id| graph.value(*id).name.as_str()).collect();
                Ok(in_order(data, "output", read_all(&data.outputs)?, &names)?)
            }
            Some(_) | None => {
                let outputs = drift_ir::eval::run(graph, &ir_tensors(inputs)?)
                    .map_err(|source| self.reference_error(source))?;
                outputs.iter().map(HostTensor::from_ir).collect()
            }
        }
    }

    fn first_wrong_node(
        &self,
        source: &ModelSource,
        subject: &Subject,
        inputs: &[HostTensor],
    ) -> Result<Option<String>, CliError> {
        let tensors = ir_tensors(inputs)?;
        let observed =
            per_node::observe(&subject.graph, &tensors).map_err(|source| self.reference_error(source))?;
        let identity = model::identity(source, &subject.graph);
        let all = per_node::with_all_outputs(&subject.graph, &observed)
            .map_err(|source| self.import_error(ImportError::Graph(Box::new(source))))?;
        let mut session = self.compile(all, identity)?;
        replay::run_on(&mut session, inputs)?;
        per_node::first_wrong(&subject.graph, &observed, &mut session, subject.tolerance)
    }

    fn import_error(&self, source: ImportError) -> CliError {
        CliError::model(&self.case.model, source)
    }

    fn reference_error(&self, source: drift_ir::eval::EvalError) -> CliError {
        CliError::reference(&self.case.model, source)
    }
}

impl Subject {
    /// Replays on these inputs and compares each output.
    fn differences(
        &mut self,
        inputs: &[HostTensor],
        expected: &[HostTensor],
    ) -> Result<Vec<(String, Difference)>, CliError> {
        replay::run_on(&mut self.session, inputs)?;
        let mut differences = Vec::new();
        for (tensor, expected) in self.session.outputs().to_vec().iter().zip(expected) {
            let got = replay::read(&mut self.session, tensor)?;
            let difference = compare::compare(&got, expected, self.tolerance)
                .map_err(|source| CliError::WrongOutput { name: tensor.name.clone(), source })?;
            differences.push((tensor.name.clone(), difference));
        }
        Ok(differences)
    }
}

/// Stored inputs with the names that the model gives them.
fn read_inputs(
    source: &ModelSource,
    data: &DataSet,
    check: &Check<'_>,
) -> Result<Vec<(String, HostTensor)>, CliError> {
    let ports = drift_onnx::inputs(source).map_err(|source| check.import_error(source))?;
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let tensors = in_order(data, "input", read_all(&data.inputs)?, &names)?;
    Ok(names.into_iter().map(str::to_owned).zip(tensors).collect())
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, HostTensor)>, CliError> {
    paths.iter().map(|path| run::read_pb(path)).collect()
}

/// Stored tensors in the model's order: by name where all names are the model's, else as they are numbered.
fn in_order(
    data: &DataSet,
    what: &'static str,
    stored: Vec<(String, HostTensor)>,
    names: &[&str],
) -> Result<Vec<HostTensor>, CliError> {
    if stored.len() != names.len() {
        let (found, expected) = (stored.len(), names.len());
        return Err(CliError::DataCount { folder: data.folder.clone(), what, found, expected });
    }
    let place = |name: &str| names.iter().position(|known| *known == name);
    let mut placed: Vec<(usize, HostTensor)> = Vec::with_capacity(stored.len());
    let by_name = stored.iter().all(|(name, _)| place(name).is_some());
    for (index, (name, tensor)) in stored.into_iter().enumerate() {
        placed.push((if by_name { place(&name).unwrap_or(index) } else { index }, tensor));
    }
    placed.sort_by_key(|(index, _)| *index);
    Ok(placed.into_iter().map(|(_, tensor)| tensor).collect())
}

/// Stored inputs, or random ones for the shapes that the graph has.
fn inputs(graph: &Graph, stored: Option<Vec<(String, HostTensor)>>) -> Result<Vec<HostTensor>, CliError> {
    if let Some(stored) = stored {
        return Ok(stored.into_iter().map(|(_, tensor)| tensor).collect());
    }
    let random = |id: &ValueId| {
        let value = graph.value(*id);
        let tensor = host::io_tensor(&value.name, &value.ty)?;
        random::tensor(&tensor.name, tensor.element, &tensor.shape)
            .map_err(|source| CliError::Tensor { name: value.name.clone(), source })
    };
    graph.inputs().iter().map(random).collect()
}

fn ir_tensors(tensors: &[HostTensor]) -> Result<Vec<Tensor>, CliError> {
    Ok(tensors.iter().map(HostTensor::to_ir).collect::<Result<_, _>>()?)
}

/// Whether halves stand anywhere between the inputs and the outputs.
fn uses_half(graph: &Graph, flags: &CompileFlags) -> bool {
    let asked = flags.precision == Some(PrecisionArg::F16)
        || matches!(flags.weights, Some(WeightsArg::F16 | WeightsArg::Q8 | WeightsArg::Q844));
    asked || graph.values().any(|(_, value)| value.ty.element == ElementType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failed_check_with_its_message() {
        let error = caught::<()>(|| panic!("slot {} is missing", 3)).expect_err("it panics");
        assert!(error.is_failed_check() && error.unsupported().is_none());
        assert!(error.in_one_line().contains("slot 3 is missing"), "{error}");
        assert!(caught(|| Ok(())).is_ok());
    }
}
