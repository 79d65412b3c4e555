//! How the evaluation of a node fails.

use super::infer::InferErrorKind;
use crate::dim::DimError;
use crate::tensor::TensorError;

/// What went wrong in a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalErrorKind {
    /// Operands or attributes that inference refuses.
    #[error(transparent)]
    Infer(#[from] InferErrorKind),
    /// A size still depends on a free dim.
    #[error("the result's shape depends on free dims; bind them with --dim")]
    FreeDim,
    /// The result is larger than the limit.
    #[error("the result has {elements} elements, the evaluator's limit is {limit}")]
    Limit {
        /// Elements of the result.
        elements: u64,
        /// Elements allowed.
        limit: u64,
    },
    /// The node would take longer than the limit.
    #[error("the node takes {steps} steps, the evaluator's limit is {limit}")]
    Work {
        /// Elementary steps.
        steps: u64,
        /// Steps allowed.
        limit: u64,
    },
    /// An index is outside its axis.
    #[error("index {index} is outside axis {axis} of size {size}")]
    Index {
        /// The index.
        index: i64,
        /// The axis of the data.
        axis: usize,
        /// Its size.
        size: u64,
    },
    /// Integers whose sums of products the evaluator does not hold exactly.
    #[error("sums of these integers' products may be beyond 2^53, up to which the evaluator is exact")]
    InexactSum,
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Shape arithmetic failed.
    #[error(transparent)]
    Dim(#[from] DimError),
}
