//! Operators on the representation of numbers: tests for infinities and NaNs, remainders, bits.

use super::elementwise::{binary, unary};
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{Op, Tensor, ValueId};

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

/// BitShift, since 11 of unsigned integers, since 28 of signed ones, whose sign a shift to the right keeps.
pub(super) fn bit_shift(cx: &mut NodeCx<'_, '_>) -> Results {
    match cx.attributes.text("direction")?.ok_or(NodeError::MissingAttribute("direction"))? {
        "RIGHT" => binary(cx, BinaryOp::ShiftRight),
        "LEFT" => binary(cx, BinaryOp::ShiftLeft),
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

/// BitCast, since 26: of constants, between types that the graph holds as they are, and between integers of one width. Refused: between floats
/// and integers that are data.
pub(super) fn bit_cast(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let given = cx.attributes.int("to")?.ok_or(NodeError::MissingAttribute("to"))?;
    let unsupported = |reason: String| Err(NodeError::Unsupported(reason));
    let ty = match i32::try_from(given).map_err(|_| given.to_string()).and_then(DataType::from_proto) {
        Ok(ty) if !ty.is_narrow() => ty,
        Ok(ty) => return unsupported(format!("bits as {} are not supported", ty.name())),
        Err(name) => return unsupported(format!("bits as {name} are not supported")),
    };
    let (from, to) = (cx.element(x), ty.element());
    if from == to && ty.is_exact() {
        return Ok(vec![x]);
    }
    if from.is_float() || to.is_float() {
        return constant_bits(cx, x, ty);
    }
    if from.size_bytes() != to.size_bytes() || !ty.is_exact() {
        let reason = format!("{} and {} have other numbers of bits", from.name(), ty.name());
        return Err(NodeError::Operands(reason));
    }
    match ty {
        DataType::Bool => unsupported("bits as bool are not supported; compare with zero".to_owned()),
        _ => Ok(vec![cx.cast(x, to)?]),
    }
}

/// The bits of a constant in another type.
fn constant_bits(cx: &mut NodeCx<'_, '_>, x: ValueId, ty: DataType) -> Results {
    let from = cx.element(x);
    let Some(constant) = cx.constant_tensor(x).cloned() else {
        let reason = format!(
            "the bits of {} that is data cannot be read as {}; only those of constants can",
            from.name(),
            ty.name()
        );
        return Err(NodeError::Unsupported(reason));
    };
    if !ty.is_exact() || from.size_bytes() as u64 * 8 != ty.bits() {
        let reason = format!("the bits of {} cannot be read as {}", from.name(), ty.name());
        return Err(NodeError::Unsupported(reason));
    }
    cx.take(Resource::ConstantBytes, constant.size_bytes())?;
    Ok(vec![cx.constant(Tensor::new(ty.element(), constant.shape(), constant.bytes().clone())?)?])
}
