//! Transposed convolutions.

use super::conv::group_constants;
use super::image::{block_x, grid_over, rows_and_columns, slots};
use super::{Chosen, Context, Declined, weights};
use crate::kernel::Constant;
use crate::physical::Extents;
use crate::physical::weights::Filters;
use drift_ir::Node;
use drift_ir::op::ConvTranspose;

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &ConvTranspose) -> Result<Chosen, Declined> {
    let spatial = op.strides.len();
    let weights_shape = context.shape(node.inputs[1])?;
    let kernel = rows_and_columns(&weights_shape[2..], 1)?;
    let strides = rows_and_columns(&op.strides, 1)?;
    let dilations = rows_and_columns(&op.dilations, 1)?;
    let pads = rows_and_columns(&op.pads[..spatial], 0)?;
    let (src, dst) = slots(context, node)?;
    let (from, e) = (src.extents(), dst.extents());
    let channels = [from.channels.to_known()?, e.channels.to_known()?];
    let filters = Filters::transposed_convolution(op.groups, channels, kernel[0] * kernel[1]);
    let dst_slices = filters.dst_slices();
    let weights = weights::blocks(context, node.inputs[1], filters.clone(), context.profile.weights.direct)?;
    let element = weights.layout.element;
    let bias = context.bias_slot("bias", node.inputs.get(2).copied(), channels[1], element)?;
    // Neighbours of an invocation's pixels are a stride apart.
    let apart = e.width.div_ceil(strides[1]);
    let block = block_x(context, &Extents { width: apart.max(), ..e.largest() }, 4);
    let block_s = if block > 1 && dst_slices.is_multiple_of(2) { 2 } else { 1 };
    let u32s = [
        ("KERNEL_Y", kernel[0]),
        ("KERNEL_X", kernel[1]),
        ("STRIDE_Y", strides[0]),
        ("STRIDE_X", strides[1]),
        ("DILATION_Y", dilations[0]),
        ("DILATION_X", dilations[1]),
        ("BLOCK_X", block),
        ("BLOCK_S", block_s),
    ];
    let mut constants: Vec<_> = u32s.into_iter().map(|(name, value)| (name, Constant::U32(value))).collect();
    constants.extend([
        ("PAD_Y", Constant::signed(pads[0])),
        ("PAD_X", Constant::signed(pads[1])),
        ("INPUT_LANES", Constant::Bool(weights::is_transposed(&weights))),
    ]);
    constants.extend(group_constants(&filters));
    let columns = apart.div_ceil(block).times(&strides[1].into());
    let (size, workgroups) = grid_over(&columns, &e.height.times(&e.batch), e.slices().div_ceil(block_s));
    let flops = 2 * from.elements().max() * (channels[1] / op.groups) * kernel[0] * kernel[1];
    let slots = vec![src, weights, bias];
    let call = context.call(node, "conv_transpose", constants, slots, dst, size, workgroups)?;
    let why = format!("{block} pixels x {block_s} slices an invocation");
    Ok(Chosen { call, why, declined: Vec::new(), flops })
}
