//! Buffers, each with its own memory: a session has a handful.
#![expect(unsafe_code, reason = "calls Vulkan, and hands out mapped memory")]

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::context::Context;
use super::failed;
use crate::api::{self, Purpose};
use crate::error::RuntimeError;
use crate::info::DeviceType;

/// A buffer and its memory, mapped where the host can see it.
pub(crate) struct Buffer {
    context: Arc<Context>,
    pub(crate) raw: vk::Buffer,
    memory: vk::DeviceMemory,
    mapped: Option<NonNull<u8>>,
    size: u64,
    is_the_apps: bool,
}

// SAFETY: `mapped` points to memory that the buffer owns, and is only followed through `&mut self` or `&self`
// methods that hand out slices with the usual rules.
unsafe impl Send for Buffer {}
// SAFETY: `&self` methods only read the mapped memory, and Vulkan handles may be used by several threads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Allocates at least one byte, since Vulkan has no empty buffers.
    pub(crate) fn new(context: &Arc<Context>, size: u64, purpose: Purpose) -> Result<Self, RuntimeError> {
        // Fills work in words.
        let size = size.max(4).next_multiple_of(4);
        let info = vk::BufferCreateInfo::default().size(size).usage(usage(purpose));
        // SAFETY: the device is alive; `size` is not zero and within its limits.
        let raw =
            unsafe { context.device.create_buffer(&info, None) }.map_err(failed("creating a buffer"))?;
        // From here on `drop` cleans up; null memory may be freed.
        let mut buffer = Self::of_the_app(context, raw, size);
        buffer.is_the_apps = false;
        buffer.allocate(purpose)?;
        Ok(buffer)
    }

    /// A buffer that is left to the app.
    pub(crate) fn of_the_app(context: &Arc<Context>, raw: vk::Buffer, size: u64) -> Self {
        let (context, memory) = (Arc::clone(context), vk::DeviceMemory::null());
        Self { context, raw, memory, mapped: None, size, is_the_apps: true }
    }

    fn allocate(&mut self, purpose: Purpose) -> Result<(), RuntimeError> {
        let device = &self.context.device;
        // SAFETY: the buffer belongs to the device.
        let needed = unsafe { device.get_buffer_memory_requirements(self.raw) };
        let (index, flags) = memory_type(&self.context, needed.memory_type_bits, purpose)?;
        self.memory = allocate(&self.context, needed.size, index)?;
        // SAFETY: memory and buffer belong together and the memory is as large as asked for.
        unsafe { device.bind_buffer_memory(self.raw, self.memory, 0) }.map_err(failed("binding memory"))?;
        let visible = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        if flags.contains(visible) {
            // SAFETY: the memory is host-visible and not mapped; freeing it unmaps.
            let pointer =
                unsafe { device.map_memory(self.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) }
                    .map_err(failed("mapping memory"))?;
            self.mapped = NonNull::new(pointer.cast());
        }
        Ok(())
    }
}

impl api::Memory for Buffer {
    fn size(&self) -> u64 {
        self.size
    }

    fn bytes(&self) -> Option<&[u8]> {
        let pointer = self.mapped?;
        // SAFETY: as below; the host does not write while `&self` is held.
        Some(unsafe { std::slice::from_raw_parts(pointer.as_ptr(), self.size as usize) })
    }

    /// No submitted work may be using them, which holds because every run and every upload is waited for before its
    /// session is used again, and a session whose wait ended too early touches nothing until its work is known to have
    /// finished.
    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let pointer = self.mapped?;
        // SAFETY: `size` bytes are mapped for as long as the buffer lives, `&mut self` makes the slice the
        // only one, and the device does not use them now, see above.
        Some(unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), self.size as usize) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.is_the_apps {
            return;
        }
        let (buffer, memory) = (self.raw, self.memory);
        // SAFETY: no work that uses them is pending.
        self.context.retire(move |device| unsafe {
            device.destroy_buffer(buffer, None);
            device.free_memory(memory, None);
        });
    }
}

fn usage(purpose: Purpose) -> vk::BufferUsageFlags {
    match purpose {
        Purpose::Device => {
            vk::BufferUsageFlags::STORAGE_BUFFER
                | vk::BufferUsageFlags::UNIFORM_BUFFER
                | vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER
                | vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER
                | vk::BufferUsageFlags::TRANSFER_SRC
                | vk::BufferUsageFlags::TRANSFER_DST
        }
        Purpose::Upload => vk::BufferUsageFlags::TRANSFER_SRC,
        Purpose::Download => vk::BufferUsageFlags::TRANSFER_DST,
    }
}

/// Allocates `size` bytes of a memory type.
pub(crate) fn allocate(
    context: &Context,
    size: u64,
    memory_type: u32,
) -> Result<vk::DeviceMemory, RuntimeError> {
    let info = vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(memory_type);
    // SAFETY: the type is one of the device's, and the size is within its limits.
    unsafe { context.device.allocate_memory(&info, None) }.map_err(|code| match code {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
            RuntimeError::OutOfMemory { doing: "allocating device memory", bytes: Some(size) }
        }
        code => failed("allocating device memory")(code),
    })
}

/// The first memory type among `allowed` that suits best.
pub(crate) fn memory_type(
    context: &Context,
    allowed: u32,
    purpose: Purpose,
) -> Result<(u32, vk::MemoryPropertyFlags), RuntimeError> {
    let device = vk::MemoryPropertyFlags::DEVICE_LOCAL;
    let host = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
    // Where processor and GPU share memory, weights are written in place instead of being copied.
    let shared = matches!(context.info.device_type, DeviceType::Integrated | DeviceType::Cpu);
    let wishes: &[vk::MemoryPropertyFlags] = match purpose {
        Purpose::Device if shared => &[device | host, device, vk::MemoryPropertyFlags::empty()],
        Purpose::Device => &[device, vk::MemoryPropertyFlags::empty()],
        Purpose::Upload => &[host],
        Purpose::Download => &[host | vk::MemoryPropertyFlags::HOST_CACHED, host],
    };
    let types = context.memory.memory_types_as_slice();
    for wish in wishes {
        for (index, kind) in types.iter().enumerate() {
            if allowed & (1 << index) != 0 && kind.property_flags.contains(*wish) {
                return Ok((index as u32, kind.property_flags));
            }
        }
    }
    Err(RuntimeError::Driver {
        doing: "choosing memory",
        code: format!("no type for {purpose:?} among {allowed:#x}"),
    })
}
