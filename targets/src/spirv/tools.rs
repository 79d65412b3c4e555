//! SPIRV-Tools: validates what we wrote, optimises it, and disassembles it for people.

use spirv_tools::TargetEnv;
use spirv_tools::assembler::{self, Assembler as _, AssemblerOptions, DisassembleOptions};
use spirv_tools::error::{Error, Message};
use spirv_tools::opt::{self, Optimizer as _};
use spirv_tools::val::{self, Validator as _};

use super::environment::Environment;
use crate::EmitError;

fn target_env(environment: Environment) -> TargetEnv {
    match environment {
        Environment::Vulkan1_1 => TargetEnv::Vulkan_1_1,
        Environment::Vulkan1_2 => TargetEnv::Vulkan_1_2,
    }
}

/// Checks `words` against the rules of `environment`.
pub(super) fn validate(words: &[u32], environment: Environment, when: &'static str) -> Result<(), EmitError> {
    val::create(Some(target_env(environment))).validate(words, None).map_err(|error| {
        EmitError::InvalidSpirV { when, environment: environment.name(), message: message(&error) }
    })
}

/// Runs the passes that make `words` faster.
pub(super) fn optimize(words: &[u32], environment: Environment) -> Result<Vec<u32>, EmitError> {
    let mut optimizer = opt::create(Some(target_env(environment)));
    optimizer.register_performance_passes();
    let mut said = Vec::new();
    let optimized =
        optimizer.optimize(words, &mut |one: Message| said.push(one.message), None).map_err(|error| {
            EmitError::Optimizer { message: [said.as_slice(), &[message(&error)]].concat().join("; ") }
        })?;
    Ok(optimized.as_words().to_vec())
}

/// Why SPIRV-Tools finds that `words` is no module that Vulkan takes, if it does.
///
/// # Errors
/// When it is not one, by the rules of Vulkan 1.2.
pub fn validate_words(words: &[u32]) -> Result<(), EmitError> {
    validate(words, Environment::Vulkan1_2, "as given")
}

/// The assembly text of a SPIR-V module, with the names of its variables.
///
/// # Errors
/// When `words` is not a module.
pub fn disassemble(words: &[u32]) -> Result<String, EmitError> {
    let options = DisassembleOptions {
        no_header: true,
        comment: false,
        indent: false,
        ..DisassembleOptions::default()
    };
    let text = assembler::create(Some(TargetEnv::Vulkan_1_3)).disassemble(words, options);
    Ok(text.map_err(|error| EmitError::NotSpirV { message: message(&error) })?.unwrap_or_default())
}

/// The words of a module in assembly text, as SPIR-V 1.3.
///
/// # Errors
/// When the text is none.
pub fn assemble(text: &str) -> Result<Vec<u32>, EmitError> {
    let words = assembler::create(Some(TargetEnv::Vulkan_1_1)).assemble(text, AssemblerOptions::default());
    let words = words.map_err(|error| EmitError::NotSpirV { message: message(&error) })?;
    Ok(words.as_words().to_vec())
}

fn message(error: &Error) -> String {
    error.diagnostic.as_ref().map_or_else(|| error.inner.to_string(), |diagnostic| diagnostic.message.clone())
}
