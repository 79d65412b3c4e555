//! Turns a program with a memory plan into a variant of a bundle: resources, dispatches, barriers and requirements.

mod alike;
mod blobs;
mod bundle;
mod calls;
mod error;
mod hazards;
mod shaders;
mod sizes;
mod textures;

pub use blobs::Blobs;
pub use bundle::{Draft, SelfTestDraft, bundle};
pub use error::ShaderError;
pub use shaders::{EmittedKernel, KernelModules, code_text, emission_target, shader_text, specialized};
pub use sizes::{SizeError, Sizes};

use crate::kernel::{Binding, PARAMS_GROUP, Source};
use crate::physical::StorageType;
use crate::plan::{MemoryPlan, Place};
use crate::profile::Profile;
use crate::program::{Content, Port, Program, ProgramStep, StatePort};
use drift_bundle::manifest::{
    BindingKind, BindingSlot, DeviceElement, Dispatch, HostElement, IoBinding, IoTensor, Region, RegionId,
    RegionKind, Requirement, Resource, Shader, Target, TextureKind, TextureObject, Variant, Word,
};
use drift_bundle::{ALIGNMENT_BYTES, BundleWriter, limits};
use drift_ir::{ElementType, HostForm, SmallFloat};
use hazards::Hazards;

/// Everything that a variant refers to in the bundle being written.
pub struct Sink<'a> {
    /// The bundle.
    pub bundle: &'a mut BundleWriter,
    /// Its weights.
    pub blobs: &'a mut Blobs,
    /// The entry's dims and sizes.
    pub sizes: &'a Sizes,
    /// Shaders of this variant's steps at load, then of those of a run, one for each.
    pub kernels: Vec<&'a EmittedKernel>,
}

/// Makes the variant of `program` for `profile`.
pub fn variant(
    program: &Program,
    plan: &MemoryPlan,
    profile: &Profile,
    target: Target,
    sink: Sink<'_>,
) -> Variant {
    let Sink { bundle, blobs, sizes, kernels } = sink;
    let (at_load, of_runs) = kernels.split_at(program.init.len());
    let (regions, first) = planned_regions(program, plan);
    let mut emitter = Emitter {
        program,
        plan,
        target,
        bundle,
        blobs,
        held: vec![None; program.constants.len()],
        sizes,
        regions,
        first,
        requires: Vec::new(),
    };
    let init = emitter.dispatches(&program.init, at_load);
    let dispatches = emitter.dispatches(&program.steps, of_runs);
    let Emitter { regions, mut requires, .. } = emitter;
    if !profile.vendors.is_empty() {
        requires.push(Requirement::Vendor(profile.vendors.to_vec()));
    }
    for region in &regions {
        require_region(&mut requires, region);
    }
    let io = |ports: &[Port]| {
        let one = |port: &Port| {
            let (region, offset) = first.buffer(plan.places[port.storage as usize]);
            IoBinding { region, offset, element: DeviceElement::from(port.device) }
        };
        ports.iter().map(one).collect()
    };
    Variant {
        name: profile.name.to_owned(),
        profile: profile.name.to_owned(),
        requires,
        regions,
        inputs: io(&program.inputs),
        outputs: io(&program.outputs),
        init,
        dispatches,
        memory: plan.report,
    }
}

/// Bytes of a word of parameters.
const WORD_BYTES: u64 = 4;

/// Where a constant is.
#[derive(Clone, Copy)]
enum Held {
    /// Index of a blob of the bundle.
    Stored(u32),
    /// Index of a region of the variant.
    Derived(u32),
}

/// A variant on its way.
struct Emitter<'a> {
    program: &'a Program,
    plan: &'a MemoryPlan,
    target: Target,
    bundle: &'a mut BundleWriter,
    blobs: &'a mut Blobs,
    /// Where each constant is that a dispatch has bound.
    held: Vec<Option<Held>>,
    sizes: &'a Sizes,
    /// The memory that is planned, then derived blobs and words as they are found.
    regions: Vec<Region>,
    first: FirstRegions,
    requires: Vec<Requirement>,
}

impl Emitter<'_> {
    /// The dispatches of one list of steps with their kernels.
    fn dispatches(&mut self, steps: &[ProgramStep], kernels: &[&EmittedKernel]) -> Vec<Dispatch> {
        let mut hazards = Hazards::default();
        let pairs = steps.iter().zip(kernels);
        pairs.map(|(step, kernel)| self.dispatch(step, kernel, &mut hazards)).collect()
    }

    fn dispatch(&mut self, step: &ProgramStep, kernel: &EmittedKernel, hazards: &mut Hazards) -> Dispatch {
        let bindings = step.call.bindings();
        let mut resources: Vec<Resource> = bindings.iter().map(|binding| self.resource(binding)).collect();
        let barrier = hazards.step(bindings.iter().map(|b| b.writable).zip(&resources));
        let params = self.params(step);
        let shader = shader_entry(step, kernel, (&bindings, params.as_ref()), self.target);
        resources.extend(params);
        merge_requirements(&mut self.requires, kernel, &bindings);
        Dispatch {
            name: format!("{}: {}", step.name, step.call.kernel.name),
            shader: self.bundle.add_shader(shader, &kernel.code),
            bindings: resources,
            workgroups: kernel.workgroups,
            free_workgroups: step.call.workgroups.each_ref().map(|count| self.sizes.index(count)),
            barrier,
            // Equal nodes are one, so a dispatch can stand for any number; a bundle names the first ones.
            origins: step.origins.iter().take(limits::ORIGINS).cloned().collect(),
            bytes_read: step.bytes_read,
            bytes_written: step.bytes_written,
            flops: step.flops,
        }
    }

    /// The words that a dispatch reads; dispatches that read the same share them.
    fn params(&mut self, step: &ProgramStep) -> Option<Resource> {
        let words = if sizes::is_free(step) { step.call.module().words } else { Vec::new() };
        if words.is_empty() {
            return None;
        }
        let words: Vec<Word> = words.iter().map(|size| self.sizes.word(size)).collect();
        let size = words.len() as u64 * WORD_BYTES;
        let kind = RegionKind::Params(words);
        let index = self.regions.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            self.regions.push(region(kind, size));
            self.regions.len() - 1
        });
        Some(Resource::bytes(RegionId::Variant(index as u32), 0, size))
    }

    fn resource(&mut self, binding: &Binding) -> Resource {
        let element = DeviceElement::from(binding.element);
        let size = binding.size_bytes;
        let (region, offset) = match binding.source {
            Source::Constant(index) => match self.held(index) {
                Held::Stored(blob) => (RegionId::Weight(blob), binding.offset_bytes),
                Held::Derived(region) => (RegionId::Variant(region), binding.offset_bytes),
            },
            Source::Activation(storage) => match self.plan.places[storage as usize] {
                Place::Texture(index) => {
                    let region = RegionId::Variant(self.first.texture + index);
                    return Resource::texture(region, 0, self.plan.textures[index as usize]);
                }
                place => {
                    let (region, offset) = self.first.buffer(place);
                    (RegionId::Variant(region), offset)
                }
            },
        };
        match binding.storage_type {
            StorageType::Buffer => Resource::bytes(region, offset, size),
            StorageType::ImageBuffer => Resource::texels(region, element, offset, size),
            StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
                Resource::texture(region, offset, weight_texture(binding))
            }
        }
    }

    /// Where a constant is; it gets a place when it is first bound.
    fn held(&mut self, index: u32) -> Held {
        if let Some(held) = self.held[index as usize] {
            return held;
        }
        let constant = &self.program.constants[index as usize];
        let held = match &constant.content {
            Content::Packed(recipe) => Held::Stored(self.blobs.index(constant, recipe, self.bundle)),
            Content::Derived { size_bytes } => {
                self.regions.push(region(RegionKind::Derived, *size_bytes));
                Held::Derived((self.regions.len() - 1) as u32)
            }
        };
        self.held[index as usize] = Some(held);
        held
    }
}

/// Where regions of each kind begin among those of a variant.
#[derive(Clone, Copy)]
struct FirstRegions {
    arena: u32,
    texture: u32,
    io: u32,
    state: u32,
}

impl FirstRegions {
    /// Region and offset of a place in a buffer.
    fn buffer(&self, place: Place) -> (u32, u64) {
        match place {
            Place::Arena(offset) => (self.arena, offset),
            Place::Io(number, offset) => (self.io + number, offset),
            Place::State(number, offset) => (self.state + number, offset),
            Place::Texture(_) => unreachable!("inputs and outputs are dense buffers"),
        }
    }
}

/// The arena, if something is in it; the pooled textures; inputs and outputs of their own; states.
fn planned_regions(program: &Program, plan: &MemoryPlan) -> (Vec<Region>, FirstRegions) {
    let has_arena = plan.places.iter().any(|place| matches!(place, Place::Arena(_)));
    let arena = has_arena.then(|| region(RegionKind::Arena, plan.arena_bytes));
    let mut regions = Vec::from_iter(arena);
    let texture = regions.len() as u32;
    regions
        .extend(plan.textures.iter().map(|object| region(RegionKind::Texture(*object), object.size_bytes())));
    let io = regions.len() as u32;
    regions.extend(plan.io_bytes.iter().map(|bytes| region(RegionKind::Io, *bytes)));
    let state = regions.len() as u32;
    regions.extend(program.states.iter().zip(&plan.state_bytes).map(|(port, bytes)| {
        let StatePort { name, shape, device, .. } = port;
        let (name, element) = (name.clone(), DeviceElement::from(*device));
        region(RegionKind::State { name, element, shape: shape.clone() }, *bytes)
    }));
    (regions, FirstRegions { arena: 0, texture, io, state })
}

fn region(kind: RegionKind, size: u64) -> Region {
    Region { kind, size, alignment: ALIGNMENT_BYTES }
}

/// The caller's view of inputs or outputs.
pub fn io_tensors(ports: &[Port], sizes: &Sizes) -> Vec<IoTensor> {
    ports
        .iter()
        .map(|port| IoTensor {
            name: port.name.clone(),
            element: port.form.map_or_else(|| host_element(port.element), host_form),
            shape: port.shape.clone(),
            free: sizes.axes(port),
        })
        .collect()
}

/// The texture of weights that is bound.
fn weight_texture(binding: &Binding) -> TextureObject {
    let [width, height] = binding.extent_px.unwrap_or_else(|| unreachable!("weights alone are textures"));
    TextureObject {
        kind: binding.storage_type.texture_kind(),
        element: DeviceElement::from(binding.element),
        extent_px: [side(width), side(height), 1],
    }
}

/// A side of a texture; what 32 bits do not count is more than any device has, and the variant's predicates say so.
fn side(texels: u64) -> u32 {
    u32::try_from(texels).unwrap_or(u32::MAX)
}

fn shader_entry(
    step: &ProgramStep,
    kernel: &EmittedKernel,
    (bindings, params): (&[Binding], Option<&Resource>),
    target: Target,
) -> Shader {
    let slots = bindings.iter().map(|binding| BindingSlot {
        group: binding.group,
        binding: binding.index,
        kind: match binding.storage_type {
            StorageType::Buffer => BindingKind::StorageBuffer { min_bytes: binding.size_bytes },
            StorageType::ImageBuffer => {
                BindingKind::ImageBuffer { element: DeviceElement::from(binding.element) }
            }
            storage_type @ (StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d) => {
                BindingKind::Texture {
                    kind: storage_type.texture_kind(),
                    element: DeviceElement::from(binding.element),
                }
            }
        },
        writable: binding.writable,
    });
    let params = params.map(|params| BindingSlot {
        group: PARAMS_GROUP,
        binding: 0,
        kind: BindingKind::UniformBuffer { min_bytes: params.view.range().1 },
        writable: false,
    });
    Shader {
        name: format!("{}_{}", step.call.kernel.name, kernel.index),
        target,
        entry_point: kernel.entry_point.clone(),
        offset: 0,
        size: 0,
        workgroup_size: kernel.workgroup_size,
        shared_bytes: kernel.shared_bytes,
        subgroup_size: kernel.subgroup_size,
        bindings: slots.chain(params).collect(),
    }
}

/// Adds what a region needs to the variant's predicates.
fn require_region(requires: &mut Vec<Requirement>, region: &Region) {
    let RegionKind::Texture(object) = &region.kind else {
        return raise(requires, Requirement::BufferBytes(region.size));
    };
    let [width, height, depth] = object.extent_px;
    let side = width.max(height);
    match object.kind {
        TextureKind::D2 => raise(requires, Requirement::Texture2dSize(side)),
        TextureKind::D3 => raise(requires, Requirement::Texture3dSize(side.max(depth))),
        TextureKind::Array => {
            raise(requires, Requirement::Texture2dSize(side));
            raise(requires, Requirement::TextureLayers(depth));
        }
    }
}

/// Adds what one step needs to the variant's predicates.
fn merge_requirements(requires: &mut Vec<Requirement>, kernel: &EmittedKernel, bindings: &[Binding]) {
    for requirement in &kernel.requires {
        raise(requires, requirement.clone());
    }
    let [x, y, z] = kernel.workgroup_size;
    raise(requires, Requirement::WorkgroupInvocations(x * y * z));
    let buffers = bindings.iter().filter(|binding| binding.storage_type == StorageType::Buffer);
    raise(requires, Requirement::StorageBuffers(buffers.clone().count() as u32));
    for binding in bindings {
        match binding.storage_type {
            StorageType::Buffer => raise(requires, Requirement::StorageBindingBytes(binding.size_bytes)),
            StorageType::ImageBuffer => {
                // More than 32 bits count is more than any device has.
                let texels = binding.size_bytes / (4 * binding.element.size_bytes());
                raise(requires, Requirement::ImageBufferTexels(u32::try_from(texels).unwrap_or(u32::MAX)));
            }
            StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
                if let Some([width, height]) = binding.extent_px {
                    raise(requires, Requirement::Texture2dSize(side(width.max(height))));
                }
            }
        }
    }
}

/// Adds a requirement, or raises the limit of one of its kind.
fn raise(requires: &mut Vec<Requirement>, new: Requirement) {
    use Requirement as R;
    for old in requires.iter_mut() {
        match (old, &new) {
            (R::SharedBytes(old), R::SharedBytes(new))
            | (R::WorkgroupInvocations(old), R::WorkgroupInvocations(new))
            | (R::Texture2dSize(old), R::Texture2dSize(new))
            | (R::Texture3dSize(old), R::Texture3dSize(new))
            | (R::TextureLayers(old), R::TextureLayers(new))
            | (R::ImageBufferTexels(old), R::ImageBufferTexels(new))
            | (R::StorageBuffers(old), R::StorageBuffers(new)) => {
                *old = (*old).max(*new);
                return;
            }
            (R::StorageBindingBytes(old), R::StorageBindingBytes(new))
            | (R::BufferBytes(old), R::BufferBytes(new)) => {
                *old = (*old).max(*new);
                return;
            }
            (old, new) if old == new => return,
            _ => {}
        }
    }
    requires.push(new);
}

fn host_element(element: ElementType) -> HostElement {
    match element {
        ElementType::F32 => HostElement::F32,
        ElementType::F16 => HostElement::F16,
        ElementType::I64 => HostElement::I64,
        ElementType::I32 => HostElement::I32,
        ElementType::I8 => HostElement::I8,
        ElementType::U8 => HostElement::U8,
        ElementType::Bool => HostElement::Bool,
        ElementType::I16 => HostElement::I16,
        ElementType::U16 => HostElement::U16,
        ElementType::U32 => HostElement::U32,
        ElementType::U64 => HostElement::U64,
        ElementType::F64 => unreachable!("placement refuses f64"),
    }
}

/// The type that callers have a value of such a form in.
pub const fn host_form(form: HostForm) -> HostElement {
    match form {
        HostForm::Bf16 => HostElement::Bf16,
        HostForm::Small(SmallFloat::E4M3) => HostElement::F8E4M3,
        HostForm::Small(SmallFloat::E4M3Fnuz) => HostElement::F8E4M3Fnuz,
        HostForm::Small(SmallFloat::E5M2) => HostElement::F8E5M2,
        HostForm::Small(SmallFloat::E5M2Fnuz) => HostElement::F8E5M2Fnuz,
        HostForm::Small(SmallFloat::E8M0) => HostElement::F8E8M0,
        HostForm::Small(SmallFloat::E2M1) => HostElement::F4E2M1,
        HostForm::I4 => HostElement::I4,
        HostForm::U4 => HostElement::U4,
        HostForm::I2 => HostElement::I2,
        HostForm::U2 => HostElement::U2,
    }
}
