//! Ops that move data, and those that make shapes. Axes and bounds are resolved: non-negative, within range.

pub(crate) mod eval;
mod infer;

pub(crate) use eval::{compute_expand, compute_reshape};

use crate::dim::Dim;

/// Same elements in row-major order, another shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// Target shape, fully resolved.
    pub shape: Vec<Dim>,
}

/// Result axis `i` is operand axis `perm[i]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transpose {
    /// The permutation.
    pub perm: Vec<usize>,
}

/// Broadcasts to `shape`, which is the result's shape after broadcasting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expand {
    /// Result shape.
    pub shape: Vec<Dim>,
}

/// Joins along `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Axis joined.
    pub axis: usize,
}

/// One axis of a [`Slice`]: `count` elements from `start` by `step` (negative steps walk down).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SliceAxis {
    /// Which axis.
    pub axis: usize,
    /// First element.
    pub start: u64,
    /// Distance, not zero.
    pub step: i64,
    /// Elements taken.
    pub count: Dim,
}

/// Strided sub-range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Axes that are cut, ascending; others are whole.
    pub axes: Vec<SliceAxis>,
}

/// `y[.., i.., ..] = x[.., indices[i..], ..]` along `axis`; negative indices count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// Axis indexed.
    pub axis: usize,
}

/// ONNX GatherND.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherNd {
    /// Leading axes shared by data and indices.
    pub batch_dims: usize,
}

/// Axes `start..end` of the operand's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShapeOf {
    /// First axis.
    pub start: usize,
    /// One past the last axis.
    pub end: usize,
}

/// Operands start, limit, delta (scalars).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range;
