//! Which tiles a matrix product is cut into, and into how many parts its k: the fewest estimated cycles win.

use super::Declined;
use crate::module::LOOP_ROUNDS;
use crate::physical::{self, LANES};
use crate::profile::Profile;
use crate::profile::rates::{Speed, Tile, TileRates};

/// The sizes of a product, or of a batch of them.
#[derive(Clone, Debug)]
pub(super) struct Size {
    pub(super) batches: physical::Size,
    pub(super) m: physical::Size,
    pub(super) n: physical::Size,
    pub(super) k: physical::Size,
    /// Rows of the right operand are n and its channels k.
    pub(super) transposed: bool,
    /// Bytes that parts of the sums may take.
    pub(super) parts_bytes: u64,
}

impl Size {
    /// Bytes of a part of the sums.
    fn part_bytes(&self) -> u64 {
        let elements = self.batches.times(&self.m).max();
        elements.saturating_mul(self.n.max().next_multiple_of(LANES) * 4)
    }
}

/// Whether a tile suits a product's operands and edges.
fn suits(tile: &Tile, size: &Size) -> bool {
    let whole =
        size.m.is_multiple_of(tile.m) && size.n.is_multiple_of(tile.n) && size.k.is_multiple_of(tile.k);
    !tile.whole || whole && !size.transposed
}

/// Workgroup memory of a tiling, bytes.
pub(super) struct Shared {
    /// Of one pair of tiles.
    pub(super) tiles: u64,
    /// Of all else.
    pub(super) rest: u64,
}

/// A tile, and the parts of k.
#[derive(Clone, Debug)]
pub(super) struct Tiling {
    pub(super) tile: Tile,
    /// Tiles of k in all.
    pub(super) steps: physical::Size,
    /// Tiles of k in a part.
    pub(super) part_steps: u64,
    /// Parts of k.
    pub(super) split: u64,
    /// Tiles in workgroup memory: with two, one is filled while the other is read.
    pub(super) buffers: u64,
    pub(super) workgroups: [physical::Size; 3],
    /// Estimated time.
    pub(super) cycles: f64,
}

/// The best of the tiles of `rates`, given the workgroup memory of each.
pub(super) fn choose(
    rates: &TileRates,
    size: &Size,
    profile: &Profile,
    shared_bytes: &dyn Fn(&Tile) -> Shared,
) -> Result<Tiling, Declined> {
    let buffers = |tile: &Tile| {
        let Shared { tiles, rest } = shared_bytes(tile);
        (u64::from(profile.shared_bytes).saturating_sub(rest) / tiles).min(tile.buffers)
    };
    let fits = |tile: &&Tile| {
        suits(tile, size) && buffers(tile) > 0 && tile.threads <= u64::from(profile.workgroup_invocations)
    };
    let mut best: Option<Tiling> = None;
    for tile in rates.tiles.iter().filter(fits) {
        let tiles = size.k.div_ceil(tile.k);
        let steps = tiles.max();
        // Each step is a round, and so is each of its slices.
        let least = (steps * (1 + tile.k / LANES)).div_ceil(LOOP_ROUNDS).max(1);
        let more = [2, 3, 4, 6, 8, 12, 16, 24, 32].into_iter().filter(|&parts| parts > least);
        for parts in std::iter::once(least).chain(more) {
            let part_steps = steps.div_ceil(parts);
            let split = steps.div_ceil(part_steps);
            let fits = split * size.part_bytes() <= size.parts_bytes && !tiles.is_free();
            if parts > least && (part_steps < 4 || split != parts || !fits) {
                continue;
            }
            let cycles = typical(tile, size, profile, (split, part_steps));
            if best.as_ref().is_none_or(|best| cycles < best.cycles) {
                let batches = size.batches.times(&split.into());
                let workgroups = [size.n.div_ceil(tile.n), size.m.div_ceil(tile.m), batches];
                best = Some(Tiling {
                    tile: *tile,
                    steps: tiles.clone(),
                    part_steps,
                    split,
                    buffers: buffers(tile),
                    workgroups,
                    cycles,
                });
            }
        }
    }
    best.ok_or_else(|| {
        Declined::Shape(format!(
            "no tile suits {} products of {}x{} within {} bytes of workgroup memory",
            size.batches, size.m, size.n, profile.shared_bytes
        ))
    })
}

/// The geometric mean of what the family's smaller and its largest devices take.
fn typical(tile: &Tile, size: &Size, profile: &Profile, parts: (u64, u64)) -> f64 {
    let cycles = |units| estimate(tile, size, profile, units, parts);
    match (profile.compute_units(), profile.most_compute_units()) {
        (units, most) if units == most => cycles(units),
        (units, most) => (cycles(units) * cycles(most)).sqrt(),
    }
}

/// Cycles that a product takes: units work through their workgroups, each as fast as arithmetic or latency lets it.
fn estimate(tile: &Tile, size: &Size, profile: &Profile, units: u64, (split, part_steps): (u64, u64)) -> f64 {
    let Speed { rate, latency, startup, resident, part_traffic } = tile.speed;
    let device = &profile.rates.device;
    let groups = size.m.max().div_ceil(tile.m) * size.n.max().div_ceil(tile.n) * size.batches.max() * split;
    let load = groups.div_ceil(units);
    let waves = load.div_ceil(resident.clamp(1, load)) as f64;
    let work = (tile.m * tile.n * tile.k) as f64;
    let step = (load as f64 * work / rate).max(waves * latency);
    let parts = match split {
        1 => 0.0,
        _ => {
            let moved = (2.0 + part_traffic * (split - 1) as f64) * size.part_bytes() as f64;
            device.dispatch + moved / device.bytes_per_cycle
        }
    };
    part_steps as f64 * step + waves * startup + parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn chosen([batches, m, n, k]: [u64; 4], transposed: bool) -> Tile {
        let shared =
            |tile: &Tile| Shared { tiles: 2 * tile.k * (tile.m + tile.n + 16), rest: tile.threads * 40 };
        let [batches, m, n, k] = [batches, m, n, k].map(physical::Size::Const);
        let size = Size { batches, m, n, k, transposed, parts_bytes: u64::MAX };
        let profile = profile::find("nvidia").expect("a profile");
        choose(&profile.rates.products.cooperative_f16, &size, profile, &shared).expect("a tiling").tile
    }

    #[test]
    fn two_workgroups_share_a_unit_where_tiles_are_whole() {
        let paired = chosen([1, 4096, 4096, 4096], false);
        assert_eq!((paired.m, paired.n, paired.threads, paired.buffers), (128, 128, 128, 1));
        for other in [chosen([1, 4096, 4000, 4096], false), chosen([1, 4096, 4096, 4096], true)] {
            assert_eq!((other.m, other.n, other.threads), (128, 256, 256));
        }
    }

    /// What was measured to be fastest among nineteen tiles: many small workgroups where k is long and little else is large.
    #[test]
    fn small_products_get_small_tiles() {
        for [m, n, k] in [[64, 1280, 11520], [1024, 640, 640], [256, 1280, 1280], [4096, 1280, 320]] {
            let tile = chosen([1, m, n, k], false);
            assert!(tile.m <= 128 && tile.n <= 128 && tile.threads <= 256, "{m}x{n}x{k}: {tile:?}");
        }
    }
}
