//! Qualcomm Adreno.
//!
//! Limits are those that drivers of these families report to vulkan.gpuinfo.org. Which storage type is fastest follows the table that
//! TFLite's GPU delegate starts from: 2D textures from Adreno 6xx on where an image can be made from a buffer, texture arrays
//! before that. The percentages are ours, and only their order is known.

use super::rates::FROM_H200;
use super::{LayoutCosts, Profile, StorageCosts, WeightsForms};
use crate::physical::weights::{WeightsForm, WeightsOrder, WeightsStorage};

/// Four textures for direct convolutions, with output slices along a row; a texture with the taps of a slice along a row for
/// filters of single channels; buffers for products. So does TFLite's GPU delegate (its generic convolution, depthwise
/// convolution and fully connected ops).
const WEIGHTS: WeightsForms = WeightsForms {
    direct: WeightsForm { order: WeightsOrder::ROWS, group: 2, storage: WeightsStorage::FourTextures },
    depthwise: WeightsForm { order: WeightsOrder::BLOCKS, group: 2, storage: WeightsStorage::Texture2d },
    ..WeightsForms::BUFFERS
};

const TEXTURES: LayoutCosts = LayoutCosts {
    // The texture caches stand before the L2 cache; loads from buffers go around them.
    window: StorageCosts {
        buffer: 150,
        image_buffer: 120,
        texture_2d: 80,
        texture_array: 85,
        texture_3d: 95,
    },
    stream: StorageCosts {
        buffer: 110,
        image_buffer: 105,
        texture_2d: 95,
        texture_array: 98,
        texture_3d: 105,
    },
    write: StorageCosts {
        buffer: 100,
        image_buffer: 100,
        texture_2d: 100,
        texture_array: 105,
        texture_3d: 115,
    },
    dispatch_bytes: 1 << 18,
};

/// Adreno 6xx: texture arrays, since images over buffers are not on all drivers.
pub(super) const ADRENO_6XX: Profile = Profile {
    name: "adreno-6xx",
    source: "untested; limits from vulkan.gpuinfo.org (Adreno 630 to 660), storage types from TFLite's GPU delegate",
    vendors: &[0x5143],
    // Off until such kernels have run there.
    subgroups: false,
    subgroup_size: None,
    shared_bytes: 32_768,
    workgroup_invocations: 1_024,
    busy_workgroups: 24,
    most_busy_workgroups: 24,
    texture_2d_px: 16_384,
    texture_3d_px: 2_048,
    texture_layers: 2_048,
    layout: LayoutCosts {
        window: StorageCosts { texture_2d: 88, texture_array: 80, ..TEXTURES.window },
        stream: StorageCosts { texture_2d: 98, texture_array: 95, ..TEXTURES.stream },
        write: StorageCosts { texture_array: 100, ..TEXTURES.write },
        ..TEXTURES
    },
    weights: WEIGHTS,
    rates: &FROM_H200,
    ..super::GENERIC
};

/// Adreno 7xx.
pub(super) const ADRENO_7XX: Profile = Profile {
    name: "adreno-7xx",
    source: "untested; limits from vulkan.gpuinfo.org (Adreno 730 to 750), storage types from TFLite's GPU delegate",
    busy_workgroups: 48,
    most_busy_workgroups: 48,
    layout: TEXTURES,
    ..ADRENO_6XX
};

/// Adreno 8xx: slices of three, each with its own caches.
pub(super) const ADRENO_8XX: Profile = Profile {
    name: "adreno-8xx",
    source: "untested; limits from vulkan.gpuinfo.org (Adreno 830), storage types as Adreno 7xx",
    busy_workgroups: 72,
    most_busy_workgroups: 72,
    ..ADRENO_7XX
};
