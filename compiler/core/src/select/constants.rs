//! Slots for constants.

use super::{Context, Declined};
use crate::kernel::{Access, Slot, Source};
use crate::physical::size;
use crate::physical::{AxisMap, Element, Layout, Order, Packing, Recipe, StorageType};
use crate::program::{Content, PackedConstant, PackedKey};
use drift_ir::op::StepArg;
use drift_ir::{ElementType, Tensor, ValueId};

impl Context<'_> {
    /// A slot for a constant: dense if its channels are whole vectors side by side, otherwise padded slices.
    pub(super) fn constant_slot(
        &mut self,
        name: &str,
        value: ValueId,
        axes: &AxisMap,
    ) -> Result<Slot, Declined> {
        let element = self.element(value)?;
        let shape = self.shape(value)?;
        let dense = axes.strides(&shape)[3] == 1 && shape.last().is_some_and(|last| last % 4 == 0)
            || !element.is_float();
        let order = if dense { Order::RowMajor } else { Order::Slices };
        let layout = Layout { storage_type: StorageType::Buffer, order, element, axes: axes.clone() };
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
        self.constant(name, (Some(value), &tensor), packing(), layout)
    }

    /// A slot for a tensor of integers that selection made for the node whose result is `owner`; `what` tells it from the
    /// node's others.
    pub fn derived_slot(
        &mut self,
        name: &str,
        owner: ValueId,
        what: &str,
        tensor: &Tensor,
    ) -> Result<Slot, Declined> {
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
    ) -> Result<Slot, Declined> {
        let label = match packing.label() {
            "" => layout.describe(),
            label => format!("{label}:{}", layout.describe()),
        };
        let key = self.key(value, tensor, label);
        let shape = packing.shape().to_vec();
        let index = match self.packed_before(&key) {
            Some(index) => index,
            None => {
                let source = value.map_or("", |value| self.graph.value(value).name.as_str());
                let recipe = Recipe::new(tensor, packing, layout.clone())
                    .map_err(|error| Declined::Pack { name: source.to_owned(), source: error })?;
                let name = format!("{source}:{}", key.packing);
                let content = Content::Packed(Box::new(recipe));
                let index = self.add_constant(PackedConstant { name, key: key.clone(), content });
                self.made.packed.insert(key, index);
                index
            }
        };
        let part_bytes = self.part_bytes(layout.size_bytes(&shape));
        let slot = Slot::new(name, Access::Read, Source::Constant(index), size::sizes(&shape), layout);
        Ok(Slot { part_bytes: Some(part_bytes), ..slot })
    }

    /// A slot for numbers that a kernel looks up, which follow from the op of the node that makes `owner`: f32 slices.
    pub fn table(&mut self, name: &str, owner: ValueId, tensor: &Tensor) -> Result<Slot, Declined> {
        let layout = table_layout(tensor.rank());
        let strides: Vec<u64> =
            (0..tensor.rank()).map(|axis| tensor.shape()[axis + 1..].iter().product()).collect();
        let packing = Packing::view(name, tensor.shape(), strides);
        self.constant(name, (Some(owner), tensor), packing, layout)
    }

    /// A slot of one value for every channel.
    pub fn filled(&mut self, name: &str, value: f32, channels: u64) -> Result<Slot, Declined> {
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
        let layout = Layout {
            storage_type: StorageType::Buffer,
            order: Order::Slices,
            element,
            axes: AxisMap::channels_last(1),
        };
        self.constant(name, (None, &Tensor::scalar_f32(0.0)), Packing::zeros([channels]), layout)
    }

    /// The constant of a key, if there is one.
    pub(super) fn packed_before(&self, key: &PackedKey) -> Option<u32> {
        self.packed.get(key).or_else(|| self.made.packed.get(key)).copied()
    }

    /// Adds a constant, and says which it is to be.
    pub(super) fn add_constant(&mut self, constant: PackedConstant) -> u32 {
        self.made.constants.push(constant);
        (self.program.constants.len() + self.made.constants.len()) as u32 - 1
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

/// Slices of f32 in a buffer, channels last.
fn table_layout(rank: usize) -> Layout {
    Layout {
        storage_type: StorageType::Buffer,
        order: Order::Slices,
        element: Element::F32,
        axes: AxisMap::channels_last(rank),
    }
}
