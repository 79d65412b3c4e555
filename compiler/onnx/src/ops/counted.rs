//! Operators whose results are as large as data say: places for as many as there may be, and a count.

use super::axis;
use crate::bounds::Places;
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// A size as a number, with bounds in the place of counts.
fn largest(cx: &NodeCx<'_, '_>, dim: &Dim) -> Result<u64, NodeError> {
    cx.bounds().largest(dim).ok_or_else(|| {
        let size = dim.display(cx.symbols()).to_string();
        let flags = cx.free_flags(std::slice::from_ref(dim));
        NodeError::Unsupported(format!(
            "data decide how large its result is, and its operand has the free size {size}; fix it with {flags}"
        ))
    })
}

/// A value without axes: its elements in order, with all places, of which those that are not meant are zero.
fn flat(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<(ValueId, Vec<u64>), NodeError> {
    let sizes = cx.shape(x).iter().map(|size| largest(cx, size)).collect::<Result<Vec<u64>, _>>()?;
    let all = cx.product(&sizes.iter().map(|&size| Dim::Const(size)).collect::<Vec<_>>())?;
    let axes: Vec<usize> = (0..sizes.len()).collect();
    let x = cx.whole(x, &axes, Some(0.0))?;
    Ok((cx.reshape(x, vec![all])?, sizes))
}

/// Compress, since 9. A condition that is data leaves places for all elements that it could take; without `axis` the input is flat.
pub(super) fn compress(cx: &mut NodeCx<'_, '_>) -> Results {
    let (mut x, condition) = (cx.operand(0)?, cx.operand(1)?);
    let axis = match cx.attributes.int("axis")? {
        Some(given) => axis(given, cx.rank(x))?,
        None => {
            let all = cx.product(&cx.shape(x))?;
            x = cx.reshape(x, vec![all])?;
            0
        }
    };
    let flags = cx.constant_tensor(condition).map_or(0, Tensor::len) as u64;
    cx.take(Resource::ConstantBytes, flags.saturating_mul(8))?;
    if let Some(flags) = cx.constant_tensor(condition) {
        let flags = (0..).zip(flags.to_bool_vec());
        let taken: Vec<i64> = flags.filter_map(|(at, flag)| flag.then_some(at)).collect();
        let indices = cx.constant_i64(&[taken.len() as u64], &taken)?;
        return Ok(vec![cx.emit(Op::Gather(Gather { axis }), &[x, indices])?]);
    }
    let (flags, sizes) = flat(cx, condition)?;
    let most = largest(cx, &cx.shape(x)[axis])?;
    if sizes[0] > most {
        let reason =
            format!("the condition has {} elements, the input only {most} along axis {axis}", sizes[0]);
        return Err(NodeError::Operands(reason));
    }
    let places = cx.places(Some(sizes[0]))?;
    let (found, count) = cx.places_of(flags, &places)?;
    let size = cx.counted(&places, count)?;
    let found = cx.cut_to(found, 0, &size)?;
    Ok(vec![cx.emit(Op::Gather(Gather { axis }), &[x, found])?])
}

/// NonZero, since 9. Of data there are places for all elements.
pub(super) fn non_zero(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    if let Some(tensor) = cx.constant_tensor(x).cloned() {
        return Ok(vec![known_non_zero(cx, &tensor)?]);
    }
    if cx.rank(x) == 0 {
        return Err(NodeError::Unsupported(
            "its operand is a scalar that is data; give it an axis".to_owned(),
        ));
    }
    let (x, sizes) = flat(cx, x)?;
    let flags = match cx.element(x) {
        ElementType::Bool => x,
        _ => {
            let zero = cx.scalar_like(x, 0.0)?;
            let is_zero = cx.binary(BinaryOp::Equal, x, zero)?;
            cx.unary(UnaryOp::Not, is_zero)?
        }
    };
    let places = cx.places(Some(sizes.iter().product()))?;
    let (found, count) = cx.places_of(flags, &places)?;
    let indices = unravelled(cx, found, &sizes)?;
    let size = cx.counted(&places, count)?;
    Ok(vec![cx.cut_to(indices, 1, &size)?])
}

/// Places in a flat tensor, i64 `[n]`, as indices of its axes, `[axes, n]`.
fn unravelled(cx: &mut NodeCx<'_, '_>, places: ValueId, sizes: &[u64]) -> Result<ValueId, NodeError> {
    let mut rows = Vec::with_capacity(sizes.len());
    for axis in 0..sizes.len() {
        let inner: u64 = sizes[axis + 1..].iter().product();
        let mut index = places;
        if inner > 1 {
            let inner = cx.constant_i64(&[], &[inner as i64])?;
            index = cx.binary(BinaryOp::Div, index, inner)?;
        }
        if axis > 0 {
            let size = cx.constant_i64(&[], &[sizes[axis].max(1) as i64])?;
            index = cx.binary(BinaryOp::Rem, index, size)?;
        }
        rows.push(cx.insert_axis(index, 0)?);
    }
    cx.concat(0, &rows)
}

fn known_non_zero(cx: &mut NodeCx<'_, '_>, tensor: &Tensor) -> Result<ValueId, NodeError> {
    let shape = tensor.shape();
    cx.take(Resource::ConstantBytes, (tensor.len() as u64).saturating_mul(8 * (2 + shape.len() as u64)))?;
    let places = tensor.to_f64_vec().into_iter().enumerate().filter(|(_, value)| *value != 0.0);
    let places: Vec<u64> = places.map(|(at, _)| at as u64).collect();
    let mut indices = Vec::with_capacity(shape.len() * places.len());
    for axis in 0..shape.len() {
        let inner: u64 = shape[axis + 1..].iter().product();
        indices.extend(places.iter().map(|place| (place / inner % shape[axis]) as i64));
    }
    cx.constant_i64(&[shape.len() as u64, places.len() as u64], &indices)
}

/// Range over numbers that are data: `start`, `limit` and `delta` are scalars of one type. Floats go by whole steps only, since a quotient
/// may be rounded across a whole number.
pub(super) fn range_of_data(cx: &mut NodeCx<'_, '_>, operands: &[ValueId]) -> Results {
    let &[start, limit, delta] = operands else { return Err(NodeError::MissingOperand(2)) };
    let element = cx.element(start);
    if cx.known_number(delta) == Some(0.0) {
        let expected = "a step".to_owned();
        return Err(NodeError::Value { name: "delta", value: "0".to_owned(), expected });
    }
    let places = cx.places(None)?;
    let count = if element.is_float() {
        let step = cx.constant_scalar(delta);
        if !step.is_some_and(|step| step.abs() == 1.0) {
            let reason = "a range of floats whose numbers are data needs a constant delta of 1 or -1";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        let distance = cx.binary(BinaryOp::Sub, limit, start)?;
        let steps = cx.binary(BinaryOp::Mul, distance, delta)?;
        let steps = cx.unary(UnaryOp::Ceil, steps)?;
        cx.cast(steps, ElementType::I64)?
    } else {
        whole_steps(cx, start, limit, delta)?
    };
    let zero = cx.constant_i64(&[], &[0])?;
    let count = cx.binary(BinaryOp::Max, count, zero)?;
    let all = cx.up_to(places.bound)?;
    let all = cx.cast(all, element)?;
    let steps = cx.binary(BinaryOp::Mul, all, delta)?;
    let made = cx.binary(BinaryOp::Add, steps, start)?;
    let size = cx.counted(&places, count)?;
    Ok(vec![cx.cut_to(made, 0, &size)?])
}

/// How many steps of `delta` a range of integers takes, or less than none, and none for a `delta` of zero; more than any bound allows where
/// the distance is no i32, which has the other sign on a device.
fn whole_steps(
    cx: &mut NodeCx<'_, '_>,
    start: ValueId,
    limit: ValueId,
    delta: ValueId,
) -> Result<ValueId, NodeError> {
    let zero = cx.constant_i64(&[], &[0])?;
    let distance = cx.binary(BinaryOp::Sub, limit, start)?;
    let [distance, step] = [cx.cast(distance, ElementType::I64)?, cx.cast(delta, ElementType::I64)?];
    let [way, step_way] = [cx.unary(UnaryOp::Sign, distance)?, cx.unary(UnaryOp::Sign, step)?];
    let has_step = cx.unary(UnaryOp::Abs, step_way)?;
    let one = cx.constant_i64(&[], &[1])?;
    let no_step = cx.binary(BinaryOp::Sub, one, has_step)?;
    let step = cx.binary(BinaryOp::Add, step, no_step)?;
    let quotient = cx.binary(BinaryOp::Div, distance, step)?;
    let rest = cx.binary(BinaryOp::Rem, distance, step)?;
    let is_more = cx.unary(UnaryOp::Abs, rest)?;
    let is_more = cx.unary(UnaryOp::Sign, is_more)?;
    let ahead = cx.binary(BinaryOp::Mul, way, step_way)?;
    let ahead = cx.binary(BinaryOp::Max, ahead, zero)?;
    let more = cx.binary(BinaryOp::Mul, is_more, ahead)?;
    let count = cx.binary(BinaryOp::Add, quotient, more)?;
    let count = cx.binary(BinaryOp::Mul, count, has_step)?;

    let [up, down] = [cx.binary(BinaryOp::Less, start, limit)?, cx.binary(BinaryOp::Less, limit, start)?];
    let [up, down] = [cx.cast(up, ElementType::I64)?, cx.cast(down, ElementType::I64)?];
    let real_way = cx.binary(BinaryOp::Sub, up, down)?;
    let agrees = cx.binary(BinaryOp::Mul, real_way, way)?;
    let wraps = cx.binary(BinaryOp::Less, agrees, zero)?;
    let ahead = cx.binary(BinaryOp::Mul, real_way, step_way)?;
    let ahead = cx.binary(BinaryOp::Max, ahead, zero)?;
    let most = cx.constant_i64(&[], &[i64::from(i32::MAX)])?;
    let beyond = cx.binary(BinaryOp::Mul, ahead, most)?;
    super::index::select(cx, wraps, beyond, count)
}

/// What a slice takes of an axis, where data say from where to where: the start and the end are i64 `[]`.
pub(super) fn slice_of_data(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    axis: usize,
    (start, end, step): (ValueId, ValueId, i64),
) -> Result<ValueId, NodeError> {
    if step == 0 {
        let expected = "a step".to_owned();
        return Err(NodeError::Value { name: "steps", value: "0".to_owned(), expected });
    }
    let most = largest(cx, &cx.shape(x)[axis])?;
    if most == 0 {
        return Ok(x);
    }
    let places = cx.places(Some(most.div_ceil(step.unsigned_abs())))?;
    let size = cx.axis_size(x, axis)?;
    let [zero, one, step_value] =
        [cx.constant_i64(&[], &[0])?, cx.constant_i64(&[], &[1])?, cx.constant_i64(&[], &[step])?];
    let last = cx.binary(BinaryOp::Sub, size, one)?;
    let minus_one = cx.constant_i64(&[], &[-1])?;
    // Upwards both are within 0..=size; downwards the start is within 0..size, the end within -1..size.
    let (lowest_end, high) = if step > 0 { (zero, size) } else { (minus_one, last) };
    let mut within = [(start, zero), (end, lowest_end)];
    for (bound, low) in &mut within {
        let is_negative = cx.binary(BinaryOp::Less, *bound, zero)?;
        let wrapped = cx.binary(BinaryOp::Add, *bound, size)?;
        let from_start = super::index::select(cx, is_negative, wrapped, *bound)?;
        let above = cx.binary(BinaryOp::Max, from_start, *low)?;
        *bound = cx.binary(BinaryOp::Min, above, high)?;
    }
    let [start, end] = within.map(|(bound, _)| bound);
    let span = cx.binary(BinaryOp::Sub, end, start)?;
    let up = cx.constant_i64(&[], &[step - step.signum()])?;
    let span = cx.binary(BinaryOp::Add, span, up)?;
    let count = cx.binary(BinaryOp::Div, span, step_value)?;
    let count = cx.binary(BinaryOp::Max, count, zero)?;
    let from = stepped(cx, &places, (start, step_value), count)?;
    let size = cx.counted(&places, count)?;
    let from = cx.cut_to(from, 0, &size)?;
    cx.emit(Op::Gather(Gather { axis }), &[x, from])
}

/// Tile with repeats that are data: each axis that they are for reads its elements over and over.
pub(super) fn tile_of_data(cx: &mut NodeCx<'_, '_>, x: ValueId, repeats: ValueId) -> Results {
    let rank = cx.rank(x);
    if cx.shape(repeats) != [Dim::Const(rank as u64)] {
        return Err(NodeError::Operands(format!("there is not a repeat for each of {rank} axes")));
    }
    let mut y = x;
    for axis in 0..rank {
        let times = cx.one_of(repeats, axis as u64)?;
        match cx.known_number(times) {
            Some(1.0) => continue,
            Some(known) if known < 0.0 => {
                let expected = "0 or more".to_owned();
                return Err(NodeError::Value { name: "repeats", value: known.to_string(), expected });
            }
            Some(_) | None => {}
        }
        let size = cx.axis_size(y, axis)?;
        let total = cx.binary(BinaryOp::Mul, size, times)?;
        let places = match cx.constant_scalar(total) {
            Some(known) => Places::known(known as u64),
            None => cx.places(None)?,
        };
        let all = cx.up_to(places.bound)?;
        let from = cx.binary(BinaryOp::Rem, all, size)?;
        let from = match cx.constant_scalar(total) {
            Some(_) => from,
            None => {
                let zero = cx.constant_i64(&[], &[0])?;
                let total = cx.binary(BinaryOp::Max, total, zero)?;
                let from = cx.zero_behind(from, &places, total)?;
                let size = cx.counted(&places, total)?;
                cx.cut_to(from, 0, &size)?
            }
        };
        y = cx.emit(Op::Gather(Gather { axis }), &[y, from])?;
    }
    Ok(vec![y])
}

/// `start + step * (0, 1, ..)` at all places that are meant, zero behind them.
fn stepped(
    cx: &mut NodeCx<'_, '_>,
    places: &Places,
    (start, step): (ValueId, ValueId),
    count: ValueId,
) -> Result<ValueId, NodeError> {
    let all = cx.up_to(places.bound)?;
    let steps = cx.binary(BinaryOp::Mul, all, step)?;
    let from = cx.binary(BinaryOp::Add, steps, start)?;
    cx.zero_behind(from, places, count)
}
