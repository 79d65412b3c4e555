//! What candidates share: slots for values and constants, epilogues, grids, and the program being built.

use super::strided::{self, Walk};
use super::{Declined, Samples, SelectError};
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, AddressMap, Constant, KernelCall, MOST_ARRAY_BYTES, Slot, Source};
use crate::layout::Precision;
use crate::physical::{
    AxisMap, Element, Extents, LANES, Layout, Object, Order, Packing, Place, Recipe, View, Window,
};
use crate::profile::Profile;
use crate::program::{Content, PackedConstant, PackedKey, Placement, Program, ProgramStep, Storage};
use drift_ir::op::StepArg;
use drift_ir::{ElementType, Graph, Node, NodeId, Tensor, ValueId};
use indexmap::IndexMap;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Storage buffers that every device binds in one dispatch: WebGPU's default limit.
pub(super) const STORAGE_BUFFERS: usize = 8;

/// Bindings that one constant takes at most, which leaves two of eight for the other operand and the result.
const MOST_PARTS: u64 = 6;

/// A kernel call and its reasons.
#[derive(Clone)]
pub struct Chosen {
    /// The call.
    pub call: KernelCall,
    /// Why this kernel.
    pub why: String,
    /// What was considered before it.
    pub declined: Vec<String>,
    /// Arithmetic, a multiply-add counting two.
    pub flops: u64,
}

/// The program being built.
pub struct Context<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// What the kernels are made for.
    pub profile: &'a Profile,
    /// Precision of floats.
    pub precision: Option<Precision>,
    /// Where each activation lives.
    pub placements: BTreeMap<ValueId, Placement>,
    /// What has been chosen.
    pub program: Program,
    /// Errors of Winograd's forms.
    pub(super) samples: &'a Samples,
    /// Bytes that live while each node runs, estimated from the graph once where a kernel asks (`room`).
    pub(super) lives: OnceCell<BTreeMap<NodeId, u64>>,
    /// Constants by what they hold.
    pub(super) packed: IndexMap<PackedKey, u32>,
    error: Option<SelectError>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        profile: &'a Profile,
        precision: Option<Precision>,
        samples: &'a Samples,
    ) -> Self {
        Self {
            graph,
            profile,
            precision,
            placements: BTreeMap::new(),
            program: Program::default(),
            samples,
            lives: OnceCell::new(),
            packed: IndexMap::new(),
            error: None,
        }
    }

    /// Fails if a constant could not be packed since the last call.
    pub(super) fn take_error(&mut self) -> Result<(), SelectError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// A slot for `value` under `axes`. A stored layout with other axes asks for a conversion; constants are packed.
    pub fn slot(
        &mut self,
        name: &str,
        access: Access,
        value: ValueId,
        axes: &AxisMap,
    ) -> Result<Slot, Declined> {
        let shape = self.shape(value);
        if self.constant_tensor(value).is_some() {
            return self.constant_slot(name, value, axes);
        }
        let placement = self.placements[&value].clone();
        let extents_agree = placement.layout.axes.extents(&shape) == axes.extents(&shape);
        let same_axes = placement.layout.axes == *axes
            || (extents_agree && single_axes_agree(&placement.layout.axes, axes, &shape));
        // Runs of pixels are one run in slice order, so merged axes address the same texels.
        let merged =
            placement.layout.order == Order::Slices && merges_pixels(&placement.layout.axes, axes, &shape);
        if placement.layout.order != Order::RowMajor && !same_axes && !merged {
            let name = self.graph.value(value).name.clone();
            return Err(match access {
                Access::Read => Declined::Convert { value, name },
                Access::Write => Declined::Unsupported(format!("`{name}` is stored with other axes")),
            });
        }
        // Axes of one place here may have more where the window is cut from.
        let is_lost = |window: &Window| {
            window.first(axes, &shape).is_none() || placement.layout.axes != *axes && !merged
        };
        if placement.place.window().is_some_and(is_lost) {
            return Err(Declined::Convert { value, name: self.graph.value(value).name.clone() });
        }
        if let Some(view) = placement.place.view().filter(|view| view.strides(axes, &shape).is_none()) {
            debug_assert_eq!(access, Access::Read, "a result is no view: {view:?}");
            return Err(Declined::Convert { value, name: self.graph.value(value).name.clone() });
        }
        let layout = Layout { axes: axes.clone(), ..placement.layout };
        let slot = Slot::new(name, access, Source::Activation(placement.storage), shape, layout);
        Ok(Slot { address: AddressMap::Direct(placement.place), ..slot })
    }

    /// A slot for a constant: dense if its channels are whole vectors side by side, otherwise padded slices.
    fn constant_slot(&mut self, name: &str, value: ValueId, axes: &AxisMap) -> Result<Slot, Declined> {
        let element = self.element(value)?;
        let shape = self.shape(value);
        let dense = axes.strides(&shape)[3] == 1 && shape.last().is_some_and(|last| last % 4 == 0)
            || !element.is_float();
        let order = if dense { Order::RowMajor } else { Order::Slices };
        let layout = Layout { object: Object::Buffer, order, element, axes: axes.clone() };
        self.packed_slot(name, value, || Packing::plain(&shape), layout)
    }

    /// A slot for the constant `value`, rearranged by `packing` and laid out as `layout`. Nothing is packed here: the
    /// bytes are made when the bundle is written, once for all steps, variants and targets that ask for the same packing.
    pub fn packed_slot(
        &mut self,
        name: &str,
        value: ValueId,
        packing: impl FnOnce() -> Packing,
        layout: Layout,
    ) -> Result<Slot, Declined> {
        let Some(tensor) = self.constant_tensor(value).cloned() else {
            let value = &self.graph.value(value).name;
            return Err(Declined::Unsupported(format!("`{value}` is not a constant")));
        };
        Ok(self.constant(name, (Some(value), &tensor), packing(), layout))
    }

    /// A slot for a tensor of integers that selection made for the node whose result is `owner`; `what` tells it from the
    /// node's others.
    pub fn derived_slot(&mut self, name: &str, owner: ValueId, what: &str, tensor: &Tensor) -> Slot {
        let shape = tensor.shape();
        let strides: Vec<u64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let packing = Packing::view(what, shape, strides);
        self.constant(name, (Some(owner), tensor), packing, Layout::row_major(Element::I32, shape.len()))
    }

    pub(super) fn constant(
        &mut self,
        name: &str,
        (value, tensor): (Option<ValueId>, &Tensor),
        packing: Packing,
        layout: Layout,
    ) -> Slot {
        let label = match packing.label() {
            "" => layout.describe(),
            label => format!("{label}:{}", layout.describe()),
        };
        let key = self.key(value, tensor, label);
        let shape = packing.shape().to_vec();
        let index = self.packed.get(&key).copied().unwrap_or_else(|| {
            let source = value.map_or("", |value| self.graph.value(value).name.as_str());
            match Recipe::new(tensor, packing, layout.clone()) {
                Ok(recipe) => {
                    let index = self.program.constants.len() as u32;
                    let name = format!("{source}:{}", key.packing);
                    let content = Content::Packed(recipe);
                    self.program.constants.push(PackedConstant { name, key: key.clone(), content });
                    self.packed.insert(key, index);
                    index
                }
                Err(error) => {
                    // The caller asks for errors after each node, so nobody uses this index.
                    self.error.get_or_insert(SelectError::Pack { name: source.to_owned(), source: error });
                    0
                }
            }
        });
        let part_bytes = self.part_bytes(layout.size_bytes(&shape));
        Slot {
            part_bytes: Some(part_bytes),
            ..Slot::new(name, Access::Read, Source::Constant(index), shape, layout)
        }
    }

    /// What tells a packed tensor from all others: the constant, where all variants have it; its content, where selection made it
    /// or a pass for this variant.
    pub(super) fn key(&self, value: Option<ValueId>, tensor: &Tensor, packing: String) -> PackedKey {
        let everywhere = |value| self.graph.constant(value).is_some() && self.graph.is_shared(value);
        if value.is_none_or(everywhere) {
            return PackedKey { value, packing, content: None };
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?} {:?} ", tensor.element(), tensor.shape()).as_bytes());
        hasher.update(tensor.bytes());
        PackedKey { value: None, packing, content: Some(*hasher.finalize().as_bytes()) }
    }

    /// Most bytes that a binding takes of a constant of so many.
    pub(super) fn part_bytes(&self, size_bytes: u64) -> u64 {
        // Beyond that many parts a dispatch would run out of bindings: they grow, and the variant says what it needs.
        let share = size_bytes.div_ceil(MOST_PARTS).next_multiple_of(256);
        self.profile.binding_bytes.max(share).min(MOST_ARRAY_BYTES)
    }

    /// A slot for numbers that a kernel looks up, which follow from the op of the node that makes `owner`: f32 slices.
    pub fn table(&mut self, name: &str, owner: ValueId, tensor: &Tensor) -> Slot {
        let layout = table_layout(tensor.rank());
        let strides: Vec<u64> =
            (0..tensor.rank()).map(|axis| tensor.shape()[axis + 1..].iter().product()).collect();
        let packing = Packing::view(name, tensor.shape(), strides);
        self.constant(name, (Some(owner), tensor), packing, layout)
    }

    /// A slot of one value for every channel.
    pub fn filled(&mut self, name: &str, value: f32, channels: u64) -> Slot {
        let packing = Packing::computed("filled", [channels], (value, channels), |&(value, channels), _| {
            vec![value; channels as usize]
        });
        self.constant(name, (None, &Tensor::scalar_f32(value)), packing, table_layout(1))
    }

    /// The slot of a bias, zeros if there is none: one value per channel of `dst`.
    pub fn bias_slot(
        &mut self,
        name: &str,
        value: Option<ValueId>,
        channels: u64,
        element: Element,
    ) -> Result<Slot, Declined> {
        if let Some(value) = value {
            return self.slot(name, Access::Read, value, &AxisMap::channels_last(1));
        }
        let layout =
            Layout { object: Object::Buffer, order: Order::Slices, element, axes: AxisMap::channels_last(1) };
        Ok(self.constant(name, (None, &Tensor::scalar_f32(0.0)), Packing::zeros([channels]), layout))
    }

    /// The epilogue of `node` and its operand slots, for a result written under `dst`.
    pub fn epilogue(
        &mut self,
        node: &Node,
        dst: &Slot,
    ) -> Result<(Option<ScalarProgram>, Vec<Slot>), Declined> {
        if node.epilogue.steps.is_empty() {
            return Ok((None, Vec::new()));
        }
        let mut slots = Vec::new();
        let mut operands = Vec::new();
        for (n, &value) in node.epilogue.operands.iter().enumerate() {
            let (slot, operand) = self.operand(&format!("operand_{n}"), value, dst)?;
            slots.push(slot);
            operands.push(operand);
        }
        let input = self.result_kind(node)?;
        Ok((Some(ScalarProgram::new(input, node.epilogue.steps.clone(), operands)), slots))
    }

    /// What a node's op computes before its epilogue, by the op's own rule.
    fn result_kind(&self, node: &Node) -> Result<Kind, Declined> {
        let operands: Vec<_> = node.inputs.iter().map(|&value| self.graph.operand(value)).collect();
        let types = node
            .op
            .infer(&operands, &self.graph.symbols)
            .map_err(|error| Declined::Unsupported(error.to_string()))?;
        Ok(types.first().map_or(Kind::Float, |ty| Kind::of_graph(ty.element)))
    }

    /// A broadcast operand of a result written under `dst`.
    pub fn operand(&mut self, name: &str, value: ValueId, dst: &Slot) -> Result<(Slot, Operand), Declined> {
        let shape = self.shape(value);
        let slot = match operand_axes(&shape, dst) {
            Some(axes) if self.walks_on(value, &axes) => {
                let slot = self.slot(name, Access::Read, value, &axes)?;
                let splat = slot.extents().channels == 1 && dst.extents().channels > 1;
                Slot { address: slot.address.clone().splat(splat), ..slot }
            }
            // It repeats along some of the axes that share a coordinate, which only a dense tensor can be read under.
            _ => self.broadcast_slot(name, value, dst)?,
        };
        let kind = Kind::of_graph(self.graph.value(value).ty.element);
        Ok((slot, Operand { slot: name.to_owned(), kind }))
    }

    /// A slot for `value` as a dense tensor of another shape with as many elements. A value that is stored otherwise asks
    /// for a conversion.
    pub fn dense(
        &mut self,
        name: &str,
        access: Access,
        value: ValueId,
        shape: Vec<u64>,
        axes: AxisMap,
    ) -> Result<Slot, Declined> {
        let slot = match self.constant_tensor(value).map(|tensor| tensor.shape().to_vec()) {
            Some(own) => {
                let layout = Layout::row_major(self.element(value)?, own.len());
                self.packed_slot(name, value, || Packing::plain(&own), layout)?
            }
            None => {
                if self.placements[&value].layout.order != Order::RowMajor {
                    let name = self.graph.value(value).name.clone();
                    return Err(match access {
                        Access::Read => Declined::Convert { value, name },
                        Access::Write => Declined::Unsupported(format!("`{name}` is not a dense buffer")),
                    });
                }
                let Placement { storage, layout, place } = self.placements[&value].clone();
                let place = match place.view().map(|view| view.reshaped(&self.shape(value), &shape)) {
                    None => Place::Whole,
                    Some(Some(view)) if view.strides(&axes, &shape).is_some() => Place::View(view),
                    Some(_) => {
                        let name = self.graph.value(value).name.clone();
                        return Err(Declined::Convert { value, name });
                    }
                };
                let source = Source::Activation(storage);
                let address = AddressMap::Direct(place);
                Slot { address, ..Slot::new(name, access, source, shape.clone(), layout) }
            }
        };
        Ok(Slot { shape, layout: Layout { axes, ..slot.layout.clone() }, ..slot })
    }

    /// A dense slot whose coordinates have the sizes `[batch, height, width, channels]`.
    pub fn dense_as(
        &mut self,
        name: &str,
        access: Access,
        value: ValueId,
        sizes: [u64; 4],
    ) -> Result<Slot, Declined> {
        self.dense(name, access, value, sizes.to_vec(), AxisMap::channels_last(4))
    }

    /// Whether a value is stored in row-major order, as constants can be.
    pub fn is_dense(&self, value: ValueId) -> bool {
        self.placements.get(&value).is_none_or(|placement| placement.layout.order == Order::RowMajor)
    }

    /// A slot for a buffer of this node's own, dense, with the sizes `[batch, height, width, channels]`. Ask for it after
    /// everything that may be declined.
    pub fn scratch(&mut self, name: &str, what: &str, element: Element, sizes: [u64; 4]) -> Slot {
        let layout = Layout::row_major(element, 4);
        let storage = self.program.storages.len() as u32;
        let kind = super::storage_kind(&layout, &sizes);
        self.program.storages.push(Storage { name: what.to_owned(), kind, within: None });
        Slot::new(name, Access::Write, Source::Activation(storage), sizes.to_vec(), layout)
    }

    /// A buffer of this node's own for a dense tensor of `shape`, between two steps that move along different axes.
    pub fn dense_scratch(&mut self, what: &str, element: Element, shape: &[u64]) -> Slot {
        let slot = self.scratch("dst", what, element, [1, 1, 1, shape.iter().product()]);
        Slot { shape: shape.to_vec(), ..slot }
    }

    /// Appends a launch at load for `node`.
    pub(super) fn push_init(&mut self, node: &Node, chosen: Chosen) {
        let step = self.step(node.name.clone(), node.origins.clone(), chosen);
        self.program.init.push(step);
    }

    /// Appends a step for `node`.
    pub(super) fn push(&mut self, id: NodeId, mut chosen: Chosen) {
        let node = self.graph.node(id);
        for reason in chosen.call.slots.iter().filter_map(|slot| slot.weights.as_ref()?.why_instead()) {
            chosen.why.push_str(&format!("; {reason}"));
        }
        let written = chosen.call.slots.iter().filter(|s| s.access == Access::Write);
        let elements: u64 = written.map(|s| s.extents().elements()).sum();
        chosen.flops += chosen.call.epilogue.as_ref().map_or(0, ScalarProgram::flops) * elements;
        let step = self.step(node.name.clone(), node.origins.clone(), chosen);
        self.program.steps.push(step);
    }

    /// Appends a step that no node asked for.
    fn push_copy(&mut self, name: String, call: KernelCall, why: &str) {
        let chosen = Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 };
        let step = self.step(name, Vec::new(), chosen);
        self.program.steps.push(step);
    }

    fn step(&mut self, name: String, origins: Vec<String>, chosen: Chosen) -> ProgramStep {
        let Chosen { call, why, declined, flops } = chosen;
        debug_assert_eq!(call.check_interface(), Ok(()), "{}", call.kernel.name);
        let buffers = call.bindings().iter().filter(|binding| binding.object == Object::Buffer).count();
        if buffers > STORAGE_BUFFERS {
            let kernel = call.kernel.name;
            let reason = format!(
                "`{name}` ({kernel}): binds {buffers} storage buffers, a dispatch has {STORAGE_BUFFERS}"
            );
            self.error.get_or_insert(SelectError::NoKernel { nodes: vec![reason] });
        }
        let named = |source| match source {
            Source::Activation(storage) => {
                self.program.storages.get(storage as usize).map(|s| s.name.clone())
            }
            Source::Constant(index) => self.program.constants.get(index as usize).map(|c| c.name.clone()),
        };
        if let Err(source) = call.check(|source| named(source).unwrap_or_default()) {
            let (node, kernel) = (name.clone(), call.kernel.name);
            self.error.get_or_insert(SelectError::TooLarge { node, kernel, source });
        }
        let (bytes_read, bytes_written) = (call.bytes(Access::Read), call.bytes(Access::Write));
        ProgramStep { name, origins, call, why, declined, bytes_read, bytes_written, flops }
    }

    /// Appends a change of layout.
    pub(super) fn push_conversion(
        &mut self,
        value: ValueId,
        from: &Placement,
        to: &Placement,
    ) -> Result<(), SelectError> {
        let shape = self.shape(value);
        let name = self.graph.value(value).name.clone();
        let slot = |name: &str, access, placement: &Placement| {
            let source = Source::Activation(placement.storage);
            let slot = Slot::new(name, access, source, shape.clone(), placement.layout.clone());
            Slot { address: AddressMap::Direct(placement.place.clone()), ..slot }
        };
        let (src, dst) = (slot("src", Access::Read, from), slot("dst", Access::Write, to));
        let call = match self.view(value) {
            Some(_) => {
                let chosen = self.run("src", value).and_then(|(src, View { start, strides })| {
                    let axes = shape.iter().copied().zip(strides.iter().map(|&stride| stride as i64));
                    let walk = Walk { start: start as i64, axes: axes.collect() };
                    let (elements, axes) = (shape.iter().product(), AxisMap::channels_last(1));
                    let layout = Layout { axes, ..dst.layout.clone() };
                    strided::moves(self, src, Slot { shape: vec![elements], layout, ..dst }, walk)
                });
                let refused = |reason| SelectError::NoKernel { nodes: vec![format!("`{name}`: {reason}")] };
                chosen.map_err(refused)?.call
            }
            None => self.identity_copy(src, dst),
        };
        self.push_copy(format!("convert {name}"), call, "readers need other axes");
        Ok(())
    }

    /// Appends the copy of a constant that is a graph output.
    pub(super) fn push_constant_copy(&mut self, value: ValueId, to: &Placement) -> Result<(), SelectError> {
        let name = self.graph.value(value).name.clone();
        let src = self
            .slot("src", Access::Read, value, &to.layout.axes)
            .map_err(|reason| SelectError::NoKernel { nodes: vec![format!("`{name}`: {reason}")] })?;
        let dst = Slot::new(
            "dst",
            Access::Write,
            Source::Activation(to.storage),
            src.shape.clone(),
            to.layout.clone(),
        );
        let call = self.identity_copy(src, dst);
        self.push_copy(format!("constant {name}"), call, "a constant output");
        self.take_error()
    }

    pub(super) fn identity_copy(&self, src: Slot, dst: Slot) -> KernelCall {
        let (workgroup_size, workgroups) = self.linear(dst.extents().pixels() * dst.extents().slices());
        let moves: Vec<Move> = (0..4).map(|n| Move { from: Some(n), start: 0, step: 1 }).collect();
        let (constants, _) = copy_constants(&moves, &dst);
        KernelCall::plain("copy", constants, vec![src, dst], workgroup_size, workgroups)
    }

    /// A one-dimensional launch of `invocations`, folded into rows where one axis is not enough.
    pub fn linear(&self, invocations: u64) -> ([u32; 3], [u64; 3]) {
        let size = 64;
        let groups = invocations.div_ceil(size).max(1);
        let [x, y] = grid(groups, u64::from(self.profile.grid_axis));
        ([size as u32, 1, 1], [x, y, 1])
    }

    /// A call with the result's epilogue attached.
    #[expect(clippy::too_many_arguments, reason = "the parts of a call, each once")]
    pub fn call(
        &mut self,
        node: &Node,
        kernel: &'static str,
        constants: Vec<(&'static str, Constant)>,
        mut slots: Vec<Slot>,
        dst: Slot,
        workgroup_size: [u32; 3],
        workgroups: [u64; 3],
    ) -> Result<KernelCall, Declined> {
        let (epilogue, operands) = self.epilogue(node, &dst)?;
        slots.extend(operands);
        slots.push(dst);
        let call = KernelCall::plain(kernel, constants, slots, workgroup_size, workgroups);
        Ok(KernelCall { epilogue, ..call })
    }

    /// The literal for a one-element constant among a prologue's arguments. Bools stay operands, since a literal takes
    /// its type from the other arguments, and so do integers that a device's i32 cannot hold, infinities and NaNs: no
    /// text can name those, but a buffer holds them.
    pub fn literal(&self, value: ValueId) -> Option<StepArg> {
        let tensor = self.constant_tensor(value).filter(|tensor| tensor.len() == 1)?;
        let literal = tensor.to_f64_vec()[0];
        let fits = match tensor.element() {
            ElementType::Bool => false,
            element => element.is_float() && literal.is_finite() || literal.abs() <= f64::from(i32::MAX),
        };
        fits.then_some(StepArg::Const(literal))
    }
}

/// Where the copy kernel finds a source coordinate: `start + step *` the result's coordinate `from`.
pub(super) struct Move {
    /// 0 batch, 1 height, 2 width, 3 channels; none where the source has one place.
    pub from: Option<usize>,
    /// At the result's origin.
    pub start: i64,
    /// From one result to the next.
    pub step: i64,
}

/// Constants of the copy kernel for the source's batch, height, width and channels, and whether it moves whole slices.
pub(super) fn copy_constants(moves: &[Move], dst: &Slot) -> (Vec<(&'static str, Constant)>, bool) {
    const NAMES: [[&str; 3]; 4] = [
        ["PICK_B", "START_B", "STEP_B"],
        ["PICK_Y", "START_Y", "STEP_Y"],
        ["PICK_X", "START_X", "STEP_X"],
        ["PICK_C", "START_C", "STEP_C"],
    ];
    let whole = moves.last().is_some_and(|channels| {
        channels.from == Some(3) && channels.step == 1 && channels.start % LANES as i64 == 0
    });
    let mut constants = vec![
        ("WHOLE_SLICES", Constant::Bool(whole)),
        ("CHANNELS_INNERMOST", Constant::Bool(dst.layout.order == Order::RowMajor)),
    ];
    for (&Move { from, start, step }, [pick_name, start_name, step_name]) in moves.iter().zip(NAMES) {
        constants.push((pick_name, Constant::U32(from.unwrap_or(4) as u64)));
        constants.push((start_name, Constant::I32(start)));
        constants.push((step_name, Constant::I32(step)));
    }
    (constants, whole)
}

/// Slices of f32 in a buffer, channels last.
fn table_layout(rank: usize) -> Layout {
    Layout {
        object: Object::Buffer,
        order: Order::Slices,
        element: Element::F32,
        axes: AxisMap::channels_last(rank),
    }
}

/// `groups` as x and y within `limit` each.
pub fn grid(groups: u64, limit: u64) -> [u64; 2] {
    let rows = groups.div_ceil(limit).max(1);
    [groups.div_ceil(rows), rows]
}

/// Whether two maps differ only in axes of size one.
fn single_axes_agree(a: &AxisMap, b: &AxisMap, shape: &[u64]) -> bool {
    let significant = |run: &std::ops::Range<usize>| -> Vec<usize> {
        run.clone().filter(|&axis| shape[axis] > 1).collect()
    };
    significant(&a.batch) == significant(&b.batch)
        && significant(&a.height) == significant(&b.height)
        && significant(&a.width) == significant(&b.width)
        && significant(&a.channels) == significant(&b.channels)
}

/// Whether `view` is `stored` with rows and columns merged into one run of pixels.
fn merges_pixels(stored: &AxisMap, view: &AxisMap, shape: &[u64]) -> bool {
    let Extents { batch, height, width, channels } = stored.extents(shape);
    let merged = view.extents(shape);
    stored.channels == view.channels
        && stored.batch == view.batch
        && stored.height.end == stored.width.start
        && view.width == (stored.height.start..stored.width.end)
        && merged == Extents { batch, height: 1, width: height * width, channels }
}

/// The axes of an operand of `shape` that line up with `dst` when shapes are aligned at their ends.
pub(super) fn operand_axes(shape: &[u64], dst: &Slot) -> Option<AxisMap> {
    let rank = dst.shape.len();
    let shift = rank.checked_sub(shape.len())?;
    let lower = |run: &std::ops::Range<usize>| run.start.saturating_sub(shift)..run.end.saturating_sub(shift);
    let axes = &dst.layout.axes;
    let mapped = AxisMap {
        batch: lower(&axes.batch),
        height: lower(&axes.height),
        width: lower(&axes.width),
        channels: lower(&axes.channels),
    };
    // Each coordinate must be whole or of size one: a merged run cannot broadcast in part.
    let own = mapped.extents(shape);
    let full = dst.extents();
    let fits = |own: u64, full: u64| own == full || own == 1;
    (fits(own.batch, full.batch)
        && fits(own.height, full.height)
        && fits(own.width, full.width)
        && fits(own.channels, full.channels))
    .then_some(mapped)
}
