//! Kernels: plain WGSL files in a fenced dialect, and what stands before them to make a whole module.
//!
//! A file in `wgsl/` is an algorithm over logical coordinates. [`KernelCall::module_text`] puts a prelude before it:
//! constants, bindings and accessors ([`accessor`]), with fused element-wise steps inside the accessors ([`scalar`]). What the
//! text and the rest of the compiler know of each other is the kernel's [`interface`].
//! Which kernel an op gets is decided in `select`; the passes over the parsed module are in `module`.

pub mod accessor;
mod address;
mod formula;
mod functions;
pub mod interface;
mod interfaces;
mod join;
mod kind;
mod limits;
mod literal;
mod numbers;
mod prelude;
pub mod scalar;
mod slot;
mod sources;
mod words;

pub use address::{AddressMap, Shift};
pub use join::{Join, MOST_PARTS};
pub use limits::{MOST_ARRAY_BYTES, TooLarge, dispatched};
pub use numbers::Named;
pub use slot::{Access, Slot, Source};
pub use sources::{ALL, KernelSource, source};
pub use words::{ModuleText, PARAMS_GROUP};

use crate::physical::weights::PackedRows;
use crate::physical::{Element, Size, StorageType, View, Window};
use interface::{ConstantType, Meaning, Role};
use scalar::ScalarProgram;
use std::fmt::Write;

/// A constant of the prelude.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A size of this type that follows from free dims.
    Free(ConstantType, Size),
    /// `u32`. Any number can be written here; [`KernelCall::check`] refuses those that 32 bits do not hold.
    U32(u64),
    /// `i32`, likewise.
    I32(i64),
    /// `f32`, finite.
    F32(f32),
    /// `bool`.
    Bool(bool),
}

impl Constant {
    /// A size or distance as `u32`.
    pub fn count(size: Size) -> Self {
        match size {
            Size::Const(size) => Self::U32(size),
            size @ Size::Free(_) => Self::Free(ConstantType::U32, size),
        }
    }

    /// The same as `i32`.
    pub fn signed_size(size: &Size) -> Self {
        match size {
            Size::Const(size) => Self::signed(*size),
            Size::Free(_) => Self::Free(ConstantType::I32, size.clone()),
        }
    }

    /// The same as `f32`.
    pub fn float_size(size: &Size) -> Self {
        match size {
            Size::Const(size) => Self::F32(*size as f32),
            Size::Free(_) => Self::Free(ConstantType::F32, size.clone()),
        }
    }

    /// A size or distance as `i32`.
    pub fn signed(value: u64) -> Self {
        Self::I32(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// A kernel with all that varies bound: enough to make a module and a dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCall {
    /// The algorithm.
    pub kernel: &'static KernelSource,
    /// Constants of the prelude, beside those of the slots and the workgroup size.
    pub constants: Vec<(&'static str, Constant)>,
    /// Tensor arguments.
    pub slots: Vec<Slot>,
    /// Element-wise function where the kernel's interface has a place for one.
    pub prologue: Option<ScalarProgram>,
    /// Element-wise steps before the result is written.
    pub epilogue: Option<ScalarProgram>,
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroups that the kernel's text counts; a device may be given them in another shape ([`dispatched`]).
    pub workgroups: [Size; 3],
    /// What a dispatch of `concat` does: its constants follow from it.
    pub join: Option<Join>,
}

/// A binding of a kernel's module, in order of group and index.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// 0 activations and what is written, 1 constants.
    pub group: u32,
    /// Index in the group.
    pub index: u32,
    /// What it holds.
    pub source: Source,
    /// Name of the global variable.
    pub name: String,
    /// The storage type bound.
    pub storage_type: StorageType,
    /// Stored element.
    pub element: Element,
    /// Where it starts in its source.
    pub offset_bytes: u64,
    /// Bytes the shader may touch (for textures: all texels).
    pub size_bytes: u64,
    /// Width and height, of a texture of weights.
    pub extent_px: Option<[u64; 2]>,
    /// Bindings that the source is split over; they stand side by side and all but the last have one size.
    pub parts: u64,
    /// Whether the kernel writes it.
    pub writable: bool,
    /// Declared as an array of vectors.
    pub vectors: bool,
    /// Four f16 are declared as two words: the kernel keeps them packed.
    pub words: bool,
}

impl Binding {
    /// The bindings of a slot whose source has none: one, or one for each part of a constant.
    fn of(slot: &Slot) -> Vec<Self> {
        let (storage_type, size_bytes) = (slot.bound_as(), slot.size_bytes());
        let writable = slot.access == Access::Write;
        let whole = Self {
            group: u32::from(matches!(slot.source, Source::Constant(_)) && !writable),
            index: 0,
            source: slot.source,
            name: format!("{}_data", slot.name),
            storage_type,
            // Rows of weights are words, whatever is in them.
            element: if slot.rows.is_some() { Element::U32 } else { slot.layout.element },
            offset_bytes: 0,
            size_bytes,
            extent_px: None,
            parts: 1,
            writable,
            vectors: slot.vectors(),
            words: false,
        };
        let name = |part| if part == 0 { whole.name.clone() } else { format!("{}_{part}", whole.name) };
        if let Some(weights) = slot.weights.as_ref().filter(|_| storage_type.is_texture()) {
            let textures = (0..weights.parts()).map(|part| Self {
                name: name(part),
                offset_bytes: weights.part_offset(part),
                size_bytes: weights.part_bytes(),
                extent_px: Some(weights.extent_px()),
                ..whole.clone()
            });
            return textures.collect();
        }
        let part_bytes = slot.part_bytes.unwrap_or(u64::MAX).min(size_bytes).max(1);
        let parts = size_bytes.div_ceil(part_bytes).max(1);
        let buffers = (0..parts).map(|part| Self {
            name: name(part),
            offset_bytes: slot.address.offset_bytes() + part * part_bytes,
            size_bytes: part_bytes.min(size_bytes - part * part_bytes),
            parts,
            ..whole.clone()
        });
        buffers.collect()
    }

    /// Serves another slot of the same source too.
    fn also_for(&mut self, slot: &Slot) {
        self.writable |= slot.access == Access::Write;
        self.vectors &= slot.vectors();
        if self.parts == 1 {
            self.size_bytes = self.size_bytes.max(slot.size_bytes());
        }
    }

    /// Whether it is the first of those that its source is split over.
    pub fn first_of_parts(&self) -> bool {
        self.parts == 1 || self.offset_bytes == 0
    }
}

/// What of a source a slot shows.
type Shown<'a> = (Source, Option<&'a View>, Option<&'a Window>);

impl KernelCall {
    /// A call without element-wise functions in its accessors.
    pub fn plain(
        kernel: &'static str,
        constants: Vec<(&'static str, Constant)>,
        slots: Vec<Slot>,
        workgroup_size: [u32; 3],
        workgroups: [impl Into<Size>; 3],
    ) -> Self {
        Self {
            kernel: source(kernel),
            constants,
            slots,
            prologue: None,
            epilogue: None,
            workgroup_size,
            workgroups: workgroups.map(Into::into),
            join: None,
        }
    }

    /// The most workgroups.
    pub fn grid(&self) -> [u64; 3] {
        self.workgroups.each_ref().map(Size::max)
    }

    /// The bindings: one for each distinct source and storage type, or several for a constant that one cannot hold.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = Vec::new();
        for slot in &self.slots {
            let storage_type = slot.bound_as();
            let same = |b: &&mut Binding| b.source == slot.source && b.storage_type == storage_type;
            let mut is_bound = false;
            for binding in bindings.iter_mut().filter(same) {
                binding.also_for(slot);
                is_bound = true;
            }
            if !is_bound {
                bindings.extend(Binding::of(slot));
            }
        }
        bindings.sort_by_key(|b| b.group);
        let mut next = [0; 2];
        for binding in &mut bindings {
            binding.index = next[binding.group as usize];
            next[binding.group as usize] += 1;
            binding.words = accessor::is_words(self, binding);
        }
        bindings
    }

    /// Bytes that the call reads or writes at least: each tensor once, however many slots show it. A dispatch for one of several
    /// blocks of rows touches that part of every image, which is all but what the node keeps for a block between its dispatches.
    pub fn bytes(&self, access: Access) -> u64 {
        let blocks = self.constant(Meaning::Blocks);
        let mut seen: Vec<(Shown<'_>, u64)> = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.access == access) {
            let image = matches!(slot.source, Source::Activation(_)) && self.role(slot) != Role::Scratch;
            let share = blocks.filter(|_| image).unwrap_or(1);
            let elements = || slot.extents().elements().max() * slot.layout.element.size_bytes();
            let bytes = slot.rows.as_ref().map_or_else(elements, PackedRows::size_bytes).div_ceil(share);
            let part = (slot.source, slot.address.view(), slot.address.window());
            match seen.iter_mut().find(|(known, _)| *known == part) {
                Some((_, most)) => *most = bytes.max(*most),
                None => seen.push((part, bytes)),
            }
        }
        seen.into_iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Appends a line.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
