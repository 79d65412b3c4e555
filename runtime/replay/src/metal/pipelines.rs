//! Compute pipelines, one for each shader in use, created on all processors at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dispatch2::DispatchData;
use drift_bundle::Bundle;
use drift_bundle::manifest::{Argument, Shader};
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2::sel;
use objc2_foundation::{NSArray, NSError, NSString};
use objc2_metal::{
    MTLBinding, MTLBindingAccess, MTLBindingType, MTLCompileOptions, MTLComputePipelineDescriptor,
    MTLComputePipelineReflection, MTLComputePipelineState, MTLDevice, MTLFunction, MTLLanguageVersion,
    MTLLibrary, MTLPipelineOption, MTLSize,
};

use super::archive::Archive;
use super::context::Context;
use super::words;
use crate::compile;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::metal_facts::{Reflected, disagreement, language_version};
use crate::program::Program;
use crate::report::CacheUse;

const DOING: &str = "compiling a kernel";

type State = Retained<ProtocolObject<dyn MTLComputePipelineState>>;
type Made = Result<(State, Option<Retained<MTLComputePipelineReflection>>), Retained<NSError>>;

/// The kernels of a program.
pub(crate) struct Pipelines {
    by_shader: BTreeMap<usize, Arc<Kernel>>,
}

/// What a dispatch needs of its shader.
pub(crate) struct Kernel {
    pub(crate) state: State,
    pub(crate) workgroup: MTLSize,
}

/// A kernel, with what an archive keeps it by.
pub(crate) struct Built {
    kernel: Arc<Kernel>,
    function: Retained<ProtocolObject<dyn MTLFunction>>,
    invocations: usize,
    /// Whether the archive had it.
    pub(crate) was_kept: bool,
}

impl Pipelines {
    /// Creates all pipelines of a program; `cache_dir` makes the next time fast.
    pub(crate) fn new(
        context: &Context,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Self, CacheUse), RuntimeError> {
        let archive = cache_dir.map(|folder| Archive::open(context, folder, program.bundle));
        let one = |index: usize| {
            let shader = &program.bundle.manifest().shaders[index];
            autoreleasepool(|_| Built::new(context, program.bundle, shader, archive.as_ref()))
        };
        let mut built = BTreeMap::new();
        for (index, result) in compile::all(&program.used_shaders(), deadline, one) {
            built.insert(index, result?);
        }
        let all: Vec<&Built> = built.values().collect();
        let used = archive.map_or(CacheUse::Off, |archive| archive.close(context, &all, deadline));
        let by_shader = built.into_iter().map(|(index, built)| (index, built.kernel)).collect();
        Ok((Self { by_shader }, used))
    }

    /// The kernel of a shader in use.
    pub(crate) fn of(&self, shader: u32) -> Arc<Kernel> {
        Arc::clone(&self.by_shader[&(shader as usize)])
    }
}

impl Built {
    fn new(
        context: &Context,
        bundle: &Bundle,
        shader: &Shader,
        archive: Option<&Archive>,
    ) -> Result<Self, RuntimeError> {
        let wrong = |code: String| RuntimeError::Driver {
            doing: DOING,
            code: format!("shader `{}`: {code}", shader.name),
        };
        let function = function(context, bundle, shader).map_err(wrong)?;
        let [width, height, depth] = shader.workgroup_size.map(|side| side as usize);
        let invocations = width * height * depth;
        // The arguments of a text have been read when the bundle was opened.
        let options = if shader.is_metal_library(bundle.shader_code(shader)) {
            MTLPipelineOption::BindingInfo
        } else {
            MTLPipelineOption::None
        };
        let (made, was_kept) = state(context, (&descriptor(&function, invocations), options), archive);
        let (state, reflection) = made.map_err(|error| wrong(words(&error)))?;
        check_limits(context, shader, &state).map_err(wrong)?;
        if options == MTLPipelineOption::BindingInfo
            && let Some(reflection) = reflection
            && let Some(disagreement) = disagreement(shader, &reflected(&reflection))
        {
            return Err(wrong(format!("the library is not what the manifest says: {disagreement}")));
        }
        let kernel = Arc::new(Kernel { state, workgroup: MTLSize { width, height, depth } });
        Ok(Self { kernel, function, invocations, was_kept })
    }

    /// What it is made of; an archive finds it by an equal one.
    pub(crate) fn descriptor(&self) -> Retained<MTLComputePipelineDescriptor> {
        descriptor(&self.function, self.invocations)
    }
}

fn descriptor(
    function: &ProtocolObject<dyn MTLFunction>,
    invocations: usize,
) -> Retained<MTLComputePipelineDescriptor> {
    let descriptor = MTLComputePipelineDescriptor::new();
    descriptor.setComputeFunction(Some(function));
    descriptor.setMaxTotalThreadsPerThreadgroup(invocations);
    descriptor
}

/// The kernel's function, from text or from what Apple's compiler has made of it.
fn function(
    context: &Context,
    bundle: &Bundle,
    shader: &Shader,
) -> Result<Retained<ProtocolObject<dyn MTLFunction>>, String> {
    let code = bundle.shader_code(shader);
    let library = if shader.is_metal_library(code) {
        context.device.newLibraryWithData_error(&DispatchData::from_bytes(code))
    } else {
        let text = str::from_utf8(code).map_err(|_| "it is not UTF-8".to_owned())?;
        context.device.newLibraryWithSource_options_error(&NSString::from_str(text), Some(&options(text)))
    };
    let library = library.map_err(|error| words(&error))?;
    let function = library.newFunctionWithName(&NSString::from_str(&shader.entry_point));
    function.ok_or_else(|| format!("it has no kernel `{}`", shader.entry_point))
}

/// No float is assumed to be finite and no sum is reordered, whatever the compiler takes of the text's own words on that.
fn options(text: &str) -> Retained<MTLCompileOptions> {
    let options = MTLCompileOptions::new();
    #[expect(deprecated, reason = "systems before macOS 15 and iOS 18 have no other")]
    options.setFastMathEnabled(false);
    if let Some((major, minor)) = language_version(text) {
        options.setLanguageVersion(MTLLanguageVersion((usize::from(major) << 16) + usize::from(minor)));
    }
    options
}

/// Creates a pipeline, and says whether the archive had it.
fn state(
    context: &Context,
    (descriptor, options): (&MTLComputePipelineDescriptor, MTLPipelineOption),
    archive: Option<&Archive>,
) -> (Made, bool) {
    if let Some(kept) = archive.and_then(Archive::kept) {
        descriptor.setBinaryArchives(Some(&NSArray::from_slice(&[&**kept])));
        if let Ok(made) = create(context, descriptor, options | MTLPipelineOption::FailOnBinaryArchiveMiss) {
            return (Ok(made), true);
        }
        descriptor.setBinaryArchives(None);
    }
    (create(context, descriptor, options), false)
}

fn create(context: &Context, descriptor: &MTLComputePipelineDescriptor, options: MTLPipelineOption) -> Made {
    let mut reflection = None;
    let state = context.device.newComputePipelineStateWithDescriptor_options_reflection_error(
        descriptor,
        options,
        Some(&mut reflection),
    )?;
    Ok((state, reflection))
}

/// How many invocations a kernel may have depends on the registers that it takes, which the compiler decides.
fn check_limits(
    context: &Context,
    shader: &Shader,
    state: &ProtocolObject<dyn MTLComputePipelineState>,
) -> Result<(), String> {
    let textures = context.info.limits.sampled_images;
    let beyond = |argument: &Argument| matches!(argument, Argument::Texture(index) if *index >= textures);
    if let Some(argument) = shader.metal_arguments().iter().find(|argument| beyond(argument)) {
        return Err(format!("it has {argument}, and the device {textures} textures"));
    }
    let needed = shader.workgroup_size.iter().map(|side| *side as usize).product::<usize>();
    let most = state.maxTotalThreadsPerThreadgroup();
    if needed > most {
        return Err(format!(
            "it needs {needed} invocations in a workgroup, and the compiler leaves room for {most}"
        ));
    }
    let (shared, available) =
        (state.staticThreadgroupMemoryLength(), context.info.limits.shared_bytes as usize);
    if shared > available {
        return Err(format!("it has {shared} bytes of workgroup memory, the device {available}"));
    }
    let lanes = state.threadExecutionWidth();
    match shader.subgroup_size.map(|wanted| wanted as usize).filter(|wanted| *wanted != lanes) {
        Some(wanted) => Err(format!("it needs subgroups of {wanted}, and the compiler made it for {lanes}")),
        None => Ok(()),
    }
}

/// The arguments that a compiled kernel uses; none are told by systems before macOS 13 and iOS 16.
fn reflected(reflection: &MTLComputePipelineReflection) -> Vec<Reflected> {
    if !reflection.respondsToSelector(sel!(bindings)) {
        return Vec::new();
    }
    let one = |binding: Retained<ProtocolObject<dyn MTLBinding>>| {
        let index = binding.index() as u32;
        let argument = match binding.r#type() {
            MTLBindingType::Buffer => Argument::Buffer(index),
            MTLBindingType::Texture => Argument::Texture(index),
            _ => return None,
        };
        binding
            .isUsed()
            .then(|| Reflected { argument, is_written: binding.access() != MTLBindingAccess::ReadOnly })
    };
    reflection.bindings().iter().filter_map(one).collect()
}
