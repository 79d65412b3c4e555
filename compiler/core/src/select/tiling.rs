//! Which tiles a matrix product is cut into, and into how many parts its k: the fewest estimated clocks win.

use super::Declined;
use crate::module::LOOP_ROUNDS;
use crate::physical::LANES;
use crate::profile::Profile;

/// The sizes of a product, or of a batch of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) batches: u64,
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) k: u64,
    /// Rows of the right operand are n and its channels k.
    pub(super) transposed: bool,
    /// Bytes that parts of the sums may take.
    pub(super) parts_bytes: u64,
}

impl Size {
    /// Bytes of a part of the sums.
    fn part_bytes(&self) -> u64 {
        self.batches * self.m * self.n.next_multiple_of(LANES) * 4
    }
}

/// A way to cut a product.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) k: u64,
    pub(super) threads: u64,
    /// Rows and slices of an invocation, or rows and columns of a subgroup.
    pub(super) block: [u64; 2],
    /// Neighbouring invocations that read neighbouring rows of a matrix; the next ones read its next slice.
    pub(super) matrix_run: u64,
    /// Whether the next tiles are read while the present ones are multiplied; otherwise other workgroups fill the wait.
    pub(super) prefetch: bool,
    /// Pairs of tiles in workgroup memory, where there is room.
    buffers: u64,
    /// Only for whole tiles: what guards edges would not fit the registers beside the sums.
    whole: bool,
    speed: Speed,
}

/// How fast a compute unit works through a tile, in clocks.
#[derive(Clone, Copy, Debug)]
struct Speed {
    /// Multiply-adds a clock of a unit that has enough of these workgroups.
    rate: f64,
    /// From asking for a pair of tiles to being done with it, at least.
    latency: f64,
    /// Of a workgroup's beginning and end.
    startup: f64,
    /// Of storing a workgroup's results.
    stores: f64,
    /// Workgroups that a unit has at a time.
    resident: u64,
    /// What a further part of the sums moves, in its own bytes.
    part_traffic: f64,
}

impl Tile {
    /// For invocations, each with a block of rows and slices. A workgroup on its own has 0.4 multiply-adds a clock and invocation.
    const fn blocks([m, n, k]: [u64; 3], block: [u64; 2], rate: f64) -> Self {
        /// Invocations of such kernels that a unit holds.
        const RESIDENT: u64 = 512;
        /// Clocks from asking for a tile to having it.
        const LATENCY: f64 = 800.0;
        let threads = m * n / (4 * block[0] * block[1]);
        let alone = (m * n * k) as f64 / (threads as f64 * 0.4);
        let latency = if alone > LATENCY { alone } else { LATENCY };
        let stores = (m * n) as f64 / 4.0;
        let resident = RESIDENT / threads;
        let speed = Speed { rate, latency, startup: 1000.0, stores, resident, part_traffic: 1.0 };
        Self { m, n, k, threads, block, matrix_run: 8, prefetch: true, buffers: 2, whole: false, speed }
    }

    /// For subgroups of 32, each with a block of rows and columns: two pairs of tiles in workgroup memory.
    const fn pieces([m, n, k]: [u64; 3], block: [u64; 2], speed: Speed) -> Self {
        let threads = m * n / (block[0] * block[1]) * 32;
        Self { m, n, k, threads, block, matrix_run: 1, prefetch: false, buffers: 2, whole: false, speed }
    }

    /// The same with one pair of tiles: another workgroup on the unit multiplies while this one reads.
    const fn single(self) -> Self {
        Self { buffers: 1, ..self }
    }

    const fn prefetched(self) -> Self {
        Self { prefetch: true, ..self }
    }

    const fn of_whole_tiles(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Whether the tile suits a product's operands and edges.
    fn suits(&self, size: &Size) -> bool {
        let whole =
            size.m.is_multiple_of(self.m) && size.n.is_multiple_of(self.n) && size.k.is_multiple_of(self.k);
        !self.whole || whole && !size.transposed
    }
}

/// Tiles of `matmul_tiled`. A unit has 128 multiply-adds a clock; the rates are what loads beside them leave.
pub(super) const INVOCATIONS: &[Tile] = &[
    Tile::blocks([128, 128, 16], [8, 2], 70.0),
    Tile::blocks([128, 64, 16], [8, 2], 72.0),
    Tile::blocks([64, 64, 16], [4, 2], 67.0),
    Tile::blocks([32, 64, 32], [4, 2], 55.0),
    Tile::blocks([64, 32, 32], [4, 1], 45.0),
    Tile::blocks([32, 32, 32], [4, 1], 40.0),
    Tile::blocks([128, 32, 16], [8, 1], 50.0),
    Tile::blocks([128, 16, 16], [8, 1], 35.0),
];

/// Tiles of `matmul_cooperative`, with the speeds that were fitted to a UNet's products on an H200 (docs/performance.md).
pub(super) const COOPERATIVE: &[Tile] = &[
    Tile::pieces([128, 256, 32], [64, 64], speed(458.0, 2_460.0, 13_700.0, 3)),
    Tile::pieces([128, 128, 32], [64, 64], speed(501.0, 1_890.0, 10_400.0, 2)).single().of_whole_tiles(),
    Tile::pieces([128, 128, 64], [64, 32], speed(326.0, 3_550.0, 6_300.0, 8)).single().prefetched(),
    Tile::pieces([128, 64, 64], [32, 32], speed(284.0, 600.0, 7_600.0, 3)).single(),
    Tile::pieces([64, 128, 32], [32, 32], speed(261.0, 740.0, 9_800.0, 8)),
    Tile::pieces([64, 64, 64], [32, 32], speed(300.0, 1_760.0, 5_000.0, 2)).single(),
    Tile::pieces([64, 64, 32], [32, 32], speed(265.0, 920.0, 5_000.0, 2)),
    Tile::pieces([32, 64, 64], [16, 32], speed(151.0, 2_040.0, 9_700.0, 8)),
    Tile::pieces([32, 32, 64], [16, 16], speed(100.0, 2_040.0, 9_700.0, 8)),
];

const fn speed(rate: f64, latency: f64, startup: f64, resident: u64) -> Speed {
    Speed { rate, latency, startup, stores: 0.0, resident, part_traffic: 2.0 }
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
    pub(super) steps: u64,
    /// Tiles of k in a part.
    pub(super) part_steps: u64,
    /// Parts of k.
    pub(super) split: u64,
    /// Tiles in workgroup memory: with two, one is filled while the other is read.
    pub(super) buffers: u64,
    pub(super) workgroups: [u64; 3],
    /// Estimated time.
    pub(super) clocks: f64,
}

/// Clocks of one more dispatch that waits for this one.
pub(super) const DISPATCH: f64 = 5000.0;
/// Bytes a clock of the whole device.
pub(super) const BYTES: f64 = 2000.0;
/// The best of `tiles`, given the workgroup memory of each.
pub(super) fn choose(
    tiles: &[Tile],
    size: &Size,
    profile: &Profile,
    shared_bytes: &dyn Fn(&Tile) -> Shared,
) -> Result<Tiling, Declined> {
    let buffers = |tile: &Tile| {
        let Shared { tiles, rest } = shared_bytes(tile);
        (u64::from(profile.shared_bytes).saturating_sub(rest) / tiles).min(tile.buffers)
    };
    let fits = |tile: &&Tile| {
        tile.suits(size) && buffers(tile) > 0 && tile.threads <= u64::from(profile.workgroup_invocations)
    };
    let mut best: Option<Tiling> = None;
    for tile in tiles.iter().filter(fits) {
        let steps = size.k.div_ceil(tile.k);
        // Each step is a round, and so is each of its slices.
        let least = (steps * (1 + tile.k / LANES)).div_ceil(LOOP_ROUNDS).max(1);
        let more = [2, 3, 4, 6, 8, 12, 16, 24, 32].into_iter().filter(|&parts| parts > least);
        for parts in std::iter::once(least).chain(more) {
            let part_steps = steps.div_ceil(parts);
            let split = steps.div_ceil(part_steps);
            let fits = split * size.part_bytes() <= size.parts_bytes;
            if parts > least && (part_steps < 4 || split != parts || !fits) {
                continue;
            }
            let clocks = estimate(tile, size, profile, (split, part_steps));
            if best.as_ref().is_none_or(|best| clocks < best.clocks) {
                let workgroups = [size.n.div_ceil(tile.n), size.m.div_ceil(tile.m), size.batches * split];
                best = Some(Tiling {
                    tile: tile.clone(),
                    steps,
                    part_steps,
                    split,
                    buffers: buffers(tile),
                    workgroups,
                    clocks,
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

/// Clocks that a product takes: units work through their workgroups, each as fast as arithmetic or latency lets it.
fn estimate(tile: &Tile, size: &Size, profile: &Profile, (split, part_steps): (u64, u64)) -> f64 {
    let Speed { rate, latency, startup, stores, resident, part_traffic } = tile.speed;
    let units = u64::from(profile.busy_workgroups / 2).max(1);
    let groups = size.m.div_ceil(tile.m) * size.n.div_ceil(tile.n) * size.batches * split;
    let load = groups.div_ceil(units);
    let waves = load.div_ceil(resident.clamp(1, load)) as f64;
    let work = (tile.m * tile.n * tile.k) as f64;
    let step = (load as f64 * work / rate).max(waves * latency);
    let stores = load as f64 * stores;
    let parts = match split {
        1 => 0.0,
        _ => DISPATCH + (2.0 + part_traffic * (split - 1) as f64) * size.part_bytes() as f64 / BYTES,
    };
    part_steps as f64 * step + waves * startup + stores + parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn chosen([batches, m, n, k]: [u64; 4], transposed: bool) -> Tile {
        let shared =
            |tile: &Tile| Shared { tiles: 2 * tile.k * (tile.m + tile.n + 16), rest: tile.threads * 40 };
        let size = Size { batches, m, n, k, transposed, parts_bytes: u64::MAX };
        let profile = profile::find("nvidia").expect("a profile");
        choose(COOPERATIVE, &size, profile, &shared).expect("a tiling").tile
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
