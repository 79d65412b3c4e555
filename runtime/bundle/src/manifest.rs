//! What a bundle says about itself: plain data, no recursive types, every index checked by the reader.
//!
//! Offsets and sizes are bytes. Indices point into the lists of the same [`Manifest`] or [`Variant`].

mod host;
mod metal;
mod region;
mod size;

pub use host::HostElement;
pub use metal::Argument;
pub(crate) use metal::LIBRARY_MAGIC;
pub use region::{Region, RegionId, RegionKind, Resource, StateRegion, View};
pub use size::{Bounds, FreeAxis, FreeDim, SizeExpression, SizeFlaw, SizeTerm, Word};

use serde::{Deserialize, Serialize};

/// GPU APIs that a bundle can hold shaders for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// SPIR-V for Vulkan 1.1 and later.
    Vulkan,
    /// Metal Shading Language.
    Metal,
    /// WGSL.
    WebGpu,
    /// OpenCL C 1.2 and later.
    OpenCl,
}

/// Element type of a tensor or a texture channel as the device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeviceElement {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Signed 32-bit.
    I32,
    /// Unsigned 32-bit; also the device form of bool (0 or 1).
    U32,
}

/// The whole manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Who made this bundle, from what.
    pub provenance: Provenance,
    /// Weight blobs in the weights section; stored once, shared by entries, targets and variants.
    pub weights: Vec<WeightBlob>,
    /// Shaders in the shader section.
    pub shaders: Vec<Shader>,
    /// What can be run, for each target.
    pub entries: Vec<Entry>,
}

/// Who made the bundle, with what, from what. No date, no path: same input, same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `driftc` and its version.
    pub compiler: String,
    /// Flags that change the output, in a canonical order.
    pub flags: Vec<String>,
    /// Name of the model (its graph name).
    pub model: String,
    /// BLAKE3 of the model file and its external data, hex.
    pub model_hash: String,
    /// Profiles compiled for.
    pub profiles: Vec<String>,
}

/// A packed weight (or constant) in the weights section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightBlob {
    /// Name of the model's tensor, and its packing: `conv1.weight:o4i4`.
    pub name: String,
    /// Offset in the weights section: where the blob before it ends, 256-byte aligned.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// One shader in the shader section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shader {
    /// Name for people: `conv_tiled_3`.
    pub name: String,
    /// What it is written for.
    pub target: Target,
    /// Entry point's name in the code.
    pub entry_point: String,
    /// Offset in the shader section, 4-byte aligned.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroup memory in bytes.
    pub shared_bytes: u32,
    /// Subgroup size that the code needs, if it does.
    pub subgroup_size: Option<u32>,
    /// Resources, in the order of `Dispatch::bindings`.
    pub bindings: Vec<BindingSlot>,
}

/// A resource slot of a shader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingSlot {
    /// 0 activations, 1 weights and constants, 2 parameters.
    pub group: u32,
    /// Index in the group.
    pub binding: u32,
    /// What it expects.
    pub kind: BindingKind,
    /// Whether the shader writes it.
    pub writable: bool,
}

/// What a slot expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindingKind {
    /// Storage buffer of at least `min_bytes`.
    StorageBuffer {
        /// Bytes that the shader may touch.
        min_bytes: u64,
    },
    /// Uniform buffer.
    UniformBuffer {
        /// Bytes that the shader may touch.
        min_bytes: u64,
    },
    /// Sampled texture read without a sampler, or storage texture when writable; four channels.
    Texture {
        /// Its dimensions.
        kind: TextureKind,
        /// Channel type.
        element: DeviceElement,
    },
    /// Texel buffer of four-channel texels: uniform when read, storage when writable.
    ImageBuffer {
        /// Channel type.
        element: DeviceElement,
    },
}

/// Something that can be run: one function of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name; `main` where a model has one.
    pub name: String,
    /// Target of its variants.
    pub target: Target,
    /// Dims whose sizes the host says, in the order of their names.
    pub dims: Vec<FreeDim>,
    /// Sizes that follow from those of `dims`.
    pub sizes: Vec<SizeExpression>,
    /// Inputs by name.
    pub inputs: Vec<IoTensor>,
    /// Outputs by name.
    pub outputs: Vec<IoTensor>,
    /// Tried in order; the first whose predicates hold is used.
    pub variants: Vec<Variant>,
}

/// A named input or output: dense row-major on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IoTensor {
    /// Name as the model writes it.
    pub name: String,
    /// Type that the caller gives or gets.
    pub element: HostElement,
    /// Sizes, outermost first; the largest where they are free.
    pub shape: Vec<u64>,
    /// Axes whose sizes follow from [`Entry::dims`]. The elements of a smaller tensor are as dense as those of the largest, and
    /// begin where those do.
    pub free: Vec<FreeAxis>,
}

/// One way to run an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Name for people: `generic`, `nvidia-coop`.
    pub name: String,
    /// Device profile that it was made for.
    pub profile: String,
    /// All must hold on the device.
    pub requires: Vec<Requirement>,
    /// Memory that a session takes.
    pub regions: Vec<Region>,
    /// Where each input of the entry is, same order; dense row-major in `element`.
    pub inputs: Vec<IoBinding>,
    /// Where each output of the entry is, same order.
    pub outputs: Vec<IoBinding>,
    /// Run once at load, in order: makes derived blobs from weights.
    pub init: Vec<Dispatch>,
    /// Run at each replay, in order.
    pub dispatches: Vec<Dispatch>,
    /// What memory planning achieved.
    pub memory: MemoryReport,
}

/// Where an input or output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoBinding {
    /// Index in [`Variant::regions`] that it is in, an arena or an `Io`.
    pub region: u32,
    /// Offset in the region, 256-byte aligned.
    pub offset: u64,
    /// Type on the device.
    pub element: DeviceElement,
}

/// Dimensions of a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TextureKind {
    /// Width and height.
    D2,
    /// Width and height, and layers.
    Array,
    /// Width, height and depth.
    D3,
}

/// A texture: four channels of `element`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TextureObject {
    /// Its dimensions.
    pub kind: TextureKind,
    /// Channel type.
    pub element: DeviceElement,
    /// Width, height, and depth or layers, in texels; the last is 1 for a 2D texture.
    pub extent_px: [u32; 3],
}

impl TextureObject {
    /// Bytes of all texels.
    pub fn size_bytes(&self) -> u64 {
        let texels = self.extent_px.iter().fold(1_u64, |texels, &size| texels.saturating_mul(size.into()));
        texels.saturating_mul(self.element.texel_bytes())
    }
}

/// A predicate on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requirement {
    /// 16-bit floats in arithmetic and in storage buffers.
    F16,
    /// Subgroup operations (basic, arithmetic, shuffle) in compute.
    Subgroups,
    /// Exactly this subgroup size (or it can be asked for).
    SubgroupSize(u32),
    /// A cooperative matrix shape, all operands at subgroup scope.
    CooperativeMatrix {
        /// Rows of the result.
        m: u32,
        /// Columns of the result.
        n: u32,
        /// Depth.
        k: u32,
        /// Type of A and B.
        ab: DeviceElement,
        /// Type of C and of the result.
        c: DeviceElement,
    },
    /// Workgroup memory per workgroup, bytes.
    SharedBytes(u32),
    /// Invocations per workgroup.
    WorkgroupInvocations(u32),
    /// Bytes in one storage buffer binding.
    StorageBindingBytes(u64),
    /// Bytes in one buffer.
    BufferBytes(u64),
    /// Width and height of a 2D texture.
    Texture2dSize(u32),
    /// Width, height and depth of a 3D texture.
    Texture3dSize(u32),
    /// Layers of a texture array.
    TextureLayers(u32),
    /// Texels in an image buffer.
    ImageBufferTexels(u32),
    /// Storage buffers in one dispatch.
    StorageBuffers(u32),
    /// PCI vendor id is one of these.
    Vendor(Vec<u32>),
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::F16 => f.write_str("16-bit floats"),
            Self::Subgroups => f.write_str("subgroup operations"),
            Self::SubgroupSize(lanes) => write!(f, "subgroups of {lanes}"),
            Self::CooperativeMatrix { m, n, k, ab, c } => {
                write!(f, "cooperative matrices of {m}x{n}x{k}, {ab:?} into {c:?}")
            }
            Self::SharedBytes(bytes) => write!(f, "{bytes} bytes of workgroup memory"),
            Self::WorkgroupInvocations(count) => write!(f, "{count} invocations in a workgroup"),
            Self::StorageBindingBytes(bytes) => write!(f, "{bytes} bytes in a storage buffer binding"),
            Self::BufferBytes(bytes) => write!(f, "{bytes} bytes in a buffer"),
            Self::Texture2dSize(side) => write!(f, "2D textures of {side} pixels a side"),
            Self::Texture3dSize(side) => write!(f, "3D textures of {side} pixels a side"),
            Self::TextureLayers(layers) => write!(f, "{layers} texture layers"),
            Self::ImageBufferTexels(texels) => write!(f, "{texels} texels in an image buffer"),
            Self::StorageBuffers(count) => write!(f, "{count} storage buffers in a dispatch"),
            Self::Vendor(ids) => {
                f.write_str("a device of vendor")?;
                ids.iter()
                    .enumerate()
                    .try_for_each(|(at, id)| write!(f, "{} {id:#06x}", if at == 0 { "" } else { " or" }))
            }
        }
    }
}

/// One dispatch of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Name for people and errors: first model node it stands for, and its kernel: `conv_1: conv_tiled`.
    pub name: String,
    /// Index in `Manifest::shaders`.
    pub shader: u32,
    /// One for each `Shader::bindings`, in order.
    pub bindings: Vec<Resource>,
    /// Workgroups dispatched in each axis, none of which is zero; the most where they are free.
    pub workgroups: [u32; 3],
    /// For each axis the index in [`Entry::sizes`] of its workgroups, where these follow from the dims. Where one is zero,
    /// nothing is dispatched.
    pub free_workgroups: [Option<u32>; 3],
    /// Whether earlier writes must be visible (or earlier reads finished) before this one starts.
    pub barrier: bool,
    /// Names of the model's nodes that this dispatch computes.
    pub origins: Vec<String>,
    /// Bytes that it must read at least.
    pub bytes_read: u64,
    /// Bytes that it must write at least.
    pub bytes_written: u64,
    /// Arithmetic, a multiply-add counting two.
    pub flops: u64,
}

/// Memory of activations, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Sum over all activation tensors.
    pub naive_bytes: u64,
    /// What the plan takes: arena and textures.
    pub planned_bytes: u64,
    /// Largest sum of tensors alive at once.
    pub lower_bound_bytes: u64,
    /// The strategy that won.
    pub strategy: MemoryStrategy,
}

/// How offsets were chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoryStrategy {
    /// Largest tensor first, smallest gap that fits.
    #[default]
    GreedyBySize,
    /// Widest task first.
    GreedyByBreadth,
    /// Bounded search over placement orders.
    Search,
    /// In order of time, smallest gap that is free.
    GreedyByTime,
}

impl Target {
    /// Every target, in the order in which reports list them.
    pub const ALL: [Self; 4] = [Self::Vulkan, Self::Metal, Self::WebGpu, Self::OpenCl];

    /// The name that the command line uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::WebGpu => "webgpu",
            Self::OpenCl => "opencl",
        }
    }

    /// How files of shaders in its language end, without a dot.
    pub const fn code_extension(self) -> &'static str {
        match self {
            Self::Vulkan => "spv",
            Self::Metal => "metal",
            Self::WebGpu => "wgsl",
            Self::OpenCl => "cl",
        }
    }
}

impl DeviceElement {
    /// Size of one element.
    pub const fn size_bytes(self) -> u64 {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }

    /// Size of a texel: four channels.
    pub const fn texel_bytes(self) -> u64 {
        4 * self.size_bytes()
    }
}

impl Variant {
    /// The textures among the regions, in order.
    pub fn textures(&self) -> impl Iterator<Item = &TextureObject> {
        self.regions.iter().filter_map(|region| match &region.kind {
            RegionKind::Texture(object) => Some(object),
            RegionKind::Arena
            | RegionKind::State { .. }
            | RegionKind::Io
            | RegionKind::Params(_)
            | RegionKind::Derived => None,
        })
    }

    /// The states among the regions, in order.
    pub fn states(&self) -> impl Iterator<Item = StateRegion<'_>> {
        (0..).zip(&self.regions).filter_map(|(region, Region { kind, size, alignment })| match kind {
            RegionKind::State { name, element, shape } => Some(StateRegion {
                region,
                name,
                element: *element,
                shape,
                size: *size,
                alignment: *alignment,
            }),
            _ => None,
        })
    }
}

impl IoTensor {
    /// Number of elements, unless it overflows.
    pub fn elements(&self) -> Option<u64> {
        elements(&self.shape)
    }
}

/// Number of elements of a shape, unless it overflows.
pub(crate) fn elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size))
}
