//! driftc's passes, layouts, kernels, memory and emission: a library without GPU or runtime.
//!
//! [`pipeline`] is the table of contents. Modules import downwards only: `pipeline > stage, report > options > simplify, fuse > narrow > ranges > expand,
//! projections > emit > plan > select > layout > program > kernel > module > memory`, over the shared vocabulary of [`physical`] and
//! [`profile`].

pub mod emit;
mod error;
pub mod expand;
pub mod fuse;
pub mod kernel;
pub mod layout;
pub mod memory;
pub mod module;
pub mod narrow;
pub mod options;
pub mod physical;
pub mod pipeline;
pub mod plan;
pub mod profile;
pub mod program;
pub mod projections;
mod ranges;
pub mod report;
pub mod select;
pub mod simplify;
pub mod stage;
pub mod technique;

pub use error::CompileError;
pub use layout::{LayoutChoice, Precision};
pub use options::{CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity, WeightsPrecision};
pub use physical::weights::{WeightsChoice, WeightsObject, WeightsOrder};
pub use pipeline::{Compiled, compile, compile_entries, emit_stage};
pub use report::{CompileReport, DispatchReport, RuleReport, VariantReport};
pub use stage::Stage;
