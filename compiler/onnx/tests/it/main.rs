//! What drift-onnx promises, tested from outside.
//!
//! `onnx-protobuf`, which shares no code with our decoder, writes the models of these tests. Helpers beside the tests
//! unwrap freely, which clippy allows below `cfg(test)` only.
#![cfg(test)]

mod bind;
mod bombs;
mod bounds;
mod build;
mod cases;
mod compositions;
mod cut;
mod dims;
mod external;
mod extract;
mod hostile;
mod language;
mod memory;
mod names;
mod random;
mod refusals;
mod structure;
mod tensors;
