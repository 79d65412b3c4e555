//! Profiles for tests: limits so small, and choices so one-sided, that the graphs of tests meet them.

use super::apple::APPLE_MATRICES;
use super::families::{GENERIC, NVIDIA};
use super::rates;
use super::{MatrixShape, Profile, Winograd, WinogradWhen};

/// All of them. `--profile` takes their names where they are compiled in.
pub const TESTS: &[Profile] = &[
    SUBGROUPS,
    SUBGROUPS_OF_8,
    COOPERATIVE_LOOPS,
    COOPERATIVE_SMALL,
    COOPERATIVE_8X8,
    MATRICES_SMALL,
    SMALL_BINDINGS,
    SMALL_SCORES,
    SMALL_GRIDS,
    SMALL_GRIDS_SUBGROUPS,
    SMALL_GRIDS_COOPERATIVE,
    WINOGRAD_2,
    WINOGRAD_4,
    WINOGRAD_SMALL_BINDINGS,
];

/// Any device with subgroups of whatever width.
const SUBGROUPS: Profile = Profile {
    name: "subgroups",
    source: "the generic profile and Vulkan 1.1's subgroup arithmetic; run on lavapipe",
    subgroups: true,
    ..GENERIC
};

/// Kernels that rely on the width of a subgroup.
const SUBGROUPS_OF_8: Profile = Profile {
    name: "subgroups-of-8",
    source: "for tests: the subgroups profile with the width that lavapipe has on processors with vectors of 256 bits",
    subgroup_size: Some(8),
    ..SUBGROUPS
};

/// The tuned kernels of a family with cooperative matrices, with these as loops.
const COOPERATIVE_LOOPS: Profile = Profile {
    name: "cooperative-loops",
    source: "for tests: the nvidia profile on devices without cooperative matrices; run on lavapipe",
    vendors: &[],
    subgroups: false,
    subgroup_size: Some(32),
    cooperative: Some(MatrixShape { m: 16, n: 16, k: 16 }),
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
    most_busy_workgroups: 4,
    ..COOPERATIVE_LOOPS
};

/// The same with matrices of 8x8 and their tiles.
const COOPERATIVE_8X8: Profile = Profile {
    name: "cooperative-loops-8x8",
    source: "for tests: cooperative-loops with matrices of 8x8; run on lavapipe",
    cooperative: Some(MatrixShape { m: 8, n: 8, k: 8 }),
    rates: &rates::APPLE_MATRICES,
    ..COOPERATIVE_LOOPS
};

/// Matrices of 8x8 on a device so small that products of a test's size get the tiles of large ones.
const MATRICES_SMALL: Profile = Profile {
    name: "8x8-matrices-small-device",
    source: "for tests: apple-matrices with two compute units; run as MSL on the processor",
    vendors: &[],
    busy_workgroups: 4,
    most_busy_workgroups: 4,
    ..APPLE_MATRICES
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

/// Axes of the grid so short that a test's dispatches are folded.
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
