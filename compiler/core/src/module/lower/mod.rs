//! Lowerings: the same kernel for devices that lack a feature.

mod arguments;
mod coop_to_loops;
mod f16_storage;
mod grid;
mod matrix;

pub use coop_to_loops::coop_to_loops;
pub use f16_storage::{OneF16, f16_storage_only};
pub use grid::{FoldedGrid, fold_grid};
