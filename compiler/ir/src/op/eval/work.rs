//! How much work an evaluation is, before anything of it is done.

use crate::op::{Epilogue, Op};
use crate::tensor::TensorType;

/// Elementary steps that an op takes, to within a small factor: multiplications of a product, taps under windows,
/// elements that are moved. Sizes that are free or too large to count give the largest number.
pub(crate) fn of(op: &Op, epilogue: &Epilogue, operands: &[TensorType], elements: u64) -> u64 {
    let count = |ty: &TensorType| ty.static_element_count().unwrap_or(u64::MAX);
    let read = operands.iter().map(count).fold(0, u64::saturating_add);
    let product = |sizes: &[u64]| sizes.iter().fold(1u64, |all, &size| all.saturating_mul(size));
    let size = |operand: usize, axis: usize| -> u64 {
        let size = operands.get(operand).and_then(|ty| ty.shape.get(axis)?.as_const());
        size.unwrap_or(u64::MAX)
    };
    let from_end = |operand: usize, back: usize| {
        operands
            .get(operand)
            .and_then(|ty| ty.rank().checked_sub(back))
            .map_or(u64::MAX, |axis| size(operand, axis))
    };
    let weight = || -> u64 {
        let sizes = operands.get(1).and_then(|ty| ty.static_shape_from(1));
        sizes.map_or(u64::MAX, |sizes| product(&sizes))
    };
    let own = match op {
        Op::MatMul(_) => elements.saturating_mul(from_end(0, 1)),
        Op::Conv(_) => elements.saturating_mul(weight()),
        Op::ConvTranspose(_) => operands.first().map_or(u64::MAX, count).saturating_mul(weight()),
        Op::Attention(_) => {
            let scores = operands.first().map_or(u64::MAX, count).saturating_mul(from_end(1, 2));
            scores.saturating_add(elements.saturating_mul(from_end(1, 2)))
        }
        Op::Pool(op) => elements.saturating_mul(product(&op.kernel)),
        // Four taps an axis at most, one axis after the other.
        Op::Resize(op) => elements.max(read).saturating_mul(4 * op.axes.len().max(1) as u64),
        // A sort.
        Op::TopK(_) => read.saturating_mul(32),
        // Each box against each that is kept.
        Op::Suppress(op) => operands.get(1).map_or(u64::MAX, count).saturating_mul(op.k.saturating_add(32)),
        Op::Elementwise(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => 0,
    };
    let steps = (epilogue.steps.len() as u64).saturating_mul(elements);
    own.saturating_add(read).saturating_add(elements).saturating_add(steps)
}
