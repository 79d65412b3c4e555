//! The largest or smallest few along an axis.

use super::axis;
use super::index::only_int;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, GatherElements, TopK};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// TopK: values and their indices. `k` is an attribute before 10 and an operand from then on, which may be data: the results then have
/// places for as many as the axis has. Since 11 `largest` may be 0, and `sorted` may be 0, which leaves the order open: it stays sorted.
pub(super) fn top_k(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let along = axis(cx.attributes.int("axis")?.unwrap_or(-1), rank)?;
    let k = match cx.opset() < 10 {
        true => {
            let k = cx.attributes.int("k")?.ok_or(NodeError::MissingAttribute("k"))?;
            cx.constant_i64(&[1], &[k])?
        }
        false => cx.operand(1)?,
    };
    let largest = cx.attributes.flag("largest", true)?;
    cx.attributes.ignore(&["sorted"]);
    // The axis is brought to the end and back.
    let mut to_end: Vec<usize> = (0..rank).filter(|&at| at != along).collect();
    to_end.push(along);
    let mut back: Vec<usize> = (0..rank - 1).collect();
    back.insert(along, rank - 1);
    let x = cx.transpose(x, to_end)?;
    let is_counted = cx.bounds().decide(&cx.shape(x)[rank - 1]);
    let found = match cx.is_data(k) || is_counted {
        true => few(cx, x, k, largest)?,
        false => {
            let k = only_int(cx, k, "k")?;
            let k = u64::try_from(k).map_err(|_| negative_k(k))?;
            let indices = cx.emit(Op::TopK(TopK { k, largest }), &[x])?;
            [cx.emit(Op::GatherElements(GatherElements { axis: rank - 1 }), &[x, indices])?, indices]
        }
    };
    let values = cx.transpose(found[0], back.clone())?;
    Ok(vec![values, cx.transpose(found[1], back)?])
}

fn negative_k(k: i64) -> NodeError {
    NodeError::Value { name: "k", value: k.to_string(), expected: "0 or more".to_owned() }
}

/// As many along the last axis as a number says when the model runs, and no more than the axis then has: values and indices.
fn few(cx: &mut NodeCx<'_, '_>, x: ValueId, k: ValueId, largest: bool) -> Result<[ValueId; 2], NodeError> {
    let last = cx.rank(x) - 1;
    let size = cx.shape(x)[last].clone();
    let Some(most) = cx.bounds().largest(&size) else {
        let flags = cx.free_flags(std::slice::from_ref(&size));
        return Err(NodeError::Unsupported(format!("its axis has a free size; fix it with {flags}")));
    };
    let known = cx.ints(k, "k").ok().and_then(|ints| ints.first()?.as_const());
    if let Some(negative) = known.filter(|&known| known < 0) {
        return Err(negative_k(negative));
    }
    let least = known.map_or(most, |known| most.min(u64::try_from(known).unwrap_or(0)));
    let mut places = cx.places(Some(least))?;
    let there = cx.axis_size(x, last)?;
    let k = cx.cast(k, ElementType::I64)?;
    let k = cx.reshape(k, Vec::new())?;
    let zero = cx.constant_i64(&[], &[0])?;
    let mut count = cx.binary(BinaryOp::Max, k, zero)?;
    if size.as_const().is_some() {
        // More than the axis has is the model's error, and shows as more than there are places.
        places.may_exceed |= known.is_none();
    } else {
        count = cx.binary(BinaryOp::Min, count, there)?;
    }
    let element = cx.element(x);
    // NaN is the largest, and what is equal comes behind.
    let fill = match (element.is_float(), largest) {
        (true, true) => f64::NEG_INFINITY,
        (true, false) => f64::NAN,
        (false, largest) => crate::padded::extreme(element, largest),
    };
    let x = cx.whole(x, &[last], Some(fill))?;
    let indices = cx.emit(Op::TopK(TopK { k: places.bound, largest }), &[x])?;
    let values = cx.emit(Op::GatherElements(GatherElements { axis: last }), &[x, indices])?;
    let size: Dim = cx.counted(&places, count)?;
    Ok([cx.cut_to(values, last, &size)?, cx.cut_to(indices, last, &size)?])
}
