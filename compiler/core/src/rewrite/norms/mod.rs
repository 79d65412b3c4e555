//! Normalisations and softmax that exporters decompose.

pub(super) mod accumulate;
pub(super) mod group;
pub(super) mod normalize;
