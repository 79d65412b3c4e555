//! What a GPU API says for itself. How a program is loaded and replayed is written once, over these traits, in
//! [`crate::loader`]; a device is a folder that implements them.
//!
//! Work is recorded once and submitted any number of times. An API whose commands cannot be submitted again keeps the
//! list that was recorded and issues it at each submission.
//!
//! The feature `api` shows this module to other crates: tests have devices of their own, which are no part of what ships.

#![cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drift_bundle::manifest::{DeviceElement, Dispatch, Resource, TextureKind, TextureObject};

pub use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::own::{BufferProblem, IoBuffer, OwnBuffer};
pub use crate::pending::Serial;
pub use crate::program::Program;
use crate::report::CacheUse;

/// An opened device of one API. What is made from it is freed when it is dropped, though not before the work that uses it
/// has finished; dropping never waits.
pub trait Api: Send + Sync + Sized + 'static {
    /// A buffer of its own memory.
    type Buffer: Memory;
    /// Textures that were made together.
    type Textures: Send + Sync;
    /// The kernels of a program, compiled.
    type Pipelines: Send;
    /// What the slots of a list of dispatches are bound to.
    type Bindings: Send;
    /// Lists of commands, numbered as they were recorded.
    type Recordings: Send;
    /// Records one list.
    type Recorder<'a>: Record<Self>;
    /// Signals the end of a submission.
    type Fence: Send;
    /// Timestamps of a program.
    type Queries: Send;

    /// Why [`Api::import`] takes no buffers, where it does not.
    const TAKES_NO_BUFFERS: &'static str = "a device of this kind takes no buffers of the app's own";

    /// What it is and can do.
    fn info(&self) -> &DeviceInfo;

    /// Why the priority that was asked for is not taken, where it is not.
    fn priority_ignored(&self) -> Option<&'static str> {
        None
    }

    /// Refuses to go on where the device is lost or has to be given up.
    fn check(&self, doing: &'static str) -> Result<(), RuntimeError>;

    /// A buffer of at least `bytes` bytes and whole words, which may be more than none where `bytes` is 0.
    fn buffer(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Result<Self::Buffer, RuntimeError>;

    /// Takes a buffer of the app's for a region: the buffer, and where in it the region begins. It is left to the app when what is
    /// returned is dropped.
    fn import(
        self: &Arc<Self>,
        memory: &OwnBuffer,
        needs: &IoBuffer,
    ) -> Result<(Self::Buffer, u64), RuntimeError> {
        let problem = BufferProblem::NotTaken { reason: Self::TAKES_NO_BUFFERS };
        let _ = memory;
        Err(RuntimeError::OwnBuffer { tensor: needs.tensor.name.clone(), problem })
    }

    fn textures(
        self: &Arc<Self>,
        objects: &[TextureObject],
        role: Role,
    ) -> Result<Self::Textures, RuntimeError>;

    /// Memory that `textures` take.
    fn texture_bytes(textures: &Self::Textures) -> u64;

    /// Compiles every shader in use; `cache_dir` makes the next time fast.
    fn pipelines(
        self: &Arc<Self>,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Self::Pipelines, CacheUse), RuntimeError>;

    /// Binds each slot of each dispatch to where `bound` says its resource is.
    fn bind<'m>(
        self: &Arc<Self>,
        program: &Program<'_>,
        pipelines: &Self::Pipelines,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Self>,
    ) -> Result<Self::Bindings, RuntimeError>;

    /// No lists so far. Those that hold timestamps are `timed`.
    fn recordings(self: &Arc<Self>, timed: bool) -> Result<Self::Recordings, RuntimeError>;

    /// Records a new list and returns its number.
    fn record(
        &self,
        recordings: &mut Self::Recordings,
        body: impl FnOnce(&mut Self::Recorder<'_>),
    ) -> Result<usize, RuntimeError>;

    /// Replaces list `number`, which must not be pending.
    fn record_again(
        &self,
        recordings: &mut Self::Recordings,
        number: usize,
        body: impl FnOnce(&mut Self::Recorder<'_>),
    ) -> Result<(), RuntimeError>;

    /// A fence that nothing has been submitted with.
    fn fence(self: &Arc<Self>) -> Result<Self::Fence, RuntimeError>;

    /// Submits the lists `numbers` as one piece of work. `fence` signals after it and all that was submitted before it.
    fn submit(
        &self,
        recordings: &mut Self::Recordings,
        numbers: &[usize],
        fence: Option<&Self::Fence>,
    ) -> Result<Serial, RuntimeError>;

    /// Waits for `fence`, which `serial` was submitted with. After the deadline the work is overdue: what it uses has to be
    /// left alone until [`Api::has_finished`].
    fn wait(&self, fence: &Self::Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError>;

    /// Whether a submission is known to have finished, so that what it used may be touched.
    fn has_finished(&self, serial: Serial) -> bool;

    /// Timestamps for a program of these submissions.
    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Self::Queries, RuntimeError>;

    /// Times of the last run, which has been waited for; `ran` says of each dispatch whether it was one of the run's.
    fn times(&self, queries: &Self::Queries, ran: &[bool]) -> Result<Times, RuntimeError>;
}

/// A buffer.
pub trait Memory: Send + Sync {
    /// Its bytes, padding included.
    fn size(&self) -> u64;

    /// What the host sees, where it sees it. Nothing that was submitted may be writing to it.
    fn bytes(&self) -> Option<&[u8]>;

    /// As [`Memory::bytes`], to write. Nothing that was submitted may be using it.
    fn bytes_mut(&mut self) -> Option<&mut [u8]>;
}

/// Commands. Those of one list, and lists of one queue, begin in order; only barriers make one wait for another.
pub trait Record<A: Api> {
    /// Makes `after` wait for `before` and see what it wrote, in all memory.
    fn barrier(&mut self, before: Work, after: Work);

    /// Copies between buffers of which at most one is the host's; nothing for no bytes.
    fn copy(&mut self, from: (&A::Buffer, u64), to: (&A::Buffer, u64), bytes: u64);

    /// Zeros a whole buffer.
    fn zero(&mut self, buffer: &A::Buffer);

    /// Zeros all texels of activations.
    fn clear(&mut self, textures: &A::Textures);

    /// Fills rows of a texture of weights from the start of a buffer that the host wrote.
    fn fill(&mut self, from: &A::Buffer, textures: &A::Textures, rows: &Rows);

    /// Dispatch `index` of those that `bindings` are of.
    fn dispatch(&mut self, pipelines: &A::Pipelines, bindings: &A::Bindings, index: usize, step: Step);

    /// Forgets the timestamps of the last run.
    fn reset_times(&mut self, queries: &A::Queries);

    /// Takes the time before the first dispatch of a submission.
    fn stamp_start(&mut self, queries: &A::Queries, submission: usize);

    /// Takes the time after a dispatch.
    fn stamp_end(&mut self, queries: &A::Queries, submission: usize, dispatch: usize);

    /// Stands where a dispatch was left out, for an API whose times are those between dispatches.
    fn stamp_left_out(&mut self, queries: &A::Queries, submission: usize, dispatch: usize) {
        let _ = (queries, submission, dispatch);
    }
}

/// What a dispatch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the shader in the bundle.
    pub shader: u32,
    /// Workgroups along each axis, none of which is zero.
    pub grid: [u32; 3],
}

/// What a buffer is for; decides where its memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Kernels use it.
    Device,
    /// The host writes it, the device copies from it.
    Upload,
    /// The device copies to it, the host reads it.
    Download,
}

/// What textures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Kernels read and write them.
    Activations,
    /// Filled at load, then read.
    Weights,
}

/// Work on one side of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Kernels.
    Compute,
    /// Copies, fills and clears.
    Transfer,
    /// Both.
    Any,
    /// The host's reads of what was copied for it.
    Host,
}

/// Where a resource is.
pub enum Bound<'m, A: Api> {
    /// A range of a buffer, from an offset that is a multiple of [`drift_bundle::ALIGNMENT_BYTES`].
    Buffer {
        /// The buffer.
        buffer: &'m A::Buffer,
        /// Where the range begins, bytes.
        offset: u64,
        /// Its bytes.
        size: u64,
    },
    /// Texels over such a range.
    Texels {
        /// The buffer.
        buffer: &'m A::Buffer,
        /// Type of a channel.
        element: DeviceElement,
        /// Where the range begins, bytes.
        offset: u64,
        /// Its bytes.
        size: u64,
    },
    /// A texture.
    Texture {
        /// Those that it was made with.
        textures: &'m A::Textures,
        /// Its number among them.
        index: usize,
        /// What it is for.
        role: Role,
    },
}

/// Rows of one layer of a texture: rows of texels without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Number of the texture among those that were made with it.
    pub texture: usize,
    /// What it is.
    pub object: TextureObject,
    /// Layer, or depth.
    pub layer: u32,
    /// First row.
    pub first: u32,
    /// Rows.
    pub count: u32,
}

impl Rows {
    /// Whether nothing was filled before.
    pub(crate) fn begins(&self) -> bool {
        self.layer == 0 && self.first == 0
    }

    /// Whether nothing will be filled after.
    pub(crate) fn ends(&self) -> bool {
        let [_, height, layers] = self.object.extent_px;
        self.layer + 1 == layers && self.first + self.count == height
    }

    /// Layer of an array and depth of a 3D texture, of which one is 0.
    pub(crate) fn layer_and_depth(&self) -> (u32, u32) {
        match self.object.kind {
            TextureKind::Array => (self.layer, 0),
            TextureKind::D2 | TextureKind::D3 => (0, self.layer),
        }
    }
}

/// GPU times of a run.
#[derive(Clone, Debug)]
pub struct Times {
    /// Of each dispatch, from the end of all before it to its own end; nothing where it was left out.
    pub dispatches: Vec<Duration>,
    /// From the first dispatch's start to the last one's end.
    pub total: Duration,
}

impl Times {
    /// Times of dispatches that each have their own start and end; `elapsed` knows how long a tick is.
    #[cfg_attr(
        not(any(feature = "wgpu", all(feature = "metal", target_vendor = "apple"))),
        expect(dead_code, reason = "no API of this build takes times so")
    )]
    pub(crate) fn of_pairs(pairs: &[[u64; 2]], ran: &[bool], elapsed: impl Fn(u64, u64) -> Duration) -> Self {
        let taken = || pairs.iter().zip(ran).filter(|(_, ran)| **ran).map(|(pair, _)| pair);
        let time = |([start, end], ran): (&[u64; 2], &bool)| {
            if *ran { elapsed(*start, *end) } else { Duration::ZERO }
        };
        let total = match (taken().next(), taken().last()) {
            (Some([start, _]), Some([_, end])) => elapsed(*start, *end),
            _ => Duration::ZERO,
        };
        Self { dispatches: pairs.iter().zip(ran).map(time).collect(), total }
    }
}
