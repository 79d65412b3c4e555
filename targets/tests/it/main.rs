//! Everything that `drift-targets` promises about whole modules: its text, its refusals, and what outside tools say.

mod cases;
mod goldens;
mod metal;
mod refusals;
mod spirv;
mod webgpu;
