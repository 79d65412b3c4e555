//! Arithmetic on literals, as a device would do it.
//!
//! `None` means that the result is left to the device: division by zero, a shift by the width or more, a result that is
//! not finite, and functions whose last bit differs between devices.

use naga::{BinaryOperator as Op, Literal, MathFunction, ScalarKind, UnaryOperator};

/// `op value`.
pub(super) fn unary(op: UnaryOperator, value: Literal) -> Option<Literal> {
    Some(match (op, value) {
        (UnaryOperator::Negate, Literal::I32(value)) => Literal::I32(value.wrapping_neg()),
        (UnaryOperator::Negate, Literal::F32(value)) => Literal::F32(-value),
        (UnaryOperator::Negate, Literal::F16(value)) => Literal::F16(-value),
        (UnaryOperator::LogicalNot, Literal::Bool(value)) => Literal::Bool(!value),
        (UnaryOperator::BitwiseNot, Literal::U32(value)) => Literal::U32(!value),
        (UnaryOperator::BitwiseNot, Literal::I32(value)) => Literal::I32(!value),
        _ => return None,
    })
}

/// `left op right`, for operands of one type; a shift takes a u32 on the right.
pub(super) fn binary(op: Op, left: Literal, right: Literal) -> Option<Literal> {
    match (left, right) {
        (Literal::U32(left), Literal::U32(right)) => u32s(op, left, right),
        (Literal::I32(left), Literal::I32(right)) => i32s(op, left, right),
        (Literal::I32(left), Literal::U32(right)) => match op {
            Op::ShiftLeft if right < 32 => Some(Literal::I32(left.wrapping_shl(right))),
            Op::ShiftRight if right < 32 => Some(Literal::I32(left.wrapping_shr(right))),
            _ => None,
        },
        (Literal::F32(left), Literal::F32(right)) => {
            compared(op, left.partial_cmp(&right)).or_else(|| f32s(op, left, right).map(Literal::F32))
        }
        (Literal::F16(left), Literal::F16(right)) => compared(op, left.partial_cmp(&right)).or_else(|| {
            let value = half::f16::from_f32(f32s(op, left.to_f32(), right.to_f32())?);
            value.is_finite().then_some(Literal::F16(value))
        }),
        (Literal::Bool(left), Literal::Bool(right)) => bools(op, left, right),
        _ => None,
    }
}

fn u32s(op: Op, left: u32, right: u32) -> Option<Literal> {
    let value = match op {
        Op::Add => left.wrapping_add(right),
        Op::Subtract => left.wrapping_sub(right),
        Op::Multiply => left.wrapping_mul(right),
        Op::Divide => left.checked_div(right)?,
        Op::Modulo => left.checked_rem(right)?,
        Op::And => left & right,
        Op::ExclusiveOr => left ^ right,
        Op::InclusiveOr => left | right,
        Op::ShiftLeft => left.checked_shl(right)?,
        Op::ShiftRight => left.checked_shr(right)?,
        _ => return compared(op, Some(left.cmp(&right))),
    };
    Some(Literal::U32(value))
}

fn i32s(op: Op, left: i32, right: i32) -> Option<Literal> {
    let value = match op {
        Op::Add => left.wrapping_add(right),
        Op::Subtract => left.wrapping_sub(right),
        Op::Multiply => left.wrapping_mul(right),
        Op::Divide => left.checked_div(right)?,
        Op::Modulo => left.checked_rem(right)?,
        Op::And => left & right,
        Op::ExclusiveOr => left ^ right,
        Op::InclusiveOr => left | right,
        _ => return compared(op, Some(left.cmp(&right))),
    };
    Some(Literal::I32(value))
}

fn f32s(op: Op, left: f32, right: f32) -> Option<f32> {
    let value = match op {
        Op::Add => left + right,
        Op::Subtract => left - right,
        Op::Multiply => left * right,
        Op::Divide => left / right,
        _ => return None,
    };
    value.is_finite().then_some(value)
}

fn bools(op: Op, left: bool, right: bool) -> Option<Literal> {
    Some(Literal::Bool(match op {
        Op::LogicalAnd | Op::And => left && right,
        Op::LogicalOr | Op::InclusiveOr => left || right,
        Op::Equal => left == right,
        Op::NotEqual | Op::ExclusiveOr => left != right,
        _ => return None,
    }))
}

fn compared(op: Op, order: Option<std::cmp::Ordering>) -> Option<Literal> {
    let order = order?;
    Some(Literal::Bool(match op {
        Op::Equal => order.is_eq(),
        Op::NotEqual => order.is_ne(),
        Op::Less => order.is_lt(),
        Op::LessEqual => order.is_le(),
        Op::Greater => order.is_gt(),
        Op::GreaterEqual => order.is_ge(),
        _ => return None,
    }))
}

/// `function(arguments)`, for functions that every device computes alike.
pub(super) fn math(function: MathFunction, arguments: &[Literal]) -> Option<Literal> {
    match (function, arguments) {
        (MathFunction::Min, &[left, right]) => {
            Some(if is_true(binary(Op::Less, left, right)?) { left } else { right })
        }
        (MathFunction::Max, &[left, right]) => {
            Some(if is_true(binary(Op::Less, left, right)?) { right } else { left })
        }
        (MathFunction::Clamp, &[value, low, high]) => {
            math(MathFunction::Min, &[math(MathFunction::Max, &[value, low])?, high])
        }
        (MathFunction::Abs, &[Literal::I32(value)]) => Some(Literal::I32(value.wrapping_abs())),
        (MathFunction::Abs, &[Literal::U32(value)]) => Some(Literal::U32(value)),
        (MathFunction::Abs, &[Literal::F32(value)]) => Some(Literal::F32(value.abs())),
        (MathFunction::Floor, &[Literal::F32(value)]) => Some(Literal::F32(value.floor())),
        (MathFunction::Ceil, &[Literal::F32(value)]) => Some(Literal::F32(value.ceil())),
        (MathFunction::Trunc, &[Literal::F32(value)]) => Some(Literal::F32(value.trunc())),
        (MathFunction::Sqrt, &[Literal::F32(value)]) if value >= 0.0 => Some(Literal::F32(value.sqrt())),
        (MathFunction::CountOneBits, &[Literal::U32(value)]) => Some(Literal::U32(value.count_ones())),
        _ => None,
    }
}

/// Whether a literal is `true`.
pub(super) fn is_true(literal: Literal) -> bool {
    literal == Literal::Bool(true)
}

/// Conversion by value, as `u32(x)` writes it.
pub(super) fn convert(value: Literal, kind: ScalarKind, width: u8) -> Option<Literal> {
    let number = match value {
        Literal::U32(value) => f64::from(value),
        Literal::I32(value) => f64::from(value),
        Literal::F32(value) => f64::from(value),
        Literal::F16(value) => value.to_f64(),
        Literal::Bool(value) => f64::from(u8::from(value)),
        _ => return None,
    };
    Some(match (kind, width, value) {
        // Integers keep their bits.
        #[expect(clippy::cast_sign_loss, reason = "WGSL converts between integers by bits")]
        (ScalarKind::Uint, 4, Literal::I32(value)) => Literal::U32(value as u32),
        #[expect(clippy::cast_possible_wrap, reason = "WGSL converts between integers by bits")]
        (ScalarKind::Sint, 4, Literal::U32(value)) => Literal::I32(value as i32),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates and rounds to zero, as WGSL does"
        )]
        (ScalarKind::Uint, 4, _) => Literal::U32(number as u32),
        #[expect(clippy::cast_possible_truncation, reason = "saturates and rounds to zero, as WGSL does")]
        (ScalarKind::Sint, 4, _) => Literal::I32(number as i32),
        #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
        (ScalarKind::Float, 4, _) => Literal::F32(number as f32),
        (ScalarKind::Float, 2, _) => {
            let value = half::f16::from_f64(number);
            return value.is_finite().then_some(Literal::F16(value));
        }
        (ScalarKind::Bool, 1, _) => Literal::Bool(number != 0.0),
        _ => return None,
    })
}

/// The same 32 bits as another type.
pub(super) fn bitcast(value: Literal, kind: ScalarKind) -> Option<Literal> {
    let bits = match value {
        Literal::U32(value) => value,
        Literal::I32(value) => value.cast_unsigned(),
        Literal::F32(value) => value.to_bits(),
        _ => return None,
    };
    match kind {
        ScalarKind::Uint => Some(Literal::U32(bits)),
        ScalarKind::Sint => Some(Literal::I32(bits.cast_signed())),
        ScalarKind::Float => Some(f32::from_bits(bits)).filter(|value| value.is_finite()).map(Literal::F32),
        ScalarKind::Bool | ScalarKind::AbstractInt | ScalarKind::AbstractFloat => None,
    }
}

/// Whether a literal equals the small number `value` in its own type.
pub(super) fn is_number(literal: Literal, value: u8) -> bool {
    match literal {
        Literal::U32(literal) => literal == u32::from(value),
        Literal::I32(literal) => literal == i32::from(value),
        Literal::F32(literal) => literal == f32::from(value),
        Literal::F16(literal) => literal.to_f32() == f32::from(value),
        _ => false,
    }
}

/// Whether `x + zero`, or `x - zero`, is `x` whatever `x` is, its sign if it is zero included.
pub(super) fn keeps_under(op: Op, zero: Literal) -> bool {
    let is_negative = match zero {
        Literal::F32(zero) => zero.is_sign_negative(),
        Literal::F16(zero) => zero.is_sign_negative(),
        _ => return true,
    };
    is_negative == (op == Op::Add)
}

/// Whether a literal is of an integer type.
pub(super) fn is_integer(literal: Literal) -> bool {
    matches!(literal, Literal::U32(_) | Literal::I32(_))
}
