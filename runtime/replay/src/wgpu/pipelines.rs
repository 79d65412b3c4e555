//! Compute pipelines, one for each shader in use, created on all processors at once.
#![expect(unsafe_code, reason = "gives the driver what it kept of an earlier load")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::wgpu::wgc::id::{ComputePipelineId, PipelineCacheId};
use ::wgpu::wgc::pipeline::{
    ComputePipelineDescriptor, PipelineCacheDescriptor, ProgrammableStageDescriptor, ShaderModuleDescriptor,
    ShaderModuleSource,
};
use ::wgpu::{Features, ShaderRuntimeChecks};
use drift_bundle::Bundle;
use drift_bundle::manifest::Shader;

use super::context::Context;
use super::handle::Handle;
use super::layout::{Layouts, PipelineLayout};
use super::{Access, made};
use crate::cache::{CacheFile, DriverHash, driver_hash};
use crate::compile;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::program::Program;
use crate::report::CacheUse;

const DOING: &str = "compiling a kernel";

/// The line by which WGSL asks for subgroups. naga's dialect has them without, and knows no such line.
const ENABLE_SUBGROUPS: &str = "enable subgroups;";

/// The pipelines of a program.
pub(crate) struct Pipelines {
    by_shader: BTreeMap<usize, Pipeline>,
}

/// A shader's pipeline.
pub(crate) struct Pipeline {
    raw: Arc<Handle<ComputePipelineId>>,
    pub(crate) layout: PipelineLayout,
}

impl Pipeline {
    pub(crate) fn raw(&self) -> Arc<Handle<ComputePipelineId>> {
        Arc::clone(&self.raw)
    }
}

impl Pipelines {
    /// Creates all pipelines of a program; `cache_dir` makes the next time fast.
    pub(crate) fn new(
        context: &Context,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Self, CacheUse), RuntimeError> {
        let cache = match cache_dir {
            Some(folder) => Cache::open(context, folder, program.bundle)?,
            None => Cache::None(CacheUse::Off),
        };
        let (mut layouts, mut by_shader) = (Layouts::default(), BTreeMap::new());
        for index in program.used_shaders() {
            let layout = layouts.of(context, &program.bundle.manifest().shaders[index])?;
            by_shader.insert(index, layout);
        }
        let shaders: Vec<usize> = by_shader.keys().copied().collect();
        let one = |index: usize| {
            let shader = &program.bundle.manifest().shaders[index];
            compile_one(context, program.bundle, shader, (&by_shader[&index], cache.id()))
        };
        let mut compiled = BTreeMap::new();
        for (index, pipeline) in compile::all(&shaders, deadline, one) {
            compiled.insert(index, Arc::new(pipeline?));
        }
        let pairs = by_shader.into_iter().zip(compiled.into_values());
        let by_shader = pairs.map(|((index, layout), raw)| (index, Pipeline { raw, layout })).collect();
        Ok((Self { by_shader }, cache.close(context)))
    }

    /// The pipeline of a shader in use.
    pub(crate) fn of(&self, shader: u32) -> &Pipeline {
        &self.by_shader[&(shader as usize)]
    }
}

/// What a driver keeps of the pipelines that it made.
enum Cache {
    /// Nothing, and what is reported of that.
    None(CacheUse),
    Open {
        raw: Handle<PipelineCacheId>,
        file: CacheFile,
        driver: DriverHash,
    },
}

impl Cache {
    fn open(context: &Context, folder: &Path, bundle: &Bundle) -> Result<Self, RuntimeError> {
        let core = &context.core;
        if !core.device_features(context.device()).contains(Features::PIPELINE_CACHE) {
            let reason = "this API keeps no pipelines".to_owned();
            return Ok(Self::None(CacheUse::Unwritable { path: folder.to_owned(), reason }));
        }
        let driver = driver_hash(&context.info);
        let file =
            CacheFile::open(folder, (&context.info, &driver), bundle, |data| data.starts_with(&driver));
        let data = file.data().strip_prefix(&driver).map(Cow::Borrowed);
        let descriptor = PipelineCacheDescriptor { label: None, data, fallback: true };
        // SAFETY: the hash of the file says that it is whole, and its head that it is of this device and driver.
        let created = unsafe { core.device_create_pipeline_cache(context.device(), &descriptor, None) };
        let raw = made(core, created, "creating a pipeline cache")?;
        Ok(Self::Open { raw, file, driver })
    }

    fn id(&self) -> Option<PipelineCacheId> {
        match self {
            Self::None(_) => None,
            Self::Open { raw, .. } => Some(raw.id()),
        }
    }

    /// Writes what is kept.
    fn close(self, context: &Context) -> CacheUse {
        match self {
            Self::None(used) => used,
            Self::Open { raw, file, driver } => {
                let data = context.core.pipeline_cache_get_data(raw.id()).unwrap_or_default();
                file.store(&[&driver[..], &data].concat())
            }
        }
    }
}

fn compile_one(
    context: &Context,
    bundle: &Bundle,
    shader: &Shader,
    (layout, cache): (&PipelineLayout, Option<PipelineCacheId>),
) -> Result<Handle<ComputePipelineId>, RuntimeError> {
    let wrong = |words: String| RuntimeError::Driver {
        doing: DOING,
        code: format!("shader `{}`: {words}", shader.name),
    };
    let named = |error| match error {
        RuntimeError::Driver { code, .. } => wrong(code),
        other => other,
    };
    let text = str::from_utf8(bundle.shader_code(shader)).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    let text = Cow::Borrowed(text.strip_prefix(ENABLE_SUBGROUPS).unwrap_or(text));
    let runtime_checks = match context.access {
        Access::Trusted => ShaderRuntimeChecks::unchecked(),
        Access::Checked => ShaderRuntimeChecks::checked(),
    };
    let (core, device) = (&context.core, context.device());
    let descriptor = ShaderModuleDescriptor { label: None, runtime_checks };
    let created = core.device_create_shader_module(device, &descriptor, ShaderModuleSource::Wgsl(text), None);
    let module = made(core, created, DOING).map_err(named)?;
    let stage = ProgrammableStageDescriptor {
        module: module.id(),
        entry_point: Some(Cow::Borrowed(&shader.entry_point)),
        constants: Default::default(),
        zero_initialize_workgroup_memory: context.access == Access::Checked,
    };
    let descriptor = ComputePipelineDescriptor { label: None, layout: Some(layout.raw.id()), stage, cache };
    let created = core.device_create_compute_pipeline(device, &descriptor, None);
    made(core, created, DOING).map_err(named)
}
