//! Reductions, pooling over whole images, and normalisations.

use super::axis;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, LayerNorm, Reduce, ReduceKind, RmsNorm, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Op, ValueId};

/// What a reduction reduces, as its node says.
struct Over {
    x: ValueId,
    axes: Vec<usize>,
    keep_dims: bool,
    /// There is nothing to do but to hand `x` on.
    noop: bool,
}

/// Reads a reduction's axes: an attribute before operator set `operand_since`, a constant operand from then on.
fn over(cx: &mut NodeCx<'_, '_>, operand_since: i64) -> Result<Over, NodeError> {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let keep_dims = cx.attributes.flag("keepdims", true)?;
    let (given, noop) = if cx.opset() < operand_since {
        (cx.attributes.ints("axes")?.map(<[i64]>::to_vec), false)
    } else {
        let noop = cx.attributes.flag("noop_with_empty_axes", false)?;
        (cx.optional(1).map(|axes| cx.constant_ints(axes, "axes")).transpose()?, noop)
    };
    let mut axes =
        given.unwrap_or_default().into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() {
        return Ok(Over { x, axes: (0..rank).collect(), keep_dims, noop });
    }
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        let expected = "different axes".to_owned();
        return Err(NodeError::Value { name: "axes", value: format!("{axes:?}"), expected });
    }
    Ok(Over { x, axes, keep_dims, noop: false })
}

impl Over {
    /// Emits the reduction of `x`, which has the shape of `self.x`.
    fn reduce(&self, cx: &mut NodeCx<'_, '_>, kind: ReduceKind, x: ValueId) -> Result<ValueId, NodeError> {
        if self.noop || self.axes.is_empty() {
            // Over a single element every kind is the element itself, but for a norm.
            return if kind == ReduceKind::L2 { cx.unary(UnaryOp::Abs, x) } else { Ok(x) };
        }
        let op = Reduce { kind, axes: self.axes.clone(), keep_dims: self.keep_dims };
        cx.emit(Op::Reduce(op), &[x])
    }
}

fn reduce(cx: &mut NodeCx<'_, '_>, kind: ReduceKind, operand_since: i64) -> Results {
    let over = over(cx, operand_since)?;
    Ok(vec![over.reduce(cx, kind, over.x)?])
}

/// The larger or smaller; of truth values as 0 and 1.
fn extreme(cx: &mut NodeCx<'_, '_>, kind: ReduceKind) -> Results {
    let over = over(cx, 18)?;
    let element = cx.element(over.x);
    let x = if element == ElementType::Bool { cx.cast(over.x, ElementType::I32)? } else { over.x };
    let y = over.reduce(cx, kind, x)?;
    Ok(vec![cx.cast(y, element)?])
}

/// ReduceL1. Axes are an operand since 18.
pub(super) fn reduce_l1(cx: &mut NodeCx<'_, '_>) -> Results {
    let over = over(cx, 18)?;
    let magnitude = cx.unary(UnaryOp::Abs, over.x)?;
    Ok(vec![over.reduce(cx, ReduceKind::Sum, magnitude)?])
}

/// ReduceL2. Axes are an operand since 18.
pub(super) fn reduce_l2(cx: &mut NodeCx<'_, '_>) -> Results {
    reduce(cx, ReduceKind::L2, 18)
}

/// ReduceLogSum. Axes are an operand since 18.
pub(super) fn reduce_log_sum(cx: &mut NodeCx<'_, '_>) -> Results {
    let over = over(cx, 18)?;
    let sum = over.reduce(cx, ReduceKind::Sum, over.x)?;
    Ok(vec![cx.unary(UnaryOp::Log, sum)?])
}

/// ReduceLogSumExp: `m + log(sum(exp(x - m)))`, which no exponential overflows when `m` is the maximum. An infinite maximum
/// is replaced by the type's end, so that it is not subtracted from itself. Axes are an operand since 18.
pub(super) fn reduce_log_sum_exp(cx: &mut NodeCx<'_, '_>) -> Results {
    let over = over(cx, 18)?;
    if over.noop || over.axes.is_empty() {
        return Ok(vec![over.x]);
    }
    let end = if cx.element(over.x) == ElementType::F16 { 65504.0 } else { f64::from(f32::MAX) };
    let kept = Reduce { kind: ReduceKind::Max, axes: over.axes.clone(), keep_dims: true };
    let max = cx.emit(Op::Reduce(kept), &[over.x])?;
    let max = cx.emit(Op::Elementwise(ScalarOp::Clip { min: -end, max: end }), &[max])?;
    let shifted = cx.binary(BinaryOp::Sub, over.x, max)?;
    let exponential = cx.unary(UnaryOp::Exp, shifted)?;
    let sum = over.reduce(cx, ReduceKind::Sum, exponential)?;
    let log = cx.unary(UnaryOp::Log, sum)?;
    let shape = cx.shape(log);
    let max = cx.reshape(max, shape)?;
    Ok(vec![cx.binary(BinaryOp::Add, log, max)?])
}

/// ReduceMax. Axes are an operand since 18, bool since 20.
pub(super) fn reduce_max(cx: &mut NodeCx<'_, '_>) -> Results {
    extreme(cx, ReduceKind::Max)
}

/// ReduceMean. Axes are an operand since 18.
pub(super) fn reduce_mean(cx: &mut NodeCx<'_, '_>) -> Results {
    reduce(cx, ReduceKind::Mean, 18)
}

/// ReduceMin. Axes are an operand since 18, bool since 20.
pub(super) fn reduce_min(cx: &mut NodeCx<'_, '_>) -> Results {
    extreme(cx, ReduceKind::Min)
}

/// ReduceProd. Axes are an operand since 18.
pub(super) fn reduce_prod(cx: &mut NodeCx<'_, '_>) -> Results {
    reduce(cx, ReduceKind::Prod, 18)
}

/// ReduceSum. Axes are an operand since 13, five operator sets before the other reductions.
pub(super) fn reduce_sum(cx: &mut NodeCx<'_, '_>) -> Results {
    reduce(cx, ReduceKind::Sum, 13)
}

/// ReduceSumSquare. Axes are an operand since 18.
pub(super) fn reduce_sum_square(cx: &mut NodeCx<'_, '_>) -> Results {
    let over = over(cx, 18)?;
    let square = cx.binary(BinaryOp::Mul, over.x, over.x)?;
    Ok(vec![over.reduce(cx, ReduceKind::Sum, square)?])
}

/// Reduces all axes after batch and channel to one element.
fn global_pool(cx: &mut NodeCx<'_, '_>, kind: ReduceKind) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    if rank < 3 {
        return Err(NodeError::Operands(format!("the input has rank {rank}, expected at least 3")));
    }
    Ok(vec![cx.emit(Op::Reduce(Reduce { kind, axes: (2..rank).collect(), keep_dims: true }), &[x])?])
}

/// GlobalAveragePool.
pub(super) fn global_average_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    global_pool(cx, ReduceKind::Mean)
}

/// GlobalMaxPool. ONNX names no result for a channel of nothing but minus infinity; onnxruntime's f32 kernel has the lowest
/// finite number there, and so has this.
pub(super) fn global_max_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let most = global_pool(cx, ReduceKind::Max)?;
    if cx.element(most[0]) != ElementType::F32 {
        return Ok(most);
    }
    let clip = ScalarOp::Clip { min: f64::from(f32::MIN), max: f64::INFINITY };
    Ok(vec![cx.emit(Op::Elementwise(clip), &most)?])
}

/// LayerNormalization, since 17. Statistics are always computed in f32, which is what `stash_type` 1 asks for; the mean and the
/// inverse deviation are computed beside the op where they are asked for.
pub(super) fn layer_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let Norm { x, axis, epsilon, mut parameters } = norm(cx)?;
    parameters.insert(0, x);
    let mut results = vec![cx.emit(Op::LayerNorm(LayerNorm { axis, epsilon }), &parameters)?];
    if (1..cx.result_count()).any(|index| cx.wants_result(index)) {
        let [average, variance] = moments(cx, x, axis)?;
        results.extend([average, inverse_root(cx, variance, epsilon)?]);
    }
    Ok(results)
}

/// The mean over the axes from `axis` on, which stay as size 1.
fn mean_from(cx: &mut NodeCx<'_, '_>, x: ValueId, axis: usize) -> Result<ValueId, NodeError> {
    let axes = (axis..cx.rank(x)).collect();
    cx.emit(Op::Reduce(Reduce { kind: ReduceKind::Mean, axes, keep_dims: true }), &[x])
}

/// Mean and variance over the axes from `axis` on, as f32 at least.
pub(super) fn moments(cx: &mut NodeCx<'_, '_>, x: ValueId, axis: usize) -> Result<[ValueId; 2], NodeError> {
    let x = cx.widened(x)?;
    let average = mean_from(cx, x, axis)?;
    let deviation = cx.binary(BinaryOp::Sub, x, average)?;
    let square = cx.binary(BinaryOp::Mul, deviation, deviation)?;
    Ok([average, mean_from(cx, square, axis)?])
}

/// `1 / sqrt(mean(x^2) + epsilon)` over the axes from `axis` on, as f32 at least.
pub(super) fn inverse_root_mean_square(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    axis: usize,
    epsilon: f64,
) -> Result<ValueId, NodeError> {
    let x = cx.widened(x)?;
    let square = cx.binary(BinaryOp::Mul, x, x)?;
    let mean = mean_from(cx, square, axis)?;
    inverse_root(cx, mean, epsilon)
}

/// `1 / sqrt(value + epsilon)`.
pub(super) fn inverse_root(
    cx: &mut NodeCx<'_, '_>,
    value: ValueId,
    epsilon: f64,
) -> Result<ValueId, NodeError> {
    let epsilon = cx.scalar_like(value, epsilon)?;
    let sum = cx.binary(BinaryOp::Add, value, epsilon)?;
    let root = cx.unary(UnaryOp::Sqrt, sum)?;
    cx.unary(UnaryOp::Reciprocal, root)
}

/// RMSNormalization, since 23. The scale may have another element type than the input, whose type the result has.
pub(super) fn rms_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let Norm { x, axis, epsilon, parameters } = norm(cx)?;
    Ok(vec![cx.emit(Op::RmsNorm(RmsNorm { axis, epsilon }), &[x, parameters[0]])?])
}

/// SimplifiedLayerNormalization: RMSNormalization as onnxruntime's tools write it into ONNX's own domain at any operator
/// set. The inverse root of the mean square is a second result.
pub(super) fn simplified_layer_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let Norm { x, axis, epsilon, parameters } = norm(cx)?;
    let mut results = vec![cx.emit(Op::RmsNorm(RmsNorm { axis, epsilon }), &[x, parameters[0]])?];
    if cx.wants_result(1) {
        results.push(inverse_root_mean_square(cx, x, axis, epsilon)?);
    }
    Ok(results)
}

/// What a normalisation over the last axes is given.
struct Norm {
    x: ValueId,
    axis: usize,
    epsilon: f64,
    /// Scale and perhaps bias, in the shape of the normalised axes.
    parameters: Vec<ValueId>,
}

fn norm(cx: &mut NodeCx<'_, '_>) -> Result<Norm, NodeError> {
    let (x, scale) = (cx.operand(0)?, cx.operand(1)?);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(-1), cx.rank(x))?;
    let epsilon = f64::from(cx.attributes.float("epsilon")?.unwrap_or(1e-5));
    if let Some(other) = cx.attributes.int("stash_type")?.filter(|&ty| ty != 1) {
        return Err(NodeError::Unsupported(format!("`stash_type` {other} is not supported, only 1 (float)")));
    }
    let normalised = cx.shape(x)[axis..].to_vec();
    let given = [Some(scale), cx.optional(2)].into_iter().flatten();
    let parameters = given.map(|parameter| cx.expand_to(parameter, &normalised)).collect::<Result<_, _>>()?;
    Ok(Norm { x, axis, epsilon, parameters })
}
