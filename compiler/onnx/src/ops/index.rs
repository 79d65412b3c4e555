//! Operators that read or write at computed places, that search along an axis, and those that are made of such.

use super::axis;
use crate::data_type::DataType;
use crate::dims;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{
    ArgReduce, BinaryOp, CumSum, GatherElements, Pad, PadMode, Range, ScalarOp, ScatterElements, ScatterNd,
    ShapeOf, Slice, Update, WriteRows,
};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

fn arg_reduce(cx: &mut NodeCx<'_, '_>, largest: bool) -> Results {
    let x = cx.operand(0)?;
    let op = ArgReduce {
        largest,
        axis: axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?,
        last: cx.attributes.flag("select_last_index", false)?,
        keep_dims: cx.attributes.flag("keepdims", true)?,
    };
    Ok(vec![cx.emit(Op::ArgReduce(op), &[x])?])
}

/// ArgMax. Since 11 the axis may be negative; since 12 `select_last_index` takes the last of equals.
pub(super) fn arg_max(cx: &mut NodeCx<'_, '_>) -> Results {
    arg_reduce(cx, true)
}

/// ArgMin. Since 11 the axis may be negative; since 12 `select_last_index` takes the last of equals.
pub(super) fn arg_min(cx: &mut NodeCx<'_, '_>) -> Results {
    arg_reduce(cx, false)
}

/// The one integer of an operand that must be constant.
pub(super) fn constant_int(cx: &NodeCx<'_, '_>, at: usize, name: &'static str) -> Result<i64, NodeError> {
    only_int(cx, cx.operand(at)?, name)
}

/// The one integer of a constant.
pub(super) fn only_int(cx: &NodeCx<'_, '_>, value: ValueId, name: &'static str) -> Result<i64, NodeError> {
    match cx.constant_ints(value, name)?[..] {
        [only] => Ok(only),
        ref other => {
            Err(NodeError::Value { name, value: format!("{other:?}"), expected: "one integer".to_owned() })
        }
    }
}

/// CumSum, since 11. The axis is a constant operand.
pub(super) fn cum_sum(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let op = CumSum {
        axis: axis(constant_int(cx, 1, "axis")?, cx.rank(x))?,
        exclusive: cx.attributes.flag("exclusive", false)?,
        reverse: cx.attributes.flag("reverse", false)?,
    };
    Ok(vec![cx.emit(Op::CumSum(op), &[x])?])
}

/// CumProd, since 26: the axis is a constant operand. Each round multiplies by what is as far again before it, so that there are as many
/// rounds as the axis has bits.
pub(super) fn cum_prod(cx: &mut NodeCx<'_, '_>) -> Results {
    let mut x = cx.operand(0)?;
    let axis = axis(constant_int(cx, 1, "axis")?, cx.rank(x))?;
    let reverse = cx.attributes.flag("reverse", false)?;
    let Dim::Const(size) = cx.shape(x)[axis] else {
        let reason = format!("axis {axis} has a free size; fix it with --dim");
        return Err(NodeError::Unsupported(reason));
    };
    if cx.attributes.flag("exclusive", false)? && size > 0 {
        x = behind_ones(cx, x, (axis, size), 1, reverse)?;
    }
    let mut distance = 1;
    while distance < size {
        let before = behind_ones(cx, x, (axis, size), distance, reverse)?;
        x = cx.binary(BinaryOp::Mul, x, before)?;
        distance *= 2;
    }
    Ok(vec![x])
}

/// Elements moved along an axis, to its end or, reversed, to its beginning, behind ones.
fn behind_ones(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    (axis, size): (usize, u64),
    by: u64,
    reverse: bool,
) -> Result<ValueId, NodeError> {
    let rank = cx.rank(x);
    let start = if reverse { by } else { 0 };
    let cut = SliceAxis { axis, start, step: 1, count: Dim::Const(size - by) };
    let kept = cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[x])?;
    let mut pads = vec![0; 2 * rank];
    pads[if reverse { rank + axis } else { axis }] = by;
    cx.emit(Op::Pad(Pad { mode: PadMode::Constant(1.0), pads }), &[kept])
}

/// GatherElements, since 11. Beside the axis the indices may be smaller than the data, of which the rest is not read.
pub(super) fn gather_elements(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, indices) = (cx.operand(0)?, cx.operand(1)?);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?;
    let (data, wanted) = (cx.shape(x), cx.shape(indices));
    let cuts = data.iter().zip(&wanted).enumerate().filter(|&(at, (have, want))| at != axis && have != want);
    let cuts: Vec<SliceAxis> =
        cuts.map(|(axis, (_, want))| SliceAxis { axis, start: 0, step: 1, count: want.clone() }).collect();
    let x = if cuts.is_empty() { x } else { cx.emit(Op::Slice(Slice { axes: cuts }), &[x])? };
    Ok(vec![cx.emit(Op::GatherElements(GatherElements { axis }), &[x, indices])?])
}

/// The `reduction` of the scatters: since 16 `add` and `mul`, since 18 `max` and `min`.
fn update(cx: &mut NodeCx<'_, '_>) -> Result<Update, NodeError> {
    let given = cx.attributes.text("reduction")?.unwrap_or("none");
    if given == "none" {
        return Ok(Update::Replace);
    }
    let known = Update::ALL.into_iter().find(|&update| update != Update::Replace && update.name() == given);
    known.ok_or_else(|| NodeError::Value {
        name: "reduction",
        value: given.to_owned(),
        expected: "none, add, mul, max or min".to_owned(),
    })
}

/// ScatterElements, since 11, and its older name Scatter, 9 and 10. Since 16 with a `reduction`.
pub(super) fn scatter_elements(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, indices, updates) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?;
    let update = update(cx)?;
    let (data, wanted) = (cx.shape(x), cx.shape(indices));
    if data.len() == wanted.len() && (0..data.len()).any(|at| at != axis && data[at] != wanted[at]) {
        let reason = "indices that are smaller than the data beside the axis are not supported";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    Ok(vec![cx.emit(Op::ScatterElements(ScatterElements { axis, update }), &[x, indices, updates])?])
}

/// ScatterND, since 11. Since 16 with a `reduction`.
pub(super) fn scatter_nd(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, indices, updates) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let update = update(cx)?;
    Ok(vec![cx.emit(Op::ScatterNd(ScatterNd { update }), &[x, indices, updates])?])
}

/// TensorScatter, since 24: rows of `update` in place of those of `past_cache` along an axis, each batch's from its own row on. Rows that would be
/// behind the last are left out, or with `circular` go to the front.
pub(super) fn tensor_scatter(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, rows) = (cx.operand(0)?, cx.operand(1)?);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(-2), cx.rank(x))?;
    let circular = match cx.attributes.text("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => {
            let expected = "`linear` or `circular`".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    if axis == 0 {
        return Err(NodeError::Operands("axis 0 is the batch, not the rows".to_owned()));
    }
    let first = match cx.optional(2) {
        Some(first) => first,
        None => {
            let (zero, batch) = (cx.constant_i64(&[], &[0])?, cx.shape(x)[..1].to_vec());
            cx.expand(zero, batch)?
        }
    };
    Ok(vec![cx.emit(Op::WriteRows(WriteRows { axis, circular }), &[x, rows, first])?])
}

/// `0, 1, ..` below the size of an axis of `x`, as i64.
fn places(cx: &mut NodeCx<'_, '_>, x: ValueId, at: usize) -> Result<ValueId, NodeError> {
    let limit = match dims::all_known(&cx.shape(x)[at..=at]) {
        Some(size) => cx.constant_i64(&[], &size)?,
        None => {
            let size = cx.emit(Op::ShapeOf(ShapeOf { start: at, end: at + 1 }), &[x])?;
            cx.reshape(size, Vec::new())?
        }
    };
    let (zero, one) = (cx.constant_i64(&[], &[0])?, cx.constant_i64(&[], &[1])?);
    cx.emit(Op::Range(Range), &[zero, limit, one])
}

/// `a ? b : c`.
pub(super) fn select(
    cx: &mut NodeCx<'_, '_>,
    a: ValueId,
    b: ValueId,
    c: ValueId,
) -> Result<ValueId, NodeError> {
    cx.emit(Op::Elementwise(ScalarOp::Select), &[a, b, c])
}

/// OneHot, since 9; since 11 negative indices count from the end. `depth` is a constant operand. An index outside of the
/// depth is off everywhere.
pub(super) fn one_hot(cx: &mut NodeCx<'_, '_>) -> Results {
    let (indices, values) = (cx.operand(0)?, cx.operand(2)?);
    let depth_operand = cx.operand(1)?;
    let depth_operand = cx.cast(depth_operand, ElementType::I64)?;
    let [depth] = cx.constant_ints(depth_operand, "depth")?[..] else {
        return Err(NodeError::Operands("the depth is not one number".to_owned()));
    };
    let rank = cx.rank(indices);
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(-1), rank + 1)?;
    let indices = cx.cast(indices, ElementType::I64)?;
    let (zero, size) = (cx.constant_i64(&[], &[0])?, cx.constant_i64(&[], &[depth])?);
    let indices = match cx.opset() < 11 {
        true => indices,
        false => {
            let is_negative = cx.binary(BinaryOp::Less, indices, zero)?;
            let wrapped = cx.binary(BinaryOp::Add, indices, size)?;
            select(cx, is_negative, wrapped, indices)?
        }
    };
    let indices = cx.insert_axis(indices, axis)?;
    let one = cx.constant_i64(&[], &[1])?;
    let places = cx.emit(Op::Range(Range), &[zero, size, one])?;
    let mut along = vec![Dim::Const(1); rank + 1];
    along[axis] = cx.shape(places)[0].clone();
    let places = cx.reshape(places, along)?;
    let is_on = cx.binary(BinaryOp::Equal, indices, places)?;
    let mut value = |at: u64| -> Result<ValueId, NodeError> {
        let cut = SliceAxis { axis: 0, start: at, step: 1, count: Dim::Const(1) };
        let value = cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[values])?;
        cx.reshape(value, Vec::new())
    };
    let (off, on) = (value(0)?, value(1)?);
    Ok(vec![select(cx, is_on, on, off)?])
}

/// Tile. The repeats may be data: with a bound, which is that of each axis whose repeats are.
pub(super) fn tile(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, repeats) = (cx.operand(0)?, cx.operand(1)?);
    if cx.is_data(repeats) {
        return super::counted::tile_of_data(cx, x, repeats);
    }
    let repeats = cx.sizes(repeats, "repeats")?;
    let shape = cx.shape(x);
    if repeats.len() != shape.len() {
        let reason = format!("{} repeats for {} axes", repeats.len(), shape.len());
        return Err(NodeError::Operands(reason));
    }
    // An axis that repeats gets one before it, which is expanded and merged.
    let (mut split, mut full, mut merged) = (Vec::new(), Vec::new(), Vec::new());
    for (size, times) in shape.into_iter().zip(repeats) {
        merged.push(size.mul(&times)?);
        if times != Dim::Const(1) {
            split.push(Dim::Const(1));
            full.push(times);
        }
        split.push(size.clone());
        full.push(size);
    }
    let x = cx.reshape(x, split)?;
    let x = cx.expand(x, full)?;
    Ok(vec![cx.reshape(x, merged)?])
}

/// Whether element (row, column) of the last two axes of `x` has `column op row + k`.
fn beside_diagonal(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    k: ValueId,
    op: BinaryOp,
) -> Result<ValueId, NodeError> {
    let rank = cx.rank(x);
    if rank < 2 {
        return Err(NodeError::Operands(format!("the input has rank {rank}, expected at least 2")));
    }
    let (rows, columns) = (places(cx, x, rank - 2)?, places(cx, x, rank - 1)?);
    let rows = cx.insert_axis(rows, 1)?;
    let k = cx.reshape(k, Vec::new())?;
    let diagonal = cx.binary(BinaryOp::Add, rows, k)?;
    cx.binary(op, columns, diagonal)
}

/// Trilu, since 14: keeps the triangle on and above (or below) the diagonal `k`.
pub(super) fn trilu(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let k = match cx.optional(1) {
        Some(k) => k,
        None => cx.constant_i64(&[], &[0])?,
    };
    let upper = cx.attributes.flag("upper", true)?;
    let op = if upper { BinaryOp::GreaterOrEqual } else { BinaryOp::LessOrEqual };
    let is_kept = beside_diagonal(cx, x, k, op)?;
    let zero = cx.constant(Tensor::from_f64_as(cx.element(x), [], &[0.0])?)?;
    Ok(vec![select(cx, is_kept, x, zero)?])
}

/// EyeLike, since 9: ones on the diagonal `k`.
pub(super) fn eye_like(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let element = match cx.attributes.int("dtype")? {
        Some(given) => {
            let unsupported = |name| NodeError::Unsupported(format!("a result of {name} is not supported"));
            let ty = DataType::from_proto(i32::try_from(given).unwrap_or(i32::MAX)).map_err(unsupported)?;
            if ty.is_narrow() {
                return Err(unsupported(ty.name().to_owned()));
            }
            ty.element()
        }
        None => cx.element(x),
    };
    let k = cx.attributes.int("k")?.unwrap_or(0);
    let k = cx.constant_i64(&[], &[k])?;
    let is_one = beside_diagonal(cx, x, k, BinaryOp::Equal)?;
    Ok(vec![cx.cast(is_one, element)?])
}

/// ReverseSequence, since 10: in each batch the first `sequence_lens` steps are reversed.
pub(super) fn reverse_sequence(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, lengths) = (cx.operand(0)?, cx.operand(1)?);
    let rank = cx.rank(x);
    let batch = axis(cx.attributes.int("batch_axis")?.unwrap_or(1), rank)?;
    let time = axis(cx.attributes.int("time_axis")?.unwrap_or(0), rank)?;
    let shape = cx.shape(x);
    let along = |at: usize| -> Vec<Dim> {
        (0..rank).map(|axis| if axis == at { shape[axis].clone() } else { Dim::Const(1) }).collect()
    };
    let steps = places(cx, x, time)?;
    let steps = cx.reshape(steps, along(time))?;
    let lengths = cx.cast(lengths, ElementType::I64)?;
    let lengths = cx.reshape(lengths, along(batch))?;
    let one = cx.constant_i64(&[], &[1])?;
    let last = cx.binary(BinaryOp::Sub, lengths, one)?;
    let reversed = cx.binary(BinaryOp::Sub, last, steps)?;
    let is_reversed = cx.binary(BinaryOp::Less, steps, lengths)?;
    let from = select(cx, is_reversed, reversed, steps)?;
    let from = cx.expand(from, shape)?;
    Ok(vec![cx.emit(Op::GatherElements(GatherElements { axis: time }), &[x, from])?])
}
