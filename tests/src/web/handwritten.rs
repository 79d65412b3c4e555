//! Bundles for WebGPU that the compiler does not write: state, parameters, a requirement that nothing meets, and many bytes.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use drift_bundle::manifest::*;
use drift_bundle::{ALIGNMENT_BYTES, BundleError, BundleWriter, WeightSource};

/// Adds `x`, as often as the second parameter says, to a sum that is kept from run to run.
const ACCUMULATE: &str = "\
@group(0) @binding(0) var<storage, read_write> x: array<f32, 4>;
@group(0) @binding(1) var<storage, read_write> sum: array<f32, 4>;
@group(0) @binding(2) var<storage, read_write> y: array<f32, 4>;
@group(2) @binding(0) var<storage> times: array<u32, 4>;
@group(2) @binding(1) var<uniform> offset: vec4<u32>;
@compute @workgroup_size(4, 1, 1)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    sum[at.x] += x[at.x] * f32(times[1]);
    y[at.x] = sum[at.x] + f32(offset.z);
}
";

/// Adds `x` and the words at both ends of two weights, which may be large, to `y`, which starts as zeros.
const ENDS: &str = "\
@group(0) @binding(0) var<storage, read_write> x: array<u32, 4>;
@group(0) @binding(1) var<storage, read_write> y: array<u32, 4>;
@group(1) @binding(0) var<storage> a: array<u32, WORDS>;
@group(1) @binding(1) var<storage> b: array<u32, WORDS>;
@compute @workgroup_size(1, 1, 1)
fn main() {
    y[0] += x[0] + a[0];
    y[1] += x[1] + a[WORDSu - 1u];
    y[2] += x[2] + b[0];
    y[3] += x[3] + b[WORDSu - 1u];
}
";

fn slot(group: u32, binding: u32, kind: BindingKind, writable: bool) -> BindingSlot {
    BindingSlot { group, binding, kind, writable }
}

fn buffer(min_bytes: u64) -> BindingKind {
    BindingKind::StorageBuffer { min_bytes }
}

fn shader(name: &str, workgroup_size: [u32; 3], bindings: Vec<BindingSlot>) -> Shader {
    let (entry_point, target) = ("main".to_owned(), Target::WebGpu);
    let (name, offset, size, shared_bytes) = (name.to_owned(), 0, 0, 0);
    Shader {
        name,
        target,
        entry_point,
        offset,
        size,
        workgroup_size,
        shared_bytes,
        subgroup_size: None,
        bindings,
    }
}

fn dispatch(name: &str, shader: u32, bindings: Vec<Resource>) -> Dispatch {
    Dispatch {
        name: name.to_owned(),
        shader,
        bindings,
        workgroups: [1; 3],
        free_workgroups: [None; 3],
        barrier: true,
        origins: Vec::new(),
        bytes_read: 32,
        bytes_written: 32,
        flops: 8,
    }
}

fn region(kind: RegionKind, size: u64) -> Region {
    Region { kind, size, alignment: ALIGNMENT_BYTES }
}

fn state(name: &str, shape: &[u64]) -> RegionKind {
    RegionKind::State { name: name.to_owned(), element: DeviceElement::F32, shape: shape.to_vec() }
}

fn variant(
    regions: Vec<Region>,
    inputs: Vec<IoBinding>,
    outputs: Vec<IoBinding>,
    dispatches: Vec<Dispatch>,
) -> Variant {
    Variant {
        name: "generic".to_owned(),
        profile: "generic".to_owned(),
        requires: Vec::new(),
        regions,
        inputs,
        outputs,
        init: Vec::new(),
        dispatches,
        memory: MemoryReport::default(),
    }
}

fn writer() -> BundleWriter {
    let (compiler, model, model_hash) = ("by hand".to_owned(), "handwritten".to_owned(), String::new());
    BundleWriter::new(Provenance { compiler, flags: Vec::new(), model, model_hash, profiles: Vec::new() })
}

fn entry(name: &str, element: HostElement, variants: Vec<Variant>) -> Entry {
    let tensor =
        |name: &str| vec![IoTensor { name: name.to_owned(), element, shape: vec![4], free: Vec::new() }];
    Entry {
        name: name.to_owned(),
        target: Target::WebGpu,
        dims: Vec::new(),
        sizes: Vec::new(),
        inputs: tensor("x"),
        outputs: tensor("y"),
        variants,
    }
}

/// `x` and `y` in regions of their own, a sum in the second half of one of two states, and parameters.
pub fn accumulator() -> Result<Vec<u8>, BundleError> {
    let mut writer = writer();
    let bindings = vec![
        slot(0, 0, buffer(16), false),
        slot(0, 1, buffer(16), true),
        slot(0, 2, buffer(16), true),
        slot(2, 0, buffer(16), false),
        slot(2, 1, BindingKind::UniformBuffer { min_bytes: 16 }, false),
    ];
    let shader = writer.add_shader(shader("accumulate", [4, 1, 1], bindings), ACCUMULATE.as_bytes());
    let whole = |region, offset| Resource::bytes(RegionId::Variant(region), offset, 16);
    let bound = vec![whole(0, 0), whole(2, 256), whole(3, 0), whole(4, 0), whole(5, 256)];
    let regions = vec![
        region(RegionKind::Io, 16),
        region(state("other", &[5, 5]), 100),
        region(state("sum", &[2, 64]), 512),
        region(RegionKind::Io, 16),
        region(RegionKind::Params([7, 2, 8, 9].map(Word::Const).to_vec()), 16),
        region(RegionKind::Params((0..64).chain([5, 4, 100, 3]).map(Word::Const).collect()), 272),
    ];
    let io = |region| vec![IoBinding { region, offset: 0, element: DeviceElement::F32 }];
    let variant = variant(regions, io(0), io(3), vec![dispatch("accumulate", shader, bound)]);
    writer.add_entry(entry("main", HostElement::F32, vec![variant]));
    writer.to_bytes()
}

/// Sums rows of `x` and turns it, both as large as words say; then adds neighbours of its first row.
const ROWS: &str = "\
@group(0) @binding(0) var<storage, read_write> x: array<f32, 120>;
@group(0) @binding(1) var<storage, read_write> y: array<f32, 12>;
@group(0) @binding(2) var<storage, read_write> t: array<f32, 120>;
@group(2) @binding(0) var<uniform> size: vec4<u32>;
@compute @workgroup_size(4, 1, 1)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if (at.x >= size.x) {
        return;
    }
    var sum = 0.0;
    for (var c = 0u; c < size.y; c++) {
        let value = x[at.x * size.y + c];
        sum += value;
        t[c * size.x + at.x] = value;
    }
    y[at.x] = sum;
}
";

const PAIRS: &str = "\
@group(0) @binding(0) var<storage, read_write> x: array<f32, 120>;
@group(0) @binding(1) var<storage, read_write> p: array<f32, 5>;
@compute @workgroup_size(1, 1, 1)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    p[at.x] = x[2u * at.x] + x[2u * at.x + 1u];
}
";

/// `x` of [rows, cols] to its rows' sums `y`, to `t`, which is it turned, and to sums of pairs `p`. There are 1 to 10 columns, and a multiple of three of
/// rows up to twelve.
pub fn sized() -> Result<Vec<u8>, BundleError> {
    use SizeTerm::{CeilDiv, Const, Dim, FloorDiv, Min, Mul};
    let mut writer = writer();
    let rows = vec![
        slot(0, 0, buffer(480), false),
        slot(0, 1, buffer(48), true),
        slot(0, 2, buffer(480), true),
        slot(2, 0, BindingKind::UniformBuffer { min_bytes: 16 }, false),
    ];
    let rows = writer.add_shader(shader("rows", [4, 1, 1], rows), ROWS.as_bytes());
    let pairs = vec![slot(0, 0, buffer(480), false), slot(0, 1, buffer(20), true)];
    let pairs = writer.add_shader(shader("pairs", [1; 3], pairs), PAIRS.as_bytes());
    let arena = |offset, size| Resource::bytes(RegionId::Variant(0), offset, size);
    let words = vec![Word::Size(0), Word::Size(1), Word::Const(0), Word::Size(2)];
    let params = Resource::bytes(RegionId::Variant(1), 0, 16);
    let mut rows = dispatch("rows", rows, vec![arena(0, 480), arena(512, 48), arena(1024, 480), params]);
    (rows.workgroups, rows.free_workgroups) = ([3, 1, 1], [Some(2), None, None]);
    let mut pairs = dispatch("pairs", pairs, vec![arena(0, 480), arena(1536, 20)]);
    (pairs.workgroups, pairs.free_workgroups) = ([5, 1, 1], [Some(4), None, None]);
    let io = |offset| IoBinding { region: 0, offset, element: DeviceElement::F32 };
    let regions = vec![region(RegionKind::Arena, 2048), region(RegionKind::Params(words), 16)];
    let outputs = [512, 1024, 1536].map(io).to_vec();
    let dim = |name: &str, low, high, step| FreeDim { name: name.to_owned(), low, high, step };
    let tensor = |name: &str, shape: &[u64], free: &[u32]| IoTensor {
        name: name.to_owned(),
        element: HostElement::F32,
        shape: shape.to_vec(),
        free: (0..).zip(free).map(|(axis, &size)| FreeAxis { axis, size }).collect(),
    };
    let (n_cols, n_rows) = (Dim(0), Dim(1));
    let sizes = [
        vec![n_rows],
        vec![n_cols],
        vec![n_rows, Const(4), CeilDiv],
        vec![n_cols, Const(2), FloorDiv],
        vec![n_rows, Const(1), Min, n_cols, Const(2), FloorDiv, Mul],
        vec![n_rows, Const(1), Min],
    ];
    writer.add_entry(Entry {
        dims: vec![dim("cols", 1, 10, 1), dim("rows", 0, 12, 3)],
        sizes: sizes.map(SizeExpression).to_vec(),
        inputs: vec![tensor("x", &[12, 10], &[0, 1])],
        outputs: vec![
            tensor("y", &[12], &[0]),
            tensor("t", &[10, 12], &[1, 0]),
            tensor("p", &[1, 5], &[5, 3]),
        ],
        ..entry("main", HostElement::F32, vec![variant(regions, vec![io(0)], outputs, vec![rows, pairs])])
    });
    writer.to_bytes()
}

/// Copies the first word of `x` to `y`.
const COPY: &str = "\
@group(0) @binding(0) var<storage, read_write> x: array<u32, 4>;
@group(0) @binding(1) var<storage, read_write> y: array<u32, 4>;
@compute @workgroup_size(1, 1, 1)
fn main() {
    y[0] = x[0];
}
";

/// A bundle of one kernel and variants that differ by name and by what they require.
fn copies(code: &str, variants: Vec<(&str, Vec<Requirement>)>) -> Result<Vec<u8>, BundleError> {
    let mut writer = writer();
    let bindings = vec![slot(0, 0, buffer(16), false), slot(0, 1, buffer(16), true)];
    let shader = writer.add_shader(shader("copy", [1; 3], bindings), code.as_bytes());
    let io = |offset| vec![IoBinding { region: 0, offset, element: DeviceElement::I32 }];
    let bound = [0, 256].map(|offset| Resource::bytes(RegionId::Variant(0), offset, 16)).to_vec();
    let one = |(name, requires): (&str, Vec<Requirement>)| {
        let regions = vec![region(RegionKind::Arena, 512)];
        let copy = dispatch("copy", shader, bound.clone());
        Variant { name: name.to_owned(), requires, ..variant(regions, io(0), io(256), vec![copy]) }
    };
    writer.add_entry(entry("main", HostElement::I32, variants.into_iter().map(one).collect()));
    writer.to_bytes()
}

/// A bundle none of whose variants runs on any browser's device.
pub fn asking_for_too_much() -> Result<Vec<u8>, BundleError> {
    let (ab, c) = (DeviceElement::F16, DeviceElement::F32);
    let matrices = vec![Requirement::CooperativeMatrix { m: 16, n: 16, k: 16, ab, c }];
    copies(
        COPY,
        vec![("matrices", matrices), ("f16", vec![Requirement::F16, Requirement::StorageBuffers(4096)])],
    )
}

/// A bundle whose declarations are right and whose kernel does not compile.
pub fn not_compiling() -> Result<Vec<u8>, BundleError> {
    copies(&COPY.replace("x[0];", "x[0] + unheard_of;"), vec![("generic", Vec::new())])
}

/// Bytes that are the same nowhere, made when they are written.
struct Pattern {
    size: u64,
    seed: u32,
}

impl WeightSource for Pattern {
    fn size_bytes(&self) -> u64 {
        self.size
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        // A block that repeats, with its number in each: made at the speed of copies, also without optimisation.
        const BLOCK: usize = 1 << 16;
        let words = (0..BLOCK as u32 / 4).map(|n| (n + self.seed).wrapping_mul(0x9e37_79b9));
        let block: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        let mut bytes = Vec::with_capacity(self.size as usize);
        while bytes.len() < self.size as usize {
            let (start, number) = (bytes.len(), (bytes.len() / BLOCK) as u32);
            bytes.extend_from_slice(&block[..BLOCK.min(self.size as usize - start)]);
            bytes[start..start + 4].copy_from_slice(&(number ^ self.seed).to_le_bytes());
        }
        Cow::Owned(bytes)
    }
}

/// The words at the ends of a weight of [`large`].
fn ends(pattern: &Pattern) -> [u32; 2] {
    let bytes = pattern.bytes();
    [0, bytes.len() - 4]
        .map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// What the entries of [`large`] give for an `x` of zeros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// `main`, which reads all weights but the last.
    pub all: [u32; 4],
    /// `two`, which reads the first two.
    pub two: [u32; 4],
    /// Dispatches of `main`, each of which adds `x`.
    pub dispatches: u32,
}

/// Writes a bundle with `weights` weights of `size` bytes each; nothing reads the last.
pub fn large(path: &Path, weights: u32, size: u64) -> Result<Sums, BundleError> {
    let mut writer = writer();
    let bindings = vec![
        slot(0, 0, buffer(16), false),
        slot(0, 1, buffer(16), true),
        slot(1, 0, buffer(size), false),
        slot(1, 1, buffer(size), false),
    ];
    let code = ENDS.replace("WORDS", &(size / 4).to_string());
    let shader = writer.add_shader(shader("ends", [1; 3], bindings), code.as_bytes());
    for seed in 0..weights {
        writer.add_packed_weight(&format!("w{seed}"), Arc::new(Pattern { size, seed }));
    }
    let (mut sums, mut dispatches) = (Sums::default(), Vec::new());
    for first in (0..weights - 1).step_by(2) {
        let pair = [first, first + 1];
        let mut bound = [0, 256].map(|offset| Resource::bytes(RegionId::Variant(0), offset, 16)).to_vec();
        bound.extend(pair.map(|weight| Resource::bytes(RegionId::Weight(weight), 0, size)));
        dispatches.push(dispatch("ends", shader, bound));
        let words = pair.map(|seed| ends(&Pattern { size, seed }));
        for (sum, word) in sums.all.iter_mut().zip(words.as_flattened()) {
            *sum = sum.wrapping_add(*word);
        }
        if first == 0 {
            sums.two = sums.all;
        }
    }
    sums.dispatches = dispatches.len() as u32;
    let io = |offset| vec![IoBinding { region: 0, offset, element: DeviceElement::I32 }];
    let arena = || vec![region(RegionKind::Arena, 512)];
    let two = vec![dispatches[0].clone()];
    for (name, dispatches) in [("main", dispatches), ("two", two)] {
        let variant = variant(arena(), io(0), io(256), dispatches);
        writer.add_entry(entry(name, HostElement::I32, vec![variant]));
    }
    writer.finish(path)?;
    Ok(sums)
}
