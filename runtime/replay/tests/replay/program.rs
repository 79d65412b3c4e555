//! Builds bundles from a few lines of WGSL, and opens the device to run them on.
#![allow(
    clippy::unwrap_used,
    reason = "a test helper fails by panicking, and is no test itself in every crate that has it"
)]

use std::path::Path;

use drift_bundle::manifest::*;
use drift_bundle::{ALIGNMENT_BYTES, Bundle, BundleWriter};
use drift_runtime::{Device, DeviceKind, OpenOptions};

/// Opens a device with validation, and afterwards asserts that nothing was said, leaks included.
pub(crate) fn on_device(test: impl FnOnce(&Device)) {
    let device =
        Device::open_with(DeviceKind::Vulkan, &OpenOptions { validation: true, ..OpenOptions::default() })
            .unwrap();
    let log = device.validation_log();
    assert!(log.is_active(), "the Khronos validation layer is needed: apt install vulkan-validationlayers");
    test(&device);
    drop(device);
    let messages = log.messages();
    assert!(messages.is_empty(), "validation: {messages:#?}");
}

/// A program of one entry and one variant, to be filled in.
pub(crate) struct Program {
    writer: BundleWriter,
    pub(crate) entry: Entry,
    pub(crate) variant: Variant,
}

/// The region that a program begins with.
pub(crate) const ARENA: RegionId = RegionId::Variant(0);

pub(crate) fn arena(offset: u64, size: u64) -> Resource {
    Resource::bytes(ARENA, offset, size)
}

pub(crate) fn weight(blob: u32, offset: u64, size: u64) -> Resource {
    Resource::bytes(RegionId::Weight(blob), offset, size)
}

/// The first region that is added to a program.
pub(crate) const FIRST: RegionId = RegionId::Variant(1);
/// The one after it.
pub(crate) const SECOND: RegionId = RegionId::Variant(2);

pub(crate) fn region(kind: RegionKind, size: u64) -> Region {
    Region { kind, size, alignment: ALIGNMENT_BYTES }
}

/// State of f32.
pub(crate) fn state(name: &str, shape: &[u64]) -> RegionKind {
    RegionKind::State { name: name.to_owned(), element: DeviceElement::F32, shape: shape.to_vec() }
}

impl Program {
    pub(crate) fn new(arena_bytes: u64) -> Self {
        let provenance = Provenance {
            compiler: "test".to_owned(),
            flags: Vec::new(),
            model: "test".to_owned(),
            model_hash: String::new(),
            profiles: Vec::new(),
        };
        Self {
            writer: BundleWriter::new(provenance),
            entry: Entry {
                name: "main".to_owned(),
                target: Target::Vulkan,
                dims: Vec::new(),
                sizes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                variants: Vec::new(),
            },
            variant: Variant {
                name: "generic".to_owned(),
                profile: "generic".to_owned(),
                requires: Vec::new(),
                regions: vec![region(RegionKind::Arena, arena_bytes)],
                inputs: Vec::new(),
                outputs: Vec::new(),
                init: Vec::new(),
                dispatches: Vec::new(),
                memory: MemoryReport::default(),
            },
        }
    }

    pub(crate) fn input(
        mut self,
        name: &str,
        host: HostElement,
        shape: &[u64],
        at: u64,
        device: DeviceElement,
    ) -> Self {
        self.entry.inputs.push(tensor(name, host, shape));
        self.variant.inputs.push(IoBinding { region: 0, offset: at, element: device });
        self
    }

    pub(crate) fn output(
        mut self,
        name: &str,
        host: HostElement,
        shape: &[u64],
        at: u64,
        device: DeviceElement,
    ) -> Self {
        self.entry.outputs.push(tensor(name, host, shape));
        self.variant.outputs.push(IoBinding { region: 0, offset: at, element: device });
        self
    }

    pub(crate) fn f32_input(self, name: &str, shape: &[u64], at: u64) -> Self {
        self.input(name, HostElement::F32, shape, at, DeviceElement::F32)
    }

    pub(crate) fn f32_output(self, name: &str, shape: &[u64], at: u64) -> Self {
        self.output(name, HostElement::F32, shape, at, DeviceElement::F32)
    }

    pub(crate) fn texture(self, kind: TextureKind, element: DeviceElement, extent_px: [u32; 3]) -> Self {
        let object = TextureObject { kind, element, extent_px };
        self.region(RegionKind::Texture(object), object.size_bytes())
    }

    /// Adds a derived blob.
    pub(crate) fn derived(self, size: u64) -> Self {
        self.region(RegionKind::Derived, size)
    }

    pub(crate) fn region(mut self, kind: RegionKind, size: u64) -> Self {
        self.variant.regions.push(region(kind, size));
        self
    }

    pub(crate) fn weight(mut self, name: &str, bytes: &[u8]) -> Self {
        self.writer.add_weight(name, bytes).unwrap();
        self
    }

    pub(crate) fn f32_weight(self, name: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.weight(name, &bytes)
    }

    /// Adds a shader; its bindings are those of the WGSL, in its order of declaration.
    pub(crate) fn shader(&mut self, wgsl: &str, change: impl FnOnce(&mut Shader)) -> u32 {
        let module = naga::front::wgsl::parse_str(wgsl)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
        let mut shader = Shader {
            name: "kernel".to_owned(),
            target: Target::Vulkan,
            entry_point: "main".to_owned(),
            offset: 0,
            size: 0,
            workgroup_size: module.entry_points[0].workgroup_size,
            shared_bytes: shared_bytes(&module),
            subgroup_size: None,
            bindings: module
                .global_variables
                .iter()
                .filter_map(|(_, variable)| slot(&module, variable))
                .collect(),
        };
        change(&mut shader);
        self.writer.add_shader(shader, &spirv(&module))
    }

    /// Adds a shader that is written as its target wants it.
    pub(crate) fn text_shader(&mut self, shader: Shader, code: &str) -> u32 {
        self.writer.add_shader(shader, code.as_bytes())
    }

    pub(crate) fn dispatch(mut self, wgsl: &str, bindings: &[Resource], workgroups: [u32; 3]) -> Self {
        let shader = self.shader(wgsl, |_| ());
        let name = format!("step {}", self.variant.dispatches.len());
        self.variant.dispatches.push(dispatch(&name, shader, bindings, workgroups));
        self
    }

    pub(crate) fn init(mut self, wgsl: &str, bindings: &[Resource], workgroups: [u32; 3]) -> Self {
        let shader = self.shader(wgsl, |_| ());
        self.variant.init.push(dispatch("init", shader, bindings, workgroups));
        self
    }

    /// Ends this entry and begins another one of the same bundle.
    pub(crate) fn then(self, name: &str, arena_bytes: u64) -> Self {
        let mut next = Self::new(arena_bytes);
        next.writer = self.finished();
        next.entry.name = name.to_owned();
        next
    }

    pub(crate) fn bundle(self) -> Bundle {
        Bundle::from_bytes(self.finished().to_bytes().unwrap()).unwrap()
    }

    /// The same as a file.
    pub(crate) fn stored(self, path: &Path) -> Bundle {
        self.finished().finish(path).unwrap();
        Bundle::open(path).unwrap()
    }

    fn finished(mut self) -> BundleWriter {
        self.entry.variants.push(self.variant);
        self.writer.add_entry(self.entry);
        self.writer
    }
}

fn tensor(name: &str, element: HostElement, shape: &[u64]) -> IoTensor {
    IoTensor { name: name.to_owned(), element, shape: shape.to_vec(), free: Vec::new() }
}

pub(crate) fn dispatch(name: &str, shader: u32, bindings: &[Resource], workgroups: [u32; 3]) -> Dispatch {
    Dispatch {
        name: name.to_owned(),
        shader,
        bindings: bindings.to_vec(),
        workgroups,
        free_workgroups: [None; 3],
        barrier: true,
        origins: vec![name.to_owned()],
        bytes_read: 0,
        bytes_written: 0,
        flops: 1000,
    }
}

fn shared_bytes(module: &naga::Module) -> u32 {
    let shared = module.global_variables.iter().filter(|(_, one)| one.space == naga::AddressSpace::WorkGroup);
    let sizes = shared.map(|(_, one)| module.types[one.ty].inner.size(module.to_ctx()));
    sizes.map(|size| size.next_multiple_of(16)).sum()
}

fn slot(module: &naga::Module, variable: &naga::GlobalVariable) -> Option<BindingSlot> {
    let place = variable.binding.as_ref()?;
    let layout = &module.types[variable.ty];
    let min_bytes = u64::from(layout.inner.size(module.to_ctx()));
    let kind = match (variable.space, &layout.inner) {
        (naga::AddressSpace::Storage { .. }, _) => BindingKind::StorageBuffer { min_bytes },
        (naga::AddressSpace::Uniform, _) => BindingKind::UniformBuffer { min_bytes },
        (_, naga::TypeInner::Image { dim, arrayed, class }) => match (dim, arrayed) {
            (naga::ImageDimension::D1, _) => BindingKind::ImageBuffer { element: channel(class) },
            (naga::ImageDimension::D3, _) => texture(TextureKind::D3, class),
            (_, true) => texture(TextureKind::Array, class),
            (_, false) => texture(TextureKind::D2, class),
        },
        other => panic!("{other:?}"),
    };
    let writable = match (variable.space, &layout.inner) {
        (naga::AddressSpace::Storage { access }, _) => access.contains(naga::StorageAccess::STORE),
        (_, naga::TypeInner::Image { class, .. }) => matches!(class, naga::ImageClass::Storage { .. }),
        _ => false,
    };
    Some(BindingSlot { group: place.group, binding: place.binding, kind, writable })
}

fn texture(kind: TextureKind, class: &naga::ImageClass) -> BindingKind {
    BindingKind::Texture { kind, element: channel(class) }
}

/// Sampled textures do not say how wide their channels are: f32 is meant here.
fn channel(class: &naga::ImageClass) -> DeviceElement {
    match class {
        naga::ImageClass::Storage { format: naga::StorageFormat::Rgba16Float, .. } => DeviceElement::F16,
        naga::ImageClass::Sampled { kind: naga::ScalarKind::Uint, .. } => DeviceElement::U32,
        naga::ImageClass::Sampled { kind: naga::ScalarKind::Sint, .. } => DeviceElement::I32,
        _ => DeviceElement::F32,
    }
}

fn spirv(module: &naga::Module) -> Vec<u8> {
    let capabilities = naga::valid::Capabilities::all();
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap();
    let options = naga::back::spv::Options {
        lang_version: (1, 3),
        flags: naga::back::spv::WriterFlags::empty(),
        use_storage_input_output_16: false,
        zero_initialize_workgroup_memory: naga::back::spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..naga::back::spv::Options::default()
    };
    let words = naga::back::spv::write_vec(module, &info, &options, None).unwrap();
    texel_buffers(&words).iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// WGSL has no texel buffers, so kernels here write them as 1D textures.
fn texel_buffers(words: &[u32]) -> Vec<u32> {
    const CAPABILITY: u32 = 17;
    const TYPE_IMAGE: u32 = 25;
    const IMAGE_FETCH: u32 = 95;
    let mut out = words[..5].to_vec();
    let mut rest = &words[5..];
    while let Some(first) = rest.first() {
        let (opcode, length) = (first & 0xffff, (first >> 16) as usize);
        let mut instruction = rest[..length].to_vec();
        rest = &rest[length..];
        match (opcode, instruction.get(1), instruction.get(3)) {
            // Sampled1D becomes SampledBuffer, Image1D becomes ImageBuffer.
            (CAPABILITY, Some(43), _) => instruction[1] = 46,
            (CAPABILITY, Some(44), _) => instruction[1] = 47,
            (TYPE_IMAGE, _, Some(0)) => instruction[3] = 5,
            // Texel buffers have no levels. Fetches with one scalar coordinate are the 1D ones.
            (IMAGE_FETCH, _, _) if words_have_1d(words) => {
                instruction.truncate(5);
                instruction[0] = (5 << 16) | IMAGE_FETCH;
            }
            _ => {}
        }
        out.extend(instruction);
    }
    out
}

fn words_have_1d(words: &[u32]) -> bool {
    let mut at = 5;
    while at < words.len() {
        let (opcode, length) = (words[at] & 0xffff, (words[at] >> 16) as usize);
        if opcode == 25 && words[at + 3] == 0 {
            return true;
        }
        at += length;
    }
    false
}
