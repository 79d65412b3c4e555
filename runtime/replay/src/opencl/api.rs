//! The OpenCL side of [`crate::api`].

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use drift_bundle::manifest::{Dispatch, Resource, TextureObject};

use super::bind::Bindings;
use super::commands::{Queries, Recorder, Recordings};
use super::context::Context;
use super::handle::Handle;
use super::kernels::Kernels;
use super::memory::Buffer;
use super::own;
use super::texture::Textures;
use crate::api::{Api, Bound, Purpose, Role, Times};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::own::{IoBuffer, OwnBuffer};
use crate::pending::{Follow, Serial};
use crate::program::Program;
use crate::report::CacheUse;

/// The event of the submission that it was given to last.
#[derive(Default)]
pub(crate) struct Fence(Mutex<Option<Arc<Handle>>>);

impl Api for Context {
    type Buffer = Buffer;
    type Textures = Textures;
    type Pipelines = Kernels;
    type Bindings = Bindings;
    type Recordings = Recordings;
    type Recorder<'a> = Recorder<'a>;
    type Fence = Fence;
    type Queries = Queries;

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn priority_ignored(&self) -> Option<&'static str> {
        self.priority_ignored
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

    fn textures(self: &Arc<Self>, objects: &[TextureObject], _role: Role) -> Result<Textures, RuntimeError> {
        Textures::new(self, objects)
    }

    fn texture_bytes(textures: &Textures) -> u64 {
        textures.size()
    }

    fn pipelines(
        self: &Arc<Self>,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Kernels, CacheUse), RuntimeError> {
        Kernels::new(self, program, cache_dir, deadline)
    }

    fn bind<'m>(
        self: &Arc<Self>,
        _program: &Program<'_>,
        kernels: &Kernels,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Self>,
    ) -> Result<Bindings, RuntimeError> {
        Bindings::new(self, kernels, dispatches, bound)
    }

    fn recordings(self: &Arc<Self>, timed: bool) -> Result<Recordings, RuntimeError> {
        Ok(Recordings { lists: Vec::new(), timed })
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
        let (serial, event) = Context::submit(self, commands, (recordings.timed, fence.is_some()))?;
        if let Some(Fence(last)) = fence {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = event;
        }
        Ok(serial)
    }

    fn wait(&self, fence: &Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        let event = fence.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(event) = event else {
            unreachable!("verified: a fence is submitted before it is waited for")
        };
        Context::wait(self, &event, serial, deadline)
    }

    fn has_finished(&self, serial: Serial) -> bool {
        Follow::has_finished(self, serial)
    }

    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Queries, RuntimeError> {
        Ok(Queries::new(submissions))
    }

    fn times(&self, queries: &Queries, ran: &[bool]) -> Result<Times, RuntimeError> {
        queries.read(ran)
    }
}
