//! Kernels that walk along axes: reductions, searches, running sums, softmax and norms.

use super::{ConstantSpec, KernelInterface, PLAIN, Read, Scalar, SlotSpec, Write};
use super::{bools, f32s, scalars, u32s};

const VECTORS: &[SlotSpec] = &[SlotSpec::input("src", &[Read]), SlotSpec::result()];

/// A row is read before any of it is written.
const IN_PLACE: &[SlotSpec] = &[SlotSpec::input("src", &[Read]).written_over(), SlotSpec::result()];

/// Places in what was read.
const PLACES: SlotSpec = SlotSpec::result().integers();

pub(in crate::kernel) const REDUCE: KernelInterface = KernelInterface {
    slots: VECTORS,
    constants: &[
        &u32s(["KIND", "LOWEST_BITS", "HIGHEST_BITS", "COUNT_B", "COUNT_Y", "COUNT_X", "COUNT_S"]),
        &u32s(["PART", "RESULT_BATCH", "BATCH_STEP"]),
        &scalars(["COUNT"]),
        &bools(["REDUCE_C"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const ARG_REDUCE: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read]), PLACES],
    constants: &[
        &bools(["SMALLEST", "LAST", "ALONG_C"]),
        &u32s(["COUNT", "ALONG_B", "ALONG_Y", "ALONG_X", "ALONG_S"]),
    ],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const TOP_K: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Scalar]), PLACES],
    constants: &[&bools(["SMALLEST"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const SUPPRESS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("boxes", &[Read]),
        SlotSpec::input("scores", &[Scalar]),
        SlotSpec::input("candidates", &[Scalar]).integers(),
        SlotSpec::input("most", &[Scalar]),
        PLACES,
    ],
    constants: &[&u32s(["CLASSES", "STEPS"]), &u32s(["WORDS"])],
    ..PLAIN
};

pub(in crate::kernel) const SORT_RUNS: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read]), PLACES],
    constants: &[&bools(["SMALLEST"]), &u32s(["RUN", "RUNS", "KEPT"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const MERGE_RUNS: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read]), SlotSpec::scratch("runs", &[Read]).integers(), PLACES],
    constants: &[&bools(["SMALLEST"]), &u32s(["RUNS", "LENGTH", "KEPT", "HALVINGS"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const CUMSUM: KernelInterface = KernelInterface {
    slots: VECTORS,
    constants: &[&bools(["EXCLUSIVE", "REVERSE"])],
    scalar: Some("src"),
    ..PLAIN
};

pub(in crate::kernel) const CUMSUM_ROWS: KernelInterface =
    KernelInterface { constants: &[&bools(["EXCLUSIVE", "REVERSE"]), &u32s(["CHUNK"])], ..CUMSUM };

pub(in crate::kernel) const SOFTMAX: KernelInterface =
    KernelInterface { slots: IN_PLACE, constants: &[&u32s(["ITEMS"])], ..PLAIN };

pub(in crate::kernel) const SOFTMAX_AXIS: KernelInterface =
    KernelInterface { slots: IN_PLACE, constants: &[&u32s(["TILES"])], ..PLAIN };

pub(in crate::kernel) const SOFTMAX_SUBGROUP: KernelInterface = KernelInterface {
    slots: IN_PLACE,
    constants: &[
        &u32s(["ITEMS", "ROW_THREADS", "ROWS"]),
        // Where several rows share a workgroup, a subgroup is as wide as a row's invocations.
        &[ConstantSpec::subgroup_size().not_in_text().optional()],
    ],
    ..PLAIN
};

pub(in crate::kernel) const LAYER_NORM: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]).written_over(),
        SlotSpec::input("scale", &[Read]),
        SlotSpec::input("bias", &[Read]),
        SlotSpec::result(),
    ],
    constants: &[&f32s(["EPSILON"])],
    ..PLAIN
};

pub(in crate::kernel) const RMS_NORM: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]).written_over(),
        SlotSpec::input("scale", &[Read]),
        SlotSpec::result(),
    ],
    ..LAYER_NORM
};

pub(in crate::kernel) const GROUP_NORM: KernelInterface = KernelInterface {
    constants: &[&u32s(["UNITS", "UNIT_SLICES", "GROUP_LANES"]), &f32s(["COUNT", "EPSILON"])],
    ..LAYER_NORM
};

pub(in crate::kernel) const GROUP_NORM_MOMENTS: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::scratch("means", &[Write]),
        SlotSpec::scratch("squares", &[Write]),
    ],
    constants: &[&u32s(["CHUNK"])],
    ..PLAIN
};

pub(in crate::kernel) const GROUP_NORM_COMBINE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::scratch("means", &[Scalar]),
        SlotSpec::scratch("squares", &[Scalar]),
        SlotSpec::input("scale", &[Read]),
        SlotSpec::scratch("mean", &[Write]),
        SlotSpec::scratch("factor", &[Write]),
    ],
    constants: &[&u32s(["CHUNK", "PIXELS", "GROUP_CHANNELS"]), &f32s(["COUNT", "EPSILON"])],
    ..PLAIN
};

/// An invocation reads each pixel and writes it.
pub(in crate::kernel) const GROUP_NORM_APPLY: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]).written_over(),
        SlotSpec::scratch("mean", &[Read]),
        SlotSpec::scratch("factor", &[Read]),
        SlotSpec::input("bias", &[Read]),
        SlotSpec::result(),
    ],
    constants: &[&u32s(["ITEMS"])],
    ..PLAIN
};

/// Cosines and sines of the angles by which channels turn.
const ANGLES: [SlotSpec; 2] =
    [SlotSpec::input("cosine", &[Read, Scalar]), SlotSpec::input("sine", &[Read, Scalar])];

const PAIRS: &[ConstantSpec] = &u32s(["PAIRS"]);

const INTERLEAVED: &[ConstantSpec] = &bools(["INTERLEAVED"]);

pub(in crate::kernel) const ROTARY: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read, Scalar]), ANGLES[0], ANGLES[1], SlotSpec::result()],
    constants: &[PAIRS, INTERLEAVED],
    ..PLAIN
};

/// Rows of keys and values go into states, which are written where they are.
pub(in crate::kernel) const ROTARY_CACHE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("q", &[Read, Scalar]),
        SlotSpec::input("k", &[Read, Scalar]),
        SlotSpec::input("v", &[Read]),
        ANGLES[0],
        ANGLES[1],
        SlotSpec::input("first", &[Scalar]).integers(),
        SlotSpec::scratch("keys", &[Write]),
        SlotSpec::scratch("values", &[Write]),
        SlotSpec::result(),
    ],
    constants: &[PAIRS, INTERLEAVED, &bools(["HAS_VALUES", "CIRCULAR"])],
    ..PLAIN
};
