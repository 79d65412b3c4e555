//! Makes a graph smaller without changing what a device computes: folds constants, drops what changes nothing or is there
//! twice, and recognises activations and normalisations that exporters decompose.
//!
//! Each rewrite is a named rule in a file by topic; [`RULES`] is the list, and `docs/rewrite-rules.md` the law for
//! authors. Nothing here depends on a device.

mod absorb;
mod activation;
mod duplicates;
pub(crate) mod edit;
mod fold;
mod identity;
mod normalize;
pub(crate) mod pattern;
pub mod rule;
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
    duplicates::COMMON_SUBEXPRESSION,
    activation::GELU_ERF,
    activation::GELU_TANH,
    activation::SILU,
    normalize::LAYER_NORM,
    normalize::LAYER_NORM_ABSORBS_SCALE,
    normalize::LAYER_NORM_ABSORBS_BIAS,
    normalize::SOFTMAX,
    absorb::CONV_ABSORBS_SCALE,
    absorb::CONV_ABSORBS_BIAS,
    absorb::MATMUL_ABSORBS_TRANSPOSE,
    absorb::ELEMENTWISE_ABSORBS_EXPAND,
    duplicates::EQUAL_CONSTANTS,
    duplicates::DEAD_CODE,
];

/// Simplifies as far as the enabled rules go.
pub fn simplify(mut graph: Graph, options: &Rules) -> (Graph, Report) {
    let report = rule::run(&mut graph, RULES, options);
    (graph, report)
}
