//! The WebGPU side of [`crate::api`].

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use drift_bundle::manifest::{Dispatch, Resource, TextureObject};

use super::bind::Bindings;
use super::commands::{Fence, Recorder, Recordings, encode};
use super::context::Context;
use super::memory::Buffer;
use super::pipelines::Pipelines;
use super::queries::Queries;
use super::texture::Textures;
use crate::api::{Api, Bound, Purpose, Role, Times};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
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

    const TAKES_NO_BUFFERS: &'static str =
        "wgpu keeps the registry of its buffers to itself, so that none of the app's can be named here";

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        Context::check(self, doing)
    }

    fn buffer(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Result<Buffer, RuntimeError> {
        Buffer::new(self, bytes, purpose)
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
        Ok(Recordings::default())
    }

    fn record(
        &self,
        recordings: &mut Recordings,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<usize, RuntimeError> {
        let number = recordings.lists.len();
        recordings.lists.push(Vec::new());
        self.record_again(recordings, number, body)?;
        Ok(number)
    }

    fn record_again(
        &self,
        recordings: &mut Recordings,
        number: usize,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<(), RuntimeError> {
        let list = &mut recordings.lists[number];
        list.clear();
        body(&mut Recorder { list });
        Ok(())
    }

    fn fence(self: &Arc<Self>) -> Result<Fence, RuntimeError> {
        Ok(Fence::default())
    }

    fn submit(
        &self,
        recordings: &mut Recordings,
        numbers: &[usize],
        fence: Option<&Fence>,
    ) -> Result<Serial, RuntimeError> {
        let commands = numbers.iter().flat_map(|number| &recordings.lists[*number]);
        let (pieces, readings) = encode(self, commands)?;
        recordings.unread.extend(readings);
        let Some(Fence(last)) = fence else {
            return Ok(Context::submit(self, &pieces, &[])?.0);
        };
        let readings = std::mem::take(&mut recordings.unread);
        let (serial, ended) = Context::submit(self, &pieces, &readings)?;
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((ended, readings));
        Ok(serial)
    }

    fn wait(&self, fence: &Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        let last = fence.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((ended, readings)) = &*last else {
            unreachable!("verified: a fence is submitted before it is waited for")
        };
        Context::wait(self, ended, serial, deadline)?;
        let mut readings = readings.iter();
        readings
            .try_for_each(|reading| reading.finish(&self.core))
            .map_err(|error| self.failed("reading what was computed", error))
    }

    fn has_finished(&self, serial: Serial) -> bool {
        Follow::has_finished(self, serial)
    }

    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Queries, RuntimeError> {
        Queries::new(self, submissions)
    }

    fn times(&self, queries: &Queries, ran: &[bool]) -> Result<Times, RuntimeError> {
        Ok(queries.read(ran))
    }
}
