//! What a candidate is given: what has been selected, and a sheet of its own for what its kernels need beside it.

use super::{Declined, Selected};
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, AddressMap, Constant, KernelCall, Slot, Source};
use crate::physical::size::{self, Extent};
use crate::physical::{AxisMap, Element, Extents, Layout, Order, Packing, Place, Size, View, Window};
use crate::program::{PackedConstant, PackedKey, Placement, Storage, StorageKind};
use drift_ir::{Node, ValueId};
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::ops::Deref;

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

/// What is to be added to a program with the steps of a node. What is new is numbered behind what the program has.
#[derive(Clone, Default)]
pub(super) struct Made {
    /// Buffers of the node's own, and those of conversions.
    pub(super) storages: Vec<Storage>,
    /// Constants that no earlier step reads.
    pub(super) constants: Vec<PackedConstant>,
    /// The same by what they hold.
    pub(super) packed: IndexMap<PackedKey, u32>,
    /// Dispatches at load.
    pub(super) init: Vec<Chosen>,
}

/// What has been selected, as the candidates of one node see it.
pub struct Context<'a> {
    selected: &'a Selected<'a>,
    /// What the node reads.
    pub(super) operands: Vec<ValueId>,
    /// Values that a conversion brings to another place before the node runs.
    pub(super) converted: BTreeMap<ValueId, Placement>,
    /// What is needed beside what there is.
    pub(super) made: Made,
}

impl<'a> Deref for Context<'a> {
    type Target = Selected<'a>;

    fn deref(&self) -> &Selected<'a> {
        self.selected
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(selected: &'a Selected<'a>) -> Self {
        Self { selected, operands: Vec::new(), converted: BTreeMap::new(), made: Made::default() }
    }

    /// Where an activation is kept.
    pub fn placement(&self, value: ValueId) -> Option<&Placement> {
        self.converted.get(&value).or_else(|| self.places.get(&value))
    }

    pub(super) fn placed(&self, value: ValueId) -> Result<&Placement, Declined> {
        let missing = || Declined::Unsupported(format!("`{}` has no place", self.graph.value(value).name));
        self.placement(value).ok_or_else(missing)
    }

    /// Adds a storage, and says which it is to be.
    pub(super) fn add_storage(&mut self, storage: Storage) -> u32 {
        self.made.storages.push(storage);
        (self.program.storages.len() + self.made.storages.len()) as u32 - 1
    }

    /// A slot for `value` under `axes`. A stored layout with other axes asks for a conversion; constants are packed.
    pub fn slot(
        &mut self,
        name: &str,
        access: Access,
        value: ValueId,
        axes: &AxisMap,
    ) -> Result<Slot, Declined> {
        let shape = self.sizes(value);
        if self.constant_tensor(value).is_some() {
            return self.constant_slot(name, value, axes);
        }
        let placement = self.placed(value)?.clone();
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
            window.first(axes, &size::largest(&shape)).is_none() || placement.layout.axes != *axes && !merged
        };
        if placement.place != Place::Whole {
            // What is free is all of its source.
            size::known(&shape)?;
        }
        if placement.place.window().is_some_and(is_lost) {
            return Err(Declined::Convert { value, name: self.graph.value(value).name.clone() });
        }
        if let Some(view) =
            placement.place.view().filter(|view| view.strides(axes, &size::largest(&shape)).is_none())
        {
            debug_assert_eq!(access, Access::Read, "a result is no view: {view:?}");
            return Err(Declined::Convert { value, name: self.graph.value(value).name.clone() });
        }
        let layout = Layout { axes: axes.clone(), ..placement.layout };
        let slot = Slot::new(name, access, Source::Activation(placement.storage), shape, layout);
        Ok(Slot { address: AddressMap::Direct(placement.place), ..slot })
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
        let shape = self.sizes(value);
        let slot = match operand_axes(&shape, dst) {
            Some(axes) if self.walks_on(value, &axes) => {
                let mut slot = self.slot(name, Access::Read, value, &axes)?;
                let splat = slot.extents().channels.is_always(1) && !dst.extents().channels.is_always(1);
                slot.address = slot.address.splat(splat);
                slot
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
        shape: Vec<Size>,
        axes: AxisMap,
    ) -> Result<Slot, Declined> {
        let slot = match self.constant_tensor(value).map(|tensor| tensor.shape().to_vec()) {
            Some(own) => {
                let layout = Layout::row_major(self.element(value)?, own.len());
                self.packed_slot(name, value, || Packing::plain(&own), layout)?
            }
            None => {
                if self.placed(value)?.layout.order != Order::RowMajor {
                    let name = self.graph.value(value).name.clone();
                    return Err(match access {
                        Access::Read => Declined::Convert { value, name },
                        Access::Write => Declined::Unsupported(format!("`{name}` is not a dense buffer")),
                    });
                }
                let Placement { storage, layout, place } = self.placed(value)?.clone();
                let reshaped = |view: &View| {
                    let (own, wanted) = (self.shape(value).ok()?, size::known(&shape).ok()?);
                    view.reshaped(&own, &wanted).filter(|view| view.strides(&axes, &wanted).is_some())
                };
                let place = match place.view().map(reshaped) {
                    None => Place::Whole,
                    Some(Some(view)) => Place::View(view),
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
        sizes: [impl Into<Size>; 4],
    ) -> Result<Slot, Declined> {
        self.dense(name, access, value, sizes.map(Into::into).to_vec(), AxisMap::channels_last(4))
    }

    /// Whether a value is stored in row-major order, as constants can be.
    pub fn is_dense(&self, value: ValueId) -> bool {
        self.placement(value).is_none_or(|placement| placement.layout.order == Order::RowMajor)
    }

    /// A slot for a buffer of this node's own, dense, with the sizes `[batch, height, width, channels]`. Ask for it after
    /// everything that may be declined.
    pub fn scratch(&mut self, name: &str, what: &str, element: Element, sizes: [impl Into<Size>; 4]) -> Slot {
        let layout = Layout::row_major(element, 4);
        let sizes = sizes.map(Into::into);
        let kind = StorageKind::of(&layout, &size::largest(&sizes));
        let storage = self.add_storage(Storage { name: what.to_owned(), kind, within: None });
        Slot::new(name, Access::Write, Source::Activation(storage), sizes.to_vec(), layout)
    }

    /// A buffer of this node's own for a dense tensor of `shape`, between two steps that move along different axes.
    pub fn dense_scratch(&mut self, what: &str, element: Element, shape: &[Size]) -> Slot {
        let elements: Size = shape.iter().product();
        let slot = self.scratch("dst", what, element, [Size::ONE, Size::ONE, Size::ONE, elements]);
        Slot { shape: shape.to_vec(), ..slot }
    }

    /// Axes under which a value is stored; a constant is packed under whichever its reader wants.
    pub(crate) fn axes(&self, value: ValueId) -> AxisMap {
        match self.placement(value) {
            Some(placement) => placement.layout.axes.clone(),
            None => AxisMap::channels_last(self.rank(value)),
        }
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
        workgroups: [impl Into<Size>; 3],
    ) -> Result<KernelCall, Declined> {
        let (epilogue, operands) = self.epilogue(node, &dst)?;
        slots.extend(operands);
        slots.push(dst);
        let call = KernelCall::plain(kernel, constants, slots, workgroup_size, workgroups);
        Ok(KernelCall { epilogue, ..call })
    }
}

/// `groups` as x and y within `limit` each.
pub fn grid(groups: &Size, limit: u64) -> [Size; 2] {
    let rows = groups.max().div_ceil(limit).max(1);
    [groups.div_ceil(rows), Size::Const(rows)]
}

/// Whether two maps differ only in axes of size one.
fn single_axes_agree(a: &AxisMap, b: &AxisMap, shape: &[Size]) -> bool {
    let significant = |run: &std::ops::Range<usize>| -> Vec<usize> {
        run.clone().filter(|&axis| !shape[axis].is_always(1)).collect()
    };
    significant(&a.batch) == significant(&b.batch)
        && significant(&a.height) == significant(&b.height)
        && significant(&a.width) == significant(&b.width)
        && significant(&a.channels) == significant(&b.channels)
}

/// Whether `view` is `stored` with rows and columns merged into one run of pixels.
fn merges_pixels(stored: &AxisMap, view: &AxisMap, shape: &[Size]) -> bool {
    let Extents { batch, height, width, channels } = stored.extents(shape);
    let merged = view.extents(shape);
    stored.channels == view.channels
        && stored.batch == view.batch
        && stored.height.end == stored.width.start
        && view.width == (stored.height.start..stored.width.end)
        && merged == Extents { batch, height: Size::ONE, width: height.by(&width), channels }
}

/// The axes of an operand of `shape` that line up with `dst` when shapes are aligned at their ends.
pub(super) fn operand_axes(shape: &[Size], dst: &Slot) -> Option<AxisMap> {
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
    let fits = |(own, full): (&Size, &Size)| own == full || own.is_always(1);
    own.as_array().into_iter().zip(full.as_array()).all(fits).then_some(mapped)
}
