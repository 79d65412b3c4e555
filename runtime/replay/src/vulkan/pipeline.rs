//! Compute pipelines, one for each shader in use, created on all processors at once.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use ash::vk;
use drift_bundle::Bundle;
use drift_bundle::manifest::{BindingKind, BindingSlot, Shader};

use super::cache::{self, Owner};
use super::context::Context;
use super::{failed, float_controls};
use crate::cache::CacheFile;
use crate::compile;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::program::Program;
use crate::report::CacheUse;

/// Pipelines with their layouts.
pub(crate) struct Pipelines {
    context: Arc<Context>,
    /// Layouts by what they hold; shaders share them.
    set_layouts: BTreeMap<Vec<(u32, vk::DescriptorType)>, vk::DescriptorSetLayout>,
    by_shader: BTreeMap<usize, Pipeline>,
    cache: vk::PipelineCache,
}

/// What a dispatch needs of its shader's pipeline.
pub(crate) struct Pipeline {
    pub(crate) raw: vk::Pipeline,
    pub(crate) layout: vk::PipelineLayout,
    /// One for each group up to the highest.
    pub(crate) set_layouts: Vec<vk::DescriptorSetLayout>,
}

/// The descriptor that a slot becomes.
pub(crate) const fn descriptor_type(slot: &BindingSlot) -> vk::DescriptorType {
    match (slot.kind, slot.writable) {
        (BindingKind::StorageBuffer { .. }, _) => vk::DescriptorType::STORAGE_BUFFER,
        (BindingKind::UniformBuffer { .. }, _) => vk::DescriptorType::UNIFORM_BUFFER,
        (BindingKind::Texture { .. }, false) => vk::DescriptorType::SAMPLED_IMAGE,
        (BindingKind::Texture { .. }, true) => vk::DescriptorType::STORAGE_IMAGE,
        (BindingKind::ImageBuffer { .. }, false) => vk::DescriptorType::UNIFORM_TEXEL_BUFFER,
        (BindingKind::ImageBuffer { .. }, true) => vk::DescriptorType::STORAGE_TEXEL_BUFFER,
    }
}

impl Pipelines {
    /// Creates all pipelines of a program; `cache_dir` makes the next time fast.
    pub(crate) fn new(
        context: &Arc<Context>,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Self, CacheUse), RuntimeError> {
        let owner = Owner {
            vendor: context.info.vendor_id,
            device: context.info.device_id,
            uuid: &context.cache_uuid,
        };
        let driver = (&context.info, &context.cache_uuid[..]);
        let file = cache_dir
            .map(|folder| CacheFile::open(folder, driver, program.bundle, |data| cache::is_of(data, owner)));
        let mut pipelines = Self {
            context: Arc::clone(context),
            set_layouts: BTreeMap::new(),
            by_shader: BTreeMap::new(),
            cache: vk::PipelineCache::null(),
        };
        pipelines.create_cache(file.as_ref().map_or(&[], CacheFile::data))?;
        for index in program.used_shaders() {
            pipelines.create_layout(index, &program.bundle.manifest().shaders[index])?;
        }
        pipelines.compile(program.bundle, deadline)?;
        let used = match file {
            Some(file) => file.store(&pipelines.cache_data()?),
            None => CacheUse::Off,
        };
        Ok((pipelines, used))
    }

    /// The pipeline of a shader in use.
    pub(crate) fn of(&self, shader: u32) -> &Pipeline {
        &self.by_shader[&(shader as usize)]
    }

    fn create_cache(&mut self, data: &[u8]) -> Result<(), RuntimeError> {
        let info = vk::PipelineCacheCreateInfo::default().initial_data(data);
        // SAFETY: `data` is empty or what this driver returned, unchanged.
        self.cache = unsafe { self.context.device.create_pipeline_cache(&info, None) }
            .map_err(failed("creating a pipeline cache"))?;
        Ok(())
    }

    fn cache_data(&self) -> Result<Vec<u8>, RuntimeError> {
        // SAFETY: the cache belongs to the device.
        unsafe { self.context.device.get_pipeline_cache_data(self.cache) }
            .map_err(failed("reading the pipeline cache"))
    }

    fn create_layout(&mut self, index: usize, shader: &Shader) -> Result<(), RuntimeError> {
        let groups = shader.bindings.iter().map(|slot| slot.group + 1).max().unwrap_or(0);
        let mut set_layouts = Vec::new();
        for group in 0..groups {
            let slots = shader.bindings.iter().filter(|slot| slot.group == group);
            let mut key: Vec<_> = slots.map(|slot| (slot.binding, descriptor_type(slot))).collect();
            key.sort_unstable();
            set_layouts.push(self.set_layout(key)?);
        }
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set_layouts);
        // SAFETY: the set layouts belong to the device.
        let layout = unsafe { self.context.device.create_pipeline_layout(&info, None) }
            .map_err(failed("creating a pipeline layout"))?;
        self.by_shader.insert(index, Pipeline { raw: vk::Pipeline::null(), layout, set_layouts });
        Ok(())
    }

    fn set_layout(
        &mut self,
        key: Vec<(u32, vk::DescriptorType)>,
    ) -> Result<vk::DescriptorSetLayout, RuntimeError> {
        if let Some(layout) = self.set_layouts.get(&key) {
            return Ok(*layout);
        }
        let bindings: Vec<_> = key
            .iter()
            .map(|(binding, kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(*binding)
                    .descriptor_type(*kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: bindings are unique, which the bundle's validator has checked.
        let layout = unsafe { self.context.device.create_descriptor_set_layout(&info, None) }
            .map_err(failed("creating a descriptor layout"))?;
        self.set_layouts.insert(key, layout);
        Ok(layout)
    }

    /// Compiles every shader that has a layout.
    fn compile(&mut self, bundle: &Bundle, deadline: Deadline) -> Result<(), RuntimeError> {
        let shaders: Vec<usize> = self.by_shader.keys().copied().collect();
        let (context, cache, layouts) = (&self.context, self.cache, &self.by_shader);
        let one = |index: usize| {
            let shader = &bundle.manifest().shaders[index];
            compile_one(context, bundle, shader, layouts[&index].layout, cache)
        };
        let compiled = compile::all(&shaders, deadline, one);
        let mut first_error = None;
        for (index, result) in compiled {
            match (result, self.by_shader.get_mut(&index)) {
                (Ok(raw), Some(pipeline)) => pipeline.raw = raw,
                (Ok(_), None) => unreachable!("verified: jobs come from this map"),
                (Err(error), _) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        let (pipelines, cache) = (std::mem::take(&mut self.by_shader), self.cache);
        let set_layouts = std::mem::take(&mut self.set_layouts);
        // SAFETY: no work that uses them is pending; null handles are ignored.
        self.context.retire(move |device| unsafe {
            for pipeline in pipelines.values() {
                device.destroy_pipeline(pipeline.raw, None);
                device.destroy_pipeline_layout(pipeline.layout, None);
            }
            set_layouts.values().for_each(|layout| device.destroy_descriptor_set_layout(*layout, None));
            device.destroy_pipeline_cache(cache, None);
        });
    }
}

fn compile_one(
    context: &Context,
    bundle: &Bundle,
    shader: &Shader,
    layout: vk::PipelineLayout,
    cache: vk::PipelineCache,
) -> Result<vk::Pipeline, RuntimeError> {
    let words: Vec<u32> =
        bundle.shader_code(shader).as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let name = CString::new(shader.entry_point.as_str()).map_err(|_| RuntimeError::Driver {
        doing: "naming an entry point",
        code: format!("shader `{}` has a name with a zero byte", shader.name),
    })?;
    let words = float_controls::preserve(words, context.preserved);
    let info = vk::ShaderModuleCreateInfo::default().code(&words);
    // SAFETY: the words begin as SPIR-V does; their hash says that they are what a compiler validated, and the mode added
    // to them is one that the device offers.
    let module =
        unsafe { context.device.create_shader_module(&info, None) }.map_err(failed("loading a shader"))?;
    let selected = shader.subgroup_size.filter(|_| context.info.features.subgroups.selectable.is_some());
    let mut size = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default()
        .required_subgroup_size(selected.unwrap_or_default());
    let mut stage = vk::PipelineShaderStageCreateInfo::default()
        .stage(vk::ShaderStageFlags::COMPUTE)
        .module(module)
        .name(&name);
    if let Some(lanes) = selected {
        if context.full_subgroups && shader.workgroup_size[0].is_multiple_of(lanes) {
            stage = stage.flags(vk::PipelineShaderStageCreateFlags::REQUIRE_FULL_SUBGROUPS);
        }
        stage = stage.push_next(&mut size);
    }
    let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout)];
    // SAFETY: layout and module belong to the device, and the device offers the subgroup size; the cache
    // locks itself.
    let created = unsafe { context.device.create_compute_pipelines(cache, &info, None) };
    // SAFETY: pipelines do not need their module once they are created.
    unsafe { context.device.destroy_shader_module(module, None) };
    created.map(|pipelines| pipelines[0]).map_err(|(_, code)| failed("compiling a kernel")(code))
}
