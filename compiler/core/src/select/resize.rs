//! Resampling of rows and columns. Which elements make a result is known at compile time: a table for each axis, or two
//! whole factors.

use super::image::{alone, grid_over};
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, Slot};
use crate::layout::resize_axes;
use crate::physical::size::sizes;
use crate::physical::{AxisMap, Layout, Size};
use drift_ir::op::resize::{LONGEST, NearestMode, Taps};
use drift_ir::op::{CoordinateMode, Epilogue, Interpolation, Resize, ResizeAxis};
use drift_ir::{Node, Tensor};

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: &Resize) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let Some(axes) = resize_axes(op, context.rank(y)) else {
        return one_by_one(context, node, op);
    };
    let src = context.slot("src", Access::Read, x, &axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    Ok(vec![resample(context, node, op, src, dst)?])
}

/// More axes than rows and columns, of dense tensors: weights of several axes are products, so each axis has a step of its own.
fn one_by_one(context: &mut Context<'_>, node: &Node, op: &Resize) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let (mut shape, result) = (context.shape(x)?, context.shape(y)?);
    let moves = |at: &&ResizeAxis| {
        shape[at.axis] != result[at.axis]
            || at.scale.is_some_and(|scale| scale != 1.0)
            // These move what they do not scale.
            || matches!(op.coordinates, CoordinateMode::TfCropAndResize | CoordinateMode::TfHalfPixelForNn)
    };
    let mut axes: Vec<ResizeAxis> = op.axes.iter().filter(moves).cloned().collect();
    if axes.is_empty() {
        axes.extend(op.axes.first().cloned());
    }
    let Some(last) = axes.last().map(|last| last.axis) else {
        return Err(Declined::Unsupported("resampling along no axis".to_owned()));
    };
    let rank = shape.len();
    let dst = context.slot("dst", Access::Write, y, &alone(last, rank))?;
    // What the epilogue reads may have to be converted first: ask before anything is made.
    context.epilogue(node, &dst)?;
    let mut from = context.slot("src", Access::Read, x, &alone(axes[0].axis, rank))?;
    let bare = Node { epilogue: Epilogue::default(), ..node.clone() };
    let mut steps = Vec::with_capacity(axes.len());
    for resized in axes {
        let axis = resized.axis;
        let under = |slot: Slot| {
            let layout = Layout { axes: alone(axis, rank), ..slot.layout.clone() };
            Slot { layout, ..slot }
        };
        shape[axis] = result[axis];
        let (step, to) = match axis == last {
            true => (node, dst.clone()),
            false => {
                let what = format!("{} (axis {axis})", node.name);
                (&bare, under(context.dense_scratch(&what, dst.layout.element, &sizes(&shape))))
            }
        };
        let next = to.as_argument("src", Access::Read);
        let op = Resize { axes: vec![resized], ..op.clone() };
        steps.push(resample(context, step, &op, under(from), to)?);
        from = next;
    }
    Ok(steps)
}

fn resample(
    context: &mut Context<'_>,
    node: &Node,
    op: &Resize,
    src: Slot,
    dst: Slot,
) -> Result<Chosen, Declined> {
    let sides = |slot: &Slot| {
        let e = slot.extents();
        [e.height, e.width]
    };
    let (from, to) = (sides(&src), sides(&dst));
    let longest = to[0].max().max(to[1].max());
    if longest > LONGEST {
        let reason = format!("resampling of images with {longest} rows or columns, more than {LONGEST}");
        return Err(Declined::Unsupported(reason));
    }
    if let Some(free) = from.iter().chain(&to).find_map(|size| size.to_known().err()) {
        // Places of rows and columns are tables, but where each is repeated.
        let of = |n: usize| free_factor(op, n + 1, [&from[n], &to[n]], &dst.layout.axes);
        if let (Some(y), Some(x)) = (of(0), of(1))
            && y * x <= MOST_REPEATS
        {
            return repeat(context, node, [y, x], src, dst);
        }
        return match linear_kinds(op, &dst.layout.axes) {
            Some(kinds) => linear(context, node, op, kinds, src, dst),
            None => Err(free.into()),
        };
    }
    let (from, to) = (from.each_ref().map(Size::max), to.each_ref().map(Size::max));
    let rows = taps(op, 1, [from[0], to[0]], &dst.layout.axes);
    let columns = taps(op, 2, [from[1], to[1]], &dst.layout.axes);
    match (factor(&rows, from[0]), factor(&columns, from[1])) {
        (Some(y), Some(x)) if y * x <= MOST_REPEATS => repeat(context, node, [y, x], src, dst),
        _ => interpolate(context, node, op, [rows, columns], src, dst),
    }
}

/// Results that an invocation writes at most.
const MOST_REPEATS: u64 = 16;

/// The axis that is resampled along a coordinate, if one is.
fn resized_along<'o>(op: &'o Resize, coordinate: usize, axes: &AxisMap) -> Option<&'o ResizeAxis> {
    op.axes.iter().find(|resized| axes.coordinate_of(resized.axis) == Some(coordinate))
}

/// What each result along a coordinate is made of; an axis that is not resampled is itself.
fn taps(op: &Resize, coordinate: usize, [from, to]: [u64; 2], axes: &AxisMap) -> Vec<Taps> {
    match resized_along(op, coordinate, axes) {
        Some(resized) => op.taps(resized, from, to),
        None => (0..to).map(|first| Taps { first, weights: vec![1.0], outside: false }).collect(),
    }
}

/// The factor by which each element along a coordinate of free size is repeated, where that is all that happens at every size:
/// a position `(x + 0.5) / factor - 0.5` is nearest to `floor(x / factor)`, since it is less than half an element from it.
fn free_factor(op: &Resize, coordinate: usize, [from, to]: [&Size; 2], axes: &AxisMap) -> Option<u64> {
    let Some(resized) = resized_along(op, coordinate, axes) else {
        return (from == to).then_some(1);
    };
    let factor = match resized.scale {
        Some(scale) => (scale >= 1.0 && scale.fract() == 0.0).then_some(scale as u64)?,
        None => to.max().checked_div(from.max())?,
    };
    let is_floor = match (op.coordinates, op.interpolation) {
        (CoordinateMode::Asymmetric, Interpolation::Nearest(mode)) => mode == NearestMode::Floor,
        (CoordinateMode::HalfPixel | CoordinateMode::PytorchHalfPixel, Interpolation::Nearest(mode)) => {
            matches!(mode, NearestMode::RoundPreferFloor | NearestMode::RoundPreferCeil)
        }
        _ => false,
    };
    (is_floor && *to == from.times(&factor.into())).then_some(factor)
}

/// How `resize_linear` comes to a position along rows and along columns, and the scale that it is told, or zero.
fn linear_kinds(op: &Resize, axes: &AxisMap) -> Option<[(u64, f32); 2]> {
    // As the kernel calls them.
    const ITSELF: u64 = 0;
    const HALF_PIXEL: u64 = 1;
    const ALIGN_CORNERS: u64 = 2;
    const ASYMMETRIC: u64 = 3;
    let kind = match (op.interpolation, op.coordinates) {
        (Interpolation::Linear, CoordinateMode::HalfPixel | CoordinateMode::PytorchHalfPixel) => HALF_PIXEL,
        (Interpolation::Linear, CoordinateMode::AlignCorners) => ALIGN_CORNERS,
        (Interpolation::Linear, CoordinateMode::Asymmetric) => ASYMMETRIC,
        _ => return None,
    };
    Some([1, 2].map(|coordinate| {
        let told = |resized: &ResizeAxis| (kind, resized.scale.unwrap_or(0.0));
        resized_along(op, coordinate, axes).map_or((ITSELF, 0.0), told)
    }))
}

/// Images of free size, whose taps are computed when the model runs.
fn linear(
    context: &mut Context<'_>,
    node: &Node,
    op: &Resize,
    [(kind_y, scale_y), (kind_x, scale_x)]: [(u64, f32); 2],
    src: Slot,
    dst: Slot,
) -> Result<Chosen, Declined> {
    let e = dst.extents();
    let constants = vec![
        ("KIND_Y", Constant::U32(kind_y)),
        ("KIND_X", Constant::U32(kind_x)),
        ("SCALE_Y", Constant::F32(scale_y)),
        ("SCALE_X", Constant::F32(scale_x)),
        ("SINGLE_IS_FIRST", Constant::Bool(op.coordinates == CoordinateMode::PytorchHalfPixel)),
    ];
    let (size, workgroups) = grid_over(&e.width, &e.height.times(&e.batch), e.slices());
    let flops = 10 * e.elements().max();
    let call = context.call(node, "resize_linear", constants, vec![src], dst, size, workgroups)?;
    let declined = vec!["resize: needs tables of known sizes".to_owned()];
    Ok(Chosen { call, why: "2 x 2 taps, computed".to_owned(), declined, flops })
}

/// The factor by which each of `source` elements is repeated, if that is all that happens: none is left out.
fn factor(taps: &[Taps], source: u64) -> Option<u64> {
    let factor = taps.len() as u64 / source;
    let repeats = factor > 0
        && taps.len() as u64 == factor * source
        && (0..).zip(taps).all(|(at, tap)| tap.first == at / factor && tap.weights == [1.0] && !tap.outside);
    repeats.then_some(factor)
}

fn repeat(
    context: &mut Context<'_>,
    node: &Node,
    [y, x]: [u64; 2],
    src: Slot,
    dst: Slot,
) -> Result<Chosen, Declined> {
    let e = src.extents();
    let constants = vec![("FACTOR_Y", Constant::U32(y)), ("FACTOR_X", Constant::U32(x))];
    let (size, workgroups) = grid_over(&e.width, &e.height.times(&e.batch), e.slices());
    let call = context.call(node, "resize_repeat", constants, vec![src], dst, size, workgroups)?;
    Ok(Chosen { call, why: format!("each pixel {y} x {x} times"), declined: Vec::new(), flops: 0 })
}

fn interpolate(
    context: &mut Context<'_>,
    node: &Node,
    op: &Resize,
    taps: [Vec<Taps>; 2],
    src: Slot,
    dst: Slot,
) -> Result<Chosen, Declined> {
    let e = dst.extents();
    let counts = [0, 1].map(|n: usize| taps[n].first().map_or(1, |tap| tap.weights.len() as u64));
    let extrapolates = taps.iter().flatten().any(|tap| tap.outside);
    let constants = vec![
        ("TAPS_Y", Constant::U32(counts[0])),
        ("TAPS_X", Constant::U32(counts[1])),
        ("NEAREST", Constant::Bool(matches!(op.interpolation, Interpolation::Nearest(_)))),
        ("EXTRAPOLATES", Constant::Bool(extrapolates)),
        ("EXTRAPOLATION", Constant::F32(op.extrapolation as f32)),
    ];
    let [rows, columns] = taps;
    let rows = table(context, node, "rows", &rows)?;
    let columns = table(context, node, "columns", &columns)?;
    let (size, workgroups) = grid_over(&e.width, &e.height.times(&e.batch), e.slices());
    let slots = vec![src, rows, columns];
    let call = context.call(node, "resize", constants, slots, dst, size, workgroups)?;
    let [y, x] = counts;
    Ok(Chosen {
        call,
        why: format!("{y} x {x} taps"),
        declined: vec!["resize_repeat: needs whole factors, nearest".to_owned()],
        flops: 2 * e.elements().max() * y * x,
    })
}

/// For each result the first element, whether it is outside, and the weights.
fn table(context: &mut Context<'_>, node: &Node, name: &str, taps: &[Taps]) -> Result<Slot, Declined> {
    let mut values = Vec::new();
    let mut width = 0;
    for tap in taps {
        let weights = tap.weights.iter().map(|&weight| weight as f32);
        let row: Vec<f32> =
            [tap.first as f32, f32::from(u8::from(tap.outside))].into_iter().chain(weights).collect();
        width = row.len() as u64;
        values.extend(row);
    }
    let tensor = Tensor::from_f32([taps.len() as u64, width], &values)
        .map_err(|error| Declined::Unsupported(error.to_string()))?;
    context.table(name, node.outputs[0], &tensor)
}
