//! Stands between the runtime and Vulkan's loader: counts calls that can fail, and makes one of them fail.
//!
//! The loader hands out functions by name; this hands out one of its own for each that returns a code, which answers or calls
//! the loader's. Counts are of the whole process, so that tests that use this take turns.
#![expect(unsafe_code, reason = "stands between the runtime and Vulkan")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ash::vk;
use ash::vk::Result as Code;

/// Which call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its number, from 0 on.
    pub(super) at: usize,
    /// Which of the codes that it may return.
    pub(super) code: usize,
    /// Whether it fails ever after, as do others that return the same code.
    pub(super) lasts: bool,
}

/// A call that was made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The function.
    pub(super) name: &'static str,
    /// What it returned.
    pub(super) code: Code,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    calls: Vec<&'static str>,
    hit: Option<Hit>,
    /// Where work is waited for before the device counts as lost.
    queue: Option<vk::Queue>,
}

type Function = unsafe extern "system" fn();

static STATE: Mutex<State> = Mutex::new(State { fault: None, calls: Vec::new(), hit: None, queue: None });

/// The loader's functions by name. All devices of a test have the same layers, and so the same functions.
static REAL: Mutex<BTreeMap<String, Function>> = Mutex::new(BTreeMap::new());

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something; says which calls that can fail it made.
pub(super) fn counting<T>(work: impl FnOnce() -> T) -> (T, Vec<&'static str>) {
    let queue = state().queue;
    *state() = State { queue, ..State::default() };
    let result = work();
    (result, std::mem::take(&mut state().calls))
}

/// Runs something while a call fails; says which did, if one was reached that has such a code.
pub(super) fn failing<T>(fault: Fault, work: impl FnOnce() -> T) -> (T, Option<Hit>) {
    let queue = state().queue;
    *state() = State { fault: Some(fault), queue, ..State::default() };
    let result = work();
    let mut state = state();
    state.fault = None;
    (result, state.hit)
}

/// The code that a call is to return instead of being made.
fn intercept(name: &'static str, codes: &[Code]) -> Option<Code> {
    let mut state = state();
    let number = state.calls.len();
    state.calls.push(name);
    let fault = state.fault?;
    let code = match state.hit {
        None if fault.at == number => *codes.get(fault.code)?,
        Some(hit) if fault.lasts && codes.contains(&hit.code) => hit.code,
        _ => return None,
    };
    state.hit.get_or_insert(Hit { name, code });
    let queue = state.queue;
    drop(state);
    if let Some(queue) = queue.filter(|_| code == Code::ERROR_DEVICE_LOST) {
        // Nothing runs on a lost device.
        let wait: vk::PFN_vkQueueWaitIdle = real("vkQueueWaitIdle");
        // SAFETY: the queue's device is alive while one of its functions is called, and tests use it from one thread.
        let _ = unsafe { wait(queue) };
    }
    Some(code)
}

/// The loader's function of this name, `F` being the type of functions of that name.
fn real<F: Copy>(name: &str) -> F {
    let function = REAL.lock().unwrap_or_else(PoisonError::into_inner)[name];
    assert_eq!(size_of::<F>(), size_of::<Function>());
    // SAFETY: callers name the type that Vulkan gives to this function.
    unsafe { std::mem::transmute_copy(&function) }
}

/// Keeps what the loader has, and returns what stands for it.
fn wrapped(name: &CStr, found: vk::PFN_vkVoidFunction) -> vk::PFN_vkVoidFunction {
    let name = name.to_str().unwrap_or_default();
    let shim = if name == "vkGetDeviceProcAddr" {
        // SAFETY: the caller casts it back to the type that belongs to the name.
        Some(unsafe { std::mem::transmute::<vk::PFN_vkGetDeviceProcAddr, Function>(device_function) })
    } else {
        shim(name)
    };
    if let Some(found) = found.filter(|_| shim.is_some() || name == "vkQueueWaitIdle") {
        REAL.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), found);
    }
    found.map(|found| shim.unwrap_or(found))
}

fn loader() -> &'static ash::Entry {
    static LOADER: OnceLock<ash::Entry> = OnceLock::new();
    // SAFETY: the loader is the system's own.
    LOADER.get_or_init(|| unsafe { ash::Entry::load() }.expect("a Vulkan loader: apt install libvulkan1"))
}

unsafe extern "system" fn instance_function(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller's promises are those that the loader asks for.
    unsafe { wrapped(CStr::from_ptr(name), (loader().static_fn().get_instance_proc_addr)(instance, name)) }
}

unsafe extern "system" fn device_function(device: vk::Device, name: *const c_char) -> vk::PFN_vkVoidFunction {
    let real: vk::PFN_vkGetDeviceProcAddr = real("vkGetDeviceProcAddr");
    // SAFETY: as above.
    unsafe {
        wrapped(c"vkQueueWaitIdle", real(device, c"vkQueueWaitIdle".as_ptr()));
        wrapped(CStr::from_ptr(name), real(device, name))
    }
}

/// A loader whose functions are counted, and can be made to fail.
pub(super) fn entry() -> ash::Entry {
    // SAFETY: the functions are the loader's, which is never unloaded, or stand for them.
    unsafe { ash::Entry::from_static_fn(ash::StaticFn { get_instance_proc_addr: instance_function }) }
}

const HOST: Code = Code::ERROR_OUT_OF_HOST_MEMORY;
const DEVICE: Code = Code::ERROR_OUT_OF_DEVICE_MEMORY;
const LOST: Code = Code::ERROR_DEVICE_LOST;

/// A function for each name; `$before` runs before a call is answered or made.
macro_rules! shims {
    ($($name:ident: $pfn:ident ($($arg:ident: $ty:ty),*) $codes:expr $(, $before:expr)?;)*) => {
        fn shim(name: &str) -> Option<Function> {
            match name {
                $(stringify!($name) => {
                    #[expect(non_snake_case, reason = "Vulkan's names")]
                    unsafe extern "system" fn $name($($arg: $ty),*) -> Code {
                        $($before;)?
                        if let Some(code) = intercept(stringify!($name), &$codes) {
                            return code;
                        }
                        let real: vk::$pfn = real(stringify!($name));
                        // SAFETY: the caller's promises are those that the function asks for.
                        unsafe { real($($arg),*) }
                    }
                    // SAFETY: the caller casts it back to the type that belongs to the name.
                    Some(unsafe { std::mem::transmute::<vk::$pfn, Function>($name) })
                })*
                _ => None,
            }
        }
    };
}

type Allocator<'a> = *const vk::AllocationCallbacks<'a>;

shims! {
    vkCreateInstance: PFN_vkCreateInstance (info: *const vk::InstanceCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::Instance)
        [HOST, DEVICE, Code::ERROR_INITIALIZATION_FAILED, Code::ERROR_INCOMPATIBLE_DRIVER];
    vkEnumerateInstanceVersion: PFN_vkEnumerateInstanceVersion (version: *mut u32) [HOST];
    vkEnumerateInstanceLayerProperties: PFN_vkEnumerateInstanceLayerProperties
        (count: *mut u32, found: *mut vk::LayerProperties) [HOST, DEVICE];
    vkEnumerateInstanceExtensionProperties: PFN_vkEnumerateInstanceExtensionProperties
        (layer: *const c_char, count: *mut u32, found: *mut vk::ExtensionProperties) [HOST, DEVICE];
    vkCreateDebugUtilsMessengerEXT: PFN_vkCreateDebugUtilsMessengerEXT
        (instance: vk::Instance, info: *const vk::DebugUtilsMessengerCreateInfoEXT<'_>, with: Allocator<'_>,
        made: *mut vk::DebugUtilsMessengerEXT) [HOST];
    vkEnumeratePhysicalDevices: PFN_vkEnumeratePhysicalDevices
        (instance: vk::Instance, count: *mut u32, found: *mut vk::PhysicalDevice)
        [HOST, DEVICE, Code::ERROR_INITIALIZATION_FAILED];
    vkEnumerateDeviceExtensionProperties: PFN_vkEnumerateDeviceExtensionProperties
        (device: vk::PhysicalDevice, layer: *const c_char, count: *mut u32, found: *mut vk::ExtensionProperties)
        [HOST, DEVICE];
    vkCreateDevice: PFN_vkCreateDevice
        (physical: vk::PhysicalDevice, info: *const vk::DeviceCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::Device)
        [HOST, DEVICE, Code::ERROR_INITIALIZATION_FAILED, Code::ERROR_FEATURE_NOT_PRESENT, Code::ERROR_TOO_MANY_OBJECTS,
        LOST], state().queue = None;
    vkQueueSubmit: PFN_vkQueueSubmit
        (queue: vk::Queue, count: u32, submits: *const vk::SubmitInfo<'_>, fence: vk::Fence)
        [HOST, DEVICE, LOST], state().queue = Some(queue);
    vkWaitForFences: PFN_vkWaitForFences
        (device: vk::Device, count: u32, fences: *const vk::Fence, all: vk::Bool32, timeout: u64)
        [HOST, DEVICE, Code::TIMEOUT, LOST];
    vkGetFenceStatus: PFN_vkGetFenceStatus (device: vk::Device, fence: vk::Fence) [HOST, DEVICE, Code::NOT_READY, LOST];
    vkResetFences: PFN_vkResetFences (device: vk::Device, count: u32, fences: *const vk::Fence) [DEVICE];
    vkCreateFence: PFN_vkCreateFence
        (device: vk::Device, info: *const vk::FenceCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::Fence)
        [HOST, DEVICE];
    vkCreateBuffer: PFN_vkCreateBuffer
        (device: vk::Device, info: *const vk::BufferCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::Buffer)
        [HOST, DEVICE];
    vkCreateBufferView: PFN_vkCreateBufferView
        (device: vk::Device, info: *const vk::BufferViewCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::BufferView)
        [HOST, DEVICE];
    vkCreateImage: PFN_vkCreateImage
        (device: vk::Device, info: *const vk::ImageCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::Image)
        [HOST, DEVICE];
    vkCreateImageView: PFN_vkCreateImageView
        (device: vk::Device, info: *const vk::ImageViewCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::ImageView)
        [HOST, DEVICE];
    vkAllocateMemory: PFN_vkAllocateMemory
        (device: vk::Device, info: *const vk::MemoryAllocateInfo<'_>, with: Allocator<'_>, made: *mut vk::DeviceMemory)
        [HOST, DEVICE, Code::ERROR_TOO_MANY_OBJECTS];
    vkMapMemory: PFN_vkMapMemory
        (device: vk::Device, memory: vk::DeviceMemory, offset: u64, size: u64, flags: vk::MemoryMapFlags,
        mapped: *mut *mut c_void) [HOST, DEVICE, Code::ERROR_MEMORY_MAP_FAILED];
    vkBindBufferMemory: PFN_vkBindBufferMemory
        (device: vk::Device, buffer: vk::Buffer, memory: vk::DeviceMemory, offset: u64) [HOST, DEVICE];
    vkBindImageMemory: PFN_vkBindImageMemory
        (device: vk::Device, image: vk::Image, memory: vk::DeviceMemory, offset: u64) [HOST, DEVICE];
    vkCreateShaderModule: PFN_vkCreateShaderModule
        (device: vk::Device, info: *const vk::ShaderModuleCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::ShaderModule)
        [HOST, DEVICE];
    vkCreatePipelineCache: PFN_vkCreatePipelineCache
        (device: vk::Device, info: *const vk::PipelineCacheCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::PipelineCache)
        [HOST, DEVICE];
    vkGetPipelineCacheData: PFN_vkGetPipelineCacheData
        (device: vk::Device, cache: vk::PipelineCache, size: *mut usize, data: *mut c_void) [HOST, DEVICE];
    vkCreatePipelineLayout: PFN_vkCreatePipelineLayout
        (device: vk::Device, info: *const vk::PipelineLayoutCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::PipelineLayout)
        [HOST, DEVICE];
    vkCreateDescriptorSetLayout: PFN_vkCreateDescriptorSetLayout
        (device: vk::Device, info: *const vk::DescriptorSetLayoutCreateInfo<'_>, with: Allocator<'_>,
        made: *mut vk::DescriptorSetLayout) [HOST, DEVICE];
    vkCreateComputePipelines: PFN_vkCreateComputePipelines
        (device: vk::Device, cache: vk::PipelineCache, count: u32, infos: *const vk::ComputePipelineCreateInfo<'_>,
        with: Allocator<'_>, made: *mut vk::Pipeline) [HOST, DEVICE],
        // SAFETY: `made` has room for `count`. What is not made is null.
        (0..count as usize).for_each(|n| unsafe { made.add(n).write(vk::Pipeline::null()) });
    vkCreateDescriptorPool: PFN_vkCreateDescriptorPool
        (device: vk::Device, info: *const vk::DescriptorPoolCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::DescriptorPool)
        [HOST, DEVICE, Code::ERROR_FRAGMENTATION];
    vkAllocateDescriptorSets: PFN_vkAllocateDescriptorSets
        (device: vk::Device, info: *const vk::DescriptorSetAllocateInfo<'_>, made: *mut vk::DescriptorSet)
        [HOST, DEVICE, Code::ERROR_OUT_OF_POOL_MEMORY, Code::ERROR_FRAGMENTED_POOL];
    vkCreateCommandPool: PFN_vkCreateCommandPool
        (device: vk::Device, info: *const vk::CommandPoolCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::CommandPool)
        [HOST, DEVICE];
    vkAllocateCommandBuffers: PFN_vkAllocateCommandBuffers
        (device: vk::Device, info: *const vk::CommandBufferAllocateInfo<'_>, made: *mut vk::CommandBuffer)
        [HOST, DEVICE];
    vkBeginCommandBuffer: PFN_vkBeginCommandBuffer
        (commands: vk::CommandBuffer, info: *const vk::CommandBufferBeginInfo<'_>) [HOST, DEVICE];
    vkEndCommandBuffer: PFN_vkEndCommandBuffer (commands: vk::CommandBuffer) [HOST, DEVICE];
    vkCreateQueryPool: PFN_vkCreateQueryPool
        (device: vk::Device, info: *const vk::QueryPoolCreateInfo<'_>, with: Allocator<'_>, made: *mut vk::QueryPool)
        [HOST, DEVICE];
    vkGetQueryPoolResults: PFN_vkGetQueryPoolResults
        (device: vk::Device, pool: vk::QueryPool, first: u32, count: u32, size: usize, data: *mut c_void, stride: u64,
        flags: vk::QueryResultFlags) [HOST, DEVICE, LOST];
}
