//! Vectors as they are in a buffer. A kernel that keeps what it read for later, such as the next tile of a product, calls
//! `src_packed(b, y, x, s) -> SRC_PACKED` and, where it needs the numbers, `src_widen(packed) -> vec4<f32|i32|u32>`. `SRC_PACKED`
//! is two words for four f16 of a buffer, which take half the registers. A driver that holds four f16 instead takes them apart as
//! soon as they are there, so that reading early makes the kernel wait at once.

use super::{Accessors, Binding, Slot, contiguous, line, slice_index, stored_at, weights};
use crate::kernel::KernelCall;
use crate::kernel::interface::{Accessor, Prologue};
use crate::physical::{Element, Order, StorageType};

/// Whether `binding` is declared as words: `call` keeps packed what it reads of it.
pub(in crate::kernel) fn is_words(call: &KernelCall, binding: &Binding) -> bool {
    let is_f16 = binding.element == Element::F16 && binding.storage_type == StorageType::Buffer;
    if !is_f16 || !binding.vectors || binding.writable {
        return false;
    }
    let interface = &call.kernel.interface;
    let users = || call.slots.iter().filter(|slot| slot.source == binding.source);
    let calls = |slot: &Slot, accessor| interface.slot(&slot.name).is_some_and(|spec| spec.calls(accessor));
    let is_packed = |slot: &Slot| calls(slot, Accessor::Packed) && index(call, slot, binding).is_some();
    users().any(is_packed) && !users().any(|slot| calls(slot, Accessor::Load))
}

/// Index of the vector `(b, y, x, s)` of `slot`, where it is in one piece and nothing is applied to it.
fn index(call: &KernelCall, slot: &Slot, binding: &Binding) -> Option<String> {
    let is_finished = call.prologue.is_some()
        && matches!(call.kernel.interface.prologue, Prologue::FinishesReads(name) if name == slot.name);
    if is_finished || slot.address.is_splat() || slot.layout.storage_type != StorageType::Buffer {
        return None;
    }
    match &slot.weights {
        Some(layout) => (layout.storage_type() == StorageType::Buffer).then(|| weights::row_index(layout)),
        None => match slot.layout.order {
            Order::RowMajor => contiguous(slot, binding).filter(|_| slot.address.full().is_none()),
            Order::Slices => Some(slice_index(slot, "s")),
            Order::TextureRows | Order::TextureLayers => None,
        },
    }
}

/// `NAME_wide(index)`: the vector at an index of a buffer that is declared as words.
pub(in crate::kernel) fn write_wide(text: &mut String, bindings: &[Binding]) {
    for first in bindings.iter().filter(|binding| binding.words && binding.first_of_parts()) {
        let (name, words) = (&first.name, stored_at(first, "index"));
        line(text, format_args!("fn {name}_wide(index: u32) -> vec4<f32> {{\n    let words = {words};"));
        line(text, format_args!("    return {};\n}}", unpacked("words")));
    }
}

fn unpacked(words: &str) -> String {
    format!("vec4<f32>(unpack2x16float({words}.x), unpack2x16float({words}.y))")
}

impl Accessors<'_> {
    /// `slot_packed`, `slot_widen` and the type that they share.
    pub(super) fn write_packed(&self, text: &mut String, slot: &Slot) {
        let (name, ty) = (&slot.name, format!("{}_PACKED", slot.name.to_uppercase()));
        let wide = format!("vec4<{}>", slot.layout.element.compute_name());
        let binding = self.binding(slot);
        let words = index(self.call, slot, binding).filter(|_| binding.words);
        let (packed, widened) = match &words {
            Some(_) => ("vec2<u32>", unpacked("packed")),
            None => (wide.as_str(), "packed".to_owned()),
        };
        line(text, format_args!("alias {ty} = {packed};"));
        line(text, format_args!("fn {name}_widen(packed: {ty}) -> {wide} {{\n    return {widened};\n}}"));
        if let Some(index) = words {
            line(text, format_args!("fn {name}_packed(b: u32, y: u32, x: u32, s: u32) -> {ty} {{"));
            line(text, format_args!("    return {};\n}}", stored_at(binding, &index)));
            return;
        }
        let scalar = slot.layout.element.compute_name();
        match (&slot.weights, self.finishes_reads(slot)) {
            (Some(layout), _) => weights::write_rows(text, slot, layout, self, ("packed", scalar)),
            (None, Some(prologue)) => self.write_finished_read(text, slot, prologue, ("packed", scalar)),
            (None, None) => self.write_read(text, slot, "packed", scalar),
        }
    }
}
