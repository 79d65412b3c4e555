//! Where the maxima of windows are.

use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::{ArgReduce, BinaryOp, Gather, Pool};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// The places of the maxima `y` of operand 0, i64 in its shape: numbers of elements of the whole input.
pub(super) fn of_maxima(
    cx: &mut NodeCx<'_, '_>,
    op: &Pool,
    y: ValueId,
    by_column: bool,
) -> Result<ValueId, NodeError> {
    let x = cx.operand(0)?;
    let known = |shape: Vec<Dim>| shape.iter().map(Dim::as_const).collect::<Option<Vec<u64>>>();
    let (Some(shape), Some(result)) = (known(cx.shape(x)), known(cx.shape(y))) else {
        let reason = "the Indices result of MaxPool needs known sizes; fix them with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    let (sizes, windows) = (&shape[2..], &result[2..]);
    let product = |sizes: &[u64]| sizes.iter().try_fold(1u64, |all, &size| all.checked_mul(size));
    let counts = [product(&op.kernel), product(windows), product(sizes), product(&shape[..2])];
    let counts = counts.map(|count| count.filter(|&count| count <= i32::MAX as u64));
    let [Some(taps), Some(count), Some(pixels), Some(planes)] = counts else {
        return Err(NodeError::Unsupported("more than 2^31 places are not supported".to_owned()));
    };
    // Two lists of i64, and what making them takes.
    cx.take(Resource::ConstantBytes, taps.saturating_mul(count).saturating_mul(16))?;
    let mut read = Vec::with_capacity((taps * count) as usize);
    for window in 0..count {
        let inside: Vec<Option<u64>> = (0..taps).map(|tap| pixel(op, sizes, windows, window, tap)).collect();
        let Some(first) = inside.iter().flatten().next() else {
            let reason =
                "a window without an element has no place of a maximum; export the model with less padding";
            return Err(NodeError::Unsupported(reason.to_owned()));
        };
        // Padding is never the first maximum: the window reads an element twice instead.
        read.extend(inside.iter().map(|pixel| pixel.unwrap_or(*first) as i64));
    }
    let named: Vec<i64> = match by_column {
        true => read.iter().map(|&pixel| columns_first(pixel as u64, sizes) as i64).collect(),
        false => read.clone(),
    };
    let read = cx.constant_i64(&[count, taps], &read)?;
    let is_byte = matches!(cx.element(x), ElementType::I8 | ElementType::U8);
    let x = if is_byte { cx.cast(x, ElementType::F32)? } else { x };
    let flat = cx.reshape(x, vec![Dim::Const(planes), Dim::Const(pixels)])?;
    let elements = cx.emit(Op::Gather(Gather { axis: 1 }), &[flat, read])?;
    let search = ArgReduce { largest: true, axis: 2, last: false, keep_dims: false };
    let tap = cx.emit(Op::ArgReduce(search), &[elements])?;
    // The element's place in the list, then in its plane, then in the input.
    let starts: Vec<i64> = (0..count).map(|window| (window * taps) as i64).collect();
    let starts = cx.constant_i64(&[1, count], &starts)?;
    let tap = cx.cast(tap, ElementType::I64)?;
    let tap = cx.binary(BinaryOp::Add, tap, starts)?;
    let named = cx.constant_i64(&[count * taps], &named)?;
    let place = cx.emit(Op::Gather(Gather { axis: 0 }), &[named, tap])?;
    cx.take(Resource::ConstantBytes, planes.saturating_mul(8))?;
    let offsets: Vec<i64> = (0..planes).map(|plane| (plane * pixels) as i64).collect();
    let offsets = cx.constant_i64(&[planes, 1], &offsets)?;
    let place = cx.binary(BinaryOp::Add, place, offsets)?;
    cx.reshape(place, result.into_iter().map(Dim::Const).collect())
}

/// The element of a plane under a tap of a window; none where that is padding.
fn pixel(op: &Pool, sizes: &[u64], windows: &[u64], mut window: u64, mut tap: u64) -> Option<u64> {
    let (mut pixel, mut inner) = (0, 1);
    for axis in (0..sizes.len()).rev() {
        let start = (window % windows[axis]).checked_mul(op.strides[axis])?;
        let at = (tap % op.kernel[axis]).checked_mul(op.dilations[axis])?.checked_add(start)?;
        (window, tap) = (window / windows[axis], tap / op.kernel[axis]);
        let at = at.checked_sub(op.pads[axis]).filter(|&at| at < sizes[axis])?;
        pixel += at * inner;
        inner *= sizes[axis];
    }
    Some(pixel)
}

/// The number of an element where the first axis runs fastest.
fn columns_first(mut pixel: u64, sizes: &[u64]) -> u64 {
    let all: u64 = sizes.iter().product();
    let (mut number, mut inner) = (0, all);
    for &size in sizes.iter().rev() {
        inner /= size.max(1);
        number += pixel % size * inner;
        pixel /= size;
    }
    number
}
