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

/// Ranges that do not meet, by region and where they begin.
#[derive(Default)]
struct Touched(BTreeMap<(u32, u64), u64>);

impl Touched {
    fn meets(&self, region: u32, range: &Range<u64>) -> bool {
        let before = self.0.range((region, 0)..(region, range.end)).next_back();
        before.is_some_and(|(_, &end)| end > range.start)
    }

    /// Adds a range, as one with those that it meets.
    fn add(&mut self, region: u32, Range { mut start, mut end }: Range<u64>) {
        while let Some((&(_, first), &last)) = self.0.range((region, 0)..=(region, end)).next_back()
            && last >= start
        {
            self.0.remove(&(region, first));
            (start, end) = (start.min(first), end.max(last));
        }
        self.0.insert((region, start), end);
    }
}

impl Hazards {
    /// Records a dispatch; true if a barrier has to stand before it.
    pub(super) fn step<'a>(&mut self, bindings: impl Iterator<Item = (bool, &'a Resource)>) -> bool {
        let touched: Vec<(bool, u32, Range<u64>)> = bindings
            .filter_map(|(writes, resource)| {
                let (region, range) = resource.place()?;
                Some((writes, region, range))
            })
            .collect();
        let barrier = touched.iter().any(|(writes, region, range)| {
            self.written.meets(*region, range) || *writes && self.read.meets(*region, range)
        });
        if barrier {
            *self = Self::default();
        }
        for (writes, region, range) in touched {
            if writes { self.written.add(region, range) } else { self.read.add(region, range) }
        }
        barrier
    }
}
