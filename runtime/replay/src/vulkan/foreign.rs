//! Devices of the app's own: what to enable before one is made, and the queue that it shares.
#![expect(unsafe_code, reason = "says what callers promise of raw handles")]

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

use ash::vk;
use drift_bundle::Bundle;
use drift_bundle::manifest::{Requirement, Target};

use super::VulkanDevice;
use super::context::{Context, Queue};
use super::instance::Instance;
use super::physical::{self, PhysicalDevice};
use crate::backend::Checked;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::options::{OpenOptions, Priority};

/// Calls what it is given while nobody else uses the queue, once.
pub type QueueLock = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// An instance of the app's own.
#[derive(Clone)]
pub struct VulkanInstance {
    /// The loader.
    pub entry: ash::Entry,
    /// The instance.
    pub instance: ash::Instance,
    /// The version that it was made for (`vk::ApplicationInfo::api_version`): 1.1 at least.
    pub api_version: u32,
}

/// What a bundle may need of a device: extensions and features to enable when it is made, from
/// [`VulkanFeatures::required`].
pub struct VulkanFeatures {
    physical: PhysicalDevice,
    instance: Arc<Instance>,
}

/// A device of the app's own with one of its queues, for [`Device::from_vulkan`][crate::Device::from_vulkan].
pub struct VulkanHandles {
    /// The device, made with the extensions and features that [`VulkanFeatures`] lists.
    pub device: ash::Device,
    /// A queue of it that takes compute work.
    pub queue: vk::Queue,
    /// The family of the queue.
    pub queue_family: u32,
    /// Called around each submission, where other threads use the queue as well. It must not wait for a session.
    pub lock: Option<QueueLock>,
}

impl VulkanFeatures {
    /// Finds out what the variants for Vulkan of a bundle may need of this device and what of that it has. Enabling it
    /// all is not a must for the app, but for [`Device::from_vulkan`][crate::Device::from_vulkan]: to do with less, ask for another
    /// bundle's.
    ///
    /// # Safety
    ///
    /// The instance was made by this loader for this version, and stays until everything that is made of the result is dropped. The
    /// physical device belongs to it.
    pub unsafe fn required(
        instance: &VulkanInstance,
        physical: vk::PhysicalDevice,
        bundle: &Bundle,
    ) -> Result<Self, RuntimeError> {
        let VulkanInstance { entry, instance, api_version } = instance;
        let instance = Arc::new(Instance::of_the_app(entry.clone(), instance.clone()));
        let found = physical::inspect(&instance, physical, Some(*api_version))?;
        let mut physical = found.ok_or_else(|| RuntimeError::NoDriver {
            kind: DeviceKind::Vulkan,
            reason: "instance and device have to be of Vulkan 1.1 and to have a compute queue".to_owned(),
        })?;
        let entries = bundle.manifest().entries.iter().filter(|entry| entry.target == Target::Vulkan);
        let required: Vec<&Requirement> =
            entries.flat_map(|entry| &entry.variants).flat_map(|variant| &variant.requires).collect();
        let matrices = required.iter().any(|one| matches!(one, Requirement::CooperativeMatrix { .. }));
        // A matrix holds halves whether or not the variant says so.
        let halves = matrices || required.contains(&&Requirement::F16);
        physical.restrict(halves, matrices);
        Ok(Self { physical, instance })
    }

    /// Device extensions to enable, all of which the device has.
    pub fn extensions(&self) -> &[&'static CStr] {
        &self.physical.extensions
    }

    /// Features to enable: a chain to be pushed to `vk::DeviceCreateInfo`. An app with features of its own enables those
    /// that are set in its own structs, since a chain holds each struct once.
    pub fn features(&mut self) -> vk::PhysicalDeviceFeatures2<'_> {
        self.physical.features.linked(self.physical.api_version, &self.physical.extensions)
    }

    /// What the device can do with them enabled.
    pub fn info(&self) -> &DeviceInfo {
        &self.physical.info
    }

    /// The first family of queues that takes compute work.
    pub fn queue_family(&self) -> u32 {
        self.physical.queue_family
    }
}

/// Replays on a device of the app's.
pub(crate) unsafe fn open(
    features: VulkanFeatures,
    handles: VulkanHandles,
    options: &OpenOptions,
) -> VulkanDevice {
    let VulkanFeatures { mut physical, instance } = features;
    let VulkanHandles { device, queue, queue_family, lock } = handles;
    physical.use_family(&instance, queue_family);
    let queue = Queue { raw: queue, lock, is_the_apps: true };
    let ignored = (options.priority != Priority::Normal).then_some("the queue is the app's own");
    let context = Context::on(Arc::clone(&instance), &physical, (device, queue), (options.grace, ignored));
    let opened = (options.grace, options.priority);
    let (context, robust) = (Arc::new(context), Checked::default());
    VulkanDevice { context, robust, physical, instance, opened }
}

impl fmt::Debug for VulkanFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VulkanFeatures")
            .field("extensions", &self.physical.extensions)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VulkanInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VulkanInstance").field("instance", &self.instance.handle()).finish_non_exhaustive()
    }
}

impl fmt::Debug for VulkanHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VulkanHandles").field("device", &self.device.handle()).finish_non_exhaustive()
    }
}
