//! Bounded search over placement orders.
//!
//! Every order is placed lowest first. Whoever does not fit below the best peak so far moves forward in the order, before
//! a tensor in its way, and everything is placed again; an order that leads nowhere for long is dropped for the best one.
//! The work is bounded by a count of comparisons and the choices are seeded, so that the same tensors give the same plan
//! on every machine.

use super::Tensor;
use super::greedy::{Fit, Placed};

/// Orders tried at most, for each tensor: small problems are exhausted long before the budget.
const ROUNDS_PER_TENSOR: usize = 2_000;

/// Orders tried from one starting point without a better plan.
const PATIENCE: u32 = 5_000;

/// What is placed in some order: tensors, or groups of them.
pub(super) trait Packing {
    /// How many there are.
    fn count(&self) -> usize;

    /// Where each starts and where the last ends, below `limit`; or the position in `order` of the first that does not fit.
    fn place_below(&self, order: &[usize], limit: u64) -> Result<(Vec<u64>, u64), usize>;

    /// Whether two are needed at once.
    fn meet(&self, a: usize, b: usize) -> bool;
}

impl Packing for [Tensor] {
    fn count(&self) -> usize {
        self.len()
    }

    fn place_below(&self, order: &[usize], limit: u64) -> Result<(Vec<u64>, u64), usize> {
        let mut placed = Placed::new(self, Fit::Lowest);
        let mut highest = 0;
        for (at, &index) in order.iter().enumerate() {
            highest = placed.place(index).max(highest);
            if highest >= limit {
                return Err(at);
            }
        }
        Ok((placed.into_offsets(), highest))
    }

    fn meet(&self, a: usize, b: usize) -> bool {
        self[a].meets(&self[b])
    }
}

/// Where each starts in a placement below `best_peak`, found from `order` on, if there is any. Stops early at `target`
/// bytes, which no placement can go below, and after `budget` comparisons.
pub(super) fn improve<P: Packing + ?Sized>(
    packing: &P,
    mut order: Vec<usize>,
    mut best_peak: u64,
    target: u64,
    budget: u64,
) -> Option<Vec<u64>> {
    let mut best = None;
    let mut best_order = order.clone();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut fruitless = 0;
    let mut work = 0;
    for _ in 0..packing.count() * ROUNDS_PER_TENSOR {
        if work >= budget || best_peak <= target {
            break;
        }
        match packing.place_below(&order, best_peak) {
            Ok((starts, peak)) => {
                work += comparisons(order.len());
                best_peak = peak;
                best = Some(starts);
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
                let in_its_way = (0..at).filter(|&before| packing.meet(order[at], order[before]));
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
