//! Tensors and textures by their live ranges: which of them some range of tasks needs, without looking at the others.

/// A set of live ranges, all of which is known from the start.
pub(super) struct Alive {
    /// First task of each, ascending, and which it is.
    by_first: Vec<(usize, usize)>,
    /// Place of each in that order.
    place: Vec<usize>,
    /// A binary tree over that order: one more than the last task of any below, 0 where there is none.
    ends: Vec<usize>,
    leaves: usize,
}

impl Alive {
    /// The empty set of some that begin with these tasks.
    pub(super) fn new(firsts: impl Iterator<Item = usize>) -> Self {
        let mut by_first: Vec<(usize, usize)> = firsts.zip(0..).collect();
        by_first.sort_unstable();
        let mut place = vec![0; by_first.len()];
        by_first.iter().enumerate().for_each(|(at, &(_, index))| place[index] = at);
        let leaves = by_first.len().next_power_of_two();
        Self { by_first, place, ends: vec![0; 2 * leaves], leaves }
    }

    /// Adds one that ends with a task.
    pub(super) fn add(&mut self, index: usize, last: usize) {
        self.set_end(index, last.saturating_add(1));
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, index: usize) {
        self.set_end(index, 0);
    }

    fn set_end(&mut self, index: usize, end: usize) {
        let mut at = self.leaves + self.place[index];
        self.ends[at] = end;
        while at > 1 {
            at /= 2;
            self.ends[at] = self.ends[2 * at].max(self.ends[2 * at + 1]);
        }
    }

    /// Those that some task of `first..=last` needs, by their first tasks; none where there are more than `most`.
    pub(super) fn meeting(&self, first: usize, last: usize, most: usize) -> Option<Vec<usize>> {
        let born = self.by_first.partition_point(|&(born, _)| born <= last);
        let mut found = Vec::new();
        // Nodes of the tree, each with the first leaf below it and how many there are.
        let mut open = vec![(1, 0, self.leaves)];
        while let Some((node, from, count)) = open.pop() {
            if from >= born || self.ends[node] <= first {
                continue;
            }
            if count > 1 {
                let half = count / 2;
                open.push((2 * node + 1, from + half, half));
                open.push((2 * node, from, half));
            } else if found.len() == most {
                return None;
            } else {
                found.push(self.by_first[from].1);
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Tensor;
    use crate::memory::search::Random;

    #[test]
    fn what_a_range_of_tasks_needs_is_found() {
        let mut random = Random(5);
        for count in [0, 1, 2, 7, 40] {
            let live_ranges: Vec<(usize, usize)> =
                (0..count).map(|_| random.below(20)).map(|first| (first, first + first % 7)).collect();
            let tensor = |&(first, last): &(usize, usize)| Tensor { size_bytes: 1, first, last, align: 1 };
            let tensors: Vec<Tensor> = live_ranges.iter().map(tensor).collect();
            let mut alive = Alive::new(tensors.iter().map(|tensor| tensor.first));
            let mut held = vec![false; count];
            for _ in 0..200 {
                if count > 0 {
                    let index = random.below(count);
                    held[index] = !held[index];
                    if held[index] { alive.add(index, tensors[index].last) } else { alive.remove(index) }
                }
                let first = random.below(25);
                let probe = tensor(&(first, first + random.below(4)));
                let expected: Vec<usize> =
                    (0..count).filter(|&index| held[index] && tensors[index].meets(&probe)).collect();
                let mut found = alive.meeting(probe.first, probe.last, usize::MAX).unwrap();
                found.sort_unstable();
                assert_eq!(found, expected);
                let few = alive.meeting(probe.first, probe.last, 2);
                assert_eq!(few.is_none(), expected.len() > 2);
            }
        }
    }
}
