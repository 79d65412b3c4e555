//! What a device is and can do, in the words of the bundle's predicates and in no API's types.

use drift_bundle::manifest::{DeviceElement, Target};

/// An API that can replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// Vulkan 1.1 and later.
    Vulkan,
    /// OpenCL 1.2 and later.
    OpenCl,
    /// WebGPU, on this machine's own APIs.
    WebGpu,
    /// Metal, on Apple's platforms.
    Metal,
}

impl DeviceKind {
    /// All kinds, of this platform and of others.
    pub const ALL: [Self; 4] = [Self::Vulkan, Self::OpenCl, Self::WebGpu, Self::Metal];

    /// The kinds that this platform can have, best first: the order in which [`crate::devices`] lists them.
    pub const HERE: &'static [Self] = if cfg!(target_vendor = "apple") {
        &[Self::Metal, Self::Vulkan, Self::OpenCl, Self::WebGpu]
    } else {
        &[Self::Vulkan, Self::OpenCl, Self::WebGpu]
    };

    /// The target whose shaders such a device runs.
    pub const fn target(self) -> Target {
        match self {
            Self::Vulkan => Target::Vulkan,
            Self::OpenCl => Target::OpenCl,
            Self::WebGpu => Target::WebGpu,
            Self::Metal => Target::Metal,
        }
    }

    /// The kind that runs a target's shaders.
    pub const fn of(target: Target) -> Self {
        match target {
            Target::Vulkan => Self::Vulkan,
            Target::OpenCl => Self::OpenCl,
            Target::WebGpu => Self::WebGpu,
            Target::Metal => Self::Metal,
        }
    }

    /// The API's own spelling of its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vulkan => "Vulkan",
            Self::OpenCl => "OpenCL",
            Self::WebGpu => "WebGPU",
            Self::Metal => "Metal",
        }
    }

    /// Whether this project has run such a device on hardware. What another kind computes was checked without one, as far as that
    /// goes: do not rely on it before it was compared on your devices.
    pub const fn is_tried(self) -> bool {
        match self {
            Self::Vulkan | Self::OpenCl | Self::WebGpu => true,
            Self::Metal => false,
        }
    }

    /// Whether cooperative matrices have run on some such device. Where they have not, a variant with them is taken only after its
    /// self-test has passed there ([`crate::LoadOptions::untried`] waives that).
    pub const fn has_tried_matrices(self) -> bool {
        match self {
            Self::Vulkan | Self::OpenCl | Self::WebGpu => true,
            Self::Metal => false,
        }
    }

    /// What to do where no driver is found.
    pub(crate) const fn way_out(self) -> &'static str {
        match self {
            Self::Vulkan => {
                "install the driver of the GPU's vendor, or Mesa's for a software device (Debian and Ubuntu: \
                 `apt install libvulkan1 mesa-vulkan-drivers`)"
            }
            Self::OpenCl => {
                "install the driver of the GPU's vendor, or PoCL for a software device (Debian and Ubuntu: \
                 `apt install ocl-icd-libopencl1 pocl-opencl-icd`)"
            }
            Self::WebGpu => {
                "install the driver of the GPU's vendor, or Mesa's Vulkan driver for a software device (Debian and Ubuntu: \
                 `apt install libvulkan1 mesa-vulkan-drivers`)"
            }
            Self::Metal => "Metal comes with macOS 12 and iOS 15 and later, except in some virtual machines",
        }
    }
}

/// What kind of hardware a device is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceType {
    /// A card with its own memory.
    Discrete,
    /// Shares memory with the processor.
    Integrated,
    /// Behind a hypervisor.
    Virtual,
    /// Software.
    Cpu,
    /// The driver does not say.
    Other,
}

/// A device that can replay, with its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// API.
    pub kind: DeviceKind,
    /// Position among the devices of its kind; accepted by [`crate::OpenOptions::device`].
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// Driver and its version, in the driver's words.
    pub driver: String,
    /// Version of the API that it offers: `1.3.230`; for WebGPU what it runs on: `over Vulkan`; for Metal the families that it
    /// is of: `Apple8 Mac2 Metal3`.
    pub api_version: String,
    /// PCI vendor id, where the API tells one.
    pub vendor_id: u32,
    /// Device id of that vendor.
    pub device_id: u32,
    /// Kind of hardware.
    pub device_type: DeviceType,
    /// What it can do.
    pub features: DeviceFeatures,
    /// How much of it.
    pub limits: DeviceLimits,
}

/// What a device can do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceFeatures {
    /// 16-bit floats in arithmetic and in storage buffers.
    pub f16: bool,
    /// Subgroups of compute kernels.
    pub subgroups: SubgroupFeatures,
    /// Matrix shapes with all operands at subgroup scope.
    pub cooperative_matrices: Vec<CooperativeMatrix>,
    /// GPU timestamps.
    pub timestamps: bool,
    /// Accesses to buffers can be kept in bounds, which [`crate::LoadOptions::untrusted`] asks for.
    pub bounded_buffers: bool,
    /// Accesses to textures can be kept in bounds.
    pub bounded_textures: bool,
    /// Accesses of cooperative matrices to buffers can be kept in bounds.
    pub bounded_matrices: bool,
}

/// What subgroups of a compute kernel can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubgroupFeatures {
    /// Basic, arithmetic and shuffle operations.
    pub operations: bool,
    /// Size that a kernel gets when it asks for none; 0 where there are no subgroups.
    pub size: u32,
    /// Smallest and largest size that a kernel may ask for, where it may.
    pub selectable: Option<(u32, u32)>,
}

impl SubgroupFeatures {
    /// Whether a kernel can rely on subgroups of exactly this size.
    pub fn offers(&self, size: u32) -> bool {
        match self.selectable {
            Some((least, most)) => size.is_power_of_two() && (least..=most).contains(&size),
            None => self.size == size,
        }
    }
}

/// A supported matrix multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CooperativeMatrix {
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Depth.
    pub k: u32,
    /// Type of A and B.
    pub ab: DeviceElement,
    /// Type of C and of the result.
    pub c: DeviceElement,
}

/// How much a device can do; all bytes are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Workgroups of a dispatch, by axis.
    pub workgroups: [u32; 3],
    /// Invocations of a workgroup, by axis.
    pub workgroup_size: [u32; 3],
    /// Invocations of a workgroup.
    pub workgroup_invocations: u32,
    /// Subgroups of a workgroup whose kernel asks for a subgroup size; 0 where none can ask.
    pub workgroup_subgroups: u32,
    /// Workgroup memory of a workgroup.
    pub shared_bytes: u32,
    /// One storage buffer binding.
    pub storage_binding_bytes: u64,
    /// One uniform buffer binding.
    pub uniform_binding_bytes: u64,
    /// One buffer with its memory.
    pub buffer_bytes: u64,
    /// Width and height of a 2D texture.
    pub texture_2d_px: u32,
    /// Width, height and depth of a 3D texture.
    pub texture_3d_px: u32,
    /// Layers of a texture array.
    pub texture_layers: u32,
    /// Texels of a texel buffer.
    pub image_buffer_texels: u32,
    /// Storage buffers of a dispatch.
    pub storage_buffers: u32,
    /// Uniform buffers of a dispatch.
    pub uniform_buffers: u32,
    /// Sampled textures and uniform texel buffers of a dispatch.
    pub sampled_images: u32,
    /// Storage textures and storage texel buffers of a dispatch.
    pub storage_images: u32,
    /// All resources of a dispatch together.
    pub resources: u32,
    /// Memory of the device; `u64::MAX` where the API does not tell.
    pub memory_bytes: u64,
}
