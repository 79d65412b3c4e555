//! Commands that are kept and issued at each submission, since OpenCL has no command buffers that all devices know.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drift_bundle::manifest::TextureObject;
use opencl3::command_queue::{
    enqueue_copy_buffer, enqueue_fill_buffer, enqueue_fill_image, enqueue_nd_range_kernel,
    enqueue_read_buffer, enqueue_write_buffer, enqueue_write_image,
};
use opencl3::event::{CL_PROFILING_COMMAND_END, CL_PROFILING_COMMAND_START, get_event_profiling_info};
use opencl3::types::{CL_NON_BLOCKING, cl_event, cl_int};

use super::bind::Bindings;
use super::context::Context;
use super::failed;
use super::handle::Handle;
use super::kernels::Kernels;
use super::memory::{Buffer, Retiring};
use super::texture::Textures;
use crate::api::{Record, Rows, Step, Times, Work};
use crate::error::RuntimeError;

/// A command and everything that it uses.
pub(crate) enum Command {
    Copy { from: Memory, to: Memory, from_offset: usize, to_offset: usize, bytes: usize },
    Zero { memory: Memory, bytes: usize },
    Clear { image: Memory, region: [usize; 3] },
    Fill { from: Memory, image: Memory, origin: [usize; 3], region: [usize; 3] },
    Dispatch { kernel: Arc<Handle>, global: [usize; 3], local: [usize; 3], stamp: Option<Stamp> },
}

/// Memory of either side.
pub(crate) enum Memory {
    Device(Arc<Handle>),
    /// Owned by a buffer that outlives the command, or is retired after it.
    Host(HostPointer),
}

#[derive(Clone, Copy)]
pub(crate) struct HostPointer(*mut u8);

// SAFETY: an address; who follows it is the device, when its owner allows.
unsafe impl Send for HostPointer {}

/// Where the event of a dispatch is kept, for its times.
pub(crate) struct Stamp {
    events: Arc<Mutex<Vec<Option<Arc<Handle>>>>>,
    dispatch: usize,
}

impl Memory {
    fn of(buffer: &Buffer) -> Self {
        match buffer {
            Buffer::Device { memory, .. } => Self::Device(Arc::clone(memory)),
            Buffer::Host(host) => Self::Host(HostPointer(Retiring::start(host))),
        }
    }

    fn raw(&self) -> *mut c_void {
        match self {
            Self::Device(memory) => memory.raw(),
            Self::Host(pointer) => pointer.0.cast(),
        }
    }
}

impl Command {
    /// Issues it to a queue and returns its event; none where there is nothing to do.
    pub(crate) fn issue(&self, queue: &Handle) -> Result<Option<Arc<Handle>>, cl_int> {
        let raw = queue.raw();
        let none = ptr::null::<cl_event>();
        // SAFETY: the queue is alive, and so is all that the command holds; ranges are inside of their objects, which the
        // loader keeps to, and host memory is neither freed nor touched before the copy has ended.
        let event = unsafe {
            match self {
                Self::Copy { bytes: 0, .. } => return Ok(None),
                Self::Copy { from, to, from_offset, to_offset, bytes } => match (from, to) {
                    (Memory::Device(from), Memory::Device(to)) => enqueue_copy_buffer(
                        raw,
                        from.raw(),
                        to.raw(),
                        *from_offset,
                        *to_offset,
                        *bytes,
                        0,
                        none,
                    ),
                    (Memory::Host(from), Memory::Device(to)) => {
                        let from = from.0.add(*from_offset).cast::<c_void>();
                        enqueue_write_buffer(
                            raw,
                            to.raw(),
                            CL_NON_BLOCKING,
                            *to_offset,
                            *bytes,
                            from,
                            0,
                            none,
                        )
                    }
                    (Memory::Device(from), Memory::Host(to)) => {
                        let to = to.0.add(*to_offset).cast::<c_void>();
                        enqueue_read_buffer(
                            raw,
                            from.raw(),
                            CL_NON_BLOCKING,
                            *from_offset,
                            *bytes,
                            to,
                            0,
                            none,
                        )
                    }
                    (Memory::Host(_), Memory::Host(_)) => {
                        unreachable!("verified: at most one side of a copy is the host's")
                    }
                },
                Self::Zero { memory, bytes } => {
                    let zero = 0_u32;
                    let pattern = (&raw const zero).cast();
                    enqueue_fill_buffer(raw, memory.raw(), pattern, size_of::<u32>(), 0, *bytes, 0, none)
                }
                Self::Clear { image, region } => {
                    let (zero, origin) = ([0_u32; 4], [0_usize; 3]);
                    let color = zero.as_ptr().cast();
                    enqueue_fill_image(raw, image.raw(), color, origin.as_ptr(), region.as_ptr(), 0, none)
                }
                Self::Fill { from, image, origin, region } => enqueue_write_image(
                    raw,
                    image.raw(),
                    CL_NON_BLOCKING,
                    origin.as_ptr(),
                    region.as_ptr(),
                    0,
                    0,
                    from.raw(),
                    0,
                    none,
                ),
                Self::Dispatch { kernel, global, local, .. } => enqueue_nd_range_kernel(
                    raw,
                    kernel.raw(),
                    3,
                    ptr::null(),
                    global.as_ptr(),
                    local.as_ptr(),
                    0,
                    none,
                ),
            }
        }?;
        let event = Arc::new(Handle::event(event));
        if let Self::Dispatch { stamp: Some(Stamp { events, dispatch }), .. } = self {
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            events[*dispatch] = Some(Arc::clone(&event));
        }
        Ok(Some(event))
    }
}

/// Lists of commands.
pub(crate) struct Recordings {
    pub(crate) lists: Vec<Vec<Command>>,
    /// Whether timestamps are taken of them.
    pub(crate) timed: bool,
}

/// Appends to one list.
pub(crate) struct Recorder<'a> {
    pub(crate) list: &'a mut Vec<Command>,
}

impl Record<Context> for Recorder<'_> {
    /// The queue is in order.
    fn barrier(&mut self, _before: Work, _after: Work) {}

    fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        self.list.push(Command::Copy {
            from: Memory::of(from.0),
            to: Memory::of(to.0),
            from_offset: from.1 as usize,
            to_offset: to.1 as usize,
            bytes: bytes as usize,
        });
    }

    fn zero(&mut self, buffer: &Buffer) {
        let bytes = crate::api::Memory::size(buffer) as usize;
        self.list.push(Command::Zero { memory: Memory::of(buffer), bytes });
    }

    fn clear(&mut self, textures: &Textures) {
        for (image, object) in textures.images.iter().zip(&textures.objects) {
            self.list
                .push(Command::Clear { image: Memory::Device(Arc::clone(image)), region: extent(object) });
        }
    }

    fn fill(&mut self, from: &Buffer, textures: &Textures, rows: &Rows) {
        let [width, _, _] = extent(&rows.object);
        self.list.push(Command::Fill {
            from: Memory::of(from),
            image: Memory::Device(Arc::clone(&textures.images[rows.texture])),
            // Layer or depth: the third of either.
            origin: [0, rows.first as usize, rows.layer as usize],
            region: [width, rows.count as usize, 1],
        });
    }

    fn dispatch(&mut self, kernels: &Kernels, bindings: &Bindings, index: usize, step: Step) {
        let local = kernels.of(step.shader).workgroup_size.map(|size| size as usize);
        let global = [0, 1, 2].map(|axis| step.grid[axis] as usize * local[axis]);
        self.list.push(Command::Dispatch { kernel: bindings.of(index), global, local, stamp: None });
    }

    fn reset_times(&mut self, _queries: &Queries) {}

    fn stamp_start(&mut self, _queries: &Queries, _submission: usize) {}

    fn stamp_end(&mut self, queries: &Queries, _submission: usize, dispatch: usize) {
        if let Some(Command::Dispatch { stamp, .. }) = self.list.last_mut() {
            *stamp = Some(Stamp { events: Arc::clone(&queries.events), dispatch });
        }
    }
}

fn extent(object: &TextureObject) -> [usize; 3] {
    object.extent_px.map(|size| size as usize)
}

/// The events of a program's dispatches, by their number.
pub(crate) struct Queries {
    events: Arc<Mutex<Vec<Option<Arc<Handle>>>>>,
}

impl Queries {
    pub(crate) fn new(submissions: &[Range<usize>]) -> Self {
        let mut events = Vec::new();
        events.resize_with(submissions.last().map_or(0, |last| last.end), || None);
        Self { events: Arc::new(Mutex::new(events)) }
    }

    /// Times of the last run, each from the start of a dispatch to its end.
    pub(crate) fn read(&self, ran: &[bool]) -> Result<Times, RuntimeError> {
        const DOING: &str = "reading timestamps";
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let time = |event: &Handle, question| -> Result<u64, RuntimeError> {
            Ok(get_event_profiling_info(event.raw(), question).map_err(failed(DOING))?.into())
        };
        let (mut dispatches, mut whole) = (Vec::with_capacity(events.len()), None);
        for event in events.iter().zip(ran).map(|(event, ran)| event.as_ref().filter(|_| *ran)) {
            let Some(event) = event else {
                dispatches.push(Duration::ZERO);
                continue;
            };
            let (start, end) =
                (time(event, CL_PROFILING_COMMAND_START)?, time(event, CL_PROFILING_COMMAND_END)?);
            dispatches.push(Duration::from_nanos(end.saturating_sub(start)));
            let (first, _) = *whole.get_or_insert((start, end));
            whole = Some((first, end));
        }
        let total =
            whole.map_or(Duration::ZERO, |(start, end)| Duration::from_nanos(end.saturating_sub(start)));
        Ok(Times { dispatches, total })
    }
}
