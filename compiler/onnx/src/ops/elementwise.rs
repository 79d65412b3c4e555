//! Operators that compute each element on its own: arithmetic, comparisons, logic, activations, casts.
//!
//! Operands broadcast as NumPy's do since operator set 7; before it, the second of two where `broadcast` asks for it.

use super::axis;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Reshape, ScalarOp, UnaryOp};
use drift_ir::{Dim, ElementType, Op, SmallFloat, SmallRounding, ValueId};

pub(super) fn unary(cx: &mut NodeCx<'_, '_>, op: UnaryOp) -> Results {
    let x = cx.operand(0)?;
    Ok(vec![cx.unary(op, x)?])
}

pub(super) fn binary(cx: &mut NodeCx<'_, '_>, op: BinaryOp) -> Results {
    let (a, b) = two(cx)?;
    Ok(vec![cx.binary(op, a, b)?])
}

/// Both operands. Before 7 the second has the shape of the first, or with `broadcast` that of the last of its axes, or of those from
/// `axis` on.
fn two(cx: &mut NodeCx<'_, '_>) -> Result<(ValueId, ValueId), NodeError> {
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    if !cx.is_before(7) {
        return Ok((a, b));
    }
    let broadcasts = cx.attributes.flag("broadcast", false)?;
    let (given, rank) = (cx.attributes.int("axis")?, cx.rank(a));
    if !broadcasts {
        return match cx.shape(a) == cx.shape(b) {
            true => Ok((a, b)),
            false => Err(NodeError::Operands("operands of different shapes need `broadcast`".to_owned())),
        };
    }
    let at = match given {
        Some(given) => axis(given, rank)?,
        None => rank.saturating_sub(cx.rank(b)),
    };
    Ok((a, from_axis(cx, b, at, rank)?))
}

/// An operand whose first axis is axis `at` of `rank`.
pub(super) fn from_axis(
    cx: &mut NodeCx<'_, '_>,
    b: ValueId,
    at: usize,
    rank: usize,
) -> Result<ValueId, NodeError> {
    let mut shape = cx.shape(b);
    let Some(behind) = rank.checked_sub(at + shape.len()) else {
        return Err(NodeError::Operands("the second operand has axes that the first has not".to_owned()));
    };
    shape.extend(std::iter::repeat_n(Dim::Const(1), behind));
    cx.reshape(b, shape)
}

/// Joins any number of operands, from the left.
fn variadic(cx: &mut NodeCx<'_, '_>, op: BinaryOp) -> Result<ValueId, NodeError> {
    let mut joined = cx.operand(0)?;
    for index in 1..cx.operand_count() {
        let next = cx.operand(index)?;
        joined = cx.binary(op, joined, next)?;
    }
    Ok(joined)
}

/// Abs. Operator sets differ in element types only.
pub(super) fn abs(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Abs)
}

/// Acos. Operator sets differ in element types only, here and below.
pub(super) fn acos(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Acos)
}

/// Acosh, since 9.
pub(super) fn acosh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Acosh)
}

/// Add. Operator sets differ in element types only.
pub(super) fn add(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Add)
}

/// And.
pub(super) fn and(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::And)
}

/// Asin.
pub(super) fn asin(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Asin)
}

/// Asinh, since 9.
pub(super) fn asinh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Asinh)
}

/// Atan.
pub(super) fn atan(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Atan)
}

/// Atanh, since 9.
pub(super) fn atanh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Atanh)
}

/// Cast. Since 9 to and from strings, which are refused, since 19 float8 with `saturate`, since 24 `round_mode` for float8e8m0.
pub(super) fn cast(cx: &mut NodeCx<'_, '_>) -> Results {
    let to = cx.attributes.int("to")?.ok_or(NodeError::MissingAttribute("to"))?;
    let unsupported = |name| NodeError::Unsupported(format!("casts to {name} are not supported"));
    let code = i32::try_from(to).unwrap_or(i32::MAX);
    let ty = DataType::from_proto(code).map_err(unsupported)?;
    let x = cx.operand(0)?;
    Ok(vec![cast_as(cx, x, ty)?])
}

/// CastLike, since 15: a cast to the element type of the second operand.
pub(super) fn cast_like(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, like) = (cx.operand(0)?, cx.operand(1)?);
    let bfloat = cx.is_bfloat(like).then_some(DataType::Bfloat16);
    if let Some(ty) = cx.narrow(like).or(bfloat) {
        return Ok(vec![cast_as(cx, x, ty)?]);
    }
    cx.attributes.ignore(&["saturate", "round_mode"]);
    let element = cx.element(like);
    Ok(vec![cast_from(cx, x, element)?])
}

/// A cast to a type of the graph: a value of its own also where the graph holds the type in the file as that one.
fn cast_from(cx: &mut NodeCx<'_, '_>, x: ValueId, element: ElementType) -> Result<ValueId, NodeError> {
    if cx.element(x) == element && (cx.narrow(x).is_some() || cx.is_bfloat(x)) {
        let shape = cx.shape(x);
        return cx.emit(Op::Reshape(Reshape { shape }), &[x]);
    }
    cx.cast(x, element)
}

/// A cast to a type of the file, with the node's attributes.
fn cast_as(cx: &mut NodeCx<'_, '_>, x: ValueId, ty: DataType) -> Result<ValueId, NodeError> {
    let saturates = cx.attributes.flag("saturate", true)?;
    let mode = cx.attributes.text("round_mode")?.unwrap_or("up").to_owned();
    if ty == DataType::Bfloat16 {
        let wide = cx.cast(x, ElementType::F32)?;
        let y = cx.unary(UnaryOp::Bfloat16, wide)?;
        cx.set_narrow(y, Some(ty));
        return Ok(y);
    }
    let y = match (ty.small_float(), ty.range()) {
        (Some(format), _) => {
            let wide = cx.cast(x, ElementType::F32)?;
            cx.unary(UnaryOp::Small(small_rounding(format, saturates, &mode)?), wide)?
        }
        (None, Some(range)) => cast_to_bits(cx, x, range, ty.element())?,
        (None, None) => return cast_from(cx, x, ty.element()),
    };
    cx.set_narrow(y, Some(ty));
    Ok(y)
}

/// How a cast rounds to a small float.
pub(super) fn small_rounding(
    format: SmallFloat,
    saturates: bool,
    mode: &str,
) -> Result<SmallRounding, NodeError> {
    Ok(match (format, saturates) {
        (SmallFloat::E4M3, true) => SmallRounding::E4M3,
        (SmallFloat::E4M3, false) => SmallRounding::E4M3Open,
        (SmallFloat::E4M3Fnuz, true) => SmallRounding::E4M3Fnuz,
        (SmallFloat::E4M3Fnuz, false) => SmallRounding::E4M3FnuzOpen,
        (SmallFloat::E5M2, true) => SmallRounding::E5M2,
        (SmallFloat::E5M2, false) => SmallRounding::E5M2Open,
        (SmallFloat::E5M2Fnuz, true) => SmallRounding::E5M2Fnuz,
        (SmallFloat::E5M2Fnuz, false) => SmallRounding::E5M2FnuzOpen,
        (SmallFloat::E2M1, _) => SmallRounding::E2M1,
        (SmallFloat::E8M0, false) => {
            let reason = "casts to float8e8m0 without `saturate` are not supported";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        (SmallFloat::E8M0, true) => match mode {
            "up" => SmallRounding::E8M0Up,
            "down" => SmallRounding::E8M0Down,
            "nearest" => SmallRounding::E8M0,
            other => {
                let expected = "up, down or nearest".to_owned();
                return Err(NodeError::Value { name: "round_mode", value: other.to_owned(), expected });
            }
        },
    })
}

/// A cast to integers of a few bits, which keeps the low ones, of floats too.
fn cast_to_bits(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    [low, high]: [i8; 2],
    element: ElementType,
) -> Result<ValueId, NodeError> {
    let word = cx.cast(x, ElementType::I32)?;
    let (offset, mask) = (-f64::from(low), f64::from(high) - f64::from(low));
    let [offset, mask] = [cx.scalar_like(word, offset)?, cx.scalar_like(word, mask)?];
    let moved = cx.binary(BinaryOp::Add, word, offset)?;
    let kept = cx.binary(BinaryOp::BitAnd, moved, mask)?;
    let number = cx.binary(BinaryOp::Sub, kept, offset)?;
    cx.cast(number, element)
}

/// Ceil.
pub(super) fn ceil(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Ceil)
}

/// Clip. Before 11 the bounds are attributes, since 11 scalar operands, since 12 also of integers. Constant bounds
/// become one step; others, and an empty range, become Max then Min, as the specification defines.
pub(super) fn clip(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let (min, max) = if cx.opset() < 11 {
        let bound = |value: Option<f32>| value.map(f64::from);
        (bound(cx.attributes.float("min")?), bound(cx.attributes.float("max")?))
    } else {
        let (min, max) = (cx.optional(1), cx.optional(2));
        match (constant_bound(cx, min, -1.0), constant_bound(cx, max, 1.0)) {
            (Some(lower), Some(upper)) if lower.is_none() || upper.is_none() || lower <= upper => {
                (lower, upper)
            }
            _ => return Ok(vec![clip_between(cx, x, min, max)?]),
        }
    };
    if min.is_none() && max.is_none() {
        return Ok(vec![x]);
    }
    let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
    if min.is_nan() || max.is_nan() || min > max {
        let value = format!("{min}..{max}");
        return Err(NodeError::Value {
            name: "min..max",
            value,
            expected: "a range that is not empty".to_owned(),
        });
    }
    Ok(vec![cx.emit(Op::Elementwise(ScalarOp::Clip { min, max }), &[x])?])
}

/// The value of an absent or constant bound, when f64 holds it exactly. A NaN bounds nothing, and neither does an end of int64
/// on the `side` of it, which exporters write for a bound that is not given.
fn constant_bound(cx: &NodeCx<'_, '_>, bound: Option<ValueId>, side: f64) -> Option<Option<f64>> {
    const EXACT: f64 = (1u64 << 53) as f64;
    const END: f64 = (1u64 << 63) as f64;
    let Some(bound) = bound else { return Some(None) };
    let value = cx.constant_scalar(bound)?;
    let is_float = cx.element(bound).is_float();
    if value.is_nan() || !is_float && value * side >= END {
        return Some(None);
    }
    (is_float || value.abs() < EXACT).then_some(Some(value))
}

fn clip_between(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    min: Option<ValueId>,
    max: Option<ValueId>,
) -> Result<ValueId, NodeError> {
    let mut y = x;
    for (op, bound) in [(BinaryOp::Max, min), (BinaryOp::Min, max)] {
        let Some(bound) = bound else { continue };
        // A bound of shape [1] would raise the rank of a scalar.
        let bound = cx.reshape(bound, Vec::new())?;
        let limited = cx.binary(op, y, bound)?;
        // A bound that is NaN bounds nothing.
        y = match cx.element(bound).is_float() {
            true => {
                let is_none = cx.unary(UnaryOp::IsNan, bound)?;
                cx.emit(Op::Elementwise(ScalarOp::Select), &[is_none, y, limited])?
            }
            false => limited,
        };
    }
    Ok(y)
}

/// Cos.
pub(super) fn cos(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Cos)
}

/// Cosh, since 9.
pub(super) fn cosh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Cosh)
}

/// Div. Integers truncate. Operator sets differ in element types only.
pub(super) fn div(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Div)
}

/// Equal. Operator sets differ in element types only.
pub(super) fn equal(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Equal)
}

/// Erf.
pub(super) fn erf(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Erf)
}

/// Exp.
pub(super) fn exp(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Exp)
}

/// Floor.
pub(super) fn floor(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Floor)
}

/// Greater. Before 9 floats only.
pub(super) fn greater(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Greater)
}

/// GreaterOrEqual, since 12.
pub(super) fn greater_or_equal(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::GreaterOrEqual)
}

/// Less. Before 9 floats only.
pub(super) fn less(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Less)
}

/// LessOrEqual, since 12.
pub(super) fn less_or_equal(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::LessOrEqual)
}

/// Log.
pub(super) fn log(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Log)
}

/// Max of any number of operands. They broadcast since 8, are also integers since 12.
pub(super) fn max(cx: &mut NodeCx<'_, '_>) -> Results {
    Ok(vec![variadic(cx, BinaryOp::Max)?])
}

/// Mean of any number of operands. They broadcast since 8.
pub(super) fn mean(cx: &mut NodeCx<'_, '_>) -> Results {
    let sum = variadic(cx, BinaryOp::Add)?;
    let count = cx.scalar_like(sum, cx.operand_count() as f64)?;
    Ok(vec![cx.binary(BinaryOp::Div, sum, count)?])
}

/// Min of any number of operands. They broadcast since 8, are also integers since 12.
pub(super) fn min(cx: &mut NodeCx<'_, '_>) -> Results {
    Ok(vec![variadic(cx, BinaryOp::Min)?])
}

/// Mul. Operator sets differ in element types only.
pub(super) fn mul(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Mul)
}

/// Neg.
pub(super) fn neg(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Neg)
}

/// Not.
pub(super) fn not(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Not)
}

/// Or.
pub(super) fn or(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Or)
}

/// Pow. Since 12 the exponent may have another type than the base, whose type the result has.
pub(super) fn pow(cx: &mut NodeCx<'_, '_>) -> Results {
    let (base, exponent) = two(cx)?;
    let (element, power) = (cx.element(base), cx.element(exponent));
    if element.is_float() || !power.is_float() {
        let exponent = cx.cast(exponent, element)?;
        return Ok(vec![cx.binary(BinaryOp::Pow, base, exponent)?]);
    }
    let base = cx.cast(base, power)?;
    let raised = cx.binary(BinaryOp::Pow, base, exponent)?;
    Ok(vec![cx.cast(raised, element)?])
}

/// Reciprocal.
pub(super) fn reciprocal(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Reciprocal)
}

/// Round to nearest, ties to even; since 11.
pub(super) fn round(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Round)
}

/// Sign, since 9.
pub(super) fn sign(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sign)
}

/// Sin.
pub(super) fn sin(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sin)
}

/// Sinh, since 9.
pub(super) fn sinh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sinh)
}

/// Sqrt.
pub(super) fn sqrt(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sqrt)
}

/// Sub. Operator sets differ in element types only.
pub(super) fn sub(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Sub)
}

/// Sum of any number of operands. They broadcast since 8.
pub(super) fn sum(cx: &mut NodeCx<'_, '_>) -> Results {
    Ok(vec![variadic(cx, BinaryOp::Add)?])
}

/// Tan.
pub(super) fn tan(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Tan)
}

/// Tanh.
pub(super) fn tanh(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Tanh)
}

/// Where, since 9.
pub(super) fn select(cx: &mut NodeCx<'_, '_>) -> Results {
    let operands = [cx.operand(0)?, cx.operand(1)?, cx.operand(2)?];
    if cx.element(operands[0]) != ElementType::Bool {
        return Err(NodeError::Operands("the condition is not of type bool".to_owned()));
    }
    Ok(vec![cx.emit(Op::Elementwise(ScalarOp::Select), &operands)?])
}

/// Xor.
pub(super) fn xor(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Xor)
}
