//! Estimates of an attention's ways, in cycles of the device: arithmetic, bytes, and what a workgroup takes on its own,
//! at the profile's rates.

use super::{FEW_ROWS, STORAGE_BUFFERS};
use crate::module::LOOP_ROUNDS;
use crate::physical::{Element, LANES};
use crate::profile::rates::AttentionRates;
use crate::profile::{MatrixShape, Profile, Rates};
use drift_ir::Node;
use drift_ir::op::Attention;
use drift_ir::op::attention::{Band, HEADS_FIRST, HeadSizes};

/// Sizes of an attention, and its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Batch.
    pub batch: u64,
    /// Heads of the queries.
    pub heads: u64,
    /// Heads of keys and values.
    pub kv_heads: u64,
    /// Rows of q.
    pub queries: u64,
    /// Rows of k and v.
    pub keys: u64,
    /// Channels of q and k.
    pub channels: u64,
    /// Channels of v.
    pub value_channels: u64,
    /// What q, k and v are stored as.
    pub element: Element,
    /// Which keys a query sees by its place; all, where that is known when a model runs.
    pub band: Band,
    /// Whether the place of the first query is known only when a model runs.
    pub has_first: bool,
    /// Tensors that the steps on the scores read.
    pub score_operands: usize,
    /// Tensors that the node's epilogue reads.
    pub operands: usize,
    /// How many of q, k, v and the result have their heads elsewhere than before the rows: written out, each is a transpose.
    pub data_movements: u64,
    /// Whether sizes are free, so that these are the largest.
    pub is_free: bool,
}

/// A kernel that makes no matrix of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Cooperative matrices.
    Cooperative {
        /// Invocations of a workgroup.
        threads: u64,
        /// Subgroups that share their queries.
        parts: u64,
        /// Keys at a time.
        tile: u64,
    },
    /// A query in registers.
    Rows {
        /// Invocations of a workgroup.
        threads: u64,
        /// Queries of a workgroup, which share its invocations.
        rows: u64,
        /// Keys at a time.
        tile: u64,
        /// Whether keys and values pass through workgroup memory.
        staged: bool,
    },
    /// Scores in memory; the softmax happens where the second product reads them.
    Partial,
    /// Keys of a cache in shares.
    Cached(Shares),
}

/// How the keys of a cache are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Invocations of a workgroup.
    pub threads: u64,
    /// Rows of a workgroup: queries times the heads that share keys.
    pub rows: u64,
    /// Workgroups that share the keys.
    pub splits: u64,
    /// Invocations that share a key.
    pub key_parts: u64,
}

/// What was estimated for one attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Instead of all others where queries over a cache are few.
    cached: Option<Strategy>,
    has_first: bool,
    cooperative: Result<(Strategy, f64), String>,
    rows: Result<(Strategy, f64), String>,
    partial: Result<(Strategy, f64), String>,
    decomposed: f64,
    score_bytes: u64,
}

impl Work {
    /// From the op's sizes.
    pub fn new(
        node: &Node,
        op: &Attention,
        (sizes, is_free): (&HeadSizes<u64>, bool),
        element: Element,
    ) -> Self {
        let &HeadSizes { batch, heads, kv_heads, queries, keys, channels, value_channels, .. } = sizes;
        let data_movements =
            [op.q, op.k, op.v, op.y].iter().filter(|axes| axes[..2] != HEADS_FIRST[..2]).count() as u64;
        // As many as there are at most.
        let band = if op.has_first { Band::default() } else { op.band };
        let (score_operands, operands) =
            (op.read_by_scores(&node.inputs[3..]).len(), node.epilogue.operands.len());
        Self {
            batch,
            heads,
            kv_heads,
            queries,
            keys,
            channels,
            value_channels,
            element,
            band,
            has_first: op.has_first,
            score_operands,
            operands,
            data_movements,
            is_free,
        }
    }

    /// Arithmetic of a kernel that makes no matrix of scores, for those that queries see by their places; a multiply-add
    /// counts two.
    pub fn flops(&self) -> u64 {
        self.unmasked() * (2 * (self.channels + self.value_channels) + 5)
    }

    /// Scores that queries see by their places.
    pub(crate) fn unmasked(&self) -> u64 {
        let of_query = |query| self.band.seen(query, self.keys).count() as u64;
        let unmasked = match self.band.is_open() {
            true => self.queries * self.keys,
            false => (0..self.queries).map(of_query).sum(),
        };
        self.batch * self.heads * unmasked
    }

    /// Tiles of so many keys that a workgroup of so many queries walks through, on average.
    fn steps(&self, queries: u64, keys: u64) -> f64 {
        if self.band.is_open() {
            return self.keys.div_ceil(keys) as f64;
        }
        let groups = self.queries.div_ceil(queries);
        let of_group = |group: u64| {
            let rows = group * queries..self.queries.min((group + 1) * queries);
            let keys_read = self.band.seen_by(rows, self.keys);
            keys_read.end.div_ceil(keys) - (keys_read.start / keys).min(keys_read.end.div_ceil(keys))
        };
        (0..groups).map(of_group).sum::<u64>() as f64 / groups as f64
    }

    /// Whether its scores may be stored in blocks: then each product binds one buffer more.
    pub(crate) fn may_be_cut(&self) -> bool {
        let places = if self.band.is_open() { 0 } else { 2 };
        // Both factors, the result and the block's start; behind the second product also what each row needs.
        self.score_operands + places + 4 <= STORAGE_BUFFERS && self.operands + 6 <= STORAGE_BUFFERS
    }

    /// Scores in all.
    pub(crate) fn scores(&self) -> u64 {
        self.batch * self.heads * self.queries * self.keys
    }

    fn multiply_adds(&self, align: u64) -> f64 {
        let aligned = self.channels.next_multiple_of(align) + self.value_channels.next_multiple_of(align);
        (self.scores() * aligned) as f64
    }
}

/// Compute units of a device.
fn compute_units(profile: &Profile) -> f64 {
    profile.compute_units() as f64
}

/// Estimates every way.
pub fn plan(work: &Work, profile: &Profile) -> Plan {
    let cooperative = cooperative(work, profile);
    let (rows, partial) = match profile.cooperative_as_loops && cooperative.is_ok() {
        true => {
            let reason = format!("profile {} tries cooperative matrices wherever they serve", profile.name);
            (Err(reason.clone()), Err(reason))
        }
        false => (rows(work, profile), partial(work, profile)),
    };
    Plan {
        cached: cached(work, profile),
        has_first: work.has_first,
        cooperative,
        rows,
        partial,
        decomposed: decomposed(work, profile),
        score_bytes: work.scores() * work.element.size_bytes(),
    }
}

impl Plan {
    /// The best kernel without a matrix of scores, whatever the ops that it stands for would take.
    pub fn fused(&self) -> Option<Strategy> {
        self.cached.or_else(|| self.best().map(|(strategy, _)| strategy))
    }

    /// Whether that kernel is estimated to be faster than those ops.
    pub fn is_fused_faster(&self) -> bool {
        // Kernels do not read what a cache does not hold yet; what they then save is not known.
        self.fused().is_some() && self.has_first
            || self.best().is_some_and(|(_, cycles)| cycles <= self.decomposed)
    }

    fn best(&self) -> Option<(Strategy, f64)> {
        let made = [&self.cooperative, &self.rows, &self.partial].into_iter();
        let made = made.filter_map(|made| made.as_ref().ok().copied());
        made.min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Why no kernel without a matrix of scores serves.
    pub fn why_not_fused(&self) -> String {
        let reason =
            |made: &Result<(Strategy, f64), String>| made.as_ref().err().cloned().unwrap_or_default();
        format!(
            "attention_cooperative: {}; attention_rows: {}; attention_stats: {}",
            reason(&self.cooperative),
            reason(&self.rows),
            reason(&self.partial)
        )
    }

    /// All estimates, for `explain`.
    pub fn explain(&self) -> String {
        if let Some(Strategy::Cached(Shares { rows, splits, .. })) = self.cached {
            return format!("few queries over a cache: {rows} rows a workgroup, its keys in {splits} shares");
        }
        let shown = |name: &str, made: &Result<(Strategy, f64), String>| match made {
            Ok((Strategy::Cooperative { threads, parts, tile }, cycles)) => {
                let rows = threads / parts;
                format!("{name} {} ({rows} queries x {tile} keys in {parts} parts)", kilo(*cycles))
            }
            Ok((Strategy::Rows { threads, rows, tile, staged }, cycles)) => {
                let through = if *staged { "staged" } else { "direct" };
                let lanes = threads / rows;
                format!("{name} {} ({rows} queries x {lanes} lanes, {tile} keys {through})", kilo(*cycles))
            }
            Ok((Strategy::Partial | Strategy::Cached(_), cycles)) => format!("{name} {}", kilo(*cycles)),
            Err(reason) => format!("{name} no ({reason})"),
        };
        format!(
            "estimated kilocycles: {}, {}, with {} bytes of scores in memory {}, and of weights {}",
            shown("cooperative", &self.cooperative),
            shown("rows", &self.rows),
            self.score_bytes,
            shown("once", &self.partial),
            kilo(self.decomposed)
        )
    }
}

fn kilo(cycles: f64) -> String {
    format!("{:.1}", cycles / 1e3)
}

/// The least of `candidates`.
fn least(candidates: impl Iterator<Item = (Strategy, f64)>) -> Option<(Strategy, f64)> {
    candidates.min_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn cooperative(work: &Work, profile: &Profile) -> Result<(Strategy, f64), String> {
    let missing = |what: &str| format!("profile {} has no {what}", profile.name);
    let whole = MatrixShape { m: 16, n: 16, k: 16 };
    profile
        .cooperative
        .filter(|shape| *shape == whole)
        .ok_or_else(|| missing("cooperative matrices of 16x16"))?;
    let subgroup = u64::from(profile.subgroup_size.ok_or_else(|| missing("fixed subgroup size"))?);
    if work.element != Element::F16 {
        return Err(format!("elements are {}, needs f16", work.element.name()));
    }
    let Rates { device, compute_unit, attention: AttentionRates { cooperative_f16: rates, .. }, .. } =
        profile.rates;
    let pieces = |channels: u64| channels.div_ceil(16);
    let (k, v, rows) = (pieces(work.channels), pieces(work.value_channels), subgroup / 16);
    let registers = |tile: u64| 4 * rows * k + 8 * rows * v + tile + 60;
    let shared = |threads: u64, parts: u64, tile: u64| {
        let tiles = 2 * tile * parts * (4 * (k + v) + 4) * 8;
        tiles + threads * ((tile / 4 + 1) * 16 + (tile / 4 + 2) * 8) + 16
    };
    let candidates = (1..=8).flat_map(|subgroups| {
        let counts = [1, 2, 4, 8].into_iter().filter(move |parts| subgroups % parts == 0);
        counts
            .flat_map(move |parts| [32, 16].into_iter().map(move |tile| (subgroups * subgroup, parts, tile)))
    });
    let fits = |&(threads, parts, tile): &(u64, u64, u64)| {
        shared(threads, parts, tile) <= u64::from(profile.shared_bytes)
            && registers(tile) <= compute_unit.invocation_registers
            && threads <= u64::from(profile.workgroup_invocations)
            && work.keys.div_ceil(tile * parts) <= LOOP_ROUNDS
            && (parts == 1 || work.keys > tile * (parts / 2))
    };
    let per_key = |[plain, channels]: [f64; 2]| plain + channels * (k + v) as f64;
    let estimate = |(threads, parts, tile): (u64, u64, u64)| {
        let groups = work.batch * work.heads * work.queries.div_ceil(threads / parts);
        let load = (groups as f64 / compute_units(profile)).ceil();
        let together = compute_unit.shared_bytes / shared(threads, parts, tile);
        let resident =
            together.min(compute_unit.registers / (registers(tile).max(64) * threads)).max(1) as f64;
        let steps = work.steps(threads / parts, tile * parts);
        let keys = steps * tile as f64;
        let fetched = (4 * k * tile * parts).div_ceil(threads) + (4 * v * tile * parts).div_ceil(threads);
        let fetching = load * steps * (threads * fetched) as f64 * rates.fetch;
        let per_key_busy = per_key(rates.key_busy[usize::from(tile > 16)]).max(rates.key_least);
        let busy = fetching.max(load * (threads / subgroup) as f64 * keys * per_key_busy);
        let merge = if parts > 1 { rates.merge } else { 0.0 };
        let alone = keys * per_key(rates.key_alone) + steps * rates.tile_alone + merge;
        let waits = (load / resident).ceil() * alone;
        (Strategy::Cooperative { threads, parts, tile }, busy.max(waits) + device.startup)
    };
    least(candidates.filter(fits).map(estimate)).ok_or_else(|| {
        format!(
            "{} and {} channels are too many for registers and {} bytes of workgroup memory",
            work.channels, work.value_channels, profile.shared_bytes
        )
    })
}

fn rows(work: &Work, profile: &Profile) -> Result<(Strategy, f64), String> {
    let Rates { device, compute_unit, attention: AttentionRates { rows: rates, .. }, .. } = profile.rates;
    let (k, v) = (work.channels.div_ceil(LANES), work.value_channels.div_ceil(LANES));
    if 4 * (k + v) + 40 > compute_unit.invocation_registers {
        return Err(format!(
            "{} and {} channels are too many for registers",
            work.channels, work.value_channels
        ));
    }
    let key_slices = work.keys.div_ceil(LANES);
    let candidates = [128_u64, 64].into_iter().flat_map(move |threads| {
        let counts = std::iter::successors(Some(1_u64), move |rows| (*rows < threads).then_some(rows * 2));
        counts.flat_map(move |rows| {
            [true, false].into_iter().map(move |staged| {
                let lanes = threads / rows;
                let fitting = (u64::from(profile.shared_bytes) - threads * 24) / ((k + v + 2) * 16) / 4 * 4;
                let tile = match staged {
                    true => fitting.min(key_slices * LANES).min(64),
                    false => key_slices * LANES,
                };
                (threads, rows, lanes, tile, staged)
            })
        })
    });
    // Tiles are read eight vectors of each invocation at a time.
    let reads = |threads: u64, tile: u64| (tile * k).div_ceil(8 * threads) + (tile * v).div_ceil(8 * threads);
    // A lane without keys would only wait.
    let fits = |&(threads, rows, lanes, tile, staged): &(u64, u64, u64, u64, bool)| {
        let of_tile = 1 + reads(threads, tile) * u64::from(staged) + (tile / 4).div_ceil(lanes);
        tile >= 4
            && (lanes <= tile / 4 || lanes == 1)
            && (!staged || rows > 1)
            && work.keys.div_ceil(tile) * of_tile <= LOOP_ROUNDS
    };
    let estimate = |(threads, rows, lanes, tile, staged): (u64, u64, u64, u64, bool)| {
        let groups = (work.batch * work.heads * work.queries.div_ceil(rows)) as f64;
        let load = (groups / compute_units(profile)).ceil();
        let resident = (compute_unit.registers / ((4 * (k + v) + 60) * threads)).max(1) as f64;
        let tiles = work.steps(rows, tile);
        // A tile of all keys ends at the last unmasked one.
        let walked =
            if work.band.is_open() { 1.0 } else { work.steps(rows, 4) * 4.0 / (tiles * tile as f64) };
        let steps = tiles * walked.min(1.0) * ((tile / 4).div_ceil(lanes) * 4) as f64;
        let own = steps * (4 * (k + v)) as f64;
        // Reading keys directly costs each invocation a load for every four multiply-adds.
        let rate = if staged { rates.rate } else { rates.rate / rates.direct };
        let latency = if staged { rates.step_latency } else { rates.step_latency * rates.direct };
        let busy = load * own * threads as f64 / rate;
        let [merge, merge_lane] = rates.merge;
        let merge = if lanes > 1 { (v * (merge + merge_lane * lanes)) as f64 } else { 0.0 };
        let staging = if staged { tiles * reads(threads, tile) as f64 * rates.read_latency } else { 0.0 };
        let waits = (load / resident).ceil() * (own * latency + staging + merge + rates.startup) * rates.wait;
        (Strategy::Rows { threads, rows, tile, staged }, busy.max(waits) + device.startup)
    };
    least(candidates.filter(fits).map(estimate)).ok_or_else(|| format!("no tile of {} keys fits", work.keys))
}

/// Queries over a cache that are few enough for one workgroup to hold the rows of a head of keys.
const FEW_QUERIES: u64 = 8;

/// Rows that a workgroup holds at most: sums of each are in its registers.
const MOST_ROWS: u64 = 8;

/// Keys that are worth a workgroup.
const LEAST_SHARE: u64 = 32;

/// Workgroups that share the keys of a query, at most: an invocation then joins so many sums.
const MOST_SPLITS: u64 = 32;

fn cached(work: &Work, profile: &Profile) -> Option<Strategy> {
    if !work.has_first || work.queries > FEW_QUERIES || work.is_free {
        return None;
    }
    let threads = 128.min(u64::from(profile.workgroup_invocations));
    let (k, v) = (work.channels.div_ceil(LANES), work.value_channels.div_ceil(LANES));
    let all_rows = work.queries * (work.heads / work.kv_heads);
    let rows = all_rows.next_power_of_two().min(MOST_ROWS);
    let groups = work.batch * work.kv_heads * all_rows.div_ceil(rows);
    let wanted = (2 * profile.compute_units()).div_ceil(groups);
    let splits = wanted.min(work.keys.div_ceil(LEAST_SHARE)).clamp(1, MOST_SPLITS.min(threads));
    // A tile has room for half of a share's keys at least, so that few tiles wait for each other.
    let parts_for = |parts: &u64| 2 * (threads / parts) >= work.keys.div_ceil(splits);
    let key_parts = [4, 2].into_iter().find(parts_for).unwrap_or(1);
    // The queries, parts of a score for each key of a tile, and what invocations exchange.
    let shared = rows * (k.next_multiple_of(4 * key_parts) * 16 + threads * 4 + 4) + threads * 20 + 4;
    if v > threads || shared > u64::from(profile.shared_bytes) || work.keys == 0 {
        return None;
    }
    Some(Strategy::Cached(Shares { threads, rows, splits, key_parts }))
}

/// Two products, the second of which does most of the softmax.
fn partial(work: &Work, profile: &Profile) -> Result<(Strategy, f64), String> {
    if work.has_first {
        return Err("the place of the first query is known only when the model runs".to_owned());
    }
    if work.is_free {
        return Err("sizes are free, and blocks of scores are of known sizes".to_owned());
    }
    if work.queries <= FEW_ROWS {
        return Err(format!("few queries ({}), whose products only read a matrix", work.queries));
    }
    if work.kv_heads != work.heads && work.kv_heads != 1 && !work.may_be_cut() {
        let (heads, shared) = (work.heads, work.kv_heads);
        return Err(format!("{heads} heads share {shared}, and a block of them would bind too many buffers"));
    }
    // Heads that share keys go through in groups.
    let groups = if work.kv_heads == work.heads { 1 } else { work.kv_heads };
    let device = &profile.rates.device;
    let dispatches = (groups - 1) as f64 * 3.0 * (device.startup + device.dispatch);
    Ok((Strategy::Partial, products(work, profile, 2.5) + dispatches))
}

/// Two products around a softmax, and the transposes before and behind.
fn decomposed(work: &Work, profile: &Profile) -> f64 {
    let device = &profile.rates.device;
    products(work, profile, 3.0) + work.data_movements as f64 * (device.startup + device.dispatch)
}

/// Two products and a dispatch between, with so many passes over the scores.
fn products(work: &Work, profile: &Profile, passes: f64) -> f64 {
    let Rates { device, attention: AttentionRates { scores: rates, .. }, .. } = profile.rates;
    let matrices = profile.cooperative.is_some() && work.element == Element::F16;
    let (rate, align) = if matrices { (rates.matrix_rate_f16, 64) } else { (rates.plain_rate, 16) };
    let arithmetic = work.multiply_adds(align) / (compute_units(profile) * rate);
    let scores = work.scores() as f64;
    let stores = scores / (compute_units(profile) * rates.stores);
    let bytes = passes * scores * work.element.size_bytes() as f64 / device.bytes_per_cycle;
    arithmetic + stores + bytes + 3.0 * device.startup + 2.0 * device.dispatch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn work(heads: u64, queries: u64, keys: u64, channels: u64, element: Element) -> Work {
        Work {
            batch: 1,
            heads,
            kv_heads: heads,
            queries,
            keys,
            channels,
            value_channels: channels,
            element,
            band: Band::default(),
            has_first: false,
            score_operands: 0,
            operands: 0,
            data_movements: 0,
            is_free: false,
        }
    }

    fn nvidia() -> &'static Profile {
        profile::find("nvidia").unwrap_or(&profile::GENERIC)
    }

    #[test]
    fn long_sequences_of_f16_take_cooperative_matrices() {
        let plan = plan(&work(8, 4096, 4096, 40, Element::F16), nvidia());
        assert!(matches!(plan.fused(), Some(Strategy::Cooperative { .. })), "{}", plan.explain());
        assert!(plan.is_fused_faster(), "{}", plan.explain());
    }

    #[test]
    fn wide_heads_keep_their_scores() {
        let plan = plan(&work(1, 4096, 4096, 512, Element::F16), nvidia());
        assert_eq!(plan.fused(), Some(Strategy::Partial), "{}", plan.explain());
        assert!(plan.explain().contains("512 and 512 channels are too many"), "{}", plan.explain());
    }

    #[test]
    fn wide_heads_that_share_keys_go_through_in_groups_or_are_written_out() {
        let shared = Work { kv_heads: 2, ..work(8, 64, 64, 512, Element::F16) };
        assert_eq!(plan(&shared, nvidia()).fused(), Some(Strategy::Partial));
        assert_eq!(plan(&Work { operands: 3, ..shared }, nvidia()).fused(), None);
    }

    #[test]
    fn few_queries_share_the_invocations_of_a_workgroup() {
        let plan = plan(&work(8, 1, 512, 64, Element::F32), &profile::GENERIC);
        let Some(Strategy::Rows { threads, rows, .. }) = plan.fused() else { panic!("{}", plan.explain()) };
        assert!(threads / rows >= 32, "{}", plan.explain());
    }
}
