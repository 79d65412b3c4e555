//! Values that are where another one does: reshapes, slices and permutations that move nothing, and how kernels read them.

use super::driver::Driver;
use super::{Context, Declined, SelectError, strided};
use crate::kernel::{Access, AddressMap, Slot, Source};
use crate::memory::BINDING_ALIGN_BYTES;
use crate::physical::size::{self, Size};
use crate::physical::{AxisMap, LANES, Layout, Order, Place, StorageType, View, Window};
use crate::program::{Placement, Storage, StorageKind, Within};
use drift_ir::op::Slice;
use drift_ir::op::data::SliceAxis;
use drift_ir::{NodeId, Op, ValueId};

/// A part smaller than this share of its source is moved out of it.
const MOST_OF_A_PART: u64 = 16;

/// Dense, in a storage buffer.
fn is_plain(layout: &Layout) -> bool {
    layout.storage_type == StorageType::Buffer && layout.order == Order::RowMajor
}

impl Driver<'_> {
    /// Makes a reshape of a dense value a view of its storage; false if it has to move elements.
    pub(super) fn view(&mut self, node: NodeId) -> Result<bool, SelectError> {
        let node = self.selected.graph.node(node);
        let (source, target) = (node.inputs[0], node.outputs[0]);
        let is_output = self.selected.graph.is_output(target);
        let Some(mut placement) = self.selected.places.get(&source).cloned() else { return Ok(false) };
        let from_input = self.selected.graph.is_input(source);
        let target_layout = &self.layouts[&target];
        if !is_plain(&placement.layout)
            || !is_plain(target_layout)
            || !node.epilogue.steps.is_empty()
            || placement.layout.element != target_layout.element
            || (is_output && (from_input || placement.place.view().is_some()))
        {
            return Ok(false);
        }
        if let Some(view) = placement.place.view() {
            let shapes = (self.selected.shape(source), self.selected.shape(target));
            let reshaped = match shapes {
                (Ok(shape), Ok(wanted)) => view.reshaped(&shape, &wanted),
                _ => None,
            };
            placement = match reshaped {
                Some(view) => Placement { place: Place::View(view), ..placement },
                None => self.convert(source)?,
            };
        }
        self.selected.places.insert(target, Placement { layout: self.layouts[&target].clone(), ..placement });
        Ok(true)
    }

    /// Leaves a slice, or a transpose of a dense value, where that is, for readers to find it there; false if it has to move
    /// elements. Readers that need it dense get a copy, as they would have.
    pub(super) fn is_left_in_source(&mut self, id: NodeId, op: &Op) -> bool {
        let graph = self.selected.graph;
        let node = graph.node(id);
        let (source, target) = (node.inputs[0], node.outputs[0]);
        let Some(from) = self.selected.places.get(&source) else { return false };
        // What has a free size is moved: the strides of a view are numbers.
        let (Ok(shape), Ok(result)) = (self.selected.shape(source), self.selected.shape(target)) else {
            return false;
        };
        let layout = &self.layouts[&target];
        let allowed = self.selected.profile.memory.views && !graph.is_output(target);
        if !allowed
            || layout.element != from.layout.element
            || !node.epilogue.steps.is_empty()
            || result.contains(&0)
            || result.len() > strided::MOST_AXES
        {
            return false;
        }
        if let Op::Slice(op) = op
            && layout.order != Order::RowMajor
            && *layout == from.layout
        {
            let mut window = from.place.window().cloned().unwrap_or_else(|| Window::of(&shape));
            op.axes.iter().for_each(|cut| window.starts[cut.axis] += cut.start);
            let part =
                result.iter().product::<u64>() * MOST_OF_A_PART >= window.whole.iter().product::<u64>();
            let straight = op.axes.iter().all(|cut| cut.step == 1);
            if !part || !straight || window.first(&layout.axes, &result).is_none() {
                return false;
            }
            let (storage, layout) = (from.storage, layout.clone());
            let placement = Placement { storage, layout, place: Place::Window(window) };
            self.selected.places.insert(target, placement);
            return true;
        }
        if !is_plain(&from.layout) || !is_plain(layout) {
            return false;
        }
        let whole = from.place.view().cloned().unwrap_or_else(|| View::whole(&shape));
        let view = match op {
            Op::Slice(op) if op.axes.iter().all(|cut| cut.step > 0) => {
                op.axes.iter().fold(whole, |view, cut| view.cut(cut.axis, cut.start, cut.step as u64))
            }
            Op::Transpose(op) => whole.permuted(&op.perm),
            _ => return false,
        };
        // Its readers are to find vectors there, not to look for elements one by one; and a small part is not worth keeping all
        // of the source.
        let source_bytes = self.selected.program.storages[from.storage as usize].kind.size_bytes();
        let part_bytes = layout.size_bytes(&result);
        if !view.is_aligned(&result) || part_bytes * MOST_OF_A_PART < source_bytes {
            return false;
        }
        let placement = Placement { storage: from.storage, layout: layout.clone(), place: Place::View(view) };
        self.selected.places.insert(target, placement);
        true
    }

    /// Makes a slice a range of its source's bytes; false if it has to move elements.
    pub(super) fn slice(&mut self, id: NodeId, op: &Slice) -> bool {
        let graph = self.selected.graph;
        let node = graph.node(id);
        let (source, target) = (node.inputs[0], node.outputs[0]);
        let Some(from) = self.selected.places.get(&source) else { return false };
        let (Ok(shape), Ok(result)) = (self.selected.shape(source), self.selected.shape(target)) else {
            return false;
        };
        let is_port = graph.is_output(target) && graph.is_input(source);
        let layout = &self.layouts[&target];
        let same = from.place == Place::Whole
            && layout.order == from.layout.order
            && layout.element == from.layout.element
            && layout.axes == from.layout.axes
            && !layout.storage_type.is_texture()
            && !from.layout.storage_type.is_texture();
        let allowed = self.selected.profile.memory.views && !self.moved.contains(&target);
        if !same || is_port || !node.epilogue.steps.is_empty() || !allowed {
            return false;
        }
        // One axis is cut, without gaps; what is taken whole, but backwards, moves as well.
        let moves =
            |cut: &SliceAxis| shape[cut.axis] != result[cut.axis] || cut.step != 1 && result[cut.axis] > 1;
        let mut cut = op.axes.iter().filter(|cut| moves(cut));
        let (Some(one), None) = (cut.next(), cut.next()) else { return false };
        if one.step != 1 || result.contains(&0) {
            return false;
        }
        let Some(offset_bytes) = layout.part_offset(&shape, one.axis, one.start, result[one.axis]) else {
            return false;
        };
        if !offset_bytes.is_multiple_of(BINDING_ALIGN_BYTES) {
            return false;
        }
        let within = Within { storage: from.storage, offset_bytes };
        let before = self.selected.mark();
        let name = graph.value(target).name.clone();
        let kind = StorageKind::of(layout, &result);
        let storage = self.selected.add_storage(Storage { name, kind, within: Some(within) });
        self.selected
            .places
            .insert(target, Placement { storage, layout: layout.clone(), place: Place::Whole });
        self.note_slice(target, storage, before);
        true
    }
}

impl Context<'_> {
    /// A slot for `value` under `axes`, axes of size one put before it so that it has the rank of `dst`, to be taken apart where
    /// its axes share a coordinate.
    pub(super) fn broadcast_slot(
        &mut self,
        name: &str,
        value: ValueId,
        dst: &Slot,
    ) -> Result<Slot, Declined> {
        let shape = self.sizes(value);
        let unlike = || Declined::Unsupported(format!("{shape:?} does not broadcast to {:?}", dst.shape));
        let lead = dst.shape.len().checked_sub(shape.len()).ok_or_else(unlike)?;
        let fits = |(own, full): (&Size, &Size)| own == full || own.is_always(1);
        if !shape.iter().zip(&dst.shape[lead..]).all(fits) {
            return Err(unlike());
        }
        let aligned = [vec![Size::ONE; lead], shape].concat();
        let axes = dst.layout.axes.clone();
        let slot = match self.view(value).cloned() {
            Some(view) => {
                let Placement { storage, layout, .. } = self.placed(value)?.clone();
                let source = Source::Activation(storage);
                let strides = [vec![0; lead], view.strides].concat();
                let slot = Slot::new(name, Access::Read, source, aligned, Layout { axes, ..layout });
                let view = View { start: view.start, strides };
                Slot { address: AddressMap::Direct(Place::View(view)), ..slot }
            }
            None => self.dense(name, Access::Read, value, aligned, axes)?,
        };
        let address = slot.address.broadcast(dst.shape.clone());
        Ok(Slot { address, ..slot })
    }

    /// Where a value is in a larger one.
    pub(super) fn view(&self, value: ValueId) -> Option<&View> {
        self.placement(value)?.place.view()
    }

    /// Whether the axes of `value` that share a coordinate under `axes` collapse into one.
    pub(super) fn walks_on(&self, value: ValueId, axes: &AxisMap) -> bool {
        self.view(value).is_none_or(|view| view.strides(axes, &self.largest(value)).is_some())
    }

    /// The storage of a dense value as one run of elements, where the first of the value is in it, and how far apart neighbours
    /// along each axis are.
    pub fn run(&mut self, name: &str, value: ValueId) -> Result<(Slot, Size, Vec<Size>), Declined> {
        let shape = self.sizes(value);
        let axes = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..1 };
        match self.placement(value).and_then(|placement| Some((placement, placement.place.view()?.clone()))) {
            Some((placement, view)) => {
                let (slot, View { start, strides }) =
                    self.run_of_view(name, &size::known(&shape)?, placement, view);
                Ok((slot, start.into(), size::sizes(&strides)))
            }
            None => {
                let elements = shape.iter().product();
                let slot = self.dense(name, Access::Read, value, vec![elements], axes)?;
                let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
                Ok((slot, Size::Const(0), strides))
            }
        }
    }

    /// The same of a value of `shape` that is in a larger one.
    pub(super) fn run_of_view(
        &self,
        name: &str,
        shape: &[u64],
        placement: &Placement,
        view: View,
    ) -> (Slot, View) {
        let axes = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..1 };
        let layout = Layout { axes, ..placement.layout.clone() };
        let elements = view.end(shape).next_multiple_of(LANES);
        let source = Source::Activation(placement.storage);
        (Slot::new(name, Access::Read, source, vec![elements.into()], layout), view)
    }
}
