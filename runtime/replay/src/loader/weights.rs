//! Weights: which buffer each blob is in, which textures are made of it, and its way there from the file.
//!
//! Where the host sees device memory, blobs are copied in place. Elsewhere they pass through two small
//! buffers in turn, so that host memory holds a few megabytes of weights at a time, whatever their size. So do textures,
//! whose order in memory is the driver's affair.
use std::collections::BTreeMap;
use std::sync::Arc;

use drift_bundle::manifest::{TextureObject, WeightBlob};
use drift_bundle::{ALIGNMENT_BYTES, BundleError, WeightReader};

use super::Place;
use crate::api::{Api, Memory, Purpose, Record, Role, Rows};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::pending::Serial;
use crate::program::{UsedWeights, WeightTexture};

/// Each of the two buffers that weights pass through.
const STAGING_BYTES: u64 = 8 << 20;

/// Largest buffer that several blobs share. Larger ones are harder to place, and gain nothing.
const SHARED_BYTES: u64 = 1 << 30;

/// Fills a slice with the bytes from an offset on.
type Read<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> Result<(), BundleError>;

/// Weights on the device.
pub(crate) struct Weights<A: Api> {
    buffers: Vec<A::Buffer>,
    /// For each blob in use: which buffer, and where in it.
    places: BTreeMap<usize, (usize, u64)>,
    textures: Option<A::Textures>,
    /// For each texture in use its number in `textures`.
    texture_numbers: BTreeMap<WeightTexture, usize>,
    /// Host-visible bytes that were needed meanwhile.
    pub(crate) staging_bytes: u64,
}

impl<A: Api> Weights<A> {
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
        api: &Arc<A>,
        (all, reader): (&[WeightBlob], &mut WeightReader<'_>),
        used: &UsedWeights,
        deadline: Deadline,
    ) -> Result<Self, RuntimeError> {
        let blobs = &used.blobs;
        let whole = blobs.iter().map(|blob| (all[*blob].size, ALIGNMENT_BYTES));
        let (places, sizes) = place(whole, api.info().limits.buffer_bytes);
        let mut buffers = Vec::with_capacity(sizes.len());
        for size in sizes {
            buffers.push(api.buffer(size, Purpose::Device)?);
        }
        let places = blobs.iter().copied().zip(places).collect();
        let objects: Vec<TextureObject> = used.textures.iter().map(|texture| texture.object).collect();
        let made = || api.textures(&objects, Role::Weights);
        let textures = (!objects.is_empty()).then(made).transpose()?;
        let texture_numbers = used.textures.iter().copied().zip(0..).collect();
        let mut weights = Self { buffers, places, textures, texture_numbers, staging_bytes: 0 };
        weights.fill(api, (all, reader), deadline)?;
        Ok(weights)
    }

    /// Where a blob is, if it is among these.
    pub(crate) fn place(&self, blob: usize) -> Option<Place<'_, A>> {
        let (buffer, offset) = self.places.get(&blob)?;
        Some((&self.buffers[*buffer], *offset))
    }

    /// A texture, if it is among these: the set that it belongs to, and its number there.
    pub(crate) fn texture(&self, texture: &WeightTexture) -> Option<(&A::Textures, usize)> {
        let number = self.texture_numbers.get(texture)?;
        Some((self.textures.as_ref()?, *number))
    }

    /// Sum of the buffers and textures.
    pub(crate) fn bytes(&self) -> u64 {
        let buffers: u64 = self.buffers.iter().map(Memory::size).sum();
        buffers + self.textures.as_ref().map_or(0, A::texture_bytes)
    }

    fn fill(
        &mut self,
        api: &Arc<A>,
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
            lazily(&mut staging, api, deadline)?.upload((blob, reader), buffer, *offset)?;
        }
        for (texture, number) in &self.texture_numbers {
            let WeightTexture { blob, offset, object } = texture;
            let mut rows = |from: u64, into: &mut [u8]| reader.read(&all[*blob], offset + from, into);
            let Some(textures) = &self.textures else { unreachable!("there are as many as numbers") };
            lazily(&mut staging, api, deadline)?.fill(&mut rows, (textures, *number), object)?;
        }
        if let Some(mut staging) = staging {
            staging.finish()?;
            self.staging_bytes = 2 * STAGING_BYTES;
        }
        Ok(())
    }
}

/// The staging buffers, made when they are first needed.
fn lazily<'a, A: Api>(
    staging: &'a mut Option<Staging<A>>,
    api: &Arc<A>,
    deadline: Deadline,
) -> Result<&'a mut Staging<A>, RuntimeError> {
    Ok(match staging {
        Some(staging) => staging,
        none => none.insert(Staging::new(api, deadline)?),
    })
}

/// Packs blobs of these sizes and alignments into buffers, in order: which buffer each is in and where, and the sizes of
/// the buffers. A buffer has at most `most` bytes, and a blob larger than that gets one of its own.
pub(crate) fn place(blobs: impl Iterator<Item = (u64, u64)>, most: u64) -> (Vec<(usize, u64)>, Vec<u64>) {
    let most = most.min(SHARED_BYTES);
    let mut places = Vec::new();
    let mut sizes: Vec<u64> = Vec::new();
    for (size, alignment) in blobs {
        let offset = sizes.last().map(|end| end.next_multiple_of(alignment));
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
struct Staging<A: Api> {
    recordings: A::Recordings,
    slots: [Slot<A>; 2],
    next: usize,
    api: Arc<A>,
    deadline: Deadline,
}

struct Slot<A: Api> {
    buffer: A::Buffer,
    /// Number of its commands.
    commands: usize,
    fence: A::Fence,
    pending: Option<Serial>,
}

impl<A: Api> Staging<A> {
    fn new(api: &Arc<A>, deadline: Deadline) -> Result<Self, RuntimeError> {
        let mut recordings = api.recordings(false)?;
        let mut slot = || {
            Ok::<_, RuntimeError>(Slot {
                buffer: api.buffer(STAGING_BYTES, Purpose::Upload)?,
                commands: api.record(&mut recordings, |_| ())?,
                fence: api.fence()?,
                pending: None,
            })
        };
        let slots = [slot()?, slot()?];
        Ok(Self { recordings, slots, next: 0, api: Arc::clone(api), deadline })
    }

    fn upload(
        &mut self,
        (blob, reader): (&WeightBlob, &mut WeightReader<'_>),
        target: &A::Buffer,
        offset: u64,
    ) -> Result<(), RuntimeError> {
        let mut at = 0;
        while at < blob.size {
            let size = (blob.size - at).min(STAGING_BYTES);
            let fill = |part: &mut [u8]| reader.read(blob, at, part);
            self.pass(size as usize, fill, |commands, source| {
                commands.copy((source, 0), (target, offset + at), size);
            })?;
            at += size;
        }
        Ok(())
    }

    /// Fills a texture of weights: rows of texels without gaps, then layers. `read` fills a slice with what is at an
    /// offset of these.
    fn fill(
        &mut self,
        read: Read<'_>,
        (textures, texture): (&A::Textures, usize),
        object: &TextureObject,
    ) -> Result<(), RuntimeError> {
        let [width, height, layers] = object.extent_px;
        let row_bytes = u64::from(width) * object.element.texel_bytes();
        let part_rows = (STAGING_BYTES / row_bytes).clamp(1, height.into()) as u32;
        for layer in 0..layers {
            for first in (0..height).step_by(part_rows as usize) {
                let rows =
                    Rows { texture, object: *object, layer, first, count: part_rows.min(height - first) };
                let start = (u64::from(layer) * u64::from(height) + u64::from(first)) * row_bytes;
                let size = (u64::from(rows.count) * row_bytes) as usize;
                self.pass(
                    size,
                    |part| read(start, part),
                    |commands, source| {
                        commands.fill(source, textures, &rows);
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
        body: impl FnOnce(&mut A::Recorder<'_>, &A::Buffer),
    ) -> Result<(), RuntimeError> {
        let current = self.next;
        self.next = (current + 1) % self.slots.len();
        let slot = &mut self.slots[current];
        slot.wait(&self.api, self.deadline)?;
        fill(&mut slot.host_bytes()[..size])?;
        let (source, number) = (&slot.buffer, slot.commands);
        self.api.record_again(&mut self.recordings, number, |commands| body(commands, source))?;
        slot.pending = Some(self.api.submit(&mut self.recordings, &[number], Some(&slot.fence))?);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RuntimeError> {
        self.slots.iter_mut().try_for_each(|slot| slot.wait(&self.api, self.deadline))
    }
}

impl<A: Api> Slot<A> {
    fn wait(&mut self, api: &A, deadline: Deadline) -> Result<(), RuntimeError> {
        if let Some(serial) = self.pending {
            api.wait(&self.fence, serial, deadline)?;
            self.pending = None;
        }
        deadline.check()
    }

    fn host_bytes(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: upload buffers are mapped"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use drift_bundle::manifest::Provenance;
    use drift_bundle::{Bundle, BundleWriter};

    use super::*;

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

    /// Asserts that what passes through staging arrives whole: more parts than there are slots, the last one short.
    pub(crate) fn weights_arrive_whole<A: Api>(api: &Arc<A>) {
        let deadline = Deadline::after(Duration::from_secs(60));
        let bytes: Vec<u8> = (0..3 * STAGING_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let size = 256 + bytes.len() as u64;
        let target = api.buffer(size, Purpose::Device).unwrap();
        let host = api.buffer(size, Purpose::Download).unwrap();
        let fence = api.fence().unwrap();
        let mut staging = Staging::new(api, deadline).unwrap();
        let bundle = bundle_of(&bytes);
        let blob = &bundle.manifest().weights[0];
        staging.upload((blob, &mut bundle.weight_reader()), &target, 256).unwrap();
        staging.finish().unwrap();
        let mut recordings = api.recordings(false).unwrap();
        let download = api.record(&mut recordings, |commands| {
            commands.copy((&target, 256), (&host, 0), bytes.len() as u64);
        });
        let serial = api.submit(&mut recordings, &[download.unwrap()], Some(&fence)).unwrap();
        api.wait(&fence, serial, deadline).unwrap();
        assert!(host.bytes().unwrap()[..bytes.len()] == bytes[..]);
    }

    #[test]
    fn blobs_share_buffers_up_to_the_limit() {
        let blobs = [(10, 256), (300, 256), (2000, 256), (1, 256), (200, 512), (488, 256)];
        let (places, sizes) = place(blobs.into_iter(), 1000);
        assert_eq!(sizes, [556, 2000, 712, 488]);
        assert_eq!(places, [(0, 0), (0, 256), (1, 0), (2, 0), (2, 512), (3, 0)]);
    }
}
