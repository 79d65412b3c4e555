//! A small bundle that has one of everything, and tools to damage it.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use drift_bundle::manifest::*;
use drift_bundle::{ALIGNMENT_BYTES, Bundle, BundleWriter, stub};

pub(crate) fn provenance() -> Provenance {
    Provenance {
        compiler: "driftc 0.1.0".to_owned(),
        flags: vec!["--precision=f16".to_owned()],
        model: "sample".to_owned(),
        model_hash: "00ff".to_owned(),
        profiles: vec!["generic".to_owned()],
    }
}

/// Code of [`shader`] for Vulkan.
pub(crate) fn spirv() -> Vec<u8> {
    stub::code(&shader(Target::Vulkan, ""))
}

fn slot(group: u32, binding: u32, kind: BindingKind, writable: bool) -> BindingSlot {
    BindingSlot { group, binding, kind, writable }
}

/// Takes a source, weights, derived blobs and a uniform, and writes one range, a texture and a texel range.
pub(crate) fn shader(target: Target, name: &str) -> Shader {
    Shader {
        name: name.to_owned(),
        target,
        entry_point: "main".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [8, 8, 1],
        shared_bytes: 1024,
        subgroup_size: Some(32),
        bindings: vec![
            slot(0, 0, BindingKind::StorageBuffer { min_bytes: 60 }, false),
            slot(0, 1, BindingKind::StorageBuffer { min_bytes: 30 }, true),
            slot(0, 2, BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F16 }, true),
            slot(0, 3, BindingKind::ImageBuffer { element: DeviceElement::F32 }, true),
            slot(1, 0, BindingKind::StorageBuffer { min_bytes: 300 }, false),
            slot(1, 1, BindingKind::ImageBuffer { element: DeviceElement::F16 }, false),
            slot(2, 0, BindingKind::UniformBuffer { min_bytes: 16 }, false),
            slot(1, 2, BindingKind::StorageBuffer { min_bytes: 100 }, false),
            slot(1, 3, BindingKind::ImageBuffer { element: DeviceElement::F32 }, false),
            slot(1, 4, BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F16 }, false),
        ],
    }
}

/// Takes a weight and writes two derived ranges.
fn deriving(target: Target) -> Shader {
    let buffer = |min_bytes| BindingKind::StorageBuffer { min_bytes };
    Shader {
        name: "derive_0".to_owned(),
        bindings: vec![
            slot(1, 0, buffer(300), false),
            slot(0, 0, buffer(500), true),
            slot(0, 1, buffer(64), true),
        ],
        ..shader(target, "")
    }
}

/// The regions of the variant.
pub(crate) const ARENA: RegionId = RegionId::Variant(0);
pub(crate) const TEXTURE: RegionId = RegionId::Variant(1);
pub(crate) const DERIVED: [RegionId; 2] = [RegionId::Variant(2), RegionId::Variant(3)];

pub(crate) fn region(kind: RegionKind, size: u64) -> Region {
    Region { kind, size, alignment: ALIGNMENT_BYTES }
}

/// A state of one number.
pub(crate) fn state(name: &str) -> RegionKind {
    RegionKind::State { name: name.to_owned(), element: DeviceElement::F16, shape: vec![] }
}

pub(crate) fn arena(offset: u64, size: u64) -> Resource {
    Resource::bytes(ARENA, offset, size)
}

pub(crate) fn derived(number: usize, offset: u64, size: u64) -> Resource {
    Resource::bytes(DERIVED[number], offset, size)
}

pub(crate) fn weight(blob: u32, offset: u64, size: u64) -> Resource {
    Resource::bytes(RegionId::Weight(blob), offset, size)
}

/// The texture among the regions.
pub(crate) fn texture() -> TextureObject {
    TextureObject { kind: TextureKind::D2, element: DeviceElement::F16, extent_px: [5, 3, 1] }
}

/// 440 of the 444 bytes that blob 0 has from offset 256 on.
pub(crate) fn weight_texture() -> TextureObject {
    TextureObject { kind: TextureKind::D2, element: DeviceElement::F16, extent_px: [11, 5, 1] }
}

fn dispatch(name: &str, shader: u32) -> Dispatch {
    Dispatch {
        name: name.to_owned(),
        shader,
        bindings: vec![
            arena(0, 60),
            arena(256, 30),
            Resource::texture(TEXTURE, 0, texture()),
            Resource::texels(ARENA, DeviceElement::F32, 512, 64),
            weight(0, 256, 400),
            Resource::texels(RegionId::Weight(1), DeviceElement::F16, 0, 32),
            weight(1, 0, 16),
            derived(0, 256, 200),
            Resource::texels(DERIVED[1], DeviceElement::F32, 0, 64),
            Resource::texture(RegionId::Weight(0), 256, weight_texture()),
        ],
        workgroups: [3, 2, 1],
        free_workgroups: [None; 3],
        barrier: true,
        origins: vec!["conv_1".to_owned(), "relu_1".to_owned()],
        bytes_read: 460,
        bytes_written: 30,
        flops: 1234,
    }
}

fn derive(shader: u32) -> Dispatch {
    Dispatch {
        bindings: vec![weight(0, 256, 400), derived(0, 0, 500), derived(1, 0, 64)],
        ..dispatch("derive", shader)
    }
}

fn variant(shader: u32, deriving: u32) -> Variant {
    Variant {
        name: "generic".to_owned(),
        profile: "generic".to_owned(),
        requires: vec![
            Requirement::F16,
            Requirement::SharedBytes(1024),
            Requirement::Vendor(vec![0x10de, 0x8086]),
        ],
        regions: vec![
            region(RegionKind::Arena, 1024),
            region(RegionKind::Texture(texture()), texture().size_bytes()),
            region(RegionKind::Derived, 500),
            region(RegionKind::Derived, 64),
        ],
        inputs: vec![
            IoBinding { region: 0, offset: 0, element: DeviceElement::F32 },
            IoBinding { region: 0, offset: 768, element: DeviceElement::I32 },
        ],
        outputs: vec![IoBinding { region: 0, offset: 256, element: DeviceElement::F16 }],
        init: vec![derive(deriving)],
        dispatches: vec![dispatch("conv_1: conv_tiled", shader), dispatch("add_2: eltwise", shader)],
        memory: MemoryReport {
            naive_bytes: 4096,
            planned_bytes: 1024,
            lower_bound_bytes: 900,
            strategy: MemoryStrategy::GreedyByBreadth,
        },
    }
}

fn entry(target: Target, shader: u32, deriving: u32) -> Entry {
    let tensor = |name: &str, element, shape: &[u64]| IoTensor {
        name: name.to_owned(),
        element,
        shape: shape.to_vec(),
        free: Vec::new(),
    };
    Entry {
        name: "main".to_owned(),
        target,
        dims: Vec::new(),
        sizes: Vec::new(),
        inputs: vec![tensor("image", HostElement::F32, &[1, 3, 1, 5]), tensor("ids", HostElement::I64, &[])],
        outputs: vec![tensor("logits", HostElement::F32, &[3, 5])],
        variants: vec![variant(shader, deriving)],
    }
}

/// Gives an entry two dims: `n` is the second axis of the first input and the first of the output.
pub(crate) fn set_free(entry: &mut Entry) {
    let dim = |name: &str, low, high| FreeDim { name: name.to_owned(), low, high, step: 1 };
    let (batch, n) = (SizeTerm::Dim(0), SizeTerm::Dim(1));
    entry.dims = vec![dim("batch", 1, 1), dim("n", 0, 3)];
    entry.sizes = vec![
        SizeExpression(vec![n]),
        SizeExpression(vec![n, SizeTerm::Const(2), SizeTerm::CeilDiv]),
        SizeExpression(vec![batch]),
    ];
    entry.inputs[0].free = vec![FreeAxis { axis: 0, size: 2 }, FreeAxis { axis: 1, size: 0 }];
    entry.outputs[0].free = vec![FreeAxis { axis: 0, size: 0 }];
    for dispatch in &mut entry.variants[0].dispatches {
        dispatch.free_workgroups = [Some(0), Some(1), None];
    }
}

pub(crate) fn weights() -> [Vec<u8>; 2] {
    [(0..=255).cycle().take(700).collect(), (0..40).rev().collect()]
}

pub(crate) fn fill(writer: &mut BundleWriter) {
    let [first, second] = weights();
    writer.add_weight("conv1.weight:o4i4", &first).unwrap();
    writer.add_weight("conv1.bias", second).unwrap();
    let mut add = |shader: Shader| {
        let code = stub::code(&shader);
        writer.add_shader(shader, &code)
    };
    let vulkan = add(shader(Target::Vulkan, "conv_tiled_0"));
    let opencl = add(shader(Target::OpenCl, "conv_tiled_0"));
    let [for_vulkan, for_opencl] = [Target::Vulkan, Target::OpenCl].map(|target| add(deriving(target)));
    writer.add_entry(entry(Target::Vulkan, vulkan, for_vulkan));
    let mut free = entry(Target::OpenCl, opencl, for_opencl);
    set_free(&mut free);
    writer.add_entry(free);
}

pub(crate) fn writer() -> BundleWriter {
    let mut writer = BundleWriter::new(provenance());
    fill(&mut writer);
    writer
}

pub(crate) fn bytes() -> Vec<u8> {
    writer().to_bytes().unwrap()
}

pub(crate) fn bundle() -> Bundle {
    Bundle::from_bytes(bytes()).unwrap()
}

/// Where the table says that section `index` is: manifest, shaders, hashes, weights.
pub(crate) fn section(file: &[u8], index: usize) -> std::ops::Range<usize> {
    let at = 16 + 48 * index;
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    word(at)..word(at).wrapping_add(word(at + 8))
}

/// Where byte `at` of the weights is in a file.
pub(crate) fn weights_byte(file: &[u8], at: usize) -> usize {
    section(file, WEIGHTS).start + at
}

/// Numbers of the sections.
pub(crate) const SHADERS: usize = 1;
pub(crate) const HASHES: usize = 2;
pub(crate) const WEIGHTS: usize = 3;

/// Makes the sections' hashes fit whatever the sections hold now.
pub(crate) fn reseal(file: &mut [u8]) {
    for index in 0..3 {
        let hash = blake3::hash(&file[section(file, index)]);
        let at = 16 + 48 * index + 16;
        file[at..at + 32].copy_from_slice(hash.as_bytes());
    }
}

/// The same where the table says that the sections start where they do in the sample.
pub(crate) fn reseal_if_sound(file: &mut [u8]) {
    let sound = bytes();
    if (0..4).all(|index| section(file, index) == section(&sound, index)) {
        reseal(file);
    }
}

/// SplitMix64: enough randomness for tests, the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
