//! Intel Xe.

use super::Profile;
use super::rates::FROM_H200;

/// Xe-LP, Xe-HPG and Xe2 with SIMD16 and SIMD32 kernels.
pub(super) const INTEL_XE: Profile = Profile {
    name: "intel-xe",
    source: "untested; limits from vulkan.gpuinfo.org (Iris Xe, Arc A770), buffers from TFLite's GPU delegate",
    vendors: &[0x8086],
    // Off until such kernels have run there.
    subgroups: false,
    subgroup_size: None,
    shared_bytes: 65_536,
    workgroup_invocations: 1_024,
    busy_workgroups: 128,
    most_busy_workgroups: 128,
    texture_2d_px: 16_384,
    texture_3d_px: 2_048,
    texture_layers: 2_048,
    rates: &FROM_H200,
    ..super::GENERIC
};
