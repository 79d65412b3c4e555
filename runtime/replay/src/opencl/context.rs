//! An opened device with its queues: shared by everything that is loaded on it, and released last.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[expect(deprecated, reason = "devices of OpenCL 1.2 have no other")]
use opencl3::command_queue::create_command_queue;
use opencl3::command_queue::{
    CL_QUEUE_PROFILING_ENABLE, CL_QUEUE_PROPERTIES, create_command_queue_with_properties,
    enqueue_barrier_with_wait_list, enqueue_marker_with_wait_list, flush,
};
use opencl3::context::context::create_context;
use opencl3::device::Device;
use opencl3::event::{CL_COMPLETE, CL_EVENT_COMMAND_EXECUTION_STATUS, get_event_info};
use opencl3::types::{cl_command_queue_properties, cl_context, cl_device_id, cl_int};

use super::commands::Command;
use super::failed;
use super::handle::Handle;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::host_memory::HostMemory;
use crate::info::DeviceInfo;
use crate::options::Priority;
use crate::pending::{Follow, Lost, Pending, Serial};

type Events = Pending<Arc<Handle>, HostMemory>;

/// The queues of a device. Work that is issued to one begins when all that was issued to the other before has ended, so
/// that they are as one queue to everything else.
struct Queues {
    /// For work without and with timestamps, which make every command slower.
    plain: Handle,
    timed: Handle,
    /// Whether the last work was timed.
    last_is_timed: bool,
}

/// An opened device.
pub(crate) struct Context {
    // Released before the context, or never.
    queues: ManuallyDrop<Mutex<Queues>>,
    context: ManuallyDrop<Handle>,
    pub(crate) device: cl_device_id,
    pending: Mutex<Events>,
    /// How long work may go on after a caller has stopped waiting for it.
    grace: Duration,
    /// Why the priority that was asked for is not taken.
    pub(crate) priority_ignored: Option<&'static str>,
    /// What the start of a sub-buffer must be a multiple of.
    pub(crate) base_alignment_bytes: u64,
    pub(crate) info: DeviceInfo,
}

// SAFETY: a device id names the device for as long as the library is loaded, and may be used by all threads.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    pub(crate) fn new(
        device: &Device,
        info: DeviceInfo,
        (grace, priority): (Duration, Priority),
    ) -> Result<Self, RuntimeError> {
        let id = device.id();
        let context = create_context(&[id], ptr::null(), None, ptr::null_mut());
        let context = Handle::context(context.map_err(failed("opening the device"))?);
        let make = |properties| queue(&context, id, properties);
        let hint = match priority {
            Priority::Low => Some(CL_QUEUE_PRIORITY_LOW_KHR),
            Priority::Normal => None,
            Priority::High => Some(CL_QUEUE_PRIORITY_HIGH_KHR),
        };
        let has_hints = || {
            let extensions = device.extensions().unwrap_or_default();
            extensions.split_whitespace().any(|extension| extension == "cl_khr_priority_hints")
        };
        let hinted = |hint| {
            let make = |properties| hinted_queue(&context, id, properties, hint);
            Some([make(0)?, make(CL_QUEUE_PROFILING_ENABLE)?])
        };
        let (queues, ignored) = match hint.map(|hint| has_hints().then(|| hinted(hint))) {
            None => (None, None),
            Some(None) => (None, Some("the driver has no cl_khr_priority_hints")),
            Some(Some(None)) => (None, Some("the driver makes no queue of that priority")),
            Some(Some(queues)) => (queues, None),
        };
        let queues = match queues {
            Some(queues) => queues,
            None => [make(0)?, make(CL_QUEUE_PROFILING_ENABLE)?],
        };
        Self::on((context, queues), device, info, (grace, ignored))
    }

    /// Takes a context that is there, with a queue for work without timestamps and one for work with them, which may be the same.
    pub(crate) fn on(
        (context, [plain, timed]): (Handle, [Handle; 2]),
        device: &Device,
        info: DeviceInfo,
        (grace, priority_ignored): (Duration, Option<&'static str>),
    ) -> Result<Self, RuntimeError> {
        let queues = Queues { plain, timed, last_is_timed: false };
        let bits = device.mem_base_addr_align().map_err(|error| failed("reading the device")(error.0))?;
        Ok(Self {
            queues: ManuallyDrop::new(Mutex::new(queues)),
            context: ManuallyDrop::new(context),
            device: device.id(),
            pending: Mutex::default(),
            grace,
            priority_ignored,
            base_alignment_bytes: u64::from(bits / 8).max(1),
            info,
        })
    }

    pub(crate) fn raw(&self) -> cl_context {
        self.context.raw()
    }

    /// Issues commands as one piece of work. Where `fenced`, the event that ends after them and all before them.
    pub(crate) fn submit<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
        (timed, fenced): (bool, bool),
    ) -> Result<(Serial, Option<Arc<Handle>>), RuntimeError> {
        const DOING: &str = "submitting work";
        self.check(DOING)?;
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = queues.take(timed).and_then(|queue| issue(queue, commands, fenced));
        // What was issued before a failure is work as well: nobody waits for it, so that what it uses is kept until
        // something later has finished.
        let event = issued.as_ref().ok().cloned().flatten();
        let serial = self.pending().submit(event.clone());
        drop(queues);
        issued.map_err(|code| self.failed(DOING, code))?;
        Ok((serial, event))
    }

    /// Waits for an event, which `serial` was submitted with.
    pub(crate) fn wait(
        &self,
        event: &Handle,
        serial: Serial,
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        const DOING: &str = "waiting for the device";
        let ended = deadline.poll(|| {
            let ended = status(event).map_err(|code| self.failed(DOING, code))?;
            // Another session's work may have made the device lost.
            if ended { Ok(true) } else { self.check(DOING).map(|()| false) }
        })?;
        if !ended {
            self.pending().is_overdue(serial, self.grace);
            return Err(deadline.passed());
        }
        self.finish(serial);
        Ok(())
    }

    /// Frees host memory once no copy that has been submitted can use it: now, or after a later wait. Where the device is
    /// given up that is never.
    pub(crate) fn retire(&self, memory: HostMemory) {
        let now = self.pending().retire(memory);
        drop(now);
    }

    /// The error of a call, noting where it says that the device is lost.
    fn failed(&self, doing: &'static str, code: cl_int) -> RuntimeError {
        let error = failed(doing)(code);
        if matches!(error, RuntimeError::DeviceLost { .. }) {
            self.pending().lose(Lost::ByDriver);
        }
        error
    }

    /// Whether nothing runs any more, after a wait of at most the grace time.
    fn drains(&self) -> bool {
        if self.pending().is_idle() {
            return true;
        }
        let deadline = Deadline::after(self.pending().grace_left(self.grace));
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let timed = queues.last_is_timed;
        let marker = queues.take(timed).and_then(|queue| issue(queue, std::iter::empty(), true));
        drop(queues);
        let Ok(Some(marker)) = marker else { return false };
        // What failed runs no more.
        deadline.poll(|| status(&marker)).unwrap_or(true)
    }
}

impl Follow for Context {
    type Fence = Arc<Handle>;
    type Retired = HostMemory;

    fn pending(&self) -> MutexGuard<'_, Events> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What failed runs no more; who waits for it is told.
    fn has_signalled(&self, event: Arc<Handle>) -> bool {
        status(&event) != Ok(false)
    }
}

fn queue(
    context: &Handle,
    device: cl_device_id,
    properties: cl_command_queue_properties,
) -> Result<Handle, RuntimeError> {
    #[expect(deprecated, reason = "devices of OpenCL 1.2 have no other")]
    // SAFETY: context and device belong together.
    let made = unsafe { create_command_queue(context.raw(), device, properties) };
    made.map(Handle::queue).map_err(failed("creating a queue"))
}

/// A queue with a hint for the driver's scheduler; none where it makes none.
fn hinted_queue(
    context: &Handle,
    device: cl_device_id,
    properties: cl_command_queue_properties,
    hint: u64,
) -> Option<Handle> {
    let properties = [CL_QUEUE_PROPERTIES as u64, properties, CL_QUEUE_PRIORITY_KHR, hint, 0];
    // SAFETY: context and device belong together, and the list ends with 0.
    let made = unsafe { create_command_queue_with_properties(context.raw(), device, properties.as_ptr()) };
    made.ok().map(Handle::queue)
}

/// Of `cl_khr_priority_hints`.
const CL_QUEUE_PRIORITY_KHR: u64 = 0x1096;
const CL_QUEUE_PRIORITY_HIGH_KHR: u64 = 1;
const CL_QUEUE_PRIORITY_LOW_KHR: u64 = 4;

impl Queues {
    /// One of the queues, after all that was issued to the other.
    fn take(&mut self, timed: bool) -> Result<&Handle, cl_int> {
        let (queue, other) = if timed { (&self.timed, &self.plain) } else { (&self.plain, &self.timed) };
        if timed != self.last_is_timed {
            let before = marker(other)?;
            flush(other.raw())?;
            let events = [before.raw()];
            // SAFETY: the queues are alive, and so is the event.
            let after = unsafe { enqueue_barrier_with_wait_list(queue.raw(), 1, events.as_ptr()) }?;
            drop(Handle::event(after));
            self.last_is_timed = timed;
        }
        Ok(queue)
    }
}

/// An event that ends after all that was issued to a queue.
fn marker(queue: &Handle) -> Result<Handle, cl_int> {
    // SAFETY: the queue is alive.
    unsafe { enqueue_marker_with_wait_list(queue.raw(), 0, ptr::null()) }.map(Handle::event)
}

/// Issues commands to a queue; where `fenced`, returns the event of the last, or of a marker where there is none.
fn issue<'a>(
    queue: &Handle,
    commands: impl Iterator<Item = &'a Command>,
    fenced: bool,
) -> Result<Option<Arc<Handle>>, cl_int> {
    let mut last = None;
    for command in commands {
        last = command.issue(queue)?;
    }
    let event = match last {
        _ if !fenced => None,
        Some(event) => Some(event),
        None => Some(Arc::new(marker(queue)?)),
    };
    flush(queue.raw())?;
    Ok(event)
}

/// Whether an event's work has ended, and all before it.
fn status(event: &Handle) -> Result<bool, cl_int> {
    let status: cl_int = get_event_info(event.raw(), CL_EVENT_COMMAND_EXECUTION_STATUS)?.into();
    if status < 0 {
        // The work was given up; which error it was differs from driver to driver.
        return Err(opencl3::error_codes::CL_OUT_OF_RESOURCES);
    }
    Ok(status == CL_COMPLETE)
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.drains() {
            // Releasing a queue may wait for its work, which may never end. It stays until the process ends.
            return;
        }
        let ready = self.pending().finish_all();
        drop(ready);
        // SAFETY: neither is used again.
        unsafe {
            ManuallyDrop::drop(&mut self.queues);
            ManuallyDrop::drop(&mut self.context);
        }
    }
}
