//! Buffers of the device, and memory of the host that it copies from and to.
#![expect(unsafe_code, reason = "calls OpenCL, and hands out memory that the device writes")]

use std::alloc::{self, Layout};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use opencl3::memory::{CL_MEM_READ_WRITE, create_buffer};

use super::context::Context;
use super::failed;
use super::handle::Handle;
use crate::api::{self, Purpose};
use crate::error::RuntimeError;

/// Drivers copy whole pages of this alignment without a detour.
const HOST_ALIGNMENT_BYTES: usize = 4096;

/// A buffer.
pub(crate) enum Buffer {
    Device { memory: Arc<Handle>, size: u64 },
    Host(HostMemory),
}

/// Memory of the host. It is freed once no submitted copy can use it.
pub(crate) struct HostMemory {
    data: NonNull<u8>,
    layout: Layout,
    context: Arc<Context>,
}

// SAFETY: it owns its memory, which is only followed through slices with the usual rules, and by copies that are waited
// for before the memory is looked at.
unsafe impl Send for HostMemory {}
// SAFETY: `&self` methods only read.
unsafe impl Sync for HostMemory {}

impl Buffer {
    pub(crate) fn new(context: &Arc<Context>, bytes: u64, purpose: Purpose) -> Result<Self, RuntimeError> {
        // There are no empty buffers, and fills work in words.
        let size = bytes.max(4).next_multiple_of(4);
        if purpose != Purpose::Device {
            return HostMemory::new(context, size).map(Self::Host);
        }
        // SAFETY: the context is alive and the size is within the device's limits.
        let made = unsafe { create_buffer(context.raw(), CL_MEM_READ_WRITE, size as usize, ptr::null_mut()) };
        let memory = Arc::new(Handle::memory(made.map_err(failed("creating a buffer"))?));
        Ok(Self::Device { memory, size })
    }
}

impl api::Memory for Buffer {
    fn size(&self) -> u64 {
        match self {
            Self::Device { size, .. } => *size,
            Self::Host(memory) => memory.layout.size() as u64,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: as many bytes were allocated, zeroed, and the device does not write them now: every copy is waited
            // for before its session is used again.
            Self::Host(HostMemory { data, layout, .. }) => {
                Some(unsafe { std::slice::from_raw_parts(data.as_ptr(), layout.size()) })
            }
        }
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: as above, and `&mut self` makes the slice the only one.
            Self::Host(HostMemory { data, layout, .. }) => {
                Some(unsafe { std::slice::from_raw_parts_mut(data.as_ptr(), layout.size()) })
            }
        }
    }
}

impl HostMemory {
    fn new(context: &Arc<Context>, size: u64) -> Result<Self, RuntimeError> {
        let failed = || RuntimeError::OutOfMemory { doing: "allocating host memory", bytes: Some(size) };
        let bytes = usize::try_from(size).map_err(|_| failed())?;
        let layout = Layout::from_size_align(bytes, HOST_ALIGNMENT_BYTES).map_err(|_| failed())?;
        // SAFETY: the layout is not empty.
        let data = NonNull::new(unsafe { alloc::alloc_zeroed(layout) }).ok_or_else(failed)?;
        Ok(Self { data, layout, context: Arc::clone(context) })
    }

    /// Where it begins, for copies that the owner waits for.
    pub(crate) fn start(&self) -> *mut u8 {
        self.data.as_ptr()
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        self.context.retire(Retired { data: self.data, layout: self.layout });
    }
}

/// Host memory that nothing but pending copies uses; freed when it is dropped.
pub(crate) struct Retired {
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is the only owner.
unsafe impl Send for Retired {}

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and no submitted copy uses it.
        unsafe { alloc::dealloc(self.data.as_ptr(), self.layout) };
    }
}
