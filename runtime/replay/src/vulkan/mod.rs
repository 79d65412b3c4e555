//! Replays SPIR-V on Vulkan 1.1 and later, through a loader that is found at run time.
//!
//! Everything is allocated, uploaded and recorded in [`VulkanDevice::load`]; a run only submits. One queue is
//! used. All handles are destroyed in the order that Vulkan asks for, by the `Drop` of the struct that owns
//! them.

mod bind;
mod cache;
mod commands;
mod context;
mod derived;
mod features;
mod instance;
mod memory;
mod physical;
mod pipeline;
mod query;
mod record;
mod replay;
mod texture;
mod upload;

use std::sync::Arc;

use ash::vk;

use crate::backend::{Backend, Loaded, Program};
use crate::device::{OpenOptions, select};
use crate::error::RuntimeError;
use crate::info::DeviceInfo;
use crate::session::LoadOptions;
use context::Context;
use instance::Instance;

pub use instance::ValidationLog;

/// All Vulkan devices that can replay, best first.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    let instance = Instance::new(false)?;
    let found = physical::enumerate(&instance)?;
    Ok(found.into_iter().map(|device| device.info).collect())
}

/// Opens the device that `options` name, or the best.
pub(crate) fn open(options: &OpenOptions) -> Result<VulkanDevice, RuntimeError> {
    let instance = Instance::new(options.validation)?;
    let found = physical::enumerate(&instance)?;
    let infos: Vec<DeviceInfo> = found.iter().map(|device| device.info.clone()).collect();
    let chosen = &found[select(&infos, options.device.as_deref())?];
    Ok(VulkanDevice { context: Arc::new(Context::new(instance, chosen)?) })
}

/// An opened Vulkan device.
pub(crate) struct VulkanDevice {
    context: Arc<Context>,
}

impl Backend for VulkanDevice {
    fn info(&self) -> &DeviceInfo {
        &self.context.info
    }

    fn validation_log(&self) -> ValidationLog {
        self.context.instance.validation_log()
    }

    fn load(&self, programs: &[Program<'_>], options: &LoadOptions) -> Result<Vec<Loaded>, RuntimeError> {
        replay::load(&self.context, programs, options)
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
        vk::Result::ERROR_DEVICE_LOST => RuntimeError::DeviceLost { doing },
        code => RuntimeError::Driver { doing, code: format!("{code:?}") },
    }
}
