//! Command buffers and fences, and the barriers that replay uses.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::Arc;

use ash::vk;

use super::context::Context;
use super::failed;
use crate::error::RuntimeError;

/// Command buffers that may be recorded again.
pub(crate) struct CommandPool {
    context: Arc<Context>,
    raw: vk::CommandPool,
}

impl CommandPool {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self, RuntimeError> {
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(context.queue_family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the device is alive and has the family.
        let raw = unsafe { context.device.create_command_pool(&info, None) }
            .map_err(failed("creating a command pool"))?;
        Ok(Self { context: Arc::clone(context), raw })
    }

    /// A new command buffer of this pool, with what `body` records.
    pub(crate) fn record(
        &self,
        body: impl FnOnce(vk::CommandBuffer),
    ) -> Result<vk::CommandBuffer, RuntimeError> {
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.raw).command_buffer_count(1);
        // SAFETY: `&self` is not shared between threads while recording, because pools are never in an `Arc`.
        let commands = unsafe { self.context.device.allocate_command_buffers(&info) }
            .map_err(failed("allocating a command buffer"))?[0];
        self.record_again(commands, body)?;
        Ok(commands)
    }

    /// Replaces what `commands`, which must not be pending, does.
    pub(crate) fn record_again(
        &self,
        commands: vk::CommandBuffer,
        body: impl FnOnce(vk::CommandBuffer),
    ) -> Result<(), RuntimeError> {
        let device = &self.context.device;
        // SAFETY: the buffer belongs to this pool and is not pending; beginning resets it.
        unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }
            .map_err(failed("beginning a command buffer"))?;
        body(commands);
        // SAFETY: it is recording.
        unsafe { device.end_command_buffer(commands) }.map_err(failed("recording commands"))
    }
}

impl Drop for CommandPool {
    fn drop(&mut self) {
        let pool = self.raw;
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

/// Work on one side of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Kernels.
    Compute,
    /// Copies, fills and clears.
    Transfer,
    /// Both.
    Any,
    /// The host's reads of what was copied for it.
    Host,
}

impl Work {
    const fn stages(self) -> vk::PipelineStageFlags {
        match self {
            Self::Compute => vk::PipelineStageFlags::COMPUTE_SHADER,
            Self::Transfer => vk::PipelineStageFlags::TRANSFER,
            Self::Any => vk::PipelineStageFlags::from_raw(
                vk::PipelineStageFlags::COMPUTE_SHADER.as_raw() | vk::PipelineStageFlags::TRANSFER.as_raw(),
            ),
            Self::Host => vk::PipelineStageFlags::HOST,
        }
    }

    fn writes(self) -> vk::AccessFlags {
        match self {
            Self::Compute => vk::AccessFlags::SHADER_WRITE,
            Self::Transfer => vk::AccessFlags::TRANSFER_WRITE,
            Self::Any => vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE,
            Self::Host => vk::AccessFlags::empty(),
        }
    }

    fn accesses(self) -> vk::AccessFlags {
        let shader =
            vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::UNIFORM_READ;
        let transfer = vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE;
        match self {
            Self::Compute => shader,
            Self::Transfer => transfer,
            Self::Any => shader | transfer,
            Self::Host => vk::AccessFlags::HOST_READ,
        }
    }
}

/// Makes `after` wait for `before` and see what it wrote, in all memory.
pub(crate) fn barrier(context: &Context, commands: vk::CommandBuffer, before: Work, after: Work) {
    let memory =
        [vk::MemoryBarrier::default().src_access_mask(before.writes()).dst_access_mask(after.accesses())];
    // SAFETY: the command buffer is recording.
    unsafe {
        context.device.cmd_pipeline_barrier(
            commands,
            before.stages(),
            after.stages(),
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
