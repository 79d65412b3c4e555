//! driftc's passes, layouts, kernels, memory and emission: a library without GPU or runtime.
//!
//! [`pipeline`] is the table of contents. Modules import downwards only: `pipeline > stage, report > options > rewrite > narrow,
//! quantize, tie > mixed > ranges > self_test > emit > plan > select > estimate > layout > program > kernel > module > memory`, over the shared vocabulary of [`physical`] and
//! [`profile`].

pub mod emit;
mod error;
pub mod estimate;
pub mod kernel;
pub mod layout;
pub mod memory;
pub mod mixed;
pub mod module;
pub mod narrow;
pub mod options;
pub mod physical;
pub mod pipeline;
pub mod plan;
pub mod profile;
pub mod program;
pub mod quantize;
mod ranges;
pub mod report;
pub mod rewrite;
pub mod select;
pub mod self_test;
pub mod stage;
pub mod technique;
mod tie;

pub use error::CompileError;
pub use layout::{LayoutChoice, Precision};
pub use mixed::{CalibrationSet, KeptValue, Mixed, MixedReport};
pub use options::{CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity, WeightsPrecision};
pub use physical::weights::{WeightsChoice, WeightsOrder, WeightsStorage};
pub use pipeline::{Compiled, compile, compile_entries, compile_entries_with, emit_stage};
pub use report::{CompileReport, DispatchReport, RuleReport, VariantReport};
pub use stage::Stage;
