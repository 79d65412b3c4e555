//! Which Vulkan a kernel asks for: the one place that knows.

use std::collections::BTreeSet;

use crate::Feature;

/// A Vulkan version and the SPIR-V version that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Environment {
    /// Has subgroup operations and 16-bit storage.
    Vulkan1_1,
    /// Has the Vulkan memory model, which cooperative matrices need.
    Vulkan1_2,
}

impl Environment {
    /// The lowest version that has what `features` need. Extensions (cooperative matrices, packed dot products) are
    /// named in the module and may be had on any version.
    pub(super) fn lowest_with(features: &BTreeSet<Feature>) -> Self {
        let matrices = features.iter().any(|feature| matches!(feature, Feature::CooperativeMatrix { .. }));
        if matrices { Self::Vulkan1_2 } else { Self::Vulkan1_1 }
    }

    /// Major and minor.
    pub(super) fn spirv_version(self) -> (u8, u8) {
        match self {
            Self::Vulkan1_1 => (1, 3),
            Self::Vulkan1_2 => (1, 5),
        }
    }

    /// For people.
    #[cfg(feature = "spirv-tools")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vulkan1_1 => "Vulkan 1.1",
            Self::Vulkan1_2 => "Vulkan 1.2",
        }
    }
}
