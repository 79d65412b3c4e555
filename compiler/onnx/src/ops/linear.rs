//! Matrix products and convolutions.

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Conv, MatMul};
use drift_ir::{Dim, Op, ValueId};

/// MatMul. Operands of rank one are a row (first) or a column (second), whose axis the result drops. Since 9 also
/// integers.
pub(super) fn matmul(cx: &mut NodeCx<'_, '_>) -> Results {
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    let (row, column) = (cx.rank(a) == 1, cx.rank(b) == 1);
    let a_matrix = if row { cx.insert_axis(a, 0)? } else { a };
    let b_matrix = if column { cx.insert_axis(b, 1)? } else { b };
    let product = cx.emit(Op::MatMul(MatMul::default()), &[a_matrix, b_matrix])?;
    let mut shape = cx.shape(product);
    let rank = shape.len();
    if column {
        shape.remove(rank - 1);
    }
    if row {
        shape.remove(rank - 2);
    }
    Ok(vec![cx.reshape(product, shape)?])
}

/// Gemm: `alpha A B + beta C` with optional transposes; C broadcasts to the product since 7 and may be absent since 11.
/// A `beta` of zero leaves C out, so that its infinities do not count, as in BLAS.
pub(super) fn gemm(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    let beta = f64::from(cx.attributes.float("beta")?.unwrap_or(1.0));
    let (transpose_a, transpose_b) =
        (cx.attributes.flag("transA", false)?, cx.attributes.flag("transB", false)?);
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    if cx.rank(a) != 2 || cx.rank(b) != 2 {
        return Err(NodeError::Operands("both factors must be matrices".to_owned()));
    }
    let a = if transpose_a { cx.transpose(a, vec![1, 0])? } else { a };
    let product = cx.emit(Op::MatMul(MatMul { transpose_b }), &[a, b])?;
    let product = scaled(cx, product, alpha)?;
    let Some(c) = cx.optional(2).filter(|_| beta != 0.0) else { return Ok(vec![product]) };
    let c = scaled(cx, c, beta)?;
    let sum = cx.binary(BinaryOp::Add, product, c)?;
    if cx.rank(sum) != 2 {
        return Err(NodeError::Operands("the addend has a higher rank than the product".to_owned()));
    }
    Ok(vec![sum])
}

fn scaled(cx: &mut NodeCx<'_, '_>, x: ValueId, factor: f64) -> Result<ValueId, NodeError> {
    if factor == 1.0 {
        return Ok(x);
    }
    let factor = cx.scalar_like(x, factor)?;
    cx.binary(BinaryOp::Mul, x, factor)
}

/// Conv over one, two or three spatial axes, with groups. Operator sets differ in element types only.
pub(super) fn conv(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, weight) = (cx.operand(0)?, cx.operand(1)?);
    let rank = cx.rank(x);
    if !(3..=5).contains(&rank) || cx.rank(weight) != rank {
        let reason = format!(
            "input and weight have ranks {rank} and {}, expected 3 to 5, both equal",
            cx.rank(weight)
        );
        return Err(NodeError::Operands(reason));
    }
    let spatial = rank - 2;
    let kernel = kernel_shape(cx, &cx.shape(weight)[2..])?;
    let strides = positive_list(cx, "strides", spatial)?;
    let dilations = positive_list(cx, "dilations", spatial)?;
    let groups = cx.attributes.int("group")?.unwrap_or(1);
    let groups = u64::try_from(groups).ok().filter(|&groups| groups > 0).ok_or_else(|| NodeError::Value {
        name: "group",
        value: groups.to_string(),
        expected: "a positive number".to_owned(),
    })?;
    let extents = extents(&kernel, &dilations)?;
    let pads = pads(cx, &cx.shape(x)[2..], &extents, &strides)?;
    let operands: Vec<ValueId> = [Some(x), Some(weight), cx.optional(2)].into_iter().flatten().collect();
    let op = Op::Conv(Conv { strides, pads, dilations, groups });
    Ok(vec![cx.emit(op, &operands)?])
}

/// The kernel's size, which the weight has and the attribute repeats.
fn kernel_shape(cx: &mut NodeCx<'_, '_>, weight: &[Dim]) -> Result<Vec<u64>, NodeError> {
    let size = |dim: &Dim| match dim {
        Dim::Const(size) => Ok(*size),
        Dim::Expr(_) => {
            Err(NodeError::Unsupported("the kernel's size is not known at compile time".to_owned()))
        }
    };
    let kernel = weight.iter().map(size).collect::<Result<Vec<u64>, _>>()?;
    match cx.attributes.ints("kernel_shape")? {
        Some(given)
            if !given.iter().map(|&size| u64::try_from(size).ok()).eq(kernel.iter().copied().map(Some)) =>
        {
            let expected = format!("the weight's {kernel:?}");
            Err(NodeError::Value { name: "kernel_shape", value: format!("{given:?}"), expected })
        }
        _ => Ok(kernel),
    }
}

/// A list with one positive number per spatial axis; ones where it is absent.
pub(super) fn positive_list(
    cx: &mut NodeCx<'_, '_>,
    name: &'static str,
    spatial: usize,
) -> Result<Vec<u64>, NodeError> {
    let Some(given) = cx.attributes.ints(name)? else { return Ok(vec![1; spatial]) };
    let positive = given.iter().filter_map(|&size| u64::try_from(size).ok().filter(|&size| size > 0));
    let list: Vec<u64> = positive.collect();
    if given.len() != spatial || list.len() != spatial {
        let expected = format!("{spatial} positive numbers");
        return Err(NodeError::Value { name, value: format!("{given:?}"), expected });
    }
    Ok(list)
}

/// Elements that a kernel spans on each axis.
fn extents(kernel: &[u64], dilations: &[u64]) -> Result<Vec<u64>, NodeError> {
    let extent =
        |(&size, &dilation): (&u64, &u64)| size.saturating_sub(1).checked_mul(dilation)?.checked_add(1);
    let extents: Option<Vec<u64>> = kernel.iter().zip(dilations).map(extent).collect();
    extents.ok_or_else(|| NodeError::Value {
        name: "dilations",
        value: format!("{dilations:?}"),
        expected: "a kernel that spans less than 2^64 elements".to_owned(),
    })
}

/// Begins and ends, from `pads` or from `auto_pad`.
fn pads(
    cx: &mut NodeCx<'_, '_>,
    sizes: &[Dim],
    extents: &[u64],
    strides: &[u64],
) -> Result<Vec<u64>, NodeError> {
    let given = cx.attributes.ints("pads")?;
    let mode = cx.attributes.text("auto_pad")?.unwrap_or("NOTSET");
    let more_at_end = match mode {
        "NOTSET" => return explicit_pads(given, sizes.len()),
        "VALID" => return Ok(vec![0; 2 * sizes.len()]),
        "SAME_UPPER" => true,
        "SAME_LOWER" => false,
        other => {
            let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER".to_owned();
            return Err(NodeError::Value { name: "auto_pad", value: other.to_owned(), expected });
        }
    };
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for ((size, &extent), &stride) in sizes.iter().zip(extents).zip(strides) {
        let total = same_padding(size, extent, stride)?;
        let less = total / 2;
        begins.push(if more_at_end { less } else { total - less });
        ends.push(if more_at_end { total - less } else { less });
    }
    begins.extend(ends);
    Ok(begins)
}

fn explicit_pads(given: Option<&[i64]>, spatial: usize) -> Result<Vec<u64>, NodeError> {
    let Some(given) = given else { return Ok(vec![0; 2 * spatial]) };
    if given.len() == 2 * spatial && given.iter().any(|&pad| pad < 0) {
        return Err(NodeError::Unsupported(format!(
            "negative `pads` {given:?} are not supported; slice the input"
        )));
    }
    let pads: Vec<u64> = given.iter().filter_map(|&pad| u64::try_from(pad).ok()).collect();
    if pads.len() != 2 * spatial {
        let expected = format!("{} numbers", 2 * spatial);
        return Err(NodeError::Value { name: "pads", value: format!("{given:?}"), expected });
    }
    Ok(pads)
}

/// Zeros that make the result's size `ceil(size / stride)`. With a stride of one they do not depend on the size.
fn same_padding(size: &Dim, extent: u64, stride: u64) -> Result<u64, NodeError> {
    let size = match size {
        Dim::Const(size) => *size,
        Dim::Expr(_) if stride == 1 => return Ok(extent - 1),
        Dim::Expr(_) => {
            let reason = "`auto_pad` with a stride needs known image sizes; fix them with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
    };
    let covered = size.div_ceil(stride).saturating_sub(1).saturating_mul(stride).saturating_add(extent);
    Ok(covered.saturating_sub(size))
}
