//! The families that driftc knows.

use super::adreno::{ADRENO_6XX, ADRENO_7XX, ADRENO_8XX};
use super::amd::AMD_RDNA;
use super::apple::APPLE;
use super::intel::INTEL_XE;
use super::mali::MALI_VALHALL;
use super::{CooperativeShape, LayoutCosts, MemoryForms, Profile, WeightsForms, Winograd, WinogradWhen};

/// Every profile; the first is the portable one.
pub const ALL: &[Profile] = &[
    GENERIC,
    NVIDIA,
    ADRENO_6XX,
    ADRENO_7XX,
    ADRENO_8XX,
    MALI_VALHALL,
    APPLE,
    INTEL_XE,
    AMD_RDNA,
    SUBGROUPS,
    COOPERATIVE_LOOPS,
    COOPERATIVE_SMALL,
    SMALL_BINDINGS,
    SMALL_SCORES,
    SMALL_GRIDS,
    SMALL_GRIDS_SUBGROUPS,
    SMALL_GRIDS_COOPERATIVE,
    WINOGRAD_2,
    WINOGRAD_4,
    WINOGRAD_SMALL_BINDINGS,
];

/// Those of real devices, the portable one included: the rest are for tests.
pub const DEVICES: &[Profile] =
    &[GENERIC, NVIDIA, ADRENO_6XX, ADRENO_7XX, ADRENO_8XX, MALI_VALHALL, APPLE, INTEL_XE, AMD_RDNA];

/// What a bundle for Vulkan holds unless told otherwise, tuned first.
pub const VULKAN: &[&Profile] = &[&NVIDIA, &GENERIC];

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
};

/// NVIDIA from Volta on.
const NVIDIA: Profile = Profile {
    name: "nvidia",
    source: "vulkaninfo of an H200, driver 580; cooperative matrices from VK_KHR_cooperative_matrix",
    vendors: &[0x10de],
    subgroups: true,
    subgroup_size: Some(32),
    cooperative: Some(CooperativeShape { m: 16, n: 16, k: 16 }),
    cooperative_as_loops: false,
    shared_bytes: 49_152,
    workgroup_invocations: 1_024,
    busy_workgroups: 264,
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
};

/// Any device with subgroups of whatever width.
const SUBGROUPS: Profile = Profile {
    name: "subgroups",
    source: "the generic profile and Vulkan 1.1's subgroup arithmetic; run on lavapipe",
    subgroups: true,
    ..GENERIC
};

/// The tuned kernels of a family with cooperative matrices, with these as loops.
const COOPERATIVE_LOOPS: Profile = Profile {
    name: "cooperative-loops",
    source: "for tests: the nvidia profile on devices without cooperative matrices; run on lavapipe",
    vendors: &[],
    subgroups: false,
    subgroup_size: Some(32),
    cooperative: Some(CooperativeShape { m: 16, n: 16, k: 16 }),
    cooperative_as_loops: true,
    // What lavapipe has.
    shared_bytes: 32_768,
    ..NVIDIA
};

/// The same for a device so small that products of a test's size get the tiles of large ones.
const COOPERATIVE_SMALL: Profile = Profile {
    name: "cooperative-loops-small-device",
    source: "for tests: cooperative-loops with two compute units; run on lavapipe",
    busy_workgroups: 4,
    ..COOPERATIVE_LOOPS
};

/// Bindings so small that the constants of a test are split over several.
const SMALL_BINDINGS: Profile = Profile {
    name: "small-bindings",
    source: "for tests: the generic profile with 512-byte bindings of constants; run on lavapipe",
    binding_bytes: 512,
    ..GENERIC
};

/// Scores of which so few may be in memory that small attentions go through in blocks.
const SMALL_SCORES: Profile = Profile {
    name: "small-scores",
    source: "for tests: the generic profile with 1 KiB of scores at a time; run on lavapipe",
    score_bytes: 1 << 10,
    ..GENERIC
};

/// Axes of the grid so short that a test's launches are folded.
const SMALL_GRIDS: Profile = Profile {
    name: "small-grids",
    source: "for tests: the generic profile with 2 workgroups along an axis; run on lavapipe",
    grid_axis: 2,
    ..GENERIC
};

/// The same with subgroups.
const SMALL_GRIDS_SUBGROUPS: Profile = Profile {
    name: "small-grids-subgroups",
    source: "for tests: the subgroups profile with 2 workgroups along an axis; run on lavapipe",
    grid_axis: 2,
    ..SUBGROUPS
};

/// The same with cooperative matrices as loops.
const SMALL_GRIDS_COOPERATIVE: Profile = Profile {
    name: "small-grids-cooperative",
    source: "for tests: the cooperative-loops profile with 2 workgroups along an axis; run on lavapipe",
    grid_axis: 2,
    ..COOPERATIVE_LOOPS
};

/// Winograd's form with tiles of 2x2 for every 3x3 convolution, in blocks of few rows.
const WINOGRAD_2: Profile = Profile {
    name: "winograd-2x2",
    source: "for tests: the generic profile with F(2x2, 3x3) wherever it can be; run on lavapipe",
    winograd: Winograd { when: WinogradWhen::Always(2), scratch_bytes: 64 << 10 },
    ..GENERIC
};

/// The same with tiles of 4x4.
const WINOGRAD_4: Profile = Profile {
    name: "winograd-4x4",
    source: "for tests: the generic profile with F(4x4, 3x3) wherever it can be; run on lavapipe",
    winograd: Winograd { when: WinogradWhen::Always(4), scratch_bytes: 64 << 10 },
    ..GENERIC
};

/// The same with filters that are made and read in several bindings.
const WINOGRAD_SMALL_BINDINGS: Profile = Profile {
    name: "winograd-small-bindings",
    source: "for tests: the winograd-4x4 profile with 2048-byte bindings of constants; run on lavapipe",
    binding_bytes: 2048,
    ..WINOGRAD_4
};
