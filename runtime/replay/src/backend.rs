//! What a session needs of its device, whatever the API.

use std::sync::{Arc, Mutex, PoisonError};

use crate::api::Api;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::loader;
use crate::options::LoadOptions;
use crate::own::OwnRegion;
use crate::program::Program;
use crate::report::{CacheUse, DeviceBytes, LoadTimes, Timings};
use crate::sizes::Sizes;
use crate::states::States;
use crate::validation_log::ValidationLog;
use crate::waiter::Watch;

/// Programs that are loaded together, what they keep from run to run, and, where it is one program, what is in buffers of the app's.
pub(crate) type Together<'a> = (&'a [Program<'a>], &'a States, &'a [OwnRegion]);

/// An opened device.
pub(crate) trait Backend: Send + Sync {
    fn info(&self) -> &DeviceInfo;

    /// Messages of the API's validation layer, where one was asked for.
    fn validation_log(&self) -> ValidationLog;

    /// Why the priority that was asked for is not taken, where it is not.
    fn priority_ignored(&self) -> Option<&'static str>;

    /// Takes memory, uploads weights, builds pipelines, records all commands and runs the init programs. Weights
    /// are there once for all programs, and so are states of one name, and the arenas of those that [may share
    /// them][Program::may_share]. Weights
    /// that no run reads are on the device only while the init programs that do read them run. The programs are of one
    /// bundle; their limits have been checked against [`Backend::info`].
    fn load(&self, programs: Together<'_>, options: &LoadOptions) -> Result<Vec<Loaded>, RuntimeError>;
}

/// A device whose API has nothing more to say.
impl<A: Api> Backend for Arc<A> {
    fn info(&self) -> &DeviceInfo {
        A::info(self)
    }

    fn validation_log(&self) -> ValidationLog {
        ValidationLog::default()
    }

    fn priority_ignored(&self) -> Option<&'static str> {
        A::priority_ignored(self)
    }

    fn load(&self, programs: Together<'_>, options: &LoadOptions) -> Result<Vec<Loaded>, RuntimeError> {
        loader::load(self, programs, options)
    }
}

/// A logical device of its own with checked accesses, made for the first untrusted bundle, so that others do not pay for
/// the checks nor lose their device to its kernels.
pub(crate) struct Checked<A>(Mutex<Option<Arc<A>>>);

impl<A> Default for Checked<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A> Checked<A> {
    /// The device; `make` makes it the first time.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<A, RuntimeError>) -> Result<Arc<A>, RuntimeError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = &*made {
            return Ok(Arc::clone(device));
        }
        Ok(Arc::clone(made.insert(Arc::new(make()?))))
    }
}

/// A recorded program, ready to be submitted any number of times.
pub(crate) trait Replay: Send {
    /// Refuses to go on where the device is lost.
    fn check(&self, doing: &'static str) -> Result<(), RuntimeError>;

    /// Host memory from which input `index` is uploaded, in device form; refused while the device may read it.
    fn input(&mut self, index: usize) -> Result<&mut [u8], RuntimeError>;

    /// Has the next run follow these sizes; inputs and outputs take so many bytes on the device from now on.
    fn resize(&mut self, sizes: &Sizes, inputs: &[u64], outputs: &[u64]);

    /// Uploads the inputs that `uploads` marks and runs the program, without waiting for it. It may be begun again before that, but
    /// what was begun as the last has to be waited for.
    fn begin(&mut self, uploads: &[bool], is_last: bool) -> Result<(), RuntimeError>;

    /// Waits for all that was begun.
    fn end(&mut self, deadline: Deadline) -> Result<(), RuntimeError>;

    /// Says, on any thread, whether a wait for what was begun would return at once, with an error or without.
    fn watch(&self) -> Watch;

    /// Zeros all state and waits for that.
    fn reset_state(&mut self, deadline: Deadline) -> Result<(), RuntimeError>;

    /// Copies state `state`, counted among the variant's, to the host and waits for that.
    fn read_state(&mut self, state: usize, into: &mut [u8], deadline: Deadline) -> Result<(), RuntimeError>;

    /// Copies it from the host and waits for that.
    fn write_state(&mut self, state: usize, from: &[u8], deadline: Deadline) -> Result<(), RuntimeError>;

    /// Copies output `index` to where the host sees it.
    fn fetch(&mut self, index: usize, deadline: Deadline) -> Result<(), RuntimeError>;

    /// Output `index` as it was fetched last, in device form.
    fn output(&self, index: usize) -> &[u8];

    /// GPU times of the last run.
    fn timings(&mut self) -> Result<Timings, RuntimeError>;
}

/// What a backend returns from loading.
pub(crate) struct Loaded {
    pub(crate) replay: Box<dyn Replay>,
    pub(crate) pipelines: usize,
    pub(crate) submissions: usize,
    pub(crate) cache: CacheUse,
    pub(crate) times: LoadTimes,
    pub(crate) bytes: DeviceBytes,
}
