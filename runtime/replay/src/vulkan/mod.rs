//! Replays SPIR-V on Vulkan 1.1 and later, through a loader that is found at run time.
//!
//! One queue is used. The `Drop` of the struct that owns handles retires them: they are destroyed once no submitted work
//! can use them ([`crate::pending`]), and dropping never waits.

mod api;
mod bind;
mod cache;
mod commands;
mod context;
#[cfg(test)]
mod faults;
mod features;
mod float_controls;
mod foreign;
mod instance;
mod memory;
mod own;
mod physical;
mod pipeline;
mod query;
#[cfg(test)]
mod tests;
mod texture;

use std::sync::Arc;
use std::time::Duration;

use ash::vk;

use crate::backend::{Backend, Checked, Loaded, Together};
use crate::device::select;
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::loader;
use crate::options::{LoadOptions, OpenOptions, Priority};
use crate::pending::Lost;
use crate::validation_log::ValidationLog;
use context::Context;
pub(crate) use foreign::open as open_foreign;
pub use foreign::{QueueLock, VulkanFeatures, VulkanHandles, VulkanInstance};
use instance::Instance;
pub use own::VulkanBuffer;
use physical::PhysicalDevice;

/// All Vulkan devices that can replay, best first.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    let instance = Instance::new(false)?;
    let found = physical::enumerate(&instance)?;
    Ok(found.into_iter().map(|device| device.info).collect())
}

/// Opens the device that `options` name, or the best.
pub(crate) fn open(options: &OpenOptions) -> Result<VulkanDevice, RuntimeError> {
    open_on(Arc::new(Instance::new(options.validation)?), options)
}

fn open_on(instance: Arc<Instance>, options: &OpenOptions) -> Result<VulkanDevice, RuntimeError> {
    let found = physical::enumerate(&instance)?;
    let infos: Vec<DeviceInfo> = found.iter().map(|device| device.info.clone()).collect();
    let chosen = select(&infos, options.device.as_deref())?;
    let physical = found.into_iter().nth(chosen).unwrap_or_else(|| unreachable!("selected among these"));
    let features = physical.features.clone();
    let opened = (options.grace, options.priority);
    let context = Context::new(Arc::clone(&instance), &physical, features, opened)?;
    let robust = Checked::default();
    Ok(VulkanDevice { context: Arc::new(context), robust, physical, instance, opened })
}

/// An opened Vulkan device.
pub(crate) struct VulkanDevice {
    context: Arc<Context>,
    /// With robust accesses.
    robust: Checked<Context>,
    physical: PhysicalDevice,
    instance: Arc<Instance>,
    opened: (Duration, Priority),
}

impl VulkanDevice {
    fn robust(&self) -> Result<Arc<Context>, RuntimeError> {
        let features = || self.physical.features.robust();
        self.robust.get(|| Context::new(Arc::clone(&self.instance), &self.physical, features(), self.opened))
    }
}

impl Backend for VulkanDevice {
    fn info(&self) -> &DeviceInfo {
        &self.context.info
    }

    fn validation_log(&self) -> ValidationLog {
        self.context.instance.validation_log()
    }

    fn priority_ignored(&self) -> Option<&'static str> {
        self.context.priority_ignored
    }

    fn load(&self, programs: Together<'_>, options: &LoadOptions) -> Result<Vec<Loaded>, RuntimeError> {
        if options.untrusted {
            return loader::load(&self.robust()?, programs, options);
        }
        loader::load(&self.context, programs, options)
    }
}

/// Turns a result code into an error that says what was being done.
fn failed(doing: &'static str) -> impl Fn(vk::Result) -> RuntimeError {
    move |code| match code {
        vk::Result::ERROR_OUT_OF_HOST_MEMORY
        | vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
        | vk::Result::ERROR_OUT_OF_POOL_MEMORY
        | vk::Result::ERROR_FRAGMENTED_POOL
        | vk::Result::ERROR_TOO_MANY_OBJECTS => RuntimeError::OutOfMemory { doing, bytes: None },
        vk::Result::ERROR_DEVICE_LOST => Lost::ByDriver.error(doing),
        code => RuntimeError::Driver { doing, code: format!("{code:?}") },
    }
}
