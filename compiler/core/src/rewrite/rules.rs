//! All rules by pass, and which of them run.

use super::rule::Rule;
use super::{algebra, attention, constants, data_movement, epilogue, images, long, norms, products};
use std::collections::BTreeSet;
use thiserror::Error;

/// Rules of [`super::simplify`], in the order in which a node tries them.
pub const SIMPLIFY: &[Rule] = &[
    constants::fold::STATIC_SHAPE,
    constants::fold::FOLD_CONSTANTS,
    constants::fold::SCALAR_CONSTANT,
    algebra::identity::IDENTITY_ARITHMETIC,
    data_movement::identity::IDENTITY_MOVE,
    algebra::identity::SELECT_KNOWN,
    data_movement::identity::RESHAPE_RESHAPE,
    data_movement::identity::TRANSPOSE_TRANSPOSE,
    data_movement::identity::TRANSPOSE_TO_RESHAPE,
    algebra::identity::CAST_CAST,
    data_movement::sink::TRANSPOSE_BETWEEN_RESHAPES,
    data_movement::slices::SLICE_SLICE,
    data_movement::slices::SLICE_OF_CONCAT,
    data_movement::slices::SLICE_OF_SHAPE,
    data_movement::slices::CONCAT_CONCAT,
    data_movement::slices::CONCAT_OF_SLICES,
    data_movement::slices::GATHER_TO_SLICE,
    data_movement::rows::GATHER_BEFORE_ROWS,
    constants::duplicates::COMMON_SUBEXPRESSION,
    algebra::activation::GELU_ERF,
    algebra::activation::GELU_TANH,
    algebra::activation::SIGMOID,
    algebra::activation::SILU,
    attention::rotary::ROTARY,
    attention::rotary::ROTARY_ABSORBS_REST,
    norms::normalize::LAYER_NORM,
    norms::normalize::LAYER_NORM_ABSORBS_SCALE,
    norms::normalize::LAYER_NORM_ABSORBS_BIAS,
    norms::normalize::NORM_EXPANDS_PARAMETERS,
    norms::accumulate::RMS_NORM,
    norms::accumulate::RMS_NORM_ABSORBS_SCALE,
    norms::accumulate::SOFTMAX,
    norms::accumulate::ACCUMULATION_ABSORBS_CASTS,
    norms::group::GROUP_NORM,
    norms::group::GROUP_NORM_ABSORBS_SCALE,
    norms::group::GROUP_NORM_ABSORBS_BIAS,
    images::padding::CONV_ABSORBS_PAD,
    images::padding::POOL_ABSORBS_PAD,
    images::absorb::CONV_ABSORBS_SCALE,
    images::absorb::CONV_ABSORBS_BIAS,
    images::written_out::CONV_TRANSPOSE_BY_CONV,
    images::written_out::CONV_BY_PRODUCT,
    images::written_out::POOL_BY_AXES,
    data_movement::expand::ELEMENTWISE_ABSORBS_EXPAND,
    products::integers::INTEGER_PRODUCTS,
    products::operands::MATMUL_ABSORBS_TRANSPOSE,
    products::operands::MATMUL_HOISTS_SCALE,
    products::operands::MATMUL_ABSORBS_EXPAND,
    products::operands::MATMUL_ABSORBS_REPEAT,
    products::split::MATMUL_ABSORBS_SLICE,
    data_movement::sink::TRANSPOSE_SINKS,
    data_movement::sink::RESHAPE_SINKS,
    constants::duplicates::EQUAL_CONSTANTS,
    constants::duplicates::DEAD_CODE,
];

/// Rules of [`super::fuse`], in the order in which a node tries them. Element-wise chains come first, because a chain that is one
/// node can move into another producer whole.
pub const FUSE: &[Rule] = &[
    epilogue::ELEMENTWISE_CHAIN,
    epilogue::DIAMOND,
    epilogue::EPILOGUE,
    attention::recognize::ATTENTION,
    attention::band::ATTENTION_BAND,
    attention::recognize::ATTENTION_ABSORBS_TRANSPOSE,
    attention::recognize::ATTENTION_ABSORBS_REPEAT,
    attention::recognize::ATTENTION_WRITES_TRANSPOSED,
];

/// Rules of [`super::for_device`]: each set goes over the nodes once, behind the one before it.
pub const FOR_DEVICE: &[&[Rule]] = &[
    &[attention::written_out::ATTENTION_WITHOUT_KERNEL, attention::written_out::ATTENTION_DECOMPOSED],
    &[long::LONG_WALKS_IN_PARTS],
    &[products::packed::PROJECTIONS_PACKED],
];

/// Rules that nothing switches off: without them there is no kernel, or one that some driver stops.
pub(super) const ALWAYS: &[&str] = &[
    attention::written_out::ATTENTION_WITHOUT_KERNEL.name,
    long::LONG_WALKS_IN_PARTS.name,
    products::integers::INTEGER_PRODUCTS.name,
    images::written_out::CONV_TRANSPOSE_BY_CONV.name,
    images::written_out::CONV_BY_PRODUCT.name,
    images::written_out::POOL_BY_AXES.name,
];

/// Every rule, by pass.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    SIMPLIFY.iter().chain(FUSE).chain(FOR_DEVICE.iter().copied().flatten())
}

/// Which rules run: all but the disabled ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    disabled: BTreeSet<String>,
}

/// A name given to `--disable` that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no rule is named `{name}`; known rules: {}", known.join(", "))]
pub struct UnknownRule {
    /// The name given.
    pub name: String,
    /// All names that there are.
    pub known: Vec<&'static str>,
}

impl Rules {
    /// All rules but those named.
    pub fn disabling<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, UnknownRule> {
        let known: Vec<&'static str> =
            all().map(|rule| rule.name).filter(|name| !ALWAYS.contains(name)).collect();
        let mut disabled = BTreeSet::new();
        for name in names {
            let name = name.into();
            if !known.contains(&name.as_str()) {
                return Err(UnknownRule { name, known });
            }
            disabled.insert(name);
        }
        Ok(Self { disabled })
    }

    /// Those of a list that run.
    pub(super) fn of<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
        rules.iter().filter(|rule| self.allows(rule.name))
    }

    /// Whether a rule runs.
    pub fn allows(&self, rule: &str) -> bool {
        !self.disabled.contains(rule)
    }
}
