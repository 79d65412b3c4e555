//! The sizes of a matrix product, and the slots of what is not its matrix.

use super::{Context, Declined};
use crate::kernel::{Access, Slot};
use crate::physical::{AxisMap, Size};
use drift_ir::Node;

/// The sizes of a product.
pub(super) struct Sizes {
    pub(super) batches: Size,
    pub(super) m: Size,
    pub(super) n: Size,
    pub(super) k: Size,
    /// Batches are rows of one product.
    pub(super) merged: bool,
}

impl Sizes {
    pub(super) fn flops(&self) -> u64 {
        [&self.batches, &self.m, &self.n, &self.k].into_iter().product::<Size>().max().saturating_mul(2)
    }
}

/// Axes of a and of the result.
pub(super) fn axes(context: &Context<'_>, node: &Node, sizes: &Sizes) -> [AxisMap; 2] {
    [node.inputs[0], node.outputs[0]].map(|value| {
        let rank = context.rank(value);
        if sizes.merged { AxisMap::rows(rank - 1, rank) } else { AxisMap::channels_last(rank) }
    })
}

/// Slots of a and the result of one product.
pub(super) fn outer_slots(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
) -> Result<(Slot, Slot), Declined> {
    let [a_axes, y_axes] = axes(context, node, sizes);
    let dst = context.slot("dst", Access::Write, node.outputs[0], &y_axes)?;
    Ok((context.slot("a", Access::Read, node.inputs[0], &a_axes)?, dst))
}
