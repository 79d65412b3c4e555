//! Why a kernel has no shader.

use crate::kernel::interface::Mismatch;
use crate::module::{MOST_ROUNDS, ModuleError};

/// Why a kernel could not be made. Always a bug of driftc or a limit of a target, never the model's fault.
#[derive(Debug, thiserror::Error)]
pub enum ShaderError {
    /// The call is not as the kernel's interface wants it.
    #[error("a call of kernel `{kernel}`")]
    Interface {
        /// Name of the algorithm.
        kernel: &'static str,
        /// How it differs.
        #[source]
        source: Mismatch,
    },
    /// The module does not pass.
    #[error("kernel `{kernel}`")]
    Module {
        /// Name of the algorithm.
        kernel: &'static str,
        /// Why.
        #[source]
        source: Box<ModuleError>,
    },
    /// No shape of the grid holds so many workgroups.
    #[error(
        "`{node}` ({kernel}) needs {wanted:?} workgroups, and a device is given at most {limit} along an axis"
    )]
    Grid {
        /// The step.
        node: String,
        /// Name of the algorithm.
        kernel: &'static str,
        /// Workgroups along each axis.
        wanted: [u64; 3],
        /// The profile's limit.
        limit: u32,
    },
    /// A grid that follows from free dims does not fit as it is.
    #[error(
        "`{node}` ({kernel}) needs up to {wanted:?} workgroups, and a device is given at most {limit} along an axis; lower the \
         bounds of the model's free dims (`--dim NAME=LO..HI`), or bind them"
    )]
    FreeGrid {
        /// The step.
        node: String,
        /// Name of the algorithm.
        kernel: &'static str,
        /// The most workgroups along each axis.
        wanted: [u64; 3],
        /// The profile's limit.
        limit: u32,
    },
    /// More rounds of loops than every driver runs.
    #[error(
        "`{node}` ({kernel}) needs {rounds} rounds of loops in one invocation, and at most {MOST_ROUNDS} are sure to run; \
         split it in the model"
    )]
    Rounds {
        /// The step.
        node: String,
        /// Name of the algorithm.
        kernel: &'static str,
        /// The bound of its rounds.
        rounds: u64,
    },
    /// A texture that is larger than those of the target's devices.
    #[error(
        "`{tensor}` is in a texture of {extent_px:?} pixels, and devices for {target} have {limit} {what}; keep it in a buffer \
         (`--layout buffer`, `--weights-layout buffer`)"
    )]
    Texture {
        /// The tensor.
        tensor: String,
        /// Width, height, and depth or layers.
        extent_px: [u64; 3],
        /// The target.
        target: drift_targets::Target,
        /// What is limited, in the plural.
        what: &'static str,
        /// How much there is.
        limit: u32,
    },
    /// The target cannot say it.
    #[error("`{node}` ({kernel}) for {target}")]
    Emit {
        /// The step.
        node: String,
        /// Name of the algorithm.
        kernel: &'static str,
        /// The target.
        target: drift_targets::Target,
        /// Why.
        #[source]
        source: Box<drift_targets::EmitError>,
    },
}

impl ShaderError {
    /// Whether this is a fault of the compiler, not a limit of the target.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Interface { .. } | Self::Module { .. } => true,
            Self::Grid { .. } | Self::FreeGrid { .. } | Self::Rounds { .. } | Self::Texture { .. } => false,
            Self::Emit { source, .. } => source.is_internal(),
        }
    }
}
