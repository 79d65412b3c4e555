//! Command buffers and fences, and the barriers that replay uses.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::Arc;

use ash::vk;

use super::context::Context;
use super::failed;
use crate::api::Work;
use crate::error::RuntimeError;

/// Command buffers that may be recorded again.
pub(crate) struct Recordings {
    context: Arc<Context>,
    pool: vk::CommandPool,
    lists: Vec<vk::CommandBuffer>,
    /// Reused by each submission.
    submitted: Vec<vk::CommandBuffer>,
}

impl Recordings {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self, RuntimeError> {
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(context.queue_family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the device is alive and has the family.
        let pool = unsafe { context.device.create_command_pool(&info, None) }
            .map_err(failed("creating a command pool"))?;
        Ok(Self { context: Arc::clone(context), pool, lists: Vec::new(), submitted: Vec::new() })
    }

    /// A new list, with what `body` records; returns its number.
    pub(crate) fn record(&mut self, body: impl FnOnce(vk::CommandBuffer)) -> Result<usize, RuntimeError> {
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: `&mut self` is the only user of the pool.
        let commands = unsafe { self.context.device.allocate_command_buffers(&info) }
            .map_err(failed("allocating a command buffer"))?[0];
        self.lists.push(commands);
        let number = self.lists.len() - 1;
        self.record_again(number, body)?;
        Ok(number)
    }

    /// Replaces list `number`, which must not be pending.
    pub(crate) fn record_again(
        &mut self,
        number: usize,
        body: impl FnOnce(vk::CommandBuffer),
    ) -> Result<(), RuntimeError> {
        let (device, commands) = (&self.context.device, self.lists[number]);
        // Runs in a row are submitted before the first has ended.
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::SIMULTANEOUS_USE);
        // SAFETY: the buffer belongs to this pool and is not pending; beginning resets it.
        unsafe { device.begin_command_buffer(commands, &info) }
            .map_err(failed("beginning a command buffer"))?;
        body(commands);
        // SAFETY: it is recording.
        unsafe { device.end_command_buffer(commands) }.map_err(failed("recording commands"))
    }

    /// The command buffers of these lists.
    pub(crate) fn lists(&mut self, numbers: &[usize]) -> &[vk::CommandBuffer] {
        self.submitted.clear();
        self.submitted.extend(numbers.iter().map(|number| self.lists[*number]));
        &self.submitted
    }
}

impl Drop for Recordings {
    fn drop(&mut self) {
        let pool = self.pool;
        // SAFETY: none of its command buffers is pending; they are freed as well.
        self.context.retire(move |device| unsafe { device.destroy_command_pool(pool, None) });
    }
}

/// A fence.
pub(crate) struct Fence {
    context: Arc<Context>,
    pub(crate) raw: vk::Fence,
}

impl Fence {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self, RuntimeError> {
        // SAFETY: the device is alive.
        let raw = unsafe { context.device.create_fence(&vk::FenceCreateInfo::default(), None) }
            .map_err(failed("creating a fence"))?;
        Ok(Self { context: Arc::clone(context), raw })
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let fence = self.raw;
        // SAFETY: nothing that was submitted is going to signal it.
        self.context.retire(move |device| unsafe { device.destroy_fence(fence, None) });
    }
}

const fn stages(work: Work) -> vk::PipelineStageFlags {
    match work {
        Work::Compute => vk::PipelineStageFlags::COMPUTE_SHADER,
        Work::Transfer => vk::PipelineStageFlags::TRANSFER,
        Work::Any => vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::COMPUTE_SHADER.as_raw() | vk::PipelineStageFlags::TRANSFER.as_raw(),
        ),
        Work::Host => vk::PipelineStageFlags::HOST,
    }
}

fn writes(work: Work) -> vk::AccessFlags {
    match work {
        Work::Compute => vk::AccessFlags::SHADER_WRITE,
        Work::Transfer => vk::AccessFlags::TRANSFER_WRITE,
        Work::Any => vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE,
        Work::Host => vk::AccessFlags::empty(),
    }
}

fn accesses(work: Work) -> vk::AccessFlags {
    let shader = vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::UNIFORM_READ;
    let transfer = vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE;
    match work {
        Work::Compute => shader,
        Work::Transfer => transfer,
        Work::Any => shader | transfer,
        Work::Host => vk::AccessFlags::HOST_READ,
    }
}

/// Makes `after` wait for `before` and see what it wrote, in all memory.
pub(crate) fn barrier(context: &Context, commands: vk::CommandBuffer, before: Work, after: Work) {
    let memory =
        [vk::MemoryBarrier::default().src_access_mask(writes(before)).dst_access_mask(accesses(after))];
    // SAFETY: the command buffer is recording.
    unsafe {
        context.device.cmd_pipeline_barrier(
            commands,
            stages(before),
            stages(after),
            vk::DependencyFlags::empty(),
            &memory,
            &[],
            &[],
        );
    }
}

/// Records a copy between buffers; nothing for no bytes.
pub(crate) fn copy(
    context: &Context,
    commands: vk::CommandBuffer,
    (source, source_offset): (vk::Buffer, u64),
    (target, target_offset): (vk::Buffer, u64),
    size: u64,
) {
    if size == 0 {
        return;
    }
    let region = [vk::BufferCopy { src_offset: source_offset, dst_offset: target_offset, size }];
    // SAFETY: the command buffer is recording, and callers keep ranges inside their buffers.
    unsafe { context.device.cmd_copy_buffer(commands, source, target, &region) };
}
