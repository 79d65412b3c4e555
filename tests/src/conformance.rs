//! Runs a graph through the whole compiler and a device, and compares every output with the reference evaluator.

use crate::inputs::{inputs, special_inputs};
use crate::opencl::{ClArg, ClDevice, Texels};
use drift_bundle::Bundle;
use drift_bundle::manifest::{
    DeviceElement, Dispatch, Requirement, Resource, Target, TextureKind, TextureObject, Variant,
};
use drift_compiler::{CompileOptions, Compiled, LayoutChoice, ModelIdentity, Precision, WeightsChoice};
use drift_ir::{ElementType, Graph, Tensor, eval, text};
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions};
use std::error::Error;
use std::sync::OnceLock;

/// How one case is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Objects for activations.
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

/// Compiles `graph` for `target` under `setting`.
pub fn compile(graph: &Graph, target: Target, setting: Setting) -> Result<Bundle, Box<dyn Error>> {
    Ok(Bundle::from_bytes(compiled(graph, target, setting)?.bundle.to_bytes()?)?)
}

/// The same with what the compiler reports of it.
pub fn compiled(graph: &Graph, target: Target, setting: Setting) -> Result<Compiled, Box<dyn Error>> {
    let options = CompileOptions {
        targets: vec![target],
        profiles: vec![setting.profile.to_owned()],
        precision: Some(setting.precision),
        layout: setting.layout,
        weights_layout: setting.weights,
        optimize: true,
        disabled: setting.disabled(),
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    Ok(drift_compiler::compile(graph.clone(), identity, &options)?)
}

/// Runs on lavapipe (or whatever Vulkan device comes first).
pub fn on_vulkan(graph: &Graph, setting: Setting) -> Result<Option<Worst>, Box<dyn Error>> {
    on_vulkan_with(graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_vulkan_at_the_ends(graph: &Graph, setting: Setting) -> Result<Option<Worst>, Box<dyn Error>> {
    on_vulkan_with(graph, setting, &special_inputs(graph))
}

fn on_vulkan_with(
    graph: &Graph,
    setting: Setting,
    inputs: &[Tensor],
) -> Result<Option<Worst>, Box<dyn Error>> {
    static DEVICE: OnceLock<Result<Device, String>> = OnceLock::new();
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    let device = DEVICE
        .get_or_init(|| Device::open_with(DeviceKind::Vulkan, &options).map_err(|error| error.to_string()));
    let device = device.as_ref().map_err(|error| format!("{error} (`cargo xtask test` installs one)"))?;
    let earlier = device.validation_log().messages().len();
    let bundle = compile(graph, Target::Vulkan, setting)?;
    // Profiles of devices that are not at hand are run here, too.
    let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options)?;
    for (&id, tensor) in graph.inputs().iter().zip(inputs) {
        session.write_raw(&graph.value(id).name, tensor.bytes())?;
    }
    session.run()?;
    let mut results = Vec::new();
    for &id in graph.outputs() {
        let value = graph.value(id);
        results.push(tensor(
            value.ty.element,
            &value.ty.static_shape().unwrap_or_default(),
            session.read_raw(&value.name)?,
        ));
    }
    let worst = compare(graph, setting.precision, inputs, &results);
    match device.validation_log().messages().get(earlier) {
        Some(message) => Err(format!("{worst:?}, and the validation layers complain: {message}").into()),
        None => Ok(Some(worst)),
    }
}

/// Replays the OpenCL variant on PoCL, dispatch by dispatch; `None` where the variant says that it needs halves, which
/// PoCL has not.
pub fn on_opencl(graph: &Graph, setting: Setting) -> Result<Option<Worst>, Box<dyn Error>> {
    on_opencl_with(graph, setting, &inputs(graph, setting.precision))
}

/// The same with infinities, NaNs and the ends of types among the inputs.
pub fn on_opencl_at_the_ends(graph: &Graph, setting: Setting) -> Result<Option<Worst>, Box<dyn Error>> {
    on_opencl_with(graph, setting, &special_inputs(graph))
}

fn on_opencl_with(
    graph: &Graph,
    setting: Setting,
    inputs: &[Tensor],
) -> Result<Option<Worst>, Box<dyn Error>> {
    let bundle = compile(graph, Target::OpenCl, setting)?;
    if bundle.manifest().entries[0].variants[0].requires.contains(&Requirement::F16) {
        return Ok(None);
    }
    let outputs = ClReplay::new(&bundle)?.run(inputs)?;
    Ok(Some(compare(graph, setting.precision, inputs, &outputs)))
}

/// What the OpenCL variant's init program makes of weights on PoCL.
pub fn derived_on_opencl(graph: &Graph, setting: Setting) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let bundle = compile(graph, Target::OpenCl, setting)?;
    let mut replay = ClReplay::new(&bundle)?;
    replay.launch(&replay.variant.init)?;
    Ok(replay.derived)
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

/// A bundle's OpenCL variant and its memory on the host; each dispatch copies its ranges to the device and back.
struct ClReplay<'a> {
    bundle: &'a Bundle,
    variant: &'a Variant,
    arena: Vec<u8>,
    textures: Vec<Vec<u8>>,
    derived: Vec<Vec<u8>>,
}

impl<'a> ClReplay<'a> {
    fn new(bundle: &'a Bundle) -> Result<Self, Box<dyn Error>> {
        let variant = &bundle.manifest().entries[0].variants[0];
        let textures = variant.textures.iter().map(|t| vec![0; t.size_bytes() as usize]).collect();
        let derived = variant.derived.iter().map(|&size| vec![0; size as usize]).collect();
        Ok(Self { bundle, variant, arena: vec![0; variant.arena_bytes as usize], textures, derived })
    }

    /// Runs the init program, then the dispatches.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error>> {
        let variant = self.variant;
        self.launch(&variant.init)?;
        let entry = &self.bundle.manifest().entries[0];
        for (tensor, binding) in inputs.iter().zip(&self.variant.inputs) {
            let bytes = to_device(tensor, binding.element);
            let start = binding.offset as usize;
            self.arena[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        self.launch(&variant.dispatches)?;
        let outputs = entry.outputs.iter().zip(&self.variant.outputs).map(|(io, binding)| {
            let count = io.shape.iter().product::<u64>() as usize;
            let start = binding.offset as usize;
            let bytes = &self.arena[start..start + count * element_bytes(binding.element)];
            let layout =
                drift_compiler::physical::Layout::row_major(element(binding.element), io.shape.len());
            let values = drift_compiler::physical::unpack(bytes, &layout, &io.shape);
            Tensor::from_f64_as(ElementType::F64, io.shape.clone(), &values)
                .expect("counts follow from shapes")
        });
        Ok(outputs.collect())
    }

    fn launch(&mut self, dispatches: &[Dispatch]) -> Result<(), Box<dyn Error>> {
        static DEVICE: OnceLock<Result<ClDevice, String>> = OnceLock::new();
        let device = DEVICE.get_or_init(|| ClDevice::open().map_err(|error| error.to_string()));
        let device = device.as_ref().map_err(String::clone)?;
        for dispatch in dispatches {
            let shader = &self.bundle.manifest().shaders[dispatch.shader as usize];
            let source = std::str::from_utf8(self.bundle.shader_code(shader))?;
            let mut arguments: Vec<ClArg> = dispatch.bindings.iter().map(|r| self.load(r)).collect();
            let (groups, size) = (dispatch.workgroups, shader.workgroup_size);
            device
                .run(source, &shader.entry_point, groups, size, &mut arguments)
                .map_err(|error| format!("{}: {error}\n{source}", dispatch.name))?;
            for (slot, (resource, argument)) in
                shader.bindings.iter().zip(dispatch.bindings.iter().zip(arguments))
            {
                if slot.writable {
                    self.store(resource, argument);
                }
            }
        }
        Ok(())
    }

    fn load(&self, resource: &Resource) -> ClArg {
        match *resource {
            Resource::Arena { offset, size } => {
                ClArg::Buffer(self.arena[offset as usize..(offset + size) as usize].to_vec())
            }
            Resource::ArenaTexels { element, offset, size } => ClArg::ImageBuffer {
                texels: texels(element, &self.arena[offset as usize..(offset + size) as usize]),
            },
            Resource::Weights { blob, offset, size } => {
                let bytes = self.weight(blob);
                ClArg::Buffer(bytes[offset as usize..(offset + size) as usize].to_vec())
            }
            Resource::WeightTexels { element, blob, offset, size } => {
                let bytes = self.weight(blob);
                ClArg::ImageBuffer {
                    texels: texels(element, &bytes[offset as usize..(offset + size) as usize]),
                }
            }
            Resource::Derived { blob, offset, size } => {
                let bytes = &self.derived[blob as usize];
                ClArg::Buffer(bytes[offset as usize..(offset + size) as usize].to_vec())
            }
            Resource::DerivedTexels { element, blob, offset, size } => {
                let bytes = &self.derived[blob as usize];
                ClArg::ImageBuffer {
                    texels: texels(element, &bytes[offset as usize..(offset + size) as usize]),
                }
            }
            Resource::WeightTexture { blob, offset, texture } => {
                image(&texture, &self.weight(blob)[offset as usize..][..texture.size_bytes() as usize])
            }
            Resource::Texture(index) => {
                image(&self.variant.textures[index as usize], &self.textures[index as usize])
            }
        }
    }

    fn weight(&self, blob: u32) -> std::borrow::Cow<'_, [u8]> {
        self.bundle
            .weight_bytes(&self.bundle.manifest().weights[blob as usize])
            .expect("a bundle in memory has its weights there")
    }

    fn store(&mut self, resource: &Resource, argument: ClArg) {
        match (*resource, argument) {
            (Resource::Arena { offset, size }, ClArg::Buffer(bytes)) => {
                self.arena[offset as usize..(offset + size) as usize].copy_from_slice(&bytes);
            }
            (Resource::Derived { blob, offset, size }, ClArg::Buffer(bytes)) => {
                self.derived[blob as usize][offset as usize..(offset + size) as usize]
                    .copy_from_slice(&bytes);
            }
            (
                Resource::Texture(index),
                ClArg::Image2d { texels, .. }
                | ClArg::Image2dArray { texels, .. }
                | ClArg::Image3d { texels, .. },
            ) => {
                self.textures[index as usize] = texel_bytes(&texels);
            }
            (resource, _) => unreachable!("no kernel writes {resource:?}"),
        }
    }
}

fn element(element: DeviceElement) -> drift_compiler::physical::Element {
    use drift_compiler::physical::Element;
    match element {
        DeviceElement::F32 => Element::F32,
        DeviceElement::F16 => Element::F16,
        DeviceElement::I32 => Element::I32,
        DeviceElement::U32 => Element::U32,
    }
}

fn element_bytes(of: DeviceElement) -> usize {
    element(of).size_bytes() as usize
}

fn to_device(tensor: &Tensor, to: DeviceElement) -> Vec<u8> {
    let layout = drift_compiler::physical::Layout::row_major(element(to), tensor.shape().len());
    drift_compiler::physical::pack(tensor, &layout).expect("case inputs are in range")
}

fn image(object: &TextureObject, bytes: &[u8]) -> ClArg {
    let [width, height, last] = object.extent_px.map(|size| size as usize);
    let texels = texels(object.element, bytes);
    match object.kind {
        TextureKind::D2 => ClArg::Image2d { width, height, texels },
        TextureKind::Array => ClArg::Image2dArray { width, height, layers: last, texels },
        TextureKind::D3 => ClArg::Image3d { width, height, depth: last, texels },
    }
}

fn texels(element: DeviceElement, bytes: &[u8]) -> Texels {
    let words = || bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    match element {
        DeviceElement::F32 => Texels::F32(words().map(f32::from_bits).collect()),
        DeviceElement::F16 => {
            Texels::F16(bytes.chunks_exact(2).map(|h| u16::from_le_bytes([h[0], h[1]])).collect())
        }
        DeviceElement::I32 => Texels::I32(words().map(u32::cast_signed).collect()),
        DeviceElement::U32 => Texels::U32(words().collect()),
    }
}

fn texel_bytes(texels: &Texels) -> Vec<u8> {
    match texels {
        Texels::F32(data) => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Texels::F16(data) => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Texels::I32(data) => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Texels::U32(data) => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
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
