//! The interfaces of the kernels in `wgsl/`, by families. What the words mean is in [`interface`](super::interface).

pub(super) mod data_movement;
pub(super) mod images;
pub(super) mod products;
pub(super) mod rows;

use super::interface::Accessor::{Block, Load, Packed, Read, Scalar, Words, Write};
use super::interface::{ConstantSpec, ConstantType, KernelInterface, Prologue, SizeOf, SlotSpec};

const PLAIN: KernelInterface = KernelInterface::PLAIN;

/// Constants of one type.
const fn all<const N: usize>(ty: ConstantType, names: [&'static str; N]) -> [ConstantSpec; N] {
    let mut specs = [ConstantSpec::new("", ty); N];
    let mut at = 0;
    while at < N {
        specs[at] = ConstantSpec::new(names[at], ty);
        at += 1;
    }
    specs
}

const fn u32s<const N: usize>(names: [&'static str; N]) -> [ConstantSpec; N] {
    all(ConstantType::U32, names)
}

const fn i32s<const N: usize>(names: [&'static str; N]) -> [ConstantSpec; N] {
    all(ConstantType::I32, names)
}

const fn f32s<const N: usize>(names: [&'static str; N]) -> [ConstantSpec; N] {
    all(ConstantType::F32, names)
}

const fn bools<const N: usize>(names: [&'static str; N]) -> [ConstantSpec; N] {
    all(ConstantType::Bool, names)
}

/// Constants of the type that the kernel computes with.
const fn scalars<const N: usize>(names: [&'static str; N]) -> [ConstantSpec; N] {
    all(ConstantType::Scalar, names)
}

/// The same constants, which the text does not name.
const fn not_in_text<const N: usize>(mut specs: [ConstantSpec; N]) -> [ConstantSpec; N] {
    let mut at = 0;
    while at < N {
        specs[at] = specs[at].not_in_text();
        at += 1;
    }
    specs
}
