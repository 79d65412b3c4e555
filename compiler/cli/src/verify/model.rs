//! Models: compiled, replayed, and compared with stored outputs or with the reference evaluator.

use super::part::{self, Part};
use super::states::Caches;
use super::{Differences, data, differences};
use crate::args::{CompileFlags, PrecisionArg, VerifyArgs, WeightsArg};
use crate::bind::Bindings;
use crate::bind::Dims;
use crate::compare::Tolerance;
use crate::dataset::{Case, DataSet, Kind, OwnTolerance};
use crate::error::CliError;
use crate::host::HostTensor;
use crate::model::{self, Model};
use crate::report::{ModelJson, Status};
use crate::sizes::Free;
use crate::{Console, calibrate, host, in_memory, meant, per_node, random, replay};
use drift_bundle::manifest::{IoTensor, Target};
use drift_ir::{Dim, ElementType, Graph, Tensor, TensorType, Value};
use drift_onnx::{DimBinding, ImportError, ModelSource};
use drift_runtime::{Device, Session};
use std::path::PathBuf;

pub(super) fn check(
    case: &Case,
    target: Target,
    device: &Device,
    args: &VerifyArgs,
    console: &mut Console<'_>,
) -> Result<ModelJson, CliError> {
    if !args.bind_data || case.data_sets.is_empty() {
        return check_at_once(case, target, device, args, console);
    }
    // Each data set makes a model of its own. The first that is wrong is told, or else the last.
    let mut last = None;
    for data in &case.data_sets {
        let alone = Case { data_sets: vec![data.clone()], ..case.clone() };
        let verdict = check_at_once(&alone, target, device, args, console)?;
        if verdict.status == Status::Fail {
            return Ok(verdict);
        }
        last = Some(verdict);
    }
    Ok(last.unwrap_or_else(|| unreachable!("there are data sets")))
}

fn check_at_once(
    case: &Case,
    target: Target,
    device: &Device,
    args: &VerifyArgs,
    console: &mut Console<'_>,
) -> Result<ModelJson, CliError> {
    let whole = model::open(&case.path)?;
    let (all_inputs, all_outputs) =
        drift_onnx::boundary_names(&whole).map_err(|error| CliError::model(&case.path, error))?;
    let (mut source, mut bindings) = model::open_bound(&case.path, &args.flags)?;
    if args.bind_data {
        bind_data(case, &all_inputs, &mut source, &mut bindings)?;
    }
    let open_inputs = input_names(&source, case)?;
    let part = (!args.flags.cut().is_empty()).then_some(Part { all_outputs });
    Check { case, target, device, args, source, bindings, all_inputs, open_inputs, part }.run(console)
}

/// Checks a model that is open, with these sizes, on seeded random inputs.
pub(crate) fn check_source(
    source: ModelSource,
    dims: Dims,
    device: &Device,
    args: &VerifyArgs,
    console: &mut Console<'_>,
) -> Result<ModelJson, CliError> {
    let name = source.name().to_owned();
    let path = PathBuf::from(format!("{name}.onnx"));
    let case =
        Case { name, kind: Kind::Model, path, data_sets: Vec::new(), tolerance: OwnTolerance::default() };
    let open_inputs = input_names(&source, &case)?;
    let bindings = Bindings { dims, ..Bindings::default() };
    let (target, all_inputs) = (device.info().kind.target(), open_inputs.clone());
    let check =
        Check { case: &case, target, device, args, source, bindings, all_inputs, open_inputs, part: None };
    check.run(console)
}

/// Makes constants of inputs that decide sizes, as the first data set has them.
fn bind_data(
    case: &Case,
    all_inputs: &[String],
    source: &mut ModelSource,
    bindings: &mut Bindings,
) -> Result<(), CliError> {
    let Some(data) = case.data_sets.first() else { return Ok(()) };
    let mut sizing = drift_onnx::sizing_inputs(source).map_err(|error| CliError::model(&case.path, error))?;
    sizing.retain(|name| !bindings.constants.contains_key(name));
    if sizing.is_empty() {
        return Ok(());
    }
    let tensors = data::in_order(&data.folder, "input", &data.inputs, all_inputs)?;
    for (name, tensor) in all_inputs.iter().zip(tensors) {
        if sizing.contains(name) {
            bindings.add(source, &case.path, (name, tensor.to_ir()?))?;
        }
    }
    Ok(())
}

fn input_names(source: &ModelSource, case: &Case) -> Result<Vec<String>, CliError> {
    let ports = drift_onnx::inputs(source).map_err(|error| CliError::model(&case.path, error))?;
    Ok(ports.into_iter().map(|port| port.name).collect())
}

/// One model on one target.
struct Check<'a> {
    case: &'a Case,
    target: Target,
    device: &'a Device,
    args: &'a VerifyArgs,
    source: ModelSource,
    bindings: Bindings,
    /// The inputs that the file has.
    all_inputs: Vec<String>,
    /// Those that `--bind` does not make constants.
    open_inputs: Vec<String>,
    /// Where the model is cut.
    part: Option<Part>,
}

/// A model compiled for one binding of its free dimensions, ready to replay; those with bounds have the size of each data set.
struct Subject {
    dims: Dims,
    graph: Graph,
    session: Session,
    free: Free,
    tolerance: Tolerance,
    warnings: Vec<String>,
}

impl Check<'_> {
    fn run(&self, console: &mut Console<'_>) -> Result<ModelJson, CliError> {
        let data_sets: Vec<Option<&DataSet>> = match self.case.data_sets.as_slice() {
            [] => vec![None],
            sets => sets.iter().map(Some).collect(),
        };
        let mut outputs = Differences::default();
        let (mut first_wrong_node, mut variant, mut warnings, mut dispatches) = (None, None, Vec::new(), 0);
        let mut subject: Option<Subject> = None;
        for data in data_sets {
            let mut stored = data.map(|data| self.stored_inputs(data)).transpose()?;
            let is_whole = stored.as_ref().is_some_and(|stored| stored.len() == self.open_inputs.len());
            let dims = self.dims(data, stored.as_deref().unwrap_or_default())?;
            let ready = match subject.take() {
                Some(ready) if ready.dims == dims => ready,
                _ => self.prepare(dims, console)?,
            };
            let subject = subject.insert(ready);
            if !is_whole && !subject.graph.states().is_empty() {
                stored = None;
            }
            self.tell_random(data.filter(|_| !is_whole), stored.as_deref(), console)?;
            let caches = self.caches(subject, data, stored.as_deref())?;
            let inputs = self.inputs(subject, stored, caches.as_ref())?;
            subject.follow(&inputs)?;
            let expected = self.expected(&subject.graph, data.filter(|_| is_whole), &inputs)?;
            let Subject { graph, session, tolerance, .. } = subject;
            outputs.add(match &caches {
                Some(caches) => caches.differences(graph, session, (&inputs, &expected), *tolerance)?,
                None => differences(session, &inputs, &expected, *tolerance)?,
            });
            if self.args.per_node && first_wrong_node.is_none() {
                first_wrong_node = self.first_wrong_node(subject, &inputs, caches.as_ref())?;
            }
            variant = Some(subject.session.report().variant.clone());
            dispatches = subject.session.report().dispatches;
            warnings.clone_from(&subject.warnings);
        }
        let passes = first_wrong_node.is_none() && outputs.pass();
        Ok(ModelJson {
            name: self.case.name.clone(),
            target: self.target.name(),
            device: Some(self.device.info().name.clone()),
            variant,
            status: match passes {
                true if self.args.bind_data && dispatches == 0 => Status::Folded,
                true => Status::Pass,
                false => Status::Fail,
            },
            outputs: outputs.report(),
            reason: None,
            warnings,
            first_wrong_node,
        })
    }

    /// Stored inputs with the names that the model gives them. A data set may hold those that became constants too, and
    /// must agree with them.
    fn stored_inputs(&self, data: &DataSet) -> Result<Vec<(String, HostTensor)>, CliError> {
        let tensors = match &self.part {
            Some(_) => part::inputs(data, &self.all_inputs, &self.part_inputs())?,
            None => self.whole_inputs(data)?,
        };
        let mut open = Vec::new();
        for (name, tensor) in tensors {
            match self.bindings.constants.get(&name) {
                None => open.push((name, tensor)),
                Some(constant)
                    if HostTensor::from_ir(constant)? == tensor || tensor.to_ir()? == *constant => {}
                Some(_) => {
                    let folder = data.folder.display();
                    let reason = format!("the data in {folder} give it another value");
                    return Err(CliError::Bind { name, reason });
                }
            }
        }
        Ok(open)
    }

    /// The inputs of the part of the model, with those that became constants.
    fn part_inputs(&self) -> Vec<String> {
        self.open_inputs.iter().chain(self.bindings.constants.keys()).cloned().collect()
    }

    /// All inputs of a model that is not cut, as a data set has them.
    fn whole_inputs(&self, data: &DataSet) -> Result<Vec<(String, HostTensor)>, CliError> {
        let is_whole = data.inputs.len() == self.all_inputs.len();
        let names = if is_whole { &self.all_inputs } else { &self.open_inputs };
        let tensors = data::in_order(&data.folder, "input", &data.inputs, names)?;
        Ok(names.iter().cloned().zip(tensors).collect())
    }

    /// Says which inputs of a part a data set does not give.
    fn tell_random(
        &self,
        data: Option<&DataSet>,
        stored: Option<&[(String, HostTensor)]>,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let Some(data) = data else { return Ok(()) };
        let has = |name: &&String| !stored.unwrap_or_default().iter().any(|(stored, _)| stored == *name);
        let missing: Vec<String> =
            self.open_inputs.iter().filter(has).map(|name| format!("`{name}`")).collect();
        console.note(&format!(
            "{}: {} has no data for {}: seeded random; the reference evaluator says what is expected",
            self.case.name,
            data.folder.display(),
            missing.join(", ")
        ))
    }

    /// The caches that are states, and what a data set, or else a random one, finds in them.
    fn caches(
        &self,
        Subject { graph, dims, .. }: &Subject,
        data: Option<&DataSet>,
        stored: Option<&[(String, HostTensor)]>,
    ) -> Result<Option<Caches>, CliError> {
        let stored = data.map(|data| data.folder.as_path()).zip(stored);
        Caches::of((&self.source, &self.case.path), graph, dims, stored)
    }

    /// Stored inputs, or random ones for the shapes that the graph has, in its order.
    fn inputs(
        &self,
        Subject { graph, session, .. }: &Subject,
        stored: Option<Vec<(String, HostTensor)>>,
        caches: Option<&Caches>,
    ) -> Result<Vec<HostTensor>, CliError> {
        match (stored, caches) {
            (Some(stored), None) if stored.len() < graph.inputs().len() => {
                Ok(part::filled(calibrate::random_inputs(graph)?, graph, stored))
            }
            (Some(stored), None) => Ok(stored.into_iter().map(|(_, tensor)| tensor).collect()),
            (Some(stored), Some(caches)) => caches.inputs(graph, stored),
            (None, caches) => {
                let mut inputs = match session.dims() {
                    [] => calibrate::random_inputs(graph)?,
                    _ => session.inputs().iter().map(random_input).collect::<Result<_, _>>()?,
                };
                if let Some(caches) = caches {
                    caches.number(graph, &self.open_inputs, &mut inputs);
                }
                Ok(inputs)
            }
        }
    }

    /// Sizes from the data and from the command line, which must agree. Bounds stay bounds, so that they are what is
    /// verified.
    fn dims(&self, data: Option<&DataSet>, stored: &[(String, HostTensor)]) -> Result<Dims, CliError> {
        let shapes: Vec<(&str, &[u64])> =
            stored.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        let mut dims = drift_onnx::infer_dims_from_inputs(&self.source, &shapes)
            .map_err(|source| self.import_error(source))?;
        let ports = drift_onnx::inputs(&self.source).map_err(|source| self.import_error(source))?;
        if let Some(total) = drift_onnx::follows(&ports, &self.bindings.dims) {
            dims.remove(&total);
        }
        for (name, given) in &self.bindings.dims {
            let found = dims.insert(name.clone(), *given);
            let Some(DimBinding::Fixed(size)) = found else { continue };
            if !given.allows(size) {
                let by = data.map_or_else(String::new, |data| data.folder.display().to_string());
                return Err(CliError::DimContradicted { dim: name.clone(), by, size, given: *given });
            }
        }
        Ok(dims)
    }

    fn prepare(&self, dims: Dims, console: &mut Console<'_>) -> Result<Subject, CliError> {
        let model = model::import(&self.source, dims.clone(), self.args.flags.logits.into())
            .map_err(|source| self.import_error(source))?;
        model.tell(Some(&self.case.name), console)?;
        let Model { graph, identity, mut warnings, .. } = model;
        let half = uses_half(&graph, &self.args.flags);
        let (session, free, more) = self.compile(graph.clone(), identity)?;
        let of_case = |warning: &String| format!("{}: {warning}", self.case.name);
        console.warnings(&more.iter().map(of_case).collect::<Vec<_>>())?;
        warnings.extend(more);
        Ok(Subject {
            dims,
            graph,
            session,
            free,
            tolerance: self.args.tolerance(half, self.case.tolerance),
            warnings,
        })
    }

    /// A session of the compiled graph, its free dims, and what the compiler warned of.
    fn compile(
        &self,
        graph: Graph,
        identity: drift_compiler::ModelIdentity,
    ) -> Result<(Session, Free, Vec<String>), CliError> {
        let targets = vec![self.target];
        let (bundle, report) =
            in_memory::bundle((graph, identity), &self.case.path, &self.args.flags, targets)?;
        let session = self.device.load_with(&bundle, &self.args.replay.options())?;
        let free = Free::of(&bundle, self.target, &session);
        Ok((session, free, report.warnings))
    }

    fn expected(
        &self,
        graph: &Graph,
        data: Option<&DataSet>,
        inputs: &[HostTensor],
    ) -> Result<Vec<HostTensor>, CliError> {
        let names = || own_outputs(graph);
        let stored = match (data, &self.part) {
            (Some(data), _) if data.outputs.is_empty() => None,
            (Some(data), None) => Some(data::outputs(data, &names())?),
            (Some(data), Some(part)) => part.outputs(data, &names())?,
            (None, _) => None,
        };
        match stored {
            Some(stored) => Ok(stored),
            None => {
                let outputs = drift_ir::eval::run(graph, &ir_tensors(inputs)?)
                    .map_err(|source| self.reference_error(source))?;
                let name = |index: usize| &graph.value(graph.outputs()[index]).name;
                let form = |index| graph.host_forms.get(name(index)).copied();
                let mut all = Vec::with_capacity(outputs.len());
                for (index, tensor) in outputs.iter().enumerate() {
                    all.push((name(index).clone(), HostTensor::from_ir_as(tensor, form(index))?));
                }
                meant::cut(all)
            }
        }
    }

    fn first_wrong_node(
        &self,
        subject: &Subject,
        inputs: &[HostTensor],
        caches: Option<&Caches>,
    ) -> Result<Option<String>, CliError> {
        let tensors = ir_tensors(inputs)?;
        let observed =
            per_node::observe(&subject.graph, &tensors).map_err(|source| self.reference_error(source))?;
        // A bundle has so many outputs at most: the earliest values first, then those behind them.
        for part in per_node::parts(observed) {
            let identity = model::identity(&self.source, &subject.graph);
            let all = per_node::with_all_outputs(&subject.graph, &part)
                .map_err(|source| self.import_error(ImportError::Graph(Box::new(source))))?;
            let (mut session, free, _) = self.compile(all, identity)?;
            free.follow(&mut session, named(&subject.graph, inputs))?;
            match caches {
                Some(caches) => caches.run(&subject.graph, &mut session, inputs)?,
                None => replay::run_on(&mut session, inputs)?,
            }
            let found = per_node::first_wrong(&subject.graph, &part, &mut session, subject.tolerance)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn import_error(&self, source: ImportError) -> CliError {
        CliError::model(&self.case.path, source)
    }

    fn reference_error(&self, source: drift_ir::eval::EvalError) -> CliError {
        CliError::reference(&self.case.path, source)
    }
}

impl Subject {
    /// Gives dims that are free the sizes that inputs in the graph's order have.
    fn follow(&mut self, inputs: &[HostTensor]) -> Result<(), CliError> {
        self.free.follow(&mut self.session, named(&self.graph, inputs))
    }
}

/// Inputs in a graph's order, with their names.
fn named<'a>(graph: &'a Graph, inputs: &'a [HostTensor]) -> impl Iterator<Item = (&'a str, &'a HostTensor)> {
    graph.inputs().iter().map(|id| graph.value(*id).name.as_str()).zip(inputs)
}

/// The names of the model's own outputs. A size that is free says nothing of what an output is for.
fn own_outputs(graph: &Graph) -> Vec<String> {
    let values = || graph.outputs().iter().map(|&output| graph.value(output));
    let io = |value: &Value| {
        let sizes = value.ty.shape.iter().map(|size| Dim::Const(size.as_const().unwrap_or(0))).collect();
        let ty = TensorType { element: value.ty.element, shape: sizes };
        host::io_tensor(&value.name, &ty, graph.host_forms.get(&value.name).copied())
    };
    // What has no place outside of the graph is refused when it is compiled.
    match values().map(io).collect::<Result<Vec<IoTensor>, _>>() {
        Ok(outputs) => meant::own_names(&outputs),
        Err(_) => values().map(|value| value.name.clone()).collect(),
    }
}

fn random_input(tensor: &IoTensor) -> Result<HostTensor, CliError> {
    random::tensor(&tensor.name, tensor.element, &tensor.shape)
        .map_err(|source| CliError::Tensor { name: tensor.name.clone(), source })
}

pub(crate) fn ir_tensors(tensors: &[HostTensor]) -> Result<Vec<Tensor>, CliError> {
    Ok(tensors.iter().map(HostTensor::to_ir).collect::<Result<_, _>>()?)
}

/// Whether there is f16 anywhere between the inputs and the outputs.
fn uses_half(graph: &Graph, flags: &CompileFlags) -> bool {
    let asked = matches!(flags.precision, Some(PrecisionArg::F16 | PrecisionArg::Mixed))
        || !matches!(flags.weights, None | Some(WeightsArg::F32));
    asked || graph.values().any(|(_, value)| value.ty.element == ElementType::F16)
}
