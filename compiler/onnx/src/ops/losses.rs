//! Losses, as exported training graphs and evaluation models have them.

use super::along_axis::log_of_softmax;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, GatherElements, Reduce, ReduceKind, ScalarOp, UnaryOp};
use drift_ir::{Op, ValueId};

/// NegativeLogLikelihoodLoss, since 12: of log probabilities `[n, classes, ..]` and labels `[n, ..]`, with a weight for each class.
/// A label that is `ignore_index` counts nothing, also in the mean.
pub(super) fn negative_log_likelihood_loss(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    Ok(vec![loss(cx, x)?])
}

/// SoftmaxCrossEntropyLoss, since 12: the same of the logarithm of the softmax over the classes, which is a second result.
pub(super) fn softmax_cross_entropy_loss(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    if cx.rank(x) < 2 {
        return Err(NodeError::Operands(format!("the scores have rank {}, expected 2 at least", cx.rank(x))));
    }
    let log = log_of_softmax(cx, x, 1)?;
    Ok(vec![loss(cx, log)?, log])
}

fn loss(cx: &mut NodeCx<'_, '_>, log: ValueId) -> Result<ValueId, NodeError> {
    let labels = cx.operand(1)?;
    let shape = cx.shape(labels);
    let mut wanted = cx.shape(log);
    if wanted.len() < 2 || {
        wanted.remove(1);
        wanted != shape
    } {
        return Err(NodeError::Operands(
            "the labels do not have the shape of the scores but for the classes".to_owned(),
        ));
    }
    let ignored = match cx.attributes.int("ignore_index")? {
        Some(index) => {
            let index = cx.constant_i64(&[], &[index])?;
            let index = cx.cast(index, cx.element(labels))?;
            Some(cx.binary(BinaryOp::Equal, labels, index)?)
        }
        None => None,
    };
    let zero = cx.scalar_like(log, 0.0)?;
    let unless_ignored = |cx: &mut NodeCx<'_, '_>, value, zero| match ignored {
        Some(ignored) => cx.emit(Op::Elementwise(ScalarOp::Select), &[ignored, zero, value]),
        None => Ok(value),
    };
    // A label that is ignored may be none of the classes.
    let first = cx.scalar_like(labels, 0.0)?;
    let labels = unless_ignored(cx, labels, first)?;
    let places = cx.insert_axis(labels, 1)?;
    let picked = cx.emit(Op::GatherElements(GatherElements { axis: 1 }), &[log, places])?;
    let picked = cx.reshape(picked, shape.clone())?;
    let mut losses = cx.unary(UnaryOp::Neg, picked)?;
    let mut weights = None;
    if let Some(all) = cx.optional(2) {
        let own = cx.emit(Op::Gather(Gather { axis: 0 }), &[all, labels])?;
        losses = cx.binary(BinaryOp::Mul, losses, own)?;
        weights = Some(unless_ignored(cx, own, zero)?);
    } else if ignored.is_some() {
        let one = cx.scalar_like(log, 1.0)?;
        let one = cx.expand(one, shape.clone())?;
        weights = Some(unless_ignored(cx, one, zero)?);
    }
    losses = unless_ignored(cx, losses, zero)?;
    let all = |kind| Op::Reduce(Reduce { kind, axes: (0..shape.len()).collect(), keep_dims: false });
    match (cx.attributes.text("reduction")?.unwrap_or("mean"), weights) {
        ("none", _) => Ok(losses),
        ("sum", _) => cx.emit(all(ReduceKind::Sum), &[losses]),
        ("mean", None) => cx.emit(all(ReduceKind::Mean), &[losses]),
        ("mean", Some(weights)) => {
            let sum = cx.emit(all(ReduceKind::Sum), &[losses])?;
            let weight = cx.emit(all(ReduceKind::Sum), &[weights])?;
            cx.binary(BinaryOp::Div, sum, weight)
        }
        (other, _) => {
            let expected = "`none`, `sum` or `mean`".to_owned();
            Err(NodeError::Value { name: "reduction", value: other.to_owned(), expected })
        }
    }
}
