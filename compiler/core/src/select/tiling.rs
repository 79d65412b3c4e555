//! Which tiles a matrix product is cut into, and into how many parts its k: the fewest estimated clocks win.

use super::Declined;
use crate::profile::Profile;

/// The sizes of a product, or of a batch of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) batches: u64,
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) k: u64,
    /// Both operands are rows of slices side by side, k along those of the left one and n along those of the right one.
    pub(super) rows: bool,
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
    /// Only for rows of whole tiles: what guards edges and windows takes would not fit the registers beside the sums.
    whole_rows: bool,
    /// Multiply-adds a clock of a compute unit that has enough of these workgroups.
    rate: f64,
    /// Multiply-adds a clock of a workgroup on its own.
    alone: f64,
}

impl Tile {
    const fn blocks(m: u64, n: u64, k: u64, block: [u64; 2], rate: f64) -> Self {
        let threads = m * n / (4 * block[0] * block[1]);
        let alone = threads as f64 * 0.4;
        let (buffers, whole_rows) = (2, false);
        Self { m, n, k, threads, block, matrix_run: 8, prefetch: true, buffers, whole_rows, rate, alone }
    }

    const fn pieces(m: u64, n: u64, k: u64, block: [u64; 2], [rate, alone]: [f64; 2]) -> Self {
        let threads = m * n / (block[0] * block[1]) * 32;
        let (buffers, whole_rows) = (2, false);
        Self { m, n, k, threads, block, matrix_run: 1, prefetch: k > 32, buffers, whole_rows, rate, alone }
    }

    /// The same with one buffer, so that two workgroups fit a unit and one reads while the other multiplies.
    const fn paired(m: u64, n: u64, k: u64, block: [u64; 2], rates: [f64; 2]) -> Self {
        Self { buffers: 1, whole_rows: true, ..Self::pieces(m, n, k, block, rates) }
    }

    /// Whether the tile suits a product's operands and edges.
    fn suits(&self, size: &Size) -> bool {
        let whole =
            size.m.is_multiple_of(self.m) && size.n.is_multiple_of(self.n) && size.k.is_multiple_of(self.k);
        !self.whole_rows || size.rows && whole
    }
}

/// Tiles of `matmul_tiled`. A unit has 128 multiply-adds a clock; the rates are what loads beside them leave.
pub(super) const INVOCATIONS: &[Tile] = &[
    Tile::blocks(128, 128, 16, [8, 2], 70.0),
    Tile::blocks(128, 64, 16, [8, 2], 72.0),
    Tile::blocks(64, 64, 16, [4, 2], 67.0),
    Tile::blocks(32, 64, 32, [4, 2], 55.0),
    Tile::blocks(64, 32, 32, [4, 1], 45.0),
    Tile::blocks(32, 32, 32, [4, 1], 40.0),
    Tile::blocks(128, 32, 16, [8, 1], 50.0),
    Tile::blocks(128, 16, 16, [8, 1], 35.0),
];

/// Tiles of `matmul_cooperative`, with the rates that an H200 showed.
pub(super) const COOPERATIVE: &[Tile] = &[
    Tile::pieces(128, 256, 32, [64, 64], [530.0, 480.0]),
    Tile::paired(128, 128, 32, [64, 64], [560.0, 320.0]),
    Tile::pieces(128, 128, 32, [64, 32], [370.0, 320.0]),
    Tile::pieces(128, 64, 64, [64, 32], [280.0, 250.0]),
    Tile::pieces(64, 64, 64, [32, 32], [240.0, 140.0]),
    Tile::pieces(32, 64, 64, [16, 32], [160.0, 80.0]),
    Tile::pieces(32, 32, 64, [16, 16], [100.0, 50.0]),
];

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
    pub(super) workgroups: [u32; 3],
    /// Estimated time.
    pub(super) clocks: f64,
}

/// Clocks from asking for a tile to having it.
const LATENCY: f64 = 800.0;
/// Clocks of a workgroup's beginning and end.
const STARTUP: f64 = 1000.0;
/// Clocks of one more dispatch that waits for this one.
pub(super) const DISPATCH: f64 = 5000.0;
/// Bytes a clock of the whole device.
pub(super) const BYTES: f64 = 2000.0;
/// Invocations of such kernels that a compute unit holds.
const RESIDENT: u64 = 512;
/// Results that a compute unit stores in a clock.
const STORES: f64 = 4.0;

/// The best of `tiles`, given the workgroup memory of each.
pub(super) fn choose(
    tiles: &[Tile],
    size: &Size,
    profile: &Profile,
    shared_bytes: &dyn Fn(&Tile) -> Shared,
) -> Result<Tiling, Declined> {
    let limit = u64::from(profile.grid_axis);
    let buffers = |tile: &Tile| {
        let Shared { tiles, rest } = shared_bytes(tile);
        (u64::from(profile.shared_bytes).saturating_sub(rest) / tiles).min(tile.buffers)
    };
    let fits = |tile: &&Tile| {
        tile.suits(size)
            && buffers(tile) > 0
            && tile.threads <= u64::from(profile.workgroup_invocations)
            && size.m.div_ceil(tile.m) <= limit
            && size.n.div_ceil(tile.n) <= limit
            && size.batches <= limit
    };
    let mut best: Option<Tiling> = None;
    for tile in tiles.iter().filter(fits) {
        let steps = size.k.div_ceil(tile.k);
        for parts in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] {
            let part_steps = steps.div_ceil(parts);
            let split = steps.div_ceil(part_steps);
            if parts > 1 && (part_steps < 4 || split != parts || size.batches * split > limit) {
                continue;
            }
            let clocks = estimate(tile, size, profile, (split, part_steps));
            if best.as_ref().is_none_or(|best| clocks < best.clocks) {
                let workgroups = [
                    size.n.div_ceil(tile.n) as u32,
                    size.m.div_ceil(tile.m) as u32,
                    (size.batches * split) as u32,
                ];
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
    let units = u64::from(profile.busy_workgroups / 2).max(1);
    let groups = size.m.div_ceil(tile.m) * size.n.div_ceil(tile.n) * size.batches * split;
    let load = groups.div_ceil(units);
    let resident = (RESIDENT / tile.threads).clamp(1, load);
    let waves = load.div_ceil(resident) as f64;
    let work = (tile.m * tile.n * tile.k) as f64;
    let step = (load as f64 * work / tile.rate).max(waves * LATENCY.max(work / tile.alone));
    let stores = (load * tile.m * tile.n) as f64 / STORES;
    let parts = match split {
        1 => 0.0,
        _ => DISPATCH + (split + 1) as f64 * (size.batches * size.m * size.n * 4) as f64 / BYTES,
    };
    part_steps as f64 * step + waves * STARTUP + stores + parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn chosen(size: Size) -> Tiling {
        let shared =
            |tile: &Tile| Shared { tiles: 2 * tile.k * (tile.m + tile.n + 16), rest: tile.threads * 40 };
        choose(COOPERATIVE, &size, profile::find("nvidia").expect("a profile"), &shared).expect("a tiling")
    }

    #[test]
    fn two_workgroups_share_a_unit_where_operands_are_rows_of_whole_tiles() {
        for size in [[4096, 4096, 4096], [1536, 1024, 32]] {
            let [m, n, k] = size;
            let paired = chosen(Size { batches: 1, m, n, k, rows: true });
            assert_eq!(
                (paired.tile.m, paired.tile.n, paired.tile.threads, paired.buffers),
                (128, 128, 128, 1)
            );
        }
        for (n, rows) in [(4096, false), (4000, true)] {
            let other = chosen(Size { batches: 1, m: 4096, n, k: 4096, rows });
            assert_eq!((other.tile.m, other.tile.n, other.tile.threads), (128, 256, 256));
        }
    }
}
