//! What an NVIDIA H200 showed.

use super::{
    AttentionRates, ComputeUnitLimits, CooperativeAttentionRates, DeviceRates, FewRowsRates, How,
    ProductRates, ProjectionRates, Rates, ReductionRates, RowAttentionRates, ScoreRates, Source, Speed, Tile,
    TileRates, WinogradRates,
};

/// Those of an NVIDIA H200.
pub const H200: Rates = Rates {
    device: DeviceRates {
        source: measured("what an H200 showed (docs/performance.md)"),
        bytes_per_cycle: 2_000.0,
        dispatch: 5_000.0,
        startup: 2_000.0,
    },
    compute_unit: ComputeUnitLimits {
        source: Source {
            text: "compute capability 9.0 of the CUDA programming guide, with some registers left to the driver",
            how: How::DataSheet,
        },
        shared_bytes: 227 << 10,
        registers: 64 << 10,
        invocation_registers: 232,
    },
    products: ProductRates {
        tiled_f32: TileRates { source: measured(TILED), tiles: INVOCATIONS_F32 },
        tiled_f16: TileRates { source: measured(TILED), tiles: INVOCATIONS_F16 },
        cooperative_f16: TileRates {
            source: measured("fitted to a UNet's products on an H200 (docs/performance.md)"),
            tiles: COOPERATIVE,
        },
    },
    few_rows: FewRowsRates {
        source: measured(
            "one row times 2048 x 8192 of f16: 12 us by matvec_rows, 36 us by matvec (docs/weights.md); a decode step of \
             Llama-3.2-1B at four bits takes 1.2 ms with one chunk and four outputs, 1.4 with two chunks, 2.1 with two chunks and \
             eight outputs",
        ),
        by_inputs: 8_000.0,
        by_outputs: 50_000.0,
        outputs: 4,
        // At 4.8 TB/s and some 0.8 us from memory to register, four megabytes of loads have to be in flight.
        lanes: [16, 128],
        // Four rows of sixteen bytes each are 16 registers a step. Quantized numbers take instructions, which many
        // invocations with a chunk each hide better than few with several.
        float_chunks: [4, 2],
        block_chunks: 1,
        // Some three microseconds.
        most_normalised: 1 << 27,
    },
    attention: AttentionRates {
        cooperative_f16: CooperativeAttentionRates {
            source: measured("an H200's attention (docs/performance.md)"),
            key_busy: [[-7.5, 3.5], [13.6, 0.4]],
            key_least: 8.0,
            key_alone: [80.0, 2.5],
            fetch: 1.65,
            tile_alone: 200.0,
            merge: 3_000.0,
        },
        rows: RowAttentionRates {
            source: measured("an H200's attention (docs/performance.md)"),
            rate: 45.0,
            step_latency: 1.2,
            read_latency: READ_LATENCY,
            direct: 3.0,
            merge: [200, 10],
            startup: 1_000.0,
            wait: 3.4,
        },
        scores: ScoreRates {
            source: measured("an H200's products (docs/performance.md); what a MiB is worth is chosen"),
            matrix_rate_f16: 250.0,
            plain_rate: 60.0,
            stores: 4.0,
            cached: 0.25,
            worth_of_a_mib: 10_000.0,
        },
    },
    winograd: WinogradRates {
        source: measured("an H200's transformations of small images; margins are chosen (docs/winograd.md)"),
        transform: 4_000.0,
        worth: 1.3,
        // About five times what reading a MiB takes.
        worth_of_a_mib: 2_500.0,
        blocks: [16, 64],
    },
    projections: ProjectionRates {
        source: measured("attention over 1,024 and 4,096 rows read views a third slower on an H200"),
        most_rows: 256,
        least_share: 16,
    },
    reductions: ReductionRates {
        source: Source { text: "chosen, as a dispatch of an H200 takes about as long", how: How::Assumed },
        short_rounds: 256,
        small_group: 2_048,
    },
};

/// The same for families of which none were measured.
pub const FROM_H200: Rates = H200.elsewhere(
    Source { text: "a compute unit of an H200, until measured here", how: How::Scaled },
    Source { text: "an H200's, until measured here", how: How::Assumed },
);

const fn measured(text: &'static str) -> Source {
    Source { text, how: How::Measured }
}

const TILED: &str = "fitted to 19 products and convolutions on an H200 (docs/performance.md)";

/// Cycles from asking memory for keys to having them.
const READ_LATENCY: f64 = 800.0;

/// Tiles of `matmul_tiled` on f32. A compute unit has 128 multiply-adds a cycle; the rates are what loads beside them leave.
const INVOCATIONS_F32: &[Tile] = &[
    blocks([128, 128, 16], [16, 2], speed(86.0, 3_450.0, 22_000.0, 2)),
    blocks([128, 128, 16], [8, 2], speed(74.0, 3_600.0, 14_500.0, 2)),
    blocks([128, 64, 16], [8, 2], speed(65.0, 2_280.0, 14_400.0, 2)),
    blocks([64, 64, 16], [4, 2], speed(65.0, 1_410.0, 10_900.0, 4)),
    blocks([32, 64, 32], [4, 2], speed(57.0, 2_400.0, 11_400.0, 8)),
    blocks([64, 32, 32], [4, 1], speed(54.5, 1_660.0, 8_700.0, 4)),
    blocks([32, 32, 32], [4, 1], speed(53.4, 1_700.0, 7_500.0, 8)),
    blocks([128, 32, 16], [8, 1], NARROW),
    blocks([128, 16, 16], [8, 1], NARROWEST),
];

/// The same on f16: the next tiles wait in half the registers.
const INVOCATIONS_F16: &[Tile] = &[
    blocks([128, 128, 16], [16, 2], speed(87.0, 3_400.0, 24_000.0, 2)),
    blocks([128, 128, 16], [8, 2], speed(82.0, 3_500.0, 17_500.0, 2)),
    blocks([128, 64, 16], [8, 2], speed(66.0, 2_300.0, 16_500.0, 2)),
    blocks([64, 64, 16], [4, 2], speed(69.0, 1_360.0, 11_500.0, 4)),
    blocks([32, 64, 32], [4, 2], speed(62.0, 2_260.0, 12_300.0, 8)),
    blocks([64, 32, 32], [4, 1], speed(59.0, 1_620.0, 9_000.0, 4)),
    blocks([32, 32, 32], [4, 1], speed(56.0, 1_640.0, 7_700.0, 8)),
    blocks([128, 32, 16], [8, 1], NARROW),
    blocks([128, 16, 16], [8, 1], NARROWEST),
];

/// Not measured by themselves: between their neighbours.
const NARROW: Speed = speed(50.0, 1_700.0, 9_000.0, 4);
const NARROWEST: Speed = speed(35.0, 1_500.0, 7_500.0, 8);

/// Tiles of `matmul_cooperative`.
const COOPERATIVE: &[Tile] = &[
    pieces([128, 256, 32], [64, 64], speed(458.0, 2_460.0, 13_700.0, 3)),
    whole(single(pieces([128, 128, 32], [64, 64], speed(501.0, 1_890.0, 10_400.0, 2)))),
    prefetched(single(pieces([128, 128, 64], [64, 32], speed(326.0, 3_550.0, 6_300.0, 8)))),
    single(pieces([128, 64, 64], [32, 32], speed(284.0, 600.0, 7_600.0, 3))),
    pieces([64, 128, 32], [32, 32], speed(261.0, 740.0, 9_800.0, 8)),
    single(pieces([64, 64, 64], [32, 32], speed(300.0, 1_760.0, 5_000.0, 2))),
    pieces([64, 64, 32], [32, 32], speed(265.0, 920.0, 5_000.0, 2)),
    pieces([32, 64, 64], [16, 32], speed(151.0, 2_040.0, 9_700.0, 8)),
    pieces([32, 32, 64], [16, 16], speed(100.0, 2_040.0, 9_700.0, 8)),
];

/// For invocations, each with a block of rows and slices. The next tiles are read early, into the one pair that there is.
const fn blocks([m, n, k]: [u64; 3], block: [u64; 2], speed: Speed) -> Tile {
    let threads = m * n / (4 * block[0] * block[1]);
    Tile { m, n, k, threads, block, matrix_run: 4, prefetch: true, buffers: 1, whole: false, speed }
}

/// For subgroups of 32, each with a block of rows and columns: two pairs of tiles in workgroup memory.
const fn pieces([m, n, k]: [u64; 3], block: [u64; 2], speed: Speed) -> Tile {
    let threads = m * n / (block[0] * block[1]) * 32;
    Tile { m, n, k, threads, block, matrix_run: 1, prefetch: false, buffers: 2, whole: false, speed }
}

const fn speed(rate: f64, latency: f64, startup: f64, resident: u64) -> Speed {
    Speed { rate, latency, startup, resident, part_traffic: 2.0 }
}

/// With one pair of tiles: another workgroup on the compute unit multiplies while this one reads.
const fn single(tile: Tile) -> Tile {
    Tile { buffers: 1, ..tile }
}

const fn prefetched(tile: Tile) -> Tile {
    Tile { prefetch: true, ..tile }
}

const fn whole(tile: Tile) -> Tile {
    Tile { whole: true, ..tile }
}
