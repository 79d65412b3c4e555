//! Operators on the representation of numbers: tests for infinities and NaNs, remainders, bits.

use super::elementwise::{binary, unary};
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Op, Tensor, ValueId};

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
    let bits = |x: ElementType| x.size_bytes() * 8;
    // Wider types hold the narrower ones that the graph lacks, so that the result's width is the operand's in the file.
    let fits = match ty {
        DataType::Uint16 | DataType::Int16 => from == ElementType::I32,
        DataType::Uint32 | DataType::Int32 => matches!(from, ElementType::I32 | ElementType::I64),
        _ => bits(from) as u64 == ty.bits(),
    };
    if !fits {
        let reason = format!("{} and {} have other numbers of bits", from.name(), ty.name());
        return Err(NodeError::Operands(reason));
    }
    match ty {
        DataType::Bool => unsupported("bits as bool are not supported; compare with zero".to_owned()),
        DataType::Uint64 => {
            unsupported("bits as uint64 are not supported: half of them are beyond int64".to_owned())
        }
        DataType::Uint16 => with_mask(cx, x, f64::from(u16::MAX)),
        DataType::Uint32 => {
            let wide = cx.cast(x, ElementType::I64)?;
            with_mask(cx, wide, f64::from(u32::MAX))
        }
        DataType::Int16 => {
            let offset = cx.scalar_like(x, 32768.0)?;
            let moved = cx.binary(BinaryOp::Add, x, offset)?;
            let kept = with_mask(cx, moved, f64::from(u16::MAX))?[0];
            Ok(vec![cx.binary(BinaryOp::Sub, kept, offset)?])
        }
        _ => Ok(vec![cx.cast(x, to)?]),
    }
}

/// The low bits.
fn with_mask(cx: &mut NodeCx<'_, '_>, x: ValueId, mask: f64) -> Results {
    let mask = cx.scalar_like(x, mask)?;
    Ok(vec![cx.binary(BinaryOp::BitAnd, x, mask)?])
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
