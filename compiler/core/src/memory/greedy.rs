//! Greedy placement: an order of tensors, and the smallest gap that fits for each in turn.
//!
//! The two orders are Greedy by Size and Greedy by Breadth of Pisarchyk and Lee 2020 (arXiv 2001.03288).

use super::Tensor;
use super::alive::Alive;
use std::cmp::Reverse;

/// Largest first; equal sizes keep the order given.
pub(super) fn size_order(tensors: &[Tensor]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| Reverse(tensors[i].size_bytes));
    order
}

/// Tasks by live bytes, largest first; the tensors of each task largest first, each tensor at its first mention.
pub(super) fn breadth_order(tensors: &[Tensor]) -> Vec<usize> {
    let (births, breadths) = breadths(tensors);
    let mut tasks: Vec<usize> = (0..births.len()).collect();
    tasks.sort_by_key(|&t| Reverse(breadths[t]));
    let mut place = vec![0; tensors.len()];
    size_order(tensors).into_iter().enumerate().for_each(|(at, index)| place[index] = at);
    let mut waiting = Alive::new(tensors.iter().map(|tensor| tensor.first));
    tensors.iter().enumerate().for_each(|(index, tensor)| waiting.add(index, tensor.last));
    let mut order = Vec::with_capacity(tensors.len());
    for task in tasks {
        let now = births[task];
        let mut live = waiting.meeting(now, now, usize::MAX).unwrap_or_default();
        live.sort_unstable_by_key(|&index| place[index]);
        live.iter().for_each(|&index| waiting.remove(index));
        order.extend(live);
    }
    order
}

/// The tasks in which some tensor is born, ascending, and the bytes live in each. A maximum is always at a birth.
pub(super) fn breadths(tensors: &[Tensor]) -> (Vec<usize>, Vec<u64>) {
    let mut births: Vec<usize> = tensors.iter().map(|t| t.first).collect();
    births.sort_unstable();
    births.dedup();
    let mut born = vec![0_u64; births.len() + 1];
    let mut died = vec![0_u64; births.len() + 1];
    for tensor in tensors {
        born[births.partition_point(|&task| task < tensor.first)] += tensor.size_bytes;
        died[births.partition_point(|&task| task <= tensor.last)] += tensor.size_bytes;
    }
    let mut live = 0;
    let breadths = (0..births.len())
        .map(|at| {
            live += born[at];
            live -= died[at];
            live
        })
        .collect();
    (births, breadths)
}

/// Which free gap a tensor takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The smallest that is large enough, the lowest of them on a tie.
    Smallest,
    /// The lowest that is large enough.
    Lowest,
}

/// Tensors beyond which those are looked up that a placement meets.
const FEW: usize = 512;

/// Share of the tensors beyond which going through all of them in order is faster than sorting those that are met.
const SHARE: usize = 64;

/// Tensors that have a place, by offset.
pub(super) struct Placed<'a> {
    tensors: &'a [Tensor],
    fit: Fit,
    offsets: Vec<u64>,
    by_offset: Vec<usize>,
    /// The same by live range, where there are many.
    by_life: Option<Alive>,
}

impl<'a> Placed<'a> {
    pub(super) fn new(tensors: &'a [Tensor], fit: Fit) -> Self {
        let by_life = (tensors.len() > FEW).then(|| Alive::new(tensors.iter().map(|tensor| tensor.first)));
        let by_offset = Vec::with_capacity(tensors.len());
        Self { tensors, fit, offsets: vec![0; tensors.len()], by_offset, by_life }
    }

    /// The placed tensors that are live with one, by offset, if they are looked up and few.
    fn neighbours(&self, tensor: &Tensor) -> Option<Vec<usize>> {
        let by_life = self.by_life.as_ref()?;
        let mut met = by_life.meeting(tensor.first, tensor.last, self.tensors.len() / SHARE)?;
        met.sort_unstable_by_key(|&other| self.offsets[other]);
        Some(met)
    }

    fn put(&mut self, index: usize, offset: u64) {
        self.offsets[index] = offset;
        let at = self.by_offset.partition_point(|&other| self.offsets[other] <= offset);
        self.by_offset.insert(at, index);
        if let Some(by_life) = &mut self.by_life {
            by_life.add(index, self.tensors[index].last);
        }
    }

    /// Puts a tensor into a gap between those that are live with it, else behind the last of them.
    /// Returns where it ends.
    pub(super) fn place(&mut self, index: usize) -> u64 {
        let tensor = &self.tensors[index];
        if tensor.size_bytes == 0 {
            return 0;
        }
        let mut free_from = 0;
        let mut best: Option<(u64, u64)> = None;
        let met = self.neighbours(tensor);
        for &other in met.as_ref().unwrap_or(&self.by_offset) {
            if !tensor.meets(&self.tensors[other]) {
                continue;
            }
            let (begin, end) = (self.offsets[other], self.offsets[other] + self.tensors[other].size_bytes);
            let start = align_up(free_from, tensor.align);
            if start + tensor.size_bytes <= begin {
                let gap = begin - free_from;
                if best.is_none_or(|(smallest, _)| gap < smallest) {
                    best = Some((gap, start));
                    if self.fit == Fit::Lowest {
                        break;
                    }
                }
            }
            free_from = free_from.max(end);
        }
        let offset = best.map_or(align_up(free_from, tensor.align), |(_, start)| start);
        let end = offset + tensor.size_bytes;
        self.put(index, offset);
        end
    }

    /// Puts tensors that keep their distances to each other at the lowest place where each is apart from those that are
    /// live with it. Returns where the group starts and ends.
    pub(super) fn place_group(&mut self, group: &[(usize, u64)]) -> (u64, u64) {
        let sized = || group.iter().filter(|(index, _)| self.tensors[*index].size_bytes > 0);
        let align = sized().map(|(index, _)| self.tensors[*index].align).max().unwrap_or(1);
        // Where the group must not start: above the first and below the second of each pair.
        let mut closed: Vec<(i128, i128)> = Vec::new();
        for &(index, distance) in sized() {
            let tensor = &self.tensors[index];
            let met = self.neighbours(tensor);
            let others = met.as_ref().unwrap_or(&self.by_offset).iter();
            for &other in others.filter(|&&other| tensor.meets(&self.tensors[other])) {
                let begin = i128::from(self.offsets[other]) - i128::from(distance);
                let end = begin + i128::from(self.tensors[other].size_bytes);
                closed.push((begin - i128::from(tensor.size_bytes), end));
            }
        }
        closed.sort_unstable();
        let mut start = 0_u64;
        for (above, below) in closed {
            if i128::from(start) <= above {
                break;
            }
            start = start.max(align_up(below.max(0) as u64, align));
        }
        let mut end = start;
        let sized: Vec<(usize, u64)> = sized().copied().collect();
        for (index, distance) in sized {
            let offset = start + distance;
            self.put(index, offset);
            end = end.max(offset + self.tensors[index].size_bytes);
        }
        (start, end)
    }

    /// Takes a placed tensor out again.
    pub(super) fn take_out(&mut self, index: usize) {
        if self.tensors[index].size_bytes == 0 {
            return;
        }
        let from = self.by_offset.partition_point(|&other| self.offsets[other] < self.offsets[index]);
        if let Some(at) = self.by_offset[from..].iter().position(|&other| other == index) {
            self.by_offset.remove(from + at);
        }
        if let Some(by_life) = &mut self.by_life {
            by_life.remove(index);
        }
    }

    /// Where a tensor was placed.
    pub(super) fn offset(&self, index: usize) -> u64 {
        self.offsets[index]
    }

    /// Offsets of all tensors; 0 for those that were never placed.
    pub(super) fn into_offsets(self) -> Vec<u64> {
        self.offsets
    }
}

/// Places every tensor in the order given, each into the smallest gap that fits; returns the offsets.
pub(super) fn place_in_order(tensors: &[Tensor], order: &[usize]) -> Vec<u64> {
    let mut placed = Placed::new(tensors, Fit::Smallest);
    for &index in order {
        placed.place(index);
    }
    placed.into_offsets()
}

/// The next multiple of `align`, a power of two.
pub(super) fn align_up(bytes: u64, align: u64) -> u64 {
    (bytes + (align - 1)) & !(align - 1)
}
