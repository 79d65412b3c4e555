//! Descriptor sets: what each slot of each dispatch is bound to.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ash::vk;
use drift_bundle::manifest::{DeviceElement, Dispatch, Resource};

use super::context::Context;
use super::derived::Derived;
use super::failed;
use super::memory::Buffer;
use super::pipeline::{Pipelines, descriptor_type};
use super::texture::{self, Role, Textures};
use super::upload::Weights;
use crate::backend::{Program, WeightTexture};
use crate::error::RuntimeError;

/// The memory that resources lie in.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    pub(crate) arena: &'a Buffer,
    pub(crate) weights: &'a Weights,
    /// Weights that are there for the init program only.
    pub(crate) passing: &'a Weights,
    pub(crate) derived: &'a Derived,
    pub(crate) textures: &'a Textures,
}

impl Memory<'_> {
    /// Where a weight in use lies.
    fn weight(&self, blob: u32) -> (vk::Buffer, u64) {
        let found = self.weights.place(blob as usize).or_else(|| self.passing.place(blob as usize));
        found.unwrap_or_else(|| unreachable!("verified: every weight in use is loaded"))
    }

    /// The texture of weights that is bound, if one is.
    fn weight_texture(&self, resource: &Resource) -> Option<vk::ImageView> {
        let texture = WeightTexture::of(resource)?;
        self.weights.texture(&texture).or_else(|| self.passing.texture(&texture))
    }
}

/// Descriptor sets of the dispatches of one list.
pub(crate) struct Bindings {
    context: Arc<Context>,
    pool: vk::DescriptorPool,
    views: BTreeMap<(vk::Buffer, vk::Format, u64, u64), vk::BufferView>,
    sets: Vec<Vec<vk::DescriptorSet>>,
}

impl Bindings {
    pub(crate) fn new(
        context: &Arc<Context>,
        program: &Program<'_>,
        pipelines: &Pipelines,
        memory: Memory<'_>,
        dispatches: &[Dispatch],
    ) -> Result<Self, RuntimeError> {
        let pool = create_pool(context, program, pipelines, dispatches)?;
        let mut bindings =
            Self { context: Arc::clone(context), pool, views: BTreeMap::new(), sets: Vec::new() };
        for dispatch in dispatches {
            bindings.bind(program, dispatch, pipelines, memory)?;
        }
        Ok(bindings)
    }

    /// Sets of dispatch `index`.
    pub(crate) fn of(&self, index: usize) -> &[vk::DescriptorSet] {
        &self.sets[index]
    }

    fn bind(
        &mut self,
        program: &Program<'_>,
        dispatch: &Dispatch,
        pipelines: &Pipelines,
        memory: Memory<'_>,
    ) -> Result<(), RuntimeError> {
        let layouts = &pipelines.of(dispatch.shader).set_layouts;
        let sets = self.allocate(layouts)?;
        for (slot, resource) in program.shader(dispatch).bindings.iter().zip(&dispatch.bindings) {
            let buffer = buffer_range(resource, memory);
            let image = image(resource, memory);
            let view = self.texel_view(resource, memory)?;
            let mut write = vk::WriteDescriptorSet::default()
                .dst_set(sets[slot.group as usize])
                .dst_binding(slot.binding)
                .descriptor_count(1)
                .descriptor_type(descriptor_type(slot));
            match resource {
                Resource::Arena { .. } | Resource::Weights { .. } | Resource::Derived { .. } => {
                    write = write.buffer_info(&buffer);
                }
                Resource::Texture(_) | Resource::WeightTexture { .. } => write = write.image_info(&image),
                Resource::ArenaTexels { .. }
                | Resource::WeightTexels { .. }
                | Resource::DerivedTexels { .. } => {
                    write = write.texel_buffer_view(&view);
                }
            }
            // SAFETY: no set is in use yet, and the bundle's validator has matched slots with resources.
            unsafe { self.context.device.update_descriptor_sets(&[write], &[]) };
        }
        self.sets.push(sets);
        Ok(())
    }

    fn allocate(&self, layouts: &[vk::DescriptorSetLayout]) -> Result<Vec<vk::DescriptorSet>, RuntimeError> {
        if layouts.is_empty() {
            return Ok(Vec::new());
        }
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(layouts);
        // SAFETY: the pool was sized for all dispatches.
        unsafe { self.context.device.allocate_descriptor_sets(&info) }
            .map_err(failed("allocating descriptor sets"))
    }

    /// The view of a texel range, made once for each range; null where the resource is none.
    fn texel_view(
        &mut self,
        resource: &Resource,
        memory: Memory<'_>,
    ) -> Result<[vk::BufferView; 1], RuntimeError> {
        let Some((buffer, element, offset, size)) = texel_range(resource, memory) else {
            return Ok([vk::BufferView::null()]);
        };
        let key = (buffer, texture::format(element), offset, size);
        if let Some(view) = self.views.get(&key) {
            return Ok([*view]);
        }
        let info =
            vk::BufferViewCreateInfo::default().buffer(buffer).format(key.1).offset(offset).range(size);
        // SAFETY: the range is whole texels inside the buffer, aligned to 256 bytes, which is the coarsest
        // that is asked for.
        let view = unsafe { self.context.device.create_buffer_view(&info, None) }
            .map_err(failed("creating a texel buffer view"))?;
        self.views.insert(key, view);
        Ok([view])
    }
}

impl Drop for Bindings {
    fn drop(&mut self) {
        let (pool, views) = (self.pool, std::mem::take(&mut self.views));
        // SAFETY: no work that uses them is pending; destroying the pool frees its sets.
        self.context.retire(move |device| unsafe {
            device.destroy_descriptor_pool(pool, None);
            views.values().for_each(|view| device.destroy_buffer_view(*view, None));
        });
    }
}

/// A pool with room for exactly the sets of `dispatches`.
fn create_pool(
    context: &Context,
    program: &Program<'_>,
    pipelines: &Pipelines,
    dispatches: &[Dispatch],
) -> Result<vk::DescriptorPool, RuntimeError> {
    let mut counts: BTreeMap<vk::DescriptorType, u32> = BTreeMap::new();
    let mut sets = 0;
    for dispatch in dispatches {
        sets += pipelines.of(dispatch.shader).set_layouts.len() as u32;
        for slot in &program.shader(dispatch).bindings {
            *counts.entry(descriptor_type(slot)).or_default() += 1;
        }
    }
    let mut sizes: Vec<_> = counts
        .into_iter()
        .map(|(kind, count)| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count))
        .collect();
    if sizes.is_empty() {
        // A pool must be able to hold something.
        sizes.push(
            vk::DescriptorPoolSize::default().ty(vk::DescriptorType::STORAGE_BUFFER).descriptor_count(1),
        );
    }
    let info = vk::DescriptorPoolCreateInfo::default().max_sets(sets.max(1)).pool_sizes(&sizes);
    // SAFETY: the device is alive and no count is zero.
    unsafe { context.device.create_descriptor_pool(&info, None) }
        .map_err(failed("creating a descriptor pool"))
}

fn buffer_range(resource: &Resource, memory: Memory<'_>) -> [vk::DescriptorBufferInfo; 1] {
    let (buffer, offset, range) = match *resource {
        Resource::Arena { offset, size } => (memory.arena.raw, offset, size),
        Resource::Weights { blob, offset, size } => {
            let (buffer, start) = memory.weight(blob);
            (buffer, start + offset, size)
        }
        Resource::Derived { blob, offset, size } => {
            let (buffer, start) = memory.derived.place(blob);
            (buffer, start + offset, size)
        }
        Resource::Texture(_)
        | Resource::WeightTexture { .. }
        | Resource::ArenaTexels { .. }
        | Resource::WeightTexels { .. }
        | Resource::DerivedTexels { .. } => (vk::Buffer::null(), 0, 0),
    };
    [vk::DescriptorBufferInfo { buffer, offset, range }]
}

fn texel_range(resource: &Resource, memory: Memory<'_>) -> Option<(vk::Buffer, DeviceElement, u64, u64)> {
    match *resource {
        Resource::ArenaTexels { element, offset, size } => Some((memory.arena.raw, element, offset, size)),
        Resource::WeightTexels { element, blob, offset, size } => {
            let (buffer, start) = memory.weight(blob);
            Some((buffer, element, start + offset, size))
        }
        Resource::DerivedTexels { element, blob, offset, size } => {
            let (buffer, start) = memory.derived.place(blob);
            Some((buffer, element, start + offset, size))
        }
        Resource::Arena { .. }
        | Resource::Weights { .. }
        | Resource::Derived { .. }
        | Resource::Texture(_)
        | Resource::WeightTexture { .. } => None,
    }
}

fn image(resource: &Resource, memory: Memory<'_>) -> [vk::DescriptorImageInfo; 1] {
    let (image_view, role) = match *resource {
        Resource::Texture(index) => (Some(memory.textures.views[index as usize]), Role::Activations),
        _ => (memory.weight_texture(resource), Role::Weights),
    };
    [vk::DescriptorImageInfo {
        sampler: vk::Sampler::null(),
        image_view: image_view.unwrap_or(vk::ImageView::null()),
        image_layout: role.layout(),
    }]
}
