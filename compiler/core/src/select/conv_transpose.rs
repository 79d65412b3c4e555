//! Transposed convolutions.

use super::image::{block_x, launch, rows_and_columns, slots};
use super::{Chosen, Context, Declined};
use crate::kernel::Constant;
use crate::physical::{AxisMap, Extents, LANES, Layout, Moves, Object, Order, Packing};
use drift_ir::Node;
use drift_ir::op::ConvTranspose;

/// Weights `[i, o / groups, y, x]` as rows of four output channels: (output slice, tap, input slice of the bank, input
/// lane).
#[derive(Debug)]
struct Blocks {
    src_channels: u64,
    dst_channels: u64,
    /// Groups of the convolution.
    groups: u64,
    /// Groups of the packing: one where a group's channels are not whole slices, with zeros for what it does not read.
    banks: u64,
    taps: u64,
}

impl Blocks {
    fn new(src_channels: u64, dst_channels: u64, groups: u64, taps: u64) -> Self {
        let whole = |channels: u64| (channels / groups).is_multiple_of(LANES);
        let banks = if whole(src_channels) && whole(dst_channels) { groups } else { 1 };
        Self { src_channels, dst_channels, groups, banks, taps }
    }

    /// Slices that an output slice reads.
    fn src_slices(&self) -> u64 {
        (self.src_channels / self.banks).div_ceil(LANES)
    }

    /// Output slices that read the same.
    fn dst_slices(&self) -> u64 {
        (self.dst_channels / self.banks).div_ceil(LANES)
    }

    fn packing(self) -> Packing {
        let rows = self.dst_channels.div_ceil(LANES) * self.taps * self.src_slices() * LANES;
        Packing::moved("transposed o4i4", [rows, LANES], self, Self::arrange)
    }

    fn arrange(&self, moves: &mut Moves<'_>) {
        let (taps, lanes, src_slices) = (self.taps as usize, LANES as usize, self.src_slices() as usize);
        let src_group = (self.src_channels / self.groups) as usize;
        let dst_group = (self.dst_channels / self.groups) as usize;
        let src_bank = (self.src_channels / self.banks) as usize;
        for i in 0..self.src_channels as usize {
            let channel = i % src_bank;
            for made in 0..dst_group {
                let o = i / src_group * dst_group + made;
                // From tap to tap, a row of slices further.
                let row = (o / lanes * taps * src_slices + channel / lanes) * lanes + channel % lanes;
                let to = (row * lanes + o % lanes, src_slices * lanes * lanes);
                moves.run(taps, to, ((i * dst_group + made) * taps, 1));
            }
        }
    }
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &ConvTranspose) -> Result<Chosen, Declined> {
    let spatial = op.strides.len();
    let weights_shape = context.shape(node.inputs[1]);
    let kernel = rows_and_columns(&weights_shape[2..], 1)?;
    let strides = rows_and_columns(&op.strides, 1)?;
    let dilations = rows_and_columns(&op.dilations, 1)?;
    let pads = rows_and_columns(&op.pads[..spatial], 0)?;
    let (src, dst) = slots(context, node)?;
    let (from, e) = (src.extents(), dst.extents());
    let blocks = Blocks::new(from.channels, e.channels, op.groups, kernel[0] * kernel[1]);
    let (src_slices, dst_slices) = (blocks.src_slices(), blocks.dst_slices());
    let element = context.element(node.inputs[1])?;
    let axes = AxisMap::channels_last(2);
    let layout = Layout { object: Object::Buffer, order: Order::Slices, element, axes };
    let weights = context.packed_slot("weights", node.inputs[1], blocks.packing(), layout)?;
    let bias = context.bias_slot("bias", node.inputs.get(2).copied(), e.channels, element)?;
    // Neighbours of an invocation's pixels lie a stride apart.
    let apart = Extents { width: e.width.div_ceil(strides[1]), ..e };
    let block = block_x(context, &apart, 4);
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
        ("GROUP_SRC_SLICES", src_slices),
        ("GROUP_DST_SLICES", dst_slices),
    ];
    let mut constants: Vec<_> =
        u32s.into_iter().map(|(name, value)| (name, Constant::U32(value as u32))).collect();
    constants.extend([("PAD_Y", Constant::I32(pads[0] as i32)), ("PAD_X", Constant::I32(pads[1] as i32))]);
    let columns = apart.width.div_ceil(block) * strides[1];
    let (size, workgroups) = launch(context, columns, e.height * e.batch, e.slices().div_ceil(block_s))?;
    let flops = 2 * from.elements() * (e.channels / op.groups) * kernel[0] * kernel[1];
    let slots = vec![src, weights, bias];
    let call = context.call(node, "conv_transpose", constants, slots, dst, size, workgroups)?;
    let why = format!("{block} pixels x {block_s} slices an invocation");
    Ok(Chosen { call, why, declined: Vec::new(), flops })
}
