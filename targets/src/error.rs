//! Why a module has no form on a target.

use crate::{Feature, Target, opencl};

/// Why [`emit`](crate::emit) refuses a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A module is one kernel.
    #[error("expected one compute entry point, found {found}; write each kernel as its own module")]
    EntryPoints {
        /// How many compute entry points the module has.
        found: usize,
    },
    /// The target has no form of something that the kernel uses.
    #[error("{target} cannot express {feature}: {reason}")]
    Unsupported {
        /// The target.
        target: Target,
        /// What the kernel uses.
        feature: Feature,
        /// Why not, and what to do instead.
        reason: &'static str,
    },
    /// More than the target's devices have.
    #[error(
        "it takes {found} {what}, and devices for {target} have {limit}; choose a profile with smaller limits, or split the node"
    )]
    Limit {
        /// The target.
        target: Target,
        /// What is limited, in the plural.
        what: &'static str,
        /// How much the kernel takes.
        found: u64,
        /// How much there is.
        limit: u32,
    },
    /// A whole array that has a memory layout in one place and none in the other.
    #[error(
        "the kernel copies a whole array between a buffer and workgroup or private memory, which SPIR-V keeps under \
         different types; copy its elements in a loop"
    )]
    WholeArrayCopy,
    /// naga's SPIR-V writer refuses the module.
    #[error("the module has no SPIR-V form")]
    SpirV(#[source] naga::back::spv::Error),
    /// naga's MSL writer refuses the module.
    #[error("the module has no MSL form")]
    Msl(#[source] naga::back::msl::Error),
    /// naga's MSL writer cannot bind the entry point's arguments.
    #[error("the entry point has no MSL form")]
    MslEntryPoint(#[source] naga::back::msl::EntryPointError),
    /// naga's WGSL writer refuses the module.
    #[error("the module has no WGSL form")]
    Wgsl(#[source] naga::back::wgsl::Error),
    /// The OpenCL C writer refuses the module.
    #[error("the module has no OpenCL C form")]
    OpenCl(#[from] opencl::Error),
    /// What we wrote is not valid SPIR-V. This is a bug of the compiler.
    #[error("the SPIR-V {when} is not valid for {environment}: {message}; please report it with the model")]
    InvalidSpirV {
        /// `as written` or `after optimisation`.
        when: &'static str,
        /// The Vulkan version that it was validated for.
        environment: &'static str,
        /// What the validator says.
        message: String,
    },
    /// The words to disassemble are no module.
    #[error("the words are not a SPIR-V module: {message}")]
    NotSpirV {
        /// What the disassembler says.
        message: String,
    },
    /// The optimiser failed on valid SPIR-V.
    #[error("SPIRV-Tools cannot optimise the module: {message}; compile without optimisation")]
    Optimizer {
        /// What the optimiser says.
        message: String,
    },
}

impl EmitError {
    /// Whether this is a fault of the compiler, not a limit of the target.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Unsupported { .. } | Self::Limit { .. } => false,
            Self::EntryPoints { .. }
            | Self::WholeArrayCopy
            | Self::SpirV(_)
            | Self::Msl(_)
            | Self::MslEntryPoint(_)
            | Self::Wgsl(_)
            | Self::OpenCl(_)
            | Self::InvalidSpirV { .. }
            | Self::NotSpirV { .. }
            | Self::Optimizer { .. } => true,
        }
    }
}
