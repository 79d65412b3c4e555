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

    /// The tensors that they consist of.
    fn tensors(&self) -> &[Tensor];

    /// Places one; where it starts and ends.
    fn place(&self, placed: &mut Placed<'_>, which: usize) -> (u64, u64);

    /// Takes one out again.
    fn take_out(&self, placed: &mut Placed<'_>, which: usize);

    /// Whether two are needed at once.
    fn meet(&self, a: usize, b: usize) -> bool;
}

impl Packing for [Tensor] {
    fn count(&self) -> usize {
        self.len()
    }

    fn tensors(&self) -> &[Tensor] {
        self
    }

    fn place(&self, placed: &mut Placed<'_>, which: usize) -> (u64, u64) {
        let end = placed.place(which);
        (placed.offset(which), end)
    }

    fn take_out(&self, placed: &mut Placed<'_>, which: usize) {
        placed.take_out(which);
    }

    fn meet(&self, a: usize, b: usize) -> bool {
        self[a].meets(&self[b])
    }
}

/// A placement in some order, as far as it goes. Orders that begin alike share what is placed first.
struct Progress<'a, P: Packing + ?Sized> {
    packing: &'a P,
    placed: Placed<'a>,
    /// Those placed, each with where it starts and where all up to it end.
    done: Vec<(usize, u64, u64)>,
}

impl<'a, P: Packing + ?Sized> Progress<'a, P> {
    fn new(packing: &'a P) -> Self {
        let placed = Placed::new(packing.tensors(), Fit::Lowest);
        Self { packing, placed, done: Vec::with_capacity(packing.count()) }
    }

    /// Takes back all but the first `count`.
    fn back_to(&mut self, count: usize) {
        for (which, ..) in self.done.drain(count.min(self.done.len())..) {
            self.packing.take_out(&mut self.placed, which);
        }
    }

    /// Places what is left of an order. Where the last ends, below `limit`; or the position of the first that does not fit.
    fn place_below(&mut self, order: &[usize], limit: u64) -> Result<u64, usize> {
        let alike = self
            .done
            .iter()
            .zip(order)
            .take_while(|((which, _, end), other)| which == *other && *end < limit);
        self.back_to(alike.count());
        for (at, &which) in order.iter().enumerate().skip(self.done.len()) {
            let (start, end) = self.packing.place(&mut self.placed, which);
            let end = self.done.last().map_or(end, |&(_, _, before)| end.max(before));
            if end >= limit {
                self.packing.take_out(&mut self.placed, which);
                return Err(at);
            }
            self.done.push((which, start, end));
        }
        Ok(self.done.last().map_or(0, |&(_, _, end)| end))
    }

    /// Where each starts.
    fn starts(&self) -> Vec<u64> {
        let mut starts = vec![0; self.packing.count()];
        self.done.iter().for_each(|&(which, start, _)| starts[which] = start);
        starts
    }
}

/// Where each starts in an order's placement and where the last ends, if that is below `limit`.
pub(super) fn place_below<P: Packing + ?Sized>(
    packing: &P,
    order: &[usize],
    limit: u64,
) -> Option<(Vec<u64>, u64)> {
    let mut progress = Progress::new(packing);
    let peak = progress.place_below(order, limit).ok()?;
    Some((progress.starts(), peak))
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
    let mut progress = Progress::new(packing);
    for _ in 0..packing.count() * ROUNDS_PER_TENSOR {
        if work >= budget || best_peak <= target {
            break;
        }
        match progress.place_below(&order, best_peak) {
            Ok(peak) => {
                work += comparisons(order.len());
                best_peak = peak;
                best = Some(progress.starts());
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
