//! Ops that move data.

use super::copies::{CoordinateMap, copy_constants};
use super::strided::{self, Distance, Walk};
use super::{Chosen, Context, Declined, weights};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::size;
use crate::physical::{AxisMap, Element, Layout, Order, Size};
use drift_ir::dim::IntExpr;
use drift_ir::op::{Gather, GatherNd, ShapeOf, Slice, Transpose};
use drift_ir::{Node, Tensor, ValueId};
use std::collections::BTreeSet;

/// The sizes of a tensor, written as the constant that they are.
pub(super) fn select_shape_of(
    context: &mut Context<'_>,
    node: &Node,
    op: ShapeOf,
) -> Result<Chosen, Declined> {
    let sizes = &context.sizes(node.inputs[0])[op.start..op.end];
    if let [size @ Size::Free(_)] = sizes {
        return one_size(context, node, size);
    }
    let sizes: Vec<i64> = size::known(sizes)?.into_iter().map(|size| size as i64).collect();
    let tensor = Tensor::from_i64([sizes.len() as u64], &sizes)
        .map_err(|error| Declined::Unsupported(error.to_string()))?;
    let y = node.outputs[0];
    let dst = context.slot("dst", Access::Write, y, &AxisMap::channels_last(1))?;
    let src = context.derived_slot("src", y, "sizes", &tensor)?;
    let call = context.identity_copy(src, dst);
    Ok(Chosen { call, why: "sizes are known".to_owned(), declined: Vec::new(), flops: 0 })
}

/// A free size, written by the dispatch that has it as a word.
fn one_size(context: &mut Context<'_>, node: &Node, size: &Size) -> Result<Chosen, Declined> {
    let dst = context.slot("dst", Access::Write, node.outputs[0], &AxisMap::channels_last(1))?;
    let constants = vec![("START", Constant::signed_size(size)), ("DELTA", Constant::I32(0))];
    let call = KernelCall::plain("range", constants, vec![dst], [64, 1, 1], [1_u64; 3]);
    Ok(Chosen { call, why: "a size that the host says".to_owned(), declined: Vec::new(), flops: 0 })
}

/// `start + index * delta`; inference made sure that the operands are known.
pub(super) fn select_range(context: &mut Context<'_>, node: &Node) -> Result<Chosen, Declined> {
    let scalar = |operand: usize| {
        let known = context.constant_tensor(node.inputs[operand]);
        known.and_then(|tensor| tensor.to_f64_vec().first().copied()).ok_or_else(|| {
            let value = node.inputs[operand];
            let (name, symbols) = (&context.graph.value(value).name, &context.graph.symbols);
            let known = context.graph.known_ints(value).unwrap_or_default().iter();
            let dims: BTreeSet<&str> =
                known.flat_map(IntExpr::symbols).filter_map(|dim| Some(symbols.get(dim)?.dim())).collect();
            let flags: Vec<String> = dims.iter().map(|dim| format!("--dim {dim}=N")).collect();
            Declined::Unsupported(format!(
                "it begins with or goes by `{name}`, which is a free size: bind {}",
                flags.join(" ")
            ))
        })
    };
    let (start, delta) = (scalar(0)?, scalar(2)?);
    let dst = context.slot("dst", Access::Write, node.outputs[0], &AxisMap::channels_last(1))?;
    let constant = |value: f64| match dst.layout.element {
        Element::F32 | Element::F16 => Constant::F32(value as f32),
        Element::I32 | Element::U32 => Constant::I32(value as i64),
    };
    let last = start + delta * dst.extents().channels.max().saturating_sub(1) as f64;
    let most = f64::from(i32::MAX);
    if !dst.layout.element.is_float() && [start, delta, last].iter().any(|value| value.abs() > most) {
        return Err(Declined::Unsupported("values beyond a device's i32".to_owned()));
    }
    let (workgroup_size, workgroups) = context.linear(&dst.extents().slices());
    let call = KernelCall::plain(
        "range",
        vec![("START", constant(start)), ("DELTA", constant(delta))],
        vec![dst],
        workgroup_size,
        workgroups,
    );
    Ok(Chosen { call, why: "one invocation per slice".to_owned(), declined: Vec::new(), flops: 0 })
}

/// Axes that address `value` one logical axis at a time: as stored, or any for a dense tensor.
fn single_axes(context: &Context<'_>, value: ValueId) -> Result<AxisMap, Declined> {
    let rank = context.rank(value);
    let placement = context.placement(value);
    match placement {
        Some(placement) if placement.layout.order != Order::RowMajor => Ok(placement.layout.axes.clone()),
        _ if rank <= 4 => Ok(AxisMap::channels_last(rank)),
        _ => Err(Declined::Unsupported(format!("moving elements of rank {rank}, above four"))),
    }
}

/// A move whose source coordinate of each axis is `start + step * (result coordinate of the axis it comes from)`:
/// between dense tensors of any rank along strides, otherwise by coordinates.
fn move_axes(
    context: &mut Context<'_>,
    node: &Node,
    from: impl Fn(usize) -> (usize, Size, i64),
) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    if context.is_dense(x) && context.is_dense(y) {
        let axes = context.sizes(y).into_iter().map(|size| (size, Distance::NONE)).collect();
        let (_, first, strides) = context.run("src", x)?;
        let mut walk = Walk { start: first, axes };
        for (axis, distance) in strides.into_iter().enumerate() {
            let (place, start, step) = from(axis);
            walk.start = walk.start.plus(&start.times(&distance));
            walk.axes[place].1 = Distance::of(step, &distance);
        }
        return strided::select(context, x, y, &walk);
    }
    copy(context, node, from)
}

/// The move by coordinates, of up to four axes.
fn copy(
    context: &mut Context<'_>,
    node: &Node,
    from: impl Fn(usize) -> (usize, Size, i64),
) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let (src_axes, dst_axes) = (single_axes(context, x)?, single_axes(context, y)?);
    let src = context.slot("src", Access::Read, x, &src_axes)?;
    let dst = context.slot("dst", Access::Write, y, &dst_axes)?;
    let runs = [&src_axes.batch, &src_axes.height, &src_axes.width, &src_axes.channels];
    let mut maps = Vec::new();
    for run in runs {
        maps.push(match run.len() {
            0 => CoordinateMap { from: None, start: Size::Const(0), step: 0 },
            1 => {
                let (axis, start, step) = from(run.start);
                CoordinateMap { from: dst_axes.coordinate_of(axis), start, step }
            }
            _ => return Err(Declined::Unsupported("moving elements over merged axes".to_owned())),
        });
    }
    let (constants, whole) = copy_constants(&maps, &dst);
    let why = if whole { "whole slices" } else { "channel by channel" };
    finish(context, node, "copy", constants, src, dst, why)
}

fn finish(
    context: &mut Context<'_>,
    node: &Node,
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    src: Slot,
    dst: Slot,
    why: &str,
) -> Result<Chosen, Declined> {
    let e = dst.extents();
    let (workgroup_size, workgroups) = context.linear(&(e.pixels() * e.slices()));
    let call = context.call(node, kernel, constants, vec![src], dst, workgroup_size, workgroups)?;
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 })
}

pub(super) fn select_transpose(
    context: &mut Context<'_>,
    node: &Node,
    op: &Transpose,
) -> Result<Chosen, Declined> {
    // Result axis i is source axis perm[i], so source axis j is found at the i with perm[i] = j.
    let place = |axis: usize| op.perm.iter().position(|&from| from == axis).unwrap_or(0);
    move_axes(context, node, |axis| (place(axis), Size::Const(0), 1))
}

pub(super) fn select_slice(context: &mut Context<'_>, node: &Node, op: &Slice) -> Result<Chosen, Declined> {
    let cut = |axis: usize| match op.axes.iter().find(|cut| cut.axis == axis) {
        Some(cut) => (axis, cut.start.into(), cut.step),
        None => (axis, Size::Const(0), 1),
    };
    move_axes(context, node, cut)
}

pub(super) fn select_reshape(context: &mut Context<'_>, node: &Node) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let (src_axes, dst_axes) = (context.axes(x), context.axes(y));
    let src = context.slot("src", Access::Read, x, &src_axes)?;
    let dst = context.slot("dst", Access::Write, y, &dst_axes)?;
    let names = [
        ["SRC_STRIDE_B", "SRC_STRIDE_Y", "SRC_STRIDE_X", "SRC_STRIDE_C"],
        ["DST_STRIDE_B", "DST_STRIDE_Y", "DST_STRIDE_X", "DST_STRIDE_C"],
    ];
    let mut constants = Vec::new();
    for (names, (slot, axes)) in names.iter().zip([(&src, &src_axes), (&dst, &dst_axes)]) {
        for (name, stride) in names.iter().zip(axes.strides(&slot.shape)) {
            // An axis of one element has no distance; one keeps the division defined.
            constants.push((*name, Constant::count(stride.at_least(&Size::ONE))));
        }
    }
    finish(context, node, "reshape", constants, src, dst, "layouts differ, so elements move")
}

pub(super) fn select_gather(context: &mut Context<'_>, node: &Node, op: Gather) -> Result<Chosen, Declined> {
    let (x, indices, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (rank, index_rank) = (context.rank(x), context.rank(indices));
    let src_axes =
        AxisMap { batch: 0..0, height: 0..op.axis, width: op.axis..op.axis + 1, channels: op.axis + 1..rank };
    let src = rows_or_whole(context, x, (op, src_axes))?;
    let all = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..index_rank };
    let indices = context.slot("indices", Access::Read, indices, &all)?;
    // The last index axis has a coordinate to itself, so that operands of the epilogue can broadcast along the others.
    let (end, last) = (op.axis + index_rank, (op.axis + index_rank).max(op.axis + 1) - 1);
    let dst_axes = AxisMap {
        batch: 0..op.axis,
        height: op.axis..last,
        width: last..end,
        channels: end..rank + index_rank - 1,
    };
    let dst = context.slot("dst", Access::Write, y, &dst_axes)?;
    gather(context, node, "gather", Vec::new(), [src, indices], dst)
}

/// What rows are taken of: quantized weights as they are, else a tensor under these axes.
fn rows_or_whole(
    context: &mut Context<'_>,
    x: ValueId,
    (op, axes): (Gather, AxisMap),
) -> Result<Slot, Declined> {
    let quantized = if op.axis == 0 { weights::quantized(context, "src", x, true)? } else { None };
    match quantized {
        Some(slot) => {
            let layout = Layout { axes, ..slot.layout.clone() };
            Ok(Slot { shape: context.sizes(x), layout, ..slot })
        }
        None => context.slot("src", Access::Read, x, &axes),
    }
}

pub(super) fn select_gather_nd(
    context: &mut Context<'_>,
    node: &Node,
    op: GatherNd,
) -> Result<Chosen, Declined> {
    let (x, indices, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (shape, index_shape) = (context.sizes(x), context.sizes(indices));
    let (rank, index_rank) = (shape.len(), index_shape.len());
    let tuple = index_shape.last().map_or(Ok(0), Size::to_known)? as usize;
    check_tuple(tuple)?;
    let batch = op.batch_dims;
    let indexed = batch + tuple;
    let rows = |from: usize, to: usize| AxisMap {
        batch: 0..0,
        height: 0..batch,
        width: batch..from,
        channels: from..to,
    };
    let src = context.slot("src", Access::Read, x, &rows(indexed, rank))?;
    let indices = context.slot("indices", Access::Read, indices, &rows(index_rank - 1, index_rank))?;
    let dst_rank = context.rank(y);
    let dst = context.slot("dst", Access::Write, y, &rows(index_rank - 1, dst_rank))?;
    let constants = tuple_constants(&shape[batch..indexed]);
    gather(context, node, "gather_nd", constants, [src, indices], dst)
}

/// Indices of a tuple that kernels read.
const MOST_INDICES: usize = 4;

pub(super) fn check_tuple(tuple: usize) -> Result<(), Declined> {
    if (1..=MOST_INDICES).contains(&tuple) {
        return Ok(());
    }
    Err(Declined::Unsupported(format!("index tuples of {tuple}, above {MOST_INDICES}")))
}

/// Sizes of the axes that a tuple indexes, and their distances in rows.
pub(super) fn tuple_constants(sizes: &[Size]) -> Vec<(&'static str, Constant)> {
    const NAMES: [[&str; 2]; MOST_INDICES] =
        [["LIMIT_0", "STRIDE_0"], ["LIMIT_1", "STRIDE_1"], ["LIMIT_2", "STRIDE_2"], ["LIMIT_3", "STRIDE_3"]];
    let mut constants = Vec::new();
    for (n, [limit, stride]) in NAMES.into_iter().enumerate() {
        let distance: Size = sizes.iter().skip(n + 1).product();
        constants.push((limit, Constant::count(sizes.get(n).cloned().unwrap_or(Size::ONE))));
        constants.push((stride, Constant::count(distance)));
    }
    constants
}

fn gather(
    context: &mut Context<'_>,
    node: &Node,
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    slots: [Slot; 2],
    dst: Slot,
) -> Result<Chosen, Declined> {
    if slots[1].layout.element != Element::I32 {
        return Err(Declined::Element { needed: "integer", found: slots[1].layout.element.name() });
    }
    let e = dst.extents();
    let (workgroup_size, workgroups) = context.linear(&(e.pixels() * e.slices()));
    let call = context.call(node, kernel, constants, slots.to_vec(), dst, workgroup_size, workgroups)?;
    Ok(Chosen { call, why: "one invocation per slice".to_owned(), declined: Vec::new(), flops: 0 })
}
