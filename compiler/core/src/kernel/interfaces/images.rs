//! Kernels over images: convolutions, pools and resampling.

use super::{Block, ConstantSpec, KernelInterface, PLAIN, Read, Scalar, SizeOf, SlotSpec, Write};
use super::{bools, f32s, i32s, not_in_text, u32s};

/// The window of a convolution or pool.
const WINDOW: &[ConstantSpec] =
    &u32s(["KERNEL_Y", "KERNEL_X", "STRIDE_Y", "STRIDE_X", "DILATION_Y", "DILATION_X"]);

const PADS: &[ConstantSpec] = &i32s(["PAD_Y", "PAD_X"]);

const IMAGE: &[SlotSpec] = &[SlotSpec::input("src", &[Read]), SlotSpec::result()];

pub(in crate::kernel) const CONV_DEPTHWISE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::weights("weights", &[Block, Read]),
        SlotSpec::input("bias", &[Read]),
        SlotSpec::result(),
    ],
    constants: &[WINDOW, PADS],
    ..PLAIN
};

/// Pixels and slices that an invocation makes.
const BLOCKS: &[ConstantSpec] = &u32s(["BLOCK_X", "BLOCK_S"]);

/// By which the channels of groups are told apart.
const GROUPS: &[ConstantSpec] =
    &u32s(["GROUP_SRC_SLICES", "GROUP_DST_SLICES", "GROUP_SRC_CHANNELS", "GROUP_DST_CHANNELS"]);

pub(in crate::kernel) const CONV_GENERIC: KernelInterface = KernelInterface {
    constants: &[
        WINDOW,
        PADS,
        BLOCKS,
        GROUPS,
        &u32s(["SPLIT"]),
        &bools(["PADDED", "SHARED_SLICES", "INPUT_LANES"]),
    ],
    ..CONV_DEPTHWISE
};

pub(in crate::kernel) const CONV_TRANSPOSE: KernelInterface = KernelInterface {
    constants: &[WINDOW, PADS, BLOCKS, GROUPS, &bools(["SHARED_SLICES", "INPUT_LANES"])],
    ..CONV_DEPTHWISE
};

pub(in crate::kernel) const POOL: KernelInterface = KernelInterface {
    slots: IMAGE,
    constants: &[
        WINDOW,
        PADS,
        &u32s(["KIND", "P", "END_Y", "END_X", "BLOCK_X", "CHUNK", "CHUNKS"]),
        &bools(["PADDED", "COUNTED", "COUNT_PADDING"]),
    ],
    ..PLAIN
};

pub(in crate::kernel) const RESIZE: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::input("src", &[Read]),
        SlotSpec::input("rows", &[Scalar]),
        SlotSpec::input("columns", &[Scalar]),
        SlotSpec::result(),
    ],
    constants: &[&u32s(["TAPS_Y", "TAPS_X"]), &bools(["NEAREST", "EXTRAPOLATES"]), &f32s(["EXTRAPOLATION"])],
    ..PLAIN
};

pub(in crate::kernel) const RESIZE_LINEAR: KernelInterface = KernelInterface {
    slots: IMAGE,
    constants: &[&u32s(["KIND_Y", "KIND_X"]), &f32s(["SCALE_Y", "SCALE_X"]), &bools(["SINGLE_IS_FIRST"])],
    ..PLAIN
};

pub(in crate::kernel) const RESIZE_REPEAT: KernelInterface =
    KernelInterface { slots: IMAGE, constants: &[&u32s(["FACTOR_Y", "FACTOR_X"])], ..PLAIN };

pub(in crate::kernel) const WINOGRAD_FILTERS: KernelInterface = KernelInterface {
    slots: &[SlotSpec::weights("weights", &[Read]), SlotSpec::result().fixed(&[SizeOf::Height])],
    constants: &[&u32s(["TILE", "FIRST_POSITION"])],
    ..PLAIN
};

/// A dispatch goes over a block of rows of tiles, of which the domain holds no other.
const TILES: &[ConstantSpec] = &u32s(["TILE", "TILES_X"]);

const ROWS: &[ConstantSpec] = &[ConstantSpec::blocks().not_in_text()];

pub(in crate::kernel) const WINOGRAD_INPUT: KernelInterface = KernelInterface {
    slots: &[SlotSpec::input("src", &[Read]), SlotSpec::block_start(), SlotSpec::scratch("domain", &[Write])],
    constants: &[TILES, ROWS, &not_in_text(f32s(["FILTER_SCALE"])), PADS],
    ..PLAIN
};

pub(in crate::kernel) const WINOGRAD_OUTPUT: KernelInterface = KernelInterface {
    slots: &[
        SlotSpec::scratch("domain", &[Read]),
        SlotSpec::input("bias", &[Read]),
        SlotSpec::block_start(),
        SlotSpec::result(),
    ],
    constants: &[TILES, ROWS, &f32s(["FILTER_SCALE"])],
    ..PLAIN
};
