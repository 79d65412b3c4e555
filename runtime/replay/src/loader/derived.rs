//! Derived blobs: device memory that an init program fills, and that is there as long as its program.

use std::sync::Arc;

use super::{Place, weights};
use crate::api::{Api, Memory, Purpose, Record};
use crate::error::RuntimeError;

/// The derived blobs of a variant.
pub(crate) struct Derived<A: Api> {
    buffers: Vec<A::Buffer>,
    /// For each blob: which buffer, and where in it.
    places: Vec<(usize, u64)>,
}

impl<A: Api> Derived<A> {
    /// Blobs of these sizes, several to a buffer as weights are.
    pub(crate) fn new(api: &Arc<A>, sizes: &[u64]) -> Result<Self, RuntimeError> {
        let (places, sizes) = weights::place(sizes.iter().copied(), api.info().limits.buffer_bytes);
        let buffers =
            sizes.into_iter().map(|size| api.buffer(size, Purpose::Device)).collect::<Result<_, _>>()?;
        Ok(Self { buffers, places })
    }

    /// Where a blob is.
    pub(crate) fn place(&self, blob: u32) -> Place<'_, A> {
        let (buffer, offset) = self.places[blob as usize];
        (&self.buffers[buffer], offset)
    }

    /// Sum of the buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().map(Memory::size).sum()
    }

    /// Records zeros, so that what an init program makes never depends on what memory held before.
    pub(crate) fn record_clear(&self, commands: &mut A::Recorder<'_>) {
        self.buffers.iter().for_each(|buffer| commands.zero(buffer));
    }
}
