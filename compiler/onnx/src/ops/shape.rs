//! Operators that give the same elements another shape, and those that read shapes.

use super::axis;
use crate::dims;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::dim::IntExpr;
use drift_ir::op::{BinaryOp, ShapeOf};
use drift_ir::{Dim, Op};
use std::collections::BTreeSet;

/// Reshape. A 0 copies the operand's size and one -1 is inferred; since 14 `allowzero` makes a 0 mean zero.
pub(super) fn reshape(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, target) = (cx.operand(0)?, cx.operand(1)?);
    let allow_zero = cx.attributes.flag("allowzero", false)?;
    let sizes = cx.ints(target, "shape")?;
    let from = cx.shape(x);
    let bad = |expected: &str| NodeError::Value {
        name: "shape",
        value: format!("{sizes:?}"),
        expected: expected.to_owned(),
    };
    let (mut shape, mut inferred) = (Vec::with_capacity(sizes.len()), None);
    for (at, size) in sizes.iter().enumerate() {
        shape.push(match size {
            IntExpr::Expr(_) => Dim::try_from(size.clone())?,
            IntExpr::Const(0) if !allow_zero => {
                from.get(at).cloned().ok_or_else(|| bad("zeros only where the input has an axis"))?
            }
            IntExpr::Const(-1) if inferred.replace(at).is_some() => return Err(bad("at most one -1")),
            IntExpr::Const(-1) => Dim::Const(1),
            IntExpr::Const(size) => {
                Dim::Const(u64::try_from(*size).map_err(|_| bad("sizes of -1 and above"))?)
            }
        });
    }
    if let Some(at) = inferred {
        shape[at] = dims::quotient(&from, &shape)?;
    }
    Ok(vec![cx.reshape(x, shape)?])
}

/// Flatten to a matrix whose rows are the axes before `axis` (default 1). Since 11 `axis` may be negative.
pub(super) fn flatten(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let given = cx.attributes.int("axis")?.unwrap_or(1);
    // The axis may also be the rank itself: then there is one column.
    let split =
        if usize::try_from(given) == Ok(shape.len()) { shape.len() } else { axis(given, shape.len())? };
    let matrix = vec![cx.product(&shape[..split])?, cx.product(&shape[split..])?];
    Ok(vec![cx.reshape(x, matrix)?])
}

/// Transpose; without `perm` the axes are reversed.
pub(super) fn transpose(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let perm: Vec<usize> = match cx.attributes.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(given) => {
            let perm: Vec<usize> = given.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if given.len() != rank || !sorted.into_iter().eq(0..rank) {
                let expected = format!("each axis of rank {rank} once");
                return Err(NodeError::Value { name: "perm", value: format!("{given:?}"), expected });
            }
            perm
        }
    };
    Ok(vec![cx.transpose(x, perm)?])
}

/// The `axes` of Squeeze and Unsqueeze: an attribute before 13, a constant operand from then on.
fn axes(cx: &mut NodeCx<'_, '_>, rank: usize) -> Result<Option<BTreeSet<usize>>, NodeError> {
    let given = if cx.opset() < 13 {
        cx.attributes.ints("axes")?.map(<[i64]>::to_vec)
    } else {
        cx.optional(1).map(|axes| cx.constant_ints(axes, "axes")).transpose()?
    };
    let Some(given) = given else { return Ok(None) };
    let axes = given.iter().map(|&a| axis(a, rank)).collect::<Result<BTreeSet<_>, _>>()?;
    if axes.len() != given.len() {
        let expected = "different axes".to_owned();
        return Err(NodeError::Value { name: "axes", value: format!("{given:?}"), expected });
    }
    Ok(Some(axes))
}

/// Squeeze. Axes are an operand since 13; without them every axis of size one goes, which needs all sizes known.
pub(super) fn squeeze(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let Some(axes) = axes(cx, shape.len())? else {
        if dims::has_free_sizes(&shape) {
            let reason = "without `axes` the result's rank depends on free dimensions; fix them with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        let kept = shape.into_iter().filter(|dim| *dim != Dim::Const(1)).collect();
        return Ok(vec![cx.reshape(x, kept)?]);
    };
    let mut kept = Vec::new();
    for (at, dim) in shape.into_iter().enumerate() {
        match dim {
            dim if !axes.contains(&at) => kept.push(dim),
            Dim::Const(1) => {}
            Dim::Const(size) => return Err(NodeError::Operands(format!("axis {at} has size {size}, not 1"))),
            Dim::Expr(_) => {
                let reason = format!("axis {at} is free, so it may not have size 1; fix it with --dim");
                return Err(NodeError::Unsupported(reason));
            }
        }
    }
    Ok(vec![cx.reshape(x, kept)?])
}

/// Unsqueeze. Axes are an operand since 13, and may be negative since 11; they count in the result.
pub(super) fn unsqueeze(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let added = if cx.opset() < 13 {
        cx.attributes
            .has("axes")
            .then(|| cx.attributes.ints("axes"))
            .transpose()?
            .flatten()
            .map_or(0, <[i64]>::len)
    } else {
        let axes = cx.operand(1)?;
        cx.constant_ints(axes, "axes")?.len()
    };
    let rank = shape.len() + added;
    let axes = axes(cx, rank)?.ok_or(NodeError::MissingAttribute("axes"))?;
    let mut old = shape.into_iter();
    let new = (0..rank)
        .filter_map(|at| if axes.contains(&at) { Some(Dim::Const(1)) } else { old.next() })
        .collect();
    Ok(vec![cx.reshape(x, new)?])
}

/// Expand, since 8. The shape broadcasts with the operand's, so it may be smaller.
pub(super) fn expand(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, target) = (cx.operand(0)?, cx.operand(1)?);
    let target = cx.sizes(target, "shape")?;
    let shape = cx.broadcast(&cx.shape(x), &target)?;
    Ok(vec![cx.expand(x, shape)?])
}

/// Shape. Since 15 `start` and `end` cut it; they clamp to the rank.
pub(super) fn shape(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let clamp = |at: i64| {
        let at = if at < 0 { at.saturating_add(rank as i64) } else { at };
        usize::try_from(at.max(0)).map_or(rank, |at| at.min(rank))
    };
    let start = cx.attributes.int("start")?.map_or(0, clamp);
    let end = cx.attributes.int("end")?.map_or(rank, clamp).max(start);
    let sizes = &cx.shape(x)[start..end];
    match dims::all_known(sizes) {
        Some(sizes) => Ok(vec![cx.constant_i64(&[sizes.len() as u64], &sizes)?]),
        None => Ok(vec![cx.emit(Op::ShapeOf(ShapeOf { start, end }), &[x])?]),
    }
}

/// Size: how many elements there are.
pub(super) fn size(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    if let Some(sizes) = dims::all_known(&[cx.product(&shape)?]) {
        return Ok(vec![cx.constant_i64(&[], &sizes)?]);
    }
    let mut all = cx.constant_i64(&[], &[1])?;
    for axis in 0..shape.len() {
        let size = cx.axis_size(x, axis)?;
        all = cx.binary(BinaryOp::Mul, all, size)?;
    }
    Ok(vec![all])
}

/// Range from `start` to below `limit` by `delta`, since 11; of numbers that are data with a bound. Since 27 of float16, too, computed in f32 unless `stash_type` says otherwise.
pub(super) fn range(cx: &mut NodeCx<'_, '_>) -> Results {
    let element = cx.element(cx.operand(0)?);
    let widens = cx.attributes.int("stash_type")?.unwrap_or(1) == 1;
    let mut operands = Vec::with_capacity(3);
    for index in 0..3 {
        let mut scalar = cx.operand(index)?;
        if widens {
            scalar = cx.widened(scalar)?;
        }
        operands.push(cx.reshape(scalar, Vec::new())?);
    }
    if operands.iter().any(|&operand| cx.is_unknown(operand)) {
        let range = super::counted::range_of_data(cx, &operands)?[0];
        return Ok(vec![cx.cast(range, element)?]);
    }
    let range = cx.emit(Op::Range(drift_ir::op::Range), &operands)?;
    Ok(vec![cx.cast(range, element)?])
}

/// The block size and the shape of the image.
fn block_size(cx: &mut NodeCx<'_, '_>) -> Result<(Dim, Vec<Dim>), NodeError> {
    let given = cx.attributes.int("blocksize")?.unwrap_or(0);
    let block = u64::try_from(given).ok().filter(|&block| block > 0 && block < 1 << 16);
    let block = block.ok_or_else(|| NodeError::Value {
        name: "blocksize",
        value: given.to_string(),
        expected: "a positive number".to_owned(),
    })?;
    let shape = cx.shape(cx.operand(0)?);
    if shape.len() != 4 {
        return Err(NodeError::Operands(format!("the input has rank {}, expected 4", shape.len())));
    }
    Ok((Dim::Const(block), shape))
}

/// A size divided by a block, which has to divide it.
fn blocks(size: &Dim, block: &Dim) -> Result<Dim, NodeError> {
    match (size.as_const(), block.as_const()) {
        (Some(size), Some(block)) if size % block == 0 => Ok(Dim::Const(size / block)),
        (Some(size), _) => Err(NodeError::Operands(format!("the block size does not divide {size}"))),
        (None, _) => {
            let reason = "blocks of a free size are not supported; fix it with --dim";
            Err(NodeError::Unsupported(reason.to_owned()))
        }
    }
}

/// DepthToSpace: channels become blocks of pixels. `mode` since 11: DCR takes the block from the outer part of the
/// channels, CRD from the inner.
pub(super) fn depth_to_space(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let (block, shape) = block_size(cx)?;
    let outer = match cx.attributes.text("mode")?.unwrap_or("DCR") {
        "DCR" => true,
        "CRD" => false,
        other => {
            let expected = "DCR or CRD".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    let [n, c, h, w] = [0, 1, 2, 3].map(|axis: usize| shape[axis].clone());
    let channels = blocks(&c, &block.mul(&block)?)?;
    let (rows, columns) = (h.mul(&block)?, w.mul(&block)?);
    let (split, perm) = match outer {
        true => (vec![n.clone(), block.clone(), block, channels.clone(), h, w], vec![0, 3, 4, 1, 5, 2]),
        false => (vec![n.clone(), channels.clone(), block.clone(), block, h, w], vec![0, 1, 4, 2, 5, 3]),
    };
    let split = cx.reshape(x, split)?;
    let moved = cx.transpose(split, perm)?;
    Ok(vec![cx.reshape(moved, vec![n, channels, rows, columns])?])
}

/// SpaceToDepth: blocks of pixels become channels, the block outermost; since 28 `mode` CRD has it innermost.
pub(super) fn space_to_depth(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let (block, shape) = block_size(cx)?;
    let [n, c, h, w] = [0, 1, 2, 3].map(|axis: usize| shape[axis].clone());
    let (rows, columns) = (blocks(&h, &block)?, blocks(&w, &block)?);
    let channels = c.mul(&block.mul(&block)?)?;
    let split = vec![n.clone(), c, rows.clone(), block.clone(), columns.clone(), block];
    let split = cx.reshape(x, split)?;
    let perm = match cx.attributes.text("mode")?.unwrap_or("DCR") {
        "DCR" => vec![0, 3, 5, 1, 2, 4],
        "CRD" => vec![0, 1, 3, 5, 2, 4],
        other => {
            let expected = "DCR or CRD".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    let moved = cx.transpose(split, perm)?;
    Ok(vec![cx.reshape(moved, vec![n, channels, rows, columns])?])
}
