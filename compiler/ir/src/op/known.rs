//! Integers that are known before the model runs, as expressions over free dims.
//!
//! Exporters compute shapes with ordinary ops (shape, gather, concat, reshape). Following those element by element lets
//! an importer resolve them even where a size is symbolic.

mod floats;

pub use floats::{FloatExpr, FloatStep, MOST_TRIED};

use super::{BinaryOp, Op, Operand, ScalarOp, UnaryOp};
use crate::dim::{DimTerm, IntExpr, Symbols};
use crate::op::buffer::wrap;
use crate::tensor::{ElementType, Tensor, TensorType, checked_product};
use std::borrow::Cow;
use std::sync::Arc;

/// Values with more elements than this are not followed.
pub const MAX_KNOWN: usize = 64;

/// Floats of values with more elements than this are not followed: sizes that are scaled are those of one shape.
const MAX_FLOATS: usize = 8;

/// The elements of a value, row-major, as far as they are known before the model runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// Of integers and bools.
    Ints(Arc<[IntExpr]>),
    /// Of f32.
    Floats(Arc<[FloatExpr]>),
}

impl Known {
    /// Integers.
    pub fn ints(&self) -> Option<&[IntExpr]> {
        match self {
            Self::Ints(ints) => Some(ints),
            Self::Floats(_) => None,
        }
    }

    /// Floats.
    pub fn floats(&self) -> Option<&[FloatExpr]> {
        match self {
            Self::Floats(floats) => Some(floats),
            Self::Ints(_) => None,
        }
    }
}

/// The elements of a small integer or bool constant.
pub fn of_constant(tensor: &Tensor) -> Option<Vec<IntExpr>> {
    if tensor.element().is_float() || tensor.len() > MAX_KNOWN {
        return None;
    }
    Some(tensor.to_i64_vec().into_iter().map(IntExpr::Const).collect())
}

/// The elements of an op's single result, where its operands determine them. `result` is the inferred type.
pub fn of_result(op: &Op, operands: &[Operand<'_>], result: &TensorType, symbols: &Symbols) -> Option<Known> {
    let is_float = result.element.is_float();
    let shape = result.static_shape()?;
    let count = usize::try_from(checked_product(&shape)?).ok()?;
    if count > if is_float { MAX_FLOATS } else { MAX_KNOWN } {
        return None;
    }
    if is_float {
        let floats = floats_of_result(op, operands, result.element, &shape, symbols)?;
        return Some(Known::Floats(floats.into()));
    }
    let known: Option<Vec<IntExpr>> = match op {
        Op::ShapeOf(op) => {
            let sizes = operands.first()?.ty.shape.get(op.start..op.end)?;
            sizes.iter().map(|size| size.to_int().ok()).collect()
        }
        Op::Reshape(_) => operands.first()?.ints().map(|ints| ints.into_owned()),
        Op::Elementwise(op) => elementwise(*op, operands, &shape, symbols),
        Op::Range(_) => range(operands, count),
        Op::Concat(_) | Op::Slice(_) | Op::Gather(_) | Op::Expand(_) | Op::Transpose(_) | Op::GatherNd(_) => {
            moved(op, operands, Operand::ints)
        }
        Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::MatMul(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_) => None,
    };
    let known = known.filter(|known| known.iter().all(|integer| fits(result.element, integer)))?;
    Some(Known::Ints(known.into()))
}

/// Floats that follow from sizes. What follows from constants alone is folded elsewhere.
fn floats_of_result(
    op: &Op,
    operands: &[Operand<'_>],
    element: ElementType,
    shape: &[u64],
    symbols: &Symbols,
) -> Option<Vec<FloatExpr>> {
    if element != ElementType::F32 || !operands.iter().any(|operand| operand.known.is_some()) {
        return None;
    }
    match op {
        Op::Reshape(_) => operands.first()?.floats().map(Cow::into_owned),
        Op::Elementwise(ScalarOp::Cast(_)) => {
            let ints = operands.first()?.ints()?;
            Some(ints.iter().cloned().map(FloatExpr::of).collect())
        }
        Op::Elementwise(ScalarOp::Unary(rounding @ (UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round))) => {
            let floats = operands.first()?.floats()?;
            floats.iter().map(|float| float.rounded(*rounding, symbols).map(FloatExpr::of)).collect()
        }
        Op::Elementwise(ScalarOp::Binary(op)) => {
            let [a, b] = operands else { return None };
            let [a, b] = [a, b].map(|operand| broadcast(&operand.floats()?, operand, shape));
            a?.iter().zip(&b?).map(|(a, b)| a.combined(*op, b)).collect()
        }
        Op::Concat(_) | Op::Slice(_) | Op::Gather(_) | Op::Expand(_) | Op::Transpose(_) | Op::GatherNd(_) => {
            moved(op, operands, Operand::floats)
        }
        _ => None,
    }
}

/// Whether arithmetic of a type comes to this integer itself: what it does not hold wraps.
fn fits(element: ElementType, integer: &IntExpr) -> bool {
    match integer.as_const() {
        // Of u64 `wrap` gives the bits.
        Some(integer) if element == ElementType::U64 => integer >= 0,
        Some(integer) => wrap(integer, element) == integer,
        // Sizes fit 32 bits on every device.
        None => matches!(element, ElementType::I64 | ElementType::I32),
    }
}

/// Ops that only move elements move their positions: the evaluator runs on the numbers 0, 1, .. instead of the data.
fn moved<'a, T: Clone + 'a>(
    op: &Op,
    operands: &'a [Operand<'a>],
    elements: impl Fn(&'a Operand<'a>) -> Option<Cow<'a, [T]>>,
) -> Option<Vec<T>>
where
    [T]: ToOwned<Owned = Vec<T>>,
{
    let index_operand = matches!(op, Op::Gather(_) | Op::GatherNd(_)).then_some(1);
    let mut pool: Vec<T> = Vec::new();
    let mut positions: Vec<Tensor> = Vec::new();
    for (operand, given) in operands.iter().enumerate() {
        let shape = given.ty.static_shape()?;
        let numbers: Vec<i64> = if index_operand == Some(operand) {
            given.ints()?.iter().map(IntExpr::as_const).collect::<Option<_>>()?
        } else {
            let elements = elements(given)?;
            let first = i64::try_from(pool.len()).ok()?;
            pool.extend(elements.iter().cloned());
            (first..).take(elements.len()).collect()
        };
        positions.push(Tensor::from_i64(shape, &numbers).ok()?);
    }
    let positions: Vec<&Tensor> = positions.iter().collect();
    let moved = op.eval(&positions).ok()?;
    let picked = moved.first()?.to_i64_vec();
    picked.into_iter().map(|position| pool.get(usize::try_from(position).ok()?).cloned()).collect()
}

fn elementwise(
    op: ScalarOp,
    operands: &[Operand<'_>],
    shape: &[u64],
    symbols: &Symbols,
) -> Option<Vec<IntExpr>> {
    if let (ScalarOp::Cast(element), [operand]) = (op, operands)
        && let Some(Known::Floats(floats)) = operand.known
    {
        return match element {
            ElementType::I32 | ElementType::I64 => {
                floats.iter().map(|float| float.truncated(symbols)).collect()
            }
            // Any number but zero is true, however small.
            ElementType::Bool => floats.iter().map(FloatExpr::is_nonzero).collect(),
            // Narrow integers have ends.
            _ => None,
        };
    }
    let columns = operands.iter().map(|operand| broadcast(&operand.ints()?, operand, shape));
    let columns: Vec<Vec<IntExpr>> = columns.collect::<Option<_>>()?;
    let count = columns.first()?.len();
    (0..count)
        .map(|index| match (op, columns.as_slice()) {
            (ScalarOp::Binary(op), [a, b]) => binary(op, &a[index], &b[index], symbols),
            (ScalarOp::Cast(element), [a]) => cast(element, operands[0].ty.element, &a[index]),
            (ScalarOp::Select, [condition, a, b]) => {
                let taken = if condition[index].as_const()? != 0 { a } else { b };
                Some(taken[index].clone())
            }
            _ => None,
        })
        .collect()
}

/// The elements of an operand at each place of the shape to which it broadcasts.
fn broadcast<T: Clone>(elements: &[T], operand: &Operand<'_>, shape: &[u64]) -> Option<Vec<T>> {
    let from = operand.ty.static_shape()?;
    let positions: Vec<usize> = crate::op::strided::broadcast_positions(&from, shape)?;
    positions.into_iter().map(|position| elements.get(position).cloned()).collect()
}

fn binary(op: BinaryOp, a: &IntExpr, b: &IntExpr, symbols: &Symbols) -> Option<IntExpr> {
    let truth = |value: bool| Some(IntExpr::Const(i64::from(value)));
    match op {
        BinaryOp::Add => a.add(b).ok(),
        BinaryOp::Sub => a.sub(b).ok(),
        BinaryOp::Mul => a.mul(b).ok(),
        BinaryOp::Max => a.max(b).ok(),
        BinaryOp::Min => a.min(b).ok(),
        BinaryOp::Div => divide(a, b, symbols),
        BinaryOp::Equal => match a.sub(b).ok()?.range(symbols) {
            (Some(0), Some(0)) => truth(true),
            (Some(low), _) if low > 0 => truth(false),
            (_, Some(high)) if high < 0 => truth(false),
            _ => None,
        },
        BinaryOp::Less => truth(a.as_const()? < b.as_const()?),
        BinaryOp::LessOrEqual => truth(a.as_const()? <= b.as_const()?),
        BinaryOp::Greater => truth(a.as_const()? > b.as_const()?),
        BinaryOp::GreaterOrEqual => truth(a.as_const()? >= b.as_const()?),
        BinaryOp::And => truth(a.as_const()? != 0 && b.as_const()? != 0),
        BinaryOp::Or => truth(a.as_const()? != 0 || b.as_const()? != 0),
        BinaryOp::Xor => truth((a.as_const()? != 0) != (b.as_const()? != 0)),
        BinaryOp::Rem => a.as_const()?.checked_rem(b.as_const()?).map(IntExpr::Const),
        // Euclid's remainder is the floored one for a positive divisor.
        BinaryOp::Mod => {
            let divisor = b.as_const().filter(|&divisor| divisor > 0)?;
            a.as_const()?.checked_rem_euclid(divisor).map(IntExpr::Const)
        }
        BinaryOp::Pow
        | BinaryOp::BitAnd
        | BinaryOp::BitOr
        | BinaryOp::BitXor
        | BinaryOp::ShiftLeft
        | BinaryOp::ShiftRight => None,
    }
}

/// Integer division truncates; that is a floor only where both are known not to be negative.
fn divide(a: &IntExpr, b: &IntExpr, symbols: &Symbols) -> Option<IntExpr> {
    if let (Some(a), Some(b)) = (a.as_const(), b.as_const()) {
        return a.checked_div(b).map(IntExpr::Const);
    }
    let not_negative = |value: &IntExpr| value.range(symbols).0.is_some_and(|low| low >= 0);
    if not_negative(a) && not_negative(b) { a.floor_div(b).ok() } else { None }
}

fn cast(to: ElementType, from: ElementType, value: &IntExpr) -> Option<IntExpr> {
    match (to, value.as_const()) {
        (ElementType::I64, _) if from != ElementType::U64 => Some(value.clone()),
        (ElementType::I32, _) if from != ElementType::Bool => match value.as_const() {
            Some(known) => i32::try_from(known).ok().map(|known| IntExpr::Const(i64::from(known))),
            None => Some(value.clone()),
        },
        (ElementType::Bool, Some(known)) => Some(IntExpr::Const(i64::from(known != 0))),
        _ => None,
    }
}

fn range(operands: &[Operand<'_>], count: usize) -> Option<Vec<IntExpr>> {
    let [start, _, delta] = operands else { return None };
    let (start, delta) = (start.ints()?, delta.ints()?);
    let (start, delta) = (start.first()?, delta.first()?);
    (0..count)
        .map(|index| {
            let index = IntExpr::Const(i64::try_from(index).ok()?);
            start.add(&delta.mul(&index).ok()?).ok()
        })
        .collect()
}

/// How many elements `start, start + delta, ..` has below `limit` (above it for a negative delta).
pub(crate) fn range_count(
    start: &IntExpr,
    limit: &IntExpr,
    delta: i64,
) -> Result<IntExpr, crate::dim::DimError> {
    let distance = if delta < 0 { start.sub(limit)? } else { limit.sub(start)? };
    let step = delta.checked_abs().ok_or(crate::dim::DimError::Overflow)?;
    let rounded = distance.combine_with(step - 1, DimTerm::Add)?;
    rounded.combine_with(step, DimTerm::FloorDiv)?.combine_with(0, DimTerm::Max)
}
