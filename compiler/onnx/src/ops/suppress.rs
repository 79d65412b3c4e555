//! Boxes that are kept out of many that overlap.

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Gather, Slice, Suppress};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// NonMaxSuppression, since 10: triples of an image, a class and a box, by images, then classes, then falling scores. There are places for
/// all that may be kept; the numbers that decide how many are may be data. Without `max_output_boxes_per_class` none is.
pub(super) fn non_max_suppression(cx: &mut NodeCx<'_, '_>) -> Results {
    let (boxes, scores) = (cx.operand(0)?, cx.operand(1)?);
    let by_center = cx.attributes.flag("center_point_box", false)?;
    let sizes = [cx.shape(boxes), cx.shape(scores)];
    if sizes.iter().any(|shape| shape.len() != 3) || sizes[0][2] != Dim::Const(4) {
        let reason = "expected boxes [images, boxes, 4] and scores [images, classes, boxes]".to_owned();
        return Err(NodeError::Operands(reason));
    }
    let all: [usize; 3] = [0, 1, 2];
    let boxes = cx.whole(boxes, &all, Some(0.0))?;
    let [images, classes, count] = known(cx, &sizes[1])?;
    if cx.shape(boxes) != [Dim::Const(images), Dim::Const(count), Dim::Const(4)] {
        return Err(NodeError::Operands("there is not a score of each class for each box".to_owned()));
    }
    let limit = cx.optional(2);
    let most = match limit {
        Some(limit) if !cx.is_data(limit) => super::index::constant_int(cx, 2, "max_output_boxes_per_class")?,
        Some(_) => i64::MAX,
        None => 0,
    };
    let per_class = u64::try_from(most).unwrap_or(0).min(count);
    let product = images.checked_mul(classes).and_then(|rows| rows.checked_mul(per_class));
    let product = product.ok_or_else(|| NodeError::Unsupported("there are too many boxes".to_owned()))?;
    if product == 0 {
        return Ok(vec![cx.constant_i64(&[0, 3], &[])?]);
    }
    let places = cx.places(Some(product))?;
    // One more than fit tells that they do not.
    let k = per_class.min(places.bound.saturating_add(1));
    let candidates = candidates(cx, scores)?;
    let scores = cx.whole(scores, &all, Some(0.0))?;
    let corners = corners(cx, boxes, by_center)?;
    let overlap = match cx.optional(3) {
        Some(overlap) => cx.reshape(overlap, Vec::new())?,
        None => cx.constant(drift_ir::Tensor::from_f32([], &[0.0])?)?,
    };
    let found = cx.emit(Op::Suppress(Suppress { k }), &[corners, scores, candidates, overlap])?;
    let zero = cx.constant_i64(&[], &[0])?;
    let mut is_kept = cx.binary(BinaryOp::GreaterOrEqual, found, zero)?;
    if let Some(limit) = limit.filter(|&limit| cx.is_data(limit)) {
        let limit = cx.cast(limit, ElementType::I64)?;
        let limit = cx.reshape(limit, Vec::new())?;
        let is_allowed = cx.below(k, limit)?;
        is_kept = cx.binary(BinaryOp::And, is_kept, is_allowed)?;
    }
    let rows = vec![Dim::Const(images * classes * k)];
    let (is_kept, found) = (cx.reshape(is_kept, rows.clone())?, cx.reshape(found, rows)?);
    let (at, kept) = cx.places_of(is_kept, &places)?;
    let place = cx.emit(Op::Gather(Gather { axis: 0 }), &[found, at])?;
    let place = cx.zero_behind(place, &places, kept)?;
    let [of_image, of_class, class_count] = [
        cx.constant_i64(&[], &[(classes * k) as i64])?,
        cx.constant_i64(&[], &[k as i64])?,
        cx.constant_i64(&[], &[classes as i64])?,
    ];
    let image = cx.binary(BinaryOp::Div, at, of_image)?;
    let class = cx.binary(BinaryOp::Div, at, of_class)?;
    let class = cx.binary(BinaryOp::Rem, class, class_count)?;
    let mut columns = [image, class, place];
    for column in &mut columns {
        *column = cx.insert_axis(*column, 1)?;
    }
    let triples = cx.concat(1, &columns)?;
    let size = cx.counted(&places, kept)?;
    Ok(vec![cx.cut_to(triples, 0, &size)?])
}

fn known(cx: &NodeCx<'_, '_>, shape: &[Dim]) -> Result<[u64; 3], NodeError> {
    let mut sizes = [0; 3];
    for (known, size) in sizes.iter_mut().zip(shape) {
        let free = || NodeError::Unsupported("the boxes have a free size; fix it with --dim".to_owned());
        *known = cx.bounds().largest(size).ok_or_else(free)?;
    }
    Ok(sizes)
}

/// Which scores count, i32 like them: those above the threshold, of boxes that are there.
fn candidates(cx: &mut NodeCx<'_, '_>, scores: ValueId) -> Result<ValueId, NodeError> {
    let shape = cx.shape(scores);
    let flags = match cx.optional(4) {
        Some(least) => {
            let least = cx.reshape(least, Vec::new())?;
            let is_above = cx.binary(BinaryOp::Greater, scores, least)?;
            cx.cast(is_above, ElementType::I32)?
        }
        None => {
            let one = cx.constant(drift_ir::Tensor::from_i64_as(ElementType::I32, [], &[1])?)?;
            cx.expand(one, shape)?
        }
    };
    cx.whole(flags, &[0, 1, 2], Some(0.0))
}

/// The lower two and the higher two of a box's corners. Boxes are two opposite corners, or a center and sizes.
fn corners(cx: &mut NodeCx<'_, '_>, boxes: ValueId, by_center: bool) -> Result<ValueId, NodeError> {
    let mut half = |start| {
        let cut = SliceAxis { axis: 2, start, step: 1, count: Dim::Const(2) };
        cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[boxes])
    };
    let (first, second) = (half(0)?, half(2)?);
    let [low, high] = if by_center {
        let two = cx.scalar_like(second, 2.0)?;
        let reach = cx.binary(BinaryOp::Div, second, two)?;
        [cx.binary(BinaryOp::Sub, first, reach)?, cx.binary(BinaryOp::Add, first, reach)?]
    } else {
        [cx.binary(BinaryOp::Min, first, second)?, cx.binary(BinaryOp::Max, first, second)?]
    };
    cx.concat(2, &[low, high])
}
