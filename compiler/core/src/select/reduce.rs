//! Reductions over any axes: neighbours that are all reduced, or all kept, are one coordinate.

use super::rows::row_grid;
use super::{Chosen, Context, Declined};
use crate::estimate::{part_of, wants_parts};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::size::{self, Size};
use crate::physical::{AxisMap, Element, Order};
use drift_ir::op::{Reduce, ReduceKind};
use drift_ir::{Node, ValueId};
use std::ops::Range;

/// How the axes of an operand and of its reduction are coordinates.
pub(super) struct Coordinates {
    /// Axes of the operand.
    pub axes: AxisMap,
    /// Axes of the result; coordinates that are reduced have one place.
    pub result: AxisMap,
    /// Whether batch, height, width and channels are reduced.
    pub reduced: [bool; 4],
}

/// The coordinates of a reduction of `x` to `y`, or the runs of axes where they are more than four.
pub(super) fn coordinates(
    context: &Context<'_>,
    x: ValueId,
    y: ValueId,
    over: &[usize],
    keep_dims: bool,
) -> Result<Coordinates, Vec<(Range<usize>, bool)>> {
    let shape = context.sizes(x);
    // Tensors that are not dense have an axis for each coordinate, and a dense one can be read under any.
    let stored = |value: ValueId| {
        let layout = &context.placement(value)?.layout;
        (layout.order != Order::RowMajor).then(|| layout.axes.clone())
    };
    let of_result = || if keep_dims { stored(y) } else { None };
    let axes = match stored(x).or_else(of_result) {
        Some(axes) => axes,
        None => {
            let runs = runs(&shape, over);
            if runs.len() > 4 {
                return Err(runs);
            }
            let at =
                |from_end: usize| runs.len().checked_sub(from_end).map_or(0..0, |run| runs[run].0.clone());
            AxisMap { batch: at(4), height: at(3), width: at(2), channels: at(1) }
        }
    };
    let kept_before = |axis: usize| axis - over.iter().filter(|&&reduced| reduced < axis).count();
    let kept = |run: &Range<usize>| kept_before(run.start)..kept_before(run.end);
    let result = match keep_dims {
        true => axes.clone(),
        false => AxisMap {
            batch: kept(&axes.batch),
            height: kept(&axes.height),
            width: kept(&axes.width),
            channels: kept(&axes.channels),
        },
    };
    let reduced = [&axes.batch, &axes.height, &axes.width, &axes.channels]
        .map(|run| run.clone().any(|axis| !shape[axis].is_always(1) && over.contains(&axis)));
    Ok(Coordinates { axes, result, reduced })
}

/// Neighbouring axes that are all reduced or all kept, outermost first; an axis of one place is either.
fn runs(shape: &[Size], over: &[usize]) -> Vec<(Range<usize>, bool)> {
    let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
    for axis in 0..shape.len() {
        let is_reduced = over.contains(&axis);
        match runs.last_mut() {
            Some((run, known)) if shape[axis].is_always(1) || *known == is_reduced => run.end = axis + 1,
            Some((run, known)) if shape[run.clone()].iter().all(|size| size.is_always(1)) => {
                (run.end, *known) = (axis + 1, is_reduced);
            }
            _ => runs.push((axis..axis + 1, is_reduced)),
        }
    }
    runs
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &Reduce) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    match coordinates(context, x, y, &op.axes, op.keep_dims) {
        Ok(coordinates) => {
            let src = context.slot("src", Access::Read, x, &coordinates.axes)?;
            let dst = context.slot("dst", Access::Write, y, &coordinates.result)?;
            step(context, (Some(node), &node.name), op.kind, src, dst, coordinates.reduced)
        }
        Err(runs) => in_steps(context, node, op, &runs),
    }
}

/// Over more than four runs of axes: the innermost reduced run first, into a buffer of its own, until four are left. That
/// is exact for every kind, since all means are over as many elements.
fn in_steps(
    context: &mut Context<'_>,
    node: &Node,
    op: &Reduce,
    runs: &[(Range<usize>, bool)],
) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let shape = context.sizes(x);
    let mut sizes: Vec<(Size, bool)> =
        runs.iter().map(|(run, reduced)| (shape[run.clone()].iter().product(), *reduced)).collect();
    // Sums of f16 are kept wide in between.
    let element = if context.element(x)?.is_float() { Element::F32 } else { context.element(x)? };
    let mut src = context.dense_as("src", Access::Read, x, [1; 4])?;
    let mut dst = context.dense_as("dst", Access::Write, y, [1; 4])?;
    let mut steps = Vec::new();
    while sizes.len() > 4 {
        let last = sizes.iter().rposition(|(_, reduced)| *reduced).unwrap_or(0);
        let product = |part: &[(Size, bool)]| part.iter().map(|(size, _)| size).product::<Size>();
        let (outer, inner) = (product(&sizes[..last]), product(&sizes[last + 1..]));
        let between = format!("{} (partly reduced)", node.name);
        let part =
            context.scratch("dst", &between, element, [Size::ONE, outer.clone(), Size::ONE, inner.clone()]);
        src.shape = vec![Size::ONE, outer, sizes[last].0.clone(), inner];
        src.layout.axes = AxisMap::channels_last(4);
        steps.extend(step(
            context,
            (None, &between),
            op.kind,
            src,
            part.clone(),
            [false, false, true, false],
        )?);
        src = part.as_argument("src", Access::Read);
        sizes.remove(last);
        // The runs on both sides are kept, and one now.
        if last < sizes.len() && last > 0 {
            sizes[last - 1].0 = sizes[last - 1].0.times(&sizes[last].0);
            sizes.remove(last);
        }
    }
    let padded: Vec<(Size, bool)> =
        std::iter::repeat_n((Size::ONE, false), 4 - sizes.len()).chain(sizes).collect();
    src.shape = padded.iter().map(|(size, _)| size.clone()).collect();
    src.layout.axes = AxisMap::channels_last(4);
    dst.shape =
        padded.iter().map(|(size, reduced)| if *reduced { Size::ONE } else { size.clone() }).collect();
    let reduced = [padded[0].1, padded[1].1, padded[2].1, padded[3].1];
    if !node.epilogue.is_empty() {
        // Its operands broadcast to the result's own axes.
        let kept = context.shape(y)?;
        dst.layout.axes = result_axes(&kept, &dst.known_shape()?);
        dst.shape = size::sizes(&kept);
    }
    steps.extend(step(context, (Some(node), &node.name), op.kind, src, dst, reduced)?);
    Ok(steps)
}

/// The axes of a dense `shape` that have the given sizes as coordinates.
fn result_axes(shape: &[u64], sizes: &[u64]) -> AxisMap {
    let mut next = 0;
    let mut take = |size: u64| {
        let start = next;
        let mut product = 1;
        while next < shape.len() && (product < size || shape[next] == 1) {
            product *= shape[next];
            next += 1;
        }
        start..next
    };
    let (batch, height, width, channels) = (take(sizes[0]), take(sizes[1]), take(sizes[2]), take(sizes[3]));
    AxisMap { batch, height, width, channels }
}

/// What a dispatch makes of its vectors.
#[derive(Clone, Copy)]
enum Role {
    /// The result of all.
    Whole,
    /// A result of so many vectors each, for `Last`.
    Part(u64),
    /// The result of parts that are along the batch, made of so many elements.
    Last(u64),
}

/// One dispatch, or two where parts go before. The last one of a node has its epilogue.
fn step(
    context: &mut Context<'_>,
    (node, name): (Option<&Node>, &str),
    kind: ReduceKind,
    src: Slot,
    dst: Slot,
    reduced: [bool; 4],
) -> Result<Vec<Chosen>, Declined> {
    let results = (dst.extents().pixels() * dst.extents().slices()).max();
    let vectors = vectors(&src, reduced);
    let threads = u64::from(threads(count(&src, reduced).max()));
    let is_free = vectors.is_free() || dst.shape.iter().any(Size::is_free);
    let vectors = vectors.max();
    // How many parts there are is part of the kernels, so what is free goes in one.
    if is_free || !wants_parts(context.profile, results, vectors.div_ceil(threads), 1) {
        return Ok(vec![dispatch(context, node, (kind, Role::Whole), src, dst, reduced)?]);
    }
    if let Some(node) = node {
        // What the epilogue reads may have to be converted first: ask before anything is made.
        context.epilogue(node, &dst)?;
    }
    let part = part_of(context.profile, results, vectors, threads);
    let parts = vectors.div_ceil(part);
    let d = dst.extents().known()?;
    let element = if src.layout.element.is_float() { Element::F32 } else { src.layout.element };
    let between = context.scratch(
        "dst",
        &format!("{name} (parts)"),
        element,
        [parts * d.batch, d.height, d.width, d.channels],
    );
    let all = count(&src, reduced).to_known()?;
    let first = dispatch(context, None, (kind, Role::Part(part)), src, between.clone(), reduced)?;
    let src = between.as_argument("src", Access::Read);
    let last = dispatch(context, node, (kind, Role::Last(all)), src, dst, [true, false, false, false])?;
    Ok(vec![first, last])
}

/// Elements that make one element of the result.
fn count(src: &Slot, reduced: [bool; 4]) -> Size {
    let e = src.extents();
    let sizes = e.as_array();
    sizes.into_iter().zip(reduced).filter(|(_, reduced)| *reduced).map(|(size, _)| size).product()
}

/// Vectors that make one slice of the result.
fn vectors(src: &Slot, reduced: [bool; 4]) -> Size {
    let e = src.extents();
    let slices = e.slices();
    let sizes = [e.batch, e.height, e.width, slices];
    sizes.iter().zip(reduced).filter(|(_, reduced)| *reduced).map(|(size, _)| size).product()
}

/// Invocations that share a slice of the result of so many elements.
fn threads(count: u64) -> u32 {
    count.next_power_of_two().clamp(32, 128) as u32
}

fn dispatch(
    context: &mut Context<'_>,
    node: Option<&Node>,
    (kind, role): (ReduceKind, Role),
    src: Slot,
    dst: Slot,
    reduced: [bool; 4],
) -> Result<Chosen, Declined> {
    let e = src.extents();
    let is_float = src.layout.element.is_float();
    let d = dst.extents();
    // Parts that are along the batch are as far apart as the result is long there.
    let (count, batches, batch_step, along) = match role {
        Role::Whole | Role::Part(_) => {
            let along = count(&src, reduced);
            (along.clone(), e.batch.clone(), Size::ONE, along)
        }
        Role::Last(all) => {
            let (batches, step) = (e.batch.to_known()?, d.batch.to_known()?);
            (all.into(), (batches / step).into(), step.into(), (batches / step).into())
        }
    };
    let (part, result_batch) = match role {
        Role::Part(part) => {
            let parts = vectors(&src, reduced).to_known()?.div_ceil(part);
            (part, (d.batch.to_known()? / parts).into())
        }
        Role::Whole | Role::Last(_) => (0, d.batch.clone()),
    };
    let [over_b, over_y, over_x, over_c] = reduced;
    let extent =
        |is_reduced: bool, size: &Size| Constant::count(if is_reduced { size.clone() } else { Size::ONE });
    let typed = if is_float { Constant::float_size(&count) } else { Constant::signed_size(&count) };
    let bits = |float: f32, int: i32| {
        Constant::U32(u64::from(if is_float { float.to_bits() } else { int.cast_unsigned() }))
    };
    let kind = match (kind, role) {
        (ReduceKind::Sum, _) | (ReduceKind::Mean, Role::Part(_)) => 0,
        (ReduceKind::Mean, _) => 1,
        (ReduceKind::Max, _) => 2,
        (ReduceKind::Min, _) => 3,
        (ReduceKind::Prod, _) => 4,
        (ReduceKind::L2, Role::Whole) => 5,
        (ReduceKind::L2, Role::Part(_)) => 6,
        (ReduceKind::L2, Role::Last(_)) => 7,
    };
    let constants = vec![
        ("KIND", Constant::U32(kind)),
        ("COUNT", typed),
        ("LOWEST_BITS", bits(f32::NEG_INFINITY, i32::MIN)),
        ("HIGHEST_BITS", bits(f32::INFINITY, i32::MAX)),
        ("COUNT_B", extent(over_b, &batches)),
        ("COUNT_Y", extent(over_y, &e.height)),
        ("COUNT_X", extent(over_x, &e.width)),
        ("COUNT_S", extent(over_c, &e.slices())),
        ("REDUCE_C", Constant::Bool(over_c)),
        ("PART", Constant::U32(part)),
        ("RESULT_BATCH", Constant::count(result_batch)),
        ("BATCH_STEP", Constant::count(batch_step)),
    ];
    let workgroups = row_grid(context, &(d.pixels() * d.slices()));
    let threads = threads(along.max());
    let workgroup_size = [threads, 1, 1];
    let call = match node {
        Some(node) => context.call(node, "reduce", constants, vec![src], dst, workgroup_size, workgroups)?,
        None => KernelCall::plain("reduce", constants, vec![src, dst], workgroup_size, workgroups),
    };
    let why = match role {
        Role::Whole => format!("{threads} invocations a slice"),
        Role::Part(part) => format!("{threads} invocations for each {part} vectors of a slice"),
        Role::Last(_) => format!("{batches} parts of each slice"),
    };
    Ok(Chosen { call, why, declined: Vec::new(), flops: e.elements().max() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::size::sizes;

    #[test]
    fn neighbours_that_are_reduced_together_are_one_run() {
        assert_eq!(runs(&sizes(&[2, 3, 4, 5]), &[2, 3]), [(0..2, false), (2..4, true)]);
        assert_eq!(runs(&sizes(&[1, 3, 1, 5]), &[0, 1]), [(0..3, true), (3..4, false)]);
        assert_eq!(runs(&sizes(&[2, 1, 3]), &[1]), [(0..3, false)]);
        assert_eq!(runs(&sizes(&[2, 3, 4, 5, 6]), &[1, 3]).len(), 5);
        assert!(runs(&[], &[]).is_empty());
    }

    #[test]
    fn a_result_has_its_sizes_as_coordinates() {
        let axes = result_axes(&[2, 3, 1, 4], &[1, 6, 1, 4]);
        assert_eq!(axes, AxisMap { batch: 0..0, height: 0..3, width: 3..3, channels: 3..4 });
    }
}
