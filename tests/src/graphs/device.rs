//! Compares a Vulkan device with the evaluator on random graphs, several in one bundle.
//!
//! The device may be as far from an evaluation in f64 as noise of its rounding errors reaches. Sizes of zeros, and what such noise
//! decides, are not compared; nor are graphs whose integers leave 32 bits, or whose halves come near their end.

use super::generate::Case;
use super::reference::{self, Noise, Runs};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{CompileOptions, LayoutChoice, ModelIdentity, Precision};
use drift_ir::{ElementType, Graph, Tensor, ValueDef, ValueId, eval};
use drift_runtime::{Device, DeviceKind, OpenOptions};
use std::collections::BTreeMap;
use std::error::Error;

/// How graphs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Objects for activations.
    pub layout: LayoutChoice,
    /// Precision of floats.
    pub precision: Precision,
}

/// The settings, to be taken in turn.
pub const SETTINGS: [Setting; 8] = {
    use LayoutChoice::{Buffer, ImageBuffer, Texture2d, Texture3d, TextureArray};
    const fn setting(layout: LayoutChoice, precision: Precision) -> Setting {
        Setting { layout, precision }
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
    NotCompared,
    /// It is wrong, or something broke.
    Wrong(String),
}

/// Opens the first Vulkan device.
pub fn open() -> Result<Device, String> {
    Device::open_with(DeviceKind::Vulkan, &OpenOptions::default()).map_err(|error| error.to_string())
}

/// Checks cases together, and one by one where that does not compile.
pub fn check(device: &Device, cases: &[Case], setting: Setting) -> Vec<Outcome> {
    let judged: Vec<Option<Reference>> = cases.iter().map(|case| Reference::of(case, setting)).collect();
    let compared: Vec<&Case> =
        cases.iter().zip(&judged).filter_map(|(case, of)| of.as_ref().map(|_| case)).collect();
    let Some(joined) = joined(&compared) else { return vec![Outcome::NotCompared; cases.len()] };
    match run(device, &joined, setting) {
        Ok(results) => {
            let mut results = results.into_iter();
            let outcome = |of: &Option<Reference>| match of {
                None => Outcome::NotCompared,
                Some(reference) => {
                    let own: Vec<Tensor> = results.by_ref().take(reference.expected.len()).collect();
                    reference.judge(&own).map_or_else(Outcome::Wrong, |()| Outcome::Agrees)
                }
            };
            judged.iter().map(outcome).collect()
        }
        Err(failed) if compared.len() == 1 => {
            let outcome =
                |of: &Option<Reference>| if of.is_none() { Outcome::NotCompared } else { failed.clone() };
            judged.iter().map(outcome).collect()
        }
        Err(_) => cases.iter().flat_map(|case| check(device, std::slice::from_ref(case), setting)).collect(),
    }
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

fn run(device: &Device, case: &Case, setting: Setting) -> Result<Vec<Tensor>, Outcome> {
    let options = CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec!["generic".to_owned()],
        precision: Some(setting.precision),
        layout: setting.layout,
        optimize: true,
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "fuzz".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(case.graph.clone(), identity, &options).map_err(|error| {
        let text = chain(&error);
        if error.is_internal() {
            Outcome::Wrong(format!("does not compile: {text}"))
        } else {
            Outcome::Refused(text)
        }
    })?;
    let bytes = compiled.bundle.to_bytes().map_err(|error| Outcome::Wrong(chain(&error)))?;
    let bundle = Bundle::from_bytes(bytes).map_err(|error| Outcome::Wrong(chain(&error)))?;
    replay(device, &bundle, case).map_err(|error| Outcome::Wrong(format!("does not run: {}", chain(&*error))))
}

fn replay(device: &Device, bundle: &Bundle, case: &Case) -> Result<Vec<Tensor>, Box<dyn Error>> {
    let mut session = device.load(bundle)?;
    for (&id, tensor) in case.graph.inputs().iter().zip(&case.inputs) {
        session.write_raw(&case.graph.value(id).name, tensor.bytes())?;
    }
    session.run()?;
    let read = |&id: &ValueId| {
        let value = case.graph.value(id);
        let shape = value.ty.static_shape().unwrap_or_default();
        Ok(Tensor::new(value.ty.element, shape, session.read_raw(&value.name)?.into())?)
    };
    case.graph.outputs().iter().map(read).collect()
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// What a case should give.
struct Reference {
    expected: Vec<Tensor>,
    runs: Runs,
    halves: bool,
}

/// Magnitudes of halves and of other floats that are still compared: beyond, kernels overflow in between.
const MOST: [f64; 2] = [30_000.0, 1e15];

impl Reference {
    /// None where numbers are beyond what is compared.
    fn of(case: &Case, setting: Setting) -> Option<Self> {
        let halves = setting.precision == Precision::F16;
        let mut fits = true;
        let mut look = |tensor: &Tensor| {
            fits &= match tensor.element() {
                ElementType::I64 => tensor.to_i64_vec().iter().all(|&value| i32::try_from(value).is_ok()),
                element if element.is_float() => {
                    let most = MOST[usize::from(!halves && element != ElementType::F16)];
                    tensor.to_f64_vec().iter().all(|value| value.abs() < most || !value.is_finite())
                }
                _ => true,
            };
        };
        case.inputs.iter().for_each(&mut look);
        case.graph.values().filter_map(|(id, _)| case.graph.constant(id)).for_each(&mut look);
        let expected = eval::run_observed(&case.graph, &case.inputs, |_, results| {
            results.iter().for_each(&mut look);
        });
        let expected = expected.ok().filter(|_| fits)?;
        // A device's functions are good to some hundred roundings.
        let runs = reference::runs(case, Noise { scale: if halves { 8.0 } else { 64.0 }, halves }, 5)?;
        Some(Self { expected, runs, halves })
    }

    fn judge(&self, found: &[Tensor]) -> Result<(), String> {
        for (output, (expected, found)) in self.expected.iter().zip(found).enumerate() {
            let pairs = expected.to_f64_vec().into_iter().zip(found.to_f64_vec());
            for (at, (wanted, got)) in pairs.enumerate() {
                let exact: Vec<f64> = self.runs.iter().map(|run| run[output][at]).collect();
                if !self.agrees(expected.element(), wanted, got, &exact) {
                    return Err(format!(
                        "output {output} is {got:e} at {at}; the evaluator has {wanted:e}, f64 {:e} ({exact:?})",
                        exact[0]
                    ));
                }
            }
        }
        Ok(())
    }

    fn agrees(&self, element: ElementType, wanted: f64, got: f64, exact: &[f64]) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        if same(wanted, got) || exact.iter().any(|&value| same(value, got)) {
            return true;
        }
        let steady =
            exact.iter().all(|value| value.is_finite()) || exact.iter().all(|&value| same(value, exact[0]));
        let moves = exact.iter().any(|&value| value != exact[0]);
        if !steady || (!element.is_float() && moves) {
            return true;
        }
        if !element.is_float() || !got.is_finite() || !exact[0].is_finite() {
            return false;
        }
        let halves = self.halves || element == ElementType::F16;
        let (unit, least) = if halves { (1.0 / 2048.0, 1e-3) } else { (1.0 / 16_777_216.0, 1e-6) };
        let spread = exact.iter().map(|value| (value - exact[0]).abs()).fold(0.0, f64::max);
        let own = unit * exact[0].abs() * 16.0 + least;
        (got - exact[0]).abs() <= (wanted - exact[0]).abs() * 2.0 + spread * 6.0 + own
    }
}
