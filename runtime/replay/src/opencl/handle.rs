//! Objects of OpenCL that release themselves. OpenCL counts the users of an object, queued commands included, so that one
//! may be released while work that uses it is pending.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::ffi::c_void;

use opencl3::command_queue::release_command_queue;
use opencl3::event::release_event;
use opencl3::kernel::release_kernel;
use opencl3::memory::release_mem_object;
use opencl3::program::release_program;
use opencl3::types::cl_int;

/// An object, released when it is dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    raw: *mut c_void,
    release: unsafe fn(*mut c_void) -> Result<(), cl_int>,
}

// SAFETY: OpenCL objects may be used by several threads, but for the arguments of a kernel: those are set by the thread that
// makes it, before any other sees it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// A buffer or image that was just made.
    pub(crate) fn memory(raw: *mut c_void) -> Self {
        Self { raw, release: release_mem_object }
    }

    /// A program that was just made.
    pub(crate) fn program(raw: *mut c_void) -> Self {
        Self { raw, release: release_program }
    }

    /// A kernel that was just made.
    pub(crate) fn kernel(raw: *mut c_void) -> Self {
        Self { raw, release: release_kernel }
    }

    /// An event that a command returned.
    pub(crate) fn event(raw: *mut c_void) -> Self {
        Self { raw, release: release_event }
    }

    /// A queue that was just made.
    pub(crate) fn queue(raw: *mut c_void) -> Self {
        Self { raw, release: release_command_queue }
    }

    /// A context that was just made.
    pub(crate) fn context(raw: *mut c_void) -> Self {
        Self { raw, release: opencl3::context::context::release_context }
    }

    pub(crate) fn raw(&self) -> *mut c_void {
        self.raw
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is released once, and was made by a call that succeeded. A failure leaves nothing to be done.
        let _ = unsafe { (self.release)(self.raw) };
    }
}
