//! Emitted MSL, executed on the processor: whole models, kernels that are not what they should be, and what no kernel of
//! the suite uses yet. The suite itself is in `kernels.rs`.

mod faults;
mod models;
mod self_test;
mod sizes;
mod words;
