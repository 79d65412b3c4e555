//! What can be wrong with a shader's code, or between it and what the manifest says of it.

use crate::spirv::SpirvFlaw;

/// One thing in a shader's code that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShaderFlaw {
    /// The SPIR-V module by itself.
    #[error(transparent)]
    Spirv(#[from] SpirvFlaw),
    /// Text code that is not text.
    #[error("code is not UTF-8 text")]
    NotText,
    /// Text whose declarations cannot be read.
    #[error("the code's declarations cannot be read: {problem}")]
    Unreadable {
        /// What is missing or strange.
        problem: &'static str,
    },
    /// A compiled library that cannot be read.
    #[error("the compiled library cannot be taken: {problem}")]
    Library {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another entry point than the manifest names.
    #[error("the entry point is `{found}` in the code and `{expected}` in the manifest")]
    EntryPoint {
        /// In the code.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// Another workgroup size than the manifest says.
    #[error("the workgroup is {found:?} in the code and {expected:?} in the manifest")]
    WorkgroupSize {
        /// In the code.
        found: [u32; 3],
        /// In the manifest.
        expected: [u32; 3],
    },
    /// More workgroup memory than the manifest says.
    #[error("the code declares {found} bytes of workgroup memory with padding, the manifest {declared}")]
    SharedBytes {
        /// In the code.
        found: u64,
        /// In the manifest.
        declared: u32,
    },
    /// A resource of the code that is not the manifest's slot.
    #[error("group {group} binding {binding}: {problem}")]
    Slot {
        /// Group, or descriptor set.
        group: u32,
        /// Index in the group.
        binding: u32,
        /// How they disagree.
        problem: &'static str,
    },
    /// A resource of the code that is larger than its slot.
    #[error("group {group} binding {binding}: the code declares {found} bytes, the slot {declared}")]
    SlotBytes {
        /// Group, or descriptor set.
        group: u32,
        /// Index in the group.
        binding: u32,
        /// In the code.
        found: u64,
        /// In the manifest.
        declared: u64,
    },
    /// Another number of resources of a kind than the manifest's slots.
    #[error("the code declares {found} {what}, the manifest {expected}")]
    SlotCount {
        /// Plural name.
        what: &'static str,
        /// In the code.
        found: usize,
        /// In the manifest.
        expected: usize,
    },
    /// Two shaders whose code overlaps without being the same.
    #[error("the code overlaps that of shader {other} without being the same range")]
    Overlap {
        /// Index of the other shader.
        other: usize,
    },
}
