//! Buffers of the device, and memory of the host that is copied to and from them.
//!
//! A buffer of WebGPU is mapped while no submitted work uses it, and only then. So the host has memory of its own: what it
//! writes is copied when it is submitted, and what it reads comes by way of a buffer that is mapped after the work.
#![expect(unsafe_code, reason = "hands out memory that is shared with recorded copies")]

use std::sync::Arc;

use ::wgpu::BufferUsages;
use ::wgpu::wgc::id::BufferId;

use super::commands::Landing;
use super::context::Context;
use super::handle::Handle;
use crate::api::{self, Purpose};
use crate::error::RuntimeError;
use crate::host_memory::HostMemory;

/// What offsets and sizes of copies, bindings and buffers are multiples of.
const UNIT_BYTES: u64 = 4;

/// Bytes of a copy or binding, up to whole units. Ranges begin at multiples of 256, so that these belong to no other.
pub(crate) fn whole(bytes: u64) -> u64 {
    bytes.next_multiple_of(UNIT_BYTES)
}

/// A buffer.
pub(crate) enum Buffer {
    Device { raw: Arc<Handle<BufferId>>, size: u64 },
    Upload(Arc<HostMemory>),
    Download(Landing),
}

impl Buffer {
    pub(crate) fn new(context: &Context, bytes: u64, purpose: Purpose) -> Result<Self, RuntimeError> {
        // There are no empty buffers.
        let size = whole(bytes).max(UNIT_BYTES);
        let host = || HostMemory::new(size).map(Arc::new);
        Ok(match purpose {
            Purpose::Device => {
                let copies = BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
                let usage = BufferUsages::STORAGE | BufferUsages::UNIFORM | copies;
                Self::Device { raw: Arc::new(context.raw_buffer(size, usage)?), size }
            }
            Purpose::Upload => Self::Upload(host()?),
            Purpose::Download => {
                let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
                Self::Download(Landing { host: host()?, buffer: Arc::new(context.raw_buffer(size, usage)?) })
            }
        })
    }
}

impl api::Memory for Buffer {
    fn size(&self) -> u64 {
        match self {
            Self::Device { size, .. } => *size,
            Self::Upload(host) | Self::Download(Landing { host, .. }) => host.size(),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: only a wait for the work that this session submitted writes it, and its owner does not wait while it reads.
            Self::Upload(host) | Self::Download(Landing { host, .. }) => Some(unsafe { host.bytes() }),
        }
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Device { .. } => None,
            // SAFETY: as above, submissions read it before they return, and `&mut self` makes the slice the only one.
            Self::Upload(host) | Self::Download(Landing { host, .. }) => Some(unsafe { host.bytes_mut() }),
        }
    }
}
