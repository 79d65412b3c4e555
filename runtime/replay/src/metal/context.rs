//! An opened device with its queue: shared by everything that is loaded on it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLCommandBuffer, MTLCommandBufferStatus, MTLCommandQueue, MTLDevice};

use super::commands::{self, Command};
use super::handle::Shared;
use super::{RawDevice, not_made, words};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::metal_facts::{Verdict, verdict};
use crate::options::Priority;
use crate::pending::{Follow, Lost, Pending, Serial};

/// A submission, which tells by its status that it has ended.
pub(crate) type Submitted = Shared<dyn MTLCommandBuffer>;

/// Metal keeps what submissions use.
type Submissions = Pending<Submitted, ()>;

/// Command buffers that the queue holds. With so many that have not ended it waits without a deadline.
const QUEUED: usize = 4096;

/// Submissions that are let to be pending at once: room is left for those of other threads.
const PENDING: u64 = 2048;

/// How long a submission waits for room behind so many others: more than any one of them runs.
const ROOM: Duration = Duration::from_secs(60);

/// A queue, which an app may use as well.
pub(crate) struct Queue {
    pub(crate) raw: Retained<ProtocolObject<dyn MTLCommandQueue>>,
    /// Submissions that are let to be pending at once.
    pub(crate) room: u64,
}

/// An opened device. Dropping it waits for nothing: the queue lives as long as work that is pending.
pub(crate) struct Context {
    pub(crate) device: RawDevice,
    queue: Queue,
    pending: Mutex<Submissions>,
    /// How long work may go on after a caller has stopped waiting for it.
    grace: Duration,
    /// What was asked for.
    pub(crate) priority: Priority,
    pub(crate) has_unified_memory: bool,
    pub(crate) info: DeviceInfo,
}

impl Context {
    pub(crate) fn new(
        device: RawDevice,
        info: DeviceInfo,
        opened: (Duration, Priority),
    ) -> Result<Self, RuntimeError> {
        let queue = device.newCommandQueueWithMaxCommandBufferCount(QUEUED);
        let queue = queue.ok_or_else(|| not_made("creating a queue", None))?;
        Ok(Self::on(device, Queue { raw: queue, room: PENDING }, info, opened))
    }

    /// Takes a queue that is there.
    pub(crate) fn on(
        device: RawDevice,
        queue: Queue,
        info: DeviceInfo,
        (grace, priority): (Duration, Priority),
    ) -> Self {
        let has_unified_memory = device.hasUnifiedMemory();
        Self { device, queue, pending: Mutex::default(), grace, priority, has_unified_memory, info }
    }

    /// Encodes commands and submits them as one piece of work.
    pub(crate) fn submit<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> Result<(Serial, Submitted), RuntimeError> {
        const DOING: &str = "submitting work";
        self.check(DOING)?;
        self.wait_for_room(DOING)?;
        autoreleasepool(|_| {
            let buffer = self.queue.raw.commandBuffer().ok_or_else(|| not_made(DOING, None))?;
            // A buffer that is dropped before it is committed is no work.
            commands::encode(&buffer, commands)?;
            let submitted = Submitted::from(buffer);
            // One after the other, so that they begin in the order of their numbers.
            let mut pending = self.pending();
            let serial = pending.submit(Some(submitted.clone()));
            submitted.commit();
            Ok((serial, submitted))
        })
    }

    fn wait_for_room(&self, doing: &'static str) -> Result<(), RuntimeError> {
        let deadline = Deadline::after(ROOM);
        let has_room = || {
            if self.pending().unfinished() < self.queue.room {
                return Ok(true);
            }
            self.look();
            self.check(doing).map(|()| self.pending().unfinished() < self.queue.room)
        };
        if deadline.poll(has_room)? { Ok(()) } else { Err(deadline.passed()) }
    }

    /// Waits for all work up to `serial`, and says what went wrong with any of `parts`, which are of it.
    pub(crate) fn wait(
        &self,
        parts: &[Submitted],
        serial: Serial,
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        const DOING: &str = "waiting for the device";
        let in_time = deadline.poll(|| {
            if Follow::has_finished(self, serial) {
                return Ok(true);
            }
            // Another session's work may have made the device lost.
            self.check(DOING).map(|()| false)
        })?;
        if !in_time {
            self.pending().is_overdue(serial, self.grace);
            return Err(deadline.passed());
        }
        for part in parts {
            match part.status() {
                MTLCommandBufferStatus::Completed => {}
                MTLCommandBufferStatus::Error => return Err(self.failed(DOING, part)),
                // Nothing more comes of a lost device.
                _ => self.check(DOING)?,
            }
        }
        Ok(())
    }

    /// The error of a submission that failed, noting where it says that the device is lost.
    fn failed(&self, doing: &'static str, submitted: &Submitted) -> RuntimeError {
        let error = autoreleasepool(|_| submitted.error().map(|error| (error.code(), words(&error))));
        let (code, said) = error.unwrap_or_default();
        match verdict(code) {
            Verdict::OutOfMemory => RuntimeError::OutOfMemory { doing, bytes: None },
            Verdict::Refused => RuntimeError::Driver { doing, code: said },
            Verdict::Lost(reason) => {
                self.pending().lose(Lost::ByDriver);
                RuntimeError::DeviceLost { doing, reason }
            }
        }
    }
}

/// Whether a submission runs no more, whatever became of it.
fn has_ended(submitted: &Submitted) -> bool {
    matches!(submitted.status(), MTLCommandBufferStatus::Completed | MTLCommandBufferStatus::Error)
}

impl Follow for Context {
    type Fence = Submitted;
    type Retired = ();

    fn pending(&self) -> MutexGuard<'_, Submissions> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_signalled(&self, submitted: Submitted) -> bool {
        has_ended(&submitted)
    }

    /// Submissions that use different memory may end in another order than they were made in.
    fn look(&self) {
        let ended = self.pending().oldest(|submitted| has_ended(submitted));
        if let Some(serial) = ended {
            self.finish(serial);
        }
    }
}
