//! ONNX bytes to drift-ir.
//!
//! [`ModelSource`] maps a model and the data files beside it, [`import`] turns it into a graph. [`inputs`] and
//! [`outputs`] list what the file declares, [`infer_dims_from_inputs`] binds free dimensions to the shapes of data,
//! [`default_dims`] says what becomes of the others, [`ModelSource::bind`] makes an input a constant, [`ModelSource::cut`] leaves a part of the model, and [`read_tensor_pb`] and [`write_tensor_pb`] serve the tensors of the ONNX backend-test layout.
//!
//! Files are not trusted: whatever their bytes are, the result is a graph or an error that names the node or tensor.
//! There is one function per operator, in `ops`, listed in one table; what differs between operator sets stands in its
//! documentation. What the compiler makes of the graph is not known here.

mod attributes;
mod bind;
mod bodies;
mod bounds;
mod branches;
mod budget;
mod cache;
mod counts;
mod cut;
mod cut_error;
mod data_type;
mod dims;
mod error;
mod extract;
mod formula;
mod free;
mod import;
mod importer;
mod interface;
mod loops;
mod map;
mod names;
mod node;
mod operators;
mod ops;
mod order;
mod padded;
mod proto;
mod scans;
mod schemas;
mod scope;
mod sequence;
mod sequence_map;
mod source;
mod states;
mod summary;
mod tensor;
mod unknown;
mod walk;
mod warning;
mod wire;

pub use bind::sizing_inputs;
pub use budget::Exceeded;
pub use cache::{cache_dim, follows, head_sizes, rows_axis};
pub use cut::{Cut, CutInput};
pub use cut_error::CutError;
pub use error::{FreeDim, ImportError, NodeError, UnsupportedNode};
pub use extract::{NodeLabel, ValueTypes};
pub use formula::Formula;
pub use free::default_dims;
pub use import::{ImportOptions, Imported, Logits, import};
pub use interface::{
    DeclaredDim, DimBinding, Port, boundary_names, free_dims, infer_dims_from_inputs, inputs, outputs, sizes,
};
pub use operators::{OperatorStatus, OperatorSupport, operators, operators_page};
pub use source::{ExternalError, ModelSource, SourceError};
pub use summary::{ModelSummary, summary};
pub use tensor::{TensorError, TensorReason, read_host_tensor_pb, read_tensor_pb, write_tensor_pb};
pub use warning::Warning;
pub use wire::WireError;
