//! Bounded search over placement orders.
//!
//! Every order is placed lowest first. Whoever does not fit below the best peak so far moves forward in the order, before
//! a tensor in its way, and everything is placed again; an order that leads nowhere for long is dropped for the best one.
//! The work is bounded by a count of comparisons and the choices are seeded, so that the same tensors give the same plan
//! on every machine.

use super::Tensor;
use super::greedy::{Fit, Placed};
use super::peak;

/// Orders tried at most, for each tensor: small problems are exhausted long before the budget.
const ROUNDS_PER_TENSOR: usize = 2_000;

/// Orders tried from one starting point without a better plan.
const PATIENCE: u32 = 5_000;

/// Better offsets than `best`, found from `order` on, if there are any. Stops early at `target` bytes, which no plan can
/// go below, and after `budget` comparisons.
pub(super) fn improve(
    tensors: &[Tensor],
    mut order: Vec<usize>,
    mut best: Vec<u64>,
    target: u64,
    budget: u64,
) -> Vec<u64> {
    let mut best_peak = peak(tensors, &best);
    let mut best_order = order.clone();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut fruitless = 0;
    let mut work = 0;
    for _ in 0..tensors.len() * ROUNDS_PER_TENSOR {
        if work >= budget || best_peak <= target {
            break;
        }
        match place_below(tensors, &order, best_peak) {
            Ok(offsets) => {
                work += comparisons(order.len());
                best_peak = peak(tensors, &offsets);
                best = offsets;
                best_order.clone_from(&order);
                fruitless = 0;
            }
            Err(_) if fruitless == PATIENCE => {
                order.clone_from(&best_order);
                fruitless = 0;
            }
            Err(at) => {
                work += comparisons(at + 1);
                fruitless += 1;
                let stuck = &tensors[order[at]];
                let in_its_way = (0..at).filter(|&before| stuck.meets(&tensors[order[before]]));
                let in_its_way: Vec<usize> = in_its_way.collect();
                if in_its_way.is_empty() {
                    break;
                }
                order[in_its_way[random.below(in_its_way.len())]..=at].rotate_right(1);
            }
        }
    }
    best
}

/// Comparisons that placing so many tensors costs.
fn comparisons(tensors: usize) -> u64 {
    let tensors = tensors as u64;
    tensors * (tensors + 1) / 2
}

/// Offsets with a peak below `limit`, or the position in `order` of the first tensor that does not fit.
fn place_below(tensors: &[Tensor], order: &[usize], limit: u64) -> Result<Vec<u64>, usize> {
    let mut placed = Placed::new(tensors, Fit::Lowest);
    match order.iter().position(|&index| placed.place(index) >= limit) {
        Some(at) => Err(at),
        None => Ok(placed.into_offsets()),
    }
}

/// Xorshift: enough to break cycles, the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `limit`, which is not zero.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
