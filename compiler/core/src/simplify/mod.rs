//! Makes a graph smaller without changing what a device computes: folds constants, drops what changes nothing or is there
//! twice, and recognises activations and normalisations that exporters decompose.
//!
//! Each rewrite is a named rule in a file by topic; [`RULES`] is the list, and `docs/rewrite-rules.md` the law for
//! authors. Nothing here depends on a device.

mod absorb;
mod accumulate;
mod activation;
mod duplicates;
pub(crate) mod edit;
mod fold;
mod group;
mod identity;
mod normalize;
mod padding;
pub(crate) mod pattern;
pub(crate) mod product;
pub mod rule;
mod sink;
mod slices;
mod split;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use rule::{Applied, Declined, Refusal, Report, Rule, Rules, UnknownRule};

use drift_ir::Graph;

/// All rules, in the order in which a node tries them.
pub const RULES: &[Rule] = &[
    fold::STATIC_SHAPE,
    fold::FOLD_CONSTANTS,
    fold::SCALAR_CONSTANT,
    identity::IDENTITY_ARITHMETIC,
    identity::IDENTITY_MOVE,
    identity::SELECT_KNOWN,
    identity::RESHAPE_RESHAPE,
    identity::TRANSPOSE_TRANSPOSE,
    identity::TRANSPOSE_TO_RESHAPE,
    identity::CAST_CAST,
    sink::TRANSPOSE_BETWEEN_RESHAPES,
    slices::SLICE_SLICE,
    slices::SLICE_OF_CONCAT,
    slices::CONCAT_CONCAT,
    slices::CONCAT_OF_SLICES,
    slices::GATHER_TO_SLICE,
    duplicates::COMMON_SUBEXPRESSION,
    activation::GELU_ERF,
    activation::GELU_TANH,
    activation::SIGMOID,
    activation::SILU,
    normalize::LAYER_NORM,
    normalize::LAYER_NORM_ABSORBS_SCALE,
    normalize::LAYER_NORM_ABSORBS_BIAS,
    normalize::NORM_EXPANDS_PARAMETERS,
    accumulate::RMS_NORM,
    accumulate::RMS_NORM_ABSORBS_SCALE,
    accumulate::SOFTMAX,
    accumulate::ACCUMULATION_ABSORBS_CASTS,
    group::GROUP_NORM,
    group::GROUP_NORM_ABSORBS_SCALE,
    group::GROUP_NORM_ABSORBS_BIAS,
    padding::CONV_ABSORBS_PAD,
    padding::POOL_ABSORBS_PAD,
    absorb::CONV_ABSORBS_SCALE,
    absorb::CONV_ABSORBS_BIAS,
    absorb::ELEMENTWISE_ABSORBS_EXPAND,
    product::MATMUL_ABSORBS_TRANSPOSE,
    product::MATMUL_HOISTS_SCALE,
    product::MATMUL_ABSORBS_EXPAND,
    product::MATMUL_ABSORBS_REPEAT,
    split::MATMUL_ABSORBS_SLICE,
    sink::TRANSPOSE_SINKS,
    sink::RESHAPE_SINKS,
    duplicates::EQUAL_CONSTANTS,
    duplicates::DEAD_CODE,
];

/// Simplifies as far as the enabled rules go.
pub fn simplify(mut graph: Graph, options: &Rules) -> (Graph, Report) {
    // The bound on folding is taken from the constants that there are before anything is folded.
    graph.count_folding(0);
    let report = rule::run(&mut graph, RULES, options);
    (graph, report)
}
