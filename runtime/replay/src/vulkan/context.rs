//! A logical device with its one queue: shared by everything that is loaded on it, and destroyed last.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ash::vk;

use super::failed;
use super::instance::Instance;
use super::physical::PhysicalDevice;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;

/// An opened device.
pub(crate) struct Context {
    pub(crate) device: ash::Device,
    /// Held while submitting: Vulkan wants one thread at a time.
    queue: Mutex<vk::Queue>,
    pub(crate) queue_family: u32,
    pub(crate) memory: vk::PhysicalDeviceMemoryProperties,
    pub(crate) cache_uuid: [u8; vk::UUID_SIZE],
    pub(crate) timestamp_period: f32,
    pub(crate) timestamp_bits: u32,
    pub(crate) full_subgroups: bool,
    pub(crate) info: DeviceInfo,
    // Last, so that it outlives the device.
    pub(crate) instance: Instance,
}

impl Context {
    /// Creates the logical device with everything enabled that it has and kernels may need.
    pub(crate) fn new(instance: Instance, physical: &PhysicalDevice) -> Result<Self, RuntimeError> {
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(physical.queue_family)
            .queue_priorities(&priorities)];
        let extensions: Vec<_> = physical.extensions.iter().map(|name| name.as_ptr()).collect();
        let mut chain = physical.features.clone();
        let mut features = chain.linked(physical.api_version, &physical.extensions);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut features);
        // SAFETY: the physical device belongs to the instance, and every pointer in `info` outlives the call.
        let device = unsafe { instance.raw.create_device(physical.raw, &info, None) }
            .map_err(failed("opening the device"))?;
        // SAFETY: the queue was asked for above; the physical device belongs to the instance.
        let (queue, memory) = unsafe {
            (
                device.get_device_queue(physical.queue_family, 0),
                instance.raw.get_physical_device_memory_properties(physical.raw),
            )
        };
        Ok(Self {
            device,
            queue: Mutex::new(queue),
            queue_family: physical.queue_family,
            memory,
            cache_uuid: physical.cache_uuid,
            timestamp_period: physical.timestamp_period,
            timestamp_bits: physical.timestamp_bits,
            full_subgroups: physical.features.has_full_subgroups(),
            info: physical.info.clone(),
            instance,
        })
    }

    /// Submits command buffers as one piece of work; `fence` signals after it, null for none.
    pub(crate) fn submit(
        &self,
        commands: &[vk::CommandBuffer],
        fence: vk::Fence,
    ) -> Result<(), RuntimeError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let info = [vk::SubmitInfo::default().command_buffers(commands)];
        // SAFETY: the lock is held; the command buffers are recorded, and not pending since each run waits
        // for the last.
        unsafe { self.device.queue_submit(*queue, &info, fence) }.map_err(failed("submitting work"))
    }

    /// Waits for `fence` and resets it.
    pub(crate) fn wait(&self, fence: vk::Fence, timeout: Duration) -> Result<(), RuntimeError> {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the fence belongs to this device and has been submitted.
        match unsafe { self.device.wait_for_fences(&[fence], true, nanoseconds) } {
            Err(vk::Result::TIMEOUT) => return Err(RuntimeError::Timeout { after: timeout }),
            done => done.map_err(failed("waiting for the device"))?,
        }
        // SAFETY: it has signalled, so nothing uses it.
        unsafe { self.device.reset_fences(&[fence]) }.map_err(failed("resetting a fence"))
    }

    /// Waits until nothing runs, before what it may use is destroyed. A lost device runs nothing.
    pub(crate) fn wait_idle(&self) {
        let _queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the lock is held, so that no queue is used meanwhile.
        let _ = unsafe { self.device.device_wait_idle() };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: everything made from the device holds an `Arc` of this and is gone.
        unsafe { self.device.destroy_device(None) };
    }
}
