//! Operators on the representation of numbers: tests for infinities and NaNs, remainders, bits.

use super::elementwise::{binary, unary};
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Op, Tensor};

/// IsInf, since 10. One sign alone is told by clipping the other away.
pub(super) fn is_inf(cx: &mut NodeCx<'_, '_>) -> Results {
    let negative = cx.attributes.flag("detect_negative", true)?;
    let positive = cx.attributes.flag("detect_positive", true)?;
    let x = cx.operand(0)?;
    let (min, max) = match (negative, positive) {
        (true, true) => return unary(cx, UnaryOp::IsInf),
        (true, false) => (f64::NEG_INFINITY, 0.0),
        (false, true) => (0.0, f64::INFINITY),
        (false, false) => {
            let shape = cx.shape(x);
            let no = cx.constant(Tensor::scalar_bool(false))?;
            return Ok(vec![cx.expand(no, shape)?]);
        }
    };
    let side = cx.emit(Op::Elementwise(ScalarOp::Clip { min, max }), &[x])?;
    Ok(vec![cx.unary(UnaryOp::IsInf, side)?])
}

/// IsNaN, since 9.
pub(super) fn is_nan(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::IsNan)
}

/// Mod, since 10. The remainder has the divisor's sign, with `fmod` the dividend's. Before 28 floats need `fmod`; without
/// it they are computed as 28 defines.
pub(super) fn modulo(cx: &mut NodeCx<'_, '_>) -> Results {
    let truncates = cx.attributes.flag("fmod", false)?;
    binary(cx, if truncates { BinaryOp::Rem } else { BinaryOp::Mod })
}

/// BitShift, since 11, of unsigned integers. Those wider than eight bits are held in signed types that are wider still,
/// where bits shifted to the left would not fall off.
pub(super) fn bit_shift(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    match cx.attributes.text("direction")?.ok_or(NodeError::MissingAttribute("direction"))? {
        "RIGHT" => binary(cx, BinaryOp::ShiftRight),
        "LEFT" if cx.element(x) == ElementType::U8 => binary(cx, BinaryOp::ShiftLeft),
        "LEFT" => {
            Err(NodeError::Unsupported("left shifts of other types than uint8 are not supported".to_owned()))
        }
        other => {
            let expected = "LEFT or RIGHT".to_owned();
            Err(NodeError::Value { name: "direction", value: other.to_owned(), expected })
        }
    }
}

/// BitwiseAnd, since 18.
pub(super) fn bitwise_and(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::BitAnd)
}

/// BitwiseNot, since 18.
pub(super) fn bitwise_not(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::BitNot)
}

/// BitwiseOr, since 18.
pub(super) fn bitwise_or(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::BitOr)
}

/// BitwiseXor, since 18.
pub(super) fn bitwise_xor(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::BitXor)
}
