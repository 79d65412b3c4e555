//! Placement below a capacity, and the smallest capacity for which there is one.
//!
//! Tensors become items in units of their alignment, groups that share no task are placed one after the other, and each
//! group is searched exactly ([`Search`]), in turns: every turn tries items in another order and may take longer than the
//! one before.

use super::search::Random;
use super::skyline::{Item, Search, Verdict};
use super::{Tensor, peak};
use std::cmp::Reverse;

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

/// The best placement known, and what is known about better ones.
pub(super) struct Descent {
    /// Offsets with a smaller peak than what was given, if some were found.
    pub(super) offsets: Option<Vec<u64>>,
    /// Bytes that no placement can go below.
    pub(super) at_least: u64,
}

/// Branches of the first turn.
const FIRST_TURN: u64 = 5_000;

/// Most entries of the lists of what is live in each section. Thousands of items that are live through all of a run have more; they
/// are too many for a search anyhow.
const MOST_LISTED: usize = 1 << 24;

/// Orders in which items are tried.
const ORDERS: usize = 3;

/// Looks for a placement with a smaller peak than `best`, towards `at_least` bytes, which no placement can go below, for at
/// most `budget` steps of work.
pub(super) fn descend(tensors: &[Tensor], mut best: u64, mut at_least: u64, budget: u64) -> Descent {
    let mut offsets = None;
    let mut left = budget;
    // The least capacity is tried first, for half of the work. Then what was not reached and the best close in on each other.
    let mut aim = at_least;
    let mut not_reached = at_least;
    while at_least < best && left > 0 {
        let (outcome, spent) = fit_within(tensors, aim, left.div_ceil(2));
        left -= spent.min(left);
        match outcome {
            Outcome::Fits(found) => {
                best = peak(tensors, &found);
                offsets = Some(found);
            }
            Outcome::Impossible => {
                at_least = aim + 1;
                not_reached = at_least;
            }
            Outcome::Unknown => not_reached = aim + 1,
        }
        // What saves less than a thousandth is not searched for.
        if best.saturating_sub(not_reached) <= best / 1000 {
            break;
        }
        aim = not_reached + (best - not_reached) / 2;
    }
    Descent { offsets, at_least }
}

/// Looks for offsets that keep every tensor below `capacity`, for at most `budget` steps of work.
pub(super) fn fit(tensors: &[Tensor], capacity: u64, budget: u64) -> Outcome {
    fit_within(tensors, capacity, budget).0
}

/// The outcome, and the work that it took.
fn fit_within(tensors: &[Tensor], capacity: u64, budget: u64) -> (Outcome, u64) {
    let mut offsets = vec![0; tensors.len()];
    let mut spent = 0;
    let mut groups = groups(tensors);
    groups.sort_by_key(Vec::len);
    for group in groups {
        let units = Units::new(tensors, &group);
        let Some(items) = units.items(capacity) else { return (Outcome::Impossible, spent) };
        let (outcome, work) = place(&items, budget - spent);
        spent += work;
        match outcome {
            Outcome::Fits(placed) => {
                group.iter().zip(placed).for_each(|(&index, offset)| offsets[index] = offset * units.align);
            }
            // Sizes were rounded up to the largest alignment, so another placement may fit where alignments differ.
            Outcome::Impossible if !units.exact => return (Outcome::Unknown, spent),
            outcome => return (outcome, spent),
        }
    }
    (Outcome::Fits(offsets), spent)
}

/// Tensors that take place, in groups that share no task, each by its first task.
fn groups(tensors: &[Tensor]) -> Vec<Vec<usize>> {
    let mut by_birth: Vec<usize> = (0..tensors.len()).filter(|&i| tensors[i].size_bytes > 0).collect();
    by_birth.sort_by_key(|&i| tensors[i].first);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut end = 0;
    for index in by_birth {
        match groups.last_mut() {
            Some(group) if tensors[index].first <= end => group.push(index),
            _ => groups.push(vec![index]),
        }
        end = end.max(tensors[index].last);
    }
    groups
}

/// A group of tensors in units of its largest alignment.
struct Units<'a> {
    tensors: Vec<&'a Tensor>,
    align: u64,
    /// Whether every placement is one in these units.
    exact: bool,
}

impl<'a> Units<'a> {
    fn new(tensors: &'a [Tensor], group: &[usize]) -> Self {
        let tensors: Vec<&Tensor> = group.iter().map(|&index| &tensors[index]).collect();
        let align = tensors.iter().map(|tensor| tensor.align).max().unwrap_or(1);
        let exact = tensors.iter().all(|tensor| tensor.align == align);
        Self { tensors, align, exact }
    }

    /// The items; none if one alone is too large.
    fn items(&self, capacity: u64) -> Option<Vec<Item>> {
        let mut births: Vec<usize> = self.tensors.iter().map(|tensor| tensor.first).collect();
        births.dedup();
        let item = |tensor: &&Tensor| {
            let highest = capacity.checked_sub(tensor.size_bytes)? / self.align;
            let begun = |task: usize| births.partition_point(|&birth| birth <= task);
            let sections = begun(tensor.first) - 1..begun(tensor.last);
            Some(Item { size: tensor.size_bytes.div_ceil(self.align), highest, sections })
        };
        self.tensors.iter().map(item).collect()
    }
}

/// Offsets of the items in units, and the work that it took.
fn place(items: &[Item], budget: u64) -> (Outcome, u64) {
    let capacity = items.iter().map(|item| item.highest + item.size).max().unwrap_or(0);
    let sections = items.iter().map(|item| item.sections.end).max().unwrap_or(0);
    let branch = (items.len() + sections) as u64;
    if items.iter().map(|item| item.sections.len()).sum::<usize>() > MOST_LISTED {
        return (Outcome::Unknown, 0);
    }
    let mut search = Search::new(items, capacity);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut turn = FIRST_TURN * branch;
    let mut spent = 0;
    for round in 0.. {
        let (verdict, work) = search.run(&rank(items, round, &mut random), turn.min(budget - spent));
        spent += work;
        match verdict {
            Verdict::Placed => return (Outcome::Fits(search.offsets), spent),
            Verdict::Impossible => return (Outcome::Impossible, spent),
            Verdict::Spent if budget - spent < branch => break,
            Verdict::Spent => turn += turn / 10,
        }
    }
    (Outcome::Unknown, spent)
}

/// The place of each item in the order that a round tries: by live range, area or size, largest first, and from the second time
/// on with some of it left to chance.
fn rank(items: &[Item], round: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<(Reverse<u128>, usize)> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let live_range = item.sections.len() as u128;
        let key = match round % ORDERS {
            0 => live_range << 64 | u128::from(item.size),
            1 => (live_range * u128::from(item.size)) << 16 | live_range,
            _ => u128::from(item.size) << 32 | live_range,
        };
        let chance = if round < ORDERS { 0 } else { random.below(100) as u128 };
        order.push((Reverse(key / 1024 * (1024 - chance)), index));
    }
    order.sort_unstable();
    let mut rank = vec![0; items.len()];
    order.iter().enumerate().for_each(|(at, &(_, index))| rank[index] = at);
    rank
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
                    is_smallest: false,
                };
                assert_eq!(check(&plan, tensors), Ok(()));
                Some(offsets)
            }
            Outcome::Impossible => None,
            Outcome::Unknown => panic!("a small problem is decided"),
        }
    }

    /// A generator of small numbers.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 1_u64;
        move |limit| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
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
        let mut next = numbers();
        for _ in 0..600 {
            let align = 1 << next(2);
            let tensors: Vec<Tensor> = (0..6)
                .map(|_| {
                    let first = next(5) as usize;
                    Tensor { align, ..tensor(next(4), first, first + next(4) as usize) }
                })
                .collect();
            for capacity in 3..11 {
                let expected = exists(&tensors, capacity, &mut Vec::new());
                assert_eq!(offsets(&tensors, capacity).is_some(), expected, "{tensors:?} in {capacity}");
            }
        }
    }

    #[test]
    fn where_alignments_differ_what_is_found_is_right_and_nothing_is_called_impossible_that_is_not() {
        let mut next = numbers();
        for _ in 0..300 {
            let tensors: Vec<Tensor> = (0..5)
                .map(|_| {
                    let first = next(4) as usize;
                    let align = 1 << next(3);
                    Tensor { align, ..tensor(next(4), first, first + next(3) as usize) }
                })
                .collect();
            for capacity in 3..12 {
                let expected = exists(&tensors, capacity, &mut Vec::new());
                match fit(&tensors, capacity, 10_000_000) {
                    Outcome::Fits(_) => assert!(expected && offsets(&tensors, capacity).is_some()),
                    Outcome::Impossible => assert!(!expected, "{tensors:?} in {capacity}"),
                    Outcome::Unknown => {}
                }
            }
        }
    }

    #[test]
    fn a_descent_ends_at_the_smallest_capacity_and_knows_it() {
        let mut next = numbers();
        for _ in 0..200 {
            let tensors: Vec<Tensor> = (0..7)
                .map(|_| {
                    let first = next(6) as usize;
                    tensor(1 + next(5), first, first + next(4) as usize)
                })
                .collect();
            let at_least = crate::memory::lower_bound(&tensors);
            let all: u64 = tensors.iter().map(|tensor| tensor.size_bytes).sum();
            let descent = descend(&tensors, all + 1, at_least, 10_000_000);
            let found = peak(&tensors, &descent.offsets.expect("side by side they fit"));
            assert_eq!(found, descent.at_least);
            assert!(found == at_least || offsets(&tensors, found - 1).is_none());
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
        assert_eq!(fit(&tensors, 600, 0), Outcome::Unknown);
        assert!(offsets(&tensors, 600).is_some());
    }
}
