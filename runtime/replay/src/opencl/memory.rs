//! Buffers of the device, and memory of the host that it copies from and to.
#![expect(unsafe_code, reason = "calls OpenCL, and hands out memory that the device writes")]

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use opencl3::memory::{CL_MEM_READ_WRITE, create_buffer};

use super::context::Context;
use super::failed;
use super::handle::Handle;
use crate::api::{self, Purpose};
use crate::error::RuntimeError;
use crate::host_memory::HostMemory;

/// A buffer.
pub(crate) enum Buffer {
    Device { memory: Arc<Handle>, size: u64 },
    Host(Retiring),
}

/// Memory of the host. It is freed once no submitted copy can use it.
pub(crate) struct Retiring {
    memory: ManuallyDrop<HostMemory>,
    context: Arc<Context>,
}

impl Buffer {
    pub(crate) fn new(context: &Arc<Context>, bytes: u64, purpose: Purpose) -> Result<Self, RuntimeError> {
        // There are no empty buffers, and fills work in words.
        let size = bytes.max(4).next_multiple_of(4);
        if purpose != Purpose::Device {
            let memory = ManuallyDrop::new(HostMemory::new(size)?);
            return Ok(Self::Host(Retiring { memory, context: Arc::clone(context) }));
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
            Self::Host(host) => host.memory.size(),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: the device does not write it now: every copy is waited for before its session is used again.
            Self::Host(host) => Some(unsafe { host.memory.bytes() }),
        }
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: as above, and `&mut self` makes the slice the only one.
            Self::Host(host) => Some(unsafe { host.memory.bytes_mut() }),
        }
    }
}

impl Retiring {
    /// Where it begins, for copies that the owner waits for.
    pub(crate) fn start(&self) -> *mut u8 {
        self.memory.start()
    }
}

impl Drop for Retiring {
    fn drop(&mut self) {
        // SAFETY: it is not used again.
        self.context.retire(unsafe { ManuallyDrop::take(&mut self.memory) });
    }
}
