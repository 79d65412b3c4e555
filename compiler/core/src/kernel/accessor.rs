//! Generates bindings and accessors: the only place that turns logical coordinates into addresses.
//!
//! For a slot `src` a kernel may call
//! `src_read(b, y, x, s) -> vec4<f32|i32|u32>` (f16 widened; dead lanes read as zero),
//! `src_load(b, y, x, s) -> vec4<STORED>` (as stored),
//! `src_packed(b, y, x, s) -> SRC_PACKED` (to be kept, and widened later: [`packed`]),
//! `src_scalar(b, y, x, c) -> f32|i32|u32` (one channel), and for a written slot
//! `dst_write(b, y, x, s, value)`. A kernel's element-wise prologue is `value_read(b, y, x, s)`, or
//! `value_of(b, y, x, s, value)` where it finishes what the kernel made, or it is applied to what is read of a slot. Which of
//! all these a kernel has is in its [`interface`](super::interface). Coordinates must be within the slot's sizes, except that those of an axis of size
//! one are ignored: that is how operands broadcast. Weights are read by their own coordinates ([`weights`]),
//! or in rows of inputs ([`rows`]).

mod broadcast;
mod packed;
mod rows;
mod weights;

pub(super) use packed::{is_words, write_wide};

use super::functions;
use super::interface::{Accessor, Prologue, Role, SlotSpec};
use super::scalar::{self, Kind, ScalarProgram};
use super::words::count;
use super::{Access, Binding, KernelCall, Shift, Slot, line};
use crate::physical::{Element, Extents, LANES, Order, Size, StorageType};

/// Type of an element of a buffer's array, and its bytes.
fn array_element(binding: &Binding) -> (String, u64) {
    let element = binding.element;
    if binding.words {
        return ("vec2<u32>".to_owned(), element.size_bytes() * LANES);
    }
    match binding.vectors {
        true => (format!("vec4<{}>", element.name()), element.size_bytes() * LANES),
        false => (element.name().to_owned(), element.size_bytes()),
    }
}

/// Declares a binding.
pub(super) fn write_binding(text: &mut String, binding: &Binding) {
    let Binding { group, index, name, element, .. } = binding;
    let access = if binding.writable { "read_write" } else { "read" };
    let declared = match binding.storage_type {
        StorageType::Buffer => {
            let (ty, bytes) = array_element(binding);
            let count = (binding.size_bytes / bytes).max(1);
            format!("var<storage, {access}> {name}: array<{ty}, {count}>;")
        }
        StorageType::ImageBuffer => format!("var {name}: texture_1d<{}>;", element.compute_name()),
        StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
            let dimension = match binding.storage_type {
                StorageType::TextureArray => "2d_array",
                StorageType::Texture3d => "3d",
                StorageType::Texture2d | StorageType::Buffer | StorageType::ImageBuffer => "2d",
            };
            let format = match element {
                Element::F16 => "rgba16float",
                Element::F32 => "rgba32float",
                Element::I32 => "rgba32sint",
                Element::U32 => "rgba32uint",
            };
            match binding.writable {
                true => format!("var {name}: texture_storage_{dimension}<{format}, write>;"),
                false => format!("var {name}: texture_{dimension}<{}>;", element.compute_name()),
            }
        }
    };
    line(text, format_args!("@group({group}) @binding({index}) {declared}"));
}

/// For each constant that is split over bindings the function `src_data_at(index)`, which reads from the right one.
pub(super) fn write_parts(text: &mut String, bindings: &[Binding]) {
    for first in bindings.iter().filter(|binding| binding.parts > 1 && binding.first_of_parts()) {
        let (ty, bytes) = array_element(first);
        line(text, format_args!("fn {}_at(index: u32) -> {ty} {{\n    var value = {ty}();", first.name));
        let parts = bindings
            .iter()
            .filter(|part| part.source == first.source && part.storage_type == first.storage_type);
        for part in parts {
            let (begin, end) = (part.offset_bytes / bytes, (part.offset_bytes + part.size_bytes) / bytes);
            let name = &part.name;
            let read = match begin {
                0 => format!("value = {name}[index];"),
                begin => format!("value = {name}[index - {begin}u];"),
            };
            // Indices are in bounds, so whatever is beyond the others is in the last part.
            match (begin, part.offset_bytes + part.size_bytes == total_bytes(first, bindings)) {
                (0, _) => line(text, format_args!("    if index < {end}u {{\n        {read}")),
                (_, false) => line(text, format_args!("    }} else if index < {end}u {{\n        {read}")),
                (_, true) => line(text, format_args!("    }} else {{\n        {read}\n    }}")),
            }
        }
        text.push_str("    return value;\n}\n");
    }
}

/// Accessors of a slot that the call leaves out, which give zeros: where all is one block, nothing says where it begins.
fn write_left_out(text: &mut String, spec: &SlotSpec) {
    let name = spec.name;
    for accessor in spec.accessors {
        match accessor {
            Accessor::Words => {
                line(text, format_args!("fn {name}_words(row: u32, chunk: u32) -> vec4<u32> {{"));
                line(text, format_args!("    return vec4<u32>();\n}}"));
                line(text, format_args!("fn {name}_parameters(row: u32, block: u32) -> vec2<f32> {{"));
                line(text, format_args!("    return vec2<f32>();\n}}"));
            }
            Accessor::Read => {
                line(text, format_args!("fn {name}_read(b: u32, y: u32, x: u32, s: u32) -> vec4<f32> {{"));
                line(text, format_args!("    return vec4<f32>();\n}}"));
            }
            Accessor::Scalar => {
                line(text, format_args!("fn {name}_scalar(b: u32, y: u32, x: u32, c: u32) -> i32 {{"));
                line(text, format_args!("    return 0i;\n}}"));
            }
            Accessor::Load | Accessor::Packed | Accessor::Block | Accessor::Write => {
                unreachable!("no kernel leaves out a slot that it reaches so")
            }
        }
    }
}

/// Bytes of all parts of a constant.
fn total_bytes(first: &Binding, bindings: &[Binding]) -> u64 {
    let parts =
        bindings.iter().filter(|part| part.source == first.source && part.storage_type == first.storage_type);
    parts.map(|part| part.size_bytes).sum()
}

/// The element or vector at `index`, numbers as such.
pub(super) fn at(binding: &Binding, index: &str) -> String {
    if binding.words { format!("{}_wide({index})", binding.name) } else { stored_at(binding, index) }
}

/// `name[index]`, from whichever part holds it.
fn stored_at(binding: &Binding, index: &str) -> String {
    let name = &binding.name;
    if binding.parts > 1 { format!("{name}_at({index})") } else { format!("{name}[{index}]") }
}

/// The accessors of one call.
pub(super) struct Accessors<'a> {
    pub(super) call: &'a KernelCall,
    pub(super) bindings: &'a [Binding],
}

impl Accessors<'_> {
    /// Writes the accessors that the kernel, its prologue and its epilogue call.
    pub(super) fn write(&self, text: &mut String) {
        let programs = self.call.prologue.iter().chain(&self.call.epilogue);
        let operands: Vec<&str> =
            programs.clone().flat_map(|p| &p.operands).map(|operand| operand.slot.as_str()).collect();
        let called: Vec<&str> = programs.flat_map(ScalarProgram::functions).collect();
        text.extend(functions::texts(&called));
        for slot in self.call.slots.iter().filter(|slot| slot.access == Access::Read) {
            if let Some(rows) = &slot.rows {
                rows::write(text, slot, rows, self);
                continue;
            }
            if self.calls(slot, Accessor::Packed) {
                self.write_packed(text, slot);
            }
            if let Some(layout) = &slot.weights {
                weights::write(text, slot, layout, self);
                continue;
            }
            if let Some(prologue) = self.finishes_reads(slot) {
                let element = slot.layout.element;
                let accessors = [
                    (Accessor::Read, "read", element.compute_name()),
                    (Accessor::Load, "load", element.name()),
                ];
                for (_, suffix, scalar) in accessors.into_iter().filter(|(of, ..)| self.calls(slot, *of)) {
                    self.write_finished_read(text, slot, prologue, (suffix, scalar));
                }
                continue;
            }
            if self.calls(slot, Accessor::Read) || operands.contains(&slot.name.as_str()) {
                self.write_read(text, slot, "read", slot.layout.element.compute_name());
            }
            if self.calls(slot, Accessor::Load) {
                self.write_read(text, slot, "load", slot.layout.element.name());
            }
            let shifts = |other: &Slot| other.address.shift().is_some_and(|shift| shift.slot == slot.name);
            if self.calls(slot, Accessor::Scalar) || self.call.slots.iter().any(shifts) {
                self.write_scalar(text, slot);
            }
        }
        let is_given = |name: &str| self.call.slots.iter().any(|slot| slot.name == name);
        let declared = self.call.kernel.interface.slots.iter();
        declared
            .filter(|spec| spec.optional && !is_given(spec.name))
            .for_each(|spec| write_left_out(text, spec));
        self.write_prologue(text);
        for slot in self.call.slots.iter().filter(|slot| slot.access == Access::Write) {
            self.write_write(text, slot);
        }
    }

    /// The function that the kernel's text calls for what it makes, where it has one.
    fn write_prologue(&self, text: &mut String) {
        let Some(prologue) = &self.call.prologue else { return };
        let ty = prologue.result.parameter();
        let given = match self.call.kernel.interface.prologue {
            Prologue::None | Prologue::FinishesReads(_) => return,
            Prologue::MakesResult => {
                line(text, format_args!("fn value_read(b: u32, y: u32, x: u32, s: u32) -> {ty} {{"));
                None
            }
            Prologue::FinishesValue => {
                let from = prologue.input.parameter();
                line(
                    text,
                    format_args!("fn value_of(b: u32, y: u32, x: u32, s: u32, made: {from}) -> {ty} {{"),
                );
                Some("made")
            }
        };
        let value = prologue.write(text, given);
        line(text, format_args!("    return {value};\n}}"));
    }

    /// Whether the kernel's text calls an accessor of a slot.
    fn calls(&self, slot: &Slot, accessor: Accessor) -> bool {
        let spec = self.call.kernel.interface.slot(&slot.name);
        spec.is_some_and(|spec| spec.calls(accessor))
    }

    /// The function that finishes what is read of a slot.
    fn finishes_reads(&self, slot: &Slot) -> Option<&ScalarProgram> {
        let prologue = self.call.kernel.interface.prologue;
        let finished = matches!(prologue, Prologue::FinishesReads(name) if name == slot.name);
        self.call.prologue.as_ref().filter(|_| finished)
    }

    /// `slot_read` or `slot_load` with a prologue applied; dead lanes stay zero.
    fn write_finished_read(
        &self,
        text: &mut String,
        slot: &Slot,
        prologue: &ScalarProgram,
        (suffix, scalar): (&str, &str),
    ) {
        let raw = Slot { name: format!("{}_raw", slot.name), ..slot.clone() };
        let (from, to) = (prologue.input.parameter(), prologue.result.parameter());
        self.write_read(text, &raw, suffix, scalar);
        let name = &slot.name;
        line(text, format_args!("fn {name}_{suffix}(b: u32, y: u32, x: u32, s: u32) -> vec4<{scalar}> {{"));
        line(text, format_args!("    let made = {from}({name}_raw_{suffix}(b, y, x, s));"));
        let value = prologue.write(text, Some("made"));
        let live = slot.extents().channels;
        let value = match live.is_multiple_of(LANES) {
            true => value,
            false => format!(
                "select({to}(), {value}, vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>({}))",
                count(&live)
            ),
        };
        line(text, format_args!("    return vec4<{scalar}>({value});\n}}"));
    }

    fn binding(&self, slot: &Slot) -> &Binding {
        let written = slot.access == Access::Write;
        self.bindings
            .iter()
            .find(|b| {
                b.source == slot.source
                    && (b.writable || !written || b.storage_type == slot.layout.storage_type)
            })
            .unwrap_or_else(|| unreachable!("every slot has a binding"))
    }

    /// `slot_read` or `slot_load`: four channels as `scalar`.
    fn write_read(&self, text: &mut String, slot: &Slot, suffix: &str, scalar: &str) {
        let name = &slot.name;
        line(text, format_args!("fn {name}_{suffix}(b: u32, y: u32, x: u32, s: u32) -> vec4<{scalar}> {{"));
        let binding = self.binding(slot);
        let e = slot.extents();
        match slot.layout.order {
            Order::Slices | Order::TextureRows | Order::TextureLayers => {
                let s = if slot.address.is_splat() || e.channels.max() <= LANES { "0u" } else { "s" };
                let texel = texel(slot, binding, s);
                let swizzle = if slot.address.is_splat() { ".xxxx" } else { "" };
                line(text, format_args!("    return vec4<{scalar}>({texel}{swizzle});"));
            }
            Order::RowMajor => self.write_dense_read(text, slot, binding, scalar),
        }
        text.push_str("}\n");
    }

    fn write_dense_read(&self, text: &mut String, slot: &Slot, binding: &Binding, scalar: &str) {
        if let Some(full) = slot.address.full() {
            broadcast::write_read(text, slot, full, binding, scalar);
            return;
        }
        let e = slot.extents();
        if let Some(index) = contiguous(slot, binding) {
            let texel = match binding.storage_type {
                StorageType::ImageBuffer => format!("textureLoad({}, i32({index}), 0)", binding.name),
                StorageType::Buffer
                | StorageType::Texture2d
                | StorageType::TextureArray
                | StorageType::Texture3d => at(binding, &index),
            };
            line(text, format_args!("    return vec4<{scalar}>({texel});"));
            return;
        }
        line(text, format_args!("    let base = {};", dense_base(slot)));
        let [_, _, _, stride] = strides(slot);
        if e.channels.is_always(1) {
            let value = format!("{scalar}({})", element(binding, "base"));
            match slot.address.is_splat() {
                true => line(text, format_args!("    return vec4<{scalar}>({value});")),
                false => line(
                    text,
                    format_args!(
                        "    return vec4<{scalar}>({value}, {scalar}(0), {scalar}(0), {scalar}(0));"
                    ),
                ),
            }
            return;
        }
        let last = count(&e.channels.minus(&Size::ONE));
        let lanes: Vec<String> = (0..LANES)
            .map(|lane| {
                let channel = format!("(s * 4u + {lane}u)");
                if e.channels.is_multiple_of(LANES) {
                    return format!("{scalar}({})", element(binding, &offset("base", &channel, &stride)));
                }
                let clamped = format!("min({channel}, {last})");
                let value = format!("{scalar}({})", element(binding, &offset("base", &clamped, &stride)));
                format!("select({scalar}(0), {value}, {channel} < {})", count(&e.channels))
            })
            .collect();
        line(text, format_args!("    return vec4<{scalar}>({});", lanes.join(", ")));
    }

    /// `slot_scalar`: one channel.
    fn write_scalar(&self, text: &mut String, slot: &Slot) {
        let name = &slot.name;
        let ty = slot.layout.element.compute_name();
        let binding = self.binding(slot);
        line(text, format_args!("fn {name}_scalar(b: u32, y: u32, x: u32, c: u32) -> {ty} {{"));
        let c = if slot.extents().channels.is_always(1) { "0u" } else { "c" };
        let value = match slot.layout.order {
            Order::RowMajor => {
                let [_, _, _, stride] = strides(slot);
                line(text, format_args!("    let index = {};", offset(&dense_base(slot), c, &stride)));
                element(binding, "index")
            }
            Order::Slices | Order::TextureRows | Order::TextureLayers => {
                format!("{}[{c} % 4u]", texel(slot, binding, &format!("({c} / 4u)")))
            }
        };
        line(text, format_args!("    return {ty}({value});\n}}"));
    }

    /// `slot_write`: applies the epilogue, converts, keeps dead lanes zero.
    fn write_write(&self, text: &mut String, slot: &Slot) {
        let name = &slot.name;
        // Textures take f32 whatever their format.
        let stored = match slot.layout.element {
            Element::F16 if slot.layout.storage_type.is_texture() => Element::F32,
            element => element,
        };
        let epilogue = self.call.epilogue.as_ref().filter(|_| self.call.role(slot) == Role::Result);
        let kind = epilogue.map_or(Kind::of(stored), |e| e.input);
        let ty = kind.parameter();
        line(text, format_args!("fn {name}_write(b: u32, y: u32, x: u32, s: u32, result: {ty}) {{"));
        let (mut value, mut kind) = ("result".to_owned(), kind);
        if let Some(epilogue) = epilogue {
            value = epilogue.write(text, Some("result"));
            kind = epilogue.result;
        }
        let value = scalar::store(&value, kind, stored);
        line(text, format_args!("    let stored = {value};"));
        let binding = self.binding(slot);
        match slot.layout.order {
            Order::RowMajor => write_dense_store(text, slot, binding),
            Order::Slices | Order::TextureRows | Order::TextureLayers => {
                write_slice_store(text, slot, binding, stored.name())
            }
        }
        text.push_str("}\n");
    }
}

/// Stores `stored` where whole slices are kept.
fn write_slice_store(text: &mut String, slot: &Slot, binding: &Binding, ty: &str) {
    let e = slot.extents();
    let mut value = "stored".to_owned();
    if !e.channels.is_multiple_of(LANES) {
        let live = count(&e.channels);
        line(
            text,
            format_args!("    let live = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>({live});"),
        );
        value = format!("select(vec4<{ty}>(), {value}, live)");
    }
    let name = &binding.name;
    match slot.layout.storage_type {
        StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
            let coordinates = texture_coordinates(slot, "s");
            line(text, format_args!("    textureStore({name}, {coordinates}, {value});"));
        }
        StorageType::Buffer | StorageType::ImageBuffer => {
            line(text, format_args!("    {name}[{}] = {value};", slice_index(slot, "s")));
        }
    }
}

/// Stores `stored` into a dense tensor, live lanes only.
fn write_dense_store(text: &mut String, slot: &Slot, binding: &Binding) {
    if let Some(index) = contiguous(slot, binding) {
        line(text, format_args!("    {}[{index}] = stored;", binding.name));
        return;
    }
    let e = slot.extents();
    let [_, _, _, stride] = strides(slot);
    line(text, format_args!("    let base = {};", dense_base(slot)));
    for lane in 0..LANES.min(e.channels.max()) {
        let channel = format!("(s * 4u + {lane}u)");
        let target = element(binding, &offset("base", &channel, &stride));
        let in_one = e.channels.as_known().is_some_and(|channels| channels <= LANES);
        let always = lane == 0 || e.channels.is_multiple_of(LANES) || in_one;
        match always {
            true => line(text, format_args!("    {target} = stored[{lane}];")),
            false => line(
                text,
                format_args!("    if {channel} < {} {{ {target} = stored[{lane}]; }}", count(&e.channels)),
            ),
        }
    }
}

/// Index of a dense tensor's vector `(b, y, x, s)`, if its channels are side by side in whole vectors.
fn contiguous(slot: &Slot, binding: &Binding) -> Option<String> {
    let [batch, height, width, channels] = strides(slot);
    let e = slot.extents();
    let whole = channels.is_always(1) && e.channels.is_multiple_of(LANES) && binding.vectors;
    let aligned = [&batch, &height, &width].into_iter().all(|stride| stride.is_multiple_of(LANES))
        && slot.starts_at_vector();
    (whole && aligned && !slot.address.is_splat()).then(|| {
        let s = if e.channels.is_always(LANES) { "0u" } else { "s" };
        sum(&[
            term("b", &e.batch, &batch.div_floor(LANES)),
            term("y", &e.height, &height.div_floor(LANES)),
            term("x", &e.width, &width.div_floor(LANES)),
            term(s, &e.slices(), &Size::ONE),
            first(slot, LANES),
        ])
    })
}

/// Distances between neighbours along the coordinates of a dense slot.
fn strides(slot: &Slot) -> [Size; 4] {
    let strides = slot.strides();
    let [b, y, x, c] =
        strides.unwrap_or_else(|| unreachable!("selection asks for views under axes that collapse"));
    // An axis of one place has no neighbours, and its stride may be anything.
    let e = slot.extents();
    let along = |extent: &Size, stride| if extent.max() > 1 { stride } else { Size::Const(0) };
    let c = match (e.channels.max() > 1, &c) {
        (true, _) | (false, Size::Const(0 | 1)) => c,
        (false, _) => Size::ONE,
    };
    [along(&e.batch, b), along(&e.height, y), along(&e.width, x), c]
}

/// What is added to an index in units of so many elements for a tensor that does not begin where its source does.
fn first(slot: &Slot, unit: u64) -> Option<String> {
    let start = offset_by(&(slot.address.view().map_or(0, |view| view.start) / unit).into());
    let shift = slot.address.shift().map(|Shift { slot, lane, .. }| match unit {
        1 => format!("u32({slot}_scalar(0u, 0u, 0u, {lane}u))"),
        unit => format!("u32({slot}_scalar(0u, 0u, 0u, {lane}u)) / {unit}u"),
    });
    let terms: Vec<String> = start.into_iter().chain(shift).collect();
    (!terms.is_empty()).then(|| terms.join(" + "))
}

/// Element index of channel 0 at `(b, y, x)` in a dense tensor.
fn dense_base(slot: &Slot) -> String {
    let [batch, height, width, _] = strides(slot);
    let e = slot.extents();
    sum(&[
        term("b", &e.batch, &batch),
        term("y", &e.height, &height),
        term("x", &e.width, &width),
        first(slot, 1),
    ])
}

/// The slice `(b, y, x, s)` as stored.
fn texel(slot: &Slot, binding: &Binding, s: &str) -> String {
    let name = &binding.name;
    match slot.layout.storage_type {
        StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
            format!("textureLoad({name}, {}, 0)", texture_coordinates(slot, s))
        }
        StorageType::ImageBuffer => format!("textureLoad({name}, i32({}), 0)", slice_index(slot, s)),
        StorageType::Buffer => at(binding, &slice_index(slot, s)),
    }
}

/// `((s*H + y)*W + x)*B + b`.
fn slice_index(slot: &Slot, s: &str) -> String {
    let (e, (all, [b0, y0, x0, s0])) = (slot.extents(), slot.place());
    let first = offset_in_slices(&all, [b0, y0, x0, s0]);
    let row = all.width.times(&all.batch);
    sum(&[
        term(s, &e.slices(), &all.height.times(&row)),
        term("y", &e.height, &row),
        term("x", &e.width, &all.batch),
        term("b", &e.batch, &Size::ONE),
        offset_by(&first),
    ])
}

/// Slices before the one at a place.
fn offset_in_slices(all: &Extents<Size>, [b, y, x, s]: [u64; 4]) -> Size {
    let [b, y, x, s] = [b, y, x, s].map(Size::Const);
    (((s * all.height.clone() + y) * all.width.clone()) + x) * all.batch.clone() + b
}

/// Where a texture holds a slice: `(x*B + b, y*S + s)` of a 2D one, `(x*B + b, y)` and layer `s` of an array, `(x*B + b, y, s)`
/// of a 3D one.
fn texture_coordinates(slot: &Slot, s: &str) -> String {
    let (e, (all, [b0, y0, x0, s0])) = (slot.extents(), slot.place());
    let first = Size::Const(x0) * all.batch.clone() + Size::Const(b0);
    let x = sum(&[term("x", &e.width, &all.batch), term("b", &e.batch, &Size::ONE), offset_by(&first)]);
    let (y, s) = (term("y", &e.height, &Size::ONE), term(s, &e.slices(), &Size::ONE));
    match slot.layout.storage_type {
        StorageType::TextureArray | StorageType::Texture3d => {
            let (y, s) = (sum(&[y, offset_by(&y0.into())]), sum(&[s, offset_by(&s0.into())]));
            match slot.layout.storage_type {
                StorageType::TextureArray => format!("vec2<i32>(i32({x}), i32({y})), i32({s})"),
                _ => format!("vec3<i32>(i32({x}), i32({y}), i32({s}))"),
            }
        }
        StorageType::Texture2d | StorageType::Buffer | StorageType::ImageBuffer => {
            let y = term("y", &e.height, &all.slices());
            let first = Size::Const(y0) * all.slices() + Size::Const(s0);
            let y = sum(&[y, s, offset_by(&first)]);
            format!("vec2<i32>(i32({x}), i32({y}))")
        }
    }
}

/// A number that is added to others, if it is one.
fn offset_by(first: &Size) -> Option<String> {
    (first.max() > 0).then(|| count(first))
}

/// Element `index` of a buffer.
fn element(binding: &Binding, index: &str) -> String {
    let name = &binding.name;
    match binding.storage_type {
        StorageType::ImageBuffer => format!("textureLoad({name}, i32(({index}) / 4u), 0)[({index}) % 4u]"),
        StorageType::Buffer | StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
            match binding.vectors {
                true => format!("{}[({index}) % 4u]", at(binding, &format!("({index}) / 4u"))),
                false => at(binding, index),
            }
        }
    }
}

/// `coordinate * stride`, or nothing where the axis has one element.
fn term(coordinate: &str, extent: &Size, stride: &Size) -> Option<String> {
    match (extent.max(), stride) {
        (0 | 1, _) | (_, Size::Const(0)) => None,
        (_, Size::Const(1)) => Some(coordinate.to_owned()),
        (_, stride) => Some(format!("{coordinate} * {}", count(stride))),
    }
}

fn sum(terms: &[Option<String>]) -> String {
    let terms: Vec<&str> = terms.iter().flatten().map(String::as_str).collect();
    if terms.is_empty() { "0u".to_owned() } else { terms.join(" + ") }
}

fn offset(base: &str, coordinate: &str, stride: &Size) -> String {
    match stride {
        Size::Const(0) => base.to_owned(),
        Size::Const(1) => format!("{base} + {coordinate}"),
        stride => format!("{base} + {coordinate} * {}", count(stride)),
    }
}
