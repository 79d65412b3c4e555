//! Inside of an app: its own buffers, and its own device, queue and context, used by it and by sessions in turn.
#![expect(unsafe_code, reason = "makes devices and buffers as an app does")]
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use drift_runtime::ash::{self, ext, vk};
use drift_runtime::{
    BufferProblem, Device, DeviceKind, LoadOptions, OpenClBuffer, OpenClHandles, OpenOptions, OwnBuffer,
    Priority, QueueLock, RuntimeError, VulkanBuffer, VulkanFeatures, VulkanHandles, VulkanInstance,
};

use crate::anywhere::{KINDS, Work, apart, in_arena, load, on_each};

const X: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

#[track_caller]
fn refused(result: Result<drift_runtime::Session, RuntimeError>, tensor: &str, expected: &BufferProblem) {
    match result.map(drop) {
        Err(RuntimeError::OwnBuffer { tensor: named, problem }) => {
            assert_eq!((named.as_str(), &problem), (tensor, expected));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_buffer_must_be_can_be_asked() {
    on_each(|device, kind| {
        let options = LoadOptions::default();
        let needs = device.io_buffers(&apart(kind, Work::Double), &options).unwrap();
        let [x, y] = &needs[..] else { panic!("{needs:?}") };
        assert_eq!((x.tensor.name.as_str(), y.tensor.name.as_str()), ("x", "y"));
        assert_eq!((x.bytes, x.alignment, x.offset, x.is_input, x.is_output), (16, 256, 0, true, false));
        assert_eq!(
            (y.is_input, y.is_output, y.storage, y.uniform, y.read_texels),
            (false, true, true, false, false)
        );
        assert!(device.io_buffers(&in_arena(kind, Work::Double), &options).unwrap().is_empty());
    });
}

/// A device as an app makes it, with a log of what the validation layer says.
struct App {
    instance: VulkanInstance,
    debug: (ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT),
    said: Box<Mutex<Vec<String>>>,
    device: ash::Device,
    queue: vk::Queue,
    family: u32,
    physical: vk::PhysicalDevice,
    pool: vk::CommandPool,
}

unsafe extern "system" fn on_message(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the log that the messenger was made with, and a message of the layer's.
    let (said, message) = unsafe {
        (&*user.cast::<Mutex<Vec<String>>>(), (*data).message_as_c_str().unwrap().to_string_lossy())
    };
    said.lock().unwrap().push(message.into_owned());
    vk::FALSE
}

impl App {
    /// Makes an instance for this version of Vulkan, and a device with what `bundle` needs.
    fn new(api_version: u32, bundle: &drift_bundle::Bundle) -> (Self, VulkanFeatures) {
        let said = Box::new(Mutex::new(Vec::new()));
        // SAFETY: calls of Vulkan as its specification wants them, with structs that outlive them.
        unsafe {
            let entry = ash::Entry::load().unwrap();
            let application = vk::ApplicationInfo::default().api_version(api_version);
            let layers = [c"VK_LAYER_KHRONOS_validation".as_ptr()];
            let extensions = [ext::debug_utils::NAME.as_ptr(), ext::validation_features::NAME.as_ptr()];
            let checks = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
            let mut features = vk::ValidationFeaturesEXT::default().enabled_validation_features(&checks);
            let info = vk::InstanceCreateInfo::default()
                .application_info(&application)
                .enabled_layer_names(&layers)
                .enabled_extension_names(&extensions)
                .push_next(&mut features);
            let raw = entry.create_instance(&info, None).unwrap();
            let debug = ext::debug_utils::Instance::new(&entry, &raw);
            let info = vk::DebugUtilsMessengerCreateInfoEXT::default()
                .message_severity(
                    vk::DebugUtilsMessageSeverityFlagsEXT::ERROR
                        | vk::DebugUtilsMessageSeverityFlagsEXT::WARNING,
                )
                .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION)
                .pfn_user_callback(Some(on_message))
                .user_data(std::ptr::from_ref(&*said).cast_mut().cast());
            let messenger = debug.create_debug_utils_messenger(&info, None).unwrap();
            let instance = VulkanInstance { entry, instance: raw, api_version };

            let physical = instance.instance.enumerate_physical_devices().unwrap()[0];
            let mut features = VulkanFeatures::required(&instance, physical, bundle).unwrap();
            let family = features.queue_family();
            let queues =
                [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&[1.0])];
            let extensions: Vec<_> = features.extensions().iter().map(|name| name.as_ptr()).collect();
            let mut enabled = features.features();
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut enabled);
            let device = instance.instance.create_device(physical, &info, None).unwrap();
            let queue = device.get_device_queue(family, 0);
            let info = vk::CommandPoolCreateInfo::default().queue_family_index(family);
            let pool = device.create_command_pool(&info, None).unwrap();
            let debug = (debug, messenger);
            (Self { instance, debug, said, device, queue, family, physical, pool }, features)
        }
    }

    fn handles(&self, lock: Option<QueueLock>) -> VulkanHandles {
        VulkanHandles { device: self.device.clone(), queue: self.queue, queue_family: self.family, lock }
    }

    /// A buffer in memory that the host sees.
    fn buffer(&self, size: u64, usage: vk::BufferUsageFlags) -> (vk::Buffer, vk::DeviceMemory) {
        // SAFETY: as above.
        unsafe {
            let info = vk::BufferCreateInfo::default().size(size).usage(usage);
            let buffer = self.device.create_buffer(&info, None).unwrap();
            let needed = self.device.get_buffer_memory_requirements(buffer);
            let memory = self.instance.instance.get_physical_device_memory_properties(self.physical);
            let host = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
            let suits = |index: &u32| {
                needed.memory_type_bits & (1 << index) != 0
                    && memory.memory_types[*index as usize].property_flags.contains(host)
            };
            let index = (0..memory.memory_type_count).find(suits).unwrap();
            let info =
                vk::MemoryAllocateInfo::default().allocation_size(needed.size).memory_type_index(index);
            let memory = self.device.allocate_memory(&info, None).unwrap();
            self.device.bind_buffer_memory(buffer, memory, 0).unwrap();
            (buffer, memory)
        }
    }

    /// Four floats in such memory, read or replaced.
    fn floats(&self, memory: vk::DeviceMemory, offset: u64, write: Option<[f32; 4]>) -> [f32; 4] {
        // SAFETY: the memory is mapped, large enough, and nothing on the device uses it now.
        unsafe {
            let place = self.device.map_memory(memory, offset, 16, vk::MemoryMapFlags::empty()).unwrap();
            let place = place.cast::<[f32; 4]>();
            if let Some(values) = write {
                place.write(values);
            }
            let values = place.read();
            self.device.unmap_memory(memory);
            values
        }
    }

    /// Submits a copy of 16 bytes and waits for nothing but `fence`.
    fn submit_copy(
        &self,
        from: (vk::Buffer, u64),
        to: (vk::Buffer, u64),
        fence: vk::Fence,
    ) -> vk::CommandBuffer {
        // SAFETY: as above; the buffers are alive, and the caller keeps the commands until they have ended.
        unsafe {
            let info =
                vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
            let commands = self.device.allocate_command_buffers(&info).unwrap()[0];
            let info = vk::CommandBufferBeginInfo::default();
            self.device.begin_command_buffer(commands, &info).unwrap();
            let stages = vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::TRANSFER;
            let barrier = [vk::MemoryBarrier::default()
                .src_access_mask(vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE)
                .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE)];
            let none = vk::DependencyFlags::empty();
            let transfer = vk::PipelineStageFlags::TRANSFER;
            self.device.cmd_pipeline_barrier(commands, stages, transfer, none, &barrier, &[], &[]);
            let region = [vk::BufferCopy { src_offset: from.1, dst_offset: to.1, size: 16 }];
            self.device.cmd_copy_buffer(commands, from.0, to.0, &region);
            let barrier = [vk::MemoryBarrier::default()
                .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
                .dst_access_mask(vk::AccessFlags::HOST_READ | vk::AccessFlags::SHADER_READ)];
            let after = vk::PipelineStageFlags::HOST | vk::PipelineStageFlags::COMPUTE_SHADER;
            self.device.cmd_pipeline_barrier(commands, transfer, after, none, &barrier, &[], &[]);
            self.device.end_command_buffer(commands).unwrap();
            let lists = [commands];
            let work = [vk::SubmitInfo::default().command_buffers(&lists)];
            self.device.queue_submit(self.queue, &work, fence).unwrap();
            commands
        }
    }

    fn wait(&self, fence: vk::Fence) {
        // SAFETY: as above.
        unsafe {
            self.device.wait_for_fences(&[fence], true, 60_000_000_000).unwrap();
            self.device.reset_fences(&[fence]).unwrap();
        }
    }

    /// Destroys all, after which the layer has said nothing.
    fn close(self, buffers: &[(vk::Buffer, vk::DeviceMemory)], fence: vk::Fence) {
        // SAFETY: nothing uses any of it.
        unsafe {
            for (buffer, memory) in buffers {
                self.device.destroy_buffer(*buffer, None);
                self.device.free_memory(*memory, None);
            }
            self.device.destroy_fence(fence, None);
            self.device.destroy_command_pool(self.pool, None);
            self.device.destroy_device(None);
            self.debug.0.destroy_debug_utils_messenger(self.debug.1, None);
            self.instance.instance.destroy_instance(None);
        }
        assert_eq!(*self.said.lock().unwrap(), [""; 0]);
    }
}

/// The app makes an input by a copy on the device, a session doubles it, and another copy takes the output from where it is: without a
/// wait between the first copy and the run. On instances of both ends of the range of versions.
#[test]
fn an_apps_device_runs_its_own_work_and_a_session_in_turn() {
    for api_version in [vk::API_VERSION_1_1, vk::API_VERSION_1_3] {
        let bundle = apart(DeviceKind::Vulkan, Work::Double);
        let (app, features) = App::new(api_version, &bundle);
        assert!(!features.info().features.bounded_buffers);
        let (held, in_use) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
        let (count, queue) = (Arc::clone(&held), Arc::clone(&in_use));
        let lock: QueueLock = Arc::new(move |submit| {
            let _guard = queue.lock().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            submit();
        });
        // SAFETY: the device was made with these features, and outlives what is made of it.
        let device =
            unsafe { Device::from_vulkan(features, app.handles(Some(lock)), &OpenOptions::default()) };
        let needs = device.io_buffers(&bundle, &LoadOptions::default()).unwrap();
        let usage = VulkanBuffer::usage(&needs[0]) | VulkanBuffer::usage(&needs[1]);
        let transfers = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
        assert_eq!(usage, vk::BufferUsageFlags::STORAGE_BUFFER | transfers);
        let (made, own, taken) =
            (app.buffer(16, transfers), app.buffer(1024, usage), app.buffer(16, transfers));
        // SAFETY: as it was made, and it outlives the session.
        let at = |offset| OwnBuffer::Vulkan(unsafe { VulkanBuffer::new(own.0, 1024, usage, offset) });
        let buffers = [("x", at(256)), ("y", at(768))];
        let mut session = device.load_onto(&bundle, &LoadOptions::default(), &buffers).unwrap();
        assert_eq!(session.report().bytes.io, 0, "both are the app's");
        // SAFETY: the device is alive.
        let fence = unsafe { app.device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
        let before = held.load(Ordering::SeqCst);
        for factor in [1.0_f32, -3.0] {
            let x = X.map(|x| x * factor);
            app.floats(made.1, 0, Some(x));
            let guard = in_use.lock().unwrap();
            app.submit_copy((made.0, 0), (own.0, 256), vk::Fence::null());
            drop(guard);
            session.run().unwrap();
            app.submit_copy((own.0, 768), (taken.0, 0), fence);
            app.wait(fence);
            let y = x.map(|x| 2.0 * x);
            assert_eq!(app.floats(taken.1, 0, None), y);
            // What is in the app's buffers can still be written and read here.
            assert_eq!(session.read::<f32>("y").unwrap(), y);
            session.write("x", &X).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), X.map(|x| 2.0 * x));
            assert_eq!(app.floats(own.1, 256, None), X);
        }
        assert!(held.load(Ordering::SeqCst) >= before + 4, "submissions go through the lock");
        // Others run there as well, but for those that are not trusted.
        let mut other = load(&device, &in_arena(DeviceKind::Vulkan, Work::Double), &LoadOptions::default());
        other.run().unwrap();
        assert_eq!(other.read::<f32>("y").unwrap(), X.map(|x| 2.0 * x));
        let untrusted = LoadOptions { untrusted: true, ..LoadOptions::default() };
        let error = device.load_with(&bundle, &untrusted).map(drop).unwrap_err();
        assert!(error.to_string().contains("buffers"), "{error}");
        drop((session, other, device));
        app.close(&[made, own, taken], fence);
    }
}

#[test]
fn a_vulkan_buffer_that_does_not_do_is_refused() {
    let bundle = apart(DeviceKind::Vulkan, Work::Double);
    let (app, features) = App::new(vk::API_VERSION_1_2, &bundle);
    // SAFETY: as above.
    let device = unsafe { Device::from_vulkan(features, app.handles(None), &OpenOptions::default()) };
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    let own = app.buffer(512, usage);
    // SAFETY: as above.
    let at =
        |size, usage, offset| OwnBuffer::Vulkan(unsafe { VulkanBuffer::new(own.0, size, usage, offset) });
    let options = LoadOptions::default();
    let load = |buffers: &[(&str, OwnBuffer)]| device.load_onto(&bundle, &options, buffers);
    refused(
        load(&[("x", at(512, usage, 128))]),
        "x",
        &BufferProblem::Misaligned { alignment: 256, found: 128 },
    );
    refused(load(&[("x", at(512, usage, 512))]), "x", &BufferProblem::TooSmall { needed: 16, found: 0 });
    refused(load(&[("x", at(15, usage, 0))]), "x", &BufferProblem::TooSmall { needed: 16, found: 15 });
    let missing = "TRANSFER_SRC".to_owned();
    refused(load(&[("y", at(512, usage, 0))]), "y", &BufferProblem::Usage { missing });
    refused(load(&[("x", at(512, usage, 0)), ("x", at(512, usage, 256))]), "x", &BufferProblem::Twice);
    // SAFETY: it is refused before it is looked at.
    let foreign = OwnBuffer::OpenCl(unsafe { OpenClBuffer::new(std::ptr::null_mut(), 0) });
    refused(load(&[("x", foreign)]), "x", &BufferProblem::OfAnother { what: "API" });
    let whole = in_arena(DeviceKind::Vulkan, Work::Double);
    let on_arena = device.load_onto(&whole, &options, &[("x", at(512, usage, 0))]);
    refused(on_arena, "x", &BufferProblem::NotApart);
    let error = load(&[("z", at(512, usage, 0))]).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "entry `main` has no input or output `z`, only: x, y");
    // One that does is used for one of the two.
    let mut session = load(&[("x", at(512, usage, 256))]).unwrap();
    app.floats(own.1, 256, Some(X));
    session.run().unwrap();
    assert_eq!(session.read::<f32>("y").unwrap(), X.map(|x| 2.0 * x));
    drop((session, device));
    // SAFETY: the device is alive.
    let fence = unsafe { app.device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    app.close(&[own], fence);
}

mod opencl {
    use opencl3::command_queue::{
        CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, CommandQueue, enqueue_map_buffer, enqueue_read_buffer,
        enqueue_unmap_mem_object, enqueue_write_buffer,
    };
    use opencl3::context::Context;
    use opencl3::device::{CL_DEVICE_TYPE_ALL, get_all_devices};
    use opencl3::memory::{
        CL_MAP_READ, CL_MAP_WRITE, CL_MEM_READ_ONLY, CL_MEM_READ_WRITE, CL_MEM_USE_HOST_PTR, create_buffer,
        release_mem_object,
    };
    use opencl3::types::{CL_BLOCKING, CL_NON_BLOCKING};

    use super::*;

    fn context() -> (opencl3::device::Device, Context) {
        let device = get_all_devices(CL_DEVICE_TYPE_ALL).expect("a device of PoCL is needed")[0];
        let device = opencl3::device::Device::new(device);
        let context = Context::from_device(&device).unwrap();
        (device, context)
    }

    fn queue(context: &Context, properties: u64) -> CommandQueue {
        #[expect(deprecated, reason = "as for devices of OpenCL 1.2")]
        CommandQueue::create_default(context, properties).unwrap()
    }

    fn handles(device: &opencl3::device::Device, context: &Context, queue: &CommandQueue) -> OpenClHandles {
        OpenClHandles { context: context.get(), device: device.id(), queue: queue.get() }
    }

    /// The app writes the input and reads the output by commands of its own on the queue that sessions use.
    #[test]
    fn an_apps_context_runs_its_own_work_and_a_session_in_turn() {
        let (raw, context) = context();
        let queue = queue(&context, 0);
        let bundle = apart(DeviceKind::OpenCl, Work::Double);
        // SAFETY: the handles are those of a device, its context and a queue of both.
        let device = unsafe {
            Device::from_opencl(&handles(&raw, &context, &queue), &OpenOptions::default()).unwrap()
        };
        assert!(!device.info().features.timestamps);
        // SAFETY: calls of OpenCL as it wants them; the memory outlives the commands, which are waited for.
        unsafe {
            let memory = create_buffer(context.get(), CL_MEM_READ_WRITE, 1024, std::ptr::null_mut()).unwrap();
            let at = |offset| OwnBuffer::OpenCl(OpenClBuffer::new(memory, offset));
            let buffers = [("x", at(256)), ("y", at(768))];
            let mut session = device.load_onto(&bundle, &LoadOptions::default(), &buffers).unwrap();
            // The session keeps it.
            release_mem_object(memory).unwrap();
            assert_eq!(session.report().bytes.io, 0);
            for factor in [1.0_f32, -3.0] {
                let (x, mut y) = (X.map(|x| x * factor), [0.0_f32; 4]);
                let from = x.as_ptr().cast::<c_void>();
                enqueue_write_buffer(
                    queue.get(),
                    memory,
                    CL_NON_BLOCKING,
                    256,
                    16,
                    from,
                    0,
                    std::ptr::null(),
                )
                .unwrap();
                session.run().unwrap();
                let to = y.as_mut_ptr().cast::<c_void>();
                enqueue_read_buffer(queue.get(), memory, CL_BLOCKING, 768, 16, to, 0, std::ptr::null())
                    .unwrap();
                assert_eq!(y, x.map(|x| 2.0 * x));
                assert_eq!(session.read::<f32>("y").unwrap(), y);
                session.write("x", &X).unwrap();
                session.run().unwrap();
                assert_eq!(session.read::<f32>("y").unwrap(), X.map(|x| 2.0 * x));
            }
            drop((session, device));
        }
        queue.finish().unwrap();
    }

    #[repr(align(4096))]
    struct Pages([f32; 1024]);

    /// A buffer over memory of the app's own, which it looks at by mapping: the device reads and writes where the host does, where
    /// they share memory.
    #[test]
    fn memory_of_the_host_backs_an_input_and_an_output() {
        let (raw, context) = context();
        let queue = queue(&context, 0);
        let bundle = apart(DeviceKind::OpenCl, Work::Double);
        let mut pages = Box::new(Pages([0.0; 1024]));
        let host = pages.0.as_mut_ptr().cast::<c_void>();
        // SAFETY: as above; the memory is used through the mapping alone and freed last.
        unsafe {
            let device =
                Device::from_opencl(&handles(&raw, &context, &queue), &OpenOptions::default()).unwrap();
            let flags = CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR;
            let memory = create_buffer(context.get(), flags, 4096, host).unwrap();
            let at = |offset| OwnBuffer::OpenCl(OpenClBuffer::new(memory, offset));
            let buffers = [("x", at(256)), ("y", at(2048))];
            let mut session = device.load_onto(&bundle, &LoadOptions::default(), &buffers).unwrap();
            let mapped = |offset: usize, flags, body: &mut dyn FnMut(&mut [f32; 4])| {
                let (mut place, none) = (std::ptr::null_mut(), std::ptr::null());
                enqueue_map_buffer(queue.get(), memory, CL_BLOCKING, flags, offset, 16, &mut place, 0, none)
                    .unwrap();
                assert_eq!(place as usize, host as usize + offset, "it is the app's memory");
                body(&mut *place.cast::<[f32; 4]>());
                enqueue_unmap_mem_object(queue.get(), memory, place, 0, none).unwrap();
            };
            for factor in [1.0_f32, -3.0] {
                let x = X.map(|x| x * factor);
                mapped(256, CL_MAP_WRITE, &mut |place| *place = x);
                session.run().unwrap();
                mapped(2048, CL_MAP_READ, &mut |place| assert_eq!(*place, x.map(|x| 2.0 * x)));
            }
            drop((session, device));
            release_mem_object(memory).unwrap();
        }
        queue.finish().unwrap();
        drop(pages);
    }

    #[test]
    fn what_of_an_apps_opencl_does_not_do_is_refused() {
        let (raw, context) = context();
        let (ordered, unordered) =
            (queue(&context, 0), queue(&context, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
        let other = Context::from_device(&raw).unwrap();
        // SAFETY: as above.
        unsafe {
            let open = |handles: &OpenClHandles| Device::from_opencl(handles, &OpenOptions::default());
            let error = open(&handles(&raw, &context, &unordered)).unwrap_err();
            assert!(error.to_string().contains("out of order"), "{error}");
            let error = open(&handles(&raw, &other, &ordered)).unwrap_err();
            assert!(error.to_string().contains("another context"), "{error}");
            let device = open(&handles(&raw, &context, &ordered)).unwrap();
            let buffer = |context: &Context, flags| {
                create_buffer(context.get(), flags, 512, std::ptr::null_mut()).unwrap()
            };
            let made = [
                buffer(&context, CL_MEM_READ_WRITE),
                buffer(&context, CL_MEM_READ_ONLY),
                buffer(&other, CL_MEM_READ_WRITE),
            ];
            let [fine, read_only, elsewhere] = made;
            let bundle = apart(DeviceKind::OpenCl, Work::Double);
            let load = |tensor, memory, offset| {
                let buffer = OwnBuffer::OpenCl(OpenClBuffer::new(memory, offset));
                device.load_onto(&bundle, &LoadOptions::default(), &[(tensor, buffer)])
            };
            let misaligned = BufferProblem::Misaligned { alignment: 256, found: 4 };
            refused(load("x", fine, 4), "x", &misaligned);
            refused(load("x", fine, 512), "x", &BufferProblem::TooSmall { needed: 16, found: 0 });
            let missing = "CL_MEM_READ_WRITE".to_owned();
            refused(load("y", read_only, 0), "y", &BufferProblem::Usage { missing });
            refused(load("x", elsewhere, 0), "x", &BufferProblem::OfAnother { what: "context" });
            assert!(load("x", read_only, 256).is_ok(), "an input is only read");
            made.into_iter().for_each(|memory| release_mem_object(memory).unwrap());
        }
    }
}

#[test]
fn devices_without_a_way_to_take_buffers_say_so() {
    let device = Device::open(DeviceKind::WebGpu).unwrap();
    // SAFETY: it is refused before it is looked at.
    let buffer = OwnBuffer::OpenCl(unsafe { OpenClBuffer::new(std::ptr::null_mut(), 0) });
    let bundle = apart(DeviceKind::WebGpu, Work::Double);
    let error = device.load_onto(&bundle, &LoadOptions::default(), &[("x", buffer)]).map(drop).unwrap_err();
    assert!(error.to_string().contains("wgpu keeps the registry"), "{error}");
}

/// Priorities are a wish: they change no number, and where nobody hears them that is said.
#[test]
fn a_priority_is_taken_or_said_to_be_ignored() {
    for kind in KINDS {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let validation = kind == DeviceKind::Vulkan;
            let options = OpenOptions { priority, validation, ..OpenOptions::default() };
            let device = Device::open_with(kind, &options).unwrap();
            let log = device.validation_log();
            let ignored = device.priority_ignored();
            match (kind, priority) {
                (_, Priority::Normal) => assert_eq!(ignored, None),
                (DeviceKind::WebGpu, _) => assert_eq!(ignored, Some("WebGPU has no priorities")),
                // Drivers differ, and name what they lack.
                _ => assert!(ignored.is_none_or(|why| why.starts_with("the driver ")), "{ignored:?}"),
            }
            let mut session = load(&device, &in_arena(kind, Work::Double), &LoadOptions::default());
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), X.map(|x| 2.0 * x));
            drop((session, device));
            assert_eq!(log.messages(), [""; 0]);
        }
    }
}
