//! Operators that compute each element on its own: arithmetic, comparisons, logic, activations, casts.
//!
//! Operands broadcast as NumPy's do since operator set 7, the oldest that we read.

use crate::data_type::DataType;
use crate::error::NodeError;
use crate::import::Warning;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use drift_ir::{ElementType, Op, ValueId};

fn unary(cx: &mut NodeCx<'_, '_>, op: UnaryOp) -> Results {
    let x = cx.operand(0)?;
    Ok(vec![cx.unary(op, x)?])
}

fn binary(cx: &mut NodeCx<'_, '_>, op: BinaryOp) -> Results {
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    Ok(vec![cx.binary(op, a, b)?])
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

/// Add. Operator sets differ in element types only.
pub(super) fn add(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Add)
}

/// And.
pub(super) fn and(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::And)
}

/// Cast. Since 9 to and from strings, since 19 float8 with `saturate`, since 24 `round_mode` for float8e8m0: types that
/// we refuse, so both attributes have no influence. Types that we hold in wider ones do not wrap, which a warning says.
pub(super) fn cast(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["saturate", "round_mode"]);
    let to = cx.attributes.int("to")?.ok_or(NodeError::MissingAttribute("to"))?;
    let unsupported = |name| NodeError::Unsupported(format!("casts to {name} are not supported"));
    let code = i32::try_from(to).unwrap_or(i32::MAX);
    let ty = DataType::from_proto(code).map_err(unsupported)?;
    if !ty.is_exact() {
        let node = cx.name().to_owned();
        cx.warn(Warning::WidenedCast { node, from: ty.name(), to: ty.element().name() });
    }
    let x = cx.operand(0)?;
    Ok(vec![cx.cast(x, ty.element())?])
}

/// CastLike, since 15: a cast to the element type of the second operand.
pub(super) fn cast_like(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["saturate", "round_mode"]);
    let (x, like) = (cx.operand(0)?, cx.operand(1)?);
    let element = cx.element(like);
    Ok(vec![cx.cast(x, element)?])
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
        match (constant_bound(cx, min), constant_bound(cx, max)) {
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

/// The value of an absent or constant bound, when f64 holds it exactly and it is a number.
fn constant_bound(cx: &NodeCx<'_, '_>, bound: Option<ValueId>) -> Option<Option<f64>> {
    const EXACT: f64 = (1u64 << 53) as f64;
    let Some(bound) = bound else { return Some(None) };
    let value = cx.constant_scalar(bound)?;
    let exact = cx.element(bound).is_float() && !value.is_nan() || value.abs() < EXACT;
    exact.then_some(Some(value))
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
        y = cx.binary(op, y, bound)?;
    }
    Ok(y)
}

/// Cos.
pub(super) fn cos(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Cos)
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

/// Gelu, since 20; `approximate` picks the form.
pub(super) fn gelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let kind = match cx.attributes.text("approximate")?.unwrap_or("none") {
        "none" => GeluKind::Erf,
        "tanh" => GeluKind::Tanh,
        other => {
            let expected = "`none` or `tanh`".to_owned();
            return Err(NodeError::Value { name: "approximate", value: other.to_owned(), expected });
        }
    };
    unary(cx, UnaryOp::Gelu(kind))
}

/// Greater. Before 9 floats only.
pub(super) fn greater(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::Greater)
}

/// GreaterOrEqual, since 12.
pub(super) fn greater_or_equal(cx: &mut NodeCx<'_, '_>) -> Results {
    binary(cx, BinaryOp::GreaterOrEqual)
}

/// HardSigmoid: `clip(alpha x + beta, 0, 1)`.
pub(super) fn hard_sigmoid(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(0.2);
    let beta = cx.attributes.float("beta")?.unwrap_or(0.5);
    let x = cx.operand(0)?;
    Ok(vec![hard_sigmoid_of(cx, x, f64::from(alpha), f64::from(beta))?])
}

fn hard_sigmoid_of(cx: &mut NodeCx<'_, '_>, x: ValueId, alpha: f64, beta: f64) -> Result<ValueId, NodeError> {
    let alpha = cx.scalar_like(x, alpha)?;
    let beta = cx.scalar_like(x, beta)?;
    let scaled = cx.binary(BinaryOp::Mul, x, alpha)?;
    let shifted = cx.binary(BinaryOp::Add, scaled, beta)?;
    cx.emit(Op::Elementwise(ScalarOp::Clip { min: 0.0, max: 1.0 }), &[shifted])
}

/// HardSwish, since 14: `x clip(x / 6 + 1/2, 0, 1)`.
pub(super) fn hard_swish(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let gate = hard_sigmoid_of(cx, x, 1.0 / 6.0, 0.5)?;
    Ok(vec![cx.binary(BinaryOp::Mul, x, gate)?])
}

/// LeakyRelu: `x` above zero, `alpha x` below. That is the larger of the two while `alpha` is at most one, else the
/// smaller. Since 16 also bfloat16.
pub(super) fn leaky_relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(0.01));
    let x = cx.operand(0)?;
    let slope = cx.scalar_like(x, alpha)?;
    let scaled = cx.binary(BinaryOp::Mul, x, slope)?;
    let pick = if alpha <= 1.0 { BinaryOp::Max } else { BinaryOp::Min };
    Ok(vec![cx.binary(pick, x, scaled)?])
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
    let (base, exponent) = (cx.operand(0)?, cx.operand(1)?);
    let (element, power) = (cx.element(base), cx.element(exponent));
    if element.is_float() || !power.is_float() {
        let exponent = cx.cast(exponent, element)?;
        return Ok(vec![cx.binary(BinaryOp::Pow, base, exponent)?]);
    }
    let base = cx.cast(base, power)?;
    let raised = cx.binary(BinaryOp::Pow, base, exponent)?;
    Ok(vec![cx.cast(raised, element)?])
}

/// PRelu: `x` above zero, `slope x` below, with one slope per element after broadcasting. Since 9 also integers.
pub(super) fn prelu(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, slope) = (cx.operand(0)?, cx.operand(1)?);
    let zero = cx.scalar_like(x, 0.0)?;
    let below = cx.binary(BinaryOp::Less, x, zero)?;
    let scaled = cx.binary(BinaryOp::Mul, x, slope)?;
    Ok(vec![cx.emit(Op::Elementwise(ScalarOp::Select), &[below, scaled, x])?])
}

/// Reciprocal.
pub(super) fn reciprocal(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Reciprocal)
}

/// Relu. Since 14 also integers.
pub(super) fn relu(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    if cx.element(x).is_float() {
        return unary(cx, UnaryOp::Relu);
    }
    let zero = cx.scalar_like(x, 0.0)?;
    Ok(vec![cx.binary(BinaryOp::Max, x, zero)?])
}

/// Round to nearest, ties to even; since 11.
pub(super) fn round(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Round)
}

/// Sigmoid.
pub(super) fn sigmoid(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sigmoid)
}

/// Sign, since 9.
pub(super) fn sign(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sign)
}

/// Sin.
pub(super) fn sin(cx: &mut NodeCx<'_, '_>) -> Results {
    unary(cx, UnaryOp::Sin)
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

/// Swish, since 24: `x sigmoid(alpha x)`.
pub(super) fn swish(cx: &mut NodeCx<'_, '_>) -> Results {
    let alpha = f64::from(cx.attributes.float("alpha")?.unwrap_or(1.0));
    if alpha == 1.0 {
        return unary(cx, UnaryOp::Silu);
    }
    let x = cx.operand(0)?;
    let factor = cx.scalar_like(x, alpha)?;
    let scaled = cx.binary(BinaryOp::Mul, x, factor)?;
    let gate = cx.unary(UnaryOp::Sigmoid, scaled)?;
    Ok(vec![cx.binary(BinaryOp::Mul, x, gate)?])
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
