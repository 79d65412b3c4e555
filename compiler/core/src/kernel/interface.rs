//! What a kernel's text expects of the prelude, and what stages rely on: its interface.
//!
//! Every kernel file has one, declared in [`interfaces`](super::interfaces). Nothing searches the text of a kernel: which
//! accessors are written, where element-wise functions are spliced in, which slot may be written over and which constant is
//! the size of a subgroup is read here. Tests hold each interface against its text, and [`KernelCall::check_interface`] each
//! call against the interface of its kernel.
//!
//! [`KernelCall::check_interface`]: super::KernelCall::check_interface

mod call;
mod check;
#[cfg(test)]
mod tests;

pub use check::Mismatch;

use super::{Access, Constant};
use crate::physical::Element;

/// A generated function through which a kernel reaches a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accessor {
    /// `slot_read(b, y, x, s)`: four channels, f16 widened.
    Read,
    /// `slot_load(b, y, x, s)`: four channels as stored.
    Load,
    /// `slot_packed(b, y, x, s)`: four channels to be kept, and `slot_widen(packed)` for their numbers.
    Packed,
    /// `slot_scalar(b, y, x, c)`: one channel.
    Scalar,
    /// `slot_block(o, tap, i)`: where a block of weights begins, and `slot_read(block, k)` for the vectors of it.
    Block,
    /// `slot_words(row, chunk)`: sixteen bytes of a row of weights, `slot_numbers(words, slice)` for four of their numbers and
    /// `slot_parameters(row, block)` for what these stand for.
    Words,
    /// `slot_write(b, y, x, s, value)`.
    Write,
}

/// What a slot is to its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A tensor that the kernel reads.
    Input,
    /// A tensor that may be in a layout of weights.
    Weights,
    /// A tensor that element-wise functions read: the kernel's text does not name it.
    Operand,
    /// Says where a block begins, so that the dispatches for all blocks of a tensor share their shader.
    BlockStart,
    /// An intermediate of the node between two of its dispatches, as large as one block needs.
    Scratch,
    /// What the kernel makes, written through the epilogue.
    Result,
}

/// A size of a slot, along a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOf {
    /// Along the batch.
    Batch,
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// Channels.
    Channels,
    /// Slices of four channels.
    Slices,
}

impl SizeOf {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Batch, Self::Height, Self::Width, Self::Channels, Self::Slices];

    /// Its name in the text, after that of the slot.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Batch => "BATCH",
            Self::Height => "HEIGHT",
            Self::Width => "WIDTH",
            Self::Channels => "CHANNELS",
            Self::Slices => "SLICES",
        }
    }
}

/// A slot that the text of a kernel names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSpec {
    /// Prefix of its accessors and sizes.
    pub name: &'static str,
    /// What it is.
    pub role: Role,
    /// Those of its accessors that the text calls.
    pub accessors: &'static [Accessor],
    /// The element that the text takes it to have, where that is neither a float nor `SCALAR`.
    pub element: Option<Element>,
    /// Sizes that have to be known when a module is made, since arrays or unrolled loops have them.
    pub fixed: &'static [SizeOf],
    /// Whether some calls leave it out, those without blocks one that says where a block begins; the accessor then gives zero.
    pub optional: bool,
    /// Whether a workgroup reads all that it needs of the slot before it writes there, but for what each invocation then reads
    /// and writes itself: the result may be where it was.
    pub written_over: bool,
}

impl SlotSpec {
    const fn new(name: &'static str, role: Role, accessors: &'static [Accessor]) -> Self {
        Self { name, role, accessors, element: None, fixed: &[], optional: false, written_over: false }
    }

    /// A tensor that is read.
    pub const fn input(name: &'static str, accessors: &'static [Accessor]) -> Self {
        Self::new(name, Role::Input, accessors)
    }

    /// Weights, or another tensor in their place.
    pub const fn weights(name: &'static str, accessors: &'static [Accessor]) -> Self {
        Self::new(name, Role::Weights, accessors)
    }

    /// Where a block begins.
    pub const fn block_start() -> Self {
        Self { optional: true, ..Self::new("block", Role::BlockStart, &[Accessor::Scalar]) }
    }

    /// An intermediate, read or written.
    pub const fn scratch(name: &'static str, accessors: &'static [Accessor]) -> Self {
        Self::new(name, Role::Scratch, accessors)
    }

    /// The result.
    pub const fn result() -> Self {
        Self::new("dst", Role::Result, &[Accessor::Write])
    }

    /// The same slot, which some calls leave out.
    pub const fn left_out(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The same slot of integers, whatever the kernel computes with.
    pub const fn integers(self) -> Self {
        Self { element: Some(Element::I32), ..self }
    }

    /// The same slot, of which some sizes have to be known when a module is made.
    pub const fn fixed(self, fixed: &'static [SizeOf]) -> Self {
        Self { fixed, ..self }
    }

    /// The same slot, which the result may be written over.
    pub const fn written_over(self) -> Self {
        Self { written_over: true, ..self }
    }

    /// Whether the text calls this accessor.
    pub fn calls(&self, accessor: Accessor) -> bool {
        self.accessors.contains(&accessor)
    }

    /// How the kernel uses it.
    pub fn access(&self) -> Access {
        if self.calls(Accessor::Write) { Access::Write } else { Access::Read }
    }
}

/// Type of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConstantType {
    /// `u32`.
    U32,
    /// `i32`.
    I32,
    /// `f32`.
    F32,
    /// `bool`.
    Bool,
    /// The type that the kernel computes with: `f32` for floats, `i32` for integers.
    Scalar,
}

impl ConstantType {
    /// Whether a value is of this type, in a kernel that computes with `scalar`.
    pub fn admits(self, value: &Constant, scalar: Option<Element>) -> bool {
        match (self, value) {
            (Self::U32, Constant::U32(_))
            | (Self::I32, Constant::I32(_))
            | (Self::F32, Constant::F32(_))
            | (Self::Bool, Constant::Bool(_)) => true,
            (Self::U32 | Self::I32 | Self::F32, Constant::Free(ty, _)) => self == *ty,
            (Self::Scalar, Constant::Free(Self::F32, _)) => scalar.is_some_and(Element::is_float),
            (Self::Scalar, Constant::Free(Self::I32, _)) => scalar.is_some_and(|element| !element.is_float()),
            (Self::Scalar, Constant::F32(_)) => scalar.is_some_and(Element::is_float),
            (Self::Scalar, Constant::I32(_)) => scalar.is_some_and(|element| !element.is_float()),
            (
                _,
                Constant::U32(_)
                | Constant::I32(_)
                | Constant::F32(_)
                | Constant::Bool(_)
                | Constant::Free(..),
            ) => false,
        }
    }
}

/// What a constant tells a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Invocations of a subgroup, on which the text relies.
    SubgroupSize,
    /// Blocks of rows that the dispatches of a node share its images among.
    Blocks,
}

/// A constant that a call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstantSpec {
    /// Its name in the text.
    pub name: &'static str,
    /// Its type.
    pub ty: ConstantType,
    /// What it tells a stage.
    pub meaning: Option<Meaning>,
    /// Whether the text names it; others are there for stages, or because kernels share them.
    pub in_text: bool,
    /// Whether some calls leave it out.
    pub optional: bool,
}

impl ConstantSpec {
    /// A constant that the text names.
    pub const fn new(name: &'static str, ty: ConstantType) -> Self {
        Self { name, ty, meaning: None, in_text: true, optional: false }
    }

    /// The size of a subgroup.
    pub const fn subgroup_size() -> Self {
        Self { meaning: Some(Meaning::SubgroupSize), ..Self::new("SUBGROUP_SIZE", ConstantType::U32) }
    }

    /// The number of blocks.
    pub const fn blocks() -> Self {
        Self { meaning: Some(Meaning::Blocks), ..Self::new("BLOCKS", ConstantType::U32) }
    }

    /// The same constant, which the text does not name.
    pub const fn not_in_text(self) -> Self {
        Self { in_text: false, ..self }
    }

    /// The same constant, which some calls leave out.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// Where the text of a kernel calls for an element-wise function other than the epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prologue {
    /// Nowhere.
    None,
    /// `value_read(b, y, x, s)` makes each element of the result of operands alone, at the coordinates that are then written.
    MakesResult,
    /// `value_of(b, y, x, s, value)` finishes what the kernel made, at coordinates of its own.
    FinishesValue,
    /// What is read of a slot is finished, if a call wants it so; the text knows nothing of it.
    FinishesReads(&'static str),
}

/// All that is known of a kernel beside its text. A kernel writes each element of its result at most once in a dispatch, so
/// what its epilogue reads of an element may be where that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelInterface {
    /// The slots that the text names.
    pub slots: &'static [SlotSpec],
    /// The constants that a call gives, in groups that kernels share.
    pub constants: &'static [&'static [ConstantSpec]],
    /// The slot whose element is `SCALAR`, for kernels that move or combine elements of any type.
    pub scalar: Option<&'static str>,
    /// Where an element-wise function is spliced in before the epilogue.
    pub prologue: Prologue,
}

impl KernelInterface {
    /// A kernel of floats without constants or splices, from which others differ.
    pub const PLAIN: Self = Self { slots: &[], constants: &[], scalar: None, prologue: Prologue::None };

    /// The slot called `name` in the text.
    pub fn slot(&self, name: &str) -> Option<&'static SlotSpec> {
        self.slots.iter().find(|slot| slot.name == name)
    }

    /// The constant called `name` in the text.
    pub fn constant(&self, name: &str) -> Option<&'static ConstantSpec> {
        self.constants().find(|constant| constant.name == name)
    }

    /// All constants.
    pub fn constants(&self) -> impl Iterator<Item = &'static ConstantSpec> + use<> {
        self.constants.iter().copied().flatten()
    }

    /// Whether it reads elements as they are stored.
    pub fn loads(&self) -> bool {
        self.slots.iter().any(|slot| slot.calls(Accessor::Load))
    }
}
