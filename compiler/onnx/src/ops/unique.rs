//! What is different among elements, or among slices.

use super::axis;
use crate::bounds::Places;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, CumSum, Gather, Reduce, ReduceKind, ScalarOp, Slice, TopK, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// Comparisons of slices with one another.
const MOST_COMPARED: u64 = 1 << 24;

/// Unique, since 11: the different elements, or slices along `axis`, where each is first, which one each element is, and how many are
/// equal; sorted unless `sorted` is 0, which leaves them in the order of the first of each. Every NaN is one of its own.
pub(super) fn unique(cx: &mut NodeCx<'_, '_>) -> Results {
    let mut x = cx.operand(0)?;
    let is_sorted = cx.attributes.flag("sorted", true)?;
    let along = cx.attributes.int("axis")?.map(|given| axis(given, cx.rank(x))).transpose()?;
    let shape: Option<Vec<u64>> = cx.shape(x).iter().map(Dim::as_const).collect();
    let shape =
        shape.ok_or_else(|| NodeError::Unsupported("it reads a free size; fix it with --dim".to_owned()))?;
    let element = cx.element(x);
    if element == ElementType::Bool {
        x = cx.cast(x, ElementType::I32)?;
    }
    let (along, count) = match along {
        Some(along) => (along, shape[along]),
        None => {
            let all = cx.product(&cx.shape(x))?;
            x = cx.reshape(x, vec![all])?;
            (0, shape.iter().product())
        }
    };
    let places = cx.places(Some(count))?;
    if count == 0 {
        let none = cx.constant_i64(&[0], &[])?;
        return Ok(vec![cx.cast(x, element)?, none, none, none]);
    }
    let (order, is_first) = match cx.rank(x) {
        1 => sorted(cx, x, count)?,
        _ => sorted_slices(cx, x, along, count)?,
    };
    let found = Found::of(cx, (order, is_first, count), &places, is_sorted)?;
    let size = cx.counted(&places, found.different)?;
    let first = cx.cut_to(found.first, 0, &size)?;
    let values = cx.emit(Op::Gather(Gather { axis: along }), &[x, first])?;
    let counts = cx.cut_to(found.counts, 0, &size)?;
    Ok(vec![cx.cast(values, element)?, first, found.inverse, counts])
}

/// The elements' places in ascending order, and whether each is the first of its equals there, i32.
fn sorted(cx: &mut NodeCx<'_, '_>, x: ValueId, count: u64) -> Result<(ValueId, ValueId), NodeError> {
    let order = cx.emit(Op::TopK(TopK { k: count, largest: false }), &[x])?;
    let sorted = cx.emit(Op::Gather(Gather { axis: 0 }), &[x, order])?;
    let one = cx.constant(Tensor::from_i64_as(ElementType::I32, [1], &[1])?)?;
    if count == 1 {
        return Ok((order, one));
    }
    let mut part = |start| {
        let cut = SliceAxis { axis: 0, start, step: 1, count: Dim::Const(count - 1) };
        cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[sorted])
    };
    let (before, behind) = (part(0)?, part(1)?);
    let is_equal = cx.binary(BinaryOp::Equal, before, behind)?;
    let differs = cx.unary(UnaryOp::Not, is_equal)?;
    let differs = cx.cast(differs, ElementType::I32)?;
    Ok((order, cx.emit(Op::Concat(Concat { axis: 0 }), &[one, differs])?))
}

/// The same of slices, by their first element that differs: each is compared with each.
fn sorted_slices(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    along: usize,
    count: u64,
) -> Result<(ValueId, ValueId), NodeError> {
    let rank = cx.rank(x);
    let mut front = vec![along];
    front.extend((0..rank).filter(|&axis| axis != along));
    let rows = cx.transpose(x, front)?;
    let width: u64 = cx.shape(rows)[1..].iter().filter_map(Dim::as_const).product();
    if count.saturating_mul(count).saturating_mul(width.max(1)) > MOST_COMPARED {
        let reason = format!("{count} slices of {width} elements are too many to compare each with each");
        return Err(NodeError::Unsupported(reason));
    }
    let [one, n, m] = [1, count, width].map(Dim::Const);
    let own = cx.reshape(rows, vec![n.clone(), one.clone(), m.clone()])?;
    let other = cx.reshape(rows, vec![one, n, m])?;
    // Of the pair (own, other): how many elements differ up to each, and whether the first of those is less.
    let is_equal = cx.binary(BinaryOp::Equal, own, other)?;
    let differs = cx.unary(UnaryOp::Not, is_equal)?;
    let differs = cx.cast(differs, ElementType::I32)?;
    let so_far = cx.emit(Op::CumSum(CumSum { axis: 2, exclusive: true, reverse: false }), &[differs])?;
    let zero = cx.constant(Tensor::from_i64_as(ElementType::I32, [], &[0])?)?;
    let is_first = cx.binary(BinaryOp::Equal, so_far, zero)?;
    let is_less = cx.binary(BinaryOp::Less, other, own)?;
    let decides = cx.binary(BinaryOp::And, is_first, is_less)?;
    let decides = cx.cast(decides, ElementType::I32)?;
    let mut over_elements =
        |x| cx.emit(Op::Reduce(Reduce { kind: ReduceKind::Sum, axes: vec![2], keep_dims: false }), &[x]);
    let (less, different) = (over_elements(decides)?, over_elements(differs)?);
    let is_less = cx.binary(BinaryOp::Greater, less, zero)?;
    let is_same = cx.binary(BinaryOp::Equal, different, zero)?;
    let places = cx.counting(&[1, count], count)?;
    let own_places = cx.counting(&[count, 1], count)?;
    let is_earlier = cx.binary(BinaryOp::Less, places, own_places)?;
    let is_same = cx.binary(BinaryOp::And, is_same, is_earlier)?;
    let is_before = cx.binary(BinaryOp::Or, is_less, is_same)?;
    let mut over_others = |x| -> Result<ValueId, NodeError> {
        let x = cx.cast(x, ElementType::I32)?;
        cx.emit(Op::Reduce(Reduce { kind: ReduceKind::Sum, axes: vec![1], keep_dims: false }), &[x])
    };
    let (place, earlier) = (over_others(is_before)?, over_others(is_same)?);
    let order = cx.emit(Op::TopK(TopK { k: count, largest: false }), &[place])?;
    let is_new = cx.binary(BinaryOp::Equal, earlier, zero)?;
    let is_new = cx.cast(is_new, ElementType::I32)?;
    Ok((order, cx.emit(Op::Gather(Gather { axis: 0 }), &[is_new, order])?))
}

/// What is known of different elements: at all places, but for `inverse`, which has one for each element.
struct Found {
    /// How many there are, i64 `[]`.
    different: ValueId,
    first: ValueId,
    inverse: ValueId,
    counts: ValueId,
}

impl Found {
    fn of(
        cx: &mut NodeCx<'_, '_>,
        (order, is_first, count): (ValueId, ValueId, u64),
        places: &Places,
        is_sorted: bool,
    ) -> Result<Self, NodeError> {
        let gather = Op::Gather(Gather { axis: 0 });
        let (starts, different) = cx.places_of(is_first, places)?;
        let mut first = cx.emit(gather.clone(), &[order, starts])?;
        let sums = cx.emit(Op::CumSum(CumSum { axis: 0, exclusive: false, reverse: false }), &[is_first])?;
        let sums = cx.cast(sums, ElementType::I64)?;
        let (one, last) = (cx.constant_i64(&[], &[1])?, cx.constant_i64(&[], &[places.bound as i64 - 1])?);
        let of_sorted = cx.binary(BinaryOp::Sub, sums, one)?;
        let of_sorted = cx.binary(BinaryOp::Min, of_sorted, last)?;
        let sorted_place = cx.emit(Op::TopK(TopK { k: count, largest: false }), &[order])?;
        let mut inverse = cx.emit(gather.clone(), &[of_sorted, sorted_place])?;
        // The next begins where one ends, the last ends with all.
        let is_meant = cx.below(places.bound, different)?;
        let end = cx.constant_i64(&[], &[count as i64])?;
        let starts = cx.emit(Op::Elementwise(ScalarOp::Select), &[is_meant, starts, end])?;
        let all = cx.constant_i64(&[1], &[count as i64])?;
        let cut = SliceAxis { axis: 0, start: 1, step: 1, count: Dim::Const(places.bound - 1) };
        let ends = match places.bound {
            1 => all,
            _ => {
                let next = cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[starts])?;
                cx.concat(0, &[next, all])?
            }
        };
        let mut counts = cx.binary(BinaryOp::Sub, ends, starts)?;
        if !is_sorted {
            let k = places.bound;
            let by_first = cx.emit(Op::Elementwise(ScalarOp::Select), &[is_meant, first, end])?;
            let order = cx.emit(Op::TopK(TopK { k, largest: false }), &[by_first])?;
            first = cx.emit(gather.clone(), &[first, order])?;
            counts = cx.emit(gather.clone(), &[counts, order])?;
            let place = cx.emit(Op::TopK(TopK { k, largest: false }), &[order])?;
            inverse = cx.emit(gather, &[place, inverse])?;
        }
        Ok(Self { different, first, inverse, counts })
    }
}
