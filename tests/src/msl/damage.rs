//! A device that is wrong on purpose: it runs some kernels as they are, then changes what they wrote.
#![expect(unsafe_code, reason = "changes memory that kernels share with its owner")]

use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::Block;

/// Which dispatches a device gets wrong, and how.
pub struct Damage {
    /// Whether a dispatch is hit, by the name of its shader and its threadgroups.
    pub hits: fn(&str, [u32; 3]) -> bool,
    /// What becomes of the numbers in the buffers that it writes.
    pub how: How,
    /// Dispatches that were hit.
    count: AtomicU32,
}

/// What becomes of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// They are a hundredth larger.
    Larger,
    /// They are NaN.
    Nan,
    /// Their last bits are others each time.
    Unsteady,
}

impl Damage {
    /// A damage that hits what `hits` says.
    pub const fn new(how: How, hits: fn(&str, [u32; 3]) -> bool) -> Self {
        Self { hits, how, count: AtomicU32::new(0) }
    }

    /// Changes what a dispatch wrote: `bytes` from `offset` of a block on, taken as f32.
    pub(super) fn apply(&self, block: &Block, offset: u64, bytes: u64) {
        let turn = self.count.fetch_add(1, Ordering::Relaxed);
        for at in (offset..offset + bytes - bytes % 4).step_by(4) {
            let number = block.at(at).cast::<f32>();
            // SAFETY: the range is inside of the block and aligned as buffers are, and nobody else uses it meanwhile: work is
            // in order, and its owner waits before it looks.
            unsafe {
                let value = number.read();
                number.write(match self.how {
                    How::Larger => value * 1.01,
                    How::Nan => f32::NAN,
                    How::Unsteady => f32::from_bits(value.to_bits() ^ (turn % 4)),
                });
            }
        }
    }
}
