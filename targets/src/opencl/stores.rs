//! Assignments, and declarations that take their first value from one.

use naga::proc::TypeResolution;
use naga::{BinaryOperator, Expression, Handle, Literal, ScalarKind, TypeInner};

use super::Error;
use super::function::FunctionWriter;
use super::text::{Precedence, Text};
use super::usage::Declaration;

impl FunctionWriter<'_, '_> {
    pub(super) fn declare_by_store(
        &mut self,
        declaration: &Declaration,
        value: Handle<Expression>,
    ) -> Result<(), Error> {
        let copies = self.is_array(value)
            && !matches!(
                self.function.expressions[value],
                Expression::Compose { .. } | Expression::ZeroValue(_) | Expression::Constant(_)
                    if self.written[value.index()].is_none()
            );
        if copies {
            let source = self.value(value)?;
            let ty = self.info[value].ty.clone();
            let declaration_text = self.local_declaration(declaration.variable)?;
            self.line(&format!("{declaration_text};"));
            let name = self.locals[declaration.variable.index()].clone().unwrap_or_default();
            return self.copy_array(&Text::primary(name), &source, &ty);
        }
        let value = self.initializer(value)?;
        let declaration = self.local_declaration(declaration.variable)?;
        self.line(&format!("{declaration} = {value};"));
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        pointer: Handle<Expression>,
        value: Handle<Expression>,
    ) -> Result<(), Error> {
        if self.is_array(value) {
            return self.store_array(pointer, value);
        }
        let assignment = self.assignment(pointer, value)?;
        self.line(&format!("{assignment};"));
        Ok(())
    }

    /// `place = value` of everything but arrays, as an expression: the step of a `for` is one.
    pub(super) fn assignment(
        &mut self,
        pointer: Handle<Expression>,
        value: Handle<Expression>,
    ) -> Result<String, Error> {
        let atomic = self.type_of(pointer).is_atomic_pointer(&self.out.module.types);
        let place = self.place(pointer)?;
        if atomic {
            let value = self.value(value)?;
            return Ok(Text::call("atomic_xchg", &[place.address(), value]).code);
        }
        if self.is_packed(pointer) {
            let value = self.value(value)?;
            return Ok(Text::call("vstore3", &[value, Text::primary("0"), place.lvalue()]).code);
        }
        if let Some(text) = self.compound_assignment(&place.lvalue(), value)? {
            return Ok(text);
        }
        let lane = self.is_bool_lane(pointer);
        let value = self.value(value)?;
        let value = if lane { super::constants::bool_lane(&value) } else { value.code };
        Ok(format!("{} = {value}", place.lvalue().code))
    }

    /// `place += right`, `place++`.
    fn compound_assignment(
        &mut self,
        place: &Text,
        value: Handle<Expression>,
    ) -> Result<Option<String>, Error> {
        let Expression::Binary { op, right, .. } = self.function.expressions[value] else { return Ok(None) };
        let scalar = self.scalar_of(value);
        let wraps = scalar.kind == ScalarKind::Sint && self.out.options.wrap_signed;
        if !self.usage.compound.contains(&value) || wraps {
            return Ok(None);
        }
        let one = matches!(
            self.function.expressions[right],
            Expression::Literal(Literal::U32(1) | Literal::I32(1) | Literal::U64(1) | Literal::I64(1))
        );
        match op {
            BinaryOperator::Add if one => {
                return Ok(Some(format!("{}++", place.at_least(Precedence::Primary))));
            }
            BinaryOperator::Subtract if one => {
                return Ok(Some(format!("{}--", place.at_least(Precedence::Primary))));
            }
            _ => {}
        }
        let right = self.unsplat(right)?;
        Ok(Some(format!("{} {}= {}", place.code, naga::back::binary_operation_str(op), right.code)))
    }

    fn store_array(&mut self, pointer: Handle<Expression>, value: Handle<Expression>) -> Result<(), Error> {
        let target = self.place(pointer)?.lvalue();
        let ty = self.info[value].ty.clone();
        let source = match self.function.expressions[value] {
            Expression::Load { pointer } if self.written[value.index()].is_none() => {
                self.place(pointer)?.lvalue()
            }
            Expression::Compose { .. } | Expression::ZeroValue(_)
                if self.written[value.index()].is_none() =>
            {
                // A list initialises only, so the new elements get a name of their own first.
                let initializer = self.initializer(value)?;
                let name = self.names.declare("elements");
                let declaration = self.out.types.declaration(&ty, &name)?;
                self.line(&format!("const {declaration} = {initializer};"));
                Text::primary(name)
            }
            _ => self.value(value)?,
        };
        self.copy_array(&target, &source, &ty)
    }

    /// C does not assign arrays.
    pub(super) fn copy_array(
        &mut self,
        target: &Text,
        source: &Text,
        ty: &TypeResolution,
    ) -> Result<(), Error> {
        let module = self.out.module;
        let TypeInner::Array { base, size, .. } = *ty.inner_with(&module.types) else {
            self.line(&format!("{} = {};", target.code, source.code));
            return Ok(());
        };
        let count = super::types::array_len(size, &source.code)?;
        self.names.enter();
        let index = self.names.declare("i");
        self.line(&format!("for (uint {index} = 0u; {index} < {count}u; {index}++) {{"));
        self.depth += 1;
        let element = format!("[{index}]");
        let copied = self.copy_array(
            &target.postfix(&element),
            &source.postfix(&element),
            &TypeResolution::Handle(base),
        );
        self.depth -= 1;
        self.names.leave();
        copied?;
        self.line("}");
        Ok(())
    }
}
