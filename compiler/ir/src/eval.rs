//! The reference evaluator: plain CPU code, the constant folder's engine and the oracle of every numeric test.
//!
//! Floats are computed in f32 (f64 for f64): each scalar step in f64, rounded to f32; products, convolutions,
//! reductions and statistics accumulate in f64. A node's result is rounded to its element type once, after the
//! epilogue, which works on the un-rounded value. Integers wrap, integer division truncates, f16 is rounded to
//! nearest even. Float to integer casts truncate and saturate. Nothing is allocated whose size was not checked.

mod run;

pub use crate::op::eval::{Limits, eval_op, work_of};
pub use crate::op::eval_error::EvalErrorKind;
pub use run::{bound, run, run_observed, run_with};

use crate::graph::{EditError, Graph, Node};
use crate::op::eval::{eval_fused, work};
use crate::tensor::{Tensor, TensorType};

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

/// Elementary steps that the evaluation of a node takes, to within a small factor: multiplications, taps under windows,
/// elements that are moved. Free sizes give the largest number.
pub fn steps_of(graph: &Graph, node: &Node) -> u64 {
    let types: Vec<TensorType> = node.operands().map(|operand| graph.value(operand).ty.clone()).collect();
    let elements = |&value| graph.value(value).ty.static_element_count().unwrap_or(u64::MAX);
    work::of(&node.op, &node.epilogue, &types, node.outputs.first().map_or(0, elements))
}

#[cfg(test)]
mod tests;
