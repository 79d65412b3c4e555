//! Placement of tensors that keep their distances: parts of one storage whose live ranges differ.

use super::greedy::{self, Placed};
use super::search::{self, Packing};
use super::{Effort, MemoryError, Plan, Strategy, Tensor, check, lower_bound, peak, total_bytes};

/// Tensors by their index, each at a distance in bytes from where the group starts.
pub type Group = Vec<(usize, u64)>;

/// Places all tensors in one arena, those of each group at their distances. Every tensor belongs to exactly one group,
/// and distances are multiples of its alignment.
pub fn plan_groups(tensors: &[Tensor], groups: &[Group], effort: Effort) -> Result<Plan, MemoryError> {
    let naive_bytes = total_bytes(tensors)?;
    let lower_bound_bytes = lower_bound(tensors);
    let as_plan = |strategy, starts: &[u64]| {
        let mut offsets = vec![0; tensors.len()];
        for (group, start) in groups.iter().zip(starts) {
            group.iter().for_each(|&(index, distance)| offsets[index] = start + distance);
        }
        let peak_bytes = peak(tensors, &offsets);
        let is_smallest = peak_bytes == lower_bound_bytes;
        Plan { peak_bytes, offsets, naive_bytes, lower_bound_bytes, strategy, is_smallest }
    };
    // First as if every part were needed for as long as any part of its group.
    let hulls: Vec<Tensor> = groups.iter().map(|group| hull(tensors, group)).collect();
    let hull_plan = super::plan(&hulls, effort)?;
    let mut best = as_plan(hull_plan.strategy, &hull_plan.offsets);
    if groups.iter().all(|group| group.len() == 1) {
        best.is_smallest = hull_plan.is_smallest;
        return Ok(best);
    }
    let rigid = Rigid { tensors, groups };
    type Ordered = fn(&[Tensor]) -> Vec<usize>;
    let orders: [(Strategy, Ordered); 2] =
        [(Strategy::BySize, greedy::size_order), (Strategy::ByBreadth, greedy::breadth_order)];
    for (strategy, ordered) in orders {
        if best.peak_bytes == lower_bound_bytes {
            break;
        }
        let order = ordered(&hulls);
        if let Some((starts, peak_bytes)) = search::place_below(&rigid, &order, best.peak_bytes) {
            debug_assert!(peak_bytes < best.peak_bytes);
            best = as_plan(strategy, &starts);
        }
        if let Effort::Search { budget } = effort
            && best.peak_bytes > lower_bound_bytes
        {
            let found = search::improve(&rigid, order, best.peak_bytes, lower_bound_bytes, budget / 4);
            best = found.map_or(best, |starts| as_plan(Strategy::Search, &starts));
        }
    }
    debug_assert_eq!(check(&best, tensors), Ok(()));
    Ok(best)
}

/// One tensor in the place of all tensors of a group, for all their live ranges.
fn hull(tensors: &[Tensor], group: &Group) -> Tensor {
    let mut hull = Tensor { size_bytes: 0, first: usize::MAX, last: 0, align: 1 };
    for &(index, distance) in group {
        let tensor = &tensors[index];
        hull.size_bytes = hull.size_bytes.max(distance.saturating_add(tensor.size_bytes));
        hull.first = hull.first.min(tensor.first);
        hull.last = hull.last.max(tensor.last);
        hull.align = hull.align.max(tensor.align);
    }
    hull
}

struct Rigid<'a> {
    tensors: &'a [Tensor],
    groups: &'a [Group],
}

impl Packing for Rigid<'_> {
    fn count(&self) -> usize {
        self.groups.len()
    }

    fn tensors(&self) -> &[Tensor] {
        self.tensors
    }

    fn place(&self, placed: &mut Placed<'_>, which: usize) -> (u64, u64) {
        placed.place_group(&self.groups[which])
    }

    fn take_out(&self, placed: &mut Placed<'_>, which: usize) {
        self.groups[which].iter().for_each(|&(index, _)| placed.take_out(index));
    }

    fn meet(&self, a: usize, b: usize) -> bool {
        let parts = |group: usize| self.groups[group].iter().map(|&(index, _)| &self.tensors[index]);
        parts(a).any(|one| parts(b).any(|other| one.meets(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(size_bytes: u64, first: usize, last: usize) -> Tensor {
        Tensor { size_bytes, first, last, align: 1 }
    }

    /// The upper half of a storage is needed late: until then another tensor is there.
    #[test]
    fn a_part_leaves_its_place_to_others_until_it_is_needed() {
        let tensors = [tensor(4, 0, 9), tensor(4, 8, 9), tensor(4, 1, 3), tensor(4, 4, 7)];
        let groups = [vec![(0, 0), (1, 4)], vec![(2, 0)], vec![(3, 0)]];
        let plan = plan_groups(&tensors, &groups, Effort::Greedy).unwrap();
        assert_eq!((plan.peak_bytes, plan.lower_bound_bytes, plan.is_smallest), (8, 8, true));
        assert_eq!(plan.offsets[1], plan.offsets[0] + 4);
        check(&plan, &tensors).unwrap();
    }

    #[test]
    fn random_groups_keep_their_distances_and_share_no_byte() {
        let mut random = search::Random(7);
        for _ in 0..200 {
            let (mut tensors, mut groups) = (Vec::new(), Vec::new());
            for _ in 0..12 {
                let mut group = Vec::new();
                let mut distance = 0;
                for _ in 0..1 + random.below(3) {
                    let first = random.below(12);
                    let size_bytes = 1 + random.below(9) as u64 * 4;
                    group.push((tensors.len(), distance));
                    tensors.push(Tensor { align: 4, ..tensor(size_bytes, first, first + random.below(6)) });
                    distance += size_bytes.next_multiple_of(4);
                }
                groups.push(group);
            }
            for effort in [Effort::Greedy, Effort::Search { budget: 100_000 }] {
                let plan = plan_groups(&tensors, &groups, effort).unwrap();
                check(&plan, &tensors).unwrap();
                assert!(
                    plan.peak_bytes >= plan.lower_bound_bytes
                        && plan.peak_bytes <= plan.naive_bytes + 12 * 12
                );
                for group in &groups {
                    let start = plan.offsets[group[0].0];
                    assert!(group.iter().all(|&(index, distance)| plan.offsets[index] == start + distance));
                }
            }
        }
    }
}
