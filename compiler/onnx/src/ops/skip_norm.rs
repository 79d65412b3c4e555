//! Normalisations of the sum of an input, a skip connection and perhaps a bias, as ONNX Runtime's tools fuse them.

use super::reduce::{inverse_root, moments};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, LayerNorm, RmsNorm};
use drift_ir::{ElementType, Op, ValueId};

/// SkipLayerNormalization: operands x, skip, gamma, and optionally beta and a bias of the sum. Results are the norm, the
/// mean and the inverse deviation as f32, and the sum.
pub(super) fn skip_layer_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let Sum { wide, element, axis, epsilon } = sum(cx, 4)?;
    let normalised = cx.shape(wide)[axis..].to_vec();
    let gamma = cx.operand(2)?;
    let mut operands = vec![wide, cx.expand_to(gamma, &normalised)?];
    if let Some(beta) = cx.optional(3) {
        operands.push(cx.expand_to(beta, &normalised)?);
    }
    let y = cx.emit(Op::LayerNorm(LayerNorm { axis, epsilon }), &operands)?;
    let y = cx.cast(y, element)?;
    let [mean, inverse] = match cx.wants_result(1) || cx.wants_result(2) {
        true => {
            let [mean, variance] = moments(cx, wide, axis)?;
            [mean, inverse_root(cx, variance, epsilon)?]
        }
        // Nothing names them, so what stands for them is never read.
        false => [y, y],
    };
    Ok(vec![y, mean, inverse, cx.cast(wide, element)?])
}

/// SkipSimplifiedLayerNormalization: the same by the root of the mean square, without beta. The mean is no result of it.
pub(super) fn skip_simplified_layer_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    if cx.wants_result(1) {
        let reason = "the mean is not computed by this operator, so it cannot be a result";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let Sum { wide, element, axis, epsilon } = sum(cx, 3)?;
    let normalised = cx.shape(wide)[axis..].to_vec();
    let gamma = cx.operand(2)?;
    let gamma = cx.expand_to(gamma, &normalised)?;
    let y = cx.emit(Op::RmsNorm(RmsNorm { axis, epsilon }), &[wide, gamma])?;
    let y = cx.cast(y, element)?;
    let inverse = match cx.wants_result(2) {
        true => super::reduce::inverse_root_mean_square(cx, wide, axis, epsilon)?,
        false => y,
    };
    Ok(vec![y, y, inverse, cx.cast(wide, element)?])
}

/// What is normalised.
struct Sum {
    /// As f32 at least: ONNX Runtime normalises the sum of f16 before it is rounded.
    wide: ValueId,
    /// The type of the input and the result.
    element: ElementType,
    /// The last axis, which is normalised.
    axis: usize,
    epsilon: f64,
}

/// The sum of the input, the skip, which may lack leading axes or have one batch for all, and the bias, which is operand
/// `bias`.
fn sum(cx: &mut NodeCx<'_, '_>, bias: usize) -> Result<Sum, NodeError> {
    let epsilon = f64::from(cx.attributes.float("epsilon")?.unwrap_or(1e-12));
    let x = cx.operand(0)?;
    let (shape, element) = (cx.shape(x), cx.element(x));
    let Some(axis) = shape.len().checked_sub(1) else {
        return Err(NodeError::Operands("the input is a scalar".to_owned()));
    };
    let mut wide = cx.widened(x)?;
    for operand in [Some(cx.operand(1)?), cx.optional(bias)].into_iter().flatten() {
        let operand = cx.widened(operand)?;
        wide = cx.binary(BinaryOp::Add, wide, operand)?;
    }
    if cx.shape(wide) != shape {
        let reason = "the skip or the bias has a larger shape than the input";
        return Err(NodeError::Operands(reason.to_owned()));
    }
    Ok(Sum { wide, element, axis, epsilon })
}
