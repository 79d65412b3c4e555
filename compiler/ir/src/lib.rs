//! driftc's graph language: graph, ops, symbolic dims, shape inference, verifier, text form and reference evaluator.
//!
//! A [`Graph`] is a pair of typed arenas. Nodes hold a closed [`op::Op`]; operand order and multiple results are first
//! class. The crate does no I/O and knows no ONNX, no GPU and no layout. [`eval`] is both the constant folder's engine
//! and the oracle of every numeric test.

pub mod dim;
pub mod eval;
pub mod graph;
mod host_form;
mod id;
pub mod op;
mod small_float;
pub mod tensor;
pub mod text;
pub mod verify;
pub mod view;

pub use dim::{Dim, SymbolId, Symbols};
pub use graph::{Graph, Node, NodeId, Value, ValueDef, ValueId};
pub use host_form::HostForm;
pub use op::{InferError, Op};
pub use small_float::{SmallFloat, SmallRounding};
pub use tensor::{ElementType, Tensor, TensorType};
