//! Ranges of scalar functions.

use super::interval::Interval;
use drift_ir::ElementType;
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};

/// The type that a function makes of arguments of these.
pub(super) fn element(op: ScalarOp, arguments: &[ElementType]) -> ElementType {
    match op {
        ScalarOp::Cast(to) => to,
        ScalarOp::Binary(op) if op.is_comparison() || op.is_logic() => ElementType::Bool,
        ScalarOp::Unary(op) if op.is_test() => ElementType::Bool,
        ScalarOp::Select => arguments.get(1).copied().unwrap_or(ElementType::F32),
        ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } => {
            arguments.first().copied().unwrap_or(ElementType::F32)
        }
    }
}

/// What a function computes exactly of numbers from these ranges.
pub(super) fn range(op: ScalarOp, args: &[Interval], elements: &[ElementType]) -> Interval {
    let arg = |n: usize| args.get(n).copied().unwrap_or(Interval::ALL);
    let is_float = |n: usize| elements.get(n).is_none_or(|element| element.is_float());
    match op {
        ScalarOp::Unary(op) => unary(op, arg(0)),
        ScalarOp::Binary(op) => binary(op, arg(0), arg(1), is_float(0)),
        ScalarOp::Clip { min, max } => {
            Interval::new(arg(0).low.max(min).min(max), arg(0).high.max(min).min(max))
        }
        ScalarOp::Select => arg(1).join(arg(2)),
        ScalarOp::Cast(ElementType::Bool) => Interval::stored(ElementType::Bool),
        ScalarOp::Cast(to) if to.is_float() => arg(0),
        // Toward zero, and zero of what is no number.
        ScalarOp::Cast(_) if is_float(0) => arg(0).map(f64::trunc).join(Interval::ZERO),
        ScalarOp::Cast(_) => arg(0),
    }
}

fn unary(op: UnaryOp, x: Interval) -> Interval {
    match op {
        UnaryOp::Abs => {
            let least = if x.low <= 0.0 && x.high >= 0.0 { 0.0 } else { x.low.abs().min(x.high.abs()) };
            Interval::new(least, x.magnitude())
        }
        UnaryOp::Neg => x.negate(),
        UnaryOp::Relu => x.map(|x| x.max(0.0)),
        UnaryOp::Sign | UnaryOp::Tanh | UnaryOp::Erf | UnaryOp::Sin | UnaryOp::Cos => {
            Interval::new(-1.0, 1.0)
        }
        UnaryOp::Sigmoid | UnaryOp::IsInf | UnaryOp::IsNan | UnaryOp::Not => Interval::new(0.0, 1.0),
        UnaryOp::BitNot => x.map(|x| -x - 1.0),
        UnaryOp::Ceil => x.map(f64::ceil),
        UnaryOp::Floor => x.map(f64::floor),
        UnaryOp::Round => x.map(f64::round_ties_even),
        UnaryOp::Exp => x.map(f64::exp),
        UnaryOp::Sqrt => x.map(|x| x.max(0.0).sqrt()),
        UnaryOp::Atan | UnaryOp::Asin => Interval::new(-2.0, 2.0),
        UnaryOp::Acos => Interval::new(0.0, 4.0),
        UnaryOp::Acosh
        | UnaryOp::Asinh
        | UnaryOp::Atanh
        | UnaryOp::Cosh
        | UnaryOp::Expm1
        | UnaryOp::Gelu(_)
        | UnaryOp::Log
        | UnaryOp::Reciprocal
        | UnaryOp::Silu
        | UnaryOp::Sinh
        | UnaryOp::Softplus
        | UnaryOp::Bfloat16
        | UnaryOp::Small(_)
        | UnaryOp::Tan => Interval::ALL,
    }
}

fn binary(op: BinaryOp, a: Interval, b: Interval, is_float: bool) -> Interval {
    let within = |most: f64| {
        Interval::new(if a.low < 0.0 { -most } else { 0.0 }, if a.high > 0.0 { most } else { 0.0 })
    };
    match op {
        BinaryOp::Add => a.add(b),
        BinaryOp::Sub => a.add(b.negate()),
        BinaryOp::Mul => a.multiply(b),
        BinaryOp::Div if b.low > 0.0 || b.high < 0.0 => {
            let quotient = a.corners(b, |a, b| a / b);
            if is_float { quotient } else { quotient.map(f64::trunc) }
        }
        BinaryOp::Div if is_float => Interval::ALL,
        // No integer divides by less than one.
        BinaryOp::Div => Interval::new(-a.magnitude(), a.magnitude()),
        BinaryOp::Max => Interval::new(a.low.max(b.low), a.high.max(b.high)),
        BinaryOp::Min => Interval::new(a.low.min(b.low), a.high.min(b.high)),
        BinaryOp::Pow => power(a, b),
        // A remainder is smaller than the divisor, and no larger than the dividend.
        BinaryOp::Rem => within(a.magnitude().min(b.magnitude())),
        BinaryOp::Mod => Interval::new(b.low.min(0.0), b.high.max(0.0)),
        BinaryOp::BitAnd if a.low >= 0.0 && b.low >= 0.0 => Interval::new(0.0, a.high.min(b.high)),
        BinaryOp::BitOr | BinaryOp::BitXor if a.low >= 0.0 && b.low >= 0.0 => {
            let most = a.high.max(b.high).min(f64::from(u32::MAX)) as u32;
            Interval::new(0.0, f64::from(u32::MAX >> most.leading_zeros().min(31)))
        }
        // Bits of numbers that fit make a number that fits.
        BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => Interval::stored(ElementType::I32),
        BinaryOp::ShiftLeft => {
            let factor = |shift: f64| shift.clamp(0.0, 64.0).exp2();
            a.multiply(Interval::new(factor(b.low), factor(b.high))).join(a)
        }
        BinaryOp::ShiftRight => a.join(Interval::ZERO),
        BinaryOp::Equal
        | BinaryOp::Less
        | BinaryOp::LessOrEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterOrEqual
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Xor => Interval::new(0.0, 1.0),
    }
}

fn power(a: Interval, b: Interval) -> Interval {
    if b.low < 0.0 {
        return Interval::ALL;
    }
    // Largest where base and exponent are; below zero only where a base is.
    let most = a.magnitude().max(1.0).powf(b.high);
    Interval::new(if a.low < 0.0 { -most } else { 0.0 }, most)
}
