//! The Metal side of [`crate::api`].

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use drift_bundle::manifest::{Dispatch, Resource, TextureObject};

use super::bind::Bindings;
use super::commands::{Fence, Recorder, Recordings};
use super::context::Context;
use super::memory::Buffer;
use super::own;
use super::pipelines::Pipelines;
use super::queries::Queries;
use super::texture::Textures;
use crate::api::{Api, Bound, Purpose, Role, Times};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::options::Priority;
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

    fn priority_ignored(&self) -> Option<&'static str> {
        (self.priority != Priority::Normal).then_some("Metal has no priorities that apps may set")
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
        _pipelines: &Pipelines,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Self>,
    ) -> Result<Bindings, RuntimeError> {
        Bindings::new(program, dispatches, bound)
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
        let (serial, submitted) = Context::submit(self, commands)?;
        recordings.unfenced.push(submitted);
        if let Some(Fence(parts)) = fence {
            let submitted = std::mem::take(&mut recordings.unfenced);
            *parts.lock().unwrap_or_else(PoisonError::into_inner) = submitted;
        }
        Ok(serial)
    }

    fn wait(&self, fence: &Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        let parts = fence.0.lock().unwrap_or_else(PoisonError::into_inner);
        Context::wait(self, &parts, serial, deadline)
    }

    fn has_finished(&self, serial: Serial) -> bool {
        Follow::has_finished(self, serial)
    }

    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Queries, RuntimeError> {
        Queries::new(self, submissions)
    }

    fn times(&self, queries: &Queries, ran: &[bool]) -> Result<Times, RuntimeError> {
        queries.read(self, ran)
    }
}
