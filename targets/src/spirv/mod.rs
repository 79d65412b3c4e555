//! SPIR-V for Vulkan: naga's writer, then passes over its words for what naga cannot say or says wrongly, then
//! SPIRV-Tools.

mod array_stride;
mod capabilities;
mod environment;
#[cfg(feature = "spirv-tools")]
mod float_controls;
mod image_buffer;
mod memory_model;
#[cfg(all(test, feature = "spirv-tools"))]
mod testing;
#[cfg(feature = "spirv-tools")]
mod tools;
mod words;

use std::collections::BTreeSet;

use naga::back::spv;
use naga::proc::BoundsCheckPolicies;
use naga::valid::ModuleInfo;
use naga::{Module, ShaderStage};

use crate::{Code, EmitError, Emitted, Feature, Options, Target, bindings};
use environment::Environment;
use words::Words;

#[cfg(feature = "spirv-tools")]
pub use tools::{assemble, disassemble, validate_words};

pub(crate) fn emit(
    module: &Module,
    info: &ModuleInfo,
    features: BTreeSet<Feature>,
    options: &Options,
) -> Result<Emitted, EmitError> {
    let environment = Environment::lowest_with(&features);
    let written = repair(write(module, info, environment)?)?;
    let (words, validated) = finish(written, environment, options)?;
    Ok(Emitted {
        target: Target::Vulkan,
        entry_point: module.entry_points[0].name.clone(),
        code: Code::SpirV(words),
        bindings: bindings::as_declared(module),
        features,
        validated,
    })
}

/// naga's words, with debug names.
fn write(module: &Module, info: &ModuleInfo, environment: Environment) -> Result<Vec<u32>, EmitError> {
    let options = spv::Options {
        lang_version: environment.spirv_version(),
        flags: spv::WriterFlags::DEBUG,
        fake_missing_bindings: false,
        binding_map: binding_map(module),
        bounds_check_policies: BoundsCheckPolicies::default(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        // Compute kernels have no inputs or outputs of 16 bits, and drivers without the feature refuse the capability.
        use_storage_input_output_16: false,
        ..spv::Options::default()
    };
    let entry_point = module.entry_points[0].name.clone();
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point };
    spv::write_vec(module, info, &options, Some(&pipeline)).map_err(EmitError::SpirV)
}

fn binding_map(module: &Module) -> spv::BindingMap {
    module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| variable.binding)
        .map(|at| {
            let to =
                spv::BindingInfo { descriptor_set: at.group, binding: at.binding, binding_array_size: None };
            (at, to)
        })
        .collect()
}

/// Every pass over naga's words. Each leaves alone what it is not about.
fn repair(words: Vec<u32>) -> Result<Vec<u32>, EmitError> {
    let mut words = Words::parse(&words);
    array_stride::keep_to_buffers(&mut words)?;
    image_buffer::from_1d_images(&mut words);
    memory_model::share_memory(&mut words);
    capabilities::drop_unused_16bit_storage(&mut words);
    Ok(words.into_words())
}

#[cfg(feature = "spirv-tools")]
fn finish(
    words: Vec<u32>,
    environment: Environment,
    options: &Options,
) -> Result<(Vec<u32>, bool), EmitError> {
    tools::validate(&words, environment, "as written")?;
    if !options.optimize {
        return Ok((words, true));
    }
    let optimized = float_controls::while_kept(&words, |words| tools::optimize(words, environment))?;
    tools::validate(&optimized, environment, "after optimisation")?;
    Ok((optimized, true))
}

#[cfg(not(feature = "spirv-tools"))]
#[expect(clippy::unnecessary_wraps, reason = "has the signature of the checked build")]
fn finish(words: Vec<u32>, _: Environment, _: &Options) -> Result<(Vec<u32>, bool), EmitError> {
    Ok((words, false))
}
