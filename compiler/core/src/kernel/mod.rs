//! Kernels: plain WGSL files in a fenced dialect, and what stands before them to make a whole module.
//!
//! A file in `wgsl/` is an algorithm over logical coordinates. [`KernelCall::module_text`] puts a prelude before it:
//! constants, bindings and accessors ([`accessor`]), with fused element-wise steps inside the accessors ([`scalar`]).
//! Which kernel an op gets is decided in `select`; the passes over the parsed module are in `module`.

pub mod accessor;
mod formula;
mod functions;
mod limits;
mod literal;
pub mod scalar;
mod sources;

pub use limits::{MOST_ARRAY_BYTES, TooLarge, launched};
pub use sources::{ALL, KernelSource, source};

use crate::physical::weights::WeightsLayout;
use crate::physical::{Element, Extents, LANES, Layout, Object, View, Window};
use accessor::Accessors;
use literal::Literal;
use scalar::ScalarProgram;
use std::fmt::Write;

/// What a slot refers to: slots of one source share a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A storage of the variant, planned in the arena or a texture pool.
    Activation(u32),
    /// A packed constant of the program.
    Constant(u32),
}

/// How a kernel uses a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
}

/// A tensor argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Prefix of its accessors and constants in the kernel's text: `src`, `weights`, `operand_0`.
    pub name: String,
    /// Read or write.
    pub access: Access,
    /// Which binding it lives in.
    pub source: Source,
    /// Logical sizes.
    pub shape: Vec<u64>,
    /// Layout under the axis map that this kernel uses.
    pub layout: Layout,
    /// One channel stands for all: reads return it in every lane.
    pub splat: bool,
    /// Read under the coordinates of a tensor of this shape, to which a dense `shape` of the same rank broadcasts along
    /// some of the axes that share a coordinate. Where coordinates broadcast whole, none is needed.
    pub broadcast: Option<Vec<u64>>,
    /// Most bytes that a binding of it may have; what is larger is bound in parts of this many. Constants only.
    pub part_bytes: Option<u64>,
    /// How weights lie: then `layout` says which coordinates the kernel has for them and no more.
    pub weights: Option<WeightsLayout>,
    /// Where it begins in its source, a multiple of 256: a piece of a derived constant.
    pub offset_bytes: u64,
    /// Where a dense tensor lies in its source, if it is not all of it.
    pub view: Option<View>,
    /// Where a tensor whose channels are kept in slices lies in its source, if it is not all of it.
    pub window: Option<Window>,
    /// Elements by which it begins later, as another slot says when the kernel runs: launches for parts of one tensor
    /// share their shader.
    pub shift: Option<Shift>,
}

/// How far into its source a part of a tensor begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The slot that says it: a row of integers.
    pub slot: String,
    /// Which of them.
    pub lane: u64,
    /// What all of them are multiples of.
    pub unit: u64,
    /// The largest.
    pub most: u64,
}

impl Slot {
    /// A tensor as it lies in its source, with nothing repeated or split.
    pub fn new(name: &str, access: Access, source: Source, shape: Vec<u64>, layout: Layout) -> Self {
        Self {
            name: name.to_owned(),
            access,
            source,
            shape,
            layout,
            splat: false,
            broadcast: None,
            part_bytes: None,
            weights: None,
            offset_bytes: 0,
            view: None,
            window: None,
            shift: None,
        }
    }

    /// Bytes of its objects that it takes, up to its last element.
    fn size_bytes(&self) -> u64 {
        match (&self.weights, &self.view) {
            (Some(weights), _) => weights.size_bytes(),
            (None, Some(view)) => {
                let end = view.end(&self.shape) + self.shift.as_ref().map_or(0, |shift| shift.most);
                // Whole vectors, as storages have.
                let whole = matches!(self.source, Source::Activation(_));
                let end = if whole { end.next_multiple_of(LANES) } else { end };
                end * self.layout.element.size_bytes()
            }
            (None, None) => {
                self.layout.size_bytes(self.window.as_ref().map_or(&self.shape, |window| &window.whole))
            }
        }
    }

    /// Whether it is all of its source.
    pub fn is_whole(&self) -> bool {
        self.view.is_none() && self.window.is_none() && self.shift.is_none()
    }

    /// Sizes of its source's coordinates, for a tensor whose channels are kept in slices, and where it begins along batch,
    /// height, width and slices.
    fn place(&self) -> (Extents, [u64; 4]) {
        let first = |window: &Window| {
            let first = window.first(&self.layout.axes, &self.shape);
            (self.layout.axes.extents(&window.whole), first.unwrap_or([0; 4]))
        };
        self.window.as_ref().map_or_else(|| (self.extents(), [0; 4]), first)
    }

    /// Distance in elements between neighbours along each axis of a dense tensor.
    fn axis_strides(&self) -> Vec<u64> {
        self.view.as_ref().map_or_else(|| View::whole(&self.shape).strides, |view| view.strides.clone())
    }

    /// The same along the coordinates, where the axes of each walk on as one.
    pub fn strides(&self) -> Option<[u64; 4]> {
        match &self.view {
            Some(view) => view.strides(&self.layout.axes, &self.shape),
            None => Some(self.layout.axes.strides(&self.shape)),
        }
    }

    /// Whether the first element lies at a whole vector of its source.
    fn starts_at_vector(&self) -> bool {
        let start = self.view.as_ref().map_or(0, |view| view.start);
        start.is_multiple_of(LANES)
            && self.shift.as_ref().is_none_or(|shift| shift.unit.is_multiple_of(LANES))
    }

    /// Its object, order and element in one line.
    pub fn describe(&self) -> String {
        match &self.weights {
            Some(weights) => weights.describe(),
            None => self.layout.describe(),
        }
    }

    /// Where it lies in its source, for people: nothing if it is all of it.
    pub fn describe_view(&self) -> String {
        match (&self.view, &self.window) {
            (Some(view), _) => format!(", view from element {} by {:?}", view.start, view.strides),
            (None, Some(window)) => format!(", view from {:?} of {:?}", window.starts, window.whole),
            (None, None) => String::new(),
        }
    }

    /// The same tensor as another argument.
    pub fn as_argument(&self, name: &str, access: Access) -> Self {
        Self { name: name.to_owned(), access, ..self.clone() }
    }

    /// Sizes of the coordinates.
    pub fn extents(&self) -> Extents {
        self.layout.axes.extents(&self.shape)
    }

    /// Whether the binding can be an array of vectors: whole slices, dense rows of whole slices, or a dense last axis of
    /// whole slices.
    fn vectors(&self) -> bool {
        if self.weights.is_some() {
            return true;
        }
        match self.layout.order {
            crate::physical::Order::RowMajor => {
                let Some([batch, height, width, channels]) = self.strides() else { return false };
                let whole = self.view.is_none() && self.shape.last().is_some_and(|last| last % 4 == 0);
                // Two invocations must never write lanes of one vector: a compiler may store it whole.
                let slices = channels == 1 && self.extents().channels.is_multiple_of(4);
                let rows = slices
                    && [batch, height, width].iter().all(|stride| stride % 4 == 0)
                    && self.starts_at_vector();
                rows || whole && (self.access == Access::Read || slices)
            }
            crate::physical::Order::Slices
            | crate::physical::Order::TextureRows
            | crate::physical::Order::TextureLayers => true,
        }
    }
}

/// A constant of the prelude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
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
    /// Element-wise function that computes `value_read` from operands, for kernels that call it.
    pub prologue: Option<ScalarProgram>,
    /// Element-wise steps inside `dst_write`.
    pub epilogue: Option<ScalarProgram>,
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroups that the kernel's text counts; a device may be given them in another shape ([`launched`]).
    pub workgroups: [u64; 3],
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
    /// The object bound.
    pub object: Object,
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
        workgroups: [u64; 3],
    ) -> Self {
        Self {
            kernel: source(kernel),
            constants,
            slots,
            prologue: None,
            epilogue: None,
            workgroup_size,
            workgroups,
        }
    }

    /// The bindings: one for each distinct source and object, or several for a constant that one cannot hold.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = Vec::new();
        for slot in &self.slots {
            // A written image buffer is a plain buffer: only reads go through the texture units.
            let object = match (slot.layout.object, slot.access) {
                (Object::ImageBuffer, Access::Write) => Object::Buffer,
                (object, _) => object,
            };
            let writable = slot.access == Access::Write;
            let size_bytes = slot.size_bytes();
            let known = |b: &&mut Binding| b.source == slot.source && b.object == object;
            let mut found = false;
            for binding in bindings.iter_mut().filter(known) {
                found = true;
                binding.writable |= writable;
                binding.vectors &= slot.vectors();
                if binding.parts == 1 {
                    binding.size_bytes = binding.size_bytes.max(size_bytes);
                }
            }
            if found {
                continue;
            }
            let whole = Binding {
                group: u32::from(matches!(slot.source, Source::Constant(_)) && !writable),
                index: 0,
                source: slot.source,
                name: format!("{}_data", slot.name),
                object,
                element: slot.layout.element,
                offset_bytes: 0,
                size_bytes,
                extent_px: None,
                parts: 1,
                writable,
                vectors: slot.vectors(),
            };
            let name = |part| if part == 0 { whole.name.clone() } else { format!("{}_{part}", whole.name) };
            if let Some(weights) = slot.weights.as_ref().filter(|_| object.is_texture()) {
                bindings.extend((0..weights.parts()).map(|part| Binding {
                    name: name(part),
                    offset_bytes: weights.part_offset(part),
                    size_bytes: weights.part_bytes(),
                    extent_px: Some(weights.extent_px()),
                    ..whole.clone()
                }));
                continue;
            }
            let part_bytes = slot.part_bytes.unwrap_or(u64::MAX).min(size_bytes).max(1);
            let parts = size_bytes.div_ceil(part_bytes).max(1);
            bindings.extend((0..parts).map(|part| Binding {
                name: name(part),
                offset_bytes: slot.offset_bytes + part * part_bytes,
                size_bytes: part_bytes.min(size_bytes - part * part_bytes),
                parts,
                ..whole.clone()
            }));
        }
        bindings.sort_by_key(|b| b.group);
        let mut next = [0; 2];
        for binding in &mut bindings {
            binding.index = next[binding.group as usize];
            next[binding.group as usize] += 1;
        }
        bindings
    }

    /// Bytes that the call reads or writes at least: each tensor once, however many slots show it. A launch for one of
    /// BLOCKS blocks of rows touches that part of every image, which is all but what lies in `planes` of its own.
    pub fn bytes(&self, access: Access) -> u64 {
        let blocks = self.constants.iter().find_map(|&(name, value)| match value {
            Constant::U32(blocks) if name == "BLOCKS" => Some(blocks),
            _ => None,
        });
        let mut seen: Vec<(Shown<'_>, u64)> = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.access == access) {
            let image = matches!(slot.source, Source::Activation(_)) && slot.name != "planes";
            let share = blocks.filter(|_| image).unwrap_or(1);
            let bytes = (slot.extents().elements() * slot.layout.element.size_bytes()).div_ceil(share);
            let part = (slot.source, slot.view.as_ref(), slot.window.as_ref());
            match seen.iter_mut().find(|(known, _)| *known == part) {
                Some((_, most)) => *most = bytes.max(*most),
                None => seen.push((part, bytes)),
            }
        }
        seen.into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// The whole WGSL module: directives, constants, bindings, accessors, then the kernel's own text.
    pub fn module_text(&self) -> String {
        let bindings = self.bindings();
        let (directives, body) = split_directives(self.kernel.text);
        let mut text = String::new();
        let loads = body.contains("_load(");
        let uses_f16 =
            bindings.iter().any(|b| b.element == Element::F16 && (loads || b.object == Object::Buffer));
        if uses_f16 && !directives.contains("enable f16;") {
            text.push_str("enable f16;\n");
        }
        text.push_str(&directives);
        text.push('\n');
        self.write_constants(&mut text);
        // What is moved or combined: the first tensor read, or the result of a kernel that reads none.
        if let Some(slot) = self.slots.first().filter(|_| body.contains("SCALAR")) {
            let element = slot.layout.element;
            line(&mut text, format_args!("alias SCALAR = {};", element.compute_name()));
            line(&mut text, format_args!("const IS_FLOAT: bool = {};", element.is_float()));
        }
        for binding in &bindings {
            accessor::write_binding(&mut text, binding);
        }
        accessor::write_parts(&mut text, &bindings);
        Accessors { call: self, bindings: &bindings, body: &body }.write(&mut text);
        text.push_str(&body);
        text
    }

    fn write_constants(&self, text: &mut String) {
        for (axis, size) in ["X", "Y", "Z"].iter().zip(self.workgroup_size) {
            line(text, format_args!("const WORKGROUP_{axis}: u32 = {size}u;"));
        }
        for (axis, count) in ["X", "Y", "Z"].iter().zip(self.workgroups) {
            line(text, format_args!("const GRID_{axis}: u32 = {count}u;"));
        }
        for (name, constant) in &self.constants {
            let (ty, literal) = match *constant {
                Constant::U32(value) => ("u32", Literal::U32(value)),
                Constant::I32(value) => ("i32", Literal::I32(value)),
                Constant::F32(value) => ("f32", Literal::F32(value)),
                Constant::Bool(value) => ("bool", Literal::Bool(value)),
            };
            line(text, format_args!("const {name}: {ty} = {literal};"));
        }
        for slot in &self.slots {
            let name = slot.name.to_uppercase();
            let e = slot.extents();
            for (what, size) in [
                ("BATCH", e.batch),
                ("HEIGHT", e.height),
                ("WIDTH", e.width),
                ("CHANNELS", e.channels),
                ("SLICES", e.slices()),
            ] {
                line(text, format_args!("const {name}_{what}: u32 = {size}u;"));
            }
        }
    }
}

/// The kernel's `enable` lines, which WGSL wants before all else, and the rest.
fn split_directives(text: &str) -> (String, String) {
    let (directives, body): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("enable "));
    let join = |lines: Vec<&str>| lines.iter().map(|line| format!("{line}\n")).collect();
    (join(directives), join(body))
}

/// Appends a line.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
