//! driftc's passes, layouts, kernels, memory and emission: a library without GPU or runtime.
//!
//! [`pipeline`] is the table of contents. Modules import downwards only: `pipeline > simplify, fuse > narrow > expand, projections > emit > select >
//! layout > program > kernel > module > memory`, over the shared vocabulary of [`physical`] and [`profile`].

pub mod emit;
pub mod expand;
pub mod fuse;
pub mod kernel;
pub mod layout;
pub mod memory;
pub mod module;
pub mod narrow;
pub mod physical;
pub mod pipeline;
pub mod profile;
pub mod program;
pub mod projections;
mod ranges;
pub mod select;
pub mod simplify;
pub mod technique;

pub use layout::{LayoutChoice, Precision};
pub use physical::weights::{WeightsChoice, WeightsObject, WeightsOrder};
pub use pipeline::{
    CompileError, CompileOptions, CompileReport, Compiled, DispatchReport, EntryModel, MAIN_ENTRY,
    ModelIdentity, RuleReport, Stage, VariantReport, WeightsPrecision, compile, compile_entries, emit_stage,
};
