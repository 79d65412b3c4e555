//! A program on a Vulkan device: loaded once, submitted many times.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk;
use drift_bundle::{ALIGNMENT_BYTES, WeightReader};

use super::bind::{Bindings, Memory};
use super::commands::{CommandPool, Fence, Work, barrier, copy};
use super::context::Context;
use super::derived::Derived;
use super::memory::{Buffer, Purpose};
use super::pending::Serial;
use super::pipeline::Pipelines;
use super::query::Queries;
use super::record::Recorder;
use super::texture::{Role, Textures};
use super::upload::Weights;
use crate::backend::{Loaded, Program, Replay, UsedWeights, submissions};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::report::{DeviceBytes, LoadTimes, Timings};
use crate::session::LoadOptions;

/// Everything that a run uses.
struct VulkanReplay {
    recorded: Recorded,
    _commands: CommandPool,
    fence: Fence,
    queries: Option<Queries>,
    no_queries: &'static str,
    _bindings: Bindings,
    _pipelines: Pipelines,
    inputs: Staged,
    outputs: Staged,
    _arena: Arc<Buffer>,
    _weights: Arc<Weights>,
    _derived: Derived,
    _textures: Textures,
    /// The last submission.
    last: Serial,
    context: Arc<Context>,
}

/// Command buffers of a run.
struct Recorded {
    /// For each input.
    uploads: Vec<vk::CommandBuffer>,
    /// At least one.
    program: Vec<vk::CommandBuffer>,
    /// For each output.
    downloads: Vec<vk::CommandBuffer>,
    /// Reused by each run: its uploads, then the first part of the program.
    first: Vec<vk::CommandBuffer>,
}

/// Host-visible copies of inputs or outputs.
struct Staged {
    buffer: Buffer,
    /// Offset in `buffer`, offset in the arena, size.
    ranges: Vec<(u64, u64, u64)>,
}

/// Loads programs; see [`crate::backend::Backend::load`].
pub(crate) fn load(
    context: &Arc<Context>,
    programs: &[Program<'_>],
    options: &LoadOptions,
) -> Result<Vec<Loaded>, RuntimeError> {
    let Some(bundle) = programs.first().map(|program| program.bundle) else { return Ok(Vec::new()) };
    let deadline = Deadline::after(options.load_timeout);
    context.check("loading")?;
    let mut clock = Clock(Instant::now());
    let used = programs.iter().map(Program::weights_of_runs).fold(UsedWeights::default(), UsedWeights::and);
    let mut reader =
        if options.verify_weights { bundle.verifying_weight_reader() } else { bundle.weight_reader() };
    let stored = &bundle.manifest().weights;
    let weights = Arc::new(Weights::load(context, (stored, &mut reader), &used, deadline)?);
    let upload = clock.lap();
    let arena = |bytes| Buffer::new(context, bytes, Purpose::Device).map(Arc::new);
    let sharing = programs.iter().filter(|program| program.may_share());
    let shared = sharing.map(|program| program.variant.arena_bytes).max().map(arena).transpose()?;
    let mut loaded = Vec::with_capacity(programs.len());
    for program in programs {
        let arena = match &shared {
            Some(shared) if program.may_share() => Arc::clone(shared),
            _ => arena(program.variant.arena_bytes)?,
        };
        let memory = (arena, Arc::clone(&weights), &mut reader);
        loaded.push(load_one(context, program, memory, upload, (options, deadline))?);
    }
    reader.finish()?;
    Ok(loaded)
}

/// Loads `program` into memory that is there already; `reader` is for weights that only its init program uses.
fn load_one(
    context: &Arc<Context>,
    program: &Program<'_>,
    (arena, weights, reader): (Arc<Buffer>, Arc<Weights>, &mut WeightReader<'_>),
    upload: Duration,
    (options, deadline): (&LoadOptions, Deadline),
) -> Result<Loaded, RuntimeError> {
    let mut clock = Clock(Instant::now());
    let variant = program.variant;
    let textures = Textures::new(context, &variant.textures, Role::Activations)?;
    let derived = Derived::new(context, &variant.derived)?;
    let inputs = Staged::new(context, &program.input_ranges(), Purpose::Upload)?;
    let outputs = Staged::new(context, &program.output_ranges(), Purpose::Download)?;
    let allocate = clock.lap();
    let (pipelines, cache) = Pipelines::new(context, program, options.cache_dir.as_deref(), deadline)?;
    let compile = clock.lap();
    let none = Weights::none();
    let memory =
        Memory { arena: &arena, weights: &weights, passing: &none, derived: &derived, textures: &textures };
    let bindings = Bindings::new(context, program, &pipelines, memory, &variant.dispatches)?;
    let mut parts = submissions(&variant.dispatches, &options.submit);
    if parts.is_empty() {
        parts.push(0..0);
    }
    let (queries, no_queries) = queries(context, program, &parts, options.timestamps)?;
    let fence = Fence::new(context)?;
    let commands = CommandPool::new(context)?;
    let recorder = Recorder {
        context,
        pipelines: &pipelines,
        bindings: &bindings,
        dispatches: &variant.dispatches,
        queries: queries.as_ref(),
    };
    let mut recorded = Recorded {
        uploads: inputs.record_uploads(context, &commands, &arena)?,
        program: Vec::with_capacity(parts.len()),
        downloads: outputs.record_downloads(context, &commands, &arena)?,
        first: Vec::with_capacity(inputs.ranges.len() + 1),
    };
    for (index, range) in parts.iter().enumerate() {
        recorded.program.push(commands.record(|commands| recorder.record(commands, index, range.clone()))?);
    }
    let record = clock.lap();
    let (passing_bytes, passed) =
        initialise(context, program, &pipelines, (memory, reader), (options, deadline))?;
    let init = clock.lap().saturating_sub(passed);
    let bytes = DeviceBytes {
        arena: arena.size,
        textures: textures.size,
        weights: weights.bytes(),
        derived: derived.bytes(),
        staging: inputs.buffer.size + outputs.buffer.size,
        peak: 0,
    };
    let bytes = DeviceBytes { peak: bytes.total() + weights.staging_bytes.max(passing_bytes), ..bytes };
    let upload = upload + passed;
    let times = LoadTimes { allocate, upload, pipelines: compile, record, init, total: Duration::ZERO };
    let count = pipelines.count();
    let replay = VulkanReplay {
        recorded,
        _commands: commands,
        fence,
        queries,
        no_queries,
        _bindings: bindings,
        _pipelines: pipelines,
        inputs,
        outputs,
        _arena: arena,
        _weights: weights,
        _derived: derived,
        _textures: textures,
        last: Serial::default(),
        context: Arc::clone(context),
    };
    Ok(Loaded { replay: Box::new(replay), pipelines: count, submissions: parts.len(), cache, times, bytes })
}

/// Timestamps where they are asked for and can be had, and otherwise why there are none.
fn queries(
    context: &Arc<Context>,
    program: &Program<'_>,
    parts: &[std::ops::Range<usize>],
    wanted: bool,
) -> Result<(Option<Queries>, &'static str), RuntimeError> {
    if !wanted {
        return Ok((None, "load with `LoadOptions::timestamps`"));
    }
    if !context.info.features.timestamps {
        return Ok((None, "the device has no timestamps"));
    }
    let names = program.variant.dispatches.iter().map(|dispatch| dispatch.name.clone()).collect();
    Ok((Some(Queries::new(context, parts, names)?), ""))
}

/// Zeros activations and derived blobs, so that results never depend on what memory held before, then runs the init
/// program. Weights that only it reads are there meanwhile: returns the bytes that they took and the time of their upload.
fn initialise(
    context: &Arc<Context>,
    program: &Program<'_>,
    pipelines: &Pipelines,
    (memory, reader): (Memory<'_>, &mut WeightReader<'_>),
    (options, deadline): (&LoadOptions, Deadline),
) -> Result<(u64, Duration), RuntimeError> {
    let mut clock = Clock(Instant::now());
    let mut used = program.weights_of_init();
    used.blobs.retain(|blob| memory.weights.place(*blob).is_none());
    used.textures.retain(|texture| memory.weights.texture(texture).is_none());
    let stored = &program.bundle.manifest().weights;
    let passing = Weights::load(context, (stored, reader), &used, deadline)?;
    let upload = clock.lap();
    let memory = Memory { passing: &passing, ..memory };
    let dispatches = &program.variant.init;
    let bindings = Bindings::new(context, program, pipelines, memory, dispatches)?;
    let fence = Fence::new(context)?;
    let commands = CommandPool::new(context)?;
    let clear = commands.record(|commands| {
        // SAFETY: the command buffer is recording and the buffer is whole words.
        unsafe { context.device.cmd_fill_buffer(commands, memory.arena.raw, 0, vk::WHOLE_SIZE, 0) };
        memory.derived.record_clear(context, commands);
        memory.textures.record_clear(commands);
    })?;
    let init = Recorder { context, pipelines, bindings: &bindings, dispatches, queries: None };
    let mut parts = vec![clear];
    for (index, range) in submissions(dispatches, &options.submit).into_iter().enumerate() {
        parts.push(commands.record(|commands| init.record(commands, index, range))?);
    }
    let last = submit_all(context, &parts, &fence)?;
    context.wait(fence.raw, last, deadline)?;
    Ok((passing.bytes() + passing.staging_bytes, upload))
}

/// Submits one after another; the fence signals after the last, whose number is returned.
fn submit_all(context: &Context, parts: &[vk::CommandBuffer], fence: &Fence) -> Result<Serial, RuntimeError> {
    let mut last = Serial::default();
    for (index, part) in parts.iter().enumerate() {
        let ends = index + 1 == parts.len();
        last = context.submit(&[*part], if ends { fence.raw } else { vk::Fence::null() })?;
    }
    Ok(last)
}

impl Replay for VulkanReplay {
    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        self.context.check(doing)
    }

    fn input(&mut self, index: usize) -> Result<&mut [u8], RuntimeError> {
        if !self.context.has_finished(self.last) {
            return Err(RuntimeError::Failed);
        }
        Ok(self.inputs.bytes_mut(index))
    }

    fn run(&mut self, uploads: &[bool], deadline: Deadline) -> Result<(), RuntimeError> {
        let recorded = &mut self.recorded;
        recorded.first.clear();
        for (upload, wanted) in recorded.uploads.iter().zip(uploads) {
            if *wanted {
                recorded.first.push(*upload);
            }
        }
        recorded.first.push(recorded.program[0]);
        let rest = &recorded.program[1..];
        let fence = if rest.is_empty() { self.fence.raw } else { vk::Fence::null() };
        self.last = self.context.submit(&recorded.first, fence)?;
        if !rest.is_empty() {
            self.last = submit_all(&self.context, rest, &self.fence)?;
        }
        self.context.wait(self.fence.raw, self.last, deadline)
    }

    fn fetch(&mut self, index: usize, deadline: Deadline) -> Result<(), RuntimeError> {
        self.last = self.context.submit(&[self.recorded.downloads[index]], self.fence.raw)?;
        self.context.wait(self.fence.raw, self.last, deadline)
    }

    fn output(&self, index: usize) -> &[u8] {
        self.outputs.bytes(index)
    }

    fn timings(&mut self) -> Result<Timings, RuntimeError> {
        match &self.queries {
            Some(queries) => queries.read(),
            None => Err(RuntimeError::NoTimings { reason: self.no_queries }),
        }
    }
}

impl Staged {
    /// Lays out host-visible copies of these ranges of the arena.
    fn new(context: &Arc<Context>, ranges: &[(u64, u64)], purpose: Purpose) -> Result<Self, RuntimeError> {
        let mut end = 0_u64;
        let mut placed = Vec::with_capacity(ranges.len());
        for (arena_offset, size) in ranges {
            placed.push((end, *arena_offset, *size));
            end = (end + size).next_multiple_of(ALIGNMENT_BYTES);
        }
        Ok(Self { buffer: Buffer::new(context, end, purpose)?, ranges: placed })
    }

    fn record_uploads(
        &self,
        context: &Context,
        commands: &CommandPool,
        arena: &Buffer,
    ) -> Result<Vec<vk::CommandBuffer>, RuntimeError> {
        let one = |(here, there, size): &(u64, u64, u64)| {
            commands.record(|commands| {
                barrier(context, commands, Work::Any, Work::Transfer);
                copy(context, commands, (self.buffer.raw, *here), (arena.raw, *there), *size);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    fn record_downloads(
        &self,
        context: &Context,
        commands: &CommandPool,
        arena: &Buffer,
    ) -> Result<Vec<vk::CommandBuffer>, RuntimeError> {
        let one = |(here, there, size): &(u64, u64, u64)| {
            commands.record(|commands| {
                barrier(context, commands, Work::Any, Work::Transfer);
                copy(context, commands, (arena.raw, *there), (self.buffer.raw, *here), *size);
                barrier(context, commands, Work::Transfer, Work::Host);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let (offset, _, size) = self.ranges[index];
        let all = self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &mut all[offset as usize..][..size as usize]
    }

    fn bytes(&self, index: usize) -> &[u8] {
        let (offset, _, size) = self.ranges[index];
        let all = self.buffer.bytes().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &all[offset as usize..][..size as usize]
    }
}

/// Time since it was last asked.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}
