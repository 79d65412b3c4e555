//! Where barriers go: before a dispatch that touches what an earlier one since the last barrier wrote, or writes what
//! such a one read.

use drift_bundle::manifest::Resource;

/// What has been touched since the last barrier.
#[derive(Default)]
pub(super) struct Hazards {
    read: Vec<Touched>,
    written: Vec<Touched>,
}

#[derive(Clone, Copy)]
enum Touched {
    /// A range of the arena, or of a derived blob by its index.
    Bytes(Option<u32>, u64, u64),
    Texture(u32),
}

impl Touched {
    fn of(resource: &Resource) -> Option<Self> {
        match *resource {
            Resource::Arena { offset, size } | Resource::ArenaTexels { offset, size, .. } => {
                Some(Self::Bytes(None, offset, offset + size))
            }
            Resource::Derived { blob, offset, size } | Resource::DerivedTexels { blob, offset, size, .. } => {
                Some(Self::Bytes(Some(blob), offset, offset + size))
            }
            Resource::Texture(index) => Some(Self::Texture(index)),
            Resource::Weights { .. } | Resource::WeightTexels { .. } | Resource::WeightTexture { .. } => None,
        }
    }

    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Bytes(buffer, start, end), Self::Bytes(other, other_start, other_end)) => {
                buffer == other && start < other_end && other_start < end
            }
            (Self::Texture(a), Self::Texture(b)) => a == b,
            (Self::Bytes(..), Self::Texture(_)) | (Self::Texture(_), Self::Bytes(..)) => false,
        }
    }
}

impl Hazards {
    /// Records a dispatch; true if a barrier has to stand before it.
    pub(super) fn step<'a>(&mut self, bindings: impl Iterator<Item = (bool, &'a Resource)>) -> bool {
        let touched: Vec<(bool, Touched)> =
            bindings.filter_map(|(writes, resource)| Some((writes, Touched::of(resource)?))).collect();
        let barrier = touched.iter().any(|&(writes, touched)| {
            self.written.iter().any(|earlier| earlier.meets(touched))
                || writes && self.read.iter().any(|earlier| earlier.meets(touched))
        });
        if barrier {
            self.read.clear();
            self.written.clear();
        }
        for (writes, touched) in touched {
            if writes { self.written.push(touched) } else { self.read.push(touched) }
        }
        barrier
    }
}
