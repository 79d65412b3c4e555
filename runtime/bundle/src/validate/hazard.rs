//! Barriers: no dispatch may touch what an earlier one, since the last barrier, writes, nor write what it
//! reads.
//!
//! Without this rule a forgotten barrier gives wrong numbers on some devices and right ones on all others. It
//! holds for memory that a plan gives to a new tensor as well, whose first writer must wait for the old one's
//! readers.

use std::collections::BTreeMap;

use crate::error::Flaw;
use crate::manifest::{BindingSlot, Dispatch, RegionKind, Resource, Variant};

/// What the dispatches since the last barrier touch.
#[derive(Default)]
pub(super) struct Hazards {
    read: Touched,
    written: Touched,
}

impl Hazards {
    /// Adds `dispatch`, which must have passed all other rules.
    pub(super) fn add(&mut self, slots: &[BindingSlot], dispatch: &Dispatch) -> Result<(), Flaw> {
        if dispatch.barrier {
            *self = Self::default();
        }
        for (slot, (declared, resource)) in slots.iter().zip(&dispatch.bindings).enumerate() {
            if self.written.overlaps(resource) {
                return Err(Flaw::NoBarrier { slot, earlier: "writes" });
            }
            if declared.writable && self.read.overlaps(resource) {
                return Err(Flaw::NoBarrier { slot, earlier: "reads" });
            }
        }
        for (declared, resource) in slots.iter().zip(&dispatch.bindings) {
            let touched = if declared.writable { &mut self.written } else { &mut self.read };
            touched.insert(resource);
        }
        Ok(())
    }
}

/// Sets of ranges by region. Weights are left out, since nothing writes them.
#[derive(Default)]
struct Touched(BTreeMap<u32, Ranges>);

impl Touched {
    fn overlaps(&self, resource: &Resource) -> bool {
        resource.place().is_some_and(|(region, range)| {
            self.0.get(&region).is_some_and(|touched| touched.overlap(range.start, range.end))
        })
    }

    fn insert(&mut self, resource: &Resource) {
        if let Some((region, range)) = resource.place() {
            self.0.entry(region).or_default().insert(range.start, range.end);
        }
    }
}

/// What an init program leaves in derived blobs.
#[derive(Default)]
pub(super) struct Derived(Touched);

impl Derived {
    /// Adds what a dispatch of `init` writes.
    pub(super) fn write(&mut self, slots: &[BindingSlot], dispatch: &Dispatch) {
        let bound = slots.iter().zip(&dispatch.bindings);
        bound.filter(|(declared, _)| declared.writable).for_each(|(_, resource)| self.0.insert(resource));
    }

    /// Every range of a derived blob that `dispatch` reads has been written.
    pub(super) fn holds_what_is_read(&self, variant: &Variant, dispatch: &Dispatch) -> Result<(), Flaw> {
        for (slot, resource) in dispatch.bindings.iter().enumerate() {
            let derived = resource.region(variant).filter(|region| region.kind == RegionKind::Derived);
            if let Some((region, range)) = derived.and_then(|_| resource.place()) {
                let written = self.0.0.get(&region);
                if !written.is_some_and(|written| written.cover(range.start, range.end)) {
                    return Err(Flaw::NotDerived { slot, region });
                }
            }
        }
        Ok(())
    }
}

/// Disjoint ranges by their start, merged as they meet, so that long programs stay cheap to check.
#[derive(Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn overlap(&self, start: u64, end: u64) -> bool {
        self.0.range(..end).next_back().is_some_and(|(_, last)| *last > start)
    }

    /// Whether every byte of a range is in the set.
    fn cover(&self, start: u64, end: u64) -> bool {
        self.0.range(..=start).next_back().is_some_and(|(_, last)| *last >= end)
    }

    fn insert(&mut self, mut start: u64, mut end: u64) {
        while let Some((first, last)) = self.0.range(..=end).next_back().map(|(first, last)| (*first, *last))
        {
            if last < start {
                break;
            }
            self.0.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.0.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_where_they_meet() {
        let mut ranges = Ranges::default();
        for (start, end) in [(10, 20), (40, 50), (20, 25), (0, 5), (24, 41), (100, 101)] {
            ranges.insert(start, end);
        }
        assert_eq!(ranges.0, BTreeMap::from([(0, 5), (10, 50), (100, 101)]));
        for (start, end, expected) in
            [(5, 10, false), (4, 6, true), (49, 60, true), (50, 100, false), (0, 200, true)]
        {
            assert_eq!(ranges.overlap(start, end), expected, "{start}..{end}");
        }
        for (start, end, expected) in
            [(10, 50, true), (12, 20, true), (9, 20, false), (49, 51, false), (4, 11, false), (60, 61, false)]
        {
            assert_eq!(ranges.cover(start, end), expected, "{start}..{end}");
        }
    }
}
