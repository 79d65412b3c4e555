//! Operators that take tensors apart and put them together.

use super::axis;
use crate::dims;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::dim::{IntExpr, Symbols};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{Gather, GatherNd, Slice};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// Concat. Since 11 the axis may be negative.
pub(super) fn concat(cx: &mut NodeCx<'_, '_>) -> Results {
    let given = cx.attributes.int("axis")?.ok_or(NodeError::MissingAttribute("axis"))?;
    let operands = (0..cx.operand_count()).map(|at| cx.operand(at)).collect::<Result<Vec<_>, _>>()?;
    let axis = axis(given, cx.rank(operands[0]))?;
    Ok(vec![cx.concat(axis, &operands)?])
}

/// Slice. Before 10 the bounds are attributes; since then operands, with `steps`, which may be data. Bounds clamp to the axis,
/// negative ones count from its end.
pub(super) fn slice(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let (starts, ends, axes, steps) = if cx.opset() < 10 {
        let known = |list: &[i64]| list.iter().map(|&value| IntExpr::Const(value)).collect::<Vec<_>>();
        let starts = cx.attributes.ints("starts")?.map(known).ok_or(NodeError::MissingAttribute("starts"))?;
        let ends = cx.attributes.ints("ends")?.map(known).ok_or(NodeError::MissingAttribute("ends"))?;
        (starts, ends, cx.attributes.ints("axes")?.map(<[i64]>::to_vec), None)
    } else {
        let (starts, ends) = (cx.operand(1)?, cx.operand(2)?);
        if cx.is_data(starts) || cx.is_data(ends) {
            return slice_of_data(cx, x, starts, ends);
        }
        (cx.ints(starts, "starts")?, cx.ints(ends, "ends")?, list(cx, 3, "axes")?, list(cx, 4, "steps")?)
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(NodeError::Operands("starts, ends, axes and steps have different lengths".to_owned()));
    }
    // From the end of an axis whose size data decide.
    let from_there = |at: usize, size: &Dim| {
        let is_known = matches!(starts[at], IntExpr::Const(start) if start >= 0) && steps[at] > 0;
        cx.bounds().decide(size) && !is_known
    };
    let found = axes.iter().map(|&given| axis(given, shape.len())).collect::<Result<Vec<usize>, _>>()?;
    if found.iter().enumerate().any(|(at, &axis)| from_there(at, &shape[axis])) {
        let mut known = |bounds: &[IntExpr]| -> Result<ValueId, NodeError> {
            let bounds: Option<Vec<i64>> = bounds.iter().map(IntExpr::as_const).collect();
            let bounds = bounds.ok_or_else(|| {
                NodeError::Unsupported(
                    "bounds of free size are not supported here; fix it with --dim".to_owned(),
                )
            })?;
            cx.constant_i64(&[bounds.len() as u64], &bounds)
        };
        let (starts, ends) = (known(&starts)?, known(&ends)?);
        return from_data(cx, x, (starts, ends), &found, &steps);
    }
    let mut cuts: Vec<SliceAxis> = Vec::new();
    let mut from_end = Vec::new();
    for (at, (given, axis)) in axes.into_iter().zip(found).enumerate() {
        if cuts.iter().any(|cut| cut.axis == axis) || from_end.iter().any(|&(other, _)| other == axis) {
            let expected = "different axes".to_owned();
            return Err(NodeError::Value { name: "axes", value: given.to_string(), expected });
        }
        match cut(cx.symbols(), &shape[axis], &starts[at], &ends[at], steps[at])? {
            Cut::Whole => {}
            Cut::Part { start, count } => cuts.push(part(axis, start, count, steps[at])),
            Cut::Last => from_end.push((axis, -1)),
        }
    }
    cuts.sort_by_key(|cut| cut.axis);
    let mut y = x;
    if !cuts.is_empty() {
        y = cx.emit(Op::Slice(Slice { axes: cuts }), &[y])?;
    }
    for (axis, index) in from_end {
        let index = cx.constant_i64(&[1], &[index])?;
        y = cx.emit(Op::Gather(Gather { axis }), &[y, index])?;
    }
    Ok(vec![y])
}

/// An optional list of constants.
fn list(cx: &NodeCx<'_, '_>, at: usize, name: &'static str) -> Result<Option<Vec<i64>>, NodeError> {
    cx.optional(at).map(|list| cx.constant_ints(list, name)).transpose()
}

/// So many elements of an axis. One element is taken in any step, and exporters write the largest number for "far".
fn part(axis: usize, start: u64, count: Dim, step: i64) -> SliceAxis {
    let step = if count.as_const().is_some_and(|count| count < 2) { 1 } else { step };
    SliceAxis { axis, start, step, count }
}

/// A slice whose bounds are data, or follow from sizes that are.
fn slice_of_data(cx: &mut NodeCx<'_, '_>, x: ValueId, starts: ValueId, ends: ValueId) -> Results {
    let (axes, steps) = (list(cx, 3, "axes")?, list(cx, 4, "steps")?);
    let count = cx.shape(starts).first().and_then(Dim::as_const).unwrap_or(0);
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; axes.len()]);
    if cx.shape(ends) != cx.shape(starts) || [axes.len(), steps.len()] != [count as usize; 2] {
        return Err(NodeError::Operands("starts, ends, axes and steps have different lengths".to_owned()));
    }
    let axes = axes.into_iter().map(|given| axis(given, cx.rank(x))).collect::<Result<Vec<usize>, _>>()?;
    from_data(cx, x, (starts, ends), &axes, &steps)
}

/// The slice along one axis after the other.
fn from_data(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    (starts, ends): (ValueId, ValueId),
    axes: &[usize],
    steps: &[i64],
) -> Results {
    let mut y = x;
    for (at, (&axis, &step)) in axes.iter().zip(steps).enumerate() {
        let bounds = [bound(cx, starts, at)?, bound(cx, ends, at)?];
        let known = bounds.map(|bound| cx.constant_scalar(bound));
        y = match (known, cx.shape(y)[axis].as_const()) {
            ([Some(start), Some(end)], Some(size)) if step != 0 => {
                match known_cut(size, start as i64, end as i64, step) {
                    Cut::Part { start, count } => {
                        cx.emit(Op::Slice(Slice { axes: vec![part(axis, start, count, step)] }), &[y])?
                    }
                    Cut::Whole | Cut::Last => y,
                }
            }
            _ => super::counted::slice_of_data(cx, y, axis, (bounds[0], bounds[1], step))?,
        };
    }
    Ok(vec![y])
}

/// One bound of several, i64 `[]`, that no device's integers cut.
fn bound(cx: &mut NodeCx<'_, '_>, bounds: ValueId, at: usize) -> Result<ValueId, NodeError> {
    let bound = cx.one_of(bounds, at as u64)?;
    match cx.constant_scalar(bound) {
        Some(known) => cx.constant_i64(&[], &[(known as i64).clamp(-BEYOND, BEYOND)]),
        None => Ok(bound),
    }
}

/// What a slice takes of one axis.
enum Cut {
    Whole,
    Part {
        start: u64,
        count: Dim,
    },
    /// The last element of an axis whose size is free, which a slice with a constant start cannot name.
    Last,
}

fn cut(symbols: &Symbols, size: &Dim, start: &IntExpr, end: &IntExpr, step: i64) -> Result<Cut, NodeError> {
    if step == 0 {
        let expected = "a step".to_owned();
        return Err(NodeError::Value { name: "steps", value: "0".to_owned(), expected });
    }
    match (size, start, end) {
        (Dim::Const(size), IntExpr::Const(start), IntExpr::Const(end)) => {
            Ok(known_cut(*size, *start, *end, step))
        }
        (_, IntExpr::Const(start), _) if *start >= 0 && step > 0 => {
            forward_cut(symbols, size, *start, end, step)
        }
        (_, IntExpr::Const(-1), IntExpr::Const(end)) if step > 0 && *end >= BEYOND => Ok(Cut::Last),
        _ => {
            let reason = "a start that depends on free dimensions is not supported; fix them with --dim";
            Err(NodeError::Unsupported(reason.to_owned()))
        }
    }
}

/// Ends from here on mean the end of the axis, whatever its size turns out to be.
const BEYOND: i64 = i32::MAX as i64;

/// All numbers known; 128 bits hold every sum of two of them.
fn known_cut(size: u64, start: i64, end: i64, step: i64) -> Cut {
    let (length, stride) = (i128::from(size), i128::from(step));
    let from_end = |at: i64| if at < 0 { i128::from(at) + length } else { i128::from(at) };
    let (start, span) = if step > 0 {
        let start = from_end(start).clamp(0, length);
        (start, from_end(end).clamp(0, length) - start)
    } else {
        // Downwards a start before the first element is the first; of an empty axis there is none.
        let start = from_end(start).max(0).min(length - 1);
        (start, start - from_end(end).clamp(-1, length - 1))
    };
    // Rounded up; a span below zero takes nothing.
    let count = (span.max(0) + stride.abs() - 1) / stride.abs();
    match count {
        0 => Cut::Part { start: 0, count: Dim::Const(0) },
        // Both are in 0..=size.
        _ if step == 1 && count == length => Cut::Whole,
        _ => Cut::Part { start: start as u64, count: Dim::Const(count as u64) },
    }
}

/// From a known start upwards, to an end that may depend on free dimensions, as may the axis.
fn forward_cut(
    symbols: &Symbols,
    size: &Dim,
    start: i64,
    end: &IntExpr,
    step: i64,
) -> Result<Cut, NodeError> {
    // The caller checked that both are not negative.
    let (start, step) = (start.unsigned_abs(), step.unsigned_abs());
    let end = match end {
        IntExpr::Const(end) if *end >= BEYOND => size.clone(),
        IntExpr::Const(end) if *end < 0 => dims::sub_or_zero(size, &Dim::Const(end.unsigned_abs()), symbols)?,
        end if end.range(symbols).0.is_some_and(|low| low >= 0) => {
            dims::min(&Dim::try_from(end.clone())?, size, symbols)?
        }
        _ => {
            let reason = "an end that may be positive or negative is not supported; bound the free dimensions with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
    };
    if start == 0 && step == 1 && end == *size {
        return Ok(Cut::Whole);
    }
    let span = dims::sub_or_zero(&end, &Dim::Const(start), symbols)?;
    Ok(Cut::Part { start, count: dims::div_ceil(&span, step)? })
}

/// Split. Sizes are an attribute before 13 and an operand from then on; without them all parts are equal, but for the
/// last where 18's `num_outputs` does not divide the axis.
pub(super) fn split(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?;
    let given = if cx.opset() < 13 {
        cx.attributes.ints("split")?.map(<[i64]>::to_vec)
    } else {
        cx.optional(1).map(|sizes| cx.constant_ints(sizes, "split")).transpose()?
    };
    let parts = cx.result_count();
    let announced = cx.attributes.int("num_outputs")?;
    if announced.is_some_and(|count| usize::try_from(count) != Ok(parts)) {
        let found = announced.unwrap_or_default().to_string();
        return Err(NodeError::Value {
            name: "num_outputs",
            value: found,
            expected: format!("{parts}, one per result"),
        });
    }
    let Dim::Const(size) = cx.shape(x)[axis] else {
        let reason = "the axis that is split has a free size; fix it with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    let sizes = match given {
        Some(given) => given_sizes(&given, parts, size)?,
        None => equal_sizes(parts as u64, size, announced.is_some())?,
    };
    let mut start = 0;
    let mut results = Vec::with_capacity(parts);
    for part in sizes {
        let cut =
            SliceAxis { axis, start: if part == 0 { 0 } else { start }, step: 1, count: Dim::Const(part) };
        let whole = part == size;
        results.push(if whole { x } else { cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[x])? });
        start += part;
    }
    Ok(results)
}

fn given_sizes(given: &[i64], parts: usize, size: u64) -> Result<Vec<u64>, NodeError> {
    let sizes: Vec<u64> = given.iter().filter_map(|&part| u64::try_from(part).ok()).collect();
    let sum = sizes.iter().try_fold(0u64, |sum, &part| sum.checked_add(part));
    if sizes.len() != given.len() || sizes.len() != parts || sum != Some(size) {
        let expected = format!("{parts} sizes with the sum {size}");
        return Err(NodeError::Value { name: "split", value: format!("{given:?}"), expected });
    }
    Ok(sizes)
}

fn equal_sizes(parts: u64, size: u64, last_may_be_smaller: bool) -> Result<Vec<u64>, NodeError> {
    let part = size.div_ceil(parts);
    let rest = (parts - 1).checked_mul(part).and_then(|used| size.checked_sub(used));
    match rest {
        Some(rest) if rest == part || last_may_be_smaller => {
            let mut sizes = vec![part; parts as usize];
            sizes[parts as usize - 1] = rest;
            Ok(sizes)
        }
        _ => Err(NodeError::Operands(format!("an axis of size {size} does not divide into {parts} parts"))),
    }
}

fn indices(cx: &NodeCx<'_, '_>, at: usize) -> Result<ValueId, NodeError> {
    let indices = cx.operand(at)?;
    match cx.element(indices) {
        ElementType::I64 | ElementType::I32 => Ok(indices),
        other => Err(NodeError::Operands(format!("the indices are of type {}, not integers", other.name()))),
    }
}

/// Gather. Since 11 indices may be negative.
pub(super) fn gather(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, indices) = (cx.operand(0)?, indices(cx, 1)?);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?;
    Ok(vec![cx.emit(Op::Gather(Gather { axis }), &[x, indices])?])
}

/// GatherND, since 11; since 12 with `batch_dims`.
pub(super) fn gather_nd(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, indices) = (cx.operand(0)?, indices(cx, 1)?);
    let given = cx.attributes.int("batch_dims")?.unwrap_or(0);
    let shared = cx.rank(x).min(cx.rank(indices));
    let batch_dims =
        usize::try_from(given).ok().filter(|&given| given < shared).ok_or_else(|| NodeError::Value {
            name: "batch_dims",
            value: given.to_string(),
            expected: format!("0 or more, below the smaller rank {shared}"),
        })?;
    Ok(vec![cx.emit(Op::GatherNd(GatherNd { batch_dims }), &[x, indices])?])
}
