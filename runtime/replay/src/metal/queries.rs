//! GPU timestamps: two of each dispatch, which is a pass of its own, since Apple's GPUs take them at the ends of a pass only.
#![expect(unsafe_code, reason = "numbers samples, which Metal does not check")]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_foundation::NSRange;
use objc2_metal::{
    MTLCommonCounterSetTimestamp, MTLComputePassDescriptor, MTLCounterErrorValue, MTLCounterSampleBuffer,
    MTLCounterSampleBufferDescriptor, MTLCounterSet, MTLDevice, MTLStorageMode,
};

use super::context::Context;
use super::handle::Shared;
use super::words;
use crate::api::Times;
use crate::error::RuntimeError;

/// Samples that one buffer of Metal's holds: 32 KiB of them.
const MOST: usize = 4096;

/// Samples of a program's dispatches.
pub(crate) struct Samples {
    buffers: Vec<Shared<dyn MTLCounterSampleBuffer>>,
    dispatches: usize,
}

/// Samples, with what tells how long a tick is.
pub(crate) struct Queries {
    pub(crate) samples: Arc<Samples>,
    /// The GPU's clock when they were made.
    begin: (Instant, u64),
}

/// The counters of timestamps, where a device has them.
pub(crate) fn timestamp_counters(
    device: &ProtocolObject<dyn MTLDevice>,
) -> Option<Retained<ProtocolObject<dyn MTLCounterSet>>> {
    let sets = device.counterSets()?;
    // SAFETY: the system defines it.
    let wanted = unsafe { MTLCommonCounterSetTimestamp };
    sets.iter().find(|set| *set.name() == *wanted)
}

impl Samples {
    /// Has a pass take the times of a dispatch.
    pub(crate) fn attach(&self, descriptor: &MTLComputePassDescriptor, dispatch: usize) {
        let first = 2 * dispatch;
        // SAFETY: every pass has attachment 0, and both samples are in the buffer, whose size is even.
        unsafe {
            let attachment = descriptor.sampleBufferAttachments().objectAtIndexedSubscript(0);
            attachment.setSampleBuffer(Some(&*self.buffers[first / MOST]));
            attachment.setStartOfEncoderSampleIndex(first % MOST);
            attachment.setEndOfEncoderSampleIndex(first % MOST + 1);
        }
    }

    /// The samples of the last run, in order.
    fn read(&self) -> Result<Vec<u64>, RuntimeError> {
        let failed = || RuntimeError::Driver {
            doing: "reading timestamps",
            code: "the device has not taken them".to_owned(),
        };
        let mut ticks = Vec::with_capacity(2 * self.dispatches);
        for (buffer, range) in self.buffers.iter().zip(ranges(self.dispatches)) {
            let bytes = autoreleasepool(|_| {
                // SAFETY: the buffer has so many samples.
                let data = unsafe { buffer.resolveCounterRange(NSRange::new(0, range.len())) };
                data.map(|data| data.to_vec())
            });
            let bytes = bytes.filter(|bytes| bytes.len() >= 8 * range.len()).ok_or_else(failed)?;
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            ticks.extend(words.take(range.len()));
        }
        if ticks.contains(&MTLCounterErrorValue) { Err(failed()) } else { Ok(ticks) }
    }
}

/// The samples of each buffer.
fn ranges(dispatches: usize) -> impl Iterator<Item = Range<usize>> {
    let all = 2 * dispatches;
    (0..all).step_by(MOST).map(move |start| start..all.min(start + MOST))
}

impl Queries {
    pub(crate) fn new(context: &Context, submissions: &[Range<usize>]) -> Result<Self, RuntimeError> {
        const DOING: &str = "creating timestamps";
        let dispatches = submissions.last().map_or(0, |last| last.end);
        let buffer = |range: Range<usize>| {
            autoreleasepool(|_| {
                let descriptor = MTLCounterSampleBufferDescriptor::new();
                descriptor.setCounterSet(timestamp_counters(&context.device).as_deref());
                descriptor.setStorageMode(MTLStorageMode::Shared);
                // SAFETY: more than none, and no more than a buffer holds.
                unsafe { descriptor.setSampleCount(range.len()) };
                let made = context.device.newCounterSampleBufferWithDescriptor_error(&descriptor);
                made.map(Shared::from)
                    .map_err(|error| RuntimeError::Driver { doing: DOING, code: words(&error) })
            })
        };
        let buffers = ranges(dispatches).map(buffer).collect::<Result<_, _>>()?;
        let samples = Arc::new(Samples { buffers, dispatches });
        Ok(Self { samples, begin: now(context) })
    }

    /// Times of the last run, which has been waited for.
    pub(crate) fn read(&self, context: &Context) -> Result<Times, RuntimeError> {
        let ticks = self.samples.read()?;
        let end = now(context);
        let (passed, ticked) = (end.0 - self.begin.0, end.1.saturating_sub(self.begin.1));
        let nanoseconds = passed.as_secs_f64() * 1e9 / ticked.max(1) as f64;
        let elapsed =
            |from: u64, to: u64| Duration::from_nanos((to.saturating_sub(from) as f64 * nanoseconds) as u64);
        let pairs = ticks.as_chunks::<2>().0;
        let first = ticks.first().copied().unwrap_or_default();
        let dispatches =
            pairs.iter().map(|[start, end]| elapsed(first, *start)..elapsed(first, *end)).collect();
        let total = match (ticks.first(), ticks.last()) {
            (Some(start), Some(end)) => elapsed(*start, *end),
            _ => Duration::ZERO,
        };
        Ok(Times { dispatches, total })
    }
}

/// The processor's time and the GPU's ticks. How long a tick is differs from GPU to GPU, and none says it.
fn now(context: &Context) -> (Instant, u64) {
    let (mut processor, mut gpu) = (0, 0);
    // SAFETY: both are there to be written.
    unsafe {
        context.device.sampleTimestamps_gpuTimestamp(NonNull::from(&mut processor), NonNull::from(&mut gpu));
    }
    (Instant::now(), gpu)
}
