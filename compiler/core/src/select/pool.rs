//! Pools over windows.

use super::image::{block_x, grid_over, rows_and_columns, slots};
use super::{Chosen, Context, Declined};
use crate::kernel::Constant;
use crate::physical::Size;
use drift_ir::Node;
use drift_ir::op::{Pool, PoolKind};

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &Pool) -> Result<Chosen, Declined> {
    /// Columns that a loop reads at once; more make the shader larger than they make it faster.
    const MOST_COLUMNS: u64 = 16;
    let spatial = op.kernel.len();
    let kernel = rows_and_columns(&op.kernel, 1)?;
    let strides = rows_and_columns(&op.strides, 1)?;
    let dilations = rows_and_columns(&op.dilations, 1)?;
    let begins = rows_and_columns(&op.pads[..spatial], 0)?;
    let ends = rows_and_columns(&op.pads[spatial..], 0)?;
    let (src, dst) = slots(context, node)?;
    let (from, e) = (src.extents(), dst.extents());
    // Rounding up the number of windows lets the last one reach beyond the padding.
    let reaches_out = |n: usize, from: &Size, to: &Size| match (from.as_known(), to.as_known()) {
        (Some(from), Some(to)) => {
            (to - 1) * strides[n] + (kernel[n] - 1) * dilations[n] + 1 > from + begins[n] + ends[n]
        }
        // At some sizes it may.
        _ => true,
    };
    let beyond = reaches_out(0, &from.height, &e.height) || reaches_out(1, &from.width, &e.width);
    let padded = beyond || op.pads.iter().any(|&pad| pad > 0);
    let (kind, p, count_padding, counted) = match op.kind {
        PoolKind::Max => (0, 1, false, false),
        PoolKind::Average { count_padding: true } => (1, 1, true, beyond),
        PoolKind::Average { count_padding: false } => (1, 1, false, padded),
        PoolKind::Lp(p) => (2, p, false, false),
    };
    // Neighbouring windows share columns, unless there are gaps between a window's taps.
    let block = block_x(context, &e.largest(), if dilations[1] == 1 { 4 } else { 1 });
    let columns = (block - 1) * strides[1] + kernel[1];
    let chunk = if columns <= MOST_COLUMNS { columns } else { 4 };
    let u32s = [
        ("KIND", kind),
        ("P", u64::from(p)),
        ("KERNEL_Y", kernel[0]),
        ("KERNEL_X", kernel[1]),
        ("STRIDE_Y", strides[0]),
        ("STRIDE_X", strides[1]),
        ("DILATION_Y", dilations[0]),
        ("DILATION_X", dilations[1]),
        ("END_Y", ends[0]),
        ("END_X", ends[1]),
        ("BLOCK_X", block),
        ("CHUNK", chunk),
        ("CHUNKS", columns.div_ceil(chunk)),
    ];
    let mut constants: Vec<_> = u32s.into_iter().map(|(name, value)| (name, Constant::U32(value))).collect();
    constants.extend([
        ("PAD_Y", Constant::signed(begins[0])),
        ("PAD_X", Constant::signed(begins[1])),
        ("PADDED", Constant::Bool(padded)),
        ("COUNTED", Constant::Bool(counted)),
        ("COUNT_PADDING", Constant::Bool(count_padding)),
    ]);
    let (size, workgroups) = grid_over(&e.width.div_ceil(block), &e.height.times(&e.batch), e.slices());
    let flops = e.elements().max() * kernel[0] * kernel[1];
    let call = context.call(node, "pool", constants, vec![src], dst, size, workgroups)?;
    Ok(Chosen { call, why: format!("{block} pixel(s) an invocation"), declined: Vec::new(), flops })
}
