//! Kernels that move, gather and scatter elements, and the element-wise one.

use super::{KernelInterface, PLAIN, Prologue, Read, Scalar, SlotSpec};
use super::{bools, f32s, i32s, not_in_text, scalars, u32s};

const INPUT: &[SlotSpec] = &[SlotSpec::input("src", &[Read, Scalar]), SlotSpec::result()];

pub(in crate::kernel) const CONCAT: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src_0", &[Read, Scalar]),
        SlotSpec::input("src_1", &[Read, Scalar]),
        SlotSpec::input("src_2", &[Read, Scalar]),
        SlotSpec::input("src_3", &[Read, Scalar]),
        SlotSpec::input("src_4", &[Read, Scalar]),
        SlotSpec::input("src_5", &[Read, Scalar]),
        SlotSpec::input("src_6", &[Read, Scalar]),
        SlotSpec::result(),
    ],
    constants: &[
        &bools(["WHOLE_SLICES", "CHANNELS_INNERMOST"]),
        &u32s(["PARTS", "ALONG_B", "ALONG_Y", "ALONG_X", "ALONG_C"]),
        &u32s(["FIRST_B", "FIRST_Y", "FIRST_X", "FIRST_S", "SIZE_B", "SIZE_Y", "SIZE_X", "SIZE_S"]),
        &u32s(["START_0", "START_1", "START_2", "START_3", "START_4", "START_5", "START_6"]),
    ],
    scalar: Some("src_0"),
    ..PLAIN
};

pub(in crate::kernel) const COPY: KernelInterface = KernelInterface {
    slots: INPUT,
    constants: &[
        &bools(["WHOLE_SLICES", "CHANNELS_INNERMOST"]),
        &u32s(["PICK_B", "PICK_Y", "PICK_X", "PICK_C"]),
        &i32s(["START_B", "START_Y", "START_X", "START_C", "STEP_B", "STEP_Y", "STEP_X", "STEP_C"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const ELEMENTWISE: KernelInterface = KernelInterface {
    slots: &[SlotSpec::result()],
    constants: &[&u32s(["ITEMS"]), &bools(["CHANNELS_INNERMOST"])],
    prologue: Prologue::MakesResult,
    ..PLAIN
};

pub(in crate::kernel) const PAD: KernelInterface = KernelInterface {
    slots: INPUT,
    constants: &[
        &u32s(["MODE", "FILL_BITS"]),
        &bools(["PADS_CHANNELS", "CHANNELS_INNERMOST"]),
        &i32s(["BEGIN_B", "BEGIN_Y", "BEGIN_X", "BEGIN_C"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const RANGE: KernelInterface = KernelInterface {
    slots: &[SlotSpec::result()],
    constants: &[&scalars(["START", "DELTA"])],
    scalar: Some("dst"),
    ..PLAIN
};

pub(in crate::kernel) const RESHAPE: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Scalar]), SlotSpec::result()],
    constants: &[
        &u32s(["SRC_STRIDE_B", "SRC_STRIDE_Y", "SRC_STRIDE_X", "SRC_STRIDE_C"]),
        &u32s(["DST_STRIDE_B", "DST_STRIDE_Y", "DST_STRIDE_X", "DST_STRIDE_C"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const STRIDED: KernelInterface = KernelInterface {
    slots: INPUT,
    constants: &[
        &bools(["WHOLE_VECTORS", "ONE_ROW"]),
        &i32s(["START", "STEP_LAST"]),
        // The outermost axis is taken without a remainder.
        &not_in_text(u32s(["SIZE_0"])),
        &u32s(["SIZE_1", "SIZE_2", "SIZE_3", "SIZE_4", "SIZE_5", "SIZE_6", "SIZE_7"]),
        &i32s(["STEP_0", "STEP_1", "STEP_2", "STEP_3", "STEP_4", "STEP_5", "STEP_6", "STEP_7"]),
        &u32s(["INNER_0", "INNER_1", "INNER_2", "INNER_3", "INNER_4", "INNER_5", "INNER_6", "INNER_7"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const TRANSPOSE_TILED: KernelInterface = KernelInterface {
    slots: INPUT,
    constants: &[
        &u32s(["ROWS", "COLUMNS", "GROUPS", "TILES_ROW", "TILES_COLUMN"]),
        &u32s(["START", "SRC_STEP_COLUMN", "DST_STEP_ROW"]),
        &bools(["READ_VECTORS"]),
        // The outermost axis is taken without a remainder.
        &not_in_text(u32s(["OUTER_SIZE_0"])),
        &u32s(["OUTER_SIZE_1", "OUTER_SIZE_2", "OUTER_SIZE_3", "OUTER_SIZE_4", "OUTER_SIZE_5"]),
        &u32s(["OUTER_INNER_0", "OUTER_INNER_1", "OUTER_INNER_2"]),
        &u32s(["OUTER_INNER_3", "OUTER_INNER_4", "OUTER_INNER_5"]),
        &u32s(["SRC_OUTER_0", "SRC_OUTER_1", "SRC_OUTER_2", "SRC_OUTER_3", "SRC_OUTER_4", "SRC_OUTER_5"]),
        &u32s(["DST_OUTER_0", "DST_OUTER_1", "DST_OUTER_2", "DST_OUTER_3", "DST_OUTER_4", "DST_OUTER_5"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const GATHER: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::input("indices", &[Scalar]).integers(),
        SlotSpec::result(),
    ],
    ..PLAIN
};

/// New rows, and where they go.
const NEW_ROWS: SlotSpec = SlotSpec::input("rows", &[Read]);

const FIRST_ROW: SlotSpec = SlotSpec::input("first", &[Scalar]).integers();

pub(in crate::kernel) const WRITE_ROWS: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read]), NEW_ROWS, FIRST_ROW, SlotSpec::result()],
    constants: &[&bools(["CIRCULAR"])],
    ..PLAIN
};

/// The result is the state itself, all but the new rows of it as it was.
pub(in crate::kernel) const WRITE_ROWS_IN_PLACE: KernelInterface = KernelInterface {
    slots: &[NEW_ROWS, FIRST_ROW, SlotSpec::result()],
    constants: &[&bools(["CIRCULAR"])],
    ..PLAIN
};

/// Sizes of the axes that a tuple indexes, and their distances in rows.
const TUPLE: &[super::ConstantSpec] =
    &u32s(["LIMIT_0", "LIMIT_1", "LIMIT_2", "LIMIT_3", "STRIDE_0", "STRIDE_1", "STRIDE_2", "STRIDE_3"]);

pub(in crate::kernel) const GATHER_ND: KernelInterface = KernelInterface { constants: &[TUPLE], ..GATHER };

pub(in crate::kernel) const GATHER_ELEMENTS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Scalar]),
        SlotSpec::input("indices", &[Read]).integers(),
        SlotSpec::result(),
    ],
    constants: &[&bools(["ALONG_C"]), &u32s(["LIMIT"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const SCATTER_ELEMENTS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::input("indices", &[Read, Scalar]).integers(),
        SlotSpec::input("updates", &[Read, Scalar]),
        SlotSpec::result(),
    ],
    constants: &[&bools(["ALONG_C"]), &u32s(["LIMIT", "UPDATE", "FIRST", "END"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const SCATTER_KNOWN: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::input("writer", &[Read, Scalar]).integers(),
        SlotSpec::input("updates", &[Read, Scalar]),
        SlotSpec::result(),
    ],
    constants: &[&bools(["ALONG_C"]), &u32s(["UPDATE"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const SCATTER_ND: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::input("indices", &[Scalar]).integers(),
        SlotSpec::input("updates", &[Read, Scalar]),
        SlotSpec::result(),
    ],
    constants: &[&bools(["ALONG_C"]), &u32s(["UPDATE", "FIRST", "END"]), TUPLE],
    scalar: Some("src"),
    ..PLAIN
};

/// Makes operands of a self-test.
pub(in crate::kernel) const SELF_TEST_FILL: KernelInterface = KernelInterface {
    slots: &[SlotSpec::result()],
    constants: &[
        &u32s(["SEED", "COUNT", "STRIDE_B", "STRIDE_Y", "STRIDE_X", "STRIDE_C"]),
        &f32s(["OFFSET", "SCALE"]),
    ],
    scalar: Some("dst"),
    ..PLAIN
};

/// Takes samples of a result.
pub(in crate::kernel) const SELF_TEST_SAMPLE: KernelInterface =
    KernelInterface { slots: &[SlotSpec::input("src", &[Read]), SlotSpec::result().integers()], ..PLAIN };
