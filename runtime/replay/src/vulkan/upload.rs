//! Weights: which buffer each blob lies in, which textures are made of it, and its way there from the mapped file.
//!
//! Where the host sees device memory, blobs are copied in place. Elsewhere they pass through two small
//! buffers in turn, so that host memory holds a few megabytes of weights at a time, whatever their size. So do textures,
//! whose order in memory is the driver's affair.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ash::vk;
use drift_bundle::manifest::{TextureKind, TextureObject, WeightBlob};
use drift_bundle::{ALIGNMENT_BYTES, BundleError, WeightReader};

use super::commands::{CommandPool, Fence, copy};
use super::context::Context;
use super::memory::{Buffer, Purpose};
use super::pending::Serial;
use super::texture::{self, Role, Textures};
use crate::backend::{UsedWeights, WeightTexture};
use crate::deadline::Deadline;
use crate::error::RuntimeError;

/// Each of the two buffers that weights pass through.
const STAGING_BYTES: u64 = 8 << 20;

/// Largest buffer that several blobs share. Larger ones are harder to place, and gain nothing.
const SHARED_BYTES: u64 = 1 << 30;

/// Fills a slice with the bytes from an offset on.
type Read<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> Result<(), BundleError>;

/// Weights on the device.
pub(crate) struct Weights {
    pub(crate) buffers: Vec<Buffer>,
    /// For each blob in use: which buffer, and where in it.
    places: BTreeMap<usize, (usize, u64)>,
    textures: Option<Textures>,
    /// For each texture in use its number in `textures`.
    texture_numbers: BTreeMap<WeightTexture, usize>,
    /// Host-visible bytes that were needed meanwhile.
    pub(crate) staging_bytes: u64,
}

impl Weights {
    /// No blobs.
    pub(crate) fn none() -> Self {
        Self {
            buffers: Vec::new(),
            places: BTreeMap::new(),
            textures: None,
            texture_numbers: BTreeMap::new(),
            staging_bytes: 0,
        }
    }

    /// Allocates buffers and textures for these weights, `all` being those of the bundle, and reads them into there.
    pub(crate) fn load(
        context: &Arc<Context>,
        (all, reader): (&[WeightBlob], &mut WeightReader<'_>),
        used: &UsedWeights,
        deadline: Deadline,
    ) -> Result<Self, RuntimeError> {
        let blobs = &used.blobs;
        let (places, sizes) = place(blobs.iter().map(|blob| all[*blob].size), context);
        let mut buffers = Vec::with_capacity(sizes.len());
        for size in sizes {
            buffers.push(Buffer::new(context, size, Purpose::Device)?);
        }
        let places = blobs.iter().copied().zip(places).collect();
        let objects: Vec<TextureObject> = used.textures.iter().map(|texture| texture.object).collect();
        let made = || Textures::new(context, &objects, Role::Weights);
        let textures = (!objects.is_empty()).then(made).transpose()?;
        let texture_numbers = used.textures.iter().copied().zip(0..).collect();
        let mut weights = Self { buffers, places, textures, texture_numbers, staging_bytes: 0 };
        weights.fill(context, (all, reader), deadline)?;
        Ok(weights)
    }

    /// Where a blob lies, if it is among these.
    pub(crate) fn place(&self, blob: usize) -> Option<(vk::Buffer, u64)> {
        let (buffer, offset) = self.places.get(&blob)?;
        Some((self.buffers[*buffer].raw, *offset))
    }

    /// A texture, if it is among these.
    pub(crate) fn texture(&self, texture: &WeightTexture) -> Option<vk::ImageView> {
        let number = self.texture_numbers.get(texture)?;
        Some(self.textures.as_ref()?.views[*number])
    }

    /// Sum of the buffers and textures.
    pub(crate) fn bytes(&self) -> u64 {
        let buffers: u64 = self.buffers.iter().map(|buffer| buffer.size).sum();
        buffers + self.textures.as_ref().map_or(0, |textures| textures.size)
    }

    fn fill(
        &mut self,
        context: &Arc<Context>,
        (all, reader): (&[WeightBlob], &mut WeightReader<'_>),
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        let mut staging = None;
        for (blob, (buffer, offset)) in &self.places {
            let blob = &all[*blob];
            let buffer = &mut self.buffers[*buffer];
            if let Some(mapped) = buffer.bytes_mut() {
                let whole = &mut mapped[*offset as usize..][..blob.size as usize];
                for (at, part) in
                    (0..).step_by(STAGING_BYTES as usize).zip(whole.chunks_mut(STAGING_BYTES as usize))
                {
                    deadline.check()?;
                    reader.read(blob, at, part)?;
                }
                continue;
            }
            lazily(&mut staging, context, deadline)?.upload((blob, reader), buffer, *offset)?;
        }
        for (texture, number) in &self.texture_numbers {
            let WeightTexture { blob, offset, object } = texture;
            let mut rows = |from: u64, into: &mut [u8]| reader.read(&all[*blob], offset + from, into);
            let images = self.textures.as_ref().map_or(&[][..], |textures| &textures.images);
            lazily(&mut staging, context, deadline)?.fill(&mut rows, images[*number], object)?;
        }
        if let Some(mut staging) = staging {
            staging.finish()?;
            self.staging_bytes = 2 * STAGING_BYTES;
        }
        Ok(())
    }
}

/// The staging buffers, made when they are first needed.
fn lazily<'a>(
    staging: &'a mut Option<Staging>,
    context: &Arc<Context>,
    deadline: Deadline,
) -> Result<&'a mut Staging, RuntimeError> {
    Ok(match staging {
        Some(staging) => staging,
        none => none.insert(Staging::new(context, deadline)?),
    })
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
    commands: CommandPool,
    slots: [Slot; 2],
    next: usize,
    context: Arc<Context>,
    deadline: Deadline,
}

struct Slot {
    buffer: Buffer,
    commands: vk::CommandBuffer,
    fence: Fence,
    pending: Option<Serial>,
}

impl Staging {
    fn new(context: &Arc<Context>, deadline: Deadline) -> Result<Self, RuntimeError> {
        let pool = CommandPool::new(context)?;
        let slot = || {
            Ok::<_, RuntimeError>(Slot {
                buffer: Buffer::new(context, STAGING_BYTES, Purpose::Upload)?,
                commands: pool.record(|_| ())?,
                fence: Fence::new(context)?,
                pending: None,
            })
        };
        let slots = [slot()?, slot()?];
        Ok(Self { commands: pool, slots, next: 0, context: Arc::clone(context), deadline })
    }

    fn upload(
        &mut self,
        (blob, reader): (&WeightBlob, &mut WeightReader<'_>),
        target: &Buffer,
        offset: u64,
    ) -> Result<(), RuntimeError> {
        let mut at = 0;
        while at < blob.size {
            let size = (blob.size - at).min(STAGING_BYTES);
            let fill = |part: &mut [u8]| reader.read(blob, at, part);
            self.pass(size as usize, fill, |context, commands, source| {
                copy(context, commands, (source, 0), (target.raw, offset + at), size);
            })?;
            at += size;
        }
        Ok(())
    }

    /// Fills a texture of weights: rows of texels without gaps, then layers. `read` fills a slice with what lies at an
    /// offset of these.
    fn fill(&mut self, read: Read<'_>, image: vk::Image, object: &TextureObject) -> Result<(), RuntimeError> {
        let [width, height, layers] = object.extent_px;
        let row_bytes = u64::from(width) * object.element.texel_bytes();
        let part_rows = (STAGING_BYTES / row_bytes).clamp(1, height.into()) as u32;
        for layer in 0..layers {
            for first_row in (0..height).step_by(part_rows as usize) {
                let rows = part_rows.min(height - first_row);
                let begins = layer == 0 && first_row == 0;
                let ends = layer + 1 == layers && first_row + rows == height;
                let region = region(object, layer, first_row, rows);
                let start = (u64::from(layer) * u64::from(height) + u64::from(first_row)) * row_bytes;
                let size = (u64::from(rows) * row_bytes) as usize;
                self.pass(
                    size,
                    |part| read(start, part),
                    |context, commands, source| {
                        if begins {
                            transition(context, commands, image, Filling::Begins);
                        }
                        let target = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
                        // SAFETY: the command buffer is recording, and the region is inside of both objects.
                        unsafe {
                            context.device.cmd_copy_buffer_to_image(
                                commands,
                                source,
                                image,
                                target,
                                &[region],
                            );
                        }
                        if ends {
                            transition(context, commands, image, Filling::Ends);
                        }
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Fills `size` bytes of the next buffer and submits what `body` records for it.
    fn pass(
        &mut self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), BundleError>,
        body: impl FnOnce(&Context, vk::CommandBuffer, vk::Buffer),
    ) -> Result<(), RuntimeError> {
        let current = self.next;
        self.next = (current + 1) % self.slots.len();
        let slot = &mut self.slots[current];
        slot.wait(&self.context, self.deadline)?;
        fill(&mut slot.host_bytes()[..size])?;
        let source = slot.buffer.raw;
        self.commands.record_again(slot.commands, |commands| body(&self.context, commands, source))?;
        slot.pending = Some(self.context.submit(&[slot.commands], slot.fence.raw)?);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RuntimeError> {
        self.slots.iter_mut().try_for_each(|slot| slot.wait(&self.context, self.deadline))
    }
}

/// `rows` of one layer, from the start of a buffer.
fn region(object: &TextureObject, layer: u32, first_row: u32, rows: u32) -> vk::BufferImageCopy {
    let (array_layer, depth) = match object.kind {
        TextureKind::Array => (layer, 0),
        TextureKind::D2 | TextureKind::D3 => (0, layer),
    };
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
        image_offset: vk::Offset3D { x: 0, y: first_row as i32, z: depth as i32 },
        image_extent: vk::Extent3D { width: object.extent_px[0], height: rows, depth: 1 },
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
            (Role::Weights.layout(), vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_READ),
        ),
    };
    let barrier = [vk::ImageMemoryBarrier::default()
        .image(image)
        .subresource_range(texture::WHOLE)
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

impl Slot {
    fn wait(&mut self, context: &Context, deadline: Deadline) -> Result<(), RuntimeError> {
        if let Some(serial) = self.pending {
            context.wait(self.fence.raw, serial, deadline)?;
            self.pending = None;
        }
        deadline.check()
    }

    fn host_bytes(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: upload buffers are mapped"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use crate::device::OpenOptions;
    use drift_bundle::manifest::Provenance;
    use drift_bundle::{Bundle, BundleWriter};

    /// A bundle that holds nothing but these weights.
    fn bundle_of(bytes: &[u8]) -> Bundle {
        let provenance = Provenance {
            compiler: String::new(),
            flags: Vec::new(),
            model: String::new(),
            model_hash: String::new(),
            profiles: Vec::new(),
        };
        let mut writer = BundleWriter::new(provenance);
        writer.add_weight("w", bytes).unwrap();
        Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn what_passes_through_staging_arrives_whole() {
        let device = super::super::open(&OpenOptions { validation: true, ..OpenOptions::default() })
            .expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers");
        let (context, deadline) = (&device.context, Deadline::after(Duration::from_secs(60)));
        // More parts than there are slots, the last one short.
        let bytes: Vec<u8> = (0..3 * STAGING_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let size = 256 + bytes.len() as u64;
        let target = Buffer::new(context, size, Purpose::Device).unwrap();
        let host = Buffer::new(context, size, Purpose::Download).unwrap();
        let fence = Fence::new(context).unwrap();
        let mut staging = Staging::new(context, deadline).unwrap();
        let bundle = bundle_of(&bytes);
        let blob = &bundle.manifest().weights[0];
        staging.upload((blob, &mut bundle.weight_reader()), &target, 256).unwrap();
        staging.finish().unwrap();
        let commands = CommandPool::new(context).unwrap();
        let download = commands.record(|commands| {
            copy(context, commands, (target.raw, 256), (host.raw, 0), bytes.len() as u64);
        });
        let serial = context.submit(&[download.unwrap()], fence.raw).unwrap();
        context.wait(fence.raw, serial, deadline).unwrap();
        assert!(host.bytes().unwrap()[..bytes.len()] == bytes[..]);
        drop((staging, commands));
        assert_eq!(context.instance.validation_log().messages(), [""; 0]);
    }

    #[test]
    fn the_validation_layer_is_heard() {
        let device = super::super::open(&OpenOptions { validation: true, ..OpenOptions::default() })
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
