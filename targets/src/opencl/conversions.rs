//! Conversions between types, and what chooses by or asks about vectors of bools.

use naga::{Expression, Handle, RelationalFunction, Scalar, ScalarKind, VectorSize};

use super::Error;
use super::function::FunctionWriter;
use super::text::{Precedence, Text, is_comparison, precedence};

impl FunctionWriter<'_, '_> {
    pub(super) fn select(
        &mut self,
        condition: Handle<Expression>,
        accept: Handle<Expression>,
        reject: Handle<Expression>,
    ) -> Result<Text, Error> {
        let size = self.size_of(condition);
        let scalar = self.type_of(accept).scalar();
        let narrow = match scalar {
            Some(scalar) if scalar.width != 4 => self.narrow_comparison(condition, scalar)?,
            _ => None,
        };
        let condition = self.value(condition)?;
        let (accept, reject) = (self.value(accept)?, self.value(reject)?);
        let (Some(size), Some(scalar)) = (size, scalar) else {
            let code = format!(
                "{} ? {} : {}",
                condition.at_least(Precedence::LogicalOr),
                accept.at_least(Precedence::LogicalOr),
                reject.at_least(Precedence::Conditional)
            );
            return Ok(Text::new(code, Precedence::Conditional));
        };
        // `select` wants a condition whose lanes are as wide as those that it selects.
        let lanes = size as u8;
        let condition = match (narrow, scalar) {
            (Some(comparison), _) => comparison,
            (None, Scalar { kind: ScalarKind::Bool, .. } | Scalar { width: 4, .. }) => condition,
            (None, Scalar { width: 2, .. }) => Text::call(&format!("convert_short{lanes}"), &[condition]),
            (None, Scalar { .. }) => Text::call(&format!("convert_long{lanes}"), &[condition]),
        };
        Ok(Text::call("select", &[reject, accept, condition]))
    }

    /// The comparison `condition` as C leaves it, with lanes as wide as `scalar`, where that is what it compares.
    fn narrow_comparison(
        &mut self,
        condition: Handle<Expression>,
        scalar: Scalar,
    ) -> Result<Option<Text>, Error> {
        match self.function.expressions[condition] {
            Expression::Binary { op, left, right }
                if self.written[condition.index()].is_none()
                    && is_comparison(op)
                    && self.scalar_of(left).width == scalar.width
                    && self.scalar_of(left).kind != ScalarKind::Bool =>
            {
                let (left, right) = self.operands(op, left, right)?;
                Ok(Some(Text::binary(&left, naga::back::binary_operation_str(op), &right, precedence(op))))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn relational(
        &mut self,
        fun: RelationalFunction,
        argument: Handle<Expression>,
    ) -> Result<Text, Error> {
        let size = self.size_of(argument);
        let scalar = self.scalar_of(argument);
        let value = self.value(argument)?;
        match fun {
            RelationalFunction::All | RelationalFunction::Any if size.is_none() => Ok(value),
            RelationalFunction::All => Ok(Text::call("all", &[value])),
            RelationalFunction::Any => Ok(Text::call("any", &[value])),
            RelationalFunction::IsNan => Ok(comparison(Text::call("isnan", &[value]), size, scalar)),
            RelationalFunction::IsInf => Ok(comparison(Text::call("isinf", &[value]), size, scalar)),
        }
    }

    /// A conversion, or a reinterpretation of the bits where `width` is none.
    pub(super) fn convert(
        &mut self,
        operand: Handle<Expression>,
        kind: ScalarKind,
        width: Option<u8>,
    ) -> Result<Text, Error> {
        let size = self.size_of(operand);
        let from = self.scalar_of(operand);
        let to = Scalar { kind, width: width.unwrap_or(from.width) };
        let value = self.value(operand)?;
        let ty = self.out.types.vector(size, to)?;
        let bits = |value: Text| Text::call(&format!("as_{ty}"), &[value]);
        if from == to {
            return Ok(value);
        }
        Ok(match (from.kind, to.kind, size) {
            _ if width.is_none() => bits(value),
            (_, ScalarKind::Bool, _) => {
                let zero = if from == Scalar::F32 { "0.0f" } else { "0" };
                comparison(Text::binary(&value, "!=", &Text::primary(zero), Precedence::Equality), size, from)
            }
            // True lanes are -1.
            (ScalarKind::Bool, ScalarKind::Sint, Some(_)) if to.width == 4 => negated(&value),
            (ScalarKind::Bool, ScalarKind::Uint, Some(_)) if to.width == 4 => bits(negated(&value)),
            (ScalarKind::Bool, _, Some(_)) => Text::call(&format!("convert_{ty}"), &[negated(&value)]),
            (ScalarKind::Float, ScalarKind::Sint | ScalarKind::Uint, _) => {
                Text::call(&format!("convert_{ty}_sat"), &[value])
            }
            (ScalarKind::Sint | ScalarKind::Uint, ScalarKind::Sint | ScalarKind::Uint, Some(_))
                if from.width == to.width =>
            {
                bits(value)
            }
            (_, _, Some(_)) => Text::call(&format!("convert_{ty}"), &[value]),
            (_, _, None) => Text::unary(format!("({ty}){}", value.operand())),
        })
    }
}

fn negated(value: &Text) -> Text {
    Text::unary(format!("-{}", value.operand()))
}

/// A comparison of vectors, whose lanes C makes as wide as the operands': a vector of bools has lanes of an `int`.
pub(super) fn comparison(text: Text, size: Option<VectorSize>, operand: Scalar) -> Text {
    match size {
        Some(size) if operand.width != 4 && operand.kind != ScalarKind::Bool => {
            Text::call(&format!("convert_int{}", size as u8), &[text])
        }
        _ => text,
    }
}
