//! An opened device with its queue: shared by everything that is loaded on it, and released last.
#![expect(unsafe_code, reason = "releases its parts in order, or never")]

use std::convert::Infallible;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::wgpu::wgc::device::{DeviceError, WaitIdleError};
use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id::{AdapterId, BufferId, CommandBufferId, DeviceId, QueueId};
use ::wgpu::wgt::{BufferDescriptor, DeviceDescriptor, PollType, error::WebGpuError};
use ::wgpu::{BufferUsages, DeviceLostReason, ExperimentalFeatures, MemoryHints, Trace};

use super::commands::{Piece, Reading};
use super::handle::Handle;
use super::info::WANTED;
use super::{Access, failed, made, words};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::pending::{Follow, Lost, Pending, Serial};

/// Nothing waits until work has ended to be released: the core sees to that.
type Submissions = Pending<Ended, ()>;

/// Told by the core when a submission has ended, and all before it.
#[derive(Clone, Default)]
pub(crate) struct Ended(Arc<AtomicBool>);

impl Ended {
    fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// An opened device.
pub(crate) struct Context {
    // Released in this order, or never.
    queue: ManuallyDrop<Handle<QueueId>>,
    device: ManuallyDrop<Handle<DeviceId>>,
    pub(crate) core: Arc<Global>,
    pub(crate) access: Access,
    /// Held while the pieces of a submission are given to the queue, so that no other's come between.
    order: Mutex<()>,
    pending: Mutex<Submissions>,
    /// Set by the core when the driver gives up on the device.
    is_lost: Arc<AtomicBool>,
    /// How long work may go on after a caller has stopped waiting for it.
    grace: Duration,
    pub(crate) info: DeviceInfo,
}

impl Context {
    /// Opens an adapter with its own limits.
    pub(crate) fn new(
        core: &Arc<Global>,
        (adapter, info): (&Handle<AdapterId>, DeviceInfo),
        access: Access,
        grace: Duration,
    ) -> Result<Self, RuntimeError> {
        let descriptor = DeviceDescriptor {
            label: None,
            required_features: core.adapter_features(adapter.id()) & WANTED,
            required_limits: core.adapter_limits(adapter.id()),
            experimental_features: ExperimentalFeatures::disabled(),
            memory_hints: MemoryHints::MemoryUsage,
            trace: Trace::Off,
        };
        let opened = core.adapter_request_device(adapter.id(), &descriptor, None, None);
        let (device, queue) = opened
            .map_err(|error| RuntimeError::Driver { doing: "opening the device", code: words(&error) })?;
        let (device, queue) = (Handle::new(core, device), Handle::new(core, queue));
        let is_lost = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&is_lost);
        let note = move |reason, _words| match reason {
            DeviceLostReason::Unknown => noted.store(true, Ordering::Relaxed),
            DeviceLostReason::Destroyed => {}
        };
        core.device_set_device_lost_closure(device.id(), Box::new(note));
        Ok(Self {
            queue: ManuallyDrop::new(queue),
            device: ManuallyDrop::new(device),
            core: Arc::clone(core),
            access,
            order: Mutex::default(),
            pending: Mutex::default(),
            is_lost,
            grace,
            info,
        })
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device.id()
    }

    pub(crate) fn queue(&self) -> QueueId {
        self.queue.id()
    }

    /// A buffer of whole words.
    pub(crate) fn raw_buffer(
        &self,
        size: u64,
        usage: BufferUsages,
    ) -> Result<Handle<BufferId>, RuntimeError> {
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let created = self.core.device_create_buffer(self.device(), &descriptor, None);
        made(&self.core, created, "creating a buffer")
    }

    /// Gives pieces of work to the queue, and asks for what the host reads of it.
    pub(crate) fn submit(
        &self,
        pieces: &[Piece<'_>],
        readings: &[Reading],
    ) -> Result<(Serial, Ended), RuntimeError> {
        const DOING: &str = "submitting work";
        self.check(DOING)?;
        self.wait_for_overdue(DOING)?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = self.issue(pieces).and_then(|()| {
            readings.iter().try_for_each(|reading| reading.begin(&self.core)).map_err(failed(DOING))
        });
        // What was issued before a failure is work as well. After the readings, so that they are there when this is told.
        let ended = Ended::default();
        let told = Arc::clone(&ended.0);
        let tell = Box::new(move || told.store(true, Ordering::Release));
        self.core.queue_on_submitted_work_done(self.queue(), tell);
        let serial = self.pending().submit(Some(ended.clone()));
        issued.map_err(|error| self.noted(error))?;
        Ok((serial, ended))
    }

    /// Issues pieces in their order.
    fn issue(&self, pieces: &[Piece<'_>]) -> Result<(), RuntimeError> {
        for piece in pieces {
            match piece {
                Piece::Write(write) => write.issue(self)?,
                Piece::Commands(commands) => self.submit_one(&[commands.id()])?,
            }
        }
        match pieces.last() {
            Some(Piece::Commands(_)) => Ok(()),
            // What is written goes with the submission after it.
            Some(Piece::Write(_)) | None => self.submit_one(&[]),
        }
    }

    fn submit_one(&self, commands: &[CommandBufferId]) -> Result<(), RuntimeError> {
        let submitted = self.core.queue_submit(self.queue(), commands);
        submitted.map(drop).map_err(|(_, error)| failed("submitting work")(error))
    }

    /// A submission waits for the one before, and some drivers take it only then. So nothing is submitted while work is
    /// overdue, which is for no longer than its grace time.
    fn wait_for_overdue(&self, doing: &'static str) -> Result<(), RuntimeError> {
        let settled = || self.check(doing).map(|()| !self.pending().has_overdue());
        Deadline::after(self.grace).poll(settled).map(drop)
    }

    /// Waits for a submission, which has this serial number.
    pub(crate) fn wait(&self, ended: &Ended, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        const DOING: &str = "waiting for the device";
        let in_time = deadline.poll(|| {
            let ended = self.has_ended(ended).map_err(|error| self.failed(DOING, error))?;
            // Another session's work may have made the device lost.
            if ended { Ok(true) } else { self.check(DOING).map(|()| false) }
        })?;
        if !in_time {
            self.pending().is_overdue(serial, self.grace);
            return Err(deadline.passed());
        }
        self.finish(serial);
        Ok(())
    }

    /// Whether a submission has ended. Without a wait inside of the core, which asserts that no other thread looks meanwhile.
    fn has_ended(&self, ended: &Ended) -> Result<bool, DeviceError> {
        if ended.is_told() {
            return Ok(true);
        }
        match self.core.device_poll(self.device(), PollType::Poll) {
            Err(WaitIdleError::Device(error)) => Err(error),
            Ok(_) | Err(_) => Ok(ended.is_told()),
        }
    }

    /// Refuses to go on where the device is lost or has to be given up.
    pub(crate) fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        if self.is_lost.load(Ordering::Relaxed) {
            self.pending().lose(Lost::ByDriver);
        }
        Follow::check(self, doing)
    }

    /// The error of a call, noting where it says that the device is lost.
    pub(crate) fn failed<E: WebGpuError>(&self, doing: &'static str, error: E) -> RuntimeError {
        self.noted(failed(doing)(error))
    }

    fn noted(&self, error: RuntimeError) -> RuntimeError {
        if matches!(error, RuntimeError::DeviceLost { .. }) {
            self.pending().lose(Lost::ByDriver);
        }
        error
    }

    /// Whether nothing runs any more, after a wait of at most the grace time.
    fn drains(&self) -> bool {
        let deadline = Deadline::after(self.pending().grace_left(self.grace));
        let idle = || {
            if !self.pending().is_idle() {
                self.look();
            }
            Ok::<_, Infallible>(self.pending().is_idle())
        };
        deadline.poll(idle).unwrap_or_else(|never| match never {})
    }
}

impl Follow for Context {
    type Fence = Ended;
    type Retired = ();

    fn pending(&self) -> MutexGuard<'_, Submissions> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_signalled(&self, ended: Ended) -> bool {
        ended.is_told()
    }

    fn refresh(&self) {
        // A failure is told by the next call that can return it.
        let _ = self.core.device_poll(self.device(), PollType::Poll);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.drains() {
            // The core waits for a queue's work when it is released, which may never end. All stays until the process ends.
            std::mem::forget(Arc::clone(&self.core));
            return;
        }
        // SAFETY: neither is used again.
        unsafe {
            ManuallyDrop::drop(&mut self.queue);
            ManuallyDrop::drop(&mut self.device);
        }
    }
}
