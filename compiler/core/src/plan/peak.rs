//! How much is alive at the fullest step of an order, and what becomes of that when some of its steps change places.
//!
//! Where neighbours change places among themselves, no live range elsewhere begins or ends at another time than before; so only
//! the range that they are in is looked at again.

use super::flow::Flow;
use std::cmp::Ordering;
use std::ops::Range;

/// What is alive at the fullest step, how many steps are as full, and the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peak {
    pub(super) bytes: u64,
    pub(super) count: usize,
    pub(super) at: usize,
}

impl Peak {
    /// Of no steps.
    pub(super) const NONE: Self = Self { bytes: 0, count: 0, at: 0 };

    pub(super) fn is_below(&self, other: &Self) -> bool {
        (self.bytes, self.count) < (other.bytes, other.count)
    }

    /// The peak of these steps and of others behind them.
    pub(super) fn then(self, behind: Self) -> Self {
        match self.bytes.cmp(&behind.bytes) {
            _ if behind.count == 0 => self,
            _ if self.count == 0 => behind,
            Ordering::Less => behind,
            Ordering::Equal => Self { count: self.count + behind.count, ..self },
            Ordering::Greater => self,
        }
    }
}

/// First and last place at which a storage is touched.
type LiveRange = (usize, usize);

const UNTOUCHED: LiveRange = (usize::MAX, 0);

/// An order whose steps are to change places. Each step of it is computed in place by itself, if at all.
pub(super) struct Ordered<'a> {
    flow: &'a Flow,
    live_ranges: Vec<LiveRange>,
    /// Bytes that are alive at a place and were so before.
    entering: Vec<u64>,
    /// The peak of all steps before a place, and of it and those behind it.
    before: Vec<Peak>,
    behind: Vec<Peak>,
    /// Live ranges of the storages that a change touches.
    changed: Vec<LiveRange>,
}

impl<'a> Ordered<'a> {
    /// None where several steps are computed in place together.
    pub(super) fn new(flow: &'a Flow, order: &[usize]) -> Option<Self> {
        let pairs = flow.single_pairs.as_ref()?;
        let mut live_ranges = vec![UNTOUCHED; flow.bytes.len()];
        touch(flow, order, 0, &mut live_ranges, &mut Vec::new());
        let count = order.len();
        let (mut born, mut died) = (vec![0; count], vec![0; count]);
        let mut alive = 0;
        for (storage, &(first, last)) in live_ranges.iter().enumerate() {
            let (bytes, (from_start, to_end)) = (flow.bytes[storage], flow.kept[storage]);
            match from_start {
                true => alive += bytes,
                false if first < count => born[first] += bytes,
                false => continue,
            }
            if !to_end {
                died[last] += bytes;
            }
        }
        let mut entering = Vec::with_capacity(count);
        let mut peaks = Vec::with_capacity(count);
        for (at, &step) in order.iter().enumerate() {
            entering.push(alive);
            alive += born[at];
            peaks.push(Peak { bytes: alive - shared(flow, &pairs[step], at, &live_ranges), count: 1, at });
            alive -= died[at];
        }
        let mut before = vec![Peak::NONE; count + 1];
        let mut behind = vec![Peak::NONE; count + 1];
        for at in 0..count {
            before[at + 1] = before[at].then(peaks[at]);
        }
        for at in (0..count).rev() {
            behind[at] = peaks[at].then(behind[at + 1]);
        }
        let changed = vec![UNTOUCHED; live_ranges.len()];
        Some(Self { flow, live_ranges, entering, before, behind, changed })
    }

    /// The peak with `steps` in the places of `range`, which are the same ones in another order.
    pub(super) fn moved(&mut self, range: Range<usize>, steps: &[usize]) -> Peak {
        let Self { flow, live_ranges, entering, before, behind, changed } = self;
        let Some(pairs) = &flow.single_pairs else { return Peak::NONE };
        let mut touched = Vec::new();
        touch(flow, steps, range.start, changed, &mut touched);
        let (mut born, mut died) = (vec![0; steps.len()], vec![0; steps.len()]);
        for &storage in &touched {
            let ((first, last), (from_start, to_end)) = (live_ranges[storage], flow.kept[storage]);
            let live_range = &mut changed[storage];
            if first < range.start {
                live_range.0 = first;
            } else if !from_start {
                born[live_range.0 - range.start] += flow.bytes[storage];
            }
            if last >= range.end {
                live_range.1 = last;
            } else if !to_end {
                died[live_range.1 - range.start] += flow.bytes[storage];
            }
        }
        let mut alive = entering[range.start];
        let mut peak = before[range.start];
        for (n, &step) in steps.iter().enumerate() {
            let at = range.start + n;
            alive += born[n];
            let bytes = alive - shared(flow, &pairs[step], at, changed);
            peak = peak.then(Peak { bytes, count: 1, at });
            alive -= died[n];
        }
        touched.into_iter().for_each(|storage| changed[storage] = UNTOUCHED);
        peak.then(behind[range.end])
    }
}

/// Notes what the steps from a place on touch, and which storages these are.
fn touch(flow: &Flow, steps: &[usize], from: usize, live_ranges: &mut [LiveRange], touched: &mut Vec<usize>) {
    for (n, &step) in steps.iter().enumerate() {
        for &storage in &flow.touches[step] {
            let live_range = &mut live_ranges[storage];
            if *live_range == UNTOUCHED {
                touched.push(storage);
            }
            *live_range = (live_range.0.min(from + n), from + n);
        }
    }
}

/// Bytes that the step at a place needs no memory for, since its result can be where an operand has its last use.
fn shared(flow: &Flow, pairs: &[(usize, usize)], at: usize, live_ranges: &[LiveRange]) -> u64 {
    let meet =
        |&&(operand, result): &&(usize, usize)| live_ranges[result].0 == at && live_ranges[operand].1 == at;
    let pair = pairs.iter().find(meet);
    pair.map_or(0, |&(operand, result)| flow.bytes[operand].min(flow.bytes[result]))
}
