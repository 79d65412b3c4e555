//! Why a rule saw its pattern and left the graph as it was.

use drift_ir::graph::EditError;
use drift_ir::op::InferError;
use drift_ir::tensor::TensorError;
use drift_ir::{ElementType, Graph, ValueId};
use thiserror::Error;

/// Why a rule saw its pattern and did not rewrite it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Declined {
    /// Others still need the value.
    #[error("`{value}` has {users} users")]
    SeveralUsers {
        /// The value that would disappear.
        value: String,
        /// Nodes that read it.
        users: usize,
    },
    /// The value is a result of the model.
    #[error("`{value}` is a graph output")]
    GraphOutput {
        /// The value that would disappear.
        value: String,
    },
    /// Shapes that would have to be equal.
    #[error("{expected} is needed, the producer makes {found}")]
    ShapeDiffers {
        /// Shape that the rewrite needs.
        expected: String,
        /// Shape there is.
        found: String,
    },
    /// A constant would become much larger than what it is made from.
    #[error("the folded constant would take {bytes} bytes, more than {limit}")]
    WouldGrow {
        /// Bytes of the result.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A shape that depends on free dims.
    #[error("`{value}` has a free dim; pass --dim NAME=SIZE")]
    FreeDim {
        /// The value.
        value: String,
    },
    /// The evaluator refused a constant expression.
    #[error("cannot be evaluated: {why}")]
    CannotEvaluate {
        /// The evaluator's words.
        why: String,
    },
    /// A constant beyond what its type holds.
    #[error("a constant would leave the range of {element}")]
    OutOfRange {
        /// The type.
        element: &'static str,
    },
    /// A constant that cannot be made.
    #[error(transparent)]
    Constant(#[from] TensorError),
    /// An edit that the graph refuses, because a node would no longer be well typed, or a value would change its type.
    #[error("the graph refuses the rewrite: {0}")]
    Refused(#[from] EditError),
    /// An op that writes its result without an epilogue.
    #[error("{op} takes no epilogue")]
    NoEpilogue {
        /// The producer's op.
        op: &'static str,
    },
    /// An operand that repeats along some of the axes that a kernel writes as one coordinate.
    #[error("`{value}` broadcasts along a part of the axes that {op} writes as one")]
    PartialBroadcast {
        /// The operand.
        value: String,
        /// The producer's op.
        op: &'static str,
    },
    /// An element type that the rewrite cannot carry.
    #[error("element type {element} is not carried through this rewrite")]
    ElementType {
        /// The type.
        element: &'static str,
    },
    /// Something that would have to be made is too large.
    #[error("{what} is too large")]
    TooLarge {
        /// What.
        what: &'static str,
    },
    /// Products of integers that no part of fits where it is exact.
    #[error("a sum of {terms} products of integers up to {} and {} may be beyond 2^24, up to which f32 holds integers",
        magnitudes[0], magnitudes[1])]
    InexactSum {
        /// Products that cannot be parted.
        terms: u64,
        /// The largest magnitudes of both operands.
        magnitudes: [u64; 2],
    },
    /// More steps than an epilogue takes.
    #[error("{steps} steps, at most {limit} make one epilogue")]
    TooManySteps {
        /// Steps after the rewrite.
        steps: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// More operands than a dispatch can bind.
    #[error("{operands} extra operands, at most {limit} fit into a dispatch")]
    TooManyOperands {
        /// Operands after the rewrite.
        operands: usize,
        /// Most that are allowed.
        limit: usize,
    },
}

impl From<InferError> for Declined {
    fn from(error: InferError) -> Self {
        Self::Refused(error.into())
    }
}

impl Declined {
    /// Shapes that would have to be equal.
    pub(crate) fn shape(graph: &Graph, expected: ValueId, found: ValueId) -> Self {
        let text = |value: ValueId| graph.value(value).ty.display(&graph.symbols).to_string();
        Self::ShapeDiffers { expected: text(expected), found: text(found) }
    }

    /// An element type that the rewrite cannot carry.
    pub(crate) const fn element(element: ElementType) -> Self {
        Self::ElementType { element: element.name() }
    }
}
