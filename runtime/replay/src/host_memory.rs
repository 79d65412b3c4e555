//! Memory of the host that a device copies from and to.
#![expect(unsafe_code, reason = "hands out memory that is shared with submitted copies")]

use std::alloc::{self, Layout};
use std::ptr::NonNull;

use crate::error::RuntimeError;

/// Drivers copy whole pages of this alignment without a detour.
const ALIGNMENT_BYTES: usize = 4096;

/// Zeroed memory. Who holds it looks at it only while no submitted copy uses it.
#[derive(Debug)]
pub(crate) struct HostMemory {
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory, which is only followed through slices with the usual rules, and by copies that are waited
// for before the memory is looked at.
unsafe impl Send for HostMemory {}
// SAFETY: `&self` methods only read.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// `size` bytes, which is more than none.
    pub(crate) fn new(size: u64) -> Result<Self, RuntimeError> {
        let failed = || RuntimeError::OutOfMemory { doing: "allocating host memory", bytes: Some(size) };
        let bytes = usize::try_from(size).map_err(|_| failed())?;
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT_BYTES).map_err(|_| failed())?;
        // SAFETY: the layout is not empty.
        let data = NonNull::new(unsafe { alloc::alloc_zeroed(layout) }).ok_or_else(failed)?;
        Ok(Self { data, layout })
    }

    pub(crate) fn size(&self) -> u64 {
        self.layout.size() as u64
    }

    /// Where it begins, for copies that the owner waits for.
    pub(crate) fn start(&self) -> *mut u8 {
        self.data.as_ptr()
    }

    /// # Safety
    /// No copy writes it meanwhile.
    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: as many bytes were allocated, zeroed, and the caller says that nobody writes them.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.layout.size()) }
    }

    /// # Safety
    /// No copy uses it meanwhile, and there is no other slice of it.
    #[expect(clippy::mut_from_ref, reason = "several hold the memory, of which one writes at a time")]
    pub(crate) unsafe fn bytes_mut(&self) -> &mut [u8] {
        // SAFETY: as many bytes were allocated, zeroed, and the caller says that nobody else uses them.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.layout.size()) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and whoever made copies of it keeps it until they have ended.
        unsafe { alloc::dealloc(self.data.as_ptr(), self.layout) };
    }
}
