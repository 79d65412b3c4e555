//! Types of scalar functions and of element-wise nodes.

use super::{BinaryOp, ScalarOp, UnaryOp};
use crate::op::infer::{Check, InferErrorKind, broadcast};
use crate::tensor::{ElementType, TensorType};

impl ScalarOp {
    /// Element type of the result, or which operand has a type that the function does not take.
    pub fn result_element(&self, operands: &[ElementType]) -> Result<ElementType, InferErrorKind> {
        if operands.len() != self.arity() {
            return Err(InferErrorKind::OperandCount {
                expected: self.arity().to_string(),
                actual: operands.len(),
            });
        }
        match self {
            Self::Unary(op) => {
                unary_takes(*op, operands[0])?;
                Ok(if op.is_test() { ElementType::Bool } else { operands[0] })
            }
            Self::Binary(op) => binary_result(*op, operands),
            Self::Clip { min, max } if min.is_nan() || max.is_nan() => Err(InferErrorKind::Attribute {
                attribute: "min, max",
                expected: "bounds that are not NaN".to_owned(),
                actual: format!("{min}, {max}"),
            }),
            Self::Clip { .. } => {
                expect(0, operands[0], ElementType::is_number, "a number")?;
                Ok(operands[0])
            }
            Self::Select => {
                expect(0, operands[0], |element| element == ElementType::Bool, "bool")?;
                same(2, operands[2], 1, operands[1])?;
                Ok(operands[1])
            }
            Self::Cast(to) => Ok(*to),
        }
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        let elements: Vec<ElementType> = check.operands.iter().map(|operand| operand.ty.element).collect();
        let element = self.result_element(&elements)?;
        let mut shape = check.shape(0).to_vec();
        for operand in 1..check.operands.len() {
            shape = broadcast(&shape, check.shape(operand), check.symbols)?;
        }
        Ok(TensorType { element, shape })
    }
}

fn expect(
    operand: usize,
    actual: ElementType,
    takes: fn(ElementType) -> bool,
    expected: &str,
) -> Result<(), InferErrorKind> {
    if takes(actual) {
        return Ok(());
    }
    Err(InferErrorKind::Element { operand, expected: expected.to_owned(), actual })
}

fn same(
    operand: usize,
    actual: ElementType,
    other: usize,
    expected: ElementType,
) -> Result<(), InferErrorKind> {
    if actual == expected {
        return Ok(());
    }
    Err(InferErrorKind::Element { operand, expected: format!("{expected} like operand {other}"), actual })
}

fn unary_takes(op: UnaryOp, element: ElementType) -> Result<(), InferErrorKind> {
    match op {
        UnaryOp::Not => expect(0, element, |element| element == ElementType::Bool, "bool"),
        UnaryOp::BitNot => expect(0, element, ElementType::is_integer, "an integer"),
        UnaryOp::Abs | UnaryOp::Neg | UnaryOp::Relu | UnaryOp::Sign => {
            expect(0, element, ElementType::is_number, "a number")
        }
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
        | UnaryOp::Tanh => expect(0, element, ElementType::is_float, "a float type"),
    }
}

fn binary_result(op: BinaryOp, operands: &[ElementType]) -> Result<ElementType, InferErrorKind> {
    if op.is_logic() {
        expect(0, operands[0], |element| element == ElementType::Bool, "bool")?;
    } else if op.is_bitwise() {
        expect(0, operands[0], ElementType::is_integer, "an integer")?;
    } else if op != BinaryOp::Equal {
        expect(0, operands[0], ElementType::is_number, "a number")?;
    }
    same(1, operands[1], 0, operands[0])?;
    Ok(if op.is_comparison() { ElementType::Bool } else { operands[0] })
}
