//! Differential testing of rewrites and kernels on random graphs.
//!
//! [`generate`] makes small graphs over all ops, element types, ranks and awkward sizes, among them the patterns that rules
//! look for. [`rewrites`] compares the evaluator's results before and after `simplify` and `fuse`; [`device`] compares a
//! device with the evaluator. What fails is made smaller by [`shrink`]; [`report`] counts what was run. The same seeds
//! give the same graphs everywhere.

pub mod campaign;
pub mod choices;
mod data_movement;
pub mod device;
pub mod effects;
pub mod findings;
pub mod generate;
pub mod isolate;
pub mod judge;
mod motifs;
mod ops;
pub mod reference;
pub mod report;
pub mod rewrites;
pub mod shrink;
pub mod values;
mod windows;
