//! Reference evaluation of scalar functions, one whole buffer at a time.

use super::special::erf;
use super::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use crate::op::buffer::{Buffer, Raw, Real, in_order, wrap};
use crate::op::eval_error::EvalErrorKind;
use crate::tensor::{ElementType, Tensor};
use std::borrow::Cow;

/// One operand: as many elements as the result, or one for all.
pub(crate) struct Arg<'a> {
    pub(crate) buffer: Cow<'a, Buffer>,
    pub(crate) element: ElementType,
}

impl ScalarOp {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let args: Vec<Arg<'_>> = operands
            .iter()
            .map(|operand| Arg { buffer: Cow::Owned(spread(operand, shape)), element: operand.element() })
            .collect();
        let count = shape.iter().product::<u64>() as usize;
        Ok(Raw::Buffer(apply(*self, &args, count)))
    }
}

/// An operand's elements at the result's shape; a single element stays one.
pub(crate) fn spread(operand: &Tensor, shape: &[u64]) -> Buffer {
    let buffer = Buffer::from_tensor(operand);
    if buffer.len() == 1 || operand.shape() == shape {
        buffer
    } else {
        buffer.broadcast(operand.shape(), shape)
    }
}

/// Applies a function to `count` elements. Element types are what inference accepted.
pub(crate) fn apply(op: ScalarOp, args: &[Arg<'_>], count: usize) -> Buffer {
    let element = args[0].element;
    match (op, args) {
        (ScalarOp::Unary(op), [a]) => unary(op, a, element, count),
        (ScalarOp::Binary(op), [a, b]) => binary(op, &a.buffer, &b.buffer, element, count),
        (ScalarOp::Clip { min, max }, [a]) => clip(&a.buffer, (min, max), element, count),
        (ScalarOp::Select, [condition, a, b]) => select(&condition.buffer, &a.buffer, &b.buffer, count),
        (ScalarOp::Cast(to), [a]) => full(a.buffer.cast(element, to), count),
        _ => unreachable!("inferred: the function has its number of operands"),
    }
}

fn full(buffer: Buffer, count: usize) -> Buffer {
    match buffer {
        Buffer::F32(values) if values.len() == 1 => Buffer::F32(vec![values[0]; count]),
        Buffer::F64(values) if values.len() == 1 => Buffer::F64(vec![values[0]; count]),
        Buffer::Int(values) if values.len() == 1 => Buffer::Int(vec![values[0]; count]),
        full => full,
    }
}

fn map<T: Copy, R: Copy>(a: &[T], count: usize, f: impl Fn(T) -> R) -> Vec<R> {
    match a {
        [one] => vec![f(*one); count],
        all => all.iter().map(|&value| f(value)).collect(),
    }
}

fn zip<T: Copy, U: Copy, R: Copy>(a: &[T], b: &[U], count: usize, f: impl Fn(T, U) -> R) -> Vec<R> {
    match (a, b) {
        ([a], [b]) => vec![f(*a, *b); count],
        (all, [b]) => all.iter().map(|&a| f(a, *b)).collect(),
        ([a], all) => all.iter().map(|&b| f(*a, b)).collect(),
        (a, b) => a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect(),
    }
}

fn unary(op: UnaryOp, arg: &Arg<'_>, element: ElementType, count: usize) -> Buffer {
    fn test<T: Real>(op: UnaryOp, values: &[T], count: usize) -> Buffer {
        let holds = |value: f64| if op == UnaryOp::IsNan { value.is_nan() } else { value.is_infinite() };
        Buffer::Int(map(values, count, |value| i64::from(holds(value.wide()))))
    }
    match arg.buffer.as_ref() {
        Buffer::F32(values) if op.is_test() => test(op, values, count),
        Buffer::F64(values) if op.is_test() => test(op, values, count),
        Buffer::F32(values) => Buffer::F32(unary_real(op, values, count)),
        Buffer::F64(values) => Buffer::F64(unary_real(op, values, count)),
        Buffer::Int(values) => {
            Buffer::Int(map(values, count, |value| wrap(unary_int(op, value, element), element)))
        }
    }
}

fn unary_real<T: Real>(op: UnaryOp, values: &[T], count: usize) -> Vec<T> {
    fn each<T: Real>(values: &[T], count: usize, f: impl Fn(f64) -> f64) -> Vec<T> {
        map(values, count, |value| T::narrow(f(value.wide())))
    }
    match op {
        UnaryOp::Abs => each(values, count, f64::abs),
        UnaryOp::Acos => each(values, count, f64::acos),
        UnaryOp::Acosh => each(values, count, f64::acosh),
        UnaryOp::Asin => each(values, count, f64::asin),
        UnaryOp::Asinh => each(values, count, f64::asinh),
        UnaryOp::Atan => each(values, count, f64::atan),
        UnaryOp::Atanh => each(values, count, f64::atanh),
        UnaryOp::Bfloat16 => each(values, count, bfloat16),
        UnaryOp::Ceil => each(values, count, f64::ceil),
        UnaryOp::Cos => each(values, count, f64::cos),
        UnaryOp::Cosh => each(values, count, f64::cosh),
        UnaryOp::Erf => each(values, count, erf),
        UnaryOp::Exp => each(values, count, f64::exp),
        UnaryOp::Expm1 => each(values, count, f64::exp_m1),
        UnaryOp::Floor => each(values, count, f64::floor),
        UnaryOp::Gelu(GeluKind::Erf) => {
            each(values, count, |x| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)))
        }
        UnaryOp::Gelu(GeluKind::Tanh) => each(values, count, |x| {
            // sqrt(2 / pi)
            let scale = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
            0.5 * x * (1.0 + (scale * (x + 0.044_715 * x * x * x)).tanh())
        }),
        UnaryOp::Log => each(values, count, f64::ln),
        UnaryOp::Neg => each(values, count, |x| -x),
        UnaryOp::Not => each(values, count, |x| f64::from(u8::from(x == 0.0))),
        UnaryOp::Reciprocal => each(values, count, f64::recip),
        // Not `max`, which would drop a NaN.
        UnaryOp::Relu => each(values, count, |x| if x <= 0.0 { 0.0 } else { x }),
        UnaryOp::Round => each(values, count, f64::round_ties_even),
        UnaryOp::Sigmoid => each(values, count, |x| 1.0 / (1.0 + (-x).exp())),
        UnaryOp::Sign => each(values, count, |x| if x == 0.0 || x.is_nan() { x } else { 1f64.copysign(x) }),
        UnaryOp::Silu => each(values, count, |x| x / (1.0 + (-x).exp())),
        UnaryOp::Sin => each(values, count, f64::sin),
        UnaryOp::Sinh => each(values, count, f64::sinh),
        // Not `max`, which would drop a NaN.
        UnaryOp::Softplus => {
            each(values, count, |x| if x <= 0.0 { x.exp().ln_1p() } else { x + (-x).exp().ln_1p() })
        }
        UnaryOp::Small(rounding) => each(values, count, |x| rounding.round(x)),
        UnaryOp::Sqrt => each(values, count, f64::sqrt),
        UnaryOp::Tan => each(values, count, f64::tan),
        UnaryOp::Tanh => each(values, count, f64::tanh),
        UnaryOp::BitNot | UnaryOp::IsInf | UnaryOp::IsNan => {
            unreachable!("inferred: integers only, or computed above")
        }
    }
}

fn unary_int(op: UnaryOp, value: i64, element: ElementType) -> i64 {
    match op {
        UnaryOp::Abs | UnaryOp::Relu if element.is_unsigned() => value,
        UnaryOp::Sign if element.is_unsigned() => i64::from(value != 0),
        UnaryOp::Abs => value.wrapping_abs(),
        UnaryOp::BitNot => !value,
        UnaryOp::Neg => value.wrapping_neg(),
        UnaryOp::Not => i64::from(value == 0),
        UnaryOp::Relu => value.max(0),
        UnaryOp::Sign => value.signum(),
        UnaryOp::Acos
        | UnaryOp::Acosh
        | UnaryOp::Asin
        | UnaryOp::Asinh
        | UnaryOp::Atan
        | UnaryOp::Atanh
        | UnaryOp::Bfloat16
        | UnaryOp::Ceil
        | UnaryOp::Cos
        | UnaryOp::Cosh
        | UnaryOp::Erf
        | UnaryOp::Exp
        | UnaryOp::Expm1
        | UnaryOp::Floor
        | UnaryOp::Gelu(_)
        | UnaryOp::IsInf
        | UnaryOp::IsNan
        | UnaryOp::Log
        | UnaryOp::Reciprocal
        | UnaryOp::Round
        | UnaryOp::Sigmoid
        | UnaryOp::Silu
        | UnaryOp::Sin
        | UnaryOp::Sinh
        | UnaryOp::Small(_)
        | UnaryOp::Softplus
        | UnaryOp::Sqrt
        | UnaryOp::Tan
        | UnaryOp::Tanh => unreachable!("inferred: the function takes floats only"),
    }
}

fn binary(op: BinaryOp, a: &Buffer, b: &Buffer, element: ElementType, count: usize) -> Buffer {
    match (a, b) {
        (Buffer::F32(a), Buffer::F32(b)) => binary_real(op, a, b, count, Buffer::F32),
        (Buffer::F64(a), Buffer::F64(b)) => binary_real(op, a, b, count, Buffer::F64),
        (Buffer::Int(a), Buffer::Int(b)) => Buffer::Int(binary_int(op, a, b, element, count)),
        _ => unreachable!("inferred: both operands have one type"),
    }
}

fn binary_real<T: Real>(op: BinaryOp, a: &[T], b: &[T], count: usize, wrap: fn(Vec<T>) -> Buffer) -> Buffer {
    let compute = |f: fn(f64, f64) -> f64| wrap(zip(a, b, count, |a, b| T::narrow(f(a.wide(), b.wide()))));
    let compare =
        |f: fn(&f64, &f64) -> bool| Buffer::Int(zip(a, b, count, |a, b| i64::from(f(&a.wide(), &b.wide()))));
    match op {
        // The three that dominate real models are spelled out, so that each becomes a loop of its own.
        BinaryOp::Add => wrap(zip(a, b, count, |a, b| T::narrow(a.wide() + b.wide()))),
        BinaryOp::Sub => wrap(zip(a, b, count, |a, b| T::narrow(a.wide() - b.wide()))),
        BinaryOp::Mul => wrap(zip(a, b, count, |a, b| T::narrow(a.wide() * b.wide()))),
        BinaryOp::Div => compute(|a, b| a / b),
        BinaryOp::Max => compute(larger),
        BinaryOp::Min => compute(smaller),
        BinaryOp::Pow => compute(f64::powf),
        BinaryOp::Rem => compute(|a, b| a % b),
        BinaryOp::Mod => compute(floored_remainder),
        BinaryOp::Equal => compare(f64::eq),
        BinaryOp::Less => compare(f64::lt),
        BinaryOp::LessOrEqual => compare(f64::le),
        BinaryOp::Greater => compare(f64::gt),
        BinaryOp::GreaterOrEqual => compare(f64::ge),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => unreachable!("inferred: logic takes bools only"),
        BinaryOp::BitAnd
        | BinaryOp::BitOr
        | BinaryOp::BitXor
        | BinaryOp::ShiftLeft
        | BinaryOp::ShiftRight => unreachable!("inferred: bits are those of integers"),
    }
}

fn binary_int(op: BinaryOp, a: &[i64], b: &[i64], element: ElementType, count: usize) -> Vec<i64> {
    let compute = |f: fn(i64, i64) -> i64| zip(a, b, count, |a, b| wrap(f(a, b), element));
    if element == ElementType::U64
        && let Some(f) = of_bits(op)
    {
        return zip(a, b, count, |a, b| f(a.cast_unsigned(), b.cast_unsigned()).cast_signed());
    }
    match op {
        BinaryOp::Add => compute(i64::wrapping_add),
        BinaryOp::Sub => compute(i64::wrapping_sub),
        BinaryOp::Mul => compute(i64::wrapping_mul),
        // Division by zero gives zero, as on a device.
        BinaryOp::Div => compute(|a, b| if b == 0 { 0 } else { a.wrapping_div(b) }),
        BinaryOp::Rem => compute(|a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
        BinaryOp::Mod => compute(|a, b| {
            let remainder = if b == 0 { 0 } else { a.wrapping_rem(b) };
            if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder }
        }),
        BinaryOp::BitAnd => compute(|a, b| a & b),
        BinaryOp::BitOr => compute(|a, b| a | b),
        BinaryOp::BitXor => compute(|a, b| a ^ b),
        BinaryOp::ShiftLeft => compute(|a, b| shift_count(b).map_or(0, |count| a << count)),
        BinaryOp::ShiftRight => compute(|a, b| shift_count(b).map_or(a >> 63, |count| a >> count)),
        BinaryOp::Max => compute(i64::max),
        BinaryOp::Min => compute(i64::min),
        BinaryOp::Pow => compute(int_power),
        BinaryOp::Equal => compute(|a, b| i64::from(a == b)),
        BinaryOp::Less => compute(|a, b| i64::from(a < b)),
        BinaryOp::LessOrEqual => compute(|a, b| i64::from(a <= b)),
        BinaryOp::Greater => compute(|a, b| i64::from(a > b)),
        BinaryOp::GreaterOrEqual => compute(|a, b| i64::from(a >= b)),
        BinaryOp::And => compute(|a, b| a & b),
        BinaryOp::Or => compute(|a, b| a | b),
        BinaryOp::Xor => compute(|a, b| a ^ b),
    }
}

/// What u64 computes otherwise than i64 does with the same bits.
fn of_bits(op: BinaryOp) -> Option<fn(u64, u64) -> u64> {
    Some(match op {
        BinaryOp::Div => |a, b| a.checked_div(b).unwrap_or(0),
        BinaryOp::Rem | BinaryOp::Mod => |a, b| a.checked_rem(b).unwrap_or(0),
        BinaryOp::ShiftRight => {
            |a, b| u32::try_from(b).ok().and_then(|count| a.checked_shr(count)).unwrap_or(0)
        }
        BinaryOp::Max => u64::max,
        BinaryOp::Min => u64::min,
        BinaryOp::Less => |a, b| u64::from(a < b),
        BinaryOp::LessOrEqual => |a, b| u64::from(a <= b),
        BinaryOp::Greater => |a, b| u64::from(a > b),
        BinaryOp::GreaterOrEqual => |a, b| u64::from(a >= b),
        // An exponent from 2^63 on has no sign either.
        BinaryOp::Pow => |a, b| unsigned_power(a, b),
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::BitAnd
        | BinaryOp::BitOr
        | BinaryOp::BitXor
        | BinaryOp::ShiftLeft
        | BinaryOp::Equal
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Xor => return None,
    })
}

/// The larger of two, NaN if either is.
pub(crate) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of two, NaN if either is.
pub(crate) fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The bfloat16 next to `value`, of two the even one: the upper half of an f32.
fn bfloat16(value: f64) -> f64 {
    let single = value as f32;
    let bits = single.to_bits();
    if single.is_nan() {
        return f64::NAN;
    }
    let even = (bits >> 16) & 1;
    f64::from(f32::from_bits((bits + 0x7fff + even) & 0xffff_0000))
}

/// The remainder with the sign of the divisor.
fn floored_remainder(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { remainder + b } else { remainder }
}

/// How far an i64 can be shifted; `None` beyond that and below zero.
fn shift_count(count: i64) -> Option<u32> {
    u32::try_from(count).ok().filter(|&count| count < i64::BITS)
}

/// Wraps like repeated multiplication; a negative exponent truncates the reciprocal, which zero has none of: it stays zero.
fn int_power(base: i64, exponent: i64) -> i64 {
    match u64::try_from(exponent) {
        Err(_) => match base {
            1 => 1,
            -1 => 1 - 2 * (exponent & 1),
            _ => 0,
        },
        Ok(exponent) => unsigned_power(base.cast_unsigned(), exponent).cast_signed(),
    }
}

/// Wraps like repeated multiplication, which has the same bits with a sign and without.
fn unsigned_power(base: u64, mut exponent: u64) -> u64 {
    let (mut result, mut square) = (1u64, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    result
}

fn clip(a: &Buffer, (min, max): (f64, f64), element: ElementType, count: usize) -> Buffer {
    // Like ONNX, `max` wins where the bounds cross; a NaN stays.
    fn limit<T: Real>(values: &[T], count: usize, min: f64, max: f64) -> Vec<T> {
        map(values, count, |value| {
            let value = value.wide();
            // A zero becomes the bound's zero.
            let raised = if value <= min { min } else { value };
            T::narrow(if raised >= max { max } else { raised })
        })
    }
    match a {
        Buffer::F32(values) => Buffer::F32(limit(values, count, min, max)),
        Buffer::F64(values) => Buffer::F64(limit(values, count, min, max)),
        Buffer::Int(values) => {
            let (min, max) = (min.ceil() as i64, max.floor() as i64);
            let (min, max) = match element {
                ElementType::U64 => (in_order(min.max(0), element), in_order(max.max(0), element)),
                _ => (min, max),
            };
            let limited = |value| in_order(in_order(value, element).max(min).min(max), element);
            Buffer::Int(map(values, count, limited))
        }
    }
}

fn select(condition: &Buffer, a: &Buffer, b: &Buffer, count: usize) -> Buffer {
    let Buffer::Int(condition) = condition else { unreachable!("inferred: the condition is bool") };
    fn pick<T: Copy>(condition: &[i64], a: &[T], b: &[T], count: usize) -> Vec<T> {
        let at = |values: &[T], index: usize| if values.len() == 1 { values[0] } else { values[index] };
        (0..count)
            .map(|index| {
                let holds = if condition.len() == 1 { condition[0] } else { condition[index] } != 0;
                if holds { at(a, index) } else { at(b, index) }
            })
            .collect()
    }
    match (a, b) {
        (Buffer::F32(a), Buffer::F32(b)) => Buffer::F32(pick(condition, a, b, count)),
        (Buffer::F64(a), Buffer::F64(b)) => Buffer::F64(pick(condition, a, b, count)),
        (Buffer::Int(a), Buffer::Int(b)) => Buffer::Int(pick(condition, a, b, count)),
        _ => unreachable!("inferred: both choices have one type"),
    }
}
