//! A logical device with its one queue: shared by everything that is loaded on it, and destroyed last.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ash::vk;

use super::failed;
use super::features::FeatureChain;
use super::float_controls::Preserved;
use super::foreign::QueueLock;
use super::instance::Instance;
use super::physical::PhysicalDevice;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::options::Priority;
use crate::pending::{Follow, Lost, Pending, Serial};

/// A wait looks up this often whether another thread has found the device lost.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// Destroys handles of a device. Called once nothing uses them.
type Destroy = Box<dyn FnOnce(&ash::Device) + Send>;

/// A queue, which an app may use as well.
pub(crate) struct Queue {
    pub(crate) raw: vk::Queue,
    /// Keeps the app's other threads out.
    pub(crate) lock: Option<QueueLock>,
    /// It and its device are left to the app.
    pub(crate) is_the_apps: bool,
}

/// An opened device.
pub(crate) struct Context {
    pub(crate) device: ash::Device,
    /// Held while submitting, since Vulkan wants one thread at a time, and never while waiting.
    queue: Mutex<Queue>,
    pending: Mutex<Pending<vk::Fence, Destroy>>,
    /// How long work may go on after a caller has stopped waiting for it.
    grace: Duration,
    /// Why the priority that was asked for is not taken.
    pub(crate) priority_ignored: Option<&'static str>,
    pub(crate) queue_family: u32,
    pub(crate) memory: vk::PhysicalDeviceMemoryProperties,
    pub(crate) cache_uuid: [u8; vk::UUID_SIZE],
    pub(crate) timestamp_period: f32,
    pub(crate) timestamp_bits: u32,
    pub(crate) full_subgroups: bool,
    /// Floats whose special values kernels keep.
    pub(crate) preserved: Preserved,
    pub(crate) info: DeviceInfo,
    // Dropped after the device, or never.
    pub(crate) instance: ManuallyDrop<Arc<Instance>>,
}

impl Context {
    /// Creates the logical device with these of the physical one's features enabled.
    pub(crate) fn new(
        instance: Arc<Instance>,
        physical: &PhysicalDevice,
        mut chain: FeatureChain,
        (grace, priority): (Duration, Priority),
    ) -> Result<Self, RuntimeError> {
        let wanted = match priority {
            Priority::Low => Some(vk::QueueGlobalPriorityKHR::LOW),
            Priority::Normal => None,
            Priority::High => Some(vk::QueueGlobalPriorityKHR::HIGH),
        };
        let mut make = |wanted| create(&instance, physical, &mut chain, wanted);
        let (made, ignored) = match wanted {
            Some(_) if physical.priority_extension.is_none() => {
                (make(None), Some("the driver has no VK_KHR_global_priority"))
            }
            Some(_) => match make(wanted) {
                Err(vk::Result::ERROR_NOT_PERMITTED_KHR | vk::Result::ERROR_INITIALIZATION_FAILED) => {
                    (make(None), Some("the driver does not permit it to this program"))
                }
                made => (made, None),
            },
            None => (make(None), None),
        };
        let device = made.map_err(failed("opening the device"))?;
        // SAFETY: the queue was asked for above.
        let raw = unsafe { device.get_device_queue(physical.queue_family, 0) };
        let queue = Queue { raw, lock: None, is_the_apps: false };
        Ok(Self::on(instance, physical, (device, queue), (grace, ignored)))
    }

    /// Takes a logical device that is there, with these features of the physical one enabled.
    pub(crate) fn on(
        instance: Arc<Instance>,
        physical: &PhysicalDevice,
        (device, queue): (ash::Device, Queue),
        (grace, priority_ignored): (Duration, Option<&'static str>),
    ) -> Self {
        // SAFETY: the physical device belongs to the instance.
        let memory = unsafe { instance.raw.get_physical_device_memory_properties(physical.raw) };
        Self {
            device,
            queue: Mutex::new(queue),
            pending: Mutex::default(),
            grace,
            priority_ignored,
            queue_family: physical.queue_family,
            memory,
            cache_uuid: physical.cache_uuid,
            timestamp_period: physical.timestamp_period,
            timestamp_bits: physical.timestamp_bits,
            full_subgroups: physical.features.has_full_subgroups(),
            preserved: physical.preserved,
            info: physical.info.clone(),
            instance: ManuallyDrop::new(instance),
        }
    }

    /// Submits command buffers as one piece of work; `fence` signals after it and all before it, null for none.
    pub(crate) fn submit(
        &self,
        commands: &[vk::CommandBuffer],
        fence: vk::Fence,
    ) -> Result<Serial, RuntimeError> {
        const DOING: &str = "submitting work";
        self.check(DOING)?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // In the queue's order, since its lock is held.
        let serial = self.pending().submit((fence != vk::Fence::null()).then_some(fence));
        let info = [vk::SubmitInfo::default().command_buffers(commands)];
        // SAFETY: the lock is held; the command buffers are recorded, so that they may be pending already.
        unsafe { self.give(&queue, &info, fence) }.map_err(|code| {
            self.pending().refuse(serial);
            self.failed(DOING, code)
        })?;
        Ok(serial)
    }

    /// Submits to the queue, whose lock is held, while nobody else uses it.
    unsafe fn give(
        &self,
        queue: &Queue,
        work: &[vk::SubmitInfo<'_>],
        fence: vk::Fence,
    ) -> Result<(), vk::Result> {
        // SAFETY: the caller keeps to what Vulkan asks of a submission.
        let submit = || unsafe { self.device.queue_submit(queue.raw, work, fence) };
        let Some(lock) = &queue.lock else { return submit() };
        // What a lock of the app's does not call is not submitted, and what it calls again is so once.
        let mut submitted = None;
        lock(&mut || {
            submitted.get_or_insert_with(submit);
        });
        submitted.unwrap_or(Err(vk::Result::ERROR_UNKNOWN))
    }

    /// Waits for `fence`, which `serial` was submitted with, and resets it. Holds no lock meanwhile. After the deadline
    /// the work is overdue: what it uses has to be left alone until [`Context::has_finished`].
    pub(crate) fn wait(
        &self,
        fence: vk::Fence,
        serial: Serial,
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        const DOING: &str = "waiting for the device";
        loop {
            let left = deadline.left();
            match self.wait_once(fence, left.min(WAIT_SLICE)) {
                Ok(()) => break,
                Err(vk::Result::TIMEOUT) if left <= WAIT_SLICE => {
                    self.pending().is_overdue(serial, self.grace);
                    return Err(deadline.passed());
                }
                Err(vk::Result::TIMEOUT) => self.check(DOING)?,
                Err(code) => return Err(self.failed(DOING, code)),
            }
        }
        self.finish(serial);
        // SAFETY: it has signalled, so nothing uses it.
        unsafe { self.device.reset_fences(&[fence]) }.map_err(|code| self.failed("resetting a fence", code))
    }

    fn wait_once(&self, fence: vk::Fence, timeout: Duration) -> Result<(), vk::Result> {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the fence belongs to this device and has been submitted.
        unsafe { self.device.wait_for_fences(&[fence], true, nanoseconds) }
    }

    /// Calls `destroy` once no work that has been submitted can use what it destroys: now, or after a later wait. Where
    /// the device is given up that is never, since nothing says what a kernel that still runs may touch.
    pub(crate) fn retire(&self, destroy: impl FnOnce(&ash::Device) + Send + 'static) {
        let now = self.pending().retire(Box::new(destroy));
        if let Some(destroy) = now {
            destroy(&self.device);
        }
    }

    /// The error of a call, noting where it says that the device is lost.
    fn failed(&self, doing: &'static str, code: vk::Result) -> RuntimeError {
        if code == vk::Result::ERROR_DEVICE_LOST {
            self.pending().lose(Lost::ByDriver);
        }
        failed(doing)(code)
    }

    /// Whether nothing runs any more, after a wait of at most the grace time.
    fn drains(&self) -> bool {
        if self.pending().is_idle() {
            return true;
        }
        let left = self.pending().grace_left(self.grace);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the device is alive.
        let created = unsafe { self.device.create_fence(&vk::FenceCreateInfo::default(), None) };
        let Ok(fence) = created else { return false };
        // SAFETY: the queue's lock is held.
        let submitted = unsafe { self.give(&queue, &[], fence) };
        drop(queue);
        let drained = submitted.and_then(|()| self.wait_once(fence, left));
        let is_free = matches!(drained, Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST));
        if is_free || submitted.is_err() {
            // SAFETY: it was not submitted, has signalled, or never will.
            unsafe { self.device.destroy_fence(fence, None) };
        }
        is_free
    }
}

/// Creates a logical device with one queue, which has this priority beside those of other programs.
fn create(
    instance: &Instance,
    physical: &PhysicalDevice,
    chain: &mut FeatureChain,
    priority: Option<vk::QueueGlobalPriorityKHR>,
) -> Result<ash::Device, vk::Result> {
    let mut global =
        vk::DeviceQueueGlobalPriorityCreateInfoKHR::default().global_priority(priority.unwrap_or_default());
    let priorities = [1.0];
    let mut queue = vk::DeviceQueueCreateInfo::default()
        .queue_family_index(physical.queue_family)
        .queue_priorities(&priorities);
    let mut extensions: Vec<_> = physical.extensions.iter().map(|name| name.as_ptr()).collect();
    if priority.is_some() {
        queue = queue.push_next(&mut global);
        extensions.extend(physical.priority_extension.map(CStr::as_ptr));
    }
    let queues = [queue];
    let mut features = chain.linked(physical.api_version, &physical.extensions);
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&extensions)
        .push_next(&mut features);
    // SAFETY: the physical device belongs to the instance, and every pointer in `info` outlives the call.
    unsafe { instance.raw.create_device(physical.raw, &info, None) }
}

impl Follow for Context {
    type Fence = vk::Fence;
    type Retired = Destroy;

    fn pending(&self) -> MutexGuard<'_, Pending<vk::Fence, Destroy>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_signalled(&self, fence: vk::Fence) -> bool {
        // SAFETY: a fence is forgotten before it is reset or destroyed, which the lock orders.
        unsafe { self.device.get_fence_status(fence) == Ok(true) }
    }

    fn release(&self, ready: Vec<Destroy>) {
        ready.into_iter().for_each(|destroy| destroy(&self.device));
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.drains() {
            // Destroying a device waits for its work, which may never end, and unloading the driver would take the code
            // away under it. Device, instance and what they hold stay until the process ends.
            return;
        }
        let ready = self.pending().finish_all();
        self.release(ready);
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: everything made from the device holds an `Arc` of this and is gone, and the instance is not used again.
        unsafe {
            if !queue.is_the_apps {
                self.device.destroy_device(None);
            }
            ManuallyDrop::drop(&mut self.instance);
        }
    }
}
