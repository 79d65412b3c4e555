//! The kernel files and their interfaces, by name.

use super::interface::KernelInterface;
use super::interfaces::{data_movement, images, products, rows};

/// A kernel's name, text and interface.
#[derive(Debug, PartialEq, Eq)]
pub struct KernelSource {
    /// Name of the algorithm, also of its file.
    pub name: &'static str,
    /// The file, and behind it the functions that it shares with others.
    pub text: &'static str,
    /// What the text expects, and what stages rely on.
    pub interface: KernelInterface,
}

macro_rules! kernels {
    ($($name:literal $(+ $shared:literal)*: $interface:expr),* $(,)?) => {
        /// Every kernel, in alphabetical order.
        pub const ALL: &[KernelSource] = &[$(KernelSource {
            name: $name,
            text: concat!(
                include_str!(concat!("wgsl/", $name, ".wgsl"))
                $(, include_str!(concat!("wgsl/shared/", $shared, ".wgsl")))*
            ),
            interface: $interface,
        }),*];
    };
}

kernels!(
    "arg_reduce": rows::ARG_REDUCE,
    "attention_cached": products::ATTENTION_CACHED,
    "attention_cooperative" + "keys_seen": products::ATTENTION_COOPERATIVE,
    "attention_merge": products::ATTENTION_MERGE,
    "attention_rows" + "keys_seen": products::ATTENTION_ROWS,
    "attention_stats": products::ATTENTION_STATS,
    "concat": data_movement::CONCAT,
    "conv_depthwise": images::CONV_DEPTHWISE,
    "conv_generic" + "group_products": images::CONV_GENERIC,
    "conv_transpose" + "group_products": images::CONV_TRANSPOSE,
    "copy": data_movement::COPY,
    "cumsum": rows::CUMSUM,
    "cumsum_rows": rows::CUMSUM_ROWS,
    "elementwise": data_movement::ELEMENTWISE,
    "gather": data_movement::GATHER,
    "gather_elements": data_movement::GATHER_ELEMENTS,
    "gather_nd": data_movement::GATHER_ND,
    "group_norm": rows::GROUP_NORM,
    "group_norm_apply": rows::GROUP_NORM_APPLY,
    "group_norm_combine": rows::GROUP_NORM_COMBINE,
    "group_norm_moments": rows::GROUP_NORM_MOMENTS,
    "layer_norm": rows::LAYER_NORM,
    "matmul_cooperative" + "pair_of_tiles" + "rows_of_result": products::MATMUL_COOPERATIVE,
    "matmul_cooperative_8x8" + "pair_of_tiles" + "rows_of_result": products::MATMUL_COOPERATIVE,
    "matmul_tiled" + "rows_of_result": products::MATMUL_TILED,
    "matvec": products::MATVEC,
    "matvec_rows" + "row_products": products::MATVEC_ROWS,
    "matvec_rows_subgroup" + "row_products": products::MATVEC_ROWS_SUBGROUP,
    "merge_runs": rows::MERGE_RUNS,
    "pad": data_movement::PAD,
    "pool": images::POOL,
    "range": data_movement::RANGE,
    "reduce": rows::REDUCE,
    "reshape": data_movement::RESHAPE,
    "resize": images::RESIZE,
    "resize_linear": images::RESIZE_LINEAR,
    "resize_repeat": images::RESIZE_REPEAT,
    "rms_norm": rows::RMS_NORM,
    "rotary" + "turned": rows::ROTARY,
    "rotary_cache" + "turned": rows::ROTARY_CACHE,
    "scatter_elements": data_movement::SCATTER_ELEMENTS,
    "scatter_known": data_movement::SCATTER_KNOWN,
    "scatter_nd": data_movement::SCATTER_ND,
    "self_test_fill" + "scattered": data_movement::SELF_TEST_FILL,
    "self_test_sample" + "scattered": data_movement::SELF_TEST_SAMPLE,
    "softmax": rows::SOFTMAX,
    "softmax_axis": rows::SOFTMAX_AXIS,
    "softmax_subgroup": rows::SOFTMAX_SUBGROUP,
    "sort_runs": rows::SORT_RUNS,
    "split_sum" + "rows_of_result": products::SPLIT_SUM,
    "strided": data_movement::STRIDED,
    "suppress": rows::SUPPRESS,
    "top_k": rows::TOP_K,
    "transpose_tiled": data_movement::TRANSPOSE_TILED,
    "winograd_filters": images::WINOGRAD_FILTERS,
    "winograd_input": images::WINOGRAD_INPUT,
    "winograd_output": images::WINOGRAD_OUTPUT,
    "write_rows": data_movement::WRITE_ROWS,
    "write_rows_in_place": data_movement::WRITE_ROWS_IN_PLACE,
);

/// The kernel called `name`.
pub fn source(name: &'static str) -> &'static KernelSource {
    ALL.iter().find(|kernel| kernel.name == name).unwrap_or_else(|| unreachable!("`{name}` is in the list"))
}
