//! The operators that can be imported: one function each, in files by family, listed in one table.
//!
//! A function's doc says what differs between operator sets 6 to 28; forms that are valid but not supported are refused
//! with a reason, so that all of a model's are reported together.

mod activation;
mod along_axis;
mod attention;
mod bits;
mod blocks;
mod constant;
mod counted;
mod data;
mod delta;
mod dequantized;
mod determinant;
mod einsum;
mod elementwise;
mod fourier;
mod grid;
mod index;
mod linear;
mod losses;
mod microsoft;
mod norm;
mod pad;
mod pixels;
mod pool;
mod quantize;
mod quantized;
mod random;
mod recurrent;
mod reduce;
mod resize;
mod roi;
mod rotary;
mod shape;
mod skip_norm;
mod suppress;
mod top_k;
mod unfold;
mod unique;
mod window;

use crate::error::NodeError;
use crate::node::{NodeCx, Results};

/// One operator: its domain and name, how many operands and results it has, and how it is imported.
pub(crate) struct Operator {
    domain: &'static str,
    name: &'static str,
    pub(crate) operands: (usize, usize),
    pub(crate) results: (usize, usize),
    pub(crate) convert: Convert,
    /// Valid forms that end in an error, for `docs/operators.md`; those that every operator refuses are said there once.
    pub(crate) refused: &'static str,
}

/// Emits one node; gives a value for each of the operator's results that this version supports.
pub(crate) type Convert = fn(&mut NodeCx<'_, '_>) -> Results;

/// Any number from the first on.
const MANY: usize = usize::MAX;

/// An operator of ONNX's own domain with one result.
const fn onnx(name: &'static str, operands: (usize, usize), convert: Convert) -> Operator {
    Operator { domain: "", name, operands, results: (1, 1), convert, refused: "" }
}

/// An operator of ONNX Runtime's domain with one result.
const fn microsoft(name: &'static str, operands: (usize, usize), convert: Convert) -> Operator {
    Operator { domain: "com.microsoft", name, operands, results: (1, 1), convert, refused: "" }
}

impl Operator {
    const fn results(mut self, low: usize, high: usize) -> Self {
        self.results = (low, high);
        self
    }

    const fn refuses(mut self, forms: &'static str) -> Self {
        self.refused = forms;
        self
    }
}

/// All operators, by domain, then name.
const OPERATORS: &[Operator] = &[
    onnx("Abs", (1, 1), elementwise::abs),
    onnx("Acos", (1, 1), elementwise::acos),
    onnx("Acosh", (1, 1), elementwise::acosh),
    onnx("Add", (2, 2), elementwise::add),
    onnx("AffineGrid", (2, 2), grid::affine_grid),
    onnx("And", (2, 2), elementwise::and),
    onnx("ArgMax", (1, 1), index::arg_max),
    onnx("ArgMin", (1, 1), index::arg_min),
    onnx("Asin", (1, 1), elementwise::asin),
    onnx("Asinh", (1, 1), elementwise::asinh),
    onnx("Atan", (1, 1), elementwise::atan),
    onnx("Atanh", (1, 1), elementwise::atanh),
    onnx("Attention", (3, 7), attention::attention).results(1, 4).refuses("a free number of heads"),
    onnx("AveragePool", (1, 1), pool::average_pool).refuses("`ceil_mode` with `auto_pad` VALID where windows do not fit exactly; negative `pads`"),
    onnx("BatchNormalization", (5, 5), norm::batch_normalization).results(1, 5).refuses("`spatial` 0 (before 9); training before 14"),
    onnx("Bernoulli", (1, 1), random::bernoulli),
    onnx("BitCast", (1, 1), bits::bit_cast).refuses("data between floats and integers"),
    onnx("BitShift", (2, 2), bits::bit_shift),
    onnx("BitwiseAnd", (2, 2), bits::bitwise_and),
    onnx("BitwiseNot", (1, 1), bits::bitwise_not),
    onnx("BitwiseOr", (2, 2), bits::bitwise_or),
    onnx("BitwiseXor", (2, 2), bits::bitwise_xor),
    onnx("BlackmanWindow", (1, 1), fourier::blackman_window),
    onnx("Cast", (1, 1), elementwise::cast).refuses("casts to strings, complex numbers; to float8e8m0 without `saturate`"),
    onnx("CastLike", (2, 2), elementwise::cast_like).refuses("casts to strings, complex numbers; to float8e8m0 without `saturate`"),
    onnx("CausalConvWithState", (2, 4), delta::causal_conv_with_state).results(1, 2),
    onnx("Ceil", (1, 1), elementwise::ceil),
    onnx("Celu", (1, 1), activation::celu),
    onnx("CenterCropPad", (2, 2), pad::center_crop_pad),
    onnx("Clip", (1, 3), elementwise::clip),
    onnx("Col2Im", (3, 3), unfold::col2im),
    onnx("Compress", (2, 2), counted::compress),
    onnx("Concat", (1, MANY), data::concat),
    onnx("Constant", (0, 0), constant::constant).refuses("`sparse_value`, `value_string`, `value_strings`"),
    onnx("ConstantOfShape", (1, 1), constant::constant_of_shape).refuses("a `value` of fewer than eight bits"),
    onnx("Conv", (2, 3), linear::conv).refuses("more than three spatial axes; negative `pads`"),
    onnx("ConvInteger", (2, 4), quantized::conv_integer).refuses("groups of more than 258 products whose weights are data"),
    onnx("ConvTranspose", (2, 3), linear::conv_transpose).refuses("more than three spatial axes; `output_shape` or SAME that asks for more results than there are"),
    onnx("Cos", (1, 1), elementwise::cos),
    onnx("Cosh", (1, 1), elementwise::cosh),
    onnx("CumProd", (2, 2), index::cum_prod).refuses("an axis of free size"),
    onnx("CumSum", (2, 2), index::cum_sum).refuses("an axis that is data"),
    onnx("DFT", (1, 3), fourier::dft).refuses("lengths whose matrices take more than 2^25 bytes"),
    onnx("DepthToSpace", (1, 1), shape::depth_to_space),
    onnx("DequantizeLinear", (2, 3), quantize::dequantize_linear),
    onnx("Det", (1, 1), determinant::det).refuses("more than five rows"),
    onnx("Div", (2, 2), elementwise::div),
    onnx("Dropout", (1, 3), constant::dropout).results(1, 2).refuses("training"),
    onnx("DynamicQuantizeLinear", (1, 1), quantize::dynamic_quantize_linear).results(3, 3),
    onnx("Einsum", (1, MANY), einsum::einsum).refuses("diagonals of axes of free size"),
    onnx("Elu", (1, 1), activation::elu),
    onnx("Equal", (2, 2), elementwise::equal),
    onnx("Erf", (1, 1), elementwise::erf),
    onnx("Exp", (1, 1), elementwise::exp),
    onnx("Expand", (2, 2), shape::expand),
    onnx("EyeLike", (1, 1), index::eye_like).refuses("a `dtype` that the importer does not hold"),
    onnx("Flatten", (1, 1), shape::flatten),
    onnx("Floor", (1, 1), elementwise::floor),
    onnx("GRU", (3, 6), recurrent::gru).results(0, 2).refuses("a sequence, an input or a state of free size"),
    onnx("Gather", (2, 2), data::gather),
    onnx("GatherElements", (2, 2), index::gather_elements),
    onnx("GatherND", (2, 2), data::gather_nd),
    onnx("Gelu", (1, 1), activation::gelu),
    onnx("Gemm", (2, 3), linear::gemm),
    onnx("GlobalAveragePool", (1, 1), reduce::global_average_pool),
    onnx("GlobalLpPool", (1, 1), pool::global_lp_pool),
    onnx("GlobalMaxPool", (1, 1), reduce::global_max_pool),
    onnx("Greater", (2, 2), elementwise::greater),
    onnx("GreaterOrEqual", (2, 2), elementwise::greater_or_equal),
    onnx("GridSample", (2, 2), grid::grid_sample).refuses("cubic over other than two spatial axes"),
    onnx("GroupNormalization", (3, 3), norm::group_normalization).refuses("a free number of channels; `stash_type` other than float"),
    onnx("HammingWindow", (1, 1), fourier::hamming_window),
    onnx("HannWindow", (1, 1), fourier::hann_window),
    onnx("HardSigmoid", (1, 1), activation::hard_sigmoid),
    onnx("HardSwish", (1, 1), activation::hard_swish),
    onnx("Hardmax", (1, 1), along_axis::hardmax),
    onnx("Identity", (1, 1), constant::identity),
    onnx("InstanceNormalization", (3, 3), norm::instance_normalization),
    onnx("IsInf", (1, 1), bits::is_inf),
    onnx("IsNaN", (1, 1), bits::is_nan),
    onnx("LRN", (1, 1), norm::local_response_normalization),
    onnx("LSTM", (3, 8), recurrent::lstm).results(0, 3).refuses("a sequence, an input or a state of free size"),
    onnx("LayerNormalization", (2, 3), reduce::layer_normalization).results(1, 3).refuses("`stash_type` other than float"),
    onnx("LeakyRelu", (1, 1), activation::leaky_relu),
    onnx("Less", (2, 2), elementwise::less),
    onnx("LessOrEqual", (2, 2), elementwise::less_or_equal),
    onnx("LinearAttention", (3, 6), delta::linear_attention).results(1, 2),
    onnx("Log", (1, 1), elementwise::log),
    onnx("LogSoftmax", (1, 1), along_axis::log_softmax),
    onnx("LpNormalization", (1, 1), along_axis::lp_normalization),
    onnx("LpPool", (1, 1), pool::lp_pool),
    onnx("MatMul", (2, 2), linear::matmul),
    onnx("MatMulInteger", (2, 4), quantized::matmul_integer),
    onnx("Max", (1, MANY), elementwise::max),
    onnx("MaxPool", (1, 1), pool::max_pool).results(1, 2).refuses("`ceil_mode` with `auto_pad` VALID where windows do not fit exactly; negative `pads`"),
    onnx("MaxUnpool", (2, 3), unfold::max_unpool),
    onnx("Mean", (1, MANY), elementwise::mean),
    onnx("MeanVarianceNormalization", (1, 1), norm::mean_variance_normalization),
    onnx("MelWeightMatrix", (5, 5), fourier::mel_weight_matrix),
    onnx("Min", (1, MANY), elementwise::min),
    onnx("Mish", (1, 1), activation::mish),
    onnx("Mod", (2, 2), bits::modulo),
    onnx("Mul", (2, 2), elementwise::mul),
    onnx("Multinomial", (1, 1), random::multinomial),
    onnx("Neg", (1, 1), elementwise::neg),
    onnx("NegativeLogLikelihoodLoss", (2, 3), losses::negative_log_likelihood_loss),
    onnx("NonMaxSuppression", (2, 5), suppress::non_max_suppression),
    onnx("NonZero", (1, 1), counted::non_zero).refuses("scalars that are data"),
    onnx("Not", (1, 1), elementwise::not),
    onnx("OneHot", (3, 3), index::one_hot).refuses("a depth that is data"),
    onnx("Or", (2, 2), elementwise::or),
    onnx("PRelu", (2, 2), activation::prelu),
    onnx("Pad", (1, 4), pad::pad).refuses("a `constant_value` that is data"),
    onnx("Pow", (2, 2), elementwise::pow),
    onnx("QLinearConv", (8, 9), quantized::qlinear_conv).refuses("groups of more than 258 products whose weights are data"),
    onnx("QLinearMatMul", (8, 8), quantized::qlinear_matmul),
    onnx("QuantizeLinear", (2, 3), quantize::quantize_linear),
    onnx("RMSNormalization", (2, 2), reduce::rms_normalization).refuses("`stash_type` other than float"),
    onnx("RNN", (3, 6), recurrent::rnn).results(0, 2).refuses("a sequence, an input or a state of free size"),
    onnx("RandomNormal", (0, 0), random::random_normal),
    onnx("RandomNormalLike", (1, 1), random::random_normal_like),
    onnx("RandomUniform", (0, 0), random::random_uniform),
    onnx("RandomUniformLike", (1, 1), random::random_uniform_like),
    onnx("Range", (3, 3), shape::range),
    onnx("Reciprocal", (1, 1), elementwise::reciprocal),
    onnx("ReduceL1", (1, 2), reduce::reduce_l1),
    onnx("ReduceL2", (1, 2), reduce::reduce_l2),
    onnx("ReduceLogSum", (1, 2), reduce::reduce_log_sum),
    onnx("ReduceLogSumExp", (1, 2), reduce::reduce_log_sum_exp),
    onnx("ReduceMax", (1, 2), reduce::reduce_max),
    onnx("ReduceMean", (1, 2), reduce::reduce_mean),
    onnx("ReduceMin", (1, 2), reduce::reduce_min),
    onnx("ReduceProd", (1, 2), reduce::reduce_prod),
    onnx("ReduceSum", (1, 2), reduce::reduce_sum),
    onnx("ReduceSumSquare", (1, 2), reduce::reduce_sum_square),
    onnx("Relu", (1, 1), activation::relu),
    onnx("Reshape", (2, 2), shape::reshape),
    onnx("Resize", (2, 4), resize::resize).refuses("`antialias` but for linear upsampling; scales that are data"),
    onnx("ReverseSequence", (2, 2), index::reverse_sequence),
    onnx("RoiAlign", (3, 3), roi::roi_align).refuses("`sampling_ratio` 0"),
    onnx("RotaryEmbedding", (3, 4), rotary::rotary_embedding),
    onnx("Round", (1, 1), elementwise::round),
    onnx("STFT", (2, 4), fourier::stft),
    onnx("Scatter", (3, 3), index::scatter_elements).refuses("indices that are smaller than the data beside the axis"),
    onnx("ScatterElements", (3, 3), index::scatter_elements).refuses("indices that are smaller than the data beside the axis"),
    onnx("ScatterND", (3, 3), index::scatter_nd),
    onnx("Selu", (1, 1), activation::selu),
    onnx("Shape", (1, 1), shape::shape),
    onnx("Shrink", (1, 1), activation::shrink).refuses("a negative `lambd`"),
    onnx("Sigmoid", (1, 1), activation::sigmoid),
    onnx("Sign", (1, 1), elementwise::sign),
    onnx("SimplifiedLayerNormalization", (2, 2), reduce::simplified_layer_normalization).results(1, 2),
    onnx("Sin", (1, 1), elementwise::sin),
    onnx("Sinh", (1, 1), elementwise::sinh),
    onnx("Size", (1, 1), shape::size),
    onnx("Slice", (1, 5), data::slice).refuses("a start of free size; an end that may be of either sign"),
    onnx("Softmax", (1, 1), along_axis::softmax),
    onnx("SoftmaxCrossEntropyLoss", (2, 3), losses::softmax_cross_entropy_loss).results(1, 2),
    onnx("Softplus", (1, 1), activation::softplus),
    onnx("Softsign", (1, 1), activation::softsign),
    onnx("SpaceToDepth", (1, 1), shape::space_to_depth),
    onnx("Split", (1, 2), data::split).results(1, MANY).refuses("sizes that are data"),
    onnx("Sqrt", (1, 1), elementwise::sqrt),
    onnx("Squeeze", (1, 2), shape::squeeze),
    onnx("Sub", (2, 2), elementwise::sub),
    onnx("Sum", (1, MANY), elementwise::sum),
    onnx("SwiGLU", (2, 2), activation::swi_glu),
    onnx("Swish", (1, 1), activation::swish),
    onnx("Tan", (1, 1), elementwise::tan),
    onnx("Tanh", (1, 1), elementwise::tanh),
    onnx("TensorScatter", (2, 3), index::tensor_scatter),
    onnx("ThresholdedRelu", (1, 1), activation::thresholded_relu),
    onnx("Tile", (2, 2), index::tile),
    onnx("TopK", (1, 2), top_k::top_k).results(1, 2),
    onnx("Transpose", (1, 1), shape::transpose),
    onnx("Trilu", (1, 2), index::trilu),
    onnx("Unique", (1, 1), unique::unique).results(1, 4).refuses("slices whose comparisons each with each are more than 2^24"),
    onnx("Unsqueeze", (1, 2), shape::unsqueeze),
    onnx("Upsample", (1, 2), resize::upsample).refuses("nearest downsampling by a fraction; scales that are data"),
    onnx("Where", (3, 3), elementwise::select),
    onnx("Xor", (2, 2), elementwise::xor),
    microsoft("Attention", (2, 7), attention::packed_attention).results(1, 2).refuses("`do_rotary`; shared buffers; masks of four axes"),
    microsoft("BiasGelu", (2, 2), microsoft::bias_gelu),
    microsoft("BiasSplitGelu", (2, 2), microsoft::bias_split_gelu),
    microsoft("DynamicQuantizeLSTM", (12, 12), recurrent::dynamic_quantize_lstm).results(0, 3),
    microsoft("DynamicQuantizeMatMul", (3, 5), quantized::dynamic_quantize_matmul),
    microsoft("FastGelu", (1, 2), microsoft::fast_gelu),
    microsoft("FusedMatMul", (2, 2), microsoft::fused_matmul).refuses("factors of rank 1"),
    microsoft("GatherBlockQuantized", (3, 4), blocks::gather_block_quantized).refuses("weights that are data"),
    microsoft("Gelu", (1, 1), microsoft::gelu),
    microsoft("GroupQueryAttention", (7, 17), attention::group_query_attention).results(1, 4).refuses("`total_sequence_length` that is data; quantized and sliding caches; `query_seqlens`; several new tokens behind a past in a batch"),
    microsoft("MatMulIntegerToFloat", (4, 7), quantized::matmul_integer_to_float),
    microsoft("MatMulNBits", (3, 6), blocks::matmul_n_bits).refuses("weights that are data; `weight_prepacked`; `g_idx` beside packed zero points or other than 4 bits"),
    microsoft("MultiHeadAttention", (1, 10), attention::multi_head_attention).results(1, 4).refuses("`past_sequence_length`, `cache_indirection`; the result `qk`; `unidirectional` with other numbers of queries and new keys"),
    microsoft("QGemm", (6, 9), quantized::qgemm),
    microsoft("QLinearAdd", (7, 8), quantized::qlinear_add),
    microsoft("QLinearConcat", (5, MANY), quantized::qlinear_concat),
    microsoft("QLinearGlobalAveragePool", (4, 5), quantized::qlinear_global_average_pool),
    microsoft("QLinearLeakyRelu", (4, 5), quantized::qlinear_leaky_relu),
    microsoft("QLinearMul", (7, 8), quantized::qlinear_mul),
    microsoft("QLinearSigmoid", (4, 5), quantized::qlinear_sigmoid),
    microsoft("QuickGelu", (1, 1), microsoft::quick_gelu),
    microsoft("RotaryEmbedding", (4, 4), rotary::microsoft_rotary_embedding).refuses("`is_packed_batching`"),
    microsoft("SkipLayerNormalization", (3, 5), skip_norm::skip_layer_normalization).results(1, 4),
    microsoft("SkipSimplifiedLayerNormalization", (3, 4), skip_norm::skip_simplified_layer_normalization).refuses("the mean as a result")
        .results(1, 4),
];

/// Finds an operator in the table, which is sorted.
pub(crate) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let at = OPERATORS.binary_search_by_key(&(domain, name), |operator| (operator.domain, operator.name));
    at.ok().map(|at| &OPERATORS[at])
}

/// The domains and names of the table.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATORS.iter().map(|operator| (operator.domain, operator.name))
}

/// Resolves an axis that may count from the end.
pub(crate) fn axis(given: i64, rank: usize) -> Result<usize, NodeError> {
    let from_start = if given < 0 { given.saturating_add(rank as i64) } else { given };
    let axis = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
    axis.ok_or(NodeError::Axis { axis: given, rank })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_operator_once() {
        let keys: Vec<_> = OPERATORS.iter().map(|operator| (operator.domain, operator.name)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(axis(-1, 3).unwrap(), 2);
        assert!(
            axis(3, 3).is_err() && axis(-4, 3).is_err() && axis(i64::MIN, 3).is_err() && axis(0, 0).is_err()
        );
    }
}
