//! Scores in blocks: where all scores of an attention are too many to be in memory at once, its dispatches are repeated over
//! groups of heads, and over queries where those of one head are still too many. All blocks go through one piece of memory
//! and share their shaders: where a block begins in each tensor stands in a buffer.

use crate::estimate::attention::Work;
use crate::kernel::{Shift, Slot, Source};
use crate::physical::size::sizes;
use crate::physical::{Order, View};
use crate::profile::Profile;
use crate::program::Placement;
use crate::select::headroom::Headroom;
use crate::select::product;
use crate::select::tiling::Size;
use crate::select::{Context, Declined};
use drift_ir::{Node, Tensor};

/// Blocks of a head beyond which dispatches are too many for what memory they save.
const MOST_BLOCKS: u64 = 64;

/// Blocks of a node: each is four dispatches, and an entry in what says where it begins.
const MOST_IN_ALL: u64 = 1024;

/// Queries of a block are a multiple of this, which fills tiles of products.
const QUERIES: u64 = 32;

/// Slot that says where a block begins in each tensor. The first number is its first query.
const BLOCK: &str = "block";

/// How an attention is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    /// Batch, heads and queries of a block.
    pub(super) sizes: [u64; 3],
    /// Blocks along each.
    counts: [u64; 3],
    /// Bytes of a block's scores.
    bytes: u64,
    /// Estimated time of all dispatches.
    cycles: f64,
}

/// The best cut of those whose scores fit, with the reasons.
pub(super) fn choose(
    profile: &Profile,
    work: &Work,
    headroom: Headroom,
) -> Result<(Split, String), Declined> {
    let candidates = candidates(work);
    // With a block's start a dispatch must not bind more than every device can.
    let candidates = &candidates[..if work.may_be_cut() { candidates.len() } else { 1 }];
    let limit = headroom.most.min(profile.score_bytes).min(profile.binding_bytes);
    let mut best: Option<(f64, Split)> = None;
    let (mut whole, mut least): (Option<Split>, Option<Split>) = (None, None);
    for &sizes in candidates {
        let split = Split::new(profile, work, sizes)?;
        whole = whole.or(Some(split));
        if least.is_none_or(|least| split.bytes < least.bytes) {
            least = Some(split);
        }
        let above = split.bytes.saturating_sub(headroom.below_peak) as f64 / f64::from(1 << 20);
        let cost = split.cycles + above * profile.rates.attention.scores.worth_of_a_mib;
        if split.bytes <= limit && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, split));
        }
    }
    let nothing = || Declined::Unsupported("attention without heads or queries".to_owned());
    let split = best.map(|(_, split)| split).or(least).ok_or_else(nothing)?;
    let whole = whole.ok_or_else(nothing)?;
    let why = match split.blocks() {
        1 => String::new(),
        blocks => {
            let [batch, heads, queries] = split.sizes;
            format!(
                "; scores in {blocks} blocks of {batch} x {heads} heads x {queries} queries, {} of {} KiB at a time: {:.1} \
                 kilocycles, at once {:.1}, with {} KiB free below the peak and {} KiB at most",
                split.bytes >> 10,
                whole.bytes >> 10,
                split.cycles / 1e3,
                whole.cycles / 1e3,
                headroom.below_peak >> 10,
                limit >> 10,
            )
        }
    };
    Ok((split, why))
}

/// Sizes of blocks, all at once first: whole groups of heads before parts of a head.
fn candidates(work: &Work) -> Vec<[u64; 3]> {
    // Heads of a block see the keys of one head, or each its own.
    let together = if work.kv_heads == work.heads { work.heads } else { work.heads / work.kv_heads };
    let parts = (1..=together.min(MOST_IN_ALL)).filter(|parts| together % parts == 0);
    let divisors: Vec<u64> = parts.map(|parts| together / parts).collect();
    let queries = |parts: u64| work.queries.div_ceil(parts).next_multiple_of(QUERIES).min(work.queries);
    let mut sizes: Vec<[u64; 3]> = Vec::new();
    for parts in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64] {
        for &heads in &divisors {
            for batch in [work.batch, 1] {
                let next = [batch, heads, queries(parts)];
                let blocks: u64 = counts(work, next).iter().product();
                let few = blocks <= MOST_BLOCKS.saturating_mul(work.batch * work.heads).min(MOST_IN_ALL);
                if !sizes.contains(&next) && (few || sizes.is_empty()) {
                    sizes.push(next);
                }
            }
        }
    }
    sizes
}

fn counts(work: &Work, [batch, heads, queries]: [u64; 3]) -> [u64; 3] {
    [work.batch.div_ceil(batch), work.heads.div_ceil(heads), work.queries.div_ceil(queries)]
}

impl Split {
    fn new(profile: &Profile, work: &Work, sizes: [u64; 3]) -> Result<Self, Declined> {
        let [batch, heads, queries] = sizes;
        let counts = counts(work, sizes);
        let (element, batches) = (work.element, batch * heads);
        let of = |elements: u64| elements * element.size_bytes();
        let bytes = of(batches * queries * work.keys);
        let shared = if work.kv_heads == work.heads { batches } else { batch };
        let (device, scores) = (&profile.rates.device, &profile.rates.attention.scores);
        let held = if bytes <= profile.winograd.scratch_bytes { scores.cached } else { 1.0 };
        let traffic = (bytes as f64 * held) as u64;
        let first = Size {
            batches: batches.into(),
            m: queries.into(),
            n: work.keys.into(),
            k: work.channels.into(),
            transposed: true,
            parts_bytes: u64::MAX,
        };
        let second = Size {
            batches: batches.into(),
            m: queries.into(),
            n: work.value_channels.into(),
            k: work.keys.into(),
            transposed: false,
            parts_bytes: u64::MAX,
        };
        let (q, k) = (of(batches * queries * work.channels), of(shared * work.keys * work.channels));
        let (y, v) =
            (of(batches * queries * work.value_channels), of(shared * work.keys * work.value_channels));
        let cycles = product::cycles(profile, &first, element, q + k + traffic)?
            + product::cycles(profile, &second, element, y + v + traffic)?
            + traffic as f64 / device.bytes_per_cycle
            + device.startup
            + 3.0 * device.dispatch;
        let blocks = counts.iter().product::<u64>() as f64;
        Ok(Self { sizes, counts, bytes, cycles: blocks * cycles - device.dispatch })
    }

    /// Blocks in all.
    pub(super) fn blocks(&self) -> u64 {
        self.counts.iter().product()
    }

    /// Scores of a block.
    pub(super) fn scores(&self, work: &Work) -> u64 {
        self.sizes.iter().product::<u64>() * work.keys
    }
}

/// Which coordinates of a slot a block cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Batch, heads and queries.
    Queries,
    /// Batch and heads; these may be fewer than those of the queries.
    Keys,
}

/// The blocks of an attention, and where they begin in the slots that were cut.
pub(super) struct Blocks {
    split: Split,
    full: [u64; 3],
    shared: u64,
    /// The first batch, head and query of each block.
    starts: Vec<[u64; 3]>,
    /// For each slot the distances of these in elements, and how many heads stand at one place.
    lanes: Vec<([u64; 3], u64)>,
}

impl Blocks {
    pub(super) fn new(split: Split, work: &Work) -> Self {
        let full = [work.batch, work.heads, work.queries];
        // The last block goes back so far that it is as large as the others, and computes again what they overlap in.
        let along = |n: usize| {
            let (size, most) = (split.sizes[n], full[n] - split.sizes[n]);
            (0..split.counts[n]).map(move |block| (block * size).min(most))
        };
        let mut starts = Vec::new();
        for batch in along(0) {
            for head in along(1) {
                starts.extend(along(2).map(|query| [batch, head, query]));
            }
        }
        Self { split, full, shared: work.kv_heads, starts, lanes: vec![([0, 0, 1], 1)] }
    }

    /// Whether there is but one.
    pub(super) fn is_one(&self) -> bool {
        self.starts.len() == 1
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.starts.len() as u64
    }

    /// The part of a slot that a block sees.
    pub(super) fn cut(&mut self, context: &Context<'_>, slot: Slot, cut: Cut) -> Result<Slot, Declined> {
        let e = slot.extents().known()?;
        let own = [e.batch, e.height, e.width];
        let group = if cut == Cut::Keys { self.full[1] / self.shared } else { 1 };
        let wanted = |n: usize| match (cut, n) {
            (Cut::Keys, 1) => self.split.sizes[1].div_ceil(group),
            (Cut::Keys, 2) => own[2],
            _ => self.split.sizes[n].min(own[n]),
        };
        let moving: Vec<usize> = (0..3).filter(|&n| own[n] > 1 && wanted(n) < own[n]).collect();
        if moving.is_empty() || self.is_one() {
            return Ok(slot);
        }
        let (dense, strides) =
            (slot.layout.order == Order::RowMajor && slot.address.full().is_none(), slot.strides());
        let Some(strides) = strides.filter(|_| dense) else {
            return Err(convert(context, &slot));
        };
        let mut shape = slot.known_shape()?;
        let mut distances = [0; 3];
        for n in moving {
            let axes = &slot.layout.axes;
            let run = [&axes.batch, &axes.height, &axes.width][n];
            let Some(axis) = run.clone().find(|&axis| shape[axis] == own[n]) else {
                return Err(convert(context, &slot));
            };
            shape[axis] = wanted(n);
            distances[n] = strides[n].to_known()?;
        }
        let lane = self.lanes.len() as u64;
        self.lanes.push((distances, group));
        let most = self.starts.iter().map(|start| place(start, &distances, group)).max().unwrap_or(0);
        let unit = distances.iter().copied().fold(0, gcd);
        let whole = View::whole(&slot.known_shape()?);
        let view = slot.address.view().cloned().unwrap_or(whole);
        let shift = Shift { slot: BLOCK.to_owned(), lane, unit, most };
        Ok(Slot { shape: sizes(&shape), address: slot.address.block(view, shift), ..slot })
    }

    /// The slot that says where each block begins.
    pub(super) fn slots(&self, context: &mut Context<'_>, node: &Node) -> Result<Vec<Slot>, Declined> {
        let of_block = |start: &[u64; 3]| -> Vec<i64> {
            self.lanes.iter().map(|(distances, group)| place(start, distances, *group) as i64).collect()
        };
        let tensors =
            self.starts.iter().map(|start| Tensor::from_i64([self.lanes.len() as u64], &of_block(start)));
        let tensors: Vec<Tensor> = tensors.filter_map(Result::ok).collect();
        let label = |n: usize| format!("block {n}");
        let slots = tensors.iter().enumerate();
        slots.map(|(n, tensor)| context.derived_slot(BLOCK, node.outputs[0], &label(n), tensor)).collect()
    }
}

/// Where a block begins in a tensor.
fn place(start: &[u64; 3], distances: &[u64; 3], group: u64) -> u64 {
    start[0] * distances[0] + start[1] / group * distances[1] + start[2] * distances[2]
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Asks for a dense copy of what a slot shows.
fn convert(context: &Context<'_>, slot: &Slot) -> Declined {
    let shows = |storage: u32| {
        let is_shown = |placement: &Placement| {
            placement.storage == storage && placement.place.window() == slot.address.window()
        };
        context.operands.iter().copied().find(|&value| context.placement(value).is_some_and(is_shown))
    };
    match slot.source {
        Source::Activation(storage) if slot.layout.order != Order::RowMajor => match shows(storage) {
            Some(value) => Declined::Convert { value, name: context.graph.value(value).name.clone() },
            None => Declined::Unsupported(format!("`{}` in blocks", slot.name)),
        },
        Source::Activation(_) | Source::Constant(_) => {
            Declined::Unsupported(format!("`{}` in blocks: it is no dense tensor", slot.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::Element;
    use crate::profile::GENERIC;
    use drift_ir::op::attention::Band;

    fn work(batch: u64, heads: u64, shared: u64, queries: u64, keys: u64) -> Work {
        let (channels, value_channels, element) = (160, 160, Element::F16);
        Work {
            batch,
            heads,
            kv_heads: shared,
            queries,
            keys,
            channels,
            value_channels,
            element,
            band: Band::default(),
            has_first: false,
            score_operands: 0,
            operands: 0,
            data_movements: 0,
            is_free: false,
        }
    }

    fn split(work: &Work, below_peak: u64, most: u64) -> Split {
        choose(&GENERIC, work, Headroom { below_peak, most, peak: most })
            .unwrap_or_else(|error| panic!("{error}"))
            .0
    }

    #[test]
    fn what_fits_below_the_peak_is_not_cut() {
        assert_eq!(split(&work(1, 8, 8, 1024, 1024), 64 << 20, 64 << 20).blocks(), 1);
    }

    #[test]
    fn scores_are_cut_into_groups_of_heads_and_then_into_queries() {
        let heads = split(&work(1, 8, 8, 1024, 1024), 0, 8 << 20);
        assert_eq!((heads.sizes[2], heads.blocks() > 1), (1024, true), "{heads:?}");
        assert!(heads.bytes <= 8 << 20);
        let queries = split(&work(1, 1, 1, 4096, 4096), 0, 8 << 20);
        assert!(queries.sizes[2] < 4096 && queries.bytes <= 8 << 20, "{queries:?}");
        // Nothing fits: the least.
        let least = split(&work(2, 4, 4, 4096, 4096), 0, 1 << 10);
        assert_eq!(least.sizes, [1, 1, 64]);
    }

    #[test]
    fn a_block_of_grouped_queries_sees_the_keys_of_one_head() {
        let grouped = split(&work(1, 8, 2, 1024, 1024), 1 << 30, 1 << 30);
        assert!(grouped.sizes[1] <= 4 && 4 % grouped.sizes[1] == 0, "{grouped:?}");
    }

    #[test]
    fn however_many_heads_there_are_the_blocks_are_few() {
        for (batch, heads) in [(1 << 20, 1 << 20), (1, 1 << 31), (3, 1 << 13)] {
            assert!(
                split(&work(batch, heads, heads, 64, 64), 0, 1 << 10).blocks() <= MOST_IN_ALL,
                "{batch} {heads}"
            );
        }
    }

    #[test]
    fn the_reasons_name_blocks_and_bytes() {
        let headroom = Headroom { below_peak: 0, most: 8 << 20, peak: 8 << 20 };
        let (_, why) =
            choose(&GENERIC, &work(1, 8, 8, 1024, 1024), headroom).unwrap_or_else(|error| panic!("{error}"));
        assert!(why.contains("of 16384 KiB at a time") && why.contains("at once"), "{why}");
    }
}
