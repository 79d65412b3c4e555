//! Literals, zero values and the constants of the module.

use std::fmt::Write as _;

use naga::proc::TypeResolution;
use naga::{ArraySize, Constant, Expression, Handle, Literal, Scalar, ScalarKind, Type, TypeInner};

use super::text::{Precedence, Text};
use super::{Error, ModuleWriter};

/// The shortest text that reads back as `literal`.
pub(super) fn literal(literal: Literal, fp16: bool) -> Result<Text, Error> {
    let code = match literal {
        Literal::F32(value) => format!("{}f", finite(value)?),
        Literal::F16(value) if fp16 => format!("{}h", finite(value.to_f32())?),
        Literal::F16(_) => return Err(Error::NeedsFp16),
        Literal::U32(value) => format!("{value}u"),
        // C has no negative literals: the minimum would be the negation of a number that does not fit.
        Literal::I32(i32::MIN) => "INT_MIN".to_owned(),
        Literal::I32(value) => value.to_string(),
        Literal::U64(value) => format!("{value}UL"),
        Literal::I64(i64::MIN) => "LONG_MIN".to_owned(),
        Literal::I64(value) => format!("{value}L"),
        Literal::Bool(value) => value.to_string(),
        Literal::F64(_) => return Err(Error::Unsupported { construct: "f64" }),
        Literal::U16(_) | Literal::I16(_) => {
            return Err(Error::Unsupported {
                construct: "integers of 8 or 16 bits (pack them into u32 words)",
            });
        }
        Literal::AbstractInt(_) | Literal::AbstractFloat(_) => {
            unreachable!("validated: no abstract literals")
        }
    };
    let precedence = if code.starts_with('-') { Precedence::Unary } else { Precedence::Primary };
    Ok(Text::new(code, precedence))
}

fn finite(value: f32) -> Result<String, Error> {
    // `{:?}` prints the fewest digits that round-trip, always with a point or an exponent.
    if value.is_finite() { Ok(format!("{value:?}")) } else { Err(Error::NonFiniteLiteral) }
}

impl ModuleWriter<'_> {
    /// Zero of a type that C can hold in an expression.
    pub(super) fn zero(&self, ty: Handle<Type>) -> Result<Text, Error> {
        match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) => self.zero_scalar(scalar),
            TypeInner::Vector { size, scalar } => self.splat(size, scalar, &self.zero_scalar(scalar)?),
            TypeInner::Struct { .. } => {
                Ok(Text::unary(format!("({}){}", self.types.struct_name(ty), self.zero_initializer(ty)?)))
            }
            ref other => {
                let _ = self.types.value(&TypeResolution::Value(other.clone()))?;
                Err(Error::Unsupported { construct: "a zero value of this type" })
            }
        }
    }

    pub(super) fn zero_scalar(&self, scalar: Scalar) -> Result<Text, Error> {
        match Literal::zero(scalar) {
            Some(zero) => literal(zero, self.options.fp16),
            None => Err(Error::Unsupported { construct: "a zero value of this type" }),
        }
    }

    /// `(float4)(value)`
    pub(super) fn splat(&self, size: naga::VectorSize, scalar: Scalar, value: &Text) -> Result<Text, Error> {
        let value = if scalar.kind == ScalarKind::Bool { bool_lane(value) } else { value.code.clone() };
        Ok(Text::unary(format!("({})({value})", self.types.vector(Some(size), scalar)?)))
    }

    /// What follows the `=` of a declaration that starts out as zero: C zeroes what a list leaves out.
    pub(super) fn zero_initializer(&self, ty: Handle<Type>) -> Result<String, Error> {
        match self.module.types[ty].inner {
            TypeInner::Array { base, .. } => Ok(format!("{{{}}}", self.zero_initializer(base)?)),
            TypeInner::Struct { ref members, .. } => match members.first() {
                Some(member) if self.types.is_packed(ty, 0) => {
                    let scalar = self.module.types[member.ty].inner.scalar();
                    Ok(format!("{{{{{}}}}}", self.zero_scalar(scalar.unwrap_or(Scalar::F32))?.code))
                }
                Some(member) => Ok(format!("{{{}}}", self.zero_initializer(member.ty)?)),
                None => Ok("{}".to_owned()),
            },
            _ => Ok(self.zero(ty)?.code),
        }
    }

    /// A use of `constant`: its name, or its value where it has none and needs none.
    pub(super) fn constant(&mut self, constant: Handle<Constant>) -> Result<Text, Error> {
        let declared = &self.module.constants[constant];
        let is_array = matches!(self.module.types[declared.ty].inner, TypeInner::Array { .. });
        if declared.name.is_some() || is_array {
            self.used_constants.insert(constant.index());
            return Ok(Text::primary(self.constant_names[constant.index()].clone()));
        }
        self.constant_value(declared.init)
    }

    /// The value of a constant expression of the module.
    fn constant_value(&mut self, handle: Handle<Expression>) -> Result<Text, Error> {
        match self.module.global_expressions[handle] {
            Expression::Literal(value) => literal(value, self.options.fp16),
            // Spelled out rather than named: C does not take another variable in an initialiser.
            Expression::Constant(constant) => self.constant_value(self.module.constants[constant].init),
            Expression::ZeroValue(ty) => self.zero(ty),
            Expression::Splat { size, value } => {
                let scalar = self.info[handle].inner_with(&self.module.types).scalar();
                let Some(scalar) = scalar else { unreachable!("validated: a splat is a vector") };
                let value = self.constant_value(value)?;
                self.splat(size, scalar, &value)
            }
            Expression::Compose { ty, ref components } => {
                let values = components
                    .iter()
                    .map(|&component| Ok((self.constant_value(component)?, self.constant_scalar(component))))
                    .collect::<Result<Vec<_>, Error>>()?;
                self.compose(ty, &values)
            }
            _ => Err(Error::Unsupported { construct: "a constant that is not evaluated" }),
        }
    }

    fn constant_scalar(&self, handle: Handle<Expression>) -> bool {
        matches!(self.info[handle].inner_with(&self.module.types), TypeInner::Scalar(_))
    }

    /// `(float4)(a, b, c, d)` or `(Params){.width = a}`; each component comes with whether it is a scalar.
    pub(super) fn compose(&self, ty: Handle<Type>, components: &[(Text, bool)]) -> Result<Text, Error> {
        match self.module.types[ty].inner {
            TypeInner::Vector { size, scalar } => {
                let lanes: Vec<_> = components
                    .iter()
                    .map(|(value, is_scalar)| {
                        let bool_scalar = *is_scalar && scalar.kind == ScalarKind::Bool;
                        if bool_scalar { bool_lane(value) } else { value.code.clone() }
                    })
                    .collect();
                let ty = self.types.vector(Some(size), scalar)?;
                Ok(Text::unary(format!("({ty})({})", lanes.join(", "))))
            }
            TypeInner::Struct { .. } => {
                let members: Vec<_> = components
                    .iter()
                    .enumerate()
                    .map(|(index, (value, _))| {
                        let index = index as u32;
                        let value =
                            if self.types.is_packed(ty, index) { three(value) } else { value.code.clone() };
                        format!(".{} = {value}", self.types.member(ty, index))
                    })
                    .collect();
                Ok(Text::unary(format!("({}){{{}}}", self.types.struct_name(ty), members.join(", "))))
            }
            ref other => self
                .types
                .value(&TypeResolution::Value(other.clone()))
                .and(Err(Error::Unsupported { construct: "a composed value of this type" })),
        }
    }

    /// The declarations of all constants that the functions mention.
    pub(super) fn constants(&mut self) -> Result<String, Error> {
        let mut out = String::new();
        for (handle, constant) in self.module.constants.iter() {
            if !self.used_constants.contains(&handle.index()) {
                continue;
            }
            let ty = TypeResolution::Handle(constant.ty);
            let declaration = self.types.declaration(&ty, &self.constant_names[handle.index()])?;
            let value = self.constant_initializer(constant.init)?;
            let _ = writeln!(out, "__constant {declaration} = {value};");
        }
        if !out.is_empty() {
            out.push('\n');
        }
        Ok(out)
    }

    pub(super) fn constant_initializer(&mut self, handle: Handle<Expression>) -> Result<String, Error> {
        match self.module.global_expressions[handle] {
            Expression::Constant(constant) => self.constant_initializer(self.module.constants[constant].init),
            Expression::ZeroValue(ty) => self.zero_initializer(ty),
            Expression::Compose { ty, ref components } => match self.module.types[ty].inner {
                TypeInner::Array { size: ArraySize::Constant(_), .. } | TypeInner::Struct { .. } => {
                    let values = components
                        .iter()
                        .enumerate()
                        .map(|(index, &component)| {
                            if self.types.is_packed(ty, index as u32) {
                                return Err(Error::Unsupported {
                                    construct: "a constant with a tightly packed vec3",
                                });
                            }
                            let value = self.constant_initializer(component)?;
                            Ok(match self.module.types[ty].inner {
                                TypeInner::Struct { .. } => {
                                    format!(".{} = {value}", self.types.member(ty, index as u32))
                                }
                                _ => value,
                            })
                        })
                        .collect::<Result<Vec<_>, Error>>()?;
                    Ok(format!("{{{}}}", values.join(", ")))
                }
                _ => Ok(self.constant_value(handle)?.code),
            },
            _ => Ok(self.constant_value(handle)?.code),
        }
    }
}

/// A scalar bool as one lane of a vector of bools.
pub(super) fn bool_lane(value: &Text) -> String {
    match value.code.as_str() {
        "true" => "-1".to_owned(),
        "false" => "0".to_owned(),
        _ => format!("{} ? -1 : 0", value.at_least(Precedence::LogicalOr)),
    }
}

/// A vector of three lanes as the array that it is in a struct without room for a fourth.
fn three(value: &Text) -> String {
    let lane = |lane: &str| value.postfix(lane).code;
    format!("{{{}, {}, {}}}", lane(".x"), lane(".y"), lane(".z"))
}
