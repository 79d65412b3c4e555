//! Matrix products and attention.

use super::SizeOf::Slices;
use super::{
    ConstantSpec, KernelInterface, Load, PLAIN, Packed, Prologue, Read, Scalar, SlotSpec, Words, Write,
};
use super::{bools, f32s, i32s, not_in_text, u32s};

/// Rows of the result, and the pixels that they are where a convolution is a product.
const RESULT: &[ConstantSpec] = &u32s(["ROWS_M", "OUT_BATCH", "OUT_HEIGHT", "OUT_WIDTH"]);

const RESULT_ORDER: &[ConstantSpec] = &bools(["PIXELS", "BATCH_INNERMOST"]);

const ROWS_ADJACENT: ConstantSpec = bools(["ROWS_ADJACENT"])[0];

/// The window of a convolution.
const WINDOW: [ConstantSpec; 6] =
    u32s(["TAPS", "KERNEL_X", "STRIDE_Y", "STRIDE_X", "DILATION_Y", "DILATION_X"]);

const PADS: [ConstantSpec; 2] = i32s(["PAD_Y", "PAD_X"]);

const FACTORS: [ConstantSpec; 2] = bools(["PADDED", "B_TRANSPOSED"]);

const TILING: &[ConstantSpec] =
    &u32s(["TILE_M", "TILE_N", "TILE_K", "RUN", "BUFFERS", "STEPS", "PART_STEPS", "SPLIT"]);

const TILING_FITS: &[ConstantSpec] =
    &bools(["K_ALIGNED", "M_ALIGNED", "N_ALIGNED", "PREFETCH", "WHOLE_TAPS"]);

pub(in crate::kernel) const MATMUL_TILED: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("a", &[Packed]), SlotSpec::weights("b", &[Packed]), SlotSpec::result()],
    constants: &[
        RESULT,
        RESULT_ORDER,
        &[ROWS_ADJACENT.not_in_text()],
        &WINDOW,
        &PADS,
        &FACTORS,
        TILING,
        TILING_FITS,
        &u32s(["B_PITCH", "ROWS", "COLUMN_SLICES", "LANES_X"]),
    ],
    prologue: Prologue::FinishesReads("a"),
    ..PLAIN
};

pub(in crate::kernel) const MATMUL_COOPERATIVE: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("a", &[Load]), SlotSpec::weights("b", &[Load]), SlotSpec::result()],
    constants: &[
        RESULT,
        RESULT_ORDER,
        &[ROWS_ADJACENT],
        &WINDOW,
        &PADS,
        &FACTORS,
        TILING,
        TILING_FITS,
        &u32s(["B_TILE_ROWS", "B_TILE_SLICES", "PIECE_N", "SUBGROUP_M", "SUBGROUP_N"]),
        &[ConstantSpec::subgroup_size()],
    ],
    prologue: Prologue::FinishesReads("a"),
    ..PLAIN
};

/// It adds up what a product made, and is given that product's constants.
pub(in crate::kernel) const SPLIT_SUM: KernelInterface = KernelInterface {
    slots: &[SlotSpec::scratch("src", &[Read]), SlotSpec::result()],
    constants: &[
        RESULT,
        RESULT_ORDER,
        &[ROWS_ADJACENT],
        &not_in_text(WINDOW),
        &not_in_text(PADS),
        &not_in_text(FACTORS),
        &u32s(["SPLIT", "BATCHES"]),
    ],
    ..PLAIN
};

pub(in crate::kernel) const MATVEC: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("a", &[Read]), SlotSpec::weights("b", &[Read]), SlotSpec::result()],
    constants: &[&bools(["K_ALIGNED"])],
    ..PLAIN
};

/// How rows of weights are walked along.
const ROWS: &[ConstantSpec] = &u32s([
    "ROWS_M",
    "OUTPUTS",
    "LANES",
    "STEPS",
    "UNROLL",
    "CHUNKS",
    "SPANS",
    "SPAN_SLICES",
    "BLOCK_SPANS",
    "BLOCKS",
]);

const ROWS_FIT: &[ConstantSpec] = &bools(["ALL_LIVE"]);

/// The rows of a are multiplied with, normalised first where there is a scale. With a gate the result is the product with b times a
/// function, which is the prologue, of that with c.
const ROW_PRODUCTS: &[SlotSpec] = &[
    SlotSpec::input("a", &[Read]),
    SlotSpec::input("scale", &[Read]).left_out(),
    SlotSpec::weights("b", &[Words]),
    SlotSpec::weights("c", &[Words]).left_out(),
    SlotSpec::result(),
];

/// Products that are made at once, and sums of squares beside them: as many as rows in whole vectors where these are normalised.
const BESIDE: &[ConstantSpec] = &u32s(["PRODUCTS", "SQUARES"]);

const EPSILON: &[ConstantSpec] = &f32s(["EPSILON"]);

pub(in crate::kernel) const MATVEC_ROWS: KernelInterface = KernelInterface {
    slots: ROW_PRODUCTS,
    constants: &[ROWS, BESIDE, EPSILON, ROWS_FIT],
    prologue: Prologue::FinishesValue,
    ..PLAIN
};

pub(in crate::kernel) const MATVEC_ROWS_SUBGROUP: KernelInterface = KernelInterface {
    slots: ROW_PRODUCTS,
    constants: &[ROWS, BESIDE, EPSILON, ROWS_FIT, &[ConstantSpec::subgroup_size()]],
    prologue: Prologue::FinishesValue,
    ..PLAIN
};

/// Which keys a query sees by its place, and what the others are.
const BAND: &[ConstantSpec] = &i32s(["FIRST_KEY", "LAST_KEY"]);

const SEEN: &[ConstantSpec] = &bools(["HAS_FIRST_KEY", "HAS_LAST_KEY", "UNSEEN_IS_ZERO"]);

/// The place of the first query among the keys, where that is known when the model runs.
const POSITION: SlotSpec = SlotSpec::input("position", &[Scalar]).integers();

/// Whether the slot `position` is there.
const HAS_POSITION: &[ConstantSpec] = &bools(["HAS_POSITION"]);

/// Workgroups that share the keys of a query.
const SPLITS: &[ConstantSpec] = &u32s(["SPLITS"]);

pub(in crate::kernel) const ATTENTION_CACHED: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("q", &[Read]),
        SlotSpec::input("k", &[Read]).fixed(&[Slices]),
        SlotSpec::input("v", &[Read]),
        POSITION,
        SlotSpec::scratch("made", &[Write]),
        SlotSpec::scratch("stats", &[Write]),
    ],
    constants: &[
        BAND,
        &bools(["HAS_FIRST_KEY", "HAS_LAST_KEY"]),
        SPLITS,
        &u32s(["ROWS", "SHARING", "KEY_PARTS"]),
        &f32s(["EXPONENT"]),
    ],
    prologue: Prologue::FinishesValue,
    ..PLAIN
};

pub(in crate::kernel) const ATTENTION_MERGE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::scratch("made", &[Read]),
        SlotSpec::scratch("stats", &[Read]),
        SlotSpec::result().fixed(&[Slices]),
    ],
    constants: &[SPLITS, &f32s(["EXPONENT"]), &bools(["UNSEEN_IS_ZERO"])],
    ..PLAIN
};

pub(in crate::kernel) const ATTENTION_COOPERATIVE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("q", &[Load]).fixed(&[Slices]),
        SlotSpec::input("k", &[Load]),
        SlotSpec::input("v", &[Load]).fixed(&[Slices]),
        POSITION.left_out(),
        SlotSpec::result(),
    ],
    constants: &[
        BAND,
        SEEN,
        HAS_POSITION,
        &u32s(["PARTS", "TILE", "SHARING"]),
        &f32s(["EXPONENT"]),
        &[ConstantSpec::subgroup_size()],
    ],
    prologue: Prologue::FinishesValue,
    ..PLAIN
};

pub(in crate::kernel) const ATTENTION_ROWS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("q", &[Read]).fixed(&[Slices]),
        SlotSpec::input("k", &[Read]).fixed(&[Slices]),
        SlotSpec::input("v", &[Read]).fixed(&[Slices]),
        POSITION.left_out(),
        SlotSpec::result(),
    ],
    constants: &[
        BAND,
        SEEN,
        HAS_POSITION,
        &u32s(["TILE", "ROWS", "SHARING"]),
        &f32s(["EXPONENT"]),
        &bools(["STAGED"]),
    ],
    prologue: Prologue::FinishesValue,
    ..PLAIN
};

pub(in crate::kernel) const ATTENTION_STATS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::scratch("src", &[Read]),
        SlotSpec::block_start(),
        SlotSpec::scratch("largest", &[Write]),
        SlotSpec::scratch("inverse", &[Write]),
    ],
    constants: &[BAND, SEEN],
    ..PLAIN
};
