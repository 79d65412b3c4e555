//! Walks SPIR-V once: a module that passes is one that drivers can take without checks of their own.
//!
//! Vulkan does not ask a driver to check a module, and several crash on a bad one. The walk knows the instructions that
//! kernels of this project are made of and refuses all others. It checks lengths, the order of sections, ids, types,
//! the structure of control flow and the storage of every access; whether an index is in bounds at run time, whether
//! loops end and whether invocations meet at barriers is not decided by it. Its work and memory grow with the length of the module.

mod body;
mod decorations;
mod ext;
mod flaw;
mod flow;
mod ids;
mod interface;
mod memory;
mod module;
mod op;
mod rules;
mod structure;
mod subgroup;
mod types;
mod words;

pub use flaw::SpirvFlaw;

use crate::code::Declared;

/// Checks a module and returns what it declares.
pub(crate) fn read(code: &[u8]) -> Result<Declared, SpirvFlaw> {
    interface::of(&module::walk(&words::Words::read(code)?)?)
}
