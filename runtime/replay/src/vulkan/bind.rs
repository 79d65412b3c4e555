//! Descriptor sets: what each slot of each dispatch is bound to.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ash::vk;
use drift_bundle::manifest::{DeviceElement, Dispatch, Resource};

use super::context::Context;
use super::failed;
use super::pipeline::{Pipelines, descriptor_type};
use super::texture;
use crate::api::Bound;
use crate::error::RuntimeError;
use crate::program::Program;

/// Descriptor sets of the dispatches of one list.
pub(crate) struct Bindings {
    context: Arc<Context>,
    pool: vk::DescriptorPool,
    views: BTreeMap<(vk::Buffer, vk::Format, u64, u64), vk::BufferView>,
    sets: Vec<Vec<vk::DescriptorSet>>,
}

impl Bindings {
    pub(crate) fn new<'m>(
        context: &Arc<Context>,
        program: &Program<'_>,
        pipelines: &Pipelines,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<Self, RuntimeError> {
        let pool = create_pool(context, program, pipelines, dispatches)?;
        let mut bindings =
            Self { context: Arc::clone(context), pool, views: BTreeMap::new(), sets: Vec::new() };
        for dispatch in dispatches {
            bindings.bind(program, dispatch, pipelines, &bound)?;
        }
        Ok(bindings)
    }

    /// Sets of dispatch `index`.
    pub(crate) fn of(&self, index: usize) -> &[vk::DescriptorSet] {
        &self.sets[index]
    }

    fn bind<'m>(
        &mut self,
        program: &Program<'_>,
        dispatch: &Dispatch,
        pipelines: &Pipelines,
        bound: &impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<(), RuntimeError> {
        let layouts = &pipelines.of(dispatch.shader).set_layouts;
        let sets = self.allocate(layouts)?;
        for (slot, resource) in program.shader(dispatch).bindings.iter().zip(&dispatch.bindings) {
            let write = vk::WriteDescriptorSet::default()
                .dst_set(sets[slot.group as usize])
                .dst_binding(slot.binding)
                .descriptor_count(1)
                .descriptor_type(descriptor_type(slot));
            match bound(resource) {
                Bound::Buffer { buffer, offset, size } => {
                    let info = [vk::DescriptorBufferInfo { buffer: buffer.raw, offset, range: size }];
                    self.write(write.buffer_info(&info));
                }
                Bound::Texels { buffer, element, offset, size } => {
                    let view = [self.texel_view(buffer.raw, element, offset, size)?];
                    self.write(write.texel_buffer_view(&view));
                }
                Bound::Texture { textures, index, role } => {
                    let info = [vk::DescriptorImageInfo {
                        sampler: vk::Sampler::null(),
                        image_view: textures.views[index],
                        image_layout: texture::layout(role),
                    }];
                    self.write(write.image_info(&info));
                }
            }
        }
        self.sets.push(sets);
        Ok(())
    }

    fn write(&self, write: vk::WriteDescriptorSet<'_>) {
        // SAFETY: no set is in use yet, and the bundle's validator has matched slots with resources.
        unsafe { self.context.device.update_descriptor_sets(&[write], &[]) };
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

    /// The view of a range of texels, made once for each range.
    fn texel_view(
        &mut self,
        buffer: vk::Buffer,
        element: DeviceElement,
        offset: u64,
        size: u64,
    ) -> Result<vk::BufferView, RuntimeError> {
        let key = (buffer, texture::format(element), offset, size);
        if let Some(view) = self.views.get(&key) {
            return Ok(*view);
        }
        let info =
            vk::BufferViewCreateInfo::default().buffer(buffer).format(key.1).offset(offset).range(size);
        // SAFETY: the range is whole texels inside the buffer, aligned to 256 bytes, which is the coarsest
        // that is asked for.
        let view = unsafe { self.context.device.create_buffer_view(&info, None) }
            .map_err(failed("creating a texel buffer view"))?;
        self.views.insert(key, view);
        Ok(view)
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
