//! Buffers of the app's own that inputs and outputs are in.

use std::collections::BTreeMap;
use std::fmt;

use drift_bundle::manifest::{BindingKind, DeviceElement, IoTensor, RegionKind, View};

use crate::error::RuntimeError;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
use crate::metal::MetalBuffer;
#[cfg(feature = "opencl")]
use crate::opencl::OpenClBuffer;
use crate::program::{IoRange, Program};
#[cfg(feature = "vulkan")]
use crate::vulkan::VulkanBuffer;

/// A buffer of the app's own, for [`Device::load_onto`][crate::Device::load_onto]. Its input is read where it is and its output is
/// written there, so that commands of the app on the same queue make and use them without a copy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OwnBuffer {
    /// A `VkBuffer` of the device that the session is loaded on.
    #[cfg(feature = "vulkan")]
    Vulkan(VulkanBuffer),
    /// A `cl_mem` of the context that the session is loaded in.
    #[cfg(feature = "opencl")]
    OpenCl(OpenClBuffer),
    /// An `MTLBuffer` of the device that the session is loaded on.
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    Metal(MetalBuffer),
    /// Nobody's: no device that is built in takes any.
    #[cfg(not(any(
        feature = "vulkan",
        feature = "opencl",
        all(feature = "metal", target_vendor = "apple")
    )))]
    Nobodys,
}

/// What a buffer has to be that an input or output can be in, from [`Device::io_buffers`][crate::Device::io_buffers]. It holds the
/// elements as the device computes with them, dense and row-major, from its start on.
#[derive(Clone, Debug, PartialEq)]
pub struct IoBuffer {
    /// The input or output.
    pub tensor: IoTensor,
    /// Type of an element on the device.
    pub element: DeviceElement,
    /// Where the first element is, from the start of the region.
    pub offset: u64,
    /// Bytes, padding included.
    pub bytes: u64,
    /// What its start in the app's buffer is a multiple of.
    pub alignment: u64,
    /// The program reads an input there, and the app may write it with [`Session::write`][crate::Session::write].
    pub is_input: bool,
    /// The program writes an output there, and the app may read it with [`Session::read`][crate::Session::read].
    pub is_output: bool,
    /// Kernels bind it as a storage buffer.
    pub storage: bool,
    /// Kernels bind it as a uniform buffer.
    pub uniform: bool,
    /// Kernels bind it as texels that they read.
    pub read_texels: bool,
    /// Kernels bind it as texels that they write.
    pub written_texels: bool,
}

/// Why a buffer of the app's cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BufferProblem {
    /// The tensor shares its memory with others.
    NotApart,
    /// There are two buffers for one tensor, or for two that share a region.
    Twice,
    /// Devices of this kind take none.
    NotTaken {
        /// Why not.
        reason: &'static str,
    },
    /// It is of another API, device or context.
    OfAnother {
        /// What is another.
        what: &'static str,
    },
    /// It ends too early.
    TooSmall {
        /// Bytes that are needed from the offset on.
        needed: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// It begins where it must not.
    Misaligned {
        /// What the offset has to be a multiple of.
        alignment: u64,
        /// The offset.
        found: u64,
    },
    /// It was made for something else.
    Usage {
        /// What it must be made for, in the API's words.
        missing: String,
    },
}

impl fmt::Display for BufferProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApart => f.write_str("the tensor is in an arena; compile the bundle with `--io own`"),
            Self::Twice => f.write_str("there is another one for the same memory"),
            Self::NotTaken { reason } => f.write_str(reason),
            Self::OfAnother { what } => write!(f, "it is of another {what} than the session"),
            Self::TooSmall { needed, found } => write!(f, "{needed} bytes are needed, it has {found}"),
            Self::Misaligned { alignment, found } => {
                write!(f, "it begins at {found}, which is no multiple of {alignment}")
            }
            Self::Usage { missing } => write!(f, "it was made without {missing}"),
        }
    }
}

impl IoBuffer {
    /// The first of these problems that a buffer of `found` bytes has at `offset`.
    pub(crate) fn place_problem(&self, offset: u64, found: u64) -> Option<BufferProblem> {
        let (alignment, needed) = (self.alignment, self.bytes);
        if !offset.is_multiple_of(alignment) {
            return Some(BufferProblem::Misaligned { alignment, found: offset });
        }
        let found = found.saturating_sub(offset);
        (found < needed).then_some(BufferProblem::TooSmall { needed, found })
    }
}

/// A region that is in a buffer of the app's.
pub(crate) struct OwnRegion {
    /// Index of the variant's region.
    pub(crate) region: u32,
    pub(crate) memory: OwnBuffer,
    pub(crate) needs: IoBuffer,
}

/// What each input, then each output, needs of a buffer, with the index of its region; only those that are apart.
pub(crate) fn needs(program: &Program<'_>) -> Vec<(u32, IoBuffer)> {
    let inputs = program.entry.inputs.iter().zip(&program.variant.inputs).zip(program.input_ranges());
    let outputs = program.entry.outputs.iter().zip(&program.variant.outputs).zip(program.output_ranges());
    let (read, written) = (regions(&program.input_ranges()), regions(&program.output_ranges()));
    let uses = uses(program);
    let of = |((tensor, binding), range): ((&IoTensor, &drift_bundle::manifest::IoBinding), IoRange)| {
        let region = &program.variant.regions[range.region as usize];
        let Uses { storage, uniform, read_texels, written_texels } =
            uses.get(&range.region).copied().unwrap_or_default();
        let needs = IoBuffer {
            tensor: tensor.clone(),
            element: binding.element,
            offset: range.offset,
            bytes: region.size,
            alignment: region.alignment,
            is_input: read.contains(&range.region),
            is_output: written.contains(&range.region),
            storage,
            uniform,
            read_texels,
            written_texels,
        };
        (region.kind == RegionKind::Io).then_some((range.region, needs))
    };
    inputs.chain(outputs).filter_map(of).collect()
}

fn regions(ranges: &[IoRange]) -> Vec<u32> {
    ranges.iter().map(|range| range.region).collect()
}

#[derive(Clone, Copy, Default)]
struct Uses {
    storage: bool,
    uniform: bool,
    read_texels: bool,
    written_texels: bool,
}

/// How slots bind each region.
fn uses(program: &Program<'_>) -> BTreeMap<u32, Uses> {
    let mut uses: BTreeMap<u32, Uses> = BTreeMap::new();
    for dispatch in program.all_dispatches() {
        for (slot, resource) in program.shader(dispatch).bindings.iter().zip(&dispatch.bindings) {
            let Some((region, _)) = resource.place() else { continue };
            let of = uses.entry(region).or_default();
            match (resource.view, slot.kind) {
                (View::Bytes { .. }, BindingKind::UniformBuffer { .. }) => of.uniform = true,
                (View::Bytes { .. }, _) => of.storage = true,
                (View::Texels { .. }, _) if slot.writable => of.written_texels = true,
                (View::Texels { .. }, _) => of.read_texels = true,
                (View::Texture { .. }, _) => {}
            }
        }
    }
    uses
}

/// Matches the app's buffers with the regions of a program.
pub(crate) fn own_regions(
    program: &Program<'_>,
    buffers: &[(&str, OwnBuffer)],
) -> Result<Vec<OwnRegion>, RuntimeError> {
    let apart = needs(program);
    let mut own: Vec<OwnRegion> = Vec::new();
    for (name, memory) in buffers {
        let unusable = |problem| RuntimeError::OwnBuffer { tensor: (*name).to_owned(), problem };
        let Some((region, needs)) = apart.iter().find(|(_, needs)| needs.tensor.name == *name) else {
            let tensors = || program.entry.inputs.iter().chain(&program.entry.outputs);
            if tensors().any(|tensor| tensor.name == *name) {
                return Err(unusable(BufferProblem::NotApart));
            }
            return Err(RuntimeError::NoSuchTensor {
                entry: program.entry.name.clone(),
                what: "input or output",
                wanted: (*name).to_owned(),
                held: tensors().map(|tensor| tensor.name.clone()).collect(),
            });
        };
        if own.iter().any(|other| other.region == *region) {
            return Err(unusable(BufferProblem::Twice));
        }
        own.push(OwnRegion { region: *region, memory: memory.clone(), needs: needs.clone() });
    }
    Ok(own)
}
