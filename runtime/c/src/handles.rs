//! Devices of the app's own, by their handles.

use std::ffi::{c_char, c_void};

#[cfg(feature = "vulkan")]
use drift_runtime::ash::vk::{self, Handle};
#[cfg(any(feature = "vulkan", feature = "opencl"))]
use drift_runtime::{Device, OpenOptions};

use crate::call::{free, make, shared};
use crate::objects::{CBundle, CDevice};
use crate::status::{Failure, Status};

/// A Vulkan device of the app's own. Set all of it to zero and `size` to its size. Instance and device stay until all that was made of
/// them here is freed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Vulkan {
    /// sizeof(drift_vulkan)
    pub size: usize,
    /// vkGetInstanceProcAddr
    pub get_instance_proc_addr: *const c_void,
    /// VkInstance
    pub instance: *mut c_void,
    /// `apiVersion` that the instance was made for: 1.1 at least.
    pub api_version: u32,
    /// VkPhysicalDevice
    pub physical_device: *mut c_void,
    /// VkDevice, made with what drift_vulkan_features_extensions and drift_vulkan_features_chain say; not needed before.
    pub device: *mut c_void,
    /// VkQueue of the device, which takes compute work.
    pub queue: *mut c_void,
    /// The family of the queue.
    pub queue_family: u32,
    /// Called with `user` before each submission to the queue, where other threads use it as well; else NULL.
    pub lock: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Called with `user` after it.
    pub unlock: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// For `lock` and `unlock`, which any thread may call that uses a session.
    pub user: *mut c_void,
}

/// What to enable in a Vulkan device for a bundle.
pub struct CVulkanFeatures {
    #[cfg(feature = "vulkan")]
    parts: Option<Parts>,
}

#[cfg(feature = "vulkan")]
struct Parts {
    extensions: Vec<*const c_char>,
    /// Points into `features`, which do not move.
    chain: Box<vk::PhysicalDeviceFeatures2<'static>>,
    features: Box<drift_runtime::VulkanFeatures>,
}

/// Finds out what a bundle may need of a physical device, before the device is made: of `vulkan`, the loader, the instance, its
/// version and the physical device are looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_vulkan_features_required(
    vulkan: *const Vulkan,
    bundle: *const CBundle,
    out: *mut *mut CVulkanFeatures,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe { make(out, || required(shared(vulkan, "vulkan")?, shared(bundle, "bundle")?)) }
}

/// Names of device extensions to enable, whose number `count` is set to. They are valid until the features are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_vulkan_features_extensions(
    features: *const CVulkanFeatures,
    count: *mut usize,
) -> *const *const c_char {
    #[cfg(feature = "vulkan")]
    // SAFETY: the caller keeps to the header.
    if let (Some(features), false) = (unsafe { features.as_ref() }, count.is_null()) {
        let names = features.parts.as_ref().map_or(&[][..], |parts| &parts.extensions);
        // SAFETY: not null.
        unsafe { count.write(names.len()) };
        return names.as_ptr();
    }
    let _ = (features, count);
    std::ptr::null()
}

/// A VkPhysicalDeviceFeatures2 with what is chained to it, for `pNext` of VkDeviceCreateInfo; NULL once the device is taken. Valid until
/// the features are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_vulkan_features_chain(features: *const CVulkanFeatures) -> *const c_void {
    #[cfg(feature = "vulkan")]
    // SAFETY: the caller keeps to the header.
    if let Some(parts) = unsafe { features.as_ref() }.and_then(|features| features.parts.as_ref()) {
        return std::ptr::from_ref(&*parts.chain).cast();
    }
    let _ = features;
    std::ptr::null()
}

/// Frees features.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_vulkan_features_free(features: *mut CVulkanFeatures) {
    // SAFETY: the caller keeps to the header.
    unsafe { free(features) }
}

/// Replays on a Vulkan device of the app's own that was made with these features, which are used up: free them afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_from_vulkan(
    vulkan: *const Vulkan,
    features: *mut CVulkanFeatures,
    out: *mut *mut CDevice,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe { make(out, || from_vulkan(shared(vulkan, "vulkan")?, features)) }
}

/// Replays in an OpenCL context of the app's own: cl_context, cl_device_id and cl_command_queue, in order. It keeps references to them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_from_opencl(
    context: *mut c_void,
    device: *mut c_void,
    queue: *mut c_void,
    out: *mut *mut CDevice,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            if context.is_null() || device.is_null() || queue.is_null() {
                return Err(Failure::argument("`context`, `device` or `queue` is null"));
            }
            #[cfg(feature = "opencl")]
            {
                let handles = drift_runtime::OpenClHandles { context, device, queue };
                Ok(CDevice::new(Device::from_opencl(&handles, &OpenOptions::default())?))
            }
            #[cfg(not(feature = "opencl"))]
            Err(not_built("opencl"))
        })
    }
}

#[cfg(not(all(feature = "vulkan", feature = "opencl")))]
fn not_built(feature: &str) -> Failure {
    Failure {
        status: Status::DRIFT_NO_DEVICE,
        message: format!("this library is built without drift-c's feature `{feature}`"),
    }
}

#[cfg(not(feature = "vulkan"))]
unsafe fn required(_vulkan: &Vulkan, _bundle: &CBundle) -> Result<CVulkanFeatures, Failure> {
    Err(not_built("vulkan"))
}

#[cfg(not(feature = "vulkan"))]
unsafe fn from_vulkan(_vulkan: &Vulkan, _features: *mut CVulkanFeatures) -> Result<CDevice, Failure> {
    Err(not_built("vulkan"))
}

/// The handles are what the header says.
#[cfg(feature = "vulkan")]
unsafe fn required(vulkan: &Vulkan, bundle: &CBundle) -> Result<CVulkanFeatures, Failure> {
    let physical = vk::PhysicalDevice::from_raw(vulkan.physical_device as u64);
    // SAFETY: as the caller says.
    let features =
        unsafe { drift_runtime::VulkanFeatures::required(&instance(vulkan)?, physical, &bundle.0)? };
    let mut features = Box::new(features);
    let extensions = features.extensions().iter().map(|name| name.as_ptr()).collect();
    let chain = features.features();
    let (p_next, features_1_0) = (chain.p_next, chain.features);
    let chain = Box::new(vk::PhysicalDeviceFeatures2 {
        p_next,
        features: features_1_0,
        ..vk::PhysicalDeviceFeatures2::default()
    });
    Ok(CVulkanFeatures { parts: Some(Parts { extensions, chain, features }) })
}

/// The app's loader and instance.
#[cfg(feature = "vulkan")]
unsafe fn instance(vulkan: &Vulkan) -> Result<drift_runtime::VulkanInstance, Failure> {
    use drift_runtime::ash;

    if vulkan.size != size_of::<Vulkan>() {
        let (found, known) = (vulkan.size, size_of::<Vulkan>());
        return Err(Failure::argument(format!(
            "`vulkan.size` is {found}; this version of the library knows {known} bytes"
        )));
    }
    let missing = vulkan.get_instance_proc_addr.is_null()
        || vulkan.instance.is_null()
        || vulkan.physical_device.is_null();
    if missing || vulkan.api_version < vk::API_VERSION_1_1 {
        return Err(Failure::argument(
            "`vulkan` needs `get_instance_proc_addr`, `instance`, `physical_device` and an `api_version` of 1.1 or later",
        ));
    }
    // SAFETY: not null; the caller says that it is vkGetInstanceProcAddr and that the instance was made through it.
    unsafe {
        let get_instance_proc_addr = std::mem::transmute::<*const c_void, vk::PFN_vkGetInstanceProcAddr>(
            vulkan.get_instance_proc_addr,
        );
        let entry = ash::Entry::from_static_fn(ash::StaticFn { get_instance_proc_addr });
        let raw = vk::Instance::from_raw(vulkan.instance as u64);
        let instance = ash::Instance::load(entry.static_fn(), raw);
        Ok(drift_runtime::VulkanInstance { entry, instance, api_version: vulkan.api_version })
    }
}

/// As above, with a device of those features.
#[cfg(feature = "vulkan")]
unsafe fn from_vulkan(vulkan: &Vulkan, features: *mut CVulkanFeatures) -> Result<CDevice, Failure> {
    use std::sync::Arc;

    use drift_runtime::ash;

    // SAFETY: as the caller says.
    let (instance, features) = unsafe { (instance(vulkan)?, crate::call::unique(features, "features")?) };
    if vulkan.device.is_null() || vulkan.queue.is_null() {
        return Err(Failure::argument("`vulkan.device` or `vulkan.queue` is null"));
    }
    let lock = match (vulkan.lock, vulkan.unlock) {
        (None, None) => None,
        (Some(lock), Some(unlock)) => Some(Lock { lock, unlock, user: vulkan.user }),
        _ => return Err(Failure::argument("`vulkan.lock` and `vulkan.unlock` come together")),
    };
    let lock = lock.map(|lock| {
        let hold: drift_runtime::QueueLock = Arc::new(move |submit: &mut dyn FnMut()| lock.hold(submit));
        hold
    });
    let parts = features.parts.take();
    let parts = parts.ok_or_else(|| Failure::argument("`features` are used up by another device"))?;
    let raw = vk::Device::from_raw(vulkan.device as u64);
    // SAFETY: as the caller says.
    let device = unsafe {
        let handles = drift_runtime::VulkanHandles {
            device: ash::Device::load(instance.instance.fp_v1_0(), raw),
            queue: vk::Queue::from_raw(vulkan.queue as u64),
            queue_family: vulkan.queue_family,
            lock,
        };
        Device::from_vulkan(*parts.features, handles, &OpenOptions::default())
    };
    Ok(CDevice::new(device))
}

/// A lock of the app's.
#[cfg(feature = "vulkan")]
struct Lock {
    lock: unsafe extern "C" fn(*mut c_void),
    unlock: unsafe extern "C" fn(*mut c_void),
    user: *mut c_void,
}

// SAFETY: the header says that any thread may call them.
#[cfg(feature = "vulkan")]
unsafe impl Send for Lock {}
// SAFETY: as above.
#[cfg(feature = "vulkan")]
unsafe impl Sync for Lock {}

#[cfg(feature = "vulkan")]
impl Lock {
    fn hold(&self, submit: &mut dyn FnMut()) {
        // SAFETY: as the header says.
        unsafe { (self.lock)(self.user) };
        submit();
        // SAFETY: as above.
        unsafe { (self.unlock)(self.user) };
    }
}
