//! Arm Mali.
//!
//! Workgroup memory is ordinary memory behind the L1 cache on these devices (Arm's GPU best practices guide), so tiles in it gain
//! little. TFLite's GPU delegate starts from 2D textures. The percentages are ours, and only their order is known.

use super::rates::FROM_H200;
use super::{LayoutCosts, Profile, StorageCosts, WeightsForms};

/// Valhall: G57 to G715.
pub(super) const MALI_VALHALL: Profile = Profile {
    name: "mali-valhall",
    source: "untested; limits from vulkan.gpuinfo.org (G78, G710, G715), storage types from TFLite's GPU delegate",
    vendors: &[0x13b5],
    // Off until such kernels have run there.
    subgroups: false,
    subgroup_size: None,
    shared_bytes: 32_768,
    workgroup_invocations: 512,
    busy_workgroups: 40,
    most_busy_workgroups: 40,
    texture_2d_px: 16_384,
    texture_3d_px: 2_048,
    texture_layers: 2_048,
    layout: LayoutCosts {
        // Texture and load/store units are apart: reads that use both run on both.
        window: StorageCosts {
            buffer: 120,
            image_buffer: 115,
            texture_2d: 85,
            texture_array: 90,
            texture_3d: 100,
        },
        stream: StorageCosts {
            buffer: 100,
            image_buffer: 105,
            texture_2d: 98,
            texture_array: 102,
            texture_3d: 110,
        },
        write: StorageCosts {
            buffer: 100,
            image_buffer: 100,
            texture_2d: 105,
            texture_array: 110,
            texture_3d: 120,
        },
        dispatch_bytes: 1 << 18,
    },
    // TFLite's GPU delegate reads weights from buffers here, in groups of the output slices that an invocation makes.
    weights: WeightsForms::GROUPS,
    rates: &FROM_H200,
    ..super::GENERIC
};
