//! Conformance suite, whole-program tests and tidy checks: the one crate that sees everything.
//!
//! [`cases`] is the list of kernels to be proved; [`conformance`] runs a case on a device and in the evaluator and
//! compares; [`graphs`] does so with random graphs. [`mutants`] damages bundles in known ways and counts how far they
//! come; [`model_mutants`] does so with models. [`opencl`] executes OpenCL C on PoCL, [`msl`] executes MSL on the processor,
//! [`chromium`] asks a browser whether WGSL is accepted; [`web`] is for the tests of the package for browsers; [`metal_check`] asks Apple's compiler
//! and device.

pub mod cases;
pub mod chromium;
pub mod command_line;
pub mod conformance;
pub mod graphs;
mod inputs;
pub mod metal_check;
pub mod model_mutants;
pub mod msl;
pub mod mutants;
pub mod opencl;
pub mod web;
