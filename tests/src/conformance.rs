//! Runs a graph through the whole compiler and a device, and compares every output with the reference evaluator.

use crate::inputs::{inputs, special_inputs};
use drift_bundle::manifest::{
    DeviceElement, HostElement, IoBinding, IoTensor, RegionKind, Requirement, Target,
};
use drift_bundle::{Bundle, BundleWriter};
use drift_compiler::{
    CompileOptions, Compiled, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsStorage,
};
use drift_ir::{ElementType, Graph, Tensor, eval, text};
use drift_runtime::{Device, DeviceKind, DeviceType, LoadOptions, OpenOptions, Session};
use std::error::Error;
use std::sync::OnceLock;

/// How one case is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Storage types for activations.
    pub layout: LayoutChoice,
    /// Precision of floats.
    pub precision: Precision,
    /// Forms of weights, where not the profile's.
    pub weights: WeightsChoice,
    /// The profile.
    pub profile: &'static str,
    /// Whether attention keeps a kernel of its own where it is estimated to be slower than what it stands for.
    pub keep_attention: bool,
}

impl Setting {
    /// Rules that are switched off.
    pub fn disabled(&self) -> Vec<String> {
        if self.keep_attention { vec!["attention-decomposed".to_owned()] } else { Vec::new() }
    }
}

/// The largest error of a run: absolute, and relative to the larger of 1 and the expected value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Largest `|got - expected|`.
    pub absolute: f64,
    /// Largest `|got - expected| / max(1, |expected|)`.
    pub relative: f64,
}

/// What comes of a case on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It ran, with these errors.
    Ran(Worst),
    /// The device has not what the setting needs, in these words.
    Declined(&'static str),
}

/// Why a device is not given a setting, for what every such device lacks.
fn declined(kind: DeviceKind, setting: Setting) -> Option<&'static str> {
    let image_buffers = setting.layout == LayoutChoice::ImageBuffer
        || setting.weights.storage == Some(WeightsStorage::ImageBuffer);
    match kind {
        DeviceKind::WebGpu if image_buffers => Some("image buffers, which WebGPU has not"),
        DeviceKind::Metal if image_buffers => Some("image buffers, which are not written for Metal"),
        _ => None,
    }
}

/// What a case is compiled with for `target` under `setting`.
pub fn options(target: Target, setting: Setting) -> CompileOptions {
    CompileOptions {
        targets: vec![target],
        profiles: vec![setting.profile.to_owned()],
        precision: Some(setting.precision),
        layout: setting.layout,
        weights_layout: setting.weights,
        optimize: true,
        disabled: setting.disabled(),
        ..CompileOptions::default()
    }
}

/// Compiles `graph` for `target` under `setting`.
pub fn compile(graph: &Graph, target: Target, setting: Setting) -> Result<Bundle, Box<dyn Error>> {
    Ok(Bundle::from_bytes(compiled(graph, target, setting)?.bundle.to_bytes()?)?)
}

/// The same with what the compiler reports of it.
pub fn compiled(graph: &Graph, target: Target, setting: Setting) -> Result<Compiled, Box<dyn Error>> {
    let options = options(target, setting);
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    Ok(drift_compiler::compile(graph.clone(), identity, &options)?)
}

/// Runs on lavapipe (or whatever Vulkan device comes first).
pub fn on_vulkan(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::Vulkan, graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_vulkan_at_the_ends(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::Vulkan, graph, setting, &special_inputs(graph))
}

/// Runs on PoCL (or whatever OpenCL device comes first).
pub fn on_opencl(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::OpenCl, graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_opencl_at_the_ends(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::OpenCl, graph, setting, &special_inputs(graph))
}

/// Runs on wgpu over lavapipe (or whatever adapter comes first).
pub fn on_webgpu(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::WebGpu, graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_webgpu_at_the_ends(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    on(DeviceKind::WebGpu, graph, setting, &special_inputs(graph))
}

/// Runs MSL on the processor.
pub fn on_msl(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    opened(msl_device(), graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_msl_at_the_ends(graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    opened(msl_device(), graph, setting, &special_inputs(graph))
}

/// Runs on a device that the caller has opened.
pub fn on_device(device: &Device, graph: &Graph, setting: Setting) -> Result<Outcome, Box<dyn Error>> {
    run(device, graph, setting, &inputs(graph, setting.precision))
}

/// Whether all devices are the software ones that CI has, so that what they decline is known.
pub fn are_software() -> bool {
    DeviceKind::HERE
        .iter()
        .all(|kind| device(*kind).is_ok_and(|device| device.info().device_type == DeviceType::Cpu))
}

/// The device of a kind, opened once.
fn device(kind: DeviceKind) -> Result<&'static Device, Box<dyn Error>> {
    static DEVICES: [OnceLock<Result<Device, String>>; DeviceKind::ALL.len()] =
        [const { OnceLock::new() }; DeviceKind::ALL.len()];
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    let index = DeviceKind::ALL.iter().position(|other| *other == kind).ok_or("an unlisted kind")?;
    let opened =
        DEVICES[index].get_or_init(|| Device::open_with(kind, &options).map_err(|error| error.to_string()));
    opened.as_ref().map_err(|error| format!("{error} (`cargo xtask test` installs one)").into())
}

/// The device that executes MSL on the processor.
fn msl_device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(crate::msl::open)
}

/// All devices that the suite runs on.
pub fn devices() -> impl Iterator<Item = &'static Device> {
    let opened = |&kind| device(kind).unwrap_or_else(|error| panic!("{error}"));
    DeviceKind::HERE.iter().map(opened).chain([msl_device()])
}

fn on(
    kind: DeviceKind,
    graph: &Graph,
    setting: Setting,
    inputs: &[Tensor],
) -> Result<Outcome, Box<dyn Error>> {
    opened(device(kind)?, graph, setting, inputs)
}

fn opened(
    device: &Device,
    graph: &Graph,
    setting: Setting,
    inputs: &[Tensor],
) -> Result<Outcome, Box<dyn Error>> {
    match declined(device.info().kind, setting) {
        Some(reason) => Ok(Outcome::Declined(reason)),
        None => run(device, graph, setting, inputs),
    }
}

fn run(
    device: &Device,
    graph: &Graph,
    setting: Setting,
    inputs: &[Tensor],
) -> Result<Outcome, Box<dyn Error>> {
    let earlier = device.validation_log().messages().len();
    let bundle = compile(graph, device.info().kind.target(), setting)?;
    let needs_f16 = bundle.manifest().entries[0].variants[0].requires.contains(&Requirement::F16);
    if needs_f16 && !device.info().features.f16 {
        return Ok(Outcome::Declined("f16 arithmetic, which the device has not"));
    }
    // Profiles of devices that are not at hand are run here, too, and those of kernels that have run on no device.
    let variant = Some(setting.profile.to_owned());
    let options = LoadOptions { any_vendor: true, untried: true, variant, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options)?;
    for (&id, tensor) in graph.inputs().iter().zip(inputs) {
        let name = &graph.value(id).name;
        match graph.states().iter().any(|state| state.input == id) {
            true => write_state(&mut session, name, tensor)?,
            false => session.write_raw(name, tensor.bytes())?,
        }
    }
    session.run()?;
    let mut results = Vec::new();
    for &id in graph.outputs() {
        let value = graph.value(id);
        if let Some(state) = graph.states().iter().find(|state| state.output == id) {
            results.push(read_state(&mut session, &graph.value(state.input).name, value.ty.element)?);
            continue;
        }
        results.push(tensor(
            value.ty.element,
            &value.ty.static_shape().unwrap_or_default(),
            session.read_raw(&value.name)?,
        ));
    }
    let worst = compare(graph, setting.precision, inputs, &results);
    match device.validation_log().messages().get(earlier) {
        Some(message) => Err(format!("{worst:?}, and the validation layers complain: {message}").into()),
        None => Ok(Outcome::Ran(worst)),
    }
}

/// The element of a state's numbers on the device, its shape and its bytes.
fn state_of(session: &Session, name: &str) -> Result<(ElementType, Vec<u64>, u64), Box<dyn Error>> {
    let state = session.states().iter().find(|state| state.name == name).ok_or("no such state")?;
    let element = match state.element {
        DeviceElement::F16 => ElementType::F16,
        DeviceElement::F32 => ElementType::F32,
        other => return Err(format!("a state of {other:?}").into()),
    };
    Ok((element, state.shape.clone(), state.bytes))
}

/// Floats into a state, as the device has them.
fn write_state(session: &mut Session, name: &str, tensor: &Tensor) -> Result<(), Box<dyn Error>> {
    let (element, shape, size) = state_of(session, name)?;
    let stored = Tensor::from_f32_as(element, shape, &tensor.to_f32_vec())?;
    let mut bytes = stored.bytes().to_vec();
    bytes.resize(size as usize, 0);
    Ok(session.write_state(name, &bytes)?)
}

/// Floats out of a state.
fn read_state(session: &mut Session, name: &str, wanted: ElementType) -> Result<Tensor, Box<dyn Error>> {
    let (element, shape, _) = state_of(session, name)?;
    let mut bytes = session.read_state(name)?;
    bytes.truncate(shape.iter().product::<u64>() as usize * element.size_bytes());
    let stored = Tensor::new(element, shape.clone(), bytes.into())?;
    Ok(Tensor::from_f32_as(wanted, shape, &stored.to_f32_vec())?)
}

/// What the init program of a kind's variant makes of weights, in floats of the setting's precision: a program that does
/// nothing else, with each derived blob as an output.
pub fn derived_on(device: &Device, graph: &Graph, setting: Setting) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let kind = device.info().kind;
    let bundle = compile(graph, kind.target(), setting)?;
    let manifest = bundle.manifest();
    let mut writer = BundleWriter::new(manifest.provenance.clone());
    for blob in &manifest.weights {
        writer.add_weight(&blob.name, bundle.weight_bytes(blob)?)?;
    }
    let shaders: Vec<u32> = manifest
        .shaders
        .iter()
        .map(|shader| writer.add_shader(shader.clone(), bundle.shader_code(shader)))
        .collect();
    let mut entry = manifest.entries[0].clone();
    entry.variants.truncate(1);
    let variant = &mut entry.variants[0];
    let (host, element) = match setting.precision {
        Precision::F16 => (HostElement::F16, DeviceElement::F16),
        Precision::F32 => (HostElement::F32, DeviceElement::F32),
    };
    // A derived blob that is an output is an arena: both are regions that dispatches bind in the same way.
    let (mut outputs, mut places) = (Vec::new(), Vec::new());
    for (number, region) in (0..).zip(&mut variant.regions) {
        if region.kind == RegionKind::Derived {
            region.kind = RegionKind::Arena;
            let shape = vec![region.size / element.size_bytes()];
            let name = format!("derived{}", outputs.len());
            outputs.push(IoTensor { name, element: host, shape, free: Vec::new() });
            places.push(IoBinding { region: number, offset: 0, element });
        }
    }
    variant.dispatches = std::mem::take(&mut variant.init);
    for dispatch in &mut variant.dispatches {
        dispatch.shader = shaders[dispatch.shader as usize];
    }
    // The dispatches that are left out may compute in f16; what is kept does on Vulkan only.
    if kind != DeviceKind::Vulkan {
        variant.requires.retain(|requirement| *requirement != Requirement::F16);
    }
    (variant.inputs, variant.outputs) = (Vec::new(), places);
    (entry.inputs, entry.outputs) = (Vec::new(), outputs);
    let names: Vec<String> = entry.outputs.iter().map(|output| output.name.clone()).collect();
    writer.add_entry(entry);
    let bundle = Bundle::from_bytes(writer.to_bytes()?)?;
    let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options)?;
    session.run()?;
    Ok(names.iter().map(|name| session.read_raw(name)).collect::<Result<_, _>>()?)
}

fn tensor(element: ElementType, shape: &[u64], bytes: Vec<u8>) -> Tensor {
    Tensor::new(element, shape.to_vec(), bytes.into()).expect("the runtime returns whole tensors")
}

/// Largest errors of `got` against the evaluator. Two NaNs agree, and so do two infinities of one sign; where only one side is
/// finite the error is infinite, unless a half overflowed that the evaluator computes in f32.
pub fn compare(graph: &Graph, precision: Precision, inputs: &[Tensor], got: &[Tensor]) -> Worst {
    let expected = eval::run(graph, inputs).expect("cases can be evaluated");
    let mut worst = Worst { absolute: 0.0, relative: 0.0 };
    for (expected, got) in expected.iter().zip(got) {
        assert_eq!(expected.shape(), got.shape());
        for (e, g) in expected.to_f64_vec().into_iter().zip(got.to_f64_vec()) {
            let error = error_of(e, g, precision);
            worst.absolute = worst.absolute.max(error);
            // An infinity over an infinity would be no number.
            let share = if error.is_finite() { error / e.abs().max(1.0) } else { error };
            worst.relative = worst.relative.max(share);
        }
    }
    worst
}

/// The largest finite half.
const MOST_HALF: f64 = 65504.0;

fn error_of(expected: f64, got: f64, precision: Precision) -> f64 {
    let overflows = precision == Precision::F16
        && got.is_infinite()
        && got.signum() == expected.signum()
        && expected.abs() > MOST_HALF;
    if expected == got || (expected.is_nan() && got.is_nan()) || overflows {
        return 0.0;
    }
    let error = (expected - got).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Parses a case's graph.
pub fn graph(source: &str) -> Graph {
    text::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// `source` with a node before each float input and after each float output: what a graph takes and gives are dense
/// buffers whatever the layout of the rest, so a lone node would show no other.
pub fn inner(source: &str) -> String {
    let outer = graph(source);
    let is_float = |id| outer.value(id).ty.element.is_float() && outer.value(id).ty.rank() > 0;
    let (mut declared, mut first, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for line in source.lines().filter(|line| !line.starts_with("return ")) {
        match line.split_once(": ") {
            Some((name, ty)) if ty.starts_with("f32[") && !line.contains(" = ") => {
                declared.push(format!("{name}_in: {ty}"));
                first.push(format!("{name} = tanh {name}_in"));
            }
            Some((name, _)) if !name.contains(" = ") => declared.push(line.to_owned()),
            _ => nodes.push(line.to_owned()),
        }
    }
    let mut returned = Vec::new();
    for &output in outer.outputs() {
        let name = format!("%{}", outer.value(output).name);
        if is_float(output) {
            nodes.push(format!("{name}_out = reduce_max {name} {{axes=[0], keep_dims=true}}"));
            returned.push(format!("{name}_out"));
        } else {
            returned.push(name);
        }
    }
    let lines = [declared, first, nodes, vec![format!("return {}", returned.join(", "))]];
    lines.concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_values_agree_with_themselves_only() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for precision in [Precision::F32, Precision::F16] {
            for same in [inf, -inf, nan, 0.0, 2.5] {
                assert_eq!(error_of(same, same, precision), 0.0, "{same}");
            }
            for (expected, got) in
                [(inf, -inf), (nan, 1.0), (1.0, nan), (inf, nan), (nan, inf), (-inf, -3.4e38)]
            {
                assert_eq!(error_of(expected, got, precision), inf, "{expected} {got}");
            }
        }
        assert_eq!(error_of(7e4, inf, Precision::F16), 0.0);
        assert_eq!(error_of(7e4, inf, Precision::F32), inf);
        assert_eq!(error_of(7e4, -inf, Precision::F16), inf);
    }
}
