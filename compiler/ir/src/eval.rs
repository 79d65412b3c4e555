//! The reference evaluator: plain CPU code, the constant folder's engine and the oracle of every numeric test.
//!
//! Floats are computed in f32 (f64 for f64): each scalar step in f64, rounded to f32; products, convolutions,
//! reductions and statistics accumulate in f64. A node's result is rounded to its element type once, after the
//! epilogue, which works on the un-rounded value. Integers wrap, integer division truncates, f16 is rounded to
//! nearest even. Float to integer casts truncate and saturate. Nothing is allocated whose size was not checked.

mod run;

pub use crate::op::eval::{Limits, eval_op, work_of};
pub use crate::op::eval_error::EvalErrorKind;
pub use run::{run, run_observed, run_with};

use crate::graph::{EditError, Node};
use crate::op::eval::eval_fused;
use crate::tensor::Tensor;

/// Why a graph cannot be evaluated on these inputs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A node failed.
    #[error("node `{node}` ({op}): {kind}")]
    Node {
        /// Its name in the model.
        node: String,
        /// Its op.
        op: &'static str,
        /// What went wrong.
        #[source]
        kind: Box<EvalErrorKind>,
    },
    /// The number of tensors is not the number of graph inputs.
    #[error("the graph has {expected} inputs, {actual} tensors were given")]
    InputCount {
        /// Graph inputs.
        expected: usize,
        /// Tensors.
        actual: usize,
    },
    /// A tensor does not fit its graph input.
    #[error("input `{name}` is {expected}, the tensor is {actual}")]
    Input {
        /// The graph input.
        name: String,
        /// Its type.
        expected: String,
        /// The tensor's.
        actual: String,
    },
    /// The sizes of the inputs leave a free dim without a value.
    #[error("free dim `{0}` is no input's size, so it has no value; bind it with --dim")]
    FreeDim(String),
    /// The sizes of the inputs do not fit the graph.
    #[error("the sizes of the inputs do not fit the graph: {0}")]
    Sizes(#[from] EditError),
}

/// Computes a node's results. `operands` are its inputs, then its epilogue's operands.
pub fn eval_node(node: &Node, operands: &[&Tensor], limits: Limits) -> Result<Vec<Tensor>, EvalError> {
    eval_fused(&node.op, &node.epilogue, operands, limits).map_err(|kind| EvalError::Node {
        node: node.name.clone(),
        op: node.op.name(),
        kind: Box::new(kind),
    })
}

#[cfg(test)]
mod tests;
