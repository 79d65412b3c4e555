//! What devices of a target have at most, where neither the language nor the API says it.

use naga::{AddressSpace, Module};

use crate::bindings::{BindingIndex, BindingKind};
use crate::{EmitError, Target};

/// Limits that no kernel and no texture for a target may exceed. Kernels bind no samplers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Where they are from.
    pub source: &'static str,
    /// Buffers that a kernel binds, uniform ones among them.
    pub buffers: u32,
    /// Textures that a kernel binds.
    pub textures: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Pixels along a side of a 2D texture.
    pub texture_2d_px: u32,
    /// Pixels along a side of a 3D texture.
    pub texture_3d_px: u32,
    /// Layers of an array of textures.
    pub texture_layers: u32,
}

/// A14 and M1. What later families have more of is no reason to refuse the earlier ones.
const METAL: Limits = Limits {
    source: "Apple's Metal feature set tables, GPU family 7",
    buffers: 31,
    textures: 128,
    invocations: 1_024,
    workgroup_bytes: 32_768,
    texture_2d_px: 16_384,
    texture_3d_px: 2_048,
    texture_layers: 2_048,
};

impl Target {
    /// What all its devices have at most; none where devices differ, and the predicates of a variant are all that is to be met.
    #[must_use]
    pub const fn limits(self) -> Option<&'static Limits> {
        match self {
            Self::Metal => Some(&METAL),
            Self::Vulkan | Self::WebGpu | Self::OpenCl => None,
        }
    }
}

/// Fails where the kernel of `module` exceeds the limits of `target`.
pub(crate) fn check(target: Target, module: &Module, bindings: &[BindingIndex]) -> Result<(), EmitError> {
    let Some(limits) = target.limits() else { return Ok(()) };
    let bound = |kind| bindings.iter().filter(|index| index.kind == kind).count() as u64;
    let sides = module.entry_points[0].workgroup_size;
    let invocations = sides.into_iter().map(u64::from).fold(1, u64::saturating_mul);
    let counts = [
        ("buffers", bound(BindingKind::Buffer), limits.buffers),
        ("textures", bound(BindingKind::Texture), limits.textures),
        ("invocations in a workgroup", invocations, limits.invocations),
        ("bytes of workgroup memory", workgroup_bytes(module), limits.workgroup_bytes),
    ];
    match counts.into_iter().find(|&(_, found, limit)| found > limit.into()) {
        Some((what, found, limit)) => Err(EmitError::Limit { target, what, found, limit }),
        None => Ok(()),
    }
}

/// Bytes of workgroup memory that a module declares, with the padding that a driver may put between variables.
#[must_use]
pub fn workgroup_bytes(module: &Module) -> u64 {
    let mut layouter = naga::proc::Layouter::default();
    if layouter.update(module.to_ctx()).is_err() {
        unreachable!("a validated module has a layout");
    }
    let workgroup = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    workgroup.map(|(_, variable)| u64::from(layouter[variable.ty].size).next_multiple_of(16)).sum()
}
