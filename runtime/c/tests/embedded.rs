//! Runs with callbacks, and devices and buffers of the app's own, through the C interface: of a bundle whose output is its input.
#![expect(unsafe_code, reason = "calls as C makes them")]

mod common;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use common::{fine, refused};
use drift::*;
use drift_bundle::manifest::{
    DeviceElement, Entry, HostElement, IoBinding, IoTensor, MemoryReport, Provenance, Region, RegionKind,
    Target, Variant,
};
use drift_bundle::{ALIGNMENT_BYTES, BundleWriter};
use drift_runtime::ash::{self, vk, vk::Handle};

/// `y` is `x`, four floats in a region of their own.
fn bundle(target: Target) -> Vec<u8> {
    let provenance = Provenance {
        compiler: "test".to_owned(),
        flags: Vec::new(),
        model: "test".to_owned(),
        model_hash: String::new(),
        profiles: Vec::new(),
    };
    let mut writer = BundleWriter::new(provenance);
    let tensor = |name: &str| IoTensor {
        name: name.to_owned(),
        element: HostElement::F32,
        shape: vec![4],
        free: Vec::new(),
    };
    let place = IoBinding { region: 0, offset: 0, element: DeviceElement::F32 };
    writer.add_entry(Entry {
        name: "main".to_owned(),
        target,
        dims: Vec::new(),
        sizes: Vec::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        variants: vec![Variant {
            name: "generic".to_owned(),
            profile: "generic".to_owned(),
            requires: Vec::new(),
            regions: vec![Region { kind: RegionKind::Io, size: 16, alignment: ALIGNMENT_BYTES }],
            inputs: vec![place],
            outputs: vec![place],
            init: Vec::new(),
            dispatches: Vec::new(),
            memory: MemoryReport::default(),
        }],
    });
    writer.to_bytes().expect("a bundle")
}

const X: [f32; 4] = [1.0, -2.0, 3.5, 4.0];

fn bytes(values: &[f32; 4]) -> *const u8 {
    values.as_ptr().cast()
}

type Told = (Status, String);

/// Sends what it is told.
unsafe extern "C" fn tell(user: *mut c_void, status: Status, message: *const c_char) {
    // SAFETY: a sender that outlives the run, and text.
    let (sender, words) = unsafe { (&*user.cast::<mpsc::Sender<Told>>(), CStr::from_ptr(message)) };
    let _ = sender.send((status, words.to_string_lossy().into_owned()));
}

#[test]
fn a_run_ends_in_a_callback_or_is_called_off() {
    let bytes_of = bundle(Target::Vulkan);
    let (x, y) = (CString::from(c"x"), CString::from(c"y"));
    let (mut bundle, mut device, mut session) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let (sender, told) = mpsc::channel::<Told>();
    let user = ptr::from_ref(&sender).cast_mut().cast::<c_void>();
    // SAFETY: pointers are null where that is tried, and otherwise what the header says; objects are freed once.
    unsafe {
        fine(drift_bundle_from_memory(bytes_of.as_ptr(), bytes_of.len(), &raw mut bundle));
        fine(drift_device_open_for(bundle, &raw mut device));
        fine(drift_session_load(device, bundle, ptr::null(), &raw mut session));
        refused(drift_session_run_async(session, None, user), "`done` is null");
        refused(drift_session_run_async(ptr::null_mut(), Some(tell), user), "`session` is null");
        // What cannot run is told, too.
        fine(drift_session_run_async(session, Some(tell), user));
        let (status, words) = told.recv_timeout(Duration::from_secs(60)).expect("a callback");
        assert_eq!(status, Status::DRIFT_INVALID_ARGUMENT);
        assert!(words.contains("never written"), "{words}");
        let mut called = true;
        // The first waits for a callback that has told and not returned.
        fine(drift_session_cancel(session, ptr::null_mut()));
        fine(drift_session_cancel(session, &raw mut called));
        assert!(!called, "there is no run");
        for _ in 0..20 {
            fine(drift_session_write(session, x.as_ptr(), bytes(&X), 16));
            fine(drift_session_run_async(session, Some(tell), user));
            assert_eq!(told.recv_timeout(Duration::from_secs(60)).expect("a callback").0, Status::DRIFT_OK);
            let mut values = [0.0_f32; 4];
            fine(drift_session_read(session, y.as_ptr(), values.as_mut_ptr().cast(), 16));
            assert_eq!(values, X);
            // Called or not, and never after this has returned.
            fine(drift_session_run_async(session, Some(tell), user));
            fine(drift_session_cancel(session, &raw mut called));
            assert_eq!(told.try_recv().is_ok(), called);
            fine(drift_session_run(session));
        }
        // Freeing calls off as well.
        fine(drift_session_run_async(session, Some(tell), user));
        drift_session_free(session);
        drift_device_free(device);
        drift_bundle_free(bundle);
    }
}

static HELD: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn lock(_user: *mut c_void) {
    HELD.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn unlock(user: *mut c_void) {
    assert!(user.is_null());
    HELD.fetch_add(1, Ordering::SeqCst);
}

/// An app's Vulkan: what it has made itself.
struct App {
    entry: ash::Entry,
    instance: ash::Instance,
    physical: vk::PhysicalDevice,
}

impl App {
    fn new() -> Self {
        // SAFETY: calls of Vulkan as its specification wants them, here and below.
        unsafe {
            let entry = ash::Entry::load().expect("a loader");
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let info = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&info, None).expect("an instance");
            let physical = instance.enumerate_physical_devices().expect("devices")[0];
            Self { entry, instance, physical }
        }
    }

    fn described(&self) -> Vulkan {
        Vulkan {
            size: size_of::<Vulkan>(),
            get_instance_proc_addr: self.entry.static_fn().get_instance_proc_addr as *const c_void,
            instance: self.instance.handle().as_raw() as *mut c_void,
            api_version: vk::API_VERSION_1_2,
            physical_device: self.physical.as_raw() as *mut c_void,
            device: ptr::null_mut(),
            queue: ptr::null_mut(),
            queue_family: 0,
            lock: Some(lock),
            unlock: Some(unlock),
            user: ptr::null_mut(),
        }
    }

    /// A device with these features, and its queue.
    unsafe fn device(&self, features: *const CVulkanFeatures) -> (ash::Device, vk::Queue) {
        // SAFETY: as above; the features are alive.
        unsafe {
            let queues =
                [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
            let mut count = 0;
            let names = drift_vulkan_features_extensions(features, &raw mut count);
            let info = vk::DeviceCreateInfo {
                p_next: drift_vulkan_features_chain(features),
                enabled_extension_count: count as u32,
                pp_enabled_extension_names: names,
                ..vk::DeviceCreateInfo::default().queue_create_infos(&queues)
            };
            let device = self.instance.create_device(self.physical, &info, None).expect("a device");
            let queue = device.get_device_queue(0, 0);
            (device, queue)
        }
    }

    /// A buffer in memory that the host sees, mapped.
    unsafe fn buffer(
        &self,
        device: &ash::Device,
        size: u64,
        usage: u32,
    ) -> (vk::Buffer, vk::DeviceMemory, *mut u8) {
        // SAFETY: as above.
        unsafe {
            let info =
                vk::BufferCreateInfo::default().size(size).usage(vk::BufferUsageFlags::from_raw(usage));
            let buffer = device.create_buffer(&info, None).expect("a buffer");
            let needed = device.get_buffer_memory_requirements(buffer);
            let memory = self.instance.get_physical_device_memory_properties(self.physical);
            let host = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
            let suits = |index: &u32| {
                needed.memory_type_bits & (1 << index) != 0
                    && memory.memory_types[*index as usize].property_flags.contains(host)
            };
            let index = (0..memory.memory_type_count).find(suits).expect("memory");
            let info =
                vk::MemoryAllocateInfo::default().allocation_size(needed.size).memory_type_index(index);
            let memory = device.allocate_memory(&info, None).expect("memory");
            device.bind_buffer_memory(buffer, memory, 0).expect("bound");
            let mapped = device.map_memory(memory, 0, size, vk::MemoryMapFlags::empty()).expect("mapped");
            (buffer, memory, mapped.cast())
        }
    }
}

#[test]
fn an_apps_vulkan_device_and_buffer_are_taken_by_their_handles() {
    let bytes_of = bundle(Target::Vulkan);
    let (x, y) = (CString::from(c"x"), CString::from(c"y"));
    let app = App::new();
    let mut vulkan = app.described();
    let (mut bundle, mut features, mut device, mut session) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: as above.
    unsafe {
        fine(drift_bundle_from_memory(bytes_of.as_ptr(), bytes_of.len(), &raw mut bundle));
        vulkan.size -= 1;
        refused(
            drift_vulkan_features_required(&raw const vulkan, bundle, &raw mut features),
            "`vulkan.size`",
        );
        vulkan.size += 1;
        fine(drift_vulkan_features_required(&raw const vulkan, bundle, &raw mut features));
        refused(
            drift_device_from_vulkan(&raw const vulkan, features, &raw mut device),
            "`vulkan.device` or `vulkan.queue` is null",
        );
        let (raw, queue) = app.device(features);
        (vulkan.device, vulkan.queue) = (raw.handle().as_raw() as *mut c_void, queue.as_raw() as *mut c_void);
        fine(drift_device_from_vulkan(&raw const vulkan, features, &raw mut device));
        let mut second = ptr::null_mut();
        refused(drift_device_from_vulkan(&raw const vulkan, features, &raw mut second), "used up");
        drift_vulkan_features_free(features);

        let mut need = std::mem::MaybeUninit::<Need>::uninit();
        let (none, unknown) = (ptr::null(), CString::from(c"z"));
        refused(drift_device_need(device, bundle, none, unknown.as_ptr(), need.as_mut_ptr()), "only: x, y");
        fine(drift_device_need(device, bundle, none, x.as_ptr(), need.as_mut_ptr()));
        let need = need.assume_init();
        assert_eq!((need.element, need.bytes, need.alignment, need.offset), (Element::DRIFT_F32, 16, 256, 0));
        assert!(need.is_input && need.is_output && need.vulkan_usage != 0);

        let usage = need.vulkan_usage;
        let (buffer, memory, mapped) = app.buffer(&raw, 512, usage);
        let mut own = OwnedBuffer {
            tensor: x.as_ptr(),
            opencl: ptr::null_mut(),
            vulkan: buffer.as_raw(),
            vulkan_size: 512,
            vulkan_usage: usage,
            offset: 8,
        };
        let load = |own: &OwnedBuffer, out| drift_session_load_onto(device, bundle, none, own, 1, out);
        refused(load(&own, &raw mut session), "no multiple of 256");
        own.offset = 256;
        own.opencl = mapped.cast();
        refused(load(&own, &raw mut session), "either `opencl` or `vulkan`");
        own.opencl = ptr::null_mut();
        fine(load(&own, &raw mut session));
        mapped.add(256).cast::<[f32; 4]>().write(X);
        fine(drift_session_run(session));
        let mut values = [0.0_f32; 4];
        fine(drift_session_read(session, y.as_ptr(), values.as_mut_ptr().cast(), 16));
        assert_eq!(values, X);
        let held = HELD.load(Ordering::SeqCst);
        assert!(held >= 4 && held.is_multiple_of(2), "{held}");
        drift_session_free(session);
        drift_device_free(device);
        drift_bundle_free(bundle);
        raw.destroy_buffer(buffer, None);
        raw.free_memory(memory, None);
        raw.destroy_device(None);
        app.instance.destroy_instance(None);
    }
}

#[test]
fn an_apps_opencl_context_and_buffer_are_taken_by_their_handles() {
    use opencl3::memory::{CL_MEM_READ_WRITE, create_buffer, release_mem_object};

    let bytes_of = bundle(Target::OpenCl);
    let (x, y) = (CString::from(c"x"), CString::from(c"y"));
    let raw = opencl3::device::get_all_devices(opencl3::device::CL_DEVICE_TYPE_ALL).expect("devices")[0];
    let context =
        opencl3::context::Context::from_device(&opencl3::device::Device::new(raw)).expect("a context");
    #[expect(deprecated, reason = "as for devices of OpenCL 1.2")]
    let queue = opencl3::command_queue::CommandQueue::create_default(&context, 0).expect("a queue");
    let (mut bundle, mut device, mut session) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: as above.
    unsafe {
        fine(drift_bundle_from_memory(bytes_of.as_ptr(), bytes_of.len(), &raw mut bundle));
        let none = ptr::null_mut();
        refused(drift_device_from_opencl(none, raw, queue.get(), &raw mut device), "is null");
        fine(drift_device_from_opencl(context.get(), raw, queue.get(), &raw mut device));
        let memory = create_buffer(context.get(), CL_MEM_READ_WRITE, 512, none).expect("a buffer");
        let own = OwnedBuffer {
            tensor: y.as_ptr(),
            opencl: memory,
            vulkan: 0,
            vulkan_size: 0,
            vulkan_usage: 0,
            offset: 256,
        };
        fine(drift_session_load_onto(device, bundle, ptr::null(), &raw const own, 1, &raw mut session));
        release_mem_object(memory).expect("released");
        fine(drift_session_write(session, x.as_ptr(), bytes(&X), 16));
        fine(drift_session_run(session));
        let mut values = [0.0_f32; 4];
        fine(drift_session_read(session, y.as_ptr(), values.as_mut_ptr().cast(), 16));
        assert_eq!(values, X);
        drift_session_free(session);
        drift_device_free(device);
        drift_bundle_free(bundle);
    }
}
