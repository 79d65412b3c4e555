//! Padding.

use super::image::alone;
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, Slot};
use crate::physical::{AxisMap, Element, Layout, Order};
use drift_ir::Node;
use drift_ir::op::{Epilogue, Pad, PadMode};

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &Pad) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let axes = axes(context, node, op);
    if context.is_dense(x) && context.is_dense(y) && padded_among_others(op, &axes) {
        return one_by_one(context, node, op);
    }
    let src = context.slot("src", Access::Read, x, &axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    Ok(vec![pad(context, node, op, src, dst)?])
}

/// Whether an axis is padded that shares a coordinate with others.
fn padded_among_others(op: &Pad, axes: &AxisMap) -> bool {
    let rank = op.pads.len() / 2;
    let runs = [&axes.batch, &axes.height, &axes.width, &axes.channels];
    let alone = |axis: usize| runs.iter().any(|run| run.len() == 1 && run.contains(&axis));
    (0..rank).any(|axis| (op.pads[axis] > 0 || op.pads[rank + axis] > 0) && !alone(axis))
}

/// Dense tensors of more axes than there are coordinates: what is beyond several axes is beyond the last of them, so each
/// axis has a step of its own.
fn one_by_one(context: &mut Context<'_>, node: &Node, op: &Pad) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let mut shape = context.sizes(x);
    let rank = shape.len();
    let axes: Vec<usize> = (0..rank).filter(|&axis| op.pads[axis] > 0 || op.pads[rank + axis] > 0).collect();
    let [first, .., last] = axes[..] else {
        let axis = axes.first().copied().unwrap_or(0);
        let src = context.slot("src", Access::Read, x, &alone(axis, rank))?;
        let dst = context.slot("dst", Access::Write, y, &alone(axis, rank))?;
        return Ok(vec![pad(context, node, op, src, dst)?]);
    };
    let dst = context.slot("dst", Access::Write, y, &alone(last, rank))?;
    // What the epilogue reads may have to be converted first: ask before anything is made.
    context.epilogue(node, &dst)?;
    let mut from = context.slot("src", Access::Read, x, &alone(first, rank))?;
    let element = from.layout.element;
    let bare = Node { epilogue: Epilogue::default(), ..node.clone() };
    let mut steps = Vec::with_capacity(axes.len());
    for axis in axes {
        let under = |slot: Slot| {
            let layout = Layout { axes: alone(axis, rank), ..slot.layout.clone() };
            Slot { layout, ..slot }
        };
        let mut pads = vec![0; 2 * rank];
        for side in [axis, rank + axis] {
            pads[side] = op.pads[side];
            shape[axis] = shape[axis].plus(&op.pads[side].into());
        }
        let (step, to) = match axis == last {
            true => (node, dst.clone()),
            false => {
                let what = format!("{} (axis {axis})", node.name);
                (&bare, under(context.dense_scratch(&what, element, &shape)))
            }
        };
        let next = to.as_argument("src", Access::Read);
        steps.push(pad(context, step, &Pad { pads, ..op.clone() }, under(from), to)?);
        from = next;
    }
    Ok(steps)
}

fn pad(context: &mut Context<'_>, node: &Node, op: &Pad, src: Slot, dst: Slot) -> Result<Chosen, Declined> {
    let axes = dst.layout.axes.clone();
    let element = src.layout.element;
    let (mode, value) = match op.mode {
        PadMode::Constant(value) => (0, value),
        PadMode::Edge => (1, 0.0),
        PadMode::Reflect => (2, 0.0),
        PadMode::Wrap => (3, 0.0),
    };
    let runs = [&axes.batch, &axes.height, &axes.width, &axes.channels];
    let mut begins = [0; 4];
    for (axis, &begin) in op.pads[..src.shape.len()].iter().enumerate() {
        let end = op.pads[src.shape.len() + axis];
        match runs.iter().position(|run| run.len() == 1 && run.contains(&axis)) {
            Some(coordinate) => begins[coordinate] = begin,
            None if begin == 0 && end == 0 => {}
            None => {
                let rank = src.shape.len();
                return Err(Declined::Unsupported(format!(
                    "padding of axis {axis} of {rank}, merged with others"
                )));
            }
        }
    }
    let pads_channels = dst.extents().channels != src.extents().channels;
    let mut constants = vec![
        ("MODE", Constant::U32(mode)),
        ("FILL_BITS", Constant::U32(u64::from(fill_bits(element, value)?))),
        ("PADS_CHANNELS", Constant::Bool(pads_channels)),
        (
            "CHANNELS_INNERMOST",
            Constant::Bool(dst.layout.order == Order::RowMajor && axes.channels.end == dst.shape.len()),
        ),
    ];
    let names = ["BEGIN_B", "BEGIN_Y", "BEGIN_X", "BEGIN_C"];
    constants.extend(names.into_iter().zip(begins).map(|(name, begin)| (name, Constant::signed(begin))));
    let e = dst.extents();
    let (size, workgroups) = context.linear(&(e.pixels() * e.slices()));
    let call = context.call(node, "pad", constants, vec![src], dst, size, workgroups)?;
    let why = if pads_channels { "element by element" } else { "slice by slice" };
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 })
}

/// As the result or the operand is stored. Between dense tensors an axis that is not padded carries the channels.
fn axes(context: &Context<'_>, node: &Node, op: &Pad) -> AxisMap {
    for value in [node.outputs[0], node.inputs[0]] {
        if let Some(placement) = context.placement(value)
            && placement.layout.order != Order::RowMajor
        {
            return placement.layout.axes.clone();
        }
    }
    let rank = op.pads.len() / 2;
    let padded = |axis: usize| op.pads[axis] > 0 || op.pads[rank + axis] > 0;
    match rank {
        3.. if padded(rank - 1) && !padded(rank - 3) => AxisMap::channels_first(rank),
        _ => AxisMap::channels_last(rank),
    }
}

/// The bits of the constant in the type that the kernel computes with.
fn fill_bits(element: Element, value: f64) -> Result<u32, Declined> {
    match element {
        Element::F32 | Element::F16 => Ok((value as f32).to_bits()),
        Element::I32 if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            Ok((value as i32).cast_unsigned())
        }
        Element::I32 => Err(Declined::Unsupported(format!("padding with {value}, which i32 does not hold"))),
        Element::U32 => Ok(u32::from(value != 0.0)),
    }
}
