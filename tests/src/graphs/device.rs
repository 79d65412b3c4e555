//! Compares a Vulkan device with the evaluator on random graphs, many in one bundle.
//!
//! A graph that the evaluator or the compiler refuses is found by itself, before anything is compiled; the rest are joined to
//! one graph. Where that does not compile or run it is halved until the graph that fails is alone.

use super::generate::Case;
use super::judge::{Judge, Skipped};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{
    CompileError, CompileOptions, LayoutChoice, ModelIdentity, Precision, Stage, emit_stage,
};
use drift_ir::{Graph, Tensor, ValueDef, ValueId};
use drift_runtime::{Device, DeviceKind, OpenOptions};
use std::collections::BTreeMap;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How graphs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Storage types for activations.
    pub layout: LayoutChoice,
    /// Precision of floats.
    pub precision: Precision,
    /// Whether SPIR-V is optimised, which takes most of the time of compiling.
    pub optimize: bool,
}

/// The settings, to be taken in turn.
pub const SETTINGS: [Setting; 8] = {
    use LayoutChoice::{Buffer, ImageBuffer, Texture2d, Texture3d, TextureArray};
    const fn setting(layout: LayoutChoice, precision: Precision) -> Setting {
        Setting { layout, precision, optimize: true }
    }
    [
        setting(Buffer, Precision::F32),
        setting(Texture2d, Precision::F32),
        setting(Buffer, Precision::F16),
        setting(ImageBuffer, Precision::F32),
        setting(Texture2d, Precision::F16),
        setting(TextureArray, Precision::F32),
        setting(ImageBuffer, Precision::F16),
        setting(Texture3d, Precision::F32),
    ]
};

/// What became of a graph on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device agrees.
    Agrees,
    /// The compiler says why it does not take the graph.
    Refused(String),
    /// The evaluator refuses it, or its numbers are beyond what is compared.
    NotCompared(Skipped),
    /// It is wrong, or something broke.
    Wrong(Fault),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Numbers.
    Numbers(String),
    /// Numbers, in a bundle with other graphs only.
    AmongOthers(String),
    /// A graph that the compiler takes, and then cannot finish.
    Compile(String),
    /// Load or run.
    Run(String),
    /// A panic.
    Panic(String),
}

impl Fault {
    /// The same way to fail, whatever the graph.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What was said of it.
    pub fn why(&self) -> &str {
        match self {
            Self::Numbers(why)
            | Self::AmongOthers(why)
            | Self::Compile(why)
            | Self::Run(why)
            | Self::Panic(why) => why,
        }
    }
}

/// A device that graphs are compared on, and where the time went.
pub struct Checker {
    device: Device,
    /// By stage.
    pub times: BTreeMap<&'static str, Duration>,
}

/// A case that is run, and what it should give.
struct Ready<'a> {
    case: &'a Case,
    judge: Judge,
}

impl Checker {
    /// Opens the first Vulkan device.
    pub fn open() -> Result<Self, String> {
        Ok(Self { device: device()?, times: BTreeMap::new() })
    }

    /// Checks cases together.
    pub fn check(&mut self, cases: &[Case], setting: Setting) -> Vec<Outcome> {
        let prepared: Vec<Result<Ready<'_>, Outcome>> =
            cases.iter().map(|case| self.prepared(case, setting)).collect();
        let ready: Vec<&Ready<'_>> = prepared.iter().filter_map(|one| one.as_ref().ok()).collect();
        let mut outcomes = self.run_all(&ready, setting).into_iter();
        // A graph that is wrong here and right by itself meets something of the others.
        let mut alone = |one: &Ready<'_>, outcome: Outcome| match outcome {
            Outcome::Wrong(Fault::Numbers(why)) if ready.len() > 1 => {
                match self.run_all(&[one], setting).pop() {
                    Some(Outcome::Agrees) => Outcome::Wrong(Fault::AmongOthers(why)),
                    other => other.unwrap_or(Outcome::Wrong(Fault::Numbers(why))),
                }
            }
            outcome => outcome,
        };
        let outcome = |one: &Result<Ready<'_>, Outcome>| match one {
            Ok(one) => {
                alone(one, outcomes.next().unwrap_or_else(|| unreachable!("one for each that is ready")))
            }
            Err(outcome) => outcome.clone(),
        };
        prepared.iter().map(outcome).collect()
    }

    /// Checks one case.
    pub fn check_one(&mut self, case: &Case, setting: Setting) -> Outcome {
        let outcome = self.check(std::slice::from_ref(case), setting).pop();
        outcome.unwrap_or_else(|| unreachable!("one for each case"))
    }

    /// What is wrong with one case, if something is.
    pub fn fault(&mut self, case: &Case, setting: Setting) -> Option<Fault> {
        match self.check_one(case, setting) {
            Outcome::Wrong(fault) => Some(fault),
            Outcome::Agrees | Outcome::Refused(_) | Outcome::NotCompared(_) => None,
        }
    }

    fn timed<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *self.times.entry(stage).or_default() += start.elapsed();
        result
    }

    /// The case with what it should give, or why it is not run.
    fn prepared<'a>(&mut self, case: &'a Case, setting: Setting) -> Result<Ready<'a>, Outcome> {
        let f16 = setting.precision == Precision::F16;
        let looked = self.timed("evaluate", || guarded(|| Judge::expected(case, f16)))?;
        let expected = looked.map_err(Outcome::NotCompared)?;
        self.timed("select", || guarded(|| select(case, setting)))??;
        let judge = self.timed("evaluate in f64", || guarded(|| Judge::new(case, expected, f16)))?;
        Ok(Ready { case, judge: judge.map_err(Outcome::NotCompared)? })
    }

    /// Runs cases as one bundle, or halves of them where that fails.
    fn run_all(&mut self, cases: &[&Ready<'_>], setting: Setting) -> Vec<Outcome> {
        if cases.is_empty() {
            return Vec::new();
        }
        let results = match self.run(cases, setting) {
            Ok(results) => results,
            Err(outcome) if cases.len() == 1 => return vec![outcome],
            Err(_) => {
                let (left, right) = cases.split_at(cases.len() / 2);
                return [self.run_all(left, setting), self.run_all(right, setting)].concat();
            }
        };
        let mut results = results.into_iter();
        let outcome = |one: &&Ready<'_>| {
            let own: Vec<Tensor> = results.by_ref().take(one.judge.outputs()).collect();
            one.judge
                .judge(one.case, &own)
                .map_or_else(|why| Outcome::Wrong(Fault::Numbers(why)), |()| Outcome::Agrees)
        };
        cases.iter().map(outcome).collect()
    }

    /// The results of all, one case after the other.
    fn run(&mut self, cases: &[&Ready<'_>], setting: Setting) -> Result<Vec<Tensor>, Outcome> {
        let cases: Vec<&Case> = cases.iter().map(|one| one.case).collect();
        let broken = |why: &str| Outcome::Wrong(Fault::Compile(why.to_owned()));
        let joined = joined(&cases).ok_or_else(|| broken("the graphs cannot be joined"))?;
        let bundle = self.timed("compile", || guarded(|| compile(&joined, setting)))??;
        let device = self.device.clone();
        let loaded = self.timed("load", || guarded(|| device.load(&bundle)))?;
        let ran = loaded.map_err(Into::into).and_then(|mut session| {
            self.timed("run", || guarded(|| replay(&mut session, &joined))).unwrap_or_else(|outcome| {
                match outcome {
                    Outcome::Wrong(fault) => Err(fault.why().into()),
                    _ => Err("no results".into()),
                }
            })
        });
        ran.map_err(|error: Box<dyn Error>| {
            // It may be lost.
            if let Ok(device) = self::device() {
                self.device = device;
            }
            Outcome::Wrong(Fault::Run(chain(&*error)))
        })
    }
}

fn device() -> Result<Device, String> {
    Device::open_with(DeviceKind::Vulkan, &OpenOptions::default()).map_err(|error| error.to_string())
}

/// What `work` gives, with a panic as a fault.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Outcome> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| Outcome::Wrong(Fault::Panic(super::campaign::panic_text(&*panic))))
}

/// The disjoint union of graphs.
fn joined(cases: &[&Case]) -> Option<Case> {
    let mut graph = Graph::new("");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (number, case) in cases.iter().enumerate() {
        let name = |name: &str| format!("g{number}_{name}");
        let mut ids: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for (&input, tensor) in case.graph.inputs().iter().zip(&case.inputs) {
            let value = case.graph.value(input);
            ids.insert(input, graph.add_input(name(&value.name), value.ty.clone()).ok()?);
            inputs.push(tensor.clone());
        }
        for (id, value) in case.graph.values() {
            if let ValueDef::Constant(tensor) = &value.def {
                ids.insert(id, graph.add_constant(name(&value.name), tensor.clone()).ok()?);
            }
        }
        for id in case.graph.nodes() {
            let node = case.graph.node(id);
            let operands: Vec<ValueId> =
                node.inputs.iter().filter_map(|input| ids.get(input).copied()).collect();
            let result = name(&case.graph.value(node.outputs[0]).name);
            let added = graph.add_node(result.clone(), node.op.clone(), &operands, [result]).ok()?;
            ids.insert(node.outputs[0], graph.node(added).outputs[0]);
        }
        outputs.extend(case.graph.outputs().iter().filter_map(|output| ids.get(output).copied()));
    }
    graph.set_outputs(&outputs).ok()?;
    (!outputs.is_empty()).then_some(Case { graph, inputs })
}

fn options(setting: Setting) -> CompileOptions {
    CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec!["generic".to_owned()],
        precision: Some(setting.precision),
        layout: setting.layout,
        optimize: setting.optimize,
        ..CompileOptions::default()
    }
}

/// Whether the compiler has a program for a graph; kernels are not made.
fn select(case: &Case, setting: Setting) -> Result<(), Outcome> {
    emit_stage(case.graph.clone(), &options(setting), Stage::Memory)
        .map(drop)
        .map_err(|error| refused(&error))
}

fn compile(case: &Case, setting: Setting) -> Result<Bundle, Outcome> {
    let identity = ModelIdentity { name: "fuzz".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(case.graph.clone(), identity, &options(setting));
    let broken = |error: &dyn Error| Outcome::Wrong(Fault::Compile(chain(error)));
    let bytes =
        compiled.map_err(|error| refused(&error))?.bundle.to_bytes().map_err(|error| broken(&error))?;
    Bundle::from_bytes(bytes).map_err(|error| broken(&error))
}

fn refused(error: &CompileError) -> Outcome {
    match error.is_internal() {
        true => Outcome::Wrong(Fault::Compile(chain(error))),
        false => Outcome::Refused(chain(error)),
    }
}

fn replay(session: &mut drift_runtime::Session, case: &Case) -> Result<Vec<Tensor>, Box<dyn Error>> {
    for (&id, tensor) in case.graph.inputs().iter().zip(&case.inputs) {
        session.write_raw(&case.graph.value(id).name, tensor.bytes())?;
    }
    session.run()?;
    let mut read = |&id: &ValueId| {
        let value = case.graph.value(id);
        let shape = value.ty.static_shape().unwrap_or_default();
        Ok(Tensor::new(value.ty.element, shape, session.read_raw(&value.name)?.into())?)
    };
    case.graph.outputs().iter().map(&mut read).collect()
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
