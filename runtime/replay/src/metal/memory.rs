//! Buffers. Where processor and GPU share memory the host sees all of them, so that weights are written in place.
#![expect(unsafe_code, reason = "hands out memory that the device writes")]

use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLBuffer, MTLDevice, MTLResourceOptions};

use super::context::Context;
use super::handle::Shared;
use super::not_made;
use crate::api::{self, Purpose};
use crate::error::RuntimeError;

/// A buffer.
pub(crate) struct Buffer {
    pub(crate) raw: Shared<dyn MTLBuffer>,
    size: u64,
    is_mapped: bool,
}

impl Buffer {
    pub(crate) fn new(context: &Context, bytes: u64, purpose: Purpose) -> Result<Self, RuntimeError> {
        // There are no empty buffers, and copies work in words.
        let size = bytes.max(4).next_multiple_of(4);
        let is_mapped = purpose != Purpose::Device || context.has_unified_memory;
        let storage = if is_mapped {
            MTLResourceOptions::StorageModeShared
        } else {
            MTLResourceOptions::StorageModePrivate
        };
        let length = usize::try_from(size).map_err(|_| not_made("creating a buffer", Some(size)))?;
        let made = autoreleasepool(|_| context.device.newBufferWithLength_options(length, storage));
        let raw = made.ok_or_else(|| not_made("creating a buffer", Some(size)))?.into();
        Ok(Self { raw, size, is_mapped })
    }
}

impl Buffer {
    /// A buffer of the app's, which the host looks at by itself.
    pub(crate) fn of_the_app(raw: Retained<ProtocolObject<dyn MTLBuffer>>) -> Self {
        let size = raw.length() as u64;
        Self { raw: raw.into(), size, is_mapped: false }
    }
}

impl api::Memory for Buffer {
    fn size(&self) -> u64 {
        self.size
    }

    fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: the memory is the buffer's, as long as it says, and lives as long as it does. The device does not write it
        // now: every copy and every run is waited for before its session is used again.
        self.is_mapped.then(|| unsafe {
            std::slice::from_raw_parts(self.raw.contents().cast::<u8>().as_ptr(), self.size as usize)
        })
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as above, and `&mut self` makes the slice the only one.
        self.is_mapped.then(|| unsafe {
            std::slice::from_raw_parts_mut(self.raw.contents().cast::<u8>().as_ptr(), self.size as usize)
        })
    }
}
