//! What is known at compile time: literals, identities of arithmetic, parts of vectors just made.
//!
//! Every expression that a pass writes comes through [`simplified`], so a value known after inlining or unrolling never
//! reaches a shader. Scalar constants become plain literals; constants of other types keep their names. Integers wrap.
//! Floats are never reassociated: `0.0 + x`, where a sum starts, is `x` (only the sign of a zero can differ); `x + 0.0`
//! and `x * 0.0` stay.

use naga::{
    BinaryOperator as Op, Expression, Handle, Literal, MathFunction, ScalarKind, SwizzleComponent, TypeInner,
    UnaryOperator, VectorSize,
};

use super::Builder;
use crate::module::{ModuleError, literal};

type Operand = Handle<Expression>;
type Found = Result<Option<Operand>, ModuleError>;

/// Replaces named scalar constants and scalar zeros by literals.
pub(super) fn leaf(build: &Builder<'_>, expression: Expression) -> Expression {
    let known = match expression {
        Expression::Constant(constant) => build.constant(constant),
        Expression::ZeroValue(ty) => build.zero(ty),
        _ => None,
    };
    known.map_or(expression, Expression::Literal)
}

/// Evaluates `expression`, or finds the expression that it equals.
pub(super) fn simplified(build: &mut Builder<'_>, expression: Expression) -> Result<Operand, ModuleError> {
    let simpler = match &expression {
        Expression::AccessIndex { base, index } => part(build, *base, *index)?,
        Expression::Access { base, index } => access(build, *base, *index)?,
        Expression::Swizzle { size, vector, pattern } => swizzle(build, *size, *vector, *pattern)?,
        Expression::Compose { ty: _, components } => recomposed(build, components),
        Expression::Unary { op, expr } => unary(build, *op, *expr)?,
        Expression::Binary { op, left, right } => binary(build, *op, *left, *right)?,
        Expression::Select { condition, accept, reject } => match uniform(build, *condition) {
            Some(Literal::Bool(condition)) => Some(if condition { *accept } else { *reject }),
            _ => (accept == reject).then_some(*accept),
        },
        Expression::Math { fun, arg, arg1, arg2, arg3: None } => math(build, *fun, *arg, *arg1, *arg2)?,
        Expression::As { expr, kind, convert } => cast(build, *expr, *kind, *convert)?,
        _ => None,
    };
    match simpler {
        Some(known) => Ok(known),
        None => build.append(expression),
    }
}

/// A constant index picks a part.
fn access(build: &mut Builder<'_>, base: Operand, index: Operand) -> Found {
    let index = match build.known(index) {
        Some(Literal::U32(index)) => index,
        Some(Literal::I32(index)) => match u32::try_from(index) {
            Ok(index) => index,
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    build.emit(Expression::AccessIndex { base, index }).map(Some)
}

/// Part `index` of a vector or array whose parts are known; `None` for pointers.
fn part(build: &mut Builder<'_>, base: Operand, index: u32) -> Found {
    match build.function.expressions[base].clone() {
        Expression::Splat { value, .. } => Ok(Some(value)),
        Expression::Swizzle { vector, pattern, .. } => build
            .emit(Expression::AccessIndex { base: vector, index: pattern[index as usize].index() })
            .map(Some),
        Expression::Compose { ref components, .. } => match build.inner(base) {
            TypeInner::Vector { .. } => lane(build, components, index),
            _ => Ok(components.get(index as usize).copied()),
        },
        Expression::ZeroValue(ty) => match build.module.types[ty].inner {
            TypeInner::Vector { scalar, .. } => {
                let zero = build.ty(TypeInner::Scalar(scalar));
                build.leaf(Expression::ZeroValue(zero)).map(Some)
            }
            TypeInner::Array { base, .. } => build.leaf(Expression::ZeroValue(base)).map(Some),
            _ => Ok(None),
        },
        Expression::Constant(constant) => {
            let init = build.module.constants[constant].init;
            let Expression::Compose { components, .. } = &build.module.global_expressions[init] else {
                return Ok(None);
            };
            match components.get(index as usize).map(|part| &build.module.global_expressions[*part]) {
                Some(Expression::Literal(literal)) => {
                    let literal = *literal;
                    build.literal(literal).map(Some)
                }
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Lane `index` of a vector made of scalars and smaller vectors.
fn lane(build: &mut Builder<'_>, components: &[Operand], mut index: u32) -> Found {
    for part in components {
        let lanes = build.inner(*part).components().unwrap_or(1);
        if index < lanes {
            let is_scalar = matches!(build.inner(*part), TypeInner::Scalar(_));
            return if is_scalar {
                Ok(Some(*part))
            } else {
                build.emit(Expression::AccessIndex { base: *part, index }).map(Some)
            };
        }
        index -= lanes;
    }
    Ok(None)
}

/// The components of a vector composition, when each operand is a scalar.
fn scalars_of(build: &Builder<'_>, components: &[Operand]) -> Option<Vec<Operand>> {
    components
        .iter()
        .all(|part| matches!(build.inner(*part), TypeInner::Scalar(_)))
        .then(|| components.to_vec())
}

fn swizzle(
    build: &mut Builder<'_>,
    size: VectorSize,
    vector: Operand,
    pattern: [SwizzleComponent; 4],
) -> Found {
    let lanes = size as usize;
    let is_identity = pattern[..lanes] == SwizzleComponent::XYZW[..lanes];
    if is_identity && build.inner(vector).components() == Some(u32::from(size)) {
        return Ok(Some(vector));
    }
    match build.function.expressions[vector].clone() {
        Expression::Splat { value, .. } => build.emit(Expression::Splat { size, value }).map(Some),
        Expression::Swizzle { vector, pattern: inner, .. } => {
            let pattern = pattern.map(|lane| inner[lane.index() as usize]);
            build.emit(Expression::Swizzle { size, vector, pattern }).map(Some)
        }
        Expression::Compose { components, .. } => {
            let (Some(parts), Some(scalar)) = (scalars_of(build, &components), build.inner(vector).scalar())
            else {
                return Ok(None);
            };
            let ty = build.ty(TypeInner::Vector { size, scalar });
            let components = pattern[..lanes].iter().map(|lane| parts[lane.index() as usize]).collect();
            build.emit(Expression::Compose { ty, components }).map(Some)
        }
        _ => Ok(None),
    }
}

/// `vec4(v.x, v.y, v.z, v.w)` is `v`.
fn recomposed(build: &Builder<'_>, components: &[Operand]) -> Option<Operand> {
    let whole = |position: usize, part: Operand| match build.function.expressions[part] {
        Expression::AccessIndex { base, index } if index as usize == position => Some(base),
        _ => None,
    };
    let base = whole(0, *components.first()?)?;
    let is_vector = build.inner(base).components() == u32::try_from(components.len()).ok();
    let all = components.iter().enumerate().all(|(position, part)| whole(position, *part) == Some(base));
    (is_vector && all && matches!(build.inner(base), TypeInner::Vector { .. })).then_some(base)
}

fn unary(build: &mut Builder<'_>, op: UnaryOperator, value: Operand) -> Found {
    if let Some(folded) = build.known(value).and_then(|value| literal::unary(op, value)) {
        return build.literal(folded).map(Some);
    }
    match build.function.expressions[value] {
        Expression::Unary { op: inner, expr } if inner == op && op != UnaryOperator::Negate => Ok(Some(expr)),
        Expression::Binary { op: compare, left, right } if op == UnaryOperator::LogicalNot => {
            // A comparison of floats has no opposite: both are false for NaN.
            match opposite(compare) {
                Some(op) if build.inner(left).scalar_kind() != Some(ScalarKind::Float) => {
                    build.emit(Expression::Binary { op, left, right }).map(Some)
                }
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// The comparison that holds where `op` does not, floats aside.
pub(in crate::module) fn opposite(op: Op) -> Option<Op> {
    match op {
        Op::Equal => Some(Op::NotEqual),
        Op::NotEqual => Some(Op::Equal),
        Op::Less => Some(Op::GreaterEqual),
        Op::LessEqual => Some(Op::Greater),
        Op::Greater => Some(Op::LessEqual),
        Op::GreaterEqual => Some(Op::Less),
        _ => None,
    }
}

fn binary(build: &mut Builder<'_>, op: Op, left: Operand, right: Operand) -> Found {
    let (known_left, known_right) = (uniform(build, left), uniform(build, right));
    if let (Some(a), Some(b)) = (build.known(left), build.known(right))
        && let Some(folded) = literal::binary(op, a, b)
    {
        return build.literal(folded).map(Some);
    }
    if let (Some(a), Some(b), &TypeInner::Vector { size, .. }) = (known_left, known_right, build.inner(left))
        && build.inner(left) == build.inner(right)
        && let Some(folded) = literal::binary(op, a, b)
    {
        let value = build.literal(folded)?;
        return build.emit(Expression::Splat { size, value }).map(Some);
    }
    if let Some(b) = known_right
        && let Some(found) = with_right(build, op, left, right, b)?
    {
        return Ok(Some(found));
    }
    if let Some(a) = known_left
        && let Some(found) = with_left(build, op, left, right, a)?
    {
        return Ok(Some(found));
    }
    Ok(None)
}

/// The literal that every component of a value is.
fn uniform(build: &Builder<'_>, value: Operand) -> Option<Literal> {
    match &build.function.expressions[value] {
        Expression::Literal(literal) => Some(*literal),
        Expression::Splat { value, .. } => build.known(*value),
        Expression::ZeroValue(ty) => match build.module.types[*ty].inner {
            TypeInner::Vector { scalar, .. } if scalar == naga::Scalar::F16 => {
                Some(Literal::F16(half::f16::ZERO))
            }
            TypeInner::Vector { scalar, .. } => Literal::zero(scalar),
            _ => None,
        },
        Expression::Compose { components, .. } => {
            let first = build.known(*components.first()?)?;
            components.iter().all(|part| build.known(*part) == Some(first)).then_some(first)
        }
        _ => None,
    }
}

/// `left op b`, where every component of `right` is `b`.
fn with_right(build: &mut Builder<'_>, op: Op, left: Operand, right: Operand, b: Literal) -> Found {
    let is_zero = literal::is_number(b, 0);
    let is_one = literal::is_number(b, 1);
    let is_unsigned = matches!(b, Literal::U32(_));
    let found = match op {
        // Minus zero plus zero is zero.
        Op::Add | Op::Subtract if is_zero && literal::keeps_under(op, b) => Keep(left),
        Op::InclusiveOr | Op::ExclusiveOr | Op::ShiftLeft | Op::ShiftRight if is_zero => Keep(left),
        Op::Multiply | Op::Divide if is_one => Keep(left),
        Op::Multiply | Op::And if is_zero && literal::is_integer(b) => Keep(right),
        Op::Modulo if is_one && literal::is_integer(b) => return zero_like(build, right),
        Op::Less if is_zero && is_unsigned => Truth(false),
        Op::GreaterEqual if is_zero && is_unsigned => Truth(true),
        Op::InclusiveOr | Op::And if matches!(b, Literal::Bool(_)) => {
            Keep(if decides(op, b) { right } else { left })
        }
        Op::LogicalAnd => return logical(build, left, right, b, true),
        Op::LogicalOr => return logical(build, left, right, b, false),
        _ => return chained(build, op, left, b),
    };
    found.settle(build, left, right)
}

/// `a op right`, where every component of `left` is `a`.
fn with_left(build: &mut Builder<'_>, op: Op, left: Operand, right: Operand, a: Literal) -> Found {
    let is_zero = literal::is_number(a, 0);
    let is_one = literal::is_number(a, 1);
    let is_integer = literal::is_integer(a);
    let is_unsigned = matches!(a, Literal::U32(_));
    let found = match op {
        Op::Add | Op::InclusiveOr | Op::ExclusiveOr if is_zero => Keep(right),
        Op::Multiply if is_one => Keep(right),
        Op::Multiply | Op::And if is_zero && is_integer => Keep(left),
        Op::ShiftLeft | Op::ShiftRight if is_zero && is_integer => Keep(left),
        Op::Greater if is_zero && is_unsigned => Truth(false),
        Op::LessEqual if is_zero && is_unsigned => Truth(true),
        Op::InclusiveOr | Op::And if matches!(a, Literal::Bool(_)) => {
            Keep(if decides(op, a) { left } else { right })
        }
        Op::LogicalAnd => return logical(build, right, left, a, true),
        Op::LogicalOr => return logical(build, right, left, a, false),
        _ => return Ok(None),
    };
    found.settle(build, left, right)
}

use Identity::{Keep, Truth};

/// What an identity found.
enum Identity {
    /// One of the operands.
    Keep(Operand),
    /// A truth value, for scalars.
    Truth(bool),
}

impl Identity {
    fn settle(self, build: &mut Builder<'_>, left: Operand, right: Operand) -> Found {
        match self {
            // In `scalar * vector` the kept operand may have the smaller type.
            Keep(kept) => {
                let other = if kept == left { right } else { left };
                Ok((build.inner(kept) == build.inner(other)).then_some(kept))
            }
            Truth(truth) if matches!(build.inner(left), TypeInner::Scalar(_)) => {
                build.literal(Literal::Bool(truth)).map(Some)
            }
            Truth(_) => Ok(None),
        }
    }
}

/// Whether a truth value on one side of `|` or `&` is the result.
fn decides(op: Op, value: Literal) -> bool {
    value == Literal::Bool(op == Op::InclusiveOr)
}

/// `x && true` is `x`, `x && false` is `false`; with the roles exchanged for `||`. `neutral` is the first of the two.
fn logical(build: &mut Builder<'_>, other: Operand, known: Operand, value: Literal, neutral: bool) -> Found {
    let is_scalar = matches!(build.inner(other), TypeInner::Scalar(_));
    Ok(is_scalar.then_some(if value == Literal::Bool(neutral) { other } else { known }))
}

fn zero_like(build: &mut Builder<'_>, value: Operand) -> Found {
    let ty = build.type_of(value);
    build.leaf(Expression::ZeroValue(ty)).map(Some)
}

/// `(x op a) op b` for scalars of type u32, where the two literals combine into one.
fn chained(build: &mut Builder<'_>, op: Op, left: Operand, b: Literal) -> Found {
    let Literal::U32(b) = b else { return Ok(None) };
    let Expression::Binary { op: inner, left: x, right: a } = build.function.expressions[left] else {
        return Ok(None);
    };
    let Some(Literal::U32(a)) = build.known(a) else { return Ok(None) };
    let combined = match (inner, op) {
        (Op::Add, Op::Add) => a.checked_add(b),
        (Op::Multiply, Op::Multiply) | (Op::Divide, Op::Divide) => a.checked_mul(b),
        // (x * a) / b could overflow before the division, so it stays.
        _ => None,
    };
    let Some(combined) = combined else { return Ok(None) };
    if build.function.named_expressions.contains_key(&left) || !matches!(build.inner(x), TypeInner::Scalar(_))
    {
        return Ok(None);
    }
    let right = build.u32(combined)?;
    build.emit(Expression::Binary { op, left: x, right }).map(Some)
}

fn math(
    build: &mut Builder<'_>,
    function: MathFunction,
    arg: Operand,
    arg1: Option<Operand>,
    arg2: Option<Operand>,
) -> Found {
    let arguments: Option<Vec<Literal>> =
        [Some(arg), arg1, arg2].into_iter().flatten().map(|arg| build.known(arg)).collect();
    if let Some(folded) = arguments.and_then(|arguments| literal::math(function, &arguments)) {
        return build.literal(folded).map(Some);
    }
    // Against the smallest u32.
    let zero = Some(Literal::U32(0));
    match (function, arg1) {
        (MathFunction::Max, Some(other)) if build.known(other) == zero => Ok(Some(arg)),
        (MathFunction::Max, Some(other)) if build.known(arg) == zero => Ok(Some(other)),
        (MathFunction::Min, Some(other)) if build.known(other) == zero => Ok(Some(other)),
        (MathFunction::Min, Some(_)) if build.known(arg) == zero => Ok(Some(arg)),
        (MathFunction::Min | MathFunction::Max, Some(other)) if other == arg => Ok(Some(arg)),
        _ => Ok(None),
    }
}

fn cast(build: &mut Builder<'_>, value: Operand, kind: ScalarKind, convert: Option<u8>) -> Found {
    if let Some(known) = build.known(value) {
        let folded = match convert {
            Some(width) => literal::convert(known, kind, width),
            None => literal::bitcast(known, kind),
        };
        return folded.map(|folded| build.literal(folded)).transpose();
    }
    let scalar = build.inner(value).scalar();
    let same =
        scalar.is_some_and(|scalar| scalar.kind == kind && convert.is_none_or(|width| width == scalar.width));
    Ok(same.then_some(value))
}
