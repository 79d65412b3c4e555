//! What is the app's own: buffers, and a device with a queue.

use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLBuffer, MTLCommandQueue, MTLDevice, MTLHazardTrackingMode, MTLResource};

use super::context::{Context, Queue};
use super::info;
use super::memory::Buffer;
use crate::error::RuntimeError;
use crate::info::DeviceKind;
use crate::options::OpenOptions;
use crate::own::{BufferProblem, IoBuffer, OwnBuffer};

/// Submissions that are let to be pending at once: half of what a queue holds that was made without a number.
const PENDING: u64 = 32;

/// An `MTLBuffer` of the app's own, and from where in it something is. The session keeps it.
#[derive(Clone, Debug)]
pub struct MetalBuffer {
    /// The buffer, whose hazards Metal tracks.
    pub buffer: Retained<ProtocolObject<dyn MTLBuffer>>,
    /// Where in it the region begins.
    pub offset: u64,
}

/// A device of the app's own with one of its queues, for [`Device::from_metal`][crate::Device::from_metal].
#[derive(Clone, Debug)]
pub struct MetalHandles {
    /// The device.
    pub device: Retained<ProtocolObject<dyn MTLDevice>>,
    /// A queue of it, for 64 command buffers or more.
    pub queue: Retained<ProtocolObject<dyn MTLCommandQueue>>,
}

impl MetalBuffer {
    fn problem(&self, context: &Context, needs: &IoBuffer) -> Option<BufferProblem> {
        if self.buffer.device() != context.device {
            return Some(BufferProblem::OfAnother { what: "device" });
        }
        let untracked = self.buffer.hazardTrackingMode() == MTLHazardTrackingMode::Untracked;
        needs
            .place_problem(self.offset, self.buffer.length() as u64)
            .or_else(|| untracked.then(|| BufferProblem::Usage { missing: "tracking of hazards".to_owned() }))
    }
}

/// The buffer, where it is what is needed.
pub(crate) fn import(
    context: &Context,
    memory: &OwnBuffer,
    needs: &IoBuffer,
) -> Result<(Buffer, u64), RuntimeError> {
    let problem = match memory {
        OwnBuffer::Metal(own) => match own.problem(context, needs) {
            None => return Ok((Buffer::of_the_app(own.buffer.clone()), own.offset)),
            Some(problem) => problem,
        },
        #[cfg(feature = "vulkan")]
        OwnBuffer::Vulkan(_) => BufferProblem::OfAnother { what: "API" },
        #[cfg(feature = "opencl")]
        OwnBuffer::OpenCl(_) => BufferProblem::OfAnother { what: "API" },
    };
    Err(RuntimeError::OwnBuffer { tensor: needs.tensor.name.clone(), problem })
}

/// Replays on a device of the app's.
pub(crate) fn open(handles: MetalHandles, options: &OpenOptions) -> Result<Context, RuntimeError> {
    let MetalHandles { device, queue } = handles;
    let info = info::read(&device).ok_or_else(|| RuntimeError::NoDriver {
        kind: DeviceKind::Metal,
        reason: "the device is not of the family Apple4 or Mac2, under macOS 12 or iOS 15 or later"
            .to_owned(),
    })?;
    if queue.device() != device {
        let code = "the queue is of another device".to_owned();
        return Err(RuntimeError::Driver { doing: "taking a device of the app's", code });
    }
    Ok(Context::on(device, Queue { raw: queue, room: PENDING }, info, (options.grace, options.priority)))
}
