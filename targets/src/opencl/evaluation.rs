//! The moment at which each expression is evaluated.
//!
//! naga evaluates an expression at its `Emit`. The text of an expression that is used once may stand where it is
//! used instead, as long as nothing in between changes what it reads. Such expressions are *pending*: before a
//! statement with effects, those that read memory and are still needed after it go into variables.

use naga::proc::TypeResolution;
use naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, Handle, ImageClass, MathFunction, Range,
    ScalarKind, Statement, TypeInner,
};

use super::Error;
use super::function::FunctionWriter;
use super::scope::Scope;
use super::text::Text;
use super::usage::Usage;
use crate::operands::each_statement_operand;

impl<'a> FunctionWriter<'a, '_> {
    /// Gives variables to the pending expressions that must be evaluated before `statement`.
    pub(super) fn settle(&mut self, statement: &Statement) -> Result<(), Error> {
        let nests = match statement {
            Statement::Emit(_) | Statement::Break | Statement::Continue | Statement::Return { .. } => {
                return Ok(());
            }
            Statement::Block(_) | Statement::Loop { .. } => true,
            Statement::If { .. } | Statement::Switch { .. } => {
                each_statement_operand(statement, |operand| self.consume(operand));
                true
            }
            _ => {
                each_statement_operand(statement, |operand| self.consume(operand));
                false
            }
        };
        let mut needed = Vec::new();
        for handle in self.pending.clone().into_iter().rev() {
            if self.left[handle.index()] > 0 && (nests || self.reads_memory(handle)) {
                needed.push(handle);
                self.consume_parts(handle);
            }
        }
        for &handle in needed.iter().rev() {
            self.bake(handle)?;
        }
        self.pending.retain(|handle| self.left[handle.index()] > 0 && self.written[handle.index()].is_none());
        Ok(())
    }

    /// Counts one use of `handle`'s text as written.
    fn consume(&mut self, handle: Handle<Expression>) {
        consume(self.function, &self.usage, &self.written, &mut self.left, handle);
    }

    /// Counts what the text of `handle` is made of as written.
    fn consume_parts(&mut self, handle: Handle<Expression>) {
        self.usage.for_each_part(self.function, handle, |part| {
            consume(self.function, &self.usage, &self.written, &mut self.left, part);
        });
    }

    pub(super) fn scope(&self) -> Scope<'a> {
        Scope { module: self.out.module, function: self.function, info: self.info }
    }

    /// Whether the text of `handle` reads memory that a statement may change.
    fn reads_memory(&self, handle: Handle<Expression>) -> bool {
        if self.written[handle.index()].is_some() || self.usage.counters.contains(&handle) {
            return false;
        }
        match self.function.expressions[handle] {
            Expression::Load { .. } if self.usage.shortcuts.get(handle).is_some() => {
                self.operands_read_memory(handle)
            }
            Expression::Load { pointer } => !self.is_read_only(pointer) || self.operands_read_memory(pointer),
            Expression::ImageLoad { image, .. } => {
                let read_only =
                    matches!(self.type_of(image), TypeInner::Image { class: ImageClass::Sampled { .. }, .. });
                !read_only || self.operands_read_memory(handle)
            }
            _ => self.operands_read_memory(handle),
        }
    }

    fn operands_read_memory(&self, handle: Handle<Expression>) -> bool {
        let mut reads = false;
        self.usage.for_each_part(self.function, handle, |part| reads |= self.reads_memory(part));
        reads
    }

    fn is_read_only(&self, pointer: Handle<Expression>) -> bool {
        match self.type_of(pointer).pointer_space() {
            Some(AddressSpace::Storage { access }) => !access.contains(naga::StorageAccess::STORE),
            Some(AddressSpace::Uniform) => true,
            _ => false,
        }
    }

    /// Whether the `statements` of `block` disappear in the text of `roots`.
    pub(super) fn folds(
        &self,
        block: &Block,
        statements: std::ops::Range<usize>,
        roots: &[Handle<Expression>],
    ) -> bool {
        let is_written = |handle: Handle<Expression>| self.written[handle.index()].is_some();
        self.usage.folds(&self.scope(), block, statements, roots, &is_written)
    }

    pub(super) fn emit(&mut self, range: &Range<Expression>) -> Result<(), Error> {
        let scope = self.scope();
        for handle in range.clone() {
            if self.usage.counts[handle.index()] == 0 {
                continue;
            }
            if !self.usage.is_inline(&scope, handle) {
                self.consume_parts(handle);
                self.bake(handle)?;
            } else if !scope.is_pointer(handle)
                && !scope.is_transparent(handle)
                && !scope.is_constant(handle)
                && !self.usage.fused.contains(&handle)
                && !self.usage.counters.contains(&handle)
            {
                self.pending.push(handle);
            }
        }
        Ok(())
    }

    /// Evaluates `handle` into a variable.
    fn bake(&mut self, handle: Handle<Expression>) -> Result<(), Error> {
        let ty = self.info[handle].ty.clone();
        if self.is_array(handle) {
            return self.bake_array(handle, &ty);
        }
        let value = self.value(handle)?.code;
        let name = self.result_name(handle);
        let declaration = self.out.types.declaration(&ty, &name)?;
        self.line(&format!("const {declaration} = {value};"));
        self.written[handle.index()] = Some(name);
        Ok(())
    }

    fn bake_array(&mut self, handle: Handle<Expression>, ty: &TypeResolution) -> Result<(), Error> {
        if let Expression::Load { pointer } = self.function.expressions[handle] {
            let source = self.place(pointer)?.lvalue();
            let name = self.result_name(handle);
            let declaration = self.out.types.declaration(ty, &name)?;
            self.line(&format!("{declaration};"));
            self.copy_array(&Text::primary(name.clone()), &source, ty)?;
            self.written[handle.index()] = Some(name);
        } else {
            let value = self.initializer(handle)?;
            let name = self.result_name(handle);
            let declaration = self.out.types.declaration(ty, &name)?;
            self.line(&format!("const {declaration} = {value};"));
            self.written[handle.index()] = Some(name);
        }
        Ok(())
    }

    /// Declares the name of `handle`'s value: the source's, or one that says where it comes from.
    fn result_name(&mut self, handle: Handle<Expression>) -> String {
        let described = self.describe(handle);
        self.name_or(handle, &described)
    }

    fn name_or(&mut self, handle: Handle<Expression>, otherwise: &str) -> String {
        let function = self.function;
        let named = function.named_expressions.get(&handle).map_or(otherwise, String::as_str);
        self.names.declare(named)
    }

    fn describe(&self, handle: Handle<Expression>) -> String {
        match self.function.expressions[handle] {
            Expression::Load { pointer } => match self.root_name(pointer) {
                Some(root) => format!("{root}_value"),
                None => "value".to_owned(),
            },
            Expression::ImageLoad { image, .. } => match self.root_name(image) {
                Some(root) => format!("{root}_texel"),
                None => "texel".to_owned(),
            },
            Expression::Binary { .. } if self.scalar_of(handle).kind == ScalarKind::Bool => {
                "condition".to_owned()
            }
            Expression::Binary { op: BinaryOperator::Add | BinaryOperator::Subtract, .. } => {
                if self.scalar_of(handle).kind == ScalarKind::Float { "sum" } else { "index" }.to_owned()
            }
            Expression::Binary { op: BinaryOperator::Multiply, .. } => "product".to_owned(),
            Expression::Math { fun: MathFunction::Exp, .. } => "exponential".to_owned(),
            _ => "value".to_owned(),
        }
    }

    fn root_name(&self, mut pointer: Handle<Expression>) -> Option<&str> {
        loop {
            match self.function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
                Expression::LocalVariable(variable) => return self.locals[variable.index()].as_deref(),
                Expression::GlobalVariable(variable) => {
                    return self.globals[variable.index()].as_ref().map(|global| global.name.as_str());
                }
                Expression::FunctionArgument(index) => {
                    return self.arguments.get(index as usize).map(String::as_str);
                }
                _ => return None,
            }
        }
    }

    /// Makes the variable of a statement's result, called `otherwise` where the source has no name for it.
    pub(super) fn bind_result(
        &mut self,
        result: Handle<Expression>,
        value: &Text,
        otherwise: &str,
    ) -> Result<(), Error> {
        let name = self.name_or(result, otherwise);
        let declaration = self.out.types.declaration(&self.info[result].ty, &name)?;
        self.line(&format!("const {declaration} = {};", value.code));
        self.written[result.index()] = Some(name);
        Ok(())
    }
}

/// Counts one use of `handle`'s text, and with it of what the text is made of.
fn consume(
    function: &Function,
    usage: &Usage<'_>,
    written: &[Option<String>],
    left: &mut [u32],
    handle: Handle<Expression>,
) {
    if written[handle.index()].is_none() {
        left[handle.index()] = left[handle.index()].saturating_sub(1);
        usage.for_each_part(function, handle, |part| consume(function, usage, written, left, part));
    }
}
