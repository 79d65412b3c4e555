//! Apple's own GPUs.
//!
//! ML Drift and TFLite's GPU delegate keep activations in buffers on Metal; loads of four channels are as wide as a texture's.

use super::rates::{self, FROM_H200};
use super::{MatrixShape, Profile, WeightsForms};
use crate::physical::weights::{WeightsForm, WeightsOrder};

/// A14 and M1 on (Apple family 7 and later of Metal's feature set tables).
pub(super) const APPLE: Profile = Profile {
    name: "apple",
    source: "untested; limits from Metal's feature set tables, family 7; buffers as TFLite's GPU delegate on Metal",
    vendors: &[0x106b],
    // Off until such kernels have run there.
    subgroups: false,
    subgroup_size: None,
    shared_bytes: 32_768,
    workgroup_invocations: 1_024,
    busy_workgroups: 96,
    most_busy_workgroups: 96,
    texture_2d_px: 16_384,
    texture_3d_px: 2_048,
    texture_layers: 2_048,
    // Vectors over inputs, for dot products, in TFLite's GPU delegate.
    weights: WeightsForms {
        direct: WeightsForm::buffer(WeightsOrder::GROUPS_OF_INPUTS),
        ..WeightsForms::BUFFERS
    },
    rates: &FROM_H200,
    ..super::GENERIC
};

/// The same with products of f16 on the 8x8 matrices that a subgroup of 32 shares.
pub(super) const APPLE_MATRICES: Profile = Profile {
    name: "apple-matrices",
    source: "untested; the apple profile with simdgroup_matrix of the Metal Shading Language Specification, 6.7, on family 7 \
             of Metal's feature set tables",
    subgroup_size: Some(32),
    cooperative: Some(MatrixShape { m: 8, n: 8, k: 8 }),
    rates: &rates::APPLE_MATRICES,
    ..APPLE
};
