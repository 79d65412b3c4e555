//! Convolutions: depthwise, as a matrix product of pixels, or direct over blocks of pixels and slices.

use super::product::{self, Product, Window};
use super::winograd::{self, Layer};
use super::{Chosen, Context, Declined, weights};
use crate::kernel::{Access, Constant, Slot};
use crate::physical::weights::{Filters, WeightsForm};
use crate::physical::{AxisMap, Size};
use crate::profile::{WeightsForms, WinogradWhen};
use drift_ir::Node;
use drift_ir::op::Conv;

/// A convolution over rows and columns; a signal has one row.
struct Sizes {
    kernel: [u64; 2],
    strides: [u64; 2],
    dilations: [u64; 2],
    /// Zeros before the first row and column.
    pads: [u64; 2],
    padded: bool,
    groups: u64,
    src_channels: u64,
    dst_channels: u64,
}

impl Sizes {
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && !self.padded
    }

    fn filters(&self) -> Filters {
        let taps = self.kernel[0] * self.kernel[1];
        Filters::convolution(self.groups, [self.src_channels, self.dst_channels], taps)
    }

    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.src_channels && self.groups == self.dst_channels
    }
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &Conv) -> Result<Vec<Chosen>, Declined> {
    let sizes = sizes(context, node, op)?;
    let dst_elements = context.sizes(node.outputs[0]).iter().product::<Size>().max();
    let per_output = sizes.kernel[0] * sizes.kernel[1] * sizes.src_channels / sizes.groups;
    let flops = 2 * dst_elements * per_output;
    let candidates: [(&str, Candidate); 5] = [
        ("conv_depthwise", depthwise),
        ("winograd", winograd),
        ("matmul_cooperative", cooperative),
        ("matmul_tiled", tiled),
        ("conv_generic", generic),
    ];
    product::first(candidates, |candidate| candidate(context, node, &sizes, flops))
}

type Candidate = fn(&mut Context<'_>, &Node, &Sizes, u64) -> Result<Vec<Chosen>, Declined>;

fn sizes(context: &Context<'_>, node: &Node, op: &Conv) -> Result<Sizes, Declined> {
    let weights = context.shape(node.inputs[1])?;
    let spatial = op.strides.len();
    let two = |values: &[u64], missing: u64| -> [u64; 2] {
        if spatial == 1 { [missing, values[0]] } else { [values[0], values[1]] }
    };
    if !(1..=2).contains(&spatial) {
        return Err(Declined::Unsupported(format!("convolution over {spatial} spatial axes")));
    }
    Ok(Sizes {
        kernel: two(&weights[2..], 1),
        strides: two(&op.strides, 1),
        dilations: two(&op.dilations, 1),
        pads: two(&op.pads[..spatial], 0),
        padded: op.pads.iter().any(|&pad| pad > 0),
        groups: op.groups,
        src_channels: context.sizes(node.inputs[0])[1].to_known()?,
        dst_channels: weights[0],
    })
}

/// Source and result under the same kind of axes; rows merge into one where neither cares.
fn image_slots(context: &mut Context<'_>, node: &Node, sizes: &Sizes) -> Result<(Slot, Slot), Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let rank = context.rank(y);
    let axes = if rank == 3 { AxisMap::signal() } else { AxisMap::channels_first(rank) };
    let buffer = |value| {
        let placed: Option<&crate::program::Placement> = context.placement(value);
        placed.is_some_and(|p| !p.layout.storage_type.is_texture())
    };
    let plain = node.epilogue.operands.iter().all(|&operand| {
        let shape = context.sizes(operand);
        let texture = context.placement(operand).is_some_and(|p| p.layout.storage_type.is_texture());
        !texture && (shape == context.sizes(y) || shape.iter().all(|size| size.is_always(1)))
    });
    let merge = rank == 4 && sizes.is_pointwise() && buffer(x) && buffer(y) && plain;
    let axes = match merge {
        true => AxisMap { batch: 0..1, height: 2..2, width: 2..4, channels: 1..2 },
        false => axes,
    };
    let src = context.slot("src", Access::Read, x, &axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    Ok((src, dst))
}

fn spatial_constants(sizes: &Sizes) -> Vec<(&'static str, Constant)> {
    vec![
        ("KERNEL_Y", Constant::U32(sizes.kernel[0])),
        ("KERNEL_X", Constant::U32(sizes.kernel[1])),
        ("STRIDE_Y", Constant::U32(sizes.strides[0])),
        ("STRIDE_X", Constant::U32(sizes.strides[1])),
        ("DILATION_Y", Constant::U32(sizes.dilations[0])),
        ("DILATION_X", Constant::U32(sizes.dilations[1])),
        ("PAD_Y", Constant::signed(sizes.pads[0])),
        ("PAD_X", Constant::signed(sizes.pads[1])),
    ]
}

fn depthwise(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    flops: u64,
) -> Result<Vec<Chosen>, Declined> {
    /// Taps beyond which unrolling makes the shader larger than it makes it faster.
    const MOST_TAPS: u64 = 49;
    if !sizes.is_depthwise() {
        return Err(Declined::Shape(format!(
            "needs one group per channel, has {} groups of {} and {} channels",
            sizes.groups, sizes.src_channels, sizes.dst_channels
        )));
    }
    let taps = sizes.kernel[0] * sizes.kernel[1];
    if taps > MOST_TAPS {
        return Err(Declined::Shape(format!("needs at most {MOST_TAPS} taps, has {taps}")));
    }
    let (src, dst) = image_slots(context, node, sizes)?;
    let filters = Filters::depthwise(sizes.dst_channels, taps);
    let form = context.profile.weights.depthwise;
    let weights = weights::blocks(context, node.inputs[1], filters, form)?;
    let bias =
        context.bias_slot("bias", node.inputs.get(2).copied(), sizes.dst_channels, weights.layout.element)?;
    let e = dst.extents();
    let rows = e.height.times(&e.batch);
    let (x, y) = pixel_workgroup(e.width.max(), rows.max(), 64);
    let workgroups = [e.width.div_ceil(x), rows.div_ceil(y), e.slices()];
    let call = context.call(
        node,
        "conv_depthwise",
        spatial_constants(sizes),
        vec![src, weights, bias],
        dst,
        [x as u32, y as u32, 1],
        workgroups,
    )?;
    Ok(vec![Chosen { call, why: "one filter per channel".to_owned(), declined: Vec::new(), flops }])
}

fn cooperative(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    flops: u64,
) -> Result<Vec<Chosen>, Declined> {
    context
        .profile
        .cooperative
        .ok_or(Declined::Feature { feature: "cooperative matrices", profile: context.profile.name })?;
    let product = product_of(context, node, sizes, flops)?;
    product::cooperative(context, node, product)
}

fn tiled(context: &mut Context<'_>, node: &Node, sizes: &Sizes, flops: u64) -> Result<Vec<Chosen>, Declined> {
    let product = product_of(context, node, sizes, flops)?;
    product::tiled(context, node, product)
}

fn winograd(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    _flops: u64,
) -> Result<Vec<Chosen>, Declined> {
    if sizes.kernel != [3, 3] || sizes.strides != [1, 1] || sizes.dilations != [1, 1] || sizes.groups != 1 {
        return Err(Declined::Shape(
            "needs a 3x3 kernel, strides and dilations of one, one group".to_owned(),
        ));
    }
    if sizes.dst_channels <= FEW_CHANNELS && !matches!(context.profile.winograd.when, WinogradWhen::Always(_))
    {
        return Err(Declined::Shape(few_channels(sizes)));
    }
    let (src, dst) = image_slots(context, node, sizes)?;
    let Sizes { pads, src_channels, dst_channels, .. } = *sizes;
    let weights = |context: &mut Context<'_>| columns(context, node, sizes, WeightsForms::BUFFERS.product);
    winograd::select(context, node, Layer { src, dst, weights: &weights, pads, src_channels, dst_channels })
}

/// Output channels up to which most of a tile would be thrown away.
const FEW_CHANNELS: u64 = 8;

fn few_channels(sizes: &Sizes) -> String {
    format!("needs more than {FEW_CHANNELS} output channels, has {}", sizes.dst_channels)
}

/// The convolution as a product: a row for each pixel of the result, k over taps and input slices.
fn product_of(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    flops: u64,
) -> Result<Product, Declined> {
    if sizes.groups > 1 {
        return Err(Declined::Shape(format!("needs one group, has {}", sizes.groups)));
    }
    if sizes.dst_channels <= FEW_CHANNELS {
        return Err(Declined::Shape(few_channels(sizes)));
    }
    let (src, dst) = image_slots(context, node, sizes)?;
    let a = Slot { name: "a".to_owned(), ..src };
    let b = columns(context, node, sizes, context.profile.weights.product)?;
    let Sizes { kernel, strides, dilations, pads, padded, .. } = *sizes;
    Ok(Product {
        batches: Size::ONE,
        m: dst.extents().pixels(),
        n: sizes.dst_channels.into(),
        k: sizes.filters().rows().into(),
        b_transposed: weights::is_transposed(&b),
        a,
        b,
        dst,
        window: Some(Window { kernel, strides, dilations, pads, padded }),
        bias: node.inputs.get(2).copied(),
        flops,
    })
}

fn generic(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    flops: u64,
) -> Result<Vec<Chosen>, Declined> {
    let (src, dst) = image_slots(context, node, sizes)?;
    let own = dst.extents();
    let own_rows = own.height.times(&own.batch);
    let e = own.largest();
    let rows = own_rows.max();
    let filters = sizes.filters();
    let (group_src_slices, group_dst_slices) = (filters.src_slices(), filters.dst_slices());
    let weights = weights::blocks(context, node.inputs[1], filters.clone(), context.profile.weights.direct)?;
    let bias =
        context.bias_slot("bias", node.inputs.get(2).copied(), sizes.dst_channels, weights.layout.element)?;

    let busy = u64::from(context.profile.busy_workgroups) * 64;
    let block_s = if e.slices() >= 2 && group_dst_slices.is_multiple_of(2) { 2 } else { 1 };
    let blocks = |x: u64, s: u64| e.width.div_ceil(x) * rows * e.slices().div_ceil(s);
    let (block_x, block_s) = [(4, block_s), (2, block_s), (2, 1), (1, 1)]
        .into_iter()
        .find(|&(x, s)| blocks(x, s) >= busy && e.width >= x)
        .unwrap_or((if e.width >= 2 { 2 } else { 1 }, 1));
    let mut split = 1;
    while split < 16 && split * 2 <= group_src_slices && blocks(block_x, block_s) * split < busy {
        split *= 2;
    }
    let (x, y) = pixel_workgroup(e.width.div_ceil(block_x), rows, 64 / split);
    let mut constants = spatial_constants(sizes);
    constants.extend([
        ("PADDED", Constant::Bool(sizes.padded)),
        ("BLOCK_X", Constant::U32(block_x)),
        ("BLOCK_S", Constant::U32(block_s)),
        ("SPLIT", Constant::U32(split)),
        ("INPUT_LANES", Constant::Bool(weights::is_transposed(&weights))),
    ]);
    constants.extend(group_constants(&filters));
    let workgroups =
        [own.width.div_ceil(block_x).div_ceil(x), own_rows.div_ceil(y), own.slices().div_ceil(block_s)];
    let why = format!("{block_x} pixels x {block_s} slices an invocation, input slices split {split} ways");
    let call = context.call(
        node,
        "conv_generic",
        constants,
        vec![src, weights, bias],
        dst,
        [x as u32, y as u32, split as u32],
        workgroups,
    )?;
    Ok(vec![Chosen { call, why, declined: Vec::new(), flops }])
}

/// Constants by which a kernel tells the channels of groups apart.
pub(super) fn group_constants(filters: &Filters) -> [(&'static str, Constant); 5] {
    let [src, dst] = filters.group_channels();
    [
        ("GROUP_SRC_SLICES", Constant::U32(filters.src_slices())),
        ("GROUP_DST_SLICES", Constant::U32(filters.dst_slices())),
        ("GROUP_SRC_CHANNELS", Constant::U32(src)),
        ("GROUP_DST_CHANNELS", Constant::U32(dst)),
        ("SHARED_SLICES", Constant::Bool(filters.shares_slices())),
    ]
}

/// A workgroup of about `invocations` over a `width` x `height` image.
fn pixel_workgroup(width: u64, height: u64, invocations: u64) -> (u64, u64) {
    let x = width.next_power_of_two().min(if height > 1 { 8 } else { invocations }).min(invocations);
    let y = (invocations / x).min(height.next_power_of_two());
    (x, y)
}

/// The weights as the rhs of a product.
fn columns(
    context: &mut Context<'_>,
    node: &Node,
    sizes: &Sizes,
    form: WeightsForm,
) -> Result<Slot, Declined> {
    weights::right_side(context, node.inputs[1], sizes.filters(), form)
}
