//! What is the app's own: buffers, and a context with a queue.
#![expect(unsafe_code, reason = "calls OpenCL with handles of the app's")]

use std::ffi::c_void;
use std::sync::Arc;

use opencl3::command_queue::{
    CL_QUEUE_CONTEXT, CL_QUEUE_DEVICE, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, CL_QUEUE_PROFILING_ENABLE,
    CL_QUEUE_PROPERTIES, get_command_queue_info, retain_command_queue,
};
use opencl3::context::context::retain_context;
use opencl3::device::Device;
use opencl3::memory::{
    CL_MEM_CONTEXT, CL_MEM_FLAGS, CL_MEM_HOST_NO_ACCESS, CL_MEM_HOST_READ_ONLY, CL_MEM_HOST_WRITE_ONLY,
    CL_MEM_OBJECT_BUFFER, CL_MEM_READ_ONLY, CL_MEM_SIZE, CL_MEM_TYPE, CL_MEM_WRITE_ONLY, get_mem_object_info,
    retain_mem_object,
};
use opencl3::platform::Platform;
use opencl3::types::{cl_int, cl_mem_flags};

use super::context::Context;
use super::handle::Handle;
use super::memory::Buffer;
use super::{failed, info};
use crate::error::RuntimeError;
use crate::info::DeviceKind;
use crate::options::{OpenOptions, Priority};
use crate::own::{BufferProblem, IoBuffer, OwnBuffer};

/// A `cl_mem` of the app's own, and from where in it something is.
#[derive(Clone, Copy, Debug)]
pub struct OpenClBuffer {
    raw: *mut c_void,
    offset: u64,
}

// SAFETY: objects of OpenCL may be used by several threads.
unsafe impl Send for OpenClBuffer {}
// SAFETY: as above.
unsafe impl Sync for OpenClBuffer {}

/// A context of the app's own with one of its queues, for [`Device::from_opencl`][crate::Device::from_opencl].
#[derive(Clone, Copy, Debug)]
pub struct OpenClHandles {
    /// `cl_context`
    pub context: *mut c_void,
    /// `cl_device_id`
    pub device: *mut c_void,
    /// `cl_command_queue`, in order. There are timestamps where it takes profiles.
    pub queue: *mut c_void,
}

impl OpenClBuffer {
    /// A buffer, from an offset on. The session keeps a reference to it.
    ///
    /// # Safety
    ///
    /// It is a `cl_mem`, and stays until the session is loaded. While a run is on its way nothing else writes what it reads, nor uses
    /// what it writes; commands of the same queue do not.
    pub const unsafe fn new(memory: *mut c_void, offset: u64) -> Self {
        Self { raw: memory, offset }
    }

    fn problem(&self, context: &Context, needs: &IoBuffer) -> Result<Option<BufferProblem>, cl_int> {
        let ask = |question| get_mem_object_info(self.raw, question);
        let (kind, size): (u32, usize) = (ask(CL_MEM_TYPE)?.into(), ask(CL_MEM_SIZE)?.into());
        let owner: isize = ask(CL_MEM_CONTEXT)?.into();
        let flags: cl_mem_flags = ask(CL_MEM_FLAGS)?.into();
        if kind != CL_MEM_OBJECT_BUFFER {
            return Ok(Some(BufferProblem::OfAnother { what: "kind of memory object" }));
        }
        if owner != context.raw() as isize {
            return Ok(Some(BufferProblem::OfAnother { what: "context" }));
        }
        let excluded = [
            (needs.is_output, CL_MEM_READ_ONLY, "CL_MEM_READ_WRITE"),
            (needs.is_input, CL_MEM_WRITE_ONLY, "CL_MEM_READ_WRITE"),
            (true, CL_MEM_HOST_NO_ACCESS, "access by the host"),
            (needs.is_input, CL_MEM_HOST_READ_ONLY, "writes by the host"),
            (needs.is_output, CL_MEM_HOST_WRITE_ONLY, "reads by the host"),
        ];
        let missing = excluded.into_iter().find(|(matters, flag, _)| *matters && flags & flag != 0);
        let usage = missing.map(|(_, _, words)| BufferProblem::Usage { missing: words.to_owned() });
        Ok(needs.place_problem(self.offset, size as u64).or(usage))
    }
}

/// The buffer, where it is what is needed.
pub(crate) fn import(
    context: &Context,
    memory: &OwnBuffer,
    needs: &IoBuffer,
) -> Result<(Buffer, u64), RuntimeError> {
    let unusable = |problem| RuntimeError::OwnBuffer { tensor: needs.tensor.name.clone(), problem };
    #[cfg_attr(
        not(any(feature = "vulkan", all(feature = "metal", target_vendor = "apple"))),
        expect(clippy::infallible_destructuring_match, reason = "the one API of this build")
    )]
    let own = match memory {
        OwnBuffer::OpenCl(own) => own,
        #[cfg(feature = "vulkan")]
        OwnBuffer::Vulkan(_) => return Err(unusable(BufferProblem::OfAnother { what: "API" })),
        #[cfg(all(feature = "metal", target_vendor = "apple"))]
        OwnBuffer::Metal(_) => return Err(unusable(BufferProblem::OfAnother { what: "API" })),
    };
    let looking = failed("looking at a buffer of the app's");
    if let Some(problem) = own.problem(context, needs).map_err(&looking)? {
        return Err(unusable(problem));
    }
    let size: usize = get_mem_object_info(own.raw, CL_MEM_SIZE).map_err(&looking)?.into();
    // SAFETY: it was asked about just now, so that it is a memory object.
    unsafe { retain_mem_object(own.raw) }.map_err(&looking)?;
    let memory = Arc::new(Handle::memory(own.raw));
    Ok((Buffer::Device { memory, size: size as u64 }, own.offset))
}

/// Replays in a context of the app's. The handles are what they say they are.
pub(crate) unsafe fn open(
    handles: &OpenClHandles,
    options: &OpenOptions,
) -> Result<Arc<Context>, RuntimeError> {
    const DOING: &str = "taking a context of the app's";
    let device = Device::new(handles.device);
    let platform = device.platform().map_err(|error| failed(DOING)(error.0))?;
    let read = info::read(&Platform::new(platform), &device);
    let mut info = read.ok_or_else(|| RuntimeError::NoDriver {
        kind: DeviceKind::OpenCl,
        reason: "the device is not one of OpenCL 1.2 with a compiler".to_owned(),
    })?;
    let ask = |question| get_command_queue_info(handles.queue, question).map_err(failed(DOING));
    let (context, of): (isize, isize) = (ask(CL_QUEUE_CONTEXT)?.into(), ask(CL_QUEUE_DEVICE)?.into());
    let properties: u64 = ask(CL_QUEUE_PROPERTIES)?.into();
    let refused = |code: &str| RuntimeError::Driver { doing: DOING, code: code.to_owned() };
    if context != handles.context as isize || of != handles.device as isize {
        return Err(refused("the queue is of another context or device"));
    }
    if properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE != 0 {
        return Err(refused(
            "the queue is out of order; make one without CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE",
        ));
    }
    info.features.timestamps = properties & CL_QUEUE_PROFILING_ENABLE != 0;
    let kept = || -> Result<(Handle, [Handle; 2]), cl_int> {
        let queue = || {
            // SAFETY: it was asked about just now, so that it is a queue.
            unsafe { retain_command_queue(handles.queue) }.map(|()| Handle::queue(handles.queue))
        };
        // SAFETY: it is that of the queue.
        unsafe { retain_context(handles.context) }?;
        Ok((Handle::context(handles.context), [queue()?, queue()?]))
    };
    let ignored = (options.priority != Priority::Normal).then_some("the queue is the app's own");
    let (context, queues) = kept().map_err(failed(DOING))?;
    Ok(Arc::new(Context::on((context, queues), &device, info, (options.grace, ignored))?))
}
