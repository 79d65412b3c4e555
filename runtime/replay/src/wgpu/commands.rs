//! Commands that are kept and encoded at each submission, since WebGPU submits a command buffer once.
#![expect(unsafe_code, reason = "copies from and to memory that the host shares")]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use ::wgpu::wgc::command::{ComputePass, ComputePassDescriptor, PassTimestampWrites};
use ::wgpu::wgc::device::HostMap;
use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id::{BufferId, CommandBufferId, CommandEncoderId, ComputePipelineId, TextureId};
use ::wgpu::wgc::resource::{BufferAccessError, BufferMapOperation};
use ::wgpu::wgt::{
    CommandBufferDescriptor, CommandEncoderDescriptor, Extent3d, Origin3d, TexelCopyBufferLayout,
    TexelCopyTextureInfo, TextureAspect,
};

use super::bind::{Bindings, Groups};
use super::context::{Context, Ended};
use super::handle::Handle;
use super::memory::{Buffer, whole};
use super::pipelines::Pipelines;
use super::queries::{Queries, Timestamps};
use super::texture::Textures;
use super::{failed, made};
use crate::api::{Memory, Record, Rows, Step, Work};
use crate::error::RuntimeError;
use crate::host_memory::HostMemory;

const DOING: &str = "recording commands";

/// A command and everything that it uses.
pub(crate) enum Command {
    Write(Write),
    Copy {
        from: Arc<Handle<BufferId>>,
        to: Arc<Handle<BufferId>>,
        offsets: (u64, u64),
        bytes: u64,
    },
    Read {
        from: Arc<Handle<BufferId>>,
        to: Landing,
        offsets: (u64, u64),
        bytes: u64,
    },
    Zero(Arc<Handle<BufferId>>),
    Dispatch {
        pipeline: Arc<Handle<ComputePipelineId>>,
        groups: Arc<Groups>,
        grid: [u32; 3],
        stamp: Option<Stamp>,
    },
    /// Takes the times of a dispatch that was left out, since all that are read have to be taken.
    LeftOut(Stamp),
    Resolve(Arc<Timestamps>),
}

/// Memory of the host, to the device by way of the queue's own staging.
pub(crate) struct Write {
    from: Arc<HostMemory>,
    to: Target,
}

/// What a write fills.
enum Target {
    /// From and to these offsets.
    Buffer { buffer: Arc<Handle<BufferId>>, offsets: (u64, u64), bytes: u64 },
    /// From the start.
    Texture { texture: Arc<Handle<TextureId>>, rows: Rows },
}

/// Memory of the host, and the buffer that is mapped to read it.
#[derive(Clone)]
pub(crate) struct Landing {
    pub(crate) host: Arc<HostMemory>,
    pub(crate) buffer: Arc<Handle<BufferId>>,
}

/// Where the times of a dispatch are kept.
pub(crate) struct Stamp {
    timestamps: Arc<Timestamps>,
    dispatch: usize,
}

/// A part of a submission.
pub(crate) enum Piece<'a> {
    Write(&'a Write),
    Commands(Handle<CommandBufferId>),
}

/// Ranges of one buffer that the host reads once the work has ended.
pub(crate) struct Reading {
    landing: Landing,
    ranges: Vec<Range<u64>>,
}

/// Lists of commands.
#[derive(Default)]
pub(crate) struct Recordings {
    pub(crate) lists: Vec<Vec<Command>>,
    /// What was submitted without a fence.
    pub(crate) unread: Vec<Reading>,
}

/// The submission that it was given to last, and what the host reads of it.
#[derive(Default)]
pub(crate) struct Fence(pub(crate) Mutex<Option<(Ended, Vec<Reading>)>>);

impl Write {
    /// Gives it to the queue, which has its own copy afterwards.
    pub(crate) fn issue(&self, context: &Context) -> Result<(), RuntimeError> {
        // SAFETY: the session that the memory belongs to is submitting, so that it neither writes nor waits now.
        let host = unsafe { self.from.bytes() };
        let (core, queue) = (&context.core, context.queue());
        let issued = match &self.to {
            Target::Buffer { buffer, offsets: (from, to), bytes } => {
                let data = &host[*from as usize..][..*bytes as usize];
                core.queue_write_buffer(queue, buffer.id(), *to, data)
            }
            Target::Texture { texture, rows } => {
                let [width, ..] = rows.object.extent_px;
                let row_bytes = width * rows.object.element.texel_bytes() as u32;
                let destination = TexelCopyTextureInfo {
                    texture: texture.id(),
                    mip_level: 0,
                    // Layer or depth: the third of either.
                    origin: Origin3d { x: 0, y: rows.first, z: rows.layer },
                    aspect: TextureAspect::All,
                };
                let layout =
                    TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row_bytes), rows_per_image: None };
                let size = Extent3d { width, height: rows.count, depth_or_array_layers: 1 };
                let bytes = row_bytes as usize * rows.count as usize;
                core.queue_write_texture(queue, &destination, &host[..bytes], &layout, &size)
            }
        };
        issued.map_err(failed("submitting work"))
    }
}

impl Reading {
    /// Asks for the ranges, which are there once the work before has ended.
    pub(crate) fn begin(&self, core: &Global) -> Result<(), BufferAccessError> {
        let Range { start, end } = self.span();
        let read = BufferMapOperation { host: HostMap::Read, callback: None };
        core.buffer_map_async(self.landing.buffer.id(), start, Some(end - start), read).map(drop)
    }

    /// Copies the ranges to the host's memory, after the work has ended.
    pub(crate) fn finish(&self, core: &Global) -> Result<(), BufferAccessError> {
        let (Range { start, end }, buffer) = (self.span(), self.landing.buffer.id());
        let (mapped, _) = core.buffer_get_mapped_range(buffer, start, Some(end - start))?;
        for range in &self.ranges {
            let bytes = (range.end - range.start) as usize;
            // SAFETY: the range is mapped, no larger than the host's memory, and the session that reads that is waiting.
            unsafe {
                let from = mapped.as_ptr().add((range.start - start) as usize);
                self.landing.host.start().add(range.start as usize).copy_from_nonoverlapping(from, bytes);
            }
        }
        core.buffer_unmap(buffer)
    }

    fn span(&self) -> Range<u64> {
        let start = self.ranges.iter().map(|range| range.start).min();
        let end = self.ranges.iter().map(|range| range.end).max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }
}

/// Encodes commands as the pieces of a submission, with what the host reads of it.
pub(crate) fn encode<'a>(
    context: &Context,
    commands: impl Iterator<Item = &'a Command>,
) -> Result<(Vec<Piece<'a>>, Vec<Reading>), RuntimeError> {
    let mut encoder =
        Encoder { context, pieces: Vec::new(), readings: Vec::new(), commands: None, pass: None };
    for command in commands {
        encoder.add(command)?;
    }
    encoder.end_commands()?;
    Ok((encoder.pieces, encoder.readings))
}

struct Encoder<'c, 'a> {
    context: &'c Context,
    pieces: Vec<Piece<'a>>,
    readings: Vec<Reading>,
    commands: Option<Handle<CommandEncoderId>>,
    pass: Option<ComputePass>,
}

impl<'a> Encoder<'_, 'a> {
    fn add(&mut self, command: &'a Command) -> Result<(), RuntimeError> {
        let core = &self.context.core;
        match command {
            Command::Write(write) => {
                self.end_commands()?;
                self.pieces.push(Piece::Write(write));
                Ok(())
            }
            Command::Copy { from, to, offsets, bytes } => self.copy((from, to), *offsets, *bytes),
            Command::Read { from, to, offsets, bytes } => {
                self.copy((from, &to.buffer), *offsets, *bytes)?;
                self.read(to, offsets.1..offsets.1 + bytes);
                Ok(())
            }
            Command::Zero(buffer) => {
                let commands = self.commands()?;
                core.command_encoder_clear_buffer(commands, buffer.id(), 0, None).map_err(failed(DOING))
            }
            Command::Dispatch { pipeline, groups, grid, stamp } => {
                self.dispatch(pipeline.id(), groups, *grid, stamp.as_ref())
            }
            Command::LeftOut(stamp) => {
                self.end_pass()?;
                self.begin_pass(Some(stamp.timestamps.of(stamp.dispatch)))?;
                self.end_pass()
            }
            Command::Resolve(timestamps) => {
                let commands = self.commands()?;
                timestamps.resolve(core, commands)
            }
        }
    }

    /// The encoder, outside of a pass.
    fn commands(&mut self) -> Result<CommandEncoderId, RuntimeError> {
        self.end_pass()?;
        self.encoder()
    }

    fn encoder(&mut self) -> Result<CommandEncoderId, RuntimeError> {
        if let Some(commands) = &self.commands {
            return Ok(commands.id());
        }
        let (core, device) = (&self.context.core, self.context.device());
        let created =
            core.device_create_command_encoder(device, &CommandEncoderDescriptor { label: None }, None);
        Ok(self.commands.insert(made(core, created, DOING)?).id())
    }

    fn copy(
        &mut self,
        (from, to): (&Handle<BufferId>, &Handle<BufferId>),
        offsets: (u64, u64),
        bytes: u64,
    ) -> Result<(), RuntimeError> {
        let commands = self.commands()?;
        let core = &self.context.core;
        core.command_encoder_copy_buffer_to_buffer(
            commands,
            from.id(),
            offsets.0,
            to.id(),
            offsets.1,
            Some(bytes),
        )
        .map_err(failed(DOING))
    }

    fn read(&mut self, landing: &Landing, range: Range<u64>) {
        let same = |reading: &&mut Reading| Arc::ptr_eq(&reading.landing.buffer, &landing.buffer);
        match self.readings.iter_mut().find(same) {
            Some(reading) => reading.ranges.push(range),
            None => self.readings.push(Reading { landing: landing.clone(), ranges: vec![range] }),
        }
    }

    /// A dispatch, in a pass of its own where it is timed.
    fn dispatch(
        &mut self,
        pipeline: ComputePipelineId,
        groups: &Groups,
        [x, y, z]: [u32; 3],
        stamp: Option<&Stamp>,
    ) -> Result<(), RuntimeError> {
        if stamp.is_some() {
            self.end_pass()?;
        }
        if self.pass.is_none() {
            self.begin_pass(stamp.map(|stamp| stamp.timestamps.of(stamp.dispatch)))?;
        }
        let core = &self.context.core;
        let Some(pass) = &mut self.pass else { unreachable!("begun above") };
        core.compute_pass_set_pipeline(pass, pipeline).map_err(failed(DOING))?;
        for (index, group) in groups {
            core.compute_pass_set_bind_group(pass, *index, Some(group.id()), &[]).map_err(failed(DOING))?;
        }
        core.compute_pass_dispatch_workgroups(pass, x, y, z).map_err(failed(DOING))?;
        if stamp.is_some() { self.end_pass() } else { Ok(()) }
    }

    fn begin_pass(&mut self, timestamp_writes: Option<PassTimestampWrites>) -> Result<(), RuntimeError> {
        let commands = self.encoder()?;
        let descriptor = ComputePassDescriptor { label: None, timestamp_writes };
        let (pass, error) = self.context.core.command_encoder_begin_compute_pass(commands, &descriptor);
        self.pass = Some(pass);
        error.map_or(Ok(()), |error| Err(failed(DOING)(error)))
    }

    fn end_pass(&mut self) -> Result<(), RuntimeError> {
        match self.pass.take() {
            Some(mut pass) => self.context.core.compute_pass_end(&mut pass).map_err(failed(DOING)),
            None => Ok(()),
        }
    }

    /// Makes a piece of what was encoded so far. The core says only now what it finds wrong with it.
    fn end_commands(&mut self) -> Result<(), RuntimeError> {
        self.end_pass()?;
        let Some(commands) = self.commands.take() else { return Ok(()) };
        let core = &self.context.core;
        let (id, error) =
            core.command_encoder_finish(commands.id(), &CommandBufferDescriptor { label: None }, None);
        let finished = made(core, (id, error.map(|(_label, error)| error)), DOING)?;
        self.pieces.push(Piece::Commands(finished));
        Ok(())
    }
}

/// Appends to one list.
pub(crate) struct Recorder<'a> {
    pub(crate) list: &'a mut Vec<Command>,
}

impl Record<Context> for Recorder<'_> {
    /// The core orders commands by what they use.
    fn barrier(&mut self, _before: Work, _after: Work) {}

    fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        if bytes == 0 {
            return;
        }
        let (offsets, bytes) = ((from.1, to.1), whole(bytes));
        self.list.push(match (from.0, to.0) {
            (Buffer::Device { raw: from, .. }, Buffer::Device { raw: to, .. }) => {
                Command::Copy { from: Arc::clone(from), to: Arc::clone(to), offsets, bytes }
            }
            (Buffer::Upload(host), Buffer::Device { raw, .. }) => {
                let to = Target::Buffer { buffer: Arc::clone(raw), offsets, bytes };
                Command::Write(Write { from: Arc::clone(host), to })
            }
            (Buffer::Device { raw, .. }, Buffer::Download(landing)) => {
                Command::Read { from: Arc::clone(raw), to: landing.clone(), offsets, bytes }
            }
            (Buffer::Upload(_) | Buffer::Download(_), _) | (_, Buffer::Upload(_)) => {
                unreachable!("verified: copies go up or down")
            }
        });
    }

    fn zero(&mut self, buffer: &Buffer) {
        match buffer {
            Buffer::Device { raw, .. } => self.list.push(Command::Zero(Arc::clone(raw))),
            Buffer::Upload(_) | Buffer::Download(_) => {
                unreachable!("verified: what is zeroed is the device's")
            }
        }
    }

    /// A new texture of WebGPU holds zeros, and this one is new.
    fn clear(&mut self, _textures: &Textures) {}

    fn fill(&mut self, from: &Buffer, textures: &Textures, rows: &Rows) {
        let Buffer::Upload(host) = from else { unreachable!("verified: the host wrote it") };
        let texture = Arc::clone(&textures.textures[rows.texture].raw);
        let to = Target::Texture { texture, rows: *rows };
        self.list.push(Command::Write(Write { from: Arc::clone(host), to }));
    }

    fn dispatch(&mut self, pipelines: &Pipelines, bindings: &Bindings, index: usize, step: Step) {
        self.list.push(Command::Dispatch {
            pipeline: pipelines.of(step.shader).raw(),
            groups: bindings.of(index),
            grid: step.grid,
            stamp: None,
        });
    }

    fn reset_times(&mut self, _queries: &Queries) {}

    fn stamp_start(&mut self, _queries: &Queries, _submission: usize) {}

    /// A pass takes its times itself; those of all are read with the last.
    fn stamp_end(&mut self, queries: &Queries, _submission: usize, dispatch: usize) {
        let timestamps = &queries.timestamps;
        if let Some(Command::Dispatch { stamp, .. }) = self.list.last_mut() {
            *stamp = Some(Stamp { timestamps: Arc::clone(timestamps), dispatch });
        }
        self.resolve_after(queries, dispatch);
    }

    fn stamp_left_out(&mut self, queries: &Queries, _submission: usize, dispatch: usize) {
        let timestamps = Arc::clone(&queries.timestamps);
        self.list.push(Command::LeftOut(Stamp { timestamps, dispatch }));
        self.resolve_after(queries, dispatch);
    }
}

impl Recorder<'_> {
    /// Reads all times after the last dispatch.
    fn resolve_after(&mut self, queries: &Queries, dispatch: usize) {
        let timestamps = &queries.timestamps;
        if dispatch + 1 == timestamps.dispatches {
            self.list.push(Command::Resolve(Arc::clone(timestamps)));
            let bytes = queries.landing.size();
            let Buffer::Download(landing) = &queries.landing else { unreachable!("made to be read") };
            let from = Arc::clone(&timestamps.resolved);
            self.list.push(Command::Read { from, to: landing.clone(), offsets: (0, 0), bytes });
        }
    }
}
