//! Why a model does not compile.

use crate::emit::{ShaderError, SizeError};
use crate::layout::LayoutError;
use crate::memory::MemoryError;
use crate::mixed::MixedError;
use crate::quantize::QuantizeError;
use crate::rewrite::UnknownRule;
use crate::select::SelectError;
use drift_ir::graph::EditError;

/// Why a model does not compile.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// One of several entries.
    #[error("entry `{entry}`")]
    Entry {
        /// Its name.
        entry: String,
        /// Why it does not compile.
        #[source]
        source: Box<CompileError>,
    },
    /// No target.
    #[error("no target was given; pass --target vulkan, metal, webgpu or opencl")]
    NoTarget,
    /// A profile that is not known.
    #[error("there is no profile `{name}`; the profiles are {known}")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A rule that is not known.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
    /// Weights that were to be kept as they are.
    #[error(
        "--keep names {names}, but there is no constant matrix of a product, nor a product with one, of that name"
    )]
    UnknownWeights {
        /// Their names.
        names: String,
    },
    /// Weights could not be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// Entries whose states of one name are not alike: entries that are loaded together share them.
    #[error(
        "entries `{}` and `{}` have different states `{state}`: {} and {}; entries of a bundle share states by name, so give both \
         the same number of rows, or compile the models apart", entries[0], entries[1], forms[0], forms[1]
    )]
    UnlikeStates {
        /// The state.
        state: String,
        /// The entries.
        entries: [String; 2],
        /// Type and shape of the state in each.
        forms: [String; 2],
    },
    /// What may be f16 could not be decided.
    #[error(transparent)]
    Mixed(#[from] MixedError),
    /// A graph refused an edit.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Something that this version cannot do.
    #[error("{0}")]
    Unsupported(String),
    /// No layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No kernel.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A kernel could not be made.
    #[error(transparent)]
    Shader(#[from] ShaderError),
    /// A free size that no bundle can say.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Memory could not be planned.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A self-test could not be written.
    #[error("the self-test")]
    SelfTest(#[from] drift_bundle::BundleError),
}

impl CompileError {
    /// Whether this is a fault of the compiler, which a user can only report: a kernel that does not parse, code that does
    /// not validate, a pass that broke the graph or the plan. All else is the model's, the options' or a device's doing.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Entry { source, .. } => source.is_internal(),
            Self::Shader(error) => error.is_internal(),
            Self::Memory(error) => error.is_internal(),
            Self::Quantize(_) | Self::Edit(_) | Self::SelfTest(_) => true,
            Self::NoTarget
            | Self::UnlikeStates { .. }
            | Self::UnknownWeights { .. }
            | Self::UnknownProfile { .. }
            | Self::UnknownRule(_)
            | Self::Unsupported(_)
            | Self::Size(_)
            | Self::Mixed(_)
            | Self::Layout(_)
            | Self::Select(_) => false,
        }
    }
}
