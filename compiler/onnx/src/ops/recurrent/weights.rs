//! Weights of a recurrent network, and what a product with them is.

use super::super::quantize::dynamically;
use super::super::quantized::less_zero;
use super::form::expect;
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::{BinaryOp, MatMul};
use drift_ir::{Dim, Op, ValueId};

/// A matrix `[rows, columns]`, or one for each direction.
#[derive(Clone, Copy)]
pub(super) enum Weights {
    /// Numbers.
    Floats(ValueId),
    /// Integers less their zero points, as i32, and scales: one for all, or one for each row. What they multiply is quantized
    /// by its own range.
    Integers { integers: ValueId, scale: ValueId },
}

impl Weights {
    /// Those of an operand.
    pub(super) fn floats(
        cx: &mut NodeCx<'_, '_>,
        (name, at): (&str, usize),
        shape: [u64; 3],
    ) -> Result<Self, NodeError> {
        let weights = cx.operand(at)?;
        expect(cx, weights, name, &shape.map(Dim::Const))?;
        Ok(Self::Floats(weights))
    }

    /// Those of an operand that has columns before rows: W is 1 and R is 2, and the scales and zero points of both follow on the
    /// peepholes.
    pub(super) fn quantized(
        cx: &mut NodeCx<'_, '_>,
        (name, at): (&str, usize),
        [directions, rows, columns]: [u64; 3],
    ) -> Result<Self, NodeError> {
        let weights = cx.operand(at)?;
        expect(cx, weights, name, &[directions, columns, rows].map(Dim::Const))?;
        let (scale, zero) = (cx.operand(6 + 2 * at)?, cx.operand(7 + 2 * at)?);
        let scale = by_row(cx, scale)?;
        let zero = by_row(cx, zero)?;
        let integers = less_zero(cx, weights, Some(zero), at)?;
        Ok(Self::Integers { integers: cx.transpose(integers, vec![0, 2, 1])?, scale })
    }

    /// Those of a direction.
    pub(super) fn row(self, cx: &mut NodeCx<'_, '_>, at: u64) -> Result<Self, NodeError> {
        Ok(match self {
            Self::Floats(all) => Self::Floats(row(cx, all, at)?),
            Self::Integers { integers, scale } => {
                Self::Integers { integers: row(cx, integers, at)?, scale: row(cx, scale, at)? }
            }
        })
    }

    /// Some of the rows of one direction.
    pub(super) fn rows(self, cx: &mut NodeCx<'_, '_>, start: u64, count: u64) -> Result<Self, NodeError> {
        Ok(match self {
            Self::Floats(all) => Self::Floats(cx.part(all, 0, start, count)?),
            Self::Integers { integers, scale } => {
                let one_scale = cx.shape(scale).last() == Some(&Dim::Const(1));
                let scale = if one_scale { scale } else { cx.part(scale, 1, start, count)? };
                Self::Integers { integers: cx.part(integers, 0, start, count)?, scale }
            }
        })
    }

    /// `x` times the transpose of one direction's.
    pub(super) fn product(self, cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
        let transposed = Op::MatMul(MatMul { transpose_b: true });
        match self {
            Self::Floats(weights) => cx.emit(transposed, &[x, weights]),
            Self::Integers { integers, scale } => {
                let [x, of_x, zero] = dynamically(cx, x)?;
                let x = less_zero(cx, x, Some(zero), 0)?;
                let sum = cx.emit(transposed, &[x, integers])?;
                let sum = cx.cast(sum, cx.element(scale))?;
                let factor = cx.binary(BinaryOp::Mul, scale, of_x)?;
                cx.binary(BinaryOp::Mul, sum, factor)
            }
        }
    }
}

/// A scale or zero point for each direction, or for each of its rows, as `[directions, 1, 1 or rows]`.
fn by_row(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    match &cx.shape(x)[..] {
        [directions] => cx.reshape(x, vec![directions.clone(), Dim::Const(1), Dim::Const(1)]),
        [directions, rows] => cx.reshape(x, vec![directions.clone(), Dim::Const(1), rows.clone()]),
        other => {
            let rank = other.len();
            Err(NodeError::Operands(format!("a scale or zero point has rank {rank}, expected 1 or 2")))
        }
    }
}

/// One of the things along the first axis, without that axis.
pub(super) fn row(cx: &mut NodeCx<'_, '_>, x: ValueId, at: u64) -> Result<ValueId, NodeError> {
    let shape = cx.shape(x)[1..].to_vec();
    let x = cx.part(x, 0, at, 1)?;
    cx.reshape(x, shape)
}
