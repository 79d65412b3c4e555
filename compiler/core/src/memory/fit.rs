//! Exact search for a placement below a capacity.
//!
//! The ideas are those of MiniMalloc (Moffitt, ASPLOS 2023): tensors are placed in the order of their offsets, each resting
//! on what is below it, so that every packing that can be pushed down is met once. A branch ends as soon as some task needs
//! more than is left above the floor that its unplaced tensors have, or when a tensor would leave room below itself that
//! another one could have filled. Tensors that no longer share a task are placed independently of each other. Several
//! static orders take turns, each with more work than before.

use super::{Tensor, greedy};
use std::cmp::Reverse;
use std::ops::Range;

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Offsets below the capacity.
    Fits(Vec<u64>),
    /// There are none.
    Impossible,
    /// The work was spent before either was known.
    Unknown,
}

/// Work of the first turn of an order.
const FIRST_TURN: u64 = 1 << 20;

/// Looks for offsets that keep every tensor below `capacity`, for at most `budget` steps of work.
pub(super) fn fit(tensors: &[Tensor], capacity: u64, budget: u64) -> Outcome {
    let problem = Problem::new(tensors, capacity);
    let orders = problem.orders();
    let mut left = budget;
    let mut turn = FIRST_TURN;
    while left > 0 {
        for order in &orders {
            let work = turn.min(left);
            let mut search = Search::new(&problem, order, work);
            match search.place_all() {
                Verdict::Placed => return Outcome::Fits(search.offsets),
                Verdict::Impossible => return Outcome::Impossible,
                Verdict::Spent => left -= work,
            }
        }
        turn = turn.saturating_mul(2);
    }
    Outcome::Unknown
}

/// What does not change during a search.
struct Problem<'a> {
    tensors: &'a [Tensor],
    capacity: u64,
    /// Tensors that take place at all.
    sized: Vec<usize>,
    /// Sections of time between births and deaths that each tensor lives in.
    sections: Vec<Range<usize>>,
    section_count: usize,
    /// Tensors that each tensor meets.
    meets: Vec<Vec<usize>>,
}

impl<'a> Problem<'a> {
    fn new(tensors: &'a [Tensor], capacity: u64) -> Self {
        let sized: Vec<usize> = (0..tensors.len()).filter(|&i| tensors[i].size_bytes > 0).collect();
        // Only births begin a section in which more is alive than in the one before.
        let (births, _) = greedy::breadths(tensors);
        let section = |task: usize| births.partition_point(|&birth| birth <= task);
        let sections = tensors.iter().map(|t| section(t.first) - 1..section(t.last)).collect();
        let meets = (0..tensors.len())
            .map(|i| sized.iter().copied().filter(|&j| j != i && tensors[i].meets(&tensors[j])).collect())
            .collect();
        Self { tensors, capacity, sized, sections, section_count: births.len(), meets }
    }

    /// Orders in which tensors are tried: by life, by the bytes live around them, by area and by size, largest first.
    fn orders(&self) -> Vec<Vec<usize>> {
        let mut live = vec![0; self.section_count];
        for &i in &self.sized {
            live[self.sections[i].clone()].iter_mut().for_each(|bytes| *bytes += self.tensors[i].size_bytes);
        }
        let size = |i: usize| self.tensors[i].size_bytes;
        let width = |i: usize| (self.tensors[i].last - self.tensors[i].first + 1) as u64;
        let area = |i: usize| u128::from(width(i)) * u128::from(self.tensors[i].size_bytes);
        let total = |i: usize| live[self.sections[i].clone()].iter().copied().max().unwrap_or(0);
        let sorted = |key: &dyn Fn(usize) -> [u128; 3]| {
            let mut order = self.sized.clone();
            order.sort_by_key(|&i| Reverse(key(i)));
            order
        };
        vec![
            sorted(&|i| [u128::from(width(i)), area(i), u128::from(total(i))]),
            sorted(&|i| [u128::from(total(i)), area(i), u128::from(width(i))]),
            sorted(&|i| [u128::from(total(i)), u128::from(width(i)), area(i)]),
            sorted(&|i| [area(i), u128::from(total(i)), u128::from(width(i))]),
            sorted(&|i| [u128::from(size(i)), u128::from(width(i)), u128::from(total(i))]),
        ]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Placed,
    Impossible,
    Spent,
}

/// A branch of the search.
struct Search<'a> {
    problem: &'a Problem<'a>,
    /// Position of each tensor in the order that is followed.
    rank: Vec<usize>,
    order: &'a [usize],
    work: u64,
    offsets: Vec<u64>,
    /// Lowest offset that the tensors placed so far leave.
    lowest: Vec<u64>,
    /// Bytes of unplaced tensors in each section.
    waiting: Vec<u64>,
    /// Unplaced tensors that live in a section and in the next one.
    crossing: Vec<u32>,
    /// Scratch: lowest offset of an unplaced tensor in each section.
    floor: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem<'a>, order: &'a [usize], work: u64) -> Self {
        let count = problem.tensors.len();
        let mut rank = vec![0; count];
        order.iter().enumerate().for_each(|(at, &index)| rank[index] = at);
        let mut waiting = vec![0; problem.section_count];
        for &i in &problem.sized {
            waiting[problem.sections[i].clone()]
                .iter_mut()
                .for_each(|bytes| *bytes += problem.tensors[i].size_bytes);
        }
        let mut crossing = vec![0; problem.section_count];
        for &i in &problem.sized {
            let Range { start, end } = problem.sections[i];
            crossing[start..end - 1].iter_mut().for_each(|tensors| *tensors += 1);
        }
        Self {
            problem,
            rank,
            order,
            work,
            offsets: vec![0; count],
            lowest: vec![0; count],
            waiting,
            crossing,
            floor: vec![0; problem.section_count],
        }
    }

    fn place_all(&mut self) -> Verdict {
        self.place_parts(self.order.to_vec(), (0, 0))
    }

    /// Places tensors whose offsets are at least that of `last`, part by part where they fall apart in time. What was
    /// placed is taken back unless everything was.
    fn place_parts(&mut self, unplaced: Vec<usize>, last: (u64, usize)) -> Verdict {
        let mut parts = self.parts(unplaced);
        if let [part] = &mut parts[..] {
            return self.place(std::mem::take(part), last);
        }
        // A small part is the fastest to be found impossible.
        parts.sort_by_key(Vec::len);
        let before = (self.lowest.clone(), self.waiting.clone(), self.crossing.clone());
        for part in parts {
            let verdict = self.place(part, last);
            if verdict != Verdict::Placed {
                (self.lowest, self.waiting, self.crossing) = before;
                return verdict;
            }
        }
        Verdict::Placed
    }

    /// Groups of tensors that share no section with each other, each in the order followed.
    fn parts(&self, unplaced: Vec<usize>) -> Vec<Vec<usize>> {
        let mut by_birth = unplaced;
        by_birth.sort_unstable_by_key(|&i| self.problem.sections[i].start);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut end = 0;
        for index in by_birth {
            let sections = &self.problem.sections[index];
            match parts.last_mut() {
                Some(part) if sections.start < end => part.push(index),
                _ => parts.push(vec![index]),
            }
            end = end.max(sections.end);
        }
        for part in &mut parts {
            part.sort_unstable_by_key(|&i| self.rank[i]);
        }
        parts
    }

    /// Places the tensors of one part.
    fn place(&mut self, unplaced: Vec<usize>, last: (u64, usize)) -> Verdict {
        let Some(ceiling) =
            unplaced.iter().map(|&i| self.lowest[i] + self.problem.tensors[i].size_bytes).min()
        else {
            return Verdict::Placed;
        };
        if !self.may_fit(&unplaced, last.0) {
            return Verdict::Impossible;
        }
        // Who starts above `ceiling` leaves room that another could have filled.
        let here = |index: usize| (self.lowest[index], self.rank[index] + 1);
        let open = |&index: &usize| self.lowest[index] < ceiling && here(index) > last;
        let mut candidates: Vec<usize> = unplaced.iter().copied().filter(open).collect();
        candidates.sort_by_key(|&index| here(index));
        for &index in &candidates {
            let offset = self.lowest[index];
            let here = (offset, self.rank[index] + 1);
            let steps = self.problem.meets[index].len() as u64 + unplaced.len() as u64;
            if self.work < steps {
                return Verdict::Spent;
            }
            self.work -= steps;
            let raised = self.put(index, offset);
            let rest: Vec<usize> = unplaced.iter().copied().filter(|&other| other != index).collect();
            // The part stays whole unless a boundary in the tensor's life is crossed by nobody any more.
            let Range { start, end } = self.problem.sections[index];
            let whole = self.crossing[start..end - 1].iter().all(|&tensors| tensors > 0);
            let verdict = if whole { self.place(rest, here) } else { self.place_parts(rest, here) };
            if verdict != Verdict::Impossible {
                return verdict;
            }
            self.take_back(index, raised);
        }
        Verdict::Impossible
    }

    /// Whether every section can still hold what waits for it, above the lowest offset that anything waiting has there.
    fn may_fit(&mut self, unplaced: &[usize], last: u64) -> bool {
        let Problem { tensors, capacity, sections, .. } = self.problem;
        let mut steps = 0;
        for &index in unplaced {
            self.floor[sections[index].clone()].fill(u64::MAX);
        }
        for &index in unplaced {
            let lowest = self.lowest[index].max(last);
            if self.lowest[index] + tensors[index].size_bytes > *capacity {
                return false;
            }
            for floor in &mut self.floor[sections[index].clone()] {
                *floor = lowest.min(*floor);
            }
            steps += sections[index].len() as u64;
        }
        self.work = self.work.saturating_sub(steps / 8);
        unplaced.iter().all(|&index| {
            let range = sections[index].clone();
            let floors = self.floor[range.clone()].iter().zip(&self.waiting[range]);
            floors.into_iter().all(|(floor, waiting)| floor + waiting <= *capacity)
        })
    }

    /// Places a tensor; returns who was raised by it, and from where.
    fn put(&mut self, index: usize, offset: u64) -> Vec<(usize, u64)> {
        let tensor = &self.problem.tensors[index];
        let end = offset + tensor.size_bytes;
        self.offsets[index] = offset;
        for waiting in &mut self.waiting[self.problem.sections[index].clone()] {
            *waiting -= tensor.size_bytes;
        }
        let Range { start, end: sections_end } = self.problem.sections[index];
        self.crossing[start..sections_end - 1].iter_mut().for_each(|tensors| *tensors -= 1);
        let mut raised = Vec::new();
        for &other in &self.problem.meets[index] {
            let lowest = end.next_multiple_of(self.problem.tensors[other].align);
            if self.lowest[other] < lowest {
                raised.push((other, self.lowest[other]));
                self.lowest[other] = lowest;
            }
        }
        raised
    }

    fn take_back(&mut self, index: usize, raised: Vec<(usize, u64)>) {
        let size = self.problem.tensors[index].size_bytes;
        for waiting in &mut self.waiting[self.problem.sections[index].clone()] {
            *waiting += size;
        }
        let Range { start, end } = self.problem.sections[index];
        self.crossing[start..end - 1].iter_mut().for_each(|tensors| *tensors += 1);
        for (other, lowest) in raised {
            self.lowest[other] = lowest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Plan, Strategy, check};

    fn tensor(size_bytes: u64, first: usize, last: usize) -> Tensor {
        Tensor { size_bytes, first, last, align: 1 }
    }

    fn offsets(tensors: &[Tensor], capacity: u64) -> Option<Vec<u64>> {
        match fit(tensors, capacity, 10_000_000) {
            Outcome::Fits(offsets) => {
                let plan = Plan {
                    offsets: offsets.clone(),
                    peak_bytes: capacity,
                    naive_bytes: 0,
                    lower_bound_bytes: 0,
                    strategy: Strategy::Fit,
                };
                assert_eq!(check(&plan, tensors), Ok(()));
                Some(offsets)
            }
            Outcome::Impossible => None,
            Outcome::Unknown => panic!("a small problem is decided"),
        }
    }

    /// The greedy orders need 5; pushed together with the long one on top, all fit into 4.
    #[test]
    fn what_greedy_orders_miss_is_found() {
        let tensors = [
            tensor(2, 0, 1),
            tensor(1, 1, 3),
            tensor(2, 3, 4),
            tensor(1, 0, 2),
            tensor(1, 2, 4),
            tensor(1, 4, 4),
            tensor(1, 0, 0),
        ];
        assert!(offsets(&tensors, 4).is_some());
        assert!(offsets(&tensors, 3).is_none());
    }

    #[test]
    fn every_small_problem_is_decided_as_trying_all_offsets_decides_it() {
        let mut state = 1_u64;
        let mut next = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        for _ in 0..300 {
            let tensors: Vec<Tensor> = (0..5)
                .map(|_| {
                    let first = next(4) as usize;
                    let align = 1 << next(2);
                    Tensor { align, ..tensor(next(4), first, first + next(3) as usize) }
                })
                .collect();
            for capacity in 3..9 {
                let expected = exists(&tensors, capacity, &mut Vec::new());
                assert_eq!(offsets(&tensors, capacity).is_some(), expected, "{tensors:?} in {capacity}");
            }
        }
    }

    /// Tries every offset of every tensor.
    fn exists(tensors: &[Tensor], capacity: u64, placed: &mut Vec<u64>) -> bool {
        let Some(tensor) = tensors.get(placed.len()) else { return true };
        if tensor.size_bytes == 0 {
            placed.push(0);
            let found = exists(tensors, capacity, placed);
            placed.pop();
            return found;
        }
        (0..=capacity.saturating_sub(tensor.size_bytes)).any(|offset| {
            let end = offset + tensor.size_bytes;
            let clash = placed.iter().zip(tensors).any(|(&other, against)| {
                against.size_bytes > 0
                    && tensor.meets(against)
                    && offset < other + against.size_bytes
                    && other < end
            });
            if clash || end > capacity || !offset.is_multiple_of(tensor.align) {
                return false;
            }
            placed.push(offset);
            let found = exists(tensors, capacity, placed);
            placed.pop();
            found
        })
    }

    #[test]
    fn work_is_bounded() {
        let tensors: Vec<Tensor> =
            (0..60).map(|n| tensor(7 + n % 11, n as usize / 4, n as usize / 4 + 9)).collect();
        assert_eq!(fit(&tensors, 1, 0), Outcome::Unknown);
        assert_ne!(fit(&tensors, 300, 1000), Outcome::Fits(Vec::new()));
    }
}
