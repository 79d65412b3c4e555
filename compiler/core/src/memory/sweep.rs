//! Placement in order of time, as an allocator does it: each tensor takes the smallest gap that is free when it is born.
//!
//! Orders by size look at all that a tensor meets, which is quadratic where thousands are live at once. This looks at free gaps
//! only, and ends at the lower bound where sizes are equal or nothing is ever given back.

use super::Tensor;
use super::greedy::align_up;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Gaps that are tried for a tensor: only alignment can make the smallest that is large enough unfit.
const MOST_TRIED: usize = 8;

/// Which way time runs: what is placed well from one end may not be from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// From the first task on.
    Forward,
    /// From the last task back.
    Backward,
}

/// Offsets of all tensors.
pub(super) fn place(tensors: &[Tensor], time: Time) -> Vec<u64> {
    let range = |index: &usize| {
        let tensor = &tensors[*index];
        match time {
            Time::Forward => (tensor.first, tensor.last),
            Time::Backward => (usize::MAX - tensor.last, usize::MAX - tensor.first),
        }
    };
    let mut births: Vec<usize> = (0..tensors.len()).filter(|&index| tensors[index].size_bytes > 0).collect();
    let mut deaths = births.clone();
    births.sort_by_key(|index| (range(index).0, Reverse(tensors[*index].size_bytes)));
    deaths.sort_by_key(|index| range(index).1);
    let mut deaths = deaths.into_iter().peekable();
    // What the next one of the same alignment cannot use is no gap: thousands of these would hide those that are.
    let slot = |index: usize| tensors[index].size_bytes.next_multiple_of(tensors[index].align);
    let mut offsets = vec![0; tensors.len()];
    let mut free = Free::default();
    for index in births {
        while let Some(dead) = deaths.next_if(|dead| range(dead).1 < range(&index).0) {
            free.give_back(offsets[dead], slot(dead));
        }
        offsets[index] = free.take(slot(index), tensors[index].align);
    }
    offsets
}

/// Free bytes: gaps, none of which touch, and all from `top` on.
#[derive(Default)]
struct Free {
    /// Size of the gap at each start.
    at: BTreeMap<u64, u64>,
    /// The same as size and start.
    by_size: BTreeSet<(u64, u64)>,
    top: u64,
}

impl Free {
    /// Takes `size` bytes at a multiple of `align`.
    fn take(&mut self, size: u64, align: u64) -> u64 {
        let large = self.by_size.range((size, 0)..).take(MOST_TRIED).copied();
        let fits = |&(gap, start): &(u64, u64)| align_up(start, align) + size <= start + gap;
        let Some((gap, start)) = large.into_iter().find(fits) else {
            let offset = align_up(self.top, align);
            self.add(self.top, offset - self.top);
            self.top = offset + size;
            return offset;
        };
        let offset = align_up(start, align);
        self.remove(start);
        self.add(start, offset - start);
        self.add(offset + size, start + gap - (offset + size));
        offset
    }

    /// Gives back what was taken at `start`.
    fn give_back(&mut self, mut start: u64, mut size: u64) {
        if let Some((&before, &gap)) = self.at.range(..start).next_back()
            && before + gap == start
        {
            self.remove(before);
            (start, size) = (before, size + gap);
        }
        if let Some(gap) = self.remove(start + size) {
            size += gap;
        }
        match start + size == self.top {
            true => self.top = start,
            false => self.add(start, size),
        }
    }

    fn add(&mut self, start: u64, size: u64) {
        if size > 0 {
            self.at.insert(start, size);
            self.by_size.insert((size, start));
        }
    }

    fn remove(&mut self, start: u64) -> Option<u64> {
        let size = self.at.remove(&start)?;
        self.by_size.remove(&(size, start));
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::search::Random;
    use crate::memory::{Plan, Strategy, check, lower_bound, peak};

    fn plan(tensors: &[Tensor], time: Time) -> Plan {
        let offsets = place(tensors, time);
        let (naive_bytes, lower_bound_bytes) = (0, lower_bound(tensors));
        let peak_bytes = peak(tensors, &offsets);
        let plan = Plan {
            offsets,
            peak_bytes,
            naive_bytes,
            lower_bound_bytes,
            strategy: Strategy::ByTime,
            is_smallest: false,
        };
        assert_eq!(check(&plan, tensors), Ok(()), "{tensors:?}");
        plan
    }

    #[test]
    fn random_plans_share_no_byte() {
        let mut random = Random(5);
        for _ in 0..400 {
            let tensors: Vec<Tensor> = (0..40)
                .map(|_| {
                    let first = random.below(30);
                    let last = first + random.below(12);
                    let size_bytes = random.below(900) as u64;
                    Tensor { size_bytes, first, last, align: 1 << random.below(9) }
                })
                .collect();
            for time in [Time::Forward, Time::Backward] {
                plan(&tensors, time);
            }
        }
    }

    /// Of one size, or all live to the end: nothing is lost.
    #[test]
    fn equal_sizes_and_what_is_never_given_back_take_no_more_than_they_must() {
        let mut random = Random(9);
        let equal: Vec<Tensor> = (0..500)
            .map(|_| {
                let first = random.below(400);
                Tensor { size_bytes: 64, first, last: first + random.below(90), align: 256 }
            })
            .collect();
        let kept: Vec<Tensor> = (0..500)
            .map(|at| Tensor {
                size_bytes: 256 * (1 + random.below(9) as u64),
                first: at,
                last: 500,
                align: 256,
            })
            .collect();
        for tensors in [equal, kept] {
            for time in [Time::Forward, Time::Backward] {
                let plan = plan(&tensors, time);
                assert_eq!(plan.peak_bytes, plan.lower_bound_bytes, "{time:?}");
            }
        }
    }
}
