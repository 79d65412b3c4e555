//! The kernel files, by name.

/// A kernel's text and name.
#[derive(Debug, PartialEq, Eq)]
pub struct KernelSource {
    /// Name of the algorithm, also of its file.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! kernels {
    ($($name:literal),* $(,)?) => {
        /// Every kernel, in alphabetical order.
        pub const ALL: &[KernelSource] =
            &[$(KernelSource { name: $name, text: include_str!(concat!("wgsl/", $name, ".wgsl")) }),*];
    };
}

kernels!(
    "arg_reduce",
    "attention_cooperative",
    "attention_rows",
    "attention_stats",
    "concat",
    "conv_depthwise",
    "conv_generic",
    "conv_transpose",
    "copy",
    "cumsum",
    "cumsum_rows",
    "elementwise",
    "gather",
    "gather_elements",
    "gather_nd",
    "group_norm",
    "group_norm_apply",
    "group_norm_combine",
    "group_norm_moments",
    "layer_norm",
    "matmul_cooperative",
    "matmul_tiled",
    "matvec",
    "matvec_subgroup",
    "merge_runs",
    "pad",
    "pool",
    "range",
    "reduce",
    "reshape",
    "resize",
    "resize_repeat",
    "rms_norm",
    "scatter_elements",
    "scatter_known",
    "scatter_nd",
    "softmax",
    "softmax_axis",
    "softmax_subgroup",
    "sort_runs",
    "split_sum",
    "strided",
    "top_k",
    "transpose_tiled",
    "winograd_filters",
    "winograd_input",
    "winograd_output",
);

/// The kernel called `name`.
pub fn source(name: &'static str) -> &'static KernelSource {
    ALL.iter().find(|kernel| kernel.name == name).unwrap_or_else(|| unreachable!("`{name}` is in the list"))
}
