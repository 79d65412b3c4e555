//! Matrix products and convolutions.

use super::activation::times;
use super::window::{Padding, distribute, extents, groups, kernel_shape, padding, positive_list};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Conv, ConvTranspose, MatMul};
use drift_ir::{Op, ValueId};

/// MatMul. Operands of rank one are a row (first) or a column (second), whose axis the result drops. Since 9 also
/// integers.
pub(super) fn matmul(cx: &mut NodeCx<'_, '_>) -> Results {
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    Ok(vec![product(cx, a, b)?])
}

/// The product as MatMul has it.
pub(super) fn product(cx: &mut NodeCx<'_, '_>, a: ValueId, b: ValueId) -> Result<ValueId, NodeError> {
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
    cx.reshape(product, shape)
}

/// Gemm: `alpha A B + beta C` with optional transposes; C broadcasts to the product, before 7 where `broadcast` says so, and may be absent since 11.
/// A `beta` of zero leaves C out, so that its infinities do not count, as in BLAS.
pub(super) fn gemm(cx: &mut NodeCx<'_, '_>) -> Results {
    if cx.is_before(7) {
        cx.attributes.ignore(&["broadcast"]);
    }
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
    let product = times(cx, product, alpha)?;
    let Some(c) = cx.optional(2).filter(|_| beta != 0.0) else { return Ok(vec![product]) };
    let c = times(cx, c, beta)?;
    let sum = cx.binary(BinaryOp::Add, product, c)?;
    if cx.rank(sum) != 2 {
        return Err(NodeError::Operands("the addend has a higher rank than the product".to_owned()));
    }
    Ok(vec![sum])
}

/// Conv over one, two or three spatial axes, with groups. Operator sets differ in element types only.
pub(super) fn conv(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, weight, bias) = (cx.operand(0)?, cx.operand(1)?, cx.optional(2));
    Ok(vec![convolution(cx, x, weight, bias)?])
}

/// The convolution that the node's attributes describe.
pub(super) fn convolution(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
) -> Result<ValueId, NodeError> {
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
    let groups = groups(cx)?;
    let extents = extents(&kernel, &dilations)?;
    let pads = padding(cx, spatial)?.resolve(&cx.shape(x)[2..], &extents, &strides)?;
    let operands: Vec<ValueId> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
    cx.emit(Op::Conv(Conv { strides, pads, dilations, groups }), &operands)
}

/// ConvTranspose over one, two or three spatial axes, with groups. `output_shape` overrides `pads`: what is too much is
/// cut off at both ends, the odd result at the beginning but for SAME_UPPER; what is missing is added at the end.
pub(super) fn conv_transpose(cx: &mut NodeCx<'_, '_>) -> Results {
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
    let mut output_padding = natural_list(cx, "output_padding", spatial)?.unwrap_or_else(|| vec![0; spatial]);
    let output_shape = natural_list(cx, "output_shape", spatial)?;
    let groups = groups(cx)?;
    let extents = extents(&kernel, &dilations)?;
    let padding = padding(cx, spatial)?;
    let sizes = cx.shape(x)[2..].to_vec();
    let more_at_end = matches!(padding, Padding::Same { more_at_end: true });
    let reach =
        |axis: usize, size: u64| size.checked_sub(1)?.checked_mul(strides[axis])?.checked_add(extents[axis]);
    // Results beyond the last that an element reaches are added at the end.
    if let Some(shape) = &output_shape {
        for (axis, size) in sizes.iter().enumerate() {
            if let Some(reached) = size.as_const().and_then(|size| reach(axis, size)) {
                let missing = shape[axis].saturating_sub(reached);
                output_padding[axis] = output_padding[axis].max(missing);
            }
        }
    }
    let full = |axis: usize, size: u64| reach(axis, size)?.checked_add(output_padding[axis]);
    let mut totals = Vec::new();
    for (axis, size) in sizes.iter().enumerate() {
        let wanted = |size: u64| match &output_shape {
            Some(shape) => Some(shape[axis]),
            None => size.checked_mul(strides[axis]),
        };
        let total = size.as_const().and_then(|size| full(axis, size)?.checked_sub(wanted(size)?));
        totals.push(total);
    }
    let pads = match padding {
        Padding::Explicit { pads, .. } if output_shape.is_none() => pads,
        Padding::Explicit { .. } | Padding::Same { .. } => {
            let free = sizes.iter().position(|size| size.as_const().is_none());
            let asked = if output_shape.is_some() { "`output_shape`" } else { "`auto_pad` SAME" };
            let reason = match free {
                Some(axis) => format!(
                    "{asked} with a free size of spatial axis {axis} is not supported; fix it with --dim"
                ),
                None => {
                    format!("{asked} asks for more results than the windows give, which is not supported")
                }
            };
            let totals: Option<Vec<u64>> = totals.into_iter().collect();
            distribute(&totals.ok_or(NodeError::Unsupported(reason))?, more_at_end)
        }
    };
    let operands: Vec<ValueId> = [Some(x), Some(weight), cx.optional(2)].into_iter().flatten().collect();
    let op = Op::ConvTranspose(ConvTranspose { strides, pads, dilations, output_padding, groups });
    Ok(vec![cx.emit(op, &operands)?])
}

/// A list with one number that is not negative per spatial axis, if it is there.
fn natural_list(
    cx: &mut NodeCx<'_, '_>,
    name: &'static str,
    spatial: usize,
) -> Result<Option<Vec<u64>>, NodeError> {
    let Some(given) = cx.attributes.ints(name)? else { return Ok(None) };
    let list: Vec<u64> = given.iter().filter_map(|&number| u64::try_from(number).ok()).collect();
    if given.len() != spatial || list.len() != spatial {
        let expected = format!("{spatial} numbers that are not negative");
        return Err(NodeError::Value { name, value: format!("{given:?}"), expected });
    }
    Ok(Some(list))
}
