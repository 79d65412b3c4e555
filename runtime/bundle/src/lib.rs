//! The shipped format: types, writer, validating reader. No GPU, no naga.
//!
//! [`BundleWriter`] makes a bundle and refuses to write an invalid one; [`Bundle`] opens one and refuses to
//! read an invalid one. Both call the same [`validate`], so whoever holds a [`Bundle`] may index with what
//! its manifest says. The bytes are described in `docs/bundle-format.md`. What a *device* can do is checked
//! by the runtime.

mod code;
mod codec;
mod contents;
mod error;
mod format;
pub mod limits;
pub mod manifest;
mod map;
mod reader;
pub mod self_test;
mod small;
mod source;
mod spirv;
mod stream;
#[cfg(feature = "stub")]
pub mod stub;
mod threads;
mod validate;
mod weight_reader;
mod weights;
mod writer;

pub use code::ShaderFlaw;
pub use contents::Contents;
pub use error::{BundleError, Flaw, Section};
pub use format::{ALIGNMENT_BYTES, FORMAT_VERSION, MAGIC};
pub use reader::Bundle;
pub use spirv::SpirvFlaw;
pub use stream::{StreamReader, Streamed};
pub use threads::on_several;
pub use validate::{SectionBytes, validate};
pub use weight_reader::WeightReader;
pub use weights::WeightSource;
pub use writer::BundleWriter;
