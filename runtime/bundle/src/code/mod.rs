//! What a shader's code declares, held against what the manifest says of it.
//!
//! SPIR-V is walked whole (`spirv`); of the text languages the declarations are read (`text`), since drivers compile and check
//! the rest; of a compiled library of Metal's its container (`metallib`).

mod declared;
mod flaw;
mod metallib;
mod text;

pub use flaw::ShaderFlaw;

pub(crate) use declared::{Channel, Declared, Kind, Needs, Numbering, Resource, compare};

use crate::manifest::Target;
use crate::spirv;

/// Reads code written for `target`.
pub(crate) fn read(target: Target, code: &[u8]) -> Result<Declared, ShaderFlaw> {
    match target {
        Target::Vulkan => Ok(spirv::read(code)?),
        Target::Metal if metallib::is_one(code) => metallib::read(code),
        Target::Metal | Target::WebGpu | Target::OpenCl => {
            let code = str::from_utf8(code).map_err(|_| ShaderFlaw::NotText)?;
            text::read(target, code)
        }
    }
}
