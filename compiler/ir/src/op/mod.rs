//! The closed set of operations, one attribute struct per op, grouped in files by family.
//!
//! An op is added here first; the compiler's exhaustive matches then list every place that has to learn it.

pub mod attention;
pub(crate) mod buffer;
pub mod conv;
pub mod conv_transpose;
pub mod data;
pub mod elementwise;
pub mod eval;
pub mod eval_error;
pub mod group_norm;
pub mod index;
pub mod infer;
pub mod known;
pub mod matmul;
pub mod pad;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod rotary;
pub mod scan;
pub(crate) mod strided;
pub mod suppress;
pub mod write_rows;

pub use attention::Attention;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use data::{Concat, Expand, Gather, GatherNd, Range, Reshape, ShapeOf, Slice, Transpose};
pub use elementwise::{BinaryOp, Epilogue, GeluKind, ScalarOp, Step, StepArg, UnaryOp};
pub use group_norm::GroupNorm;
pub use index::{GatherElements, ScatterElements, ScatterNd, Update};
pub use infer::{InferError, InferErrorKind, Operand};
pub use matmul::MatMul;
pub use pad::{Pad, PadMode};
pub use pool::{Pool, PoolKind};
pub use reduce::{LayerNorm, Reduce, ReduceKind, RmsNorm, Softmax};
pub use resize::{CoordinateMode, Interpolation, NearestMode, Resize, ResizeAxis};
pub use rotary::Rotary;
pub use scan::{ArgReduce, CumSum, TopK};
pub use suppress::Suppress;
pub use write_rows::WriteRows;

use crate::dim::{Dim, DimError, SymbolId, Symbols};
use crate::tensor::{Tensor, TensorType};
use buffer::Raw;
use eval_error::EvalErrorKind;
use infer::Check;
use std::ops::RangeInclusive;

/// What a node computes. Shapes below are logical, outermost axis first, ONNX's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Scalar function of up to three broadcast operands.
    Elementwise(ScalarOp),
    /// Batched matrix product `a[.., m, k] x b[.., k, n]`, batch axes broadcast; rank >= 2 each.
    MatMul(MatMul),
    /// `softmax(q k^T) v` for each head: operands q, k, v, then what the steps on the scores read.
    Attention(Attention),
    /// Convolution of `x[n, c, spatial..]` with `w[o, c/groups, spatial..]` and an optional bias `[o]`.
    Conv(Conv),
    /// Transposed convolution of `x[n, c, spatial..]` with `w[c, o/groups, spatial..]` and an optional bias `[o]`.
    ConvTranspose(ConvTranspose),
    /// Function of the elements under a sliding window.
    Pool(Pool),
    /// Resampling along axes.
    Resize(Resize),
    /// Adds elements around the operand.
    Pad(Pad),
    /// Normalisation over groups of channels: operands x, optional scale, optional bias.
    GroupNorm(GroupNorm),
    /// Reduction over axes.
    Reduce(Reduce),
    /// Softmax over one axis.
    Softmax(Softmax),
    /// Layer normalisation over the axes from `axis` on: operands x, scale, optional bias.
    LayerNorm(LayerNorm),
    /// Root-mean-square normalisation over the axes from `axis` on: operands x, scale.
    RmsNorm(RmsNorm),
    /// Turns pairs of channels: operands x, cosines, sines.
    Rotary(Rotary),
    /// Same elements, another shape.
    Reshape(Reshape),
    /// Permutes axes.
    Transpose(Transpose),
    /// Broadcasts to a larger shape.
    Expand(Expand),
    /// Joins operands along an axis.
    Concat(Concat),
    /// Strided sub-range with constant bounds.
    Slice(Slice),
    /// Takes indices along one axis.
    Gather(Gather),
    /// Takes slices at index tuples.
    GatherNd(GatherNd),
    /// Takes single elements along one axis.
    GatherElements(GatherElements),
    /// Updates single elements along one axis: operands data, indices, updates.
    ScatterElements(ScatterElements),
    /// Updates slices at index tuples: operands data, indices, updates.
    ScatterNd(ScatterNd),
    /// Writes rows at a place: operands data, rows, first row of each batch.
    WriteRows(WriteRows),
    /// Index of the largest or smallest along one axis.
    ArgReduce(ArgReduce),
    /// Indices of the largest or smallest few along the last axis.
    TopK(TopK),
    /// Boxes that are kept out of many that overlap: operands corners, scores, candidates, threshold.
    Suppress(Suppress),
    /// Running sums along one axis.
    CumSum(CumSum),
    /// The shape of the operand as an i64 vector.
    ShapeOf(ShapeOf),
    /// `start, start + delta, ..` below `limit`.
    Range(Range),
}

impl Op {
    /// Name in the text form, in errors and in `explain`: `conv`, `add`, `reduce_sum`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Elementwise(op) => op.name(),
            Self::MatMul(_) => "matmul",
            Self::Attention(_) => "attention",
            Self::Conv(_) => "conv",
            Self::ConvTranspose(_) => "conv_transpose",
            Self::Pool(op) => op.kind.name(),
            Self::Resize(_) => "resize",
            Self::Pad(op) => op.mode.name(),
            Self::GroupNorm(_) => "group_norm",
            Self::Reduce(op) => op.kind.name(),
            Self::Softmax(_) => "softmax",
            Self::LayerNorm(_) => "layer_norm",
            Self::RmsNorm(_) => "rms_norm",
            Self::Rotary(_) => "rotary",
            Self::Reshape(_) => "reshape",
            Self::Transpose(_) => "transpose",
            Self::Expand(_) => "expand",
            Self::Concat(_) => "concat",
            Self::Slice(_) => "slice",
            Self::Gather(_) => "gather",
            Self::GatherNd(_) => "gather_nd",
            Self::GatherElements(_) => "gather_elements",
            Self::ScatterElements(_) => "scatter_elements",
            Self::ScatterNd(_) => "scatter_nd",
            Self::WriteRows(_) => "write_rows",
            Self::ArgReduce(ArgReduce { largest: true, .. }) => "arg_max",
            Self::ArgReduce(ArgReduce { largest: false, .. }) => "arg_min",
            Self::TopK(_) => "top_k",
            Self::Suppress(_) => "suppress",
            Self::CumSum(_) => "cumsum",
            Self::ShapeOf(_) => "shape_of",
            Self::Range(_) => "range",
        }
    }

    /// How many operands the op takes, epilogue operands not counted.
    pub const fn arity(&self) -> RangeInclusive<usize> {
        match self {
            Self::Elementwise(op) => op.arity()..=op.arity(),
            Self::MatMul(_)
            | Self::RmsNorm(_)
            | Self::Gather(_)
            | Self::GatherNd(_)
            | Self::GatherElements(_) => 2..=2,
            Self::Conv(_) | Self::ConvTranspose(_) | Self::LayerNorm(_) => 2..=3,
            Self::GroupNorm(_) => 1..=3,
            Self::Attention(_) => 3..=usize::MAX,
            Self::Pool(_)
            | Self::Resize(_)
            | Self::Pad(_)
            | Self::Reduce(_)
            | Self::Softmax(_)
            | Self::Reshape(_)
            | Self::Transpose(_)
            | Self::Expand(_)
            | Self::Slice(_)
            | Self::ArgReduce(_)
            | Self::TopK(_)
            | Self::CumSum(_)
            | Self::ShapeOf(_) => 1..=1,
            Self::Concat(_) => 1..=usize::MAX,
            Self::ScatterElements(_)
            | Self::ScatterNd(_)
            | Self::WriteRows(_)
            | Self::Rotary(_)
            | Self::Range(_) => 3..=3,
            Self::Suppress(_) => 4..=4,
        }
    }

    /// Types of the results before any epilogue, or what is wrong with the operands.
    pub fn infer(
        &self,
        operands: &[Operand<'_>],
        symbols: &Symbols,
    ) -> Result<Vec<TensorType>, InferErrorKind> {
        let arity = self.arity();
        if !arity.contains(&operands.len()) {
            return Err(InferErrorKind::OperandCount {
                expected: show_arity(&arity),
                actual: operands.len(),
            });
        }
        let check = Check { operands, symbols };
        let ty = match self {
            Self::Elementwise(op) => op.infer(&check),
            Self::MatMul(op) => op.infer(&check),
            Self::Attention(op) => op.infer(&check),
            Self::Conv(op) => op.infer(&check),
            Self::ConvTranspose(op) => op.infer(&check),
            Self::Pool(op) => op.infer(&check),
            Self::Resize(op) => op.infer(&check),
            Self::Pad(op) => op.infer(&check),
            Self::GroupNorm(op) => op.infer(&check),
            Self::Reduce(op) => op.infer(&check),
            Self::Softmax(op) => op.infer(&check),
            Self::LayerNorm(op) => op.infer(&check),
            Self::RmsNorm(op) => op.infer(&check),
            Self::Rotary(op) => op.infer(&check),
            Self::Reshape(op) => op.infer(&check),
            Self::Transpose(op) => op.infer(&check),
            Self::Expand(op) => op.infer(&check),
            Self::Concat(op) => op.infer(&check),
            Self::Slice(op) => op.infer(&check),
            Self::Gather(op) => op.infer(&check),
            Self::GatherNd(op) => op.infer(&check),
            Self::GatherElements(op) => op.infer(&check),
            Self::ScatterElements(op) => op.infer(&check),
            Self::ScatterNd(op) => op.infer(&check),
            Self::WriteRows(op) => op.infer(&check),
            Self::ArgReduce(op) => op.infer(&check),
            Self::TopK(op) => op.infer(&check),
            Self::Suppress(op) => op.infer(&check),
            Self::CumSum(op) => op.infer(&check),
            Self::ShapeOf(op) => op.infer(&check),
            Self::Range(op) => op.infer(&check),
        }?;
        Ok(vec![ty])
    }

    /// Computes the results of constant operands, without an epilogue, under the standard limits.
    pub fn eval(&self, operands: &[&Tensor]) -> Result<Vec<Tensor>, EvalErrorKind> {
        eval::eval_op(self, operands, eval::Limits::STANDARD)
    }

    /// Computes result 0 for operands that inference accepted; `shape` is the inferred one.
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        match self {
            Self::Elementwise(op) => op.compute(operands, shape),
            Self::MatMul(op) => op.compute(operands, shape),
            Self::Attention(op) => op.compute(operands, shape),
            Self::Conv(op) => op.compute(operands, shape),
            Self::ConvTranspose(op) => op.compute(operands, shape),
            Self::Pool(op) => op.compute(operands, shape),
            Self::Resize(op) => op.compute(operands, shape),
            Self::Pad(op) => op.compute(operands, shape),
            Self::GroupNorm(op) => op.compute(operands),
            Self::Reduce(op) => op.compute(operands, shape),
            Self::Softmax(op) => op.compute(operands),
            Self::LayerNorm(op) => op.compute(operands),
            Self::RmsNorm(op) => op.compute(operands),
            Self::Rotary(op) => op.compute(operands),
            Self::Reshape(_) => data::compute_reshape(operands, shape),
            Self::Transpose(op) => op.compute(operands, shape),
            Self::Expand(_) => data::compute_expand(operands, shape),
            Self::Concat(op) => op.compute(operands, shape),
            Self::Slice(op) => op.compute(operands, shape),
            Self::Gather(op) => op.compute(operands, shape),
            Self::GatherNd(op) => op.compute(operands, shape),
            Self::GatherElements(op) => op.compute(operands, shape),
            Self::ScatterElements(op) => op.compute(operands),
            Self::ScatterNd(op) => op.compute(operands),
            Self::WriteRows(op) => op.compute(operands),
            Self::ArgReduce(op) => op.compute(operands),
            Self::TopK(op) => op.compute(operands),
            Self::Suppress(op) => op.compute(operands),
            Self::CumSum(op) => op.compute(operands),
            Self::ShapeOf(op) => op.compute(operands, shape),
            Self::Range(op) => op.compute(operands, shape),
        }
    }

    /// Replaces a symbol by its size in every attribute.
    pub(crate) fn substitute(&mut self, symbol: SymbolId, value: u64) -> Result<(), DimError> {
        let replace = |dim: &mut Dim| -> Result<(), DimError> {
            *dim = dim.substitute(symbol, value)?;
            Ok(())
        };
        match self {
            Self::Reshape(op) => op.shape.iter_mut().try_for_each(replace),
            Self::Expand(op) => op.shape.iter_mut().try_for_each(replace),
            Self::Slice(op) => op.axes.iter_mut().try_for_each(|axis| replace(&mut axis.count)),
            Self::Resize(op) => op.axes.iter_mut().try_for_each(|axis| replace(&mut axis.size)),
            Self::Elementwise(_)
            | Self::MatMul(_)
            | Self::Attention(_)
            | Self::Conv(_)
            | Self::ConvTranspose(_)
            | Self::Pool(_)
            | Self::Pad(_)
            | Self::GroupNorm(_)
            | Self::Reduce(_)
            | Self::Softmax(_)
            | Self::LayerNorm(_)
            | Self::RmsNorm(_)
            | Self::Rotary(_)
            | Self::Transpose(_)
            | Self::Concat(_)
            | Self::Gather(_)
            | Self::GatherNd(_)
            | Self::GatherElements(_)
            | Self::ScatterElements(_)
            | Self::ScatterNd(_)
            | Self::WriteRows(_)
            | Self::ArgReduce(_)
            | Self::TopK(_)
            | Self::Suppress(_)
            | Self::CumSum(_)
            | Self::ShapeOf(_)
            | Self::Range(_) => Ok(()),
        }
    }
}

fn show_arity(arity: &RangeInclusive<usize>) -> String {
    match (*arity.start(), *arity.end()) {
        (low, high) if low == high => low.to_string(),
        (low, usize::MAX) => format!("at least {low}"),
        (low, high) => format!("{low} to {high}"),
    }
}

#[cfg(test)]
mod tests;
