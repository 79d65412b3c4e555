//! Reductions over any axes: neighbours that are all reduced, or all kept, are one coordinate.

use super::rows::row_grid;
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
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
    let shape = context.shape(x);
    // Tensors that are not dense have an axis for each coordinate, and a dense one can be read under any.
    let stored = |value: ValueId| {
        let layout = &context.placements.get(&value)?.layout;
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
        .map(|run| run.clone().any(|axis| shape[axis] > 1 && over.contains(&axis)));
    Ok(Coordinates { axes, result, reduced })
}

/// Neighbouring axes that are all reduced or all kept, outermost first; an axis of one place is either.
fn runs(shape: &[u64], over: &[usize]) -> Vec<(Range<usize>, bool)> {
    let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
    for axis in 0..shape.len() {
        let is_reduced = over.contains(&axis);
        match runs.last_mut() {
            Some((run, known)) if shape[axis] == 1 || *known == is_reduced => run.end = axis + 1,
            Some((run, known)) if shape[run.clone()].iter().all(|&size| size == 1) => {
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
            Ok(vec![step(context, Some(node), op.kind, src, dst, coordinates.reduced)?])
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
    let shape = context.shape(x);
    let mut sizes: Vec<(u64, bool)> =
        runs.iter().map(|(run, reduced)| (shape[run.clone()].iter().product(), *reduced)).collect();
    // Sums of halves are kept wide in between.
    let element = if context.element(x)?.is_float() { Element::F32 } else { context.element(x)? };
    let mut src = context.dense_as("src", Access::Read, x, [1; 4])?;
    let mut dst = context.dense_as("dst", Access::Write, y, [1; 4])?;
    let mut steps = Vec::new();
    while sizes.len() > 4 {
        let last = sizes.iter().rposition(|(_, reduced)| *reduced).unwrap_or(0);
        let product = |part: &[(u64, bool)]| part.iter().map(|(size, _)| size).product::<u64>();
        let (outer, inner) = (product(&sizes[..last]), product(&sizes[last + 1..]));
        let between = format!("{} (partly reduced)", node.name);
        let part = context.scratch("dst", &between, element, [1, outer, 1, inner]);
        src.shape = vec![1, outer, sizes[last].0, inner];
        src.layout.axes = AxisMap::channels_last(4);
        steps.push(step(context, None, op.kind, src, part.clone(), [false, false, true, false])?);
        src = part.as_argument("src", Access::Read);
        sizes.remove(last);
        // The runs on both sides are kept, and one now.
        if last < sizes.len() && last > 0 {
            sizes[last - 1].0 *= sizes[last].0;
            sizes.remove(last);
        }
    }
    let padded: Vec<(u64, bool)> = std::iter::repeat_n((1, false), 4 - sizes.len()).chain(sizes).collect();
    src.shape = padded.iter().map(|(size, _)| *size).collect();
    src.layout.axes = AxisMap::channels_last(4);
    dst.shape = padded.iter().map(|(size, reduced)| if *reduced { 1 } else { *size }).collect();
    let reduced = [padded[0].1, padded[1].1, padded[2].1, padded[3].1];
    if !node.epilogue.is_empty() {
        // Its operands broadcast to the result's own axes.
        let kept: Vec<u64> = context.shape(y);
        dst.layout.axes = result_axes(&kept, &dst.shape);
        dst.shape = kept;
    }
    steps.push(step(context, Some(node), op.kind, src, dst, reduced)?);
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

/// One dispatch. The last one of a node has its epilogue.
fn step(
    context: &mut Context<'_>,
    node: Option<&Node>,
    kind: ReduceKind,
    src: Slot,
    dst: Slot,
    reduced: [bool; 4],
) -> Result<Chosen, Declined> {
    let e = src.extents();
    let is_float = src.layout.element.is_float();
    let sizes = [e.batch, e.height, e.width, e.channels];
    let count: u64 =
        sizes.iter().zip(reduced).filter(|(_, reduced)| *reduced).map(|(size, _)| size).product();
    let [over_b, over_y, over_x, over_c] = reduced;
    let extent = |is_reduced: bool, size: u64| Constant::U32(if is_reduced { size } else { 1 });
    let typed = |float: f32, int: i64| if is_float { Constant::F32(float) } else { Constant::I32(int) };
    let bits = |float: f32, int: i32| {
        Constant::U32(u64::from(if is_float { float.to_bits() } else { int.cast_unsigned() }))
    };
    let kind = match kind {
        ReduceKind::Sum => 0,
        ReduceKind::Mean => 1,
        ReduceKind::Max => 2,
        ReduceKind::Min => 3,
        ReduceKind::Prod => 4,
        ReduceKind::L2 => 5,
    };
    let constants = vec![
        ("KIND", Constant::U32(kind)),
        ("COUNT", typed(count as f32, i64::try_from(count).unwrap_or(i64::MAX))),
        ("LOWEST_BITS", bits(f32::NEG_INFINITY, i32::MIN)),
        ("HIGHEST_BITS", bits(f32::INFINITY, i32::MAX)),
        ("COUNT_B", extent(over_b, e.batch)),
        ("COUNT_Y", extent(over_y, e.height)),
        ("COUNT_X", extent(over_x, e.width)),
        ("COUNT_S", extent(over_c, e.slices())),
        ("REDUCE_C", Constant::Bool(over_c)),
    ];
    let workgroups = row_grid(context, dst.extents().pixels() * dst.extents().slices());
    let threads = count.next_power_of_two().clamp(32, 128) as u32;
    let workgroup_size = [threads, 1, 1];
    let call = match node {
        Some(node) => context.call(node, "reduce", constants, vec![src], dst, workgroup_size, workgroups)?,
        None => KernelCall::plain("reduce", constants, vec![src, dst], workgroup_size, workgroups),
    };
    Ok(Chosen {
        call,
        why: format!("{threads} invocations a slice"),
        declined: Vec::new(),
        flops: e.elements(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_reduced_together_are_one_run() {
        assert_eq!(runs(&[2, 3, 4, 5], &[2, 3]), [(0..2, false), (2..4, true)]);
        assert_eq!(runs(&[1, 3, 1, 5], &[0, 1]), [(0..3, true), (3..4, false)]);
        assert_eq!(runs(&[2, 1, 3], &[1]), [(0..3, false)]);
        assert_eq!(runs(&[2, 3, 4, 5, 6], &[1, 3]).len(), 5);
        assert!(runs(&[], &[]).is_empty());
    }

    #[test]
    fn a_result_has_its_sizes_as_coordinates() {
        let axes = result_axes(&[2, 3, 1, 4], &[1, 6, 1, 4]);
        assert_eq!(axes, AxisMap { batch: 0..0, height: 0..3, width: 3..3, channels: 3..4 });
    }
}
