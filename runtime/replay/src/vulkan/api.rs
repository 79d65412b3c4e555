//! The Vulkan side of [`crate::api`].
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ash::vk;
use drift_bundle::manifest::{Dispatch, Resource, TextureObject};

use super::bind::Bindings;
use super::commands::{Fence, Recordings, barrier, copy};
use super::context::Context;
use super::memory::Buffer;
use super::own;
use super::pipeline::Pipelines;
use super::query::Queries;
use super::texture::{self, Textures};
use crate::api::{Api, Bound, Purpose, Record, Role, Rows, Step, Times, Work};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::own::{IoBuffer, OwnBuffer};
use crate::pending::{Follow, Serial};
use crate::program::Program;
use crate::report::CacheUse;

impl Api for Context {
    type Buffer = Buffer;
    type Textures = Textures;
    type Pipelines = Pipelines;
    type Bindings = Bindings;
    type Recordings = Recordings;
    type Recorder<'a> = Recorder<'a>;
    type Fence = Fence;
    type Queries = Queries;

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        Follow::check(self, doing)
    }

    fn buffer(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Result<Buffer, RuntimeError> {
        Buffer::new(self, bytes, purpose)
    }

    fn import(self: &Arc<Self>, memory: &OwnBuffer, needs: &IoBuffer) -> Result<(Buffer, u64), RuntimeError> {
        own::import(self, memory, needs)
    }

    fn textures(self: &Arc<Self>, objects: &[TextureObject], role: Role) -> Result<Textures, RuntimeError> {
        Textures::new(self, objects, role)
    }

    fn texture_bytes(textures: &Textures) -> u64 {
        textures.size
    }

    fn pipelines(
        self: &Arc<Self>,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Pipelines, CacheUse), RuntimeError> {
        Pipelines::new(self, program, cache_dir, deadline)
    }

    fn bind<'m>(
        self: &Arc<Self>,
        program: &Program<'_>,
        pipelines: &Pipelines,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Self>,
    ) -> Result<Bindings, RuntimeError> {
        Bindings::new(self, program, pipelines, dispatches, bound)
    }

    fn recordings(self: &Arc<Self>, _timed: bool) -> Result<Recordings, RuntimeError> {
        Recordings::new(self)
    }

    fn record(
        &self,
        recordings: &mut Recordings,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<usize, RuntimeError> {
        recordings.record(|commands| body(&mut Recorder { context: self, commands }))
    }

    fn record_again(
        &self,
        recordings: &mut Recordings,
        number: usize,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<(), RuntimeError> {
        recordings.record_again(number, |commands| body(&mut Recorder { context: self, commands }))
    }

    fn fence(self: &Arc<Self>) -> Result<Fence, RuntimeError> {
        Fence::new(self)
    }

    fn submit(
        &self,
        recordings: &mut Recordings,
        numbers: &[usize],
        fence: Option<&Fence>,
    ) -> Result<Serial, RuntimeError> {
        let fence = fence.map_or(vk::Fence::null(), |fence| fence.raw);
        Context::submit(self, recordings.lists(numbers), fence)
    }

    fn wait(&self, fence: &Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        Context::wait(self, fence.raw, serial, deadline)
    }

    fn has_finished(&self, serial: Serial) -> bool {
        Follow::has_finished(self, serial)
    }

    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Queries, RuntimeError> {
        Queries::new(self, submissions)
    }

    fn times(&self, queries: &Queries, _ran: &[bool]) -> Result<Times, RuntimeError> {
        queries.read()
    }
}

/// Records into one command buffer.
pub(crate) struct Recorder<'a> {
    context: &'a Context,
    commands: vk::CommandBuffer,
}

impl Record<Context> for Recorder<'_> {
    fn barrier(&mut self, before: Work, after: Work) {
        barrier(self.context, self.commands, before, after);
    }

    fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        copy(self.context, self.commands, (from.0.raw, from.1), (to.0.raw, to.1), bytes);
    }

    fn zero(&mut self, buffer: &Buffer) {
        // SAFETY: the command buffer is recording and the buffer is whole words.
        unsafe {
            self.context.device.cmd_fill_buffer(self.commands, buffer.raw, 0, vk::WHOLE_SIZE, 0);
        }
    }

    fn clear(&mut self, textures: &Textures) {
        textures.record_clear(self.commands);
    }

    fn fill(&mut self, from: &Buffer, textures: &Textures, rows: &Rows) {
        let image = textures.images[rows.texture];
        texture::record_fill(self.context, self.commands, from.raw, image, rows);
    }

    fn dispatch(&mut self, pipelines: &Pipelines, bindings: &Bindings, index: usize, step: Step) {
        let pipeline = pipelines.of(step.shader);
        let sets = bindings.of(index);
        let (device, commands) = (&self.context.device, self.commands);
        let [x, y, z] = step.grid;
        // SAFETY: the command buffer is recording; pipeline and sets match since both come from the shader's
        // slots; the counts are within the device's limits.
        unsafe {
            device.cmd_bind_pipeline(commands, vk::PipelineBindPoint::COMPUTE, pipeline.raw);
            if !sets.is_empty() {
                device.cmd_bind_descriptor_sets(
                    commands,
                    vk::PipelineBindPoint::COMPUTE,
                    pipeline.layout,
                    0,
                    sets,
                    &[],
                );
            }
            device.cmd_dispatch(commands, x, y, z);
        }
    }

    fn reset_times(&mut self, queries: &Queries) {
        queries.record_reset(self.commands);
    }

    fn stamp_start(&mut self, queries: &Queries, submission: usize) {
        queries.record_start(self.commands, submission);
    }

    fn stamp_end(&mut self, queries: &Queries, submission: usize, dispatch: usize) {
        queries.record_end(self.commands, submission, dispatch);
    }

    fn stamp_left_out(&mut self, queries: &Queries, submission: usize, dispatch: usize) {
        queries.record_end(self.commands, submission, dispatch);
    }
}
