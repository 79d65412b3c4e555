//! The graph as text: a printer and a parser that agree exactly.
//!
//! ```text
//! graph "mobilenet"                                  // optional name
//! symbol batch: 1..8                                 // free dim and bounds; `1..` has no upper one
//! %x: f32[batch,3,224,224]                           // graph input
//! @w: f32[2,2] = [1.0, 2.0, 3.0, 4.0]                // constant, row-major
//! @z: f32[4,5] = splat(0.5)                          // every element the same
//! @r: f16[8,8] = random(7)                           // reproducible pattern from a seed, for tests
//! @s: i64[] = 3                                      // rank 0
//! @q: f16[8,64] = blocks(bits=4, size=32, numbers=[..], scales=f16[..], zeros=8)   // quantized weights; `turned_blocks`: of columns
//! %1: f32[batch,8,112,112] = conv %x, @w {strides=[2,2], pads=[1,1,1,1], dilations=[1,1], groups=1}
//!     epilogue(add @b; relu) as "conv1" from ["Conv_0", "Relu_1"]
//! return %1
//! state %cache = %next                               // `next` is what `cache` holds in the next run
//! ```
//!
//! - Line breaks mean nothing; `//` starts a comment. Names that are not letters, digits and `_` are quoted: `%"a/b:0"`.
//! - `%` names inputs and results, `@` constants. All share one name space and are defined before they are used.
//! - A result's type may be left out; one that is given must be the inferred one.
//! - Sizes are `+ - *`, `floor_div(a,b)`, `min(a,b)`, `max(a,b)` and parentheses over integers and free dims. A dim that no `symbol`
//!   line declares is free from 0 on.
//! - An epilogue is a list of steps. The arguments of a step are values, constants, `result` (what the op gives) and
//!   `stepN`. A step with one argument too few takes the value so far as its first. Where values alone do not say in
//!   which order the epilogue holds its operands, they are listed: `epilogue[%a, %b](add operand1)`.
//! - `as` names a node that is not called like its first result; `from` lists the model's nodes that it stands for.
//! - Numbers print in their shortest exact form; a NaN other than the usual one prints as its bits in hexadecimal.
//! - Attributes that may be left out: conv `strides`, `dilations`, `groups` (1), `pads` (0); slice `steps` (1);
//!   matmul `transpose_b` and reduce `keep_dims` (false); gather_nd `batch_dims` (0).

mod attributes;
mod dims;
mod lexer;
mod literal;
mod parser;
mod printer;

pub use parser::parse;
pub use printer::{PrintOptions, print, print_with};

use crate::dim::DimError;
use crate::graph::EditError;
use crate::op::InferError;
use crate::tensor::TensorError;

/// Where and why text is not a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    #[source]
    pub kind: Box<ParseErrorKind>,
}

/// What is wrong with a piece of text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What would have been right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A name that nothing defines.
    #[error("`{0}` is not defined above")]
    UnknownValue(String),
    /// There is no such op.
    #[error("there is no op `{0}`")]
    UnknownOp(String),
    /// An attribute is missing, unknown, given twice or malformed.
    #[error("attribute `{name}` {problem}")]
    Attribute {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A number does not fit its type.
    #[error("`{text}` is no {wanted}")]
    Number {
        /// The number as written.
        text: String,
        /// The type.
        wanted: &'static str,
    },
    /// A list has the wrong number of elements.
    #[error("the constant has {expected} elements, {actual} are written")]
    Length {
        /// Elements of the type.
        expected: u64,
        /// Elements written.
        actual: u64,
    },
    /// A pattern would fill more memory than text is meant for.
    #[error("a constant of {0} elements is too large to be made from a pattern")]
    TooLarge(String),
    /// The written type is not the inferred one.
    #[error("the result is {inferred}, not {written}")]
    Type {
        /// The written type.
        written: String,
        /// The inferred type.
        inferred: String,
    },
    /// A node's operands or attributes do not fit.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A name is taken, or a state does not pair.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A size cannot be computed.
    #[error(transparent)]
    Dim(#[from] DimError),
    /// A constant cannot be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

#[cfg(test)]
mod tests;
