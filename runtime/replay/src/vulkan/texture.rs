//! Textures, pooled for activations or filled with weights: images in one layout once they are filled, with as few
//! allocations as limits allow.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::Arc;

use ash::vk;
use drift_bundle::manifest::{DeviceElement, TextureKind, TextureObject};

use super::context::Context;
use super::failed;
use super::memory;
use crate::api::{Purpose, Role, Rows};
use crate::error::RuntimeError;

fn usage(role: Role) -> vk::ImageUsageFlags {
    let read = vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_DST;
    match role {
        Role::Activations => read | vk::ImageUsageFlags::STORAGE,
        Role::Weights => read,
    }
}

/// The layout in which kernels find textures.
pub(crate) const fn layout(role: Role) -> vk::ImageLayout {
    match role {
        Role::Activations => vk::ImageLayout::GENERAL,
        Role::Weights => vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
    }
}

/// The textures of a variant.
pub(crate) struct Textures {
    context: Arc<Context>,
    pub(crate) images: Vec<vk::Image>,
    pub(crate) views: Vec<vk::ImageView>,
    memories: Vec<vk::DeviceMemory>,
    /// Sum of the allocations.
    pub(crate) size: u64,
}

/// Format of a texel of four channels.
pub(crate) const fn format(element: DeviceElement) -> vk::Format {
    match element {
        DeviceElement::F32 => vk::Format::R32G32B32A32_SFLOAT,
        DeviceElement::F16 => vk::Format::R16G16B16A16_SFLOAT,
        DeviceElement::I32 => vk::Format::R32G32B32A32_SINT,
        DeviceElement::U32 => vk::Format::R32G32B32A32_UINT,
    }
}

/// All levels and layers of a texture.
pub(crate) const WHOLE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: vk::REMAINING_ARRAY_LAYERS,
};

impl Textures {
    pub(crate) fn new(
        context: &Arc<Context>,
        objects: &[TextureObject],
        role: Role,
    ) -> Result<Self, RuntimeError> {
        let mut textures = Self {
            context: Arc::clone(context),
            images: Vec::with_capacity(objects.len()),
            views: Vec::with_capacity(objects.len()),
            memories: Vec::new(),
            size: 0,
        };
        for object in objects {
            textures.create_image(object, role)?;
        }
        textures.bind_memory()?;
        for (index, object) in objects.iter().enumerate() {
            textures.create_view(index, object)?;
        }
        Ok(textures)
    }

    fn create_image(&mut self, object: &TextureObject, role: Role) -> Result<(), RuntimeError> {
        let [width, height, last] = object.extent_px;
        let (image_type, depth, layers) = match object.kind {
            TextureKind::D2 => (vk::ImageType::TYPE_2D, 1, 1),
            TextureKind::Array => (vk::ImageType::TYPE_2D, 1, last),
            TextureKind::D3 => (vk::ImageType::TYPE_3D, last, 1),
        };
        let info = vk::ImageCreateInfo::default()
            .image_type(image_type)
            .format(format(object.element))
            .extent(vk::Extent3D { width, height, depth })
            .mip_levels(1)
            .array_layers(layers)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::OPTIMAL)
            .usage(usage(role));
        // SAFETY: Vulkan requires these usages of these formats, and the size is within the device's limits.
        let image =
            unsafe { self.context.device.create_image(&info, None) }.map_err(failed("creating a texture"))?;
        self.images.push(image);
        Ok(())
    }

    /// Places images one after another; a new allocation begins where the limit or the memory type demands
    /// it.
    fn bind_memory(&mut self) -> Result<(), RuntimeError> {
        let context = Arc::clone(&self.context);
        // SAFETY: the images belong to the device.
        let needs: Vec<vk::MemoryRequirements> = self
            .images
            .iter()
            .map(|image| unsafe { context.device.get_image_memory_requirements(*image) })
            .collect();
        let mut first = 0;
        while first < needs.len() {
            let mut types = needs[first].memory_type_bits;
            let (mut offsets, mut end) = (vec![0], needs[first].size);
            for need in &needs[first + 1..] {
                let offset = end.next_multiple_of(need.alignment);
                let common = types & need.memory_type_bits;
                if common == 0 || offset + need.size > context.info.limits.buffer_bytes {
                    break;
                }
                offsets.push(offset);
                (types, end) = (common, offset + need.size);
            }
            let (index, _) = memory::memory_type(&context, types, Purpose::Device)?;
            let memory = memory::allocate(&context, end, index)?;
            self.memories.push(memory);
            self.size += end;
            for (image, offset) in self.images[first..].iter().zip(&offsets) {
                // SAFETY: each image gets an aligned range of its own in memory of a type that it allows.
                unsafe { context.device.bind_image_memory(*image, memory, *offset) }
                    .map_err(failed("binding memory to a texture"))?;
            }
            first += offsets.len();
        }
        Ok(())
    }

    fn create_view(&mut self, index: usize, object: &TextureObject) -> Result<(), RuntimeError> {
        let info = vk::ImageViewCreateInfo::default()
            .image(self.images[index])
            .view_type(match object.kind {
                TextureKind::D2 => vk::ImageViewType::TYPE_2D,
                TextureKind::Array => vk::ImageViewType::TYPE_2D_ARRAY,
                TextureKind::D3 => vk::ImageViewType::TYPE_3D,
            })
            .format(format(object.element))
            .subresource_range(WHOLE);
        // SAFETY: the image has memory.
        let view = unsafe { self.context.device.create_image_view(&info, None) }
            .map_err(failed("creating a texture view"))?;
        self.views.push(view);
        Ok(())
    }

    /// Records the way from no contents to zeros in the one layout that all uses share.
    pub(crate) fn record_clear(&self, commands: vk::CommandBuffer) {
        let device = &self.context.device;
        for image in &self.images {
            let barrier = [vk::ImageMemoryBarrier::default()
                .image(*image)
                .subresource_range(WHOLE)
                .old_layout(vk::ImageLayout::UNDEFINED)
                .new_layout(vk::ImageLayout::GENERAL)
                .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
                .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
                .dst_access_mask(vk::AccessFlags::TRANSFER_WRITE)];
            let zero = vk::ClearColorValue { uint32: [0; 4] };
            // SAFETY: the command buffer is recording; all formats are cleared by four zero words.
            unsafe {
                device.cmd_pipeline_barrier(
                    commands,
                    vk::PipelineStageFlags::TOP_OF_PIPE,
                    vk::PipelineStageFlags::TRANSFER,
                    vk::DependencyFlags::empty(),
                    &[],
                    &[],
                    &barrier,
                );
                device.cmd_clear_color_image(commands, *image, vk::ImageLayout::GENERAL, &zero, &[WHOLE]);
            }
        }
    }
}

/// Records a copy of rows from the start of `source`.
pub(crate) fn record_fill(
    context: &Context,
    commands: vk::CommandBuffer,
    source: vk::Buffer,
    image: vk::Image,
    rows: &Rows,
) {
    if rows.begins() {
        transition(context, commands, image, Filling::Begins);
    }
    let target = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
    // SAFETY: the command buffer is recording, and the region is inside of both objects.
    unsafe {
        context.device.cmd_copy_buffer_to_image(commands, source, image, target, &[region(rows)]);
    }
    if rows.ends() {
        transition(context, commands, image, Filling::Ends);
    }
}

fn region(rows: &Rows) -> vk::BufferImageCopy {
    let (array_layer, depth) = rows.layer_and_depth();
    vk::BufferImageCopy {
        buffer_offset: 0,
        // Without gaps.
        buffer_row_length: 0,
        buffer_image_height: 0,
        image_subresource: vk::ImageSubresourceLayers {
            aspect_mask: vk::ImageAspectFlags::COLOR,
            mip_level: 0,
            base_array_layer: array_layer,
            layer_count: 1,
        },
        image_offset: vk::Offset3D { x: 0, y: rows.first as i32, z: depth as i32 },
        image_extent: vk::Extent3D { width: rows.object.extent_px[0], height: rows.count, depth: 1 },
    }
}

/// A side of the filling of a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    Begins,
    Ends,
}

/// Records the way from no contents to a target of copies, or from there to what kernels read.
fn transition(context: &Context, commands: vk::CommandBuffer, image: vk::Image, side: Filling) {
    let copied = (
        vk::ImageLayout::TRANSFER_DST_OPTIMAL,
        vk::PipelineStageFlags::TRANSFER,
        vk::AccessFlags::TRANSFER_WRITE,
    );
    let (from, to) = match side {
        Filling::Begins => (
            (vk::ImageLayout::UNDEFINED, vk::PipelineStageFlags::TOP_OF_PIPE, vk::AccessFlags::empty()),
            copied,
        ),
        Filling::Ends => (
            copied,
            (layout(Role::Weights), vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_READ),
        ),
    };
    let barrier = [vk::ImageMemoryBarrier::default()
        .image(image)
        .subresource_range(WHOLE)
        .old_layout(from.0)
        .new_layout(to.0)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .src_access_mask(from.2)
        .dst_access_mask(to.2)];
    // SAFETY: the command buffer is recording, and the image has memory.
    unsafe {
        context.device.cmd_pipeline_barrier(
            commands,
            from.1,
            to.1,
            vk::DependencyFlags::empty(),
            &[],
            &[],
            &barrier,
        );
    }
}

impl Drop for Textures {
    fn drop(&mut self) {
        let (views, images) = (std::mem::take(&mut self.views), std::mem::take(&mut self.images));
        let memories = std::mem::take(&mut self.memories);
        // SAFETY: no work that uses them is pending.
        self.context.retire(move |device| unsafe {
            views.into_iter().for_each(|view| device.destroy_image_view(view, None));
            images.into_iter().for_each(|image| device.destroy_image(image, None));
            memories.into_iter().for_each(|memory| device.free_memory(memory, None));
        });
    }
}
