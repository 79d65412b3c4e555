//! Rates of a family's kernels, in cycles: what estimates of products, attention and Winograd's form are made of. Each group
//! says where its figures come from. A rate of a compute unit is multiplied by [`Profile::compute_units`](super::Profile).

mod apple;
mod h200;

pub use apple::APPLE_MATRICES;
pub use h200::{FROM_H200, H200};

use crate::physical::Element;

/// How figures were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// On a device of the family.
    Measured,
    /// In the data sheet of a device of the family.
    DataSheet,
    /// On a compute unit of another family, for the number of compute units in this one's data sheet.
    Scaled,
    /// On another family, and taken over as they are until they are measured here.
    Assumed,
}

/// Where a group of figures comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// In words.
    pub text: &'static str,
    /// How they were found.
    pub how: How,
}

/// All rates of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Memory, and what every dispatch takes.
    pub device: DeviceRates,
    /// What a compute unit holds.
    pub compute_unit: ComputeUnitLimits,
    /// Matrix products.
    pub products: ProductRates,
    /// Products of few rows.
    pub few_rows: FewRowsRates,
    /// Attention.
    pub attention: AttentionRates,
    /// Winograd's form of convolutions.
    pub winograd: WinogradRates,
    /// Several projections of one tensor as one product.
    pub projections: ProjectionRates,
    /// Reductions, which are split where few workgroups would leave the device idle.
    pub reductions: ReductionRates,
}

/// Memory, and what every dispatch takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceRates {
    /// Where these come from.
    pub source: Source,
    /// Bytes of memory a cycle, of the whole device.
    pub bytes_per_cycle: f64,
    /// Cycles of one more dispatch that waits for the one before it.
    pub dispatch: f64,
    /// Cycles of a dispatch's beginning and end.
    pub startup: f64,
}

/// What a compute unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeUnitLimits {
    /// Where these come from.
    pub source: Source,
    /// Bytes of workgroup memory.
    pub shared_bytes: u64,
    /// 32-bit registers.
    pub registers: u64,
    /// 32-bit registers that an invocation may have.
    pub invocation_registers: u64,
}

/// Tiles of matrix products by kernel and element type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductRates {
    /// `matmul_tiled` on f32.
    pub tiled_f32: TileRates,
    /// `matmul_tiled` on f16.
    pub tiled_f16: TileRates,
    /// `matmul_cooperative` or `matmul_cooperative_8x8`, on f16.
    pub cooperative_f16: TileRates,
}

impl ProductRates {
    /// Those of `matmul_tiled` on `element`s.
    pub fn tiled(&self, element: Element) -> &TileRates {
        match element {
            Element::F16 => &self.tiled_f16,
            Element::F32 | Element::I32 | Element::U32 => &self.tiled_f32,
        }
    }
}

/// Products of few rows, which read a matrix once: what they take beside reading it at the memory's rate, and how loads keep
/// the memory busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FewRowsRates {
    /// Where these come from.
    pub source: Source,
    /// Cycles with the inputs of an output side by side (`matvec_rows`).
    pub by_inputs: f64,
    /// Cycles with the outputs of an input side by side (`matvec`).
    pub by_outputs: f64,
    /// Outputs that share a loop of `matvec_rows`, and with it what is read of A.
    pub outputs: u64,
    /// Fewest invocations that share it, where workgroup memory adds up their sums, and the most that do.
    pub lanes: [u64; 2],
    /// Chunks of floats that an invocation loads at once: for up to two rows, and for more.
    pub float_chunks: [u64; 2],
    /// Chunks of quantized numbers that it loads at once.
    pub block_chunks: u64,
    /// Elements of weights up to which a product normalises its rows itself, once for each output, sooner than another dispatch
    /// would.
    pub most_normalised: u64,
}

/// Tiles that a kernel is tried with, and their rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileRates {
    /// Where these come from.
    pub source: Source,
    /// Tiles; the first of equally fast ones is taken.
    pub tiles: &'static [Tile],
}

/// A way to cut a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Rows of the result.
    pub m: u64,
    /// Columns of the result.
    pub n: u64,
    /// Depth.
    pub k: u64,
    /// Invocations of a workgroup.
    pub threads: u64,
    /// Rows and slices of an invocation, or rows and columns of a subgroup.
    pub block: [u64; 2],
    /// Neighbouring invocations that read neighbouring rows of a matrix; the next ones read its next slice.
    pub matrix_run: u64,
    /// Whether the next tiles are read while the present ones are multiplied; otherwise other workgroups fill the wait.
    pub prefetch: bool,
    /// Pairs of tiles in workgroup memory, where there is room.
    pub buffers: u64,
    /// Only for whole tiles: what guards edges would not fit the registers beside the sums.
    pub whole: bool,
    /// How fast it is.
    pub speed: Speed,
}

/// How fast a compute unit works through a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Multiply-adds a cycle of a compute unit that has enough of these workgroups.
    pub rate: f64,
    /// Cycles from asking for a pair of tiles to being done with it, at least.
    pub latency: f64,
    /// Cycles of a workgroup's beginning and end.
    pub startup: f64,
    /// Workgroups that a compute unit has at a time.
    pub resident: u64,
    /// What a further split-K partial sum moves, in its own bytes.
    pub part_traffic: f64,
}

/// Attention by kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionRates {
    /// `attention_cooperative`, on f16.
    pub cooperative_f16: CooperativeAttentionRates,
    /// `attention_rows`, on any element type.
    pub rows: RowAttentionRates,
    /// Two products with the scores in memory.
    pub scores: ScoreRates,
}

/// Attention on cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CooperativeAttentionRates {
    /// Where these come from.
    pub source: Source,
    /// Cycles of a busy compute unit for each key and 32 queries, with tiles of 16 and of 32 keys; and so much more for each sixteen
    /// channels of keys and values.
    pub key_busy: [[f64; 2]; 2],
    /// The least of these.
    pub key_least: f64,
    /// The same of a subgroup on its own.
    pub key_alone: [f64; 2],
    /// Cycles of a compute unit for each vector of keys or values that an invocation brings into workgroup memory.
    pub fetch: f64,
    /// Cycles of a subgroup for the barriers of a tile.
    pub tile_alone: f64,
    /// Cycles of merging parts.
    pub merge: f64,
}

/// Attention with a query in each invocation's registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowAttentionRates {
    /// Where these come from.
    pub source: Source,
    /// Multiply-adds a cycle of a compute unit from registers.
    pub rate: f64,
    /// Cycles of an invocation for one multiply-add after another.
    pub step_latency: f64,
    /// Cycles from asking for keys to having them.
    pub read_latency: f64,
    /// How many times as long a multiply-add takes where keys are read directly: each invocation loads for every four of them.
    pub direct: f64,
    /// Cycles of merging each slice of lanes' results, and so many more for each lane.
    pub merge: [u64; 2],
    /// Cycles of a workgroup's beginning and end.
    pub startup: f64,
    /// How much longer than all such waits together the kernel takes.
    pub wait: f64,
}

/// Attention as two products with a dispatch between them that works on the scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRates {
    /// Where these come from.
    pub source: Source,
    /// Multiply-adds a cycle of a compute unit on cooperative matrices.
    pub matrix_rate_f16: f64,
    /// Multiply-adds a cycle of a compute unit without these.
    pub plain_rate: f64,
    /// Scores that a compute unit stores a cycle.
    pub stores: f64,
    /// The part of their traffic that scores cost where caches hold them.
    pub cached: f64,
    /// Cycles that a MiB of scores above the peak of a run is worth.
    pub worth_of_a_mib: f64,
}

/// Winograd's form of convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WinogradRates {
    /// Where these come from.
    pub source: Source,
    /// Cycles of a transformation's beginning and end.
    pub transform: f64,
    /// How much faster than the direct product a form has to be for its two dispatches more to be worth it.
    pub worth: f64,
    /// Cycles that a form has to save for each MiB that its filters are larger than the weights: that much memory of the device
    /// is taken for as long as the model is loaded.
    pub worth_of_a_mib: f64,
    /// Blocks of an image beyond which dispatches are too many for what caches save, and for what memory they save.
    pub blocks: [u64; 2],
}

/// Several projections of one tensor as one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectionRates {
    /// Where these come from.
    pub source: Source,
    /// Rows up to which a dispatch less is worth more than results that are on their own.
    pub most_rows: u64,
    /// Reciprocal of the smallest share of the columns that a projection may have.
    pub least_share: u64,
}

/// Reductions: what a workgroup does alone although most of the device idles meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReductionRates {
    /// Where these come from.
    pub source: Source,
    /// Rounds of a loop that take less time than another dispatch.
    pub short_rounds: u64,
    /// Vectors of a group that one workgroup normalises.
    pub small_group: u64,
}

/// Multiply-adds in f32 that take as long as moving a byte, where matrix units would have done them in f16: 30 TMAC/s beside
/// 4 TB/s of an H200. It decides what `--precision mixed` keeps in f32, which is decided once for all profiles.
pub const MULTIPLY_ADDS_PER_BYTE: u64 = 8;

impl Rates {
    /// These rates for a family where none were measured: what is a compute unit's own as `scaled`, all else as `assumed`.
    const fn elsewhere(self, scaled: Source, assumed: Source) -> Self {
        let Self { device, compute_unit, products, few_rows, attention, winograd, projections, reductions } =
            self;
        Self {
            device: DeviceRates { source: assumed, ..device },
            compute_unit: ComputeUnitLimits { source: assumed, ..compute_unit },
            products: ProductRates {
                tiled_f32: TileRates { source: scaled, ..products.tiled_f32 },
                tiled_f16: TileRates { source: scaled, ..products.tiled_f16 },
                cooperative_f16: TileRates { source: scaled, ..products.cooperative_f16 },
            },
            few_rows: FewRowsRates { source: assumed, ..few_rows },
            attention: AttentionRates {
                cooperative_f16: CooperativeAttentionRates { source: scaled, ..attention.cooperative_f16 },
                rows: RowAttentionRates { source: scaled, ..attention.rows },
                scores: ScoreRates { source: scaled, ..attention.scores },
            },
            winograd: WinogradRates { source: assumed, ..winograd },
            projections: ProjectionRates { source: assumed, ..projections },
            reductions: ReductionRates { source: assumed, ..reductions },
        }
    }

    /// Each group's name, and where it comes from.
    pub fn sources(&self) -> [(&'static str, Source); 12] {
        let Self { device, compute_unit, products, few_rows, attention, winograd, projections, reductions } =
            self;
        [
            ("device", device.source),
            ("compute unit", compute_unit.source),
            ("matmul_tiled f32", products.tiled_f32.source),
            ("matmul_tiled f16", products.tiled_f16.source),
            ("matmul_cooperative f16", products.cooperative_f16.source),
            ("products of few rows", few_rows.source),
            ("attention_cooperative f16", attention.cooperative_f16.source),
            ("attention_rows", attention.rows.source),
            ("attention by scores", attention.scores.source),
            ("winograd", winograd.source),
            ("projections", projections.source),
            ("reductions", reductions.source),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ALL;

    #[test]
    fn only_the_family_that_was_measured_says_so() {
        for profile in ALL {
            for (group, Source { text, how }) in profile.rates.sources() {
                let own = matches!(how, How::Measured | How::DataSheet);
                assert!(!own || profile.name == "nvidia", "{}, {group}: {how:?}", profile.name);
                assert!(!text.is_empty(), "{}, {group}", profile.name);
            }
        }
    }

    #[test]
    fn families_that_take_rates_over_take_all_of_them() {
        let own = H200.sources()[0].1;
        assert_eq!(FROM_H200.elsewhere(own, own), H200.elsewhere(own, own));
    }
}
