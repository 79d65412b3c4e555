//! What kernels over images share: slots, dispatches, and the geometry of windows.

use super::{Context, Declined};
use crate::kernel::{Access, Slot};
use crate::layout::image_axes;
use crate::physical::{AxisMap, Extents, Size};
use drift_ir::Node;

/// First operand and result as images; their axes.
pub(super) fn slots(context: &mut Context<'_>, node: &Node) -> Result<(Slot, Slot), Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let axes = image_axes(context.rank(y));
    let src = context.slot("src", Access::Read, x, &axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    Ok((src, dst))
}

/// Values of one and two spatial axes as rows and columns; a signal has one row.
pub(super) fn rows_and_columns(values: &[u64], row: u64) -> Result<[u64; 2], Declined> {
    match *values {
        [x] => Ok([row, x]),
        [y, x] => Ok([y, x]),
        _ => Err(Declined::Unsupported(format!("windows over {} spatial axes, above two", values.len()))),
    }
}

/// The axes of a dense tensor with one of them alone as rows: those before it are batches, those after it channels.
pub(super) fn alone(axis: usize, rank: usize) -> AxisMap {
    AxisMap { batch: 0..axis, height: axis..axis + 1, width: rank..rank, channels: axis + 1..rank }
}

/// The grid over `columns` x `rows` x `slices` invocations: x covers columns, y rows of all batch items, z slices.
pub(super) fn grid_over(columns: &Size, rows: &Size, slices: Size) -> ([u32; 3], [Size; 3]) {
    const INVOCATIONS: u64 = 64;
    let x = columns.max().next_power_of_two().min(if rows.max() > 1 { 8 } else { INVOCATIONS });
    let y = (INVOCATIONS / x).min(rows.max().next_power_of_two());
    ([x as u32, y as u32, 1], [columns.div_ceil(x), rows.div_ceil(y), slices])
}

/// How many pixels next to each other an invocation makes: as many as leave the device busy, at most `most`.
pub(super) fn block_x(context: &Context<'_>, e: &Extents, most: u64) -> u64 {
    let busy = u64::from(context.profile.busy_workgroups) * 64;
    let invocations = |block: u64| e.width.div_ceil(block) * e.height * e.batch * e.slices();
    let mut block = most;
    while block > 1 && (block > e.width || invocations(block) < busy) {
        block /= 2;
    }
    block
}
