//! What is known of the 8x8 matrices of Apple's GPUs.

use super::{
    AttentionRates, FROM_H200, How, ProductRates, Rates, ScoreRates, Source, Speed, Tile, TileRates,
};

/// Those of an H200, but for products on matrices.
pub const APPLE_MATRICES: Rates = Rates {
    products: ProductRates {
        cooperative_f16: TileRates { source: CORE, tiles: TILES },
        ..FROM_H200.products
    },
    attention: AttentionRates {
        scores: ScoreRates { source: CORE, matrix_rate_f16: 90.0, ..FROM_H200.attention.scores },
        ..FROM_H200.attention
    },
    ..FROM_H200
};

/// Matrices are multiplied by the units that multiply all else, without the loads from registers in between.
const CORE: Source = Source {
    text: "scaled from the data sheet: 2.6 TFLOPS of an M1's 8 cores at 1.278 GHz (Apple, November 2020) are 128 multiply-adds a \
           cycle of a core, of which three quarters are taken to be left; waits are an H200's, until measured here",
    how: How::Scaled,
};

/// Four subgroups each, which share a pair of tiles.
const TILES: &[Tile] = &[
    pieces([64, 64, 32], [32, 32], speed(96.0, 1_360.0, 11_500.0, 2)),
    pieces([64, 32, 32], [32, 16], speed(88.0, 1_360.0, 9_000.0, 3)),
    pieces([32, 64, 32], [16, 32], speed(88.0, 1_360.0, 9_000.0, 3)),
    pieces([32, 32, 32], [16, 16], speed(72.0, 1_360.0, 7_700.0, 4)),
];

const fn pieces([m, n, k]: [u64; 3], block: [u64; 2], speed: Speed) -> Tile {
    let threads = m * n / (block[0] * block[1]) * 32;
    Tile { m, n, k, threads, block, matrix_run: 1, prefetch: false, buffers: 1, whole: false, speed }
}

const fn speed(rate: f64, latency: f64, startup: f64, resident: u64) -> Speed {
    Speed { rate, latency, startup, resident, part_traffic: 2.0 }
}
