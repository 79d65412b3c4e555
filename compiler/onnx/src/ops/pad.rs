//! Padding.

use super::axis;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{Pad, PadMode, Slice};
use drift_ir::{Dim, Op, Tensor, ValueId};

/// Pad. Amounts and value are attributes before 11, operands from then on; `axes` since 18, the mode wrap since 19.
/// Negative amounts cut elements off before anything is added.
pub(super) fn pad(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let (given, value) = amounts(cx)?;
    let axes: Vec<usize> = match cx.optional(3) {
        None => (0..rank).collect(),
        Some(axes) => {
            let axes = cx.constant_ints(axes, "axes")?;
            axes.into_iter().map(|given| axis(given, rank)).collect::<Result<_, _>>()?
        }
    };
    let distinct = (0..rank).all(|axis| axes.iter().filter(|&&other| other == axis).count() < 2);
    if given.len() != 2 * axes.len() || !distinct {
        let expected = format!("two numbers for each of {} different axes", axes.len());
        return Err(NodeError::Value { name: "pads", value: format!("{given:?}"), expected });
    }
    let mut amounts = vec![0; 2 * rank];
    for (index, &axis) in axes.iter().enumerate() {
        amounts[axis] = given[index];
        amounts[rank + axis] = given[axes.len() + index];
    }
    let mode = match cx.attributes.text("mode")?.unwrap_or("constant") {
        "constant" => PadMode::Constant(value),
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "wrap" => PadMode::Wrap,
        other => {
            let expected = "constant, edge, reflect or wrap".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    if matches!(mode, PadMode::Constant(_)) {
        only_constant(&cx.shape(x), &mut amounts);
    }
    let cut = cut(cx, x, &amounts)?;
    let mut pads: Vec<u64> = amounts.iter().map(|&amount| amount.max(0).unsigned_abs()).collect();
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(vec![cut]);
    }
    if let PadMode::Constant(value) = mode
        && cx.shape(cut).contains(&Dim::Const(0))
    {
        return Ok(vec![filled(cx, cut, value, &pads)?]);
    }
    let cut = if mode == PadMode::Reflect { reflect_single(cx, cut, &mut pads)? } else { cut };
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(vec![cut]);
    }
    Ok(vec![cx.emit(Op::Pad(Pad { mode, pads }), &[cut])?])
}

/// The constant everywhere: there is no element beside it.
fn filled(cx: &mut NodeCx<'_, '_>, x: ValueId, value: f64, pads: &[u64]) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    let padded = |(axis, size): (usize, &Dim)| {
        size.add(&Dim::Const(pads[axis]))?.add(&Dim::Const(pads[shape.len() + axis]))
    };
    let padded = shape.iter().enumerate().map(padded).collect::<Result<Vec<Dim>, _>>()?;
    let scalar = cx.constant(Tensor::from_f64_as(cx.element(x), [], &[value])?)?;
    cx.expand(scalar, padded)
}

/// A single element is its own mirror image, so it repeats; the amounts that are dealt with become zero. Longer axes have to
/// hold what is mirrored.
fn reflect_single(cx: &mut NodeCx<'_, '_>, x: ValueId, pads: &mut [u64]) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    let rank = shape.len();
    let mut repeated = vec![0; 2 * rank];
    for (axis, size) in shape.iter().enumerate() {
        let most = pads[axis].max(pads[rank + axis]);
        match size.as_const() {
            Some(1) => {
                for at in [axis, rank + axis] {
                    repeated[at] = std::mem::take(&mut pads[at]);
                }
            }
            Some(size) if most >= size && most > 0 => {
                let reason = format!(
                    "axis {axis} has {size} elements, too few to mirror {most}; runtimes differ there"
                );
                return Err(NodeError::Unsupported(reason));
            }
            Some(_) | None => {}
        }
    }
    if repeated.iter().all(|&pad| pad == 0) {
        return Ok(x);
    }
    cx.emit(Op::Pad(Pad { mode: PadMode::Edge, pads: repeated }), &[x])
}

/// How much is added, as the node writes it, and the constant.
fn amounts(cx: &mut NodeCx<'_, '_>) -> Result<(Vec<i64>, f64), NodeError> {
    if cx.opset() < 11 {
        let value = cx.attributes.float("value")?.unwrap_or(0.0);
        return Ok((cx.attributes.ints("pads")?.unwrap_or_default().to_vec(), f64::from(value)));
    }
    let value = match cx.optional(2) {
        None => 0.0,
        Some(value) => cx.constant_scalar(value).ok_or_else(|| {
            NodeError::Unsupported(
                "operand `constant_value` depends on data; only constants are supported".to_owned(),
            )
        })?,
    };
    Ok((cx.constant_ints(cx.operand(1)?, "pads")?, value))
}

/// Where more is cut off than an axis has, what is left of the amounts counts elements of the constant.
fn only_constant(shape: &[Dim], amounts: &mut [i64]) {
    for (axis, size) in shape.iter().enumerate() {
        let (begin, end) = (amounts[axis], amounts[shape.len() + axis]);
        let Some(size) = size.as_const().and_then(|size| i64::try_from(size).ok()) else { continue };
        let cut = begin.min(0).saturating_add(end.min(0));
        let left = size.checked_add(begin).and_then(|left| left.checked_add(end));
        if let Some(left) = left.filter(|&left| left >= 0 && cut < -size) {
            (amounts[axis], amounts[shape.len() + axis]) = (-size, left);
        }
    }
}

/// Takes negative amounts off.
fn cut(cx: &mut NodeCx<'_, '_>, x: ValueId, amounts: &[i64]) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x);
    let off = |amount: i64| amount.min(0).unsigned_abs();
    let mut axes = Vec::new();
    for (axis, size) in shape.iter().enumerate() {
        let (begin, end) = (off(amounts[axis]), off(amounts[shape.len() + axis]));
        let Some(both) = begin.checked_add(end) else {
            return Err(NodeError::Operands(format!("`pads` cut off more than axis {axis} has")));
        };
        if both > 0 {
            let count = size.sub(&Dim::Const(both));
            let count = count
                .map_err(|_| NodeError::Operands(format!("`pads` cut off more than axis {axis} has")))?;
            axes.push(SliceAxis { axis, start: begin, step: 1, count });
        }
    }
    if axes.is_empty() {
        return Ok(x);
    }
    cx.emit(Op::Slice(Slice { axes }), &[x])
}

/// CenterCropPad, since 18: each axis named is cut or padded with zeros to a size, at both ends alike; of an odd number one element more
/// at the end.
pub(super) fn center_crop_pad(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, sizes) = (cx.operand(0)?, cx.operand(1)?);
    let sizes = cx.constant_ints(sizes, "shape")?;
    let shape = cx.shape(x);
    let axes = cx.attributes.ints("axes")?.map(<[i64]>::to_vec);
    let axes = axes.unwrap_or_else(|| (0..shape.len() as i64).collect());
    if axes.len() != sizes.len() {
        return Err(NodeError::Operands("shape and axes have different lengths".to_owned()));
    }
    let mut pads = vec![0; 2 * shape.len()];
    let mut cuts: Vec<SliceAxis> = Vec::new();
    for (&given, &size) in axes.iter().zip(&sizes) {
        let axis = axis(given, shape.len())?;
        let (Dim::Const(old), Ok(new)) = (&shape[axis], u64::try_from(size)) else {
            let expected = "a size, and an axis of known size".to_owned();
            return Err(NodeError::Value { name: "shape", value: size.to_string(), expected });
        };
        if new < *old {
            cuts.push(SliceAxis { axis, start: (old - new) / 2, step: 1, count: Dim::Const(new) });
        }
        let added = new.saturating_sub(*old);
        pads[axis] = added / 2;
        pads[shape.len() + axis] = added - added / 2;
    }
    cuts.sort_by_key(|cut| cut.axis);
    if cuts.windows(2).any(|pair| pair[0].axis == pair[1].axis) {
        let expected = "different axes".to_owned();
        return Err(NodeError::Value { name: "axes", value: format!("{axes:?}"), expected });
    }
    let mut y = x;
    if !cuts.is_empty() {
        y = cx.emit(Op::Slice(Slice { axes: cuts }), &[y])?;
    }
    if pads.iter().any(|&pad| pad > 0) {
        y = cx.emit(Op::Pad(Pad { mode: PadMode::Constant(0.0), pads }), &[y])?;
    }
    Ok(vec![y])
}
