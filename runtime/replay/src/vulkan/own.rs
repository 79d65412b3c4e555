//! Buffers of the app's own.
#![expect(unsafe_code, reason = "says what callers promise of raw handles")]

use std::fmt;
use std::sync::Arc;

use ash::vk;

use super::context::Context;
use super::memory::Buffer;
use crate::error::RuntimeError;
use crate::own::{BufferProblem, IoBuffer, OwnBuffer};

/// A `VkBuffer` of the app's own, and from where in it something is.
#[derive(Clone, Copy)]
pub struct VulkanBuffer {
    pub(crate) raw: vk::Buffer,
    created: (u64, vk::BufferUsageFlags),
    pub(crate) offset: u64,
}

impl VulkanBuffer {
    /// A buffer that was created with this size and usage, from an offset on: Vulkan does not tell what a handle was created with.
    ///
    /// # Safety
    ///
    /// The buffer belongs to the device that the session is loaded on, is bound to memory, exclusive to no other queue family, and
    /// stays until the session is dropped and its runs have ended. Size and usage are those of its `VkBufferCreateInfo`. While a run
    /// is on its way nothing else on the device writes what it reads, nor uses what it writes.
    pub const unsafe fn new(
        buffer: vk::Buffer,
        size: vk::DeviceSize,
        usage: vk::BufferUsageFlags,
        offset: vk::DeviceSize,
    ) -> Self {
        Self { raw: buffer, created: (size, usage), offset }
    }

    /// What a buffer has to be created for that is to hold an input or output.
    pub fn usage(needs: &IoBuffer) -> vk::BufferUsageFlags {
        wanted(needs).fold(vk::BufferUsageFlags::empty(), |usage, (flag, _)| usage | flag)
    }

    fn problem(&self, needs: &IoBuffer) -> Option<BufferProblem> {
        let (size, usage) = self.created;
        let missing = wanted(needs).filter(|(flag, _)| !usage.contains(*flag)).map(|(_, name)| name);
        let missing = missing.collect::<Vec<_>>().join(" | ");
        needs
            .place_problem(self.offset, size)
            .or_else(|| (!missing.is_empty()).then_some(BufferProblem::Usage { missing }))
    }
}

/// Flags that are needed, with their names.
fn wanted(needs: &IoBuffer) -> impl Iterator<Item = (vk::BufferUsageFlags, &'static str)> {
    let all = [
        (needs.storage, vk::BufferUsageFlags::STORAGE_BUFFER, "STORAGE_BUFFER"),
        (needs.uniform, vk::BufferUsageFlags::UNIFORM_BUFFER, "UNIFORM_BUFFER"),
        (needs.read_texels, vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER, "UNIFORM_TEXEL_BUFFER"),
        (needs.written_texels, vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER, "STORAGE_TEXEL_BUFFER"),
        (needs.is_input, vk::BufferUsageFlags::TRANSFER_DST, "TRANSFER_DST"),
        (needs.is_output, vk::BufferUsageFlags::TRANSFER_SRC, "TRANSFER_SRC"),
    ];
    all.into_iter().filter(|(is_needed, ..)| *is_needed).map(|(_, flag, name)| (flag, name))
}

impl fmt::Debug for VulkanBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VulkanBuffer")
            .field("raw", &self.raw)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The buffer, where it is what is needed.
pub(crate) fn import(
    context: &Arc<Context>,
    memory: &OwnBuffer,
    needs: &IoBuffer,
) -> Result<(Buffer, u64), RuntimeError> {
    let problem = match memory {
        OwnBuffer::Vulkan(buffer) => match buffer.problem(needs) {
            None => return Ok((Buffer::of_the_app(context, buffer.raw, buffer.created.0), buffer.offset)),
            Some(problem) => problem,
        },
        #[cfg(feature = "opencl")]
        OwnBuffer::OpenCl(_) => BufferProblem::OfAnother { what: "API" },
        #[cfg(all(feature = "metal", target_vendor = "apple"))]
        OwnBuffer::Metal(_) => BufferProblem::OfAnother { what: "API" },
    };
    Err(RuntimeError::OwnBuffer { tensor: needs.tensor.name.clone(), problem })
}
