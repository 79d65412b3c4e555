//! Where barriers go: before a dispatch that touches what an earlier one since the last barrier wrote, or writes what
//! such a one read.

use drift_bundle::manifest::Resource;
use std::collections::BTreeMap;
use std::ops::Range;

/// What has been touched since the last barrier.
#[derive(Default)]
pub(super) struct Hazards {
    read: Touched,
    written: Touched,
}

/// What ranges count in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    /// Bytes of the arena.
    Arena,
    /// Bytes of a derived blob.
    Derived(u32),
    /// Pooled textures.
    Textures,
}

/// Where a resource lies, if a dispatch may write there.
fn place(resource: &Resource) -> Option<(Memory, Range<u64>)> {
    match *resource {
        Resource::Arena { offset, size } | Resource::ArenaTexels { offset, size, .. } => {
            Some((Memory::Arena, offset..offset + size))
        }
        Resource::Derived { blob, offset, size } | Resource::DerivedTexels { blob, offset, size, .. } => {
            Some((Memory::Derived(blob), offset..offset + size))
        }
        Resource::Texture(index) => Some((Memory::Textures, u64::from(index)..u64::from(index) + 1)),
        Resource::Weights { .. } | Resource::WeightTexels { .. } | Resource::WeightTexture { .. } => None,
    }
}

/// Ranges that do not meet, by where they begin.
#[derive(Default)]
struct Touched(BTreeMap<(Memory, u64), u64>);

impl Touched {
    fn meets(&self, memory: Memory, range: &Range<u64>) -> bool {
        let before = self.0.range((memory, 0)..(memory, range.end)).next_back();
        before.is_some_and(|(_, &end)| end > range.start)
    }

    /// Adds a range, as one with those that it meets.
    fn add(&mut self, memory: Memory, Range { mut start, mut end }: Range<u64>) {
        while let Some((&(_, first), &last)) = self.0.range((memory, 0)..=(memory, end)).next_back()
            && last >= start
        {
            self.0.remove(&(memory, first));
            (start, end) = (start.min(first), end.max(last));
        }
        self.0.insert((memory, start), end);
    }
}

impl Hazards {
    /// Records a dispatch; true if a barrier has to stand before it.
    pub(super) fn step<'a>(&mut self, bindings: impl Iterator<Item = (bool, &'a Resource)>) -> bool {
        let touched: Vec<(bool, Memory, Range<u64>)> = bindings
            .filter_map(|(writes, resource)| {
                let (memory, range) = place(resource)?;
                Some((writes, memory, range))
            })
            .collect();
        let barrier = touched.iter().any(|(writes, memory, range)| {
            self.written.meets(*memory, range) || *writes && self.read.meets(*memory, range)
        });
        if barrier {
            *self = Self::default();
        }
        for (writes, memory, range) in touched {
            if writes { self.written.add(memory, range) } else { self.read.add(memory, range) }
        }
        barrier
    }
}
