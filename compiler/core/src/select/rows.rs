//! Ops over rows: softmax and layer normalisation.

use super::{Chosen, Context, Declined, grid};
use crate::kernel::{Access, Constant, Slot};
use crate::physical::{AxisMap, Size};
use drift_ir::Node;
use drift_ir::op::{LayerNorm, RmsNorm, Softmax};

/// Invocations that share a row of `slices`: a power of two.
fn row_threads(slices: u64) -> u32 {
    slices.next_power_of_two().clamp(32, 256) as u32
}

/// Slots of a row-wise op over the axes from `first` on.
fn row_slots(context: &mut Context<'_>, node: &Node, first: usize) -> Result<(Slot, Slot), Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let axes = AxisMap::rows(first, context.rank(x));
    let src = context.slot("src", Access::Read, x, &axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    Ok((src, dst))
}

pub(super) fn row_grid(context: &Context<'_>, rows: &Size) -> [Size; 3] {
    let [x, y] = grid(rows, u64::from(context.profile.grid_axis));
    [x, y, Size::ONE]
}

pub(super) fn select_softmax(
    context: &mut Context<'_>,
    node: &Node,
    op: Softmax,
) -> Result<Chosen, Declined> {
    let shape = context.sizes(node.inputs[0]);
    if !shape[op.axis + 1..].iter().all(|size| size.is_always(1)) {
        return select_softmax_axis(context, node, op, shape.len());
    }
    check_parameters(context, node, op.axis)?;
    let (src, dst) = row_slots(context, node, op.axis)?;
    let e = src.extents();
    let subgroups = context.profile.subgroups;
    let (kernel, declined) = match subgroups {
        true => ("softmax_subgroup", Vec::new()),
        false => {
            let reason = Declined::Feature { feature: "subgroup operations", profile: context.profile.name };
            ("softmax", vec![format!("softmax_subgroup: {reason}")])
        }
    };
    /// Slices that an invocation keeps in registers.
    const KEPT: u64 = 8;
    // A few slices each, so that their reads overlap.
    let slices = e.slices().max();
    let threads = row_threads(slices.div_ceil(KEPT / 2));
    let items = slices.div_ceil(u64::from(threads)).min(KEPT) as u32;
    // Subgroups that make rows of their own must be as wide as a row's invocations.
    let several = !subgroups || context.profile.subgroup_size == Some(threads);
    let rows = if several { 128 / threads.min(128) } else { 1 };
    let workgroups = row_grid(context, &e.pixels().div_ceil(u64::from(rows)));
    let flops = 5 * e.elements().max();
    let mut constants = vec![("ITEMS", Constant::U32(items.into()))];
    let mut size = [threads, rows, 1];
    if subgroups {
        size = [threads * rows, 1, 1];
        constants.push(("ROW_THREADS", Constant::U32(threads.into())));
        constants.push(("ROWS", Constant::U32(rows.into())));
        if rows > 1 {
            constants.push(("SUBGROUP_SIZE", Constant::U32(threads.into())));
        }
    }
    let call = context.call(node, kernel, constants, vec![src], dst, size, workgroups)?;
    Ok(Chosen {
        call,
        why: format!("{threads} invocations share a row, {rows} row(s) a workgroup"),
        declined,
        flops,
    })
}

/// Softmax along an axis that others are inside of: invocations in one direction take neighbouring slices, those in the
/// other share the axis.
fn select_softmax_axis(
    context: &mut Context<'_>,
    node: &Node,
    op: Softmax,
    rank: usize,
) -> Result<Chosen, Declined> {
    let axes =
        AxisMap { batch: 0..0, height: 0..op.axis, width: op.axis..op.axis + 1, channels: op.axis + 1..rank };
    let src = context.slot("src", Access::Read, node.inputs[0], &axes)?;
    let dst = context.slot("dst", Access::Write, node.outputs[0], &axes)?;
    let e = src.extents();
    let across = e.slices().max().next_power_of_two().min(32);
    let along = (e.width.max() / 8).next_power_of_two().clamp(1, 256 / across);
    let tiles = e.slices().div_ceil(across);
    let workgroups = row_grid(context, &tiles.times(&e.height));
    let constants = vec![("TILES", Constant::count(tiles))];
    let workgroup_size = [across as u32, along as u32, 1];
    let call = context.call(node, "softmax_axis", constants, vec![src], dst, workgroup_size, workgroups)?;
    let why = format!("{along} invocations share the axis of each of {across} slices");
    Ok(Chosen { call, why, declined: Vec::new(), flops: 5 * e.elements().max() })
}

/// The kernels read one parameter for each normalised element; `simplify` broadcasts others.
fn check_parameters(context: &Context<'_>, node: &Node, axis: usize) -> Result<(), Declined> {
    let shape = context.sizes(node.inputs[0]);
    if node.inputs[1..].iter().all(|&parameter| context.sizes(parameter) == shape[axis..]) {
        return Ok(());
    }
    Err(Declined::Unsupported("a parameter that repeats along the normalised axes".to_owned()))
}

pub(super) fn select_layer_norm(
    context: &mut Context<'_>,
    node: &Node,
    op: LayerNorm,
) -> Result<Chosen, Declined> {
    check_parameters(context, node, op.axis)?;
    let (src, dst) = row_slots(context, node, op.axis)?;
    let e = src.extents();
    let parameters = AxisMap::rows(0, context.rank(node.inputs[0]) - op.axis);
    let scale = context.slot("scale", Access::Read, node.inputs[1], &parameters)?;
    let bias = match node.inputs.get(2) {
        Some(&bias) => context.slot("bias", Access::Read, bias, &parameters)?,
        None => context.bias_slot("bias", None, e.channels.to_known()?, scale.layout.element)?,
    };
    let threads = row_threads(e.slices().max());
    let workgroups = row_grid(context, &e.pixels());
    let constants = vec![("EPSILON", Constant::F32(op.epsilon as f32))];
    let call = context.call(
        node,
        "layer_norm",
        constants,
        vec![src, scale, bias],
        dst,
        [threads, 1, 1],
        workgroups,
    )?;
    Ok(Chosen {
        call,
        why: format!("{threads} invocations share a row"),
        declined: Vec::new(),
        flops: 8 * e.elements().max(),
    })
}

pub(super) fn select_rms_norm(
    context: &mut Context<'_>,
    node: &Node,
    op: RmsNorm,
) -> Result<Chosen, Declined> {
    check_parameters(context, node, op.axis)?;
    let (src, dst) = row_slots(context, node, op.axis)?;
    let e = src.extents();
    let parameters = AxisMap::rows(0, context.rank(node.inputs[0]) - op.axis);
    let scale = context.slot("scale", Access::Read, node.inputs[1], &parameters)?;
    let threads = row_threads(e.slices().max());
    let workgroups = row_grid(context, &e.pixels());
    let constants = vec![("EPSILON", Constant::F32(op.epsilon as f32))];
    let call =
        context.call(node, "rms_norm", constants, vec![src, scale], dst, [threads, 1, 1], workgroups)?;
    let why = format!("{threads} invocations share a row");
    Ok(Chosen { call, why, declined: Vec::new(), flops: 4 * e.elements().max() })
}
