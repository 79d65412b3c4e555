//! Derived blobs: device memory that an init program fills, and that lives as long as its program.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::Arc;

use ash::vk;

use super::context::Context;
use super::memory::{Buffer, Purpose};
use super::upload;
use crate::error::RuntimeError;

/// The derived blobs of a variant.
pub(crate) struct Derived {
    buffers: Vec<Buffer>,
    /// For each blob: which buffer, and where in it.
    places: Vec<(usize, u64)>,
}

impl Derived {
    /// Blobs of these sizes, several to a buffer as weights are.
    pub(crate) fn new(context: &Arc<Context>, sizes: &[u64]) -> Result<Self, RuntimeError> {
        let (places, sizes) = upload::place(sizes.iter().copied(), context);
        let buffers = sizes
            .into_iter()
            .map(|size| Buffer::new(context, size, Purpose::Device))
            .collect::<Result<_, _>>()?;
        Ok(Self { buffers, places })
    }

    /// Where a blob lies.
    pub(crate) fn place(&self, blob: u32) -> (vk::Buffer, u64) {
        let (buffer, offset) = self.places[blob as usize];
        (self.buffers[buffer].raw, offset)
    }

    /// Sum of the buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.size).sum()
    }

    /// Records zeros, so that what an init program makes never depends on what memory held before.
    pub(crate) fn record_clear(&self, context: &Context, commands: vk::CommandBuffer) {
        for buffer in &self.buffers {
            // SAFETY: the command buffer is recording and buffers are whole words.
            unsafe { context.device.cmd_fill_buffer(commands, buffer.raw, 0, vk::WHOLE_SIZE, 0) };
        }
    }
}
