//! Memory of the stand-in: the host's, which kernels see as it is.
#![expect(unsafe_code, reason = "hands out memory that is shared with submitted work")]

use std::alloc::{self, Layout};
use std::ptr::NonNull;
use std::sync::Arc;

use drift_bundle::manifest::{DeviceElement, TextureKind, TextureObject};
use drift_runtime::RuntimeError;
use drift_runtime::api::Memory;

/// Pages, as Metal's own buffers begin at.
const ALIGNMENT_BYTES: usize = 4096;

/// New memory is no zeros: whoever reads it before it is written finds NaNs.
const FRESH: u8 = 0xff;

/// Memory that commands share with its owner.
pub(super) struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory; who follows its address is a slice of the owner with the usual rules, or work that is waited
// for before the owner looks.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(bytes: u64) -> Result<Self, RuntimeError> {
        let failed = || RuntimeError::OutOfMemory { doing: "allocating memory", bytes: Some(bytes) };
        let size = usize::try_from(bytes.max(4).next_multiple_of(4)).map_err(|_| failed())?;
        let layout = Layout::from_size_align(size, ALIGNMENT_BYTES).map_err(|_| failed())?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc::alloc(layout) }).ok_or_else(failed)?;
        // SAFETY: as many bytes were allocated.
        unsafe { start.write_bytes(FRESH, size) };
        Ok(Self { start, layout })
    }

    pub(super) fn size(&self) -> u64 {
        self.layout.size() as u64
    }

    /// The address of the byte at `offset`, which is not beyond the end.
    pub(super) fn at(&self, offset: u64) -> *mut u8 {
        assert!(offset <= self.size(), "byte {offset} of {}", self.size());
        // SAFETY: it is inside of the allocation or at its end.
        unsafe { self.start.as_ptr().add(offset as usize) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and all that used it has let go of it.
        unsafe { alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// A buffer, which host and kernels see alike, as on Apple's devices.
pub(super) struct Buffer(pub(super) Arc<Block>);

impl Buffer {
    pub(super) fn new(bytes: u64) -> Result<Self, RuntimeError> {
        Block::new(bytes).map(|block| Self(Arc::new(block)))
    }
}

impl Memory for Buffer {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: whoever asks has waited for what writes it, and as many bytes were allocated and written.
        Some(unsafe { std::slice::from_raw_parts(self.0.at(0), self.0.layout.size()) })
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as above, for all work that uses it, and `&mut self` makes the slice the only one.
        Some(unsafe { std::slice::from_raw_parts_mut(self.0.at(0), self.0.layout.size()) })
    }
}

/// A texture: rows of texels without gaps.
pub(super) struct Texture {
    pub(super) texels: Arc<Block>,
    pub(super) object: TextureObject,
}

impl Texture {
    pub(super) fn new(object: TextureObject) -> Result<Self, RuntimeError> {
        Ok(Self { texels: Arc::new(Block::new(object.size_bytes())?), object })
    }

    /// Number of its dimensions among the stand-in's.
    pub(super) fn kind(&self) -> u32 {
        match self.object.kind {
            TextureKind::D2 => 1,
            TextureKind::Array => 2,
            TextureKind::D3 => 3,
        }
    }

    /// Number of its channels' type among the stand-in's.
    pub(super) fn element(&self) -> u32 {
        match self.object.element {
            DeviceElement::F32 => 0,
            DeviceElement::F16 => 1,
            DeviceElement::I32 => 2,
            DeviceElement::U32 => 3,
        }
    }
}
