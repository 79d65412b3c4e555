//! Places in memory: what a WGSL pointer expression refers to, as a C lvalue.

use naga::proc::TypeResolution;
use naga::{AddressSpace, Expression, Handle, Scalar, ScalarKind, TypeInner};

use super::Error;
use super::function::{FunctionWriter, address_space};
use super::text::{Precedence, Text};

const LANES: [&str; 4] = ["x", "y", "z", "w"];

/// The lane's letter.
pub(super) fn lane(index: u32) -> &'static str {
    LANES[index as usize]
}

/// Where a pointer expression points.
#[derive(Debug)]
pub(super) struct Place {
    text: Text,
    /// `text` is a C pointer to the place rather than the place.
    is_pointer: bool,
}

impl Place {
    /// The place as something that can be read and assigned.
    pub(super) fn lvalue(&self) -> Text {
        if self.is_pointer { Text::unary(format!("*{}", self.text.operand())) } else { self.text.clone() }
    }

    /// A C pointer to the place.
    pub(super) fn address(&self) -> Text {
        if self.is_pointer { self.text.clone() } else { Text::unary(format!("&{}", self.text.operand())) }
    }

    fn member(&self, name: &str) -> Text {
        if self.is_pointer {
            self.text.postfix(&format!("->{name}"))
        } else {
            self.text.postfix(&format!(".{name}"))
        }
    }
}

impl FunctionWriter<'_, '_> {
    /// The place that the pointer `handle` points to.
    pub(super) fn place(&mut self, handle: Handle<Expression>) -> Result<Place, Error> {
        match self.function.expressions[handle] {
            Expression::LocalVariable(variable) => match &self.locals[variable.index()] {
                Some(name) => Ok(Place { text: Text::primary(name.clone()), is_pointer: false }),
                None => unreachable!("a variable is declared before its first use"),
            },
            Expression::GlobalVariable(variable) => match &self.globals[variable.index()] {
                Some(global) => {
                    Ok(Place { text: Text::primary(global.name.clone()), is_pointer: global.is_pointer })
                }
                None => unreachable!("validated: the function's information lists every variable it uses"),
            },
            Expression::FunctionArgument(index) => {
                let name = self.arguments[index as usize].clone();
                Ok(Place { text: Text::primary(name), is_pointer: !self.pointee_is_array(handle) })
            }
            Expression::AccessIndex { base, index } => {
                let text = self.part(base, index)?;
                Ok(Place { text, is_pointer: false })
            }
            Expression::Access { base, index } => {
                let index = self.value(index)?;
                let text = self.element(base, &index)?;
                Ok(Place { text, is_pointer: false })
            }
            _ => Err(Error::Unsupported { construct: "a pointer of this kind" }),
        }
    }

    fn part(&mut self, base: Handle<Expression>, index: u32) -> Result<Text, Error> {
        let place = self.place(base)?;
        if self.is_packed(base) {
            return Ok(place.text.postfix(&format!("[{index}]")));
        }
        let pointee = self.pointee(base);
        match (pointee.inner_with(&self.out.module.types), pointee.handle()) {
            (TypeInner::Vector { .. }, _) => Ok(place.lvalue().postfix(&format!(".{}", lane(index)))),
            (TypeInner::Array { .. }, _) => Ok(place.text.postfix(&format!("[{index}]"))),
            (TypeInner::Struct { .. }, Some(ty)) => Ok(place.member(self.out.types.member(ty, index))),
            _ => self.refuse(&pointee),
        }
    }

    fn element(&mut self, base: Handle<Expression>, index: &Text) -> Result<Text, Error> {
        let place = self.place(base)?;
        if self.is_packed(base) {
            return Ok(place.text.postfix(&format!("[{}]", index.code)));
        }
        let pointee = self.pointee(base);
        match *pointee.inner_with(&self.out.module.types) {
            TypeInner::Array { .. } => Ok(place.text.postfix(&format!("[{}]", index.code))),
            TypeInner::Vector { scalar, .. } => {
                let space = self.type_of(base).pointer_space().unwrap_or(AddressSpace::Function);
                self.vector_element(&place.address(), scalar, address_space(space), index)
            }
            _ => self.refuse(&pointee),
        }
    }

    /// Lane `index` of the vector at `address`: only a pointer to its lanes can be indexed by a variable.
    pub(super) fn vector_element(
        &self,
        address: &Text,
        scalar: Scalar,
        qualifiers: &str,
        index: &Text,
    ) -> Result<Text, Error> {
        let lane = if scalar.kind == ScalarKind::Bool { "int" } else { self.out.types.scalar(scalar)? };
        let pointer = format!("({qualifiers}{lane} *){}", address.operand());
        Ok(Text::primary(format!("({pointer})[{}]", index.code)))
    }

    fn refuse<T>(&self, ty: &TypeResolution) -> Result<T, Error> {
        self.out.types.value(ty)?;
        Err(Error::Unsupported { construct: "a pointer into a value of this type" })
    }

    /// The type that the pointer `handle` points to.
    pub(super) fn pointee(&self, handle: Handle<Expression>) -> TypeResolution {
        match self.type_of(handle).pointer_base_type() {
            Some(ty) => ty,
            None => unreachable!("validated: only pointers are places"),
        }
    }

    fn pointee_is_array(&self, handle: Handle<Expression>) -> bool {
        matches!(self.pointee(handle).inner_with(&self.out.module.types), TypeInner::Array { .. })
    }

    /// Whether `pointer` points to a vector of three lanes that is an array in the text.
    pub(super) fn is_packed(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[pointer] {
            Expression::AccessIndex { base, index } => {
                self.pointee(base).handle().is_some_and(|ty| self.out.types.is_packed(ty, index))
            }
            _ => false,
        }
    }

    /// Whether `pointer` points to one lane of a vector of bools, which is an integer in the text.
    pub(super) fn is_bool_lane(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[pointer] {
            Expression::AccessIndex { base, .. } | Expression::Access { base, .. } => {
                let pointee = self.pointee(base);
                matches!(
                    pointee.inner_with(&self.out.module.types),
                    TypeInner::Vector { scalar, .. } if scalar.kind == ScalarKind::Bool
                )
            }
            _ => false,
        }
    }

    /// The value at `pointer`.
    pub(super) fn load(&mut self, pointer: Handle<Expression>) -> Result<Text, Error> {
        let atomic = self.type_of(pointer).is_atomic_pointer(&self.out.module.types);
        let bool_lane = self.is_bool_lane(pointer);
        let place = self.place(pointer)?;
        if atomic {
            // OpenCL C 1.2 has no atomic load: adding zero reads the value.
            return Ok(Text::call("atomic_add", &[place.address(), Text::primary("0")]));
        }
        let value = place.lvalue();
        if self.is_packed(pointer) {
            return Ok(Text::call("vload3", &[Text::primary("0"), value]));
        }
        Ok(if bool_lane {
            Text::binary(&value, "!=", &Text::primary("0"), Precedence::Equality)
        } else {
            value
        })
    }
}
