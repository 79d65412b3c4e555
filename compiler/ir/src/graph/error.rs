//! Why an edit of a graph is refused.

use super::ValueId;
use crate::dim::DimError;
use crate::op::infer::{InferError, TooLarge};

/// Why an edit was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Two values would have one name.
    #[error("the name `{0}` is taken by another value; ask the graph for a unique one")]
    NameTaken(String),
    /// An id of a removed value, or of another graph.
    #[error("{0:?} is not a value of this graph")]
    UnknownValue(ValueId),
    /// A type could not be addressed.
    #[error("`{name}`: {problem}")]
    TooLarge {
        /// The value.
        name: String,
        /// Its type, and what to do.
        problem: TooLarge,
    },
    /// A node would no longer be well typed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A value that others read, or that is a result of the model, would get another type.
    #[error("`{value}` is {before}, which the edit would change to {after}")]
    TypeChanged {
        /// The value.
        value: String,
        /// Its type.
        before: String,
        /// What the edit makes of it.
        after: String,
    },
    /// A dim would leave its bounds, or become negative.
    #[error(transparent)]
    Dim(#[from] DimError),
    /// A result of the node is read by another node or is a graph output.
    #[error("node `{node}` cannot be removed: `{value}` is still used")]
    StillUsed {
        /// The node.
        node: String,
        /// Its result.
        value: String,
    },
    /// A node would run after one of its users.
    #[error("node `{node}` cannot move before `{anchor}`: `{value}` is computed later or read earlier")]
    Order {
        /// The node.
        node: String,
        /// Where it was to go.
        anchor: String,
        /// The value in the way.
        value: String,
    },
    /// The value is not a graph input.
    #[error("`{0}` is not a graph input, so it cannot hold state")]
    NotAnInput(String),
    /// The value is not a graph output.
    #[error("`{0}` is not a graph output, so it cannot update state")]
    NotAnOutput(String),
    /// An output that updates a state cannot be dropped.
    #[error("output `{output}` updates a state and must stay an output")]
    StateOutput {
        /// The output.
        output: String,
    },
    /// A state's two values differ in type, or one is in a pair already.
    #[error(
        "input `{input}` ({input_type}) and output `{output}` ({output_type}) cannot be one state; types must be equal, and each is in one pair at most"
    )]
    StatePair {
        /// The input.
        input: String,
        /// Its type.
        input_type: String,
        /// The output.
        output: String,
        /// Its type.
        output_type: String,
    },
}

impl EditError {
    /// Whether an edit that a pass made is to blame: all but sizes that nothing can hold.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::TooLarge { .. })
    }
}
