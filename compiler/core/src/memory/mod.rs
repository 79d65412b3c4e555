//! Chooses the place of every activation: byte offsets in one arena, or shared objects for textures.
//!
//! The input is sizes and live ranges, nothing else: this module knows no graph, no kernel and no device. A live range is a range of
//! task indices, both ends inclusive, and two tensors whose live ranges meet never share a byte. [`plan`] runs every strategy
//! and keeps the smallest result; [`check`] proves a plan right and runs on every plan in debug builds.

mod alive;
mod bag;
mod fit;
mod greedy;
pub mod minimalloc;
pub mod objects;
mod rigid;
mod search;
mod skyline;
mod sweep;
#[cfg(test)]
mod tests;

pub use bag::Bag;
pub use objects::{Object, ObjectPlan, Texture, check_objects, shared_objects};
pub use rigid::{Group, plan_groups};

use std::collections::BTreeMap;
use thiserror::Error;

/// Every range that a dispatch binds starts at a multiple of this many bytes.
pub const BINDING_ALIGN_BYTES: u64 = 256;

/// A tensor to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Bytes that it needs; zero needs no place and gets offset 0.
    pub size_bytes: u64,
    /// Task that first writes it.
    pub first: usize,
    /// Task that last touches it, inclusive.
    pub last: usize,
    /// Its offset is a multiple of this power of two.
    pub align: u64,
}

impl Tensor {
    /// Whether some task needs both tensors at once.
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// How a plan was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Largest tensor first, each into the smallest gap that fits.
    BySize,
    /// Tasks by the bytes live in them, largest first; the tensors of a task largest first.
    ByBreadth,
    /// In order of time, each tensor into the smallest gap that is free; for thousands of tensors.
    ByTime,
    /// Bounded search over placement orders, from the better greedy order.
    Search,
    /// Exact search for a placement below a capacity.
    Fit,
}

impl Strategy {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BySize => "by-size",
            Self::ByBreadth => "by-breadth",
            Self::ByTime => "by-time",
            Self::Search => "search",
            Self::Fit => "fit",
        }
    }
}

/// Offsets of all tensors in one arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Byte offset of each tensor, in the order given.
    pub offsets: Vec<u64>,
    /// Bytes that the arena needs.
    pub peak_bytes: u64,
    /// Bytes without any sharing: the sum of all sizes.
    pub naive_bytes: u64,
    /// Bytes that no plan can go below: the most that one task needs.
    pub lower_bound_bytes: u64,
    /// Strategy that gave this plan.
    pub strategy: Strategy,
    /// Whether it was proved that no plan is smaller.
    pub is_smallest: bool,
}

impl Plan {
    /// Whether less than a thousandth could be saved, which nothing is searched for.
    fn is_close(&self) -> bool {
        self.peak_bytes - self.lower_bound_bytes <= self.peak_bytes / 1000
    }
}

impl MemoryError {
    /// Whether this is a fault of the compiler: all but sizes that nothing can hold.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::Texture { .. })
    }
}

/// Why tensors cannot be planned, or why a plan is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// A live range that ends before it begins.
    #[error(
        "tensor {tensor} is live from task {first} to task {last}; a live range must not end before it begins"
    )]
    ReversedLife {
        /// Position in the list given.
        tensor: usize,
        /// First task.
        first: usize,
        /// Last task.
        last: usize,
    },
    /// An alignment that is not a power of two.
    #[error("tensor {tensor} has alignment {align}; an alignment must be a power of two")]
    BadAlign {
        /// Position in the list given.
        tensor: usize,
        /// The alignment.
        align: u64,
    },
    /// The sizes do not fit into 64 bits.
    #[error(
        "the activations need more than 2^64 bytes together; give the free dims smaller sizes with --dim NAME=N"
    )]
    TooLarge,
    /// A texture with a side that no device has.
    #[error("a texture of {extent_px:?} texels is larger than any device has; use --layout buffer")]
    Texture {
        /// Width, height, and depth or layers.
        extent_px: [u64; 3],
    },
    /// A plan with another number of entries than there are tensors.
    #[error("the plan places {placed} tensors, expected {expected}")]
    WrongLength {
        /// Entries in the plan.
        placed: usize,
        /// Tensors given.
        expected: usize,
    },
    /// An offset that breaks its tensor's alignment.
    #[error("tensor {tensor} is placed at byte {offset}, which is not a multiple of {align}")]
    Misaligned {
        /// Position in the list given.
        tensor: usize,
        /// Its offset.
        offset: u64,
        /// Alignment asked for.
        align: u64,
    },
    /// A tensor that ends behind the arena.
    #[error("tensor {tensor} ends behind the arena of {peak_bytes} bytes")]
    OutOfArena {
        /// Position in the list given.
        tensor: usize,
        /// Size of the arena.
        peak_bytes: u64,
    },
    /// Two tensors that are live together and share bytes (or an object).
    #[error("tensors {a} and {b} are live in the same task and share memory")]
    Overlap {
        /// Position of one.
        a: usize,
        /// Position of the other.
        b: usize,
    },
    /// A texture in an object of another format, or larger than its object.
    #[error("texture {texture} does not fit object {object}: format or extents differ")]
    WrongObject {
        /// Position in the list given.
        texture: usize,
        /// The object.
        object: usize,
    },
}

/// How long [`plan`] may look for something better than the greedy orders give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// The greedy orders only.
    Greedy,
    /// Where they miss the lower bound: exact searches for that bound and then between it and the best plan, at last a
    /// search over placement orders.
    Search {
        /// Steps of work for each, of which a second on one core has about a hundred million.
        budget: u64,
    },
    /// An exact search where the greedy orders miss a capacity; it stops as soon as that is met.
    Fit {
        /// Bytes that the arena may have.
        capacity: u64,
        /// Steps of work, of which a second on one core has about a hundred million.
        budget: u64,
    },
}

impl Effort {
    /// What a compilation spends: about a second at most, and nothing where the greedy orders are best.
    pub const COMPILE: Self = Self::Search { budget: 40_000_000 };
}

/// Places all tensors in one arena: the smallest plan of all strategies, the first of them on a tie.
pub fn plan(tensors: &[Tensor], effort: Effort) -> Result<Plan, MemoryError> {
    let naive_bytes = total_bytes(tensors)?;
    let lower_bound_bytes = lower_bound(tensors);
    let as_plan = |strategy, offsets: Vec<u64>| {
        let peak_bytes = peak(tensors, &offsets);
        let is_smallest = peak_bytes == lower_bound_bytes;
        Plan { peak_bytes, offsets, naive_bytes, lower_bound_bytes, strategy, is_smallest }
    };
    let swept = swept_plan(tensors, &as_plan);
    if let Some(plan) = swept.as_ref().filter(|plan| plan.is_close()) {
        debug_assert_eq!(check(plan, tensors), Ok(()));
        return Ok(plan.clone());
    }
    let (mut best, order) = greedy_plan(tensors, &as_plan);
    if let Some(plan) = swept.filter(|plan| plan.peak_bytes < best.peak_bytes) {
        best = plan;
    }
    match effort {
        Effort::Search { budget } if best.peak_bytes > lower_bound_bytes => {
            let descent = fit::descend(tensors, best.peak_bytes, lower_bound_bytes, budget);
            if let Some(offsets) = descent.offsets {
                best = as_plan(Strategy::Fit, offsets);
            }
            if best.peak_bytes > descent.at_least {
                let found = search::improve(tensors, order, best.peak_bytes, descent.at_least, budget / 4);
                best = found.map_or(best, |offsets| as_plan(Strategy::Search, offsets));
            }
            best.is_smallest = best.peak_bytes == descent.at_least;
        }
        Effort::Fit { capacity, budget } if best.peak_bytes > capacity => {
            if let fit::Outcome::Fits(offsets) = fit::fit(tensors, capacity, budget) {
                best = as_plan(Strategy::Fit, offsets);
            }
        }
        Effort::Greedy | Effort::Search { .. } | Effort::Fit { .. } => {}
    }
    debug_assert_eq!(check(&best, tensors), Ok(()));
    Ok(best)
}

/// Tensors from which on they are first placed in order of time, since other orders take too long.
const MANY: usize = 4096;

/// The better of the plans in order of time, where there are many tensors.
fn swept_plan(tensors: &[Tensor], as_plan: &dyn Fn(Strategy, Vec<u64>) -> Plan) -> Option<Plan> {
    let plan = |time| as_plan(Strategy::ByTime, sweep::place(tensors, time));
    let one = (tensors.len() >= MANY).then(|| plan(sweep::Time::Forward))?;
    if one.is_close() {
        return Some(one);
    }
    let other = plan(sweep::Time::Backward);
    Some(if other.peak_bytes < one.peak_bytes { other } else { one })
}

/// The better of the greedy plans, and the order that it places tensors in.
fn greedy_plan(tensors: &[Tensor], as_plan: &dyn Fn(Strategy, Vec<u64>) -> Plan) -> (Plan, Vec<usize>) {
    let by_size = greedy::size_order(tensors);
    let one = as_plan(Strategy::BySize, greedy::place_in_order(tensors, &by_size));
    if one.is_smallest {
        return (one, by_size);
    }
    let by_breadth = greedy::breadth_order(tensors);
    let other = as_plan(Strategy::ByBreadth, greedy::place_in_order(tensors, &by_breadth));
    if other.peak_bytes < one.peak_bytes { (other, by_breadth) } else { (one, by_size) }
}

/// Proves that a plan keeps tensors apart that are live together, aligned and inside the arena.
pub fn check(plan: &Plan, tensors: &[Tensor]) -> Result<(), MemoryError> {
    total_bytes(tensors)?;
    if plan.offsets.len() != tensors.len() {
        return Err(MemoryError::WrongLength { placed: plan.offsets.len(), expected: tensors.len() });
    }
    for (index, (tensor, &offset)) in tensors.iter().zip(&plan.offsets).enumerate() {
        if !offset.is_multiple_of(tensor.align) {
            return Err(MemoryError::Misaligned { tensor: index, offset, align: tensor.align });
        }
        if offset.checked_add(tensor.size_bytes).is_none_or(|end| end > plan.peak_bytes) {
            return Err(MemoryError::OutOfArena { tensor: index, peak_bytes: plan.peak_bytes });
        }
    }
    let mut born: Vec<usize> = (0..tensors.len()).filter(|&i| tensors[i].size_bytes > 0).collect();
    let mut dying = born.clone();
    born.sort_by_key(|&i| tensors[i].first);
    dying.sort_by_key(|&i| tensors[i].last);
    let mut dying = dying.into_iter().peekable();
    // Those that live are apart, so a new one can only collide with its neighbours.
    let mut live: BTreeMap<u64, usize> = BTreeMap::new();
    for a in born {
        while let Some(dead) = dying.next_if(|&i| tensors[i].last < tensors[a].first) {
            live.remove(&plan.offsets[dead]);
        }
        let end = |i: usize| plan.offsets[i] + tensors[i].size_bytes;
        let below = live.range(..end(a)).next_back().map(|(_, &below)| below);
        if let Some(b) = below.filter(|&below| end(below) > plan.offsets[a]) {
            return Err(MemoryError::Overlap { a: a.min(b), b: a.max(b) });
        }
        live.insert(plan.offsets[a], a);
    }
    Ok(())
}

/// Sum of all sizes. Also proves that no placement can leave 64 bits: even side by side with padding, all tensors fit.
fn total_bytes(tensors: &[Tensor]) -> Result<u64, MemoryError> {
    let mut total: u64 = 0;
    let mut padded: u64 = 0;
    for (index, tensor) in tensors.iter().enumerate() {
        let Tensor { size_bytes, first, last, align } = *tensor;
        if first > last {
            return Err(MemoryError::ReversedLife { tensor: index, first, last });
        }
        if !align.is_power_of_two() {
            return Err(MemoryError::BadAlign { tensor: index, align });
        }
        padded = size_bytes
            .checked_add(align)
            .and_then(|slot| padded.checked_add(slot))
            .ok_or(MemoryError::TooLarge)?;
        total += size_bytes;
    }
    Ok(total)
}

/// The most bytes that one task needs. Tensors that are live together start at different multiples of the smallest
/// alignment, so each but the topmost occupies its size rounded up.
fn lower_bound(tensors: &[Tensor]) -> u64 {
    let placed = || tensors.iter().filter(|t| t.size_bytes > 0);
    let align = placed().map(|t| t.align).min().unwrap_or(1);
    // A most is always reached where a tensor is born: those that are born come in before those that died before go.
    let (mut births, mut deaths): (Vec<&Tensor>, Vec<&Tensor>) = (placed().collect(), placed().collect());
    births.sort_by_key(|t| t.first);
    deaths.sort_by_key(|t| t.last);
    let slot = |tensor: &Tensor| tensor.size_bytes.next_multiple_of(align);
    let mut dying = deaths.into_iter().peekable();
    let (mut rounded, mut most) = (0, 0);
    let mut slacks: Bag<u64> = Bag::new();
    for born in births.chunk_by(|a, b| a.first == b.first) {
        while let Some(dead) = dying.next_if(|t| t.last < born[0].first) {
            rounded -= slot(dead);
            slacks.take(slot(dead) - dead.size_bytes);
        }
        for tensor in born {
            rounded += slot(tensor);
            slacks.put(slot(tensor) - tensor.size_bytes);
        }
        most = most.max(rounded - slacks.most().unwrap_or(0));
    }
    most
}

/// End of the last tensor.
fn peak(tensors: &[Tensor], offsets: &[u64]) -> u64 {
    tensors.iter().zip(offsets).map(|(tensor, offset)| offset + tensor.size_bytes).max().unwrap_or(0)
}
