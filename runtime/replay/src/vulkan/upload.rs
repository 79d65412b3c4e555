//! Weights: which buffer each blob lies in, and its way there from the mapped file.
//!
//! Where the host sees device memory, blobs are copied in place. Elsewhere they pass through two small
//! buffers in turn, so that host memory holds a few megabytes of weights at a time, whatever their size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ash::vk;
use drift_bundle::{ALIGNMENT_BYTES, Bundle};

use super::commands::{CommandPool, Fence, copy};
use super::context::Context;
use super::memory::{Buffer, Purpose};
use crate::error::RuntimeError;

/// Each of the two buffers that weights pass through.
const STAGING_BYTES: u64 = 8 << 20;

/// Largest buffer that several blobs share. Larger ones are harder to place, and gain nothing.
const SHARED_BYTES: u64 = 1 << 30;

/// Weights on the device.
pub(crate) struct Weights {
    pub(crate) buffers: Vec<Buffer>,
    /// For each blob in use: which buffer, and where in it.
    places: BTreeMap<usize, (usize, u64)>,
    /// Host-visible bytes that were needed meanwhile.
    pub(crate) staging_bytes: u64,
}

impl Weights {
    /// No blobs.
    pub(crate) fn none() -> Self {
        Self { buffers: Vec::new(), places: BTreeMap::new(), staging_bytes: 0 }
    }

    /// Allocates buffers for these blobs of `bundle` and copies them there.
    pub(crate) fn load(
        context: &Arc<Context>,
        bundle: &Bundle,
        blobs: &BTreeSet<usize>,
        timeout: Duration,
    ) -> Result<Self, RuntimeError> {
        let (places, sizes) = place(blobs.iter().map(|blob| bundle.manifest().weights[*blob].size), context);
        let mut buffers = Vec::with_capacity(sizes.len());
        for size in sizes {
            buffers.push(Buffer::new(context, size, Purpose::Device)?);
        }
        let places = blobs.iter().copied().zip(places).collect();
        let mut weights = Self { buffers, places, staging_bytes: 0 };
        weights.fill(context, bundle, timeout)?;
        Ok(weights)
    }

    /// Where a blob lies, if it is among these.
    pub(crate) fn place(&self, blob: usize) -> Option<(vk::Buffer, u64)> {
        let (buffer, offset) = self.places.get(&blob)?;
        Some((self.buffers[*buffer].raw, *offset))
    }

    /// Sum of the buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.size).sum()
    }

    fn fill(
        &mut self,
        context: &Arc<Context>,
        bundle: &Bundle,
        timeout: Duration,
    ) -> Result<(), RuntimeError> {
        let mut staging = None;
        for (blob, (buffer, offset)) in &self.places {
            let bytes = bundle.weight_bytes(&bundle.manifest().weights[*blob]);
            let buffer = &mut self.buffers[*buffer];
            if let Some(mapped) = buffer.bytes_mut() {
                mapped[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
                continue;
            }
            let staging = match &mut staging {
                Some(staging) => staging,
                none => none.insert(Staging::new(context, timeout)?),
            };
            staging.upload(bytes, buffer, *offset)?;
        }
        if let Some(mut staging) = staging {
            staging.finish()?;
            self.staging_bytes = 2 * STAGING_BYTES;
        }
        Ok(())
    }
}

/// For blobs of these sizes which buffer each lies in and where, and the sizes of the buffers.
pub(crate) fn place(blobs: impl Iterator<Item = u64>, context: &Context) -> (Vec<(usize, u64)>, Vec<u64>) {
    place_within(blobs, SHARED_BYTES.min(context.info.limits.buffer_bytes))
}

/// Packs blobs into buffers of at most `most` bytes, in order. A larger blob gets a buffer of its own.
fn place_within(blobs: impl Iterator<Item = u64>, most: u64) -> (Vec<(usize, u64)>, Vec<u64>) {
    let mut places = Vec::new();
    let mut sizes: Vec<u64> = Vec::new();
    for size in blobs {
        let offset = sizes.last().map(|end| end.next_multiple_of(ALIGNMENT_BYTES));
        let offset = match offset {
            Some(offset) if offset + size <= most => offset,
            _ => {
                sizes.push(0);
                0
            }
        };
        let last = sizes.len() - 1;
        sizes[last] = offset + size;
        places.push((last, offset));
    }
    (places, sizes)
}

/// Two buffers that weights pass through: one is filled while the other is copied from.
struct Staging {
    // First, so that it waits before the rest is destroyed.
    commands: CommandPool,
    slots: [Slot; 2],
    next: usize,
    context: Arc<Context>,
    timeout: Duration,
}

struct Slot {
    buffer: Buffer,
    commands: vk::CommandBuffer,
    fence: Fence,
    pending: bool,
}

impl Staging {
    fn new(context: &Arc<Context>, timeout: Duration) -> Result<Self, RuntimeError> {
        let pool = CommandPool::new(context)?;
        let slot = || {
            Ok::<_, RuntimeError>(Slot {
                buffer: Buffer::new(context, STAGING_BYTES, Purpose::Upload)?,
                commands: pool.record(|_| ())?,
                fence: Fence::new(context)?,
                pending: false,
            })
        };
        let slots = [slot()?, slot()?];
        Ok(Self { commands: pool, slots, next: 0, context: Arc::clone(context), timeout })
    }

    fn upload(&mut self, bytes: &[u8], target: &Buffer, offset: u64) -> Result<(), RuntimeError> {
        let mut at = offset;
        for part in bytes.chunks(STAGING_BYTES as usize) {
            let current = self.next;
            self.next = (current + 1) % self.slots.len();
            let slot = &mut self.slots[current];
            slot.wait(&self.context, self.timeout)?;
            slot.host_bytes()[..part.len()].copy_from_slice(part);
            let source = slot.buffer.raw;
            self.commands.record_again(slot.commands, |commands| {
                copy(&self.context, commands, (source, 0), (target.raw, at), part.len() as u64);
            })?;
            self.context.submit(&[slot.commands], slot.fence.raw)?;
            slot.pending = true;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RuntimeError> {
        self.slots.iter_mut().try_for_each(|slot| slot.wait(&self.context, self.timeout))
    }
}

impl Slot {
    fn wait(&mut self, context: &Context, timeout: Duration) -> Result<(), RuntimeError> {
        if self.pending {
            context.wait(self.fence.raw, timeout)?;
            self.pending = false;
        }
        Ok(())
    }

    fn host_bytes(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: upload buffers are mapped"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::device::OpenOptions;

    #[test]
    fn what_passes_through_staging_arrives_whole() {
        let device = super::super::open(&OpenOptions { device: None, validation: true })
            .expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers");
        let (context, timeout) = (&device.context, Duration::from_secs(60));
        // More parts than there are slots, the last one short.
        let bytes: Vec<u8> = (0..3 * STAGING_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let size = 256 + bytes.len() as u64;
        let target = Buffer::new(context, size, Purpose::Device).unwrap();
        let host = Buffer::new(context, size, Purpose::Download).unwrap();
        let fence = Fence::new(context).unwrap();
        let mut staging = Staging::new(context, timeout).unwrap();
        staging.upload(&bytes, &target, 256).unwrap();
        staging.finish().unwrap();
        let commands = CommandPool::new(context).unwrap();
        let download = commands.record(|commands| {
            copy(context, commands, (target.raw, 256), (host.raw, 0), bytes.len() as u64);
        });
        context.submit(&[download.unwrap()], fence.raw).unwrap();
        context.wait(fence.raw, timeout).unwrap();
        assert!(host.bytes().unwrap()[..bytes.len()] == bytes[..]);
        drop((staging, commands));
        assert_eq!(context.instance.validation_log().messages(), [""; 0]);
    }

    #[test]
    fn the_validation_layer_is_heard() {
        let device = super::super::open(&OpenOptions { device: None, validation: true })
            .expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers");
        let context = &device.context;
        let first = Buffer::new(context, 256, Purpose::Device).unwrap();
        let second = Buffer::new(context, 256, Purpose::Device).unwrap();
        let commands = CommandPool::new(context).unwrap();
        // Without a barrier the second copy may read before the first has written. It is recorded and never
        // submitted.
        let recorded = commands.record(|commands| {
            copy(context, commands, (first.raw, 0), (second.raw, 0), 256);
            copy(context, commands, (second.raw, 0), (first.raw, 0), 256);
        });
        recorded.unwrap();
        let messages = context.instance.validation_log().messages();
        assert!(
            messages.iter().any(|message| message.contains("SYNC-HAZARD-READ-AFTER-WRITE")),
            "{messages:#?}"
        );
    }

    #[test]
    fn blobs_share_buffers_up_to_the_limit() {
        let (places, sizes) = place_within([10, 300, 2000, 1, 700].into_iter(), 1000);
        assert_eq!(sizes, [556, 2000, 956]);
        assert_eq!(places, [(0, 0), (0, 256), (1, 0), (2, 0), (2, 256)]);
    }
}
