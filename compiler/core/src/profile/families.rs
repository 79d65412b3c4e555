//! The families that driftc knows.

use super::adreno::{ADRENO_6XX, ADRENO_7XX, ADRENO_8XX};
use super::amd::AMD_RDNA;
use super::apple::{APPLE, APPLE_MATRICES};
use super::intel::INTEL_XE;
use super::mali::MALI_VALHALL;
use super::rates::{FROM_H200, H200};
use super::{
    LayoutCosts, MatrixShape, MemoryForms, Profile, StepForms, WeightsForms, Winograd, WinogradWhen,
};

/// Those of real devices; the first is the portable one.
pub const ALL: &[Profile] = &[
    GENERIC,
    NVIDIA,
    ADRENO_6XX,
    ADRENO_7XX,
    ADRENO_8XX,
    MALI_VALHALL,
    APPLE,
    APPLE_MATRICES,
    INTEL_XE,
    AMD_RDNA,
];

/// What a bundle for Vulkan holds unless told otherwise, tuned first.
pub const VULKAN: &[&Profile] = &[&NVIDIA, &GENERIC];

/// What a bundle for Metal holds before the variant of a profile: another that a device takes first if it may.
pub const METAL_FIRST: &[(&Profile, &Profile)] = &[(&APPLE_MATRICES, &APPLE)];

/// What WebGPU guarantees everywhere.
pub const GENERIC: Profile = Profile {
    name: "generic",
    source: "WebGPU's default limits (W3C candidate recommendation, section 3.6.2); run on lavapipe",
    vendors: &[],
    subgroups: false,
    subgroup_size: None,
    cooperative: None,
    cooperative_as_loops: false,
    shared_bytes: 16_384,
    workgroup_invocations: 256,
    busy_workgroups: 64,
    most_busy_workgroups: 256,
    texture_2d_px: 8_192,
    texture_3d_px: 2_048,
    texture_layers: 256,
    // Vulkan's least maxTexelBufferElements is 65,536; every desktop and current phone driver has 2^27 or more. The
    // variant states what it needs.
    image_buffer_texels: 1 << 27,
    // Vulkan's least maxStorageBufferRange is the same.
    binding_bytes: 128 << 20,
    // A share of a large image that leaves a peak of memory where it is, and that caches of desktop GPUs hold.
    winograd: Winograd { when: WinogradWhen::Faster, scratch_bytes: 16 << 20 },
    // One binding.
    score_bytes: 128 << 20,
    grid_axis: 65_535,
    grid_depth: 65_535,
    layout: LayoutCosts::BUFFERS,
    weights: WeightsForms::BUFFERS,
    memory: MemoryForms::ALL,
    steps: StepForms::ALL,
    rates: &FROM_H200,
};

/// NVIDIA from Volta on.
pub(super) const NVIDIA: Profile = Profile {
    name: "nvidia",
    source: "vulkaninfo of an H200, driver 580; cooperative matrices from VK_KHR_cooperative_matrix",
    vendors: &[0x10de],
    subgroups: true,
    subgroup_size: Some(32),
    cooperative: Some(MatrixShape { m: 16, n: 16, k: 16 }),
    cooperative_as_loops: false,
    shared_bytes: 49_152,
    workgroup_invocations: 1_024,
    busy_workgroups: 264,
    most_busy_workgroups: 264,
    texture_2d_px: 32_768,
    texture_3d_px: 16_384,
    texture_layers: 2_048,
    image_buffer_texels: 1 << 27,
    // maxStorageBufferRange is one byte less than 4 GiB.
    binding_bytes: (4 << 30) - 256,
    winograd: Winograd { when: WinogradWhen::Faster, scratch_bytes: 32 << 20 },
    score_bytes: 1 << 30,
    grid_axis: 65_535,
    grid_depth: 65_535,
    layout: LayoutCosts::BUFFERS,
    weights: WeightsForms::BUFFERS,
    memory: MemoryForms::ALL,
    steps: StepForms::ALL,
    rates: &H200,
};

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_page_on_layouts_says_what_each_profile_prefers() {
        let page = include_str!("../../../../docs/layouts.md");
        for profile in ALL {
            assert!(
                page.contains(&format!("`{}`", profile.name)),
                "docs/layouts.md does not name {}",
                profile.name
            );
        }
    }
}
