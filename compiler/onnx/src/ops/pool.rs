//! Pooling.

mod places;

use super::window::{Padding, extents, padding, positive_list};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Pool, PoolKind, Reduce, ReduceKind, UnaryOp};
use drift_ir::{Dim, ElementType, Op, ValueId};

fn pool(cx: &mut NodeCx<'_, '_>, kind: PoolKind) -> Results {
    Ok(vec![pooled(cx, kind)?.1])
}

/// The operation that the attributes describe, and its result.
fn pooled(cx: &mut NodeCx<'_, '_>, kind: PoolKind) -> Result<(Pool, ValueId), NodeError> {
    // Floats hold all bytes.
    let (x, element) = (cx.operand(0)?, cx.element(cx.operand(0)?));
    let is_byte = matches!(element, ElementType::I8 | ElementType::U8);
    let x = if is_byte { cx.cast(x, ElementType::F32)? } else { x };
    let spatial = spatial_axes(cx, x)?;
    if !cx.attributes.has("kernel_shape") {
        let (value, expected) = (String::new(), format!("{spatial} positive numbers"));
        return Err(NodeError::Value { name: "kernel_shape", value, expected });
    }
    let kernel = positive_list(cx, "kernel_shape", spatial)?;
    let strides = positive_list(cx, "strides", spatial)?;
    let dilations = positive_list(cx, "dilations", spatial)?;
    let ceil_mode = cx.attributes.flag("ceil_mode", false)?;
    let sizes = cx.shape(x)[2..].to_vec();
    let extents = extents(&kernel, &dilations)?;
    let padding = padding(cx, spatial)?;
    // SAME says itself how many windows there are.
    let ceil = ceil_mode && !matches!(padding, Padding::Same { .. });
    if ceil && matches!(padding, Padding::Explicit { valid: true, .. }) {
        check_valid_windows(&sizes, &extents, &strides)?;
    }
    let pads = padding.resolve(&sizes, &extents, &strides)?;
    let op = Pool { kind, kernel, strides, pads, dilations, ceil };
    let y = cx.emit(Op::Pool(op.clone()), &[x])?;
    Ok((op, if is_byte { cx.cast(y, element)? } else { y }))
}

fn spatial_axes(cx: &NodeCx<'_, '_>, x: ValueId) -> Result<usize, NodeError> {
    match cx.rank(x) {
        rank @ 3.. => Ok(rank - 2),
        rank => Err(NodeError::Operands(format!("the input has rank {rank}, expected at least 3"))),
    }
}

/// With VALID, ONNX rounds the number of windows down even where `ceil_mode` is set, onnxruntime up: only where the
/// windows fit exactly do they agree.
fn check_valid_windows(sizes: &[Dim], extents: &[u64], strides: &[u64]) -> Result<(), NodeError> {
    let agrees = |((size, &extent), &stride): ((&Dim, &u64), &u64)| {
        let rest = size.as_const().and_then(|size| size.checked_sub(extent));
        stride == 1 || rest.is_some_and(|rest| rest % stride == 0)
    };
    if sizes.iter().zip(extents).zip(strides).all(agrees) {
        return Ok(());
    }
    let reason = "`ceil_mode` with `auto_pad` VALID means different sizes to different runtimes; export explicit `pads`";
    Err(NodeError::Unsupported(reason.to_owned()))
}

/// MaxPool. Dilations and `ceil_mode` since 10. The places of the maxima (8), the first of equals, need known sizes: each window gathers its
/// elements and is searched. `storage_order` 1 counts a place's columns first.
pub(super) fn max_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let by_column = cx.attributes.flag("storage_order", false)?;
    let (op, y) = pooled(cx, PoolKind::Max)?;
    if !cx.wants_result(1) {
        return Ok(vec![y]);
    }
    Ok(vec![y, places::of_maxima(cx, &op, y, by_column)?])
}

/// AveragePool. `count_include_pad` since 7, `ceil_mode` since 10, dilations since 19.
pub(super) fn average_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let count_padding = cx.attributes.flag("count_include_pad", false)?;
    pool(cx, PoolKind::Average { count_padding })
}

/// LpPool. Dilations and `ceil_mode` since 18.
pub(super) fn lp_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let p = norm(cx)?;
    pool(cx, PoolKind::Lp(p))
}

/// `p` of a norm.
fn norm(cx: &mut NodeCx<'_, '_>) -> Result<u32, NodeError> {
    let p = cx.attributes.int("p")?.unwrap_or(2);
    u32::try_from(p).ok().filter(|&p| p > 0).ok_or_else(|| NodeError::Value {
        name: "p",
        value: p.to_string(),
        expected: "a positive number".to_owned(),
    })
}

/// GlobalLpPool: the norm of each channel of an image.
pub(super) fn global_lp_pool(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, p) = (cx.operand(0)?, norm(cx)?);
    let spatial = spatial_axes(cx, x)?;
    let reduce = |kind| Op::Reduce(Reduce { kind, axes: (2..2 + spatial).collect(), keep_dims: true });
    if p == 2 {
        return Ok(vec![cx.emit(reduce(ReduceKind::L2), &[x])?]);
    }
    let magnitude = cx.unary(UnaryOp::Abs, x)?;
    if p == 1 {
        return Ok(vec![cx.emit(reduce(ReduceKind::Sum), &[magnitude])?]);
    }
    let element = cx.element(x);
    let magnitude = cx.widened(magnitude)?;
    let [exponent, root] = [f64::from(p), 1.0 / f64::from(p)].map(|number| cx.scalar_like(magnitude, number));
    let powers = cx.binary(BinaryOp::Pow, magnitude, exponent?)?;
    let sum = cx.emit(reduce(ReduceKind::Sum), &[powers])?;
    let norm = cx.binary(BinaryOp::Pow, sum, root?)?;
    Ok(vec![cx.cast(norm, element)?])
}
