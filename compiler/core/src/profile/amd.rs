//! AMD RDNA.

use super::rates::FROM_H200;
use super::{LayoutCosts, Profile, StorageCosts};

/// RDNA 1 to 4, in waves of 32 or 64.
pub(super) const AMD_RDNA: Profile = Profile {
    name: "amd-rdna",
    source: "untested; limits from vulkan.gpuinfo.org (RX 6800, RX 7900 XTX), image buffers from TFLite's GPU delegate",
    vendors: &[0x1002],
    // Off until such kernels have run there.
    subgroups: false,
    subgroup_size: None,
    shared_bytes: 65_536,
    workgroup_invocations: 1_024,
    busy_workgroups: 240,
    most_busy_workgroups: 240,
    texture_2d_px: 16_384,
    texture_3d_px: 8_192,
    texture_layers: 2_048,
    layout: LayoutCosts {
        // Typed loads convert f16 on the way; products load whole tiles from buffers as fast.
        window: StorageCosts { image_buffer: 95, ..LayoutCosts::BUFFERS.window },
        ..LayoutCosts::BUFFERS
    },
    rates: &FROM_H200,
    ..super::GENERIC
};
