//! Turns one validated naga module into SPIR-V, MSL, WGSL or OpenCL C.
//!
//! A module holds one compute entry point; its storage buffers and textures are bound variables, and a `texture_1d` or
//! `texture_storage_1d` stands for an image buffer. [`emit`] writes it for one [`Target`], without zero-initialised
//! workgroup memory, loop bounding, bounds checks and division checks: the kernels keep indices in bounds and divisors
//! from zero. What a target cannot say is refused with a typed [`EmitError`], never approximated.
//!
//! Knows no graph, no layout and no device. Lowerings (f16 to storage-only, cooperative matrices to loops) happen
//! before.

mod bindings;
mod error;
mod features;
mod limits;
mod msl;
pub mod opencl;
pub mod operands;
mod spirv;
mod wgsl;

pub use bindings::{BindingIndex, BindingKind};
pub use error::EmitError;
pub use features::{Feature, features};
pub use limits::{Limits, workgroup_bytes};
#[cfg(feature = "spirv-tools")]
pub use spirv::{assemble, disassemble, validate_words};

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use naga::valid::ModuleInfo;
use naga::{Module, ShaderStage};

/// A GPU API, by the language in which it takes kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// SPIR-V for Vulkan 1.1 or later.
    Vulkan,
    /// Metal Shading Language.
    Metal,
    /// WGSL as browsers accept it.
    WebGpu,
    /// OpenCL C 1.2.
    OpenCl,
}

impl Target {
    /// Every target, in the order in which reports list them.
    pub const ALL: [Self; 4] = [Self::Vulkan, Self::Metal, Self::WebGpu, Self::OpenCl];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::WebGpu => "webgpu",
            Self::OpenCl => "opencl",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to write a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Run the performance passes of SPIRV-Tools. The text languages are optimised by their drivers only.
    pub optimize: bool,
    /// What the OpenCL device can do.
    pub opencl: opencl::Options,
}

/// A kernel in the language of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The target it is for.
    pub target: Target,
    /// The entry point's name in `code`, which differs from the module's where the language reserves that name.
    pub entry_point: String,
    /// The kernel.
    pub code: Code,
    /// Where each bound variable of the module is found, in (group, binding) order.
    pub bindings: Vec<BindingIndex>,
    /// What the kernel needs beyond the target's least device.
    pub features: BTreeSet<Feature>,
    /// Whether SPIRV-Tools accepted `code`. Text is never validated here; neither is SPIR-V when the crate is built
    /// without its `spirv-tools` feature.
    pub validated: bool,
}

/// Source text or words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// MSL, WGSL or OpenCL C.
    Text(String),
    /// A SPIR-V module.
    SpirV(Vec<u32>),
}

impl Code {
    /// What a bundle stores: UTF-8, or little-endian words.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.as_bytes()),
            Self::SpirV(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        }
    }
}

/// Writes the compute kernel of `module` for `target`.
///
/// # Errors
/// When the module does not hold one compute entry point, uses what the target cannot express, or is rejected by
/// SPIRV-Tools.
pub fn emit(
    target: Target,
    module: &Module,
    info: &ModuleInfo,
    options: &Options,
) -> Result<Emitted, EmitError> {
    let [entry_point] = module.entry_points.as_slice() else {
        return Err(EmitError::EntryPoints { found: module.entry_points.len() });
    };
    if entry_point.stage != ShaderStage::Compute {
        return Err(EmitError::EntryPoints { found: 0 });
    }
    let features = features(module);
    match target {
        Target::Vulkan => spirv::emit(module, info, features, options),
        Target::Metal => msl::emit(module, info, features),
        Target::WebGpu => wgsl::emit(module, info, features),
        Target::OpenCl => emit_opencl(module, info, features, options),
    }
}

fn emit_opencl(
    module: &Module,
    info: &ModuleInfo,
    features: BTreeSet<Feature>,
    options: &Options,
) -> Result<Emitted, EmitError> {
    let output = opencl::write(module, info, &options.opencl)?;
    Ok(Emitted {
        target: Target::OpenCl,
        entry_point: output.entry_point,
        code: Code::Text(output.source),
        bindings: bindings::in_one_sequence(module),
        features,
        validated: false,
    })
}
