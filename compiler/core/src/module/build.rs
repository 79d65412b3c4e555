//! Writes one function, operands before users.
//!
//! naga evaluates an expression where a contiguous `Emit` range names it, and wants literals, variables and results of
//! calls outside every range. The builder keeps those rules: it opens a range at the first expression that needs one
//! and closes it before each statement and each exempt expression. Appending goes through [`fold`], so nothing
//! that is known at compile time reaches the new function.

use std::collections::BTreeMap;

use naga::{
    Block, Constant, Expression, Function, GlobalVariable, Handle, Literal, LocalVariable, Module, Scalar,
    Span, Statement, Type, TypeInner,
    proc::{ResolveContext, TypeResolution},
};

mod fold;

pub(super) use fold::opposite;

use super::ModuleError;

/// A function under construction.
pub(super) struct Builder<'m> {
    /// The module, without the function that is being rebuilt.
    pub(super) module: &'m mut Module,
    /// What was written so far. Its body is empty until [`Builder::finish`].
    pub(super) function: Function,
    /// Source position given to what is appended next.
    pub(super) span: Span,
    types: Vec<TypeResolution>,
    leaves: BTreeMap<(u8, u64), Handle<Expression>>,
    blocks: Vec<Block>,
    emitting: Option<usize>,
    statements: usize,
}

impl<'m> Builder<'m> {
    /// A function with the signature of `like` and nothing inside.
    pub(super) fn new(module: &'m mut Module, like: &Function) -> Self {
        let function = Function {
            name: like.name.clone(),
            arguments: like.arguments.clone(),
            result: like.result.clone(),
            diagnostic_filter_leaf: like.diagnostic_filter_leaf,
            ..Function::default()
        };
        Self {
            module,
            function,
            span: Span::UNDEFINED,
            types: Vec::new(),
            leaves: BTreeMap::new(),
            blocks: vec![Block::new()],
            emitting: None,
            statements: 0,
        }
    }

    /// The finished function.
    pub(super) fn finish(mut self) -> Function {
        self.function.body = self.close();
        self.function
    }

    /// Name for messages.
    pub(super) fn function_name(&self) -> String {
        self.function.name.clone().unwrap_or_else(|| "kernel".to_owned())
    }

    /// Statements written so far, nested ones included.
    pub(super) fn statement_count(&self) -> usize {
        self.statements
    }

    /// Type of an expression of the new function.
    pub(super) fn inner(&self, expression: Handle<Expression>) -> &TypeInner {
        self.types[expression.index()].inner_with(&self.module.types)
    }

    /// Type of an expression, as an entry of the module's type arena.
    pub(super) fn type_of(&mut self, expression: Handle<Expression>) -> Handle<Type> {
        match &self.types[expression.index()] {
            TypeResolution::Handle(ty) => *ty,
            TypeResolution::Value(inner) => {
                let inner = inner.clone();
                self.ty(inner)
            }
        }
    }

    /// The module's unnamed type `inner`, added when it is new.
    pub(super) fn ty(&mut self, inner: TypeInner) -> Handle<Type> {
        self.module.types.insert(Type { name: None, inner }, Span::UNDEFINED)
    }

    /// Evaluates `expression` here, simplified where its operands allow.
    pub(super) fn emit(&mut self, expression: Expression) -> Result<Handle<Expression>, ModuleError> {
        fold::simplified(self, expression)
    }

    /// Appends `expression` as it stands.
    pub(super) fn append(&mut self, expression: Expression) -> Result<Handle<Expression>, ModuleError> {
        if expression.needs_pre_emit() {
            return self.leaf(expression);
        }
        if self.emitting.is_none() {
            self.emitting = Some(self.function.expressions.len());
        }
        self.push(expression)
    }

    /// Appends an expression that a statement defines, such as the result of an atomic operation.
    pub(super) fn result(&mut self, expression: Expression) -> Result<Handle<Expression>, ModuleError> {
        self.flush();
        self.push(expression)
    }

    /// A literal, variable or other expression that counts as evaluated at the start; one copy of each exists.
    pub(super) fn leaf(&mut self, expression: Expression) -> Result<Handle<Expression>, ModuleError> {
        let expression = fold::leaf(self, expression);
        let key = leaf_key(&expression);
        if let Some(known) = self.leaves.get(&key) {
            return Ok(*known);
        }
        self.flush();
        let handle = self.push(expression)?;
        self.leaves.insert(key, handle);
        Ok(handle)
    }

    /// A literal.
    pub(super) fn literal(&mut self, literal: Literal) -> Result<Handle<Expression>, ModuleError> {
        self.leaf(Expression::Literal(literal))
    }

    /// A literal of type u32.
    pub(super) fn u32(&mut self, value: u32) -> Result<Handle<Expression>, ModuleError> {
        self.literal(Literal::U32(value))
    }

    /// A pointer to a local variable of the new function.
    pub(super) fn local(&mut self, local: Handle<LocalVariable>) -> Result<Handle<Expression>, ModuleError> {
        self.leaf(Expression::LocalVariable(local))
    }

    /// A pointer to a variable of the module, or the resource itself.
    pub(super) fn global(
        &mut self,
        global: Handle<GlobalVariable>,
    ) -> Result<Handle<Expression>, ModuleError> {
        self.leaf(Expression::GlobalVariable(global))
    }

    /// Copies a constant initialiser from `source`, without evaluating it anywhere: naga wants it so.
    pub(super) fn initializer(
        &mut self,
        source: &naga::Arena<Expression>,
        init: Handle<Expression>,
    ) -> Result<Handle<Expression>, ModuleError> {
        let mut copy = source[init].clone();
        if copy.needs_pre_emit() {
            return self.leaf(copy);
        }
        super::operands::of_expression(&mut copy, &mut |operand| {
            *operand = self.initializer(source, *operand)?;
            Ok(())
        })?;
        self.flush();
        self.push(copy)
    }

    fn push(&mut self, expression: Expression) -> Result<Handle<Expression>, ModuleError> {
        let context = ResolveContext::with_locals(
            self.module,
            &self.function.local_variables,
            &self.function.arguments,
        );
        let ty =
            context.resolve(&expression, |operand| Ok(&self.types[operand.index()])).map_err(|error| {
                ModuleError::Untyped { function: self.function_name(), diagnostics: error.to_string() }
            })?;
        self.types.push(ty);
        Ok(self.function.expressions.append(expression, self.span))
    }

    /// Adds a local variable.
    pub(super) fn add_local(&mut self, variable: LocalVariable) -> Handle<LocalVariable> {
        self.function.local_variables.append(variable, self.span)
    }

    /// Writes a statement after everything that was evaluated so far.
    pub(super) fn statement(&mut self, statement: Statement) {
        self.flush();
        let span = self.span;
        self.statements += 1;
        self.current().push(statement, span);
    }

    /// Writes `*pointer = value`.
    pub(super) fn store(&mut self, pointer: Handle<Expression>, value: Handle<Expression>) {
        self.statement(Statement::Store { pointer, value });
    }

    /// Opens a nested block: what follows goes there until [`Builder::close`].
    pub(super) fn open(&mut self) {
        self.flush();
        self.blocks.push(Block::new());
    }

    /// Closes the innermost block and returns it.
    pub(super) fn close(&mut self) -> Block {
        self.flush();
        self.blocks.pop().unwrap_or_default()
    }

    /// Whether control cannot reach the end of the innermost block.
    pub(super) fn is_terminated(&self) -> bool {
        self.emitting.is_none()
            && self.blocks.last().and_then(|block| block.last()).is_some_and(is_terminator)
    }

    /// Names an expression, so that writers print `let name = ...` in place of a number. The first name stays.
    pub(super) fn name(&mut self, expression: Handle<Expression>, name: &str) {
        if self.can_be_named(expression) && !self.function.named_expressions.contains_key(&expression) {
            self.function.named_expressions.insert(expression, name.to_owned());
        }
    }

    /// Names an expression that was evaluated after the first `since` expressions, in place of the name it has.
    pub(super) fn rename(&mut self, expression: Handle<Expression>, name: &str, since: usize) {
        if expression.index() >= since && self.can_be_named(expression) {
            self.function.named_expressions.insert(expression, name.to_owned());
        } else {
            self.name(expression, name);
        }
    }

    fn can_be_named(&self, expression: Handle<Expression>) -> bool {
        let is_leaf = self.function.expressions[expression].needs_pre_emit();
        !is_leaf && self.inner(expression).pointer_space().is_none()
    }

    /// The literal that an expression is.
    pub(super) fn known(&self, expression: Handle<Expression>) -> Option<Literal> {
        match self.function.expressions[expression] {
            Expression::Literal(literal) => Some(literal),
            _ => None,
        }
    }

    /// The literal of a module constant of scalar type.
    pub(super) fn constant(&self, constant: Handle<Constant>) -> Option<Literal> {
        self.global_scalar(self.module.constants[constant].init)
    }

    fn global_scalar(&self, expression: Handle<Expression>) -> Option<Literal> {
        match self.module.global_expressions[expression] {
            Expression::Literal(literal) => Some(literal),
            Expression::ZeroValue(ty) => self.zero(ty),
            Expression::Constant(constant) => self.global_scalar(self.module.constants[constant].init),
            _ => None,
        }
    }

    /// The zero of a scalar type.
    pub(super) fn zero(&self, ty: Handle<Type>) -> Option<Literal> {
        match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) if scalar == Scalar::F16 => Some(Literal::F16(half::f16::ZERO)),
            TypeInner::Scalar(scalar) => Literal::zero(scalar),
            _ => None,
        }
    }

    fn current(&mut self) -> &mut Block {
        if self.blocks.is_empty() {
            self.blocks.push(Block::new());
        }
        let innermost = self.blocks.len() - 1;
        &mut self.blocks[innermost]
    }

    fn flush(&mut self) {
        if let Some(start) = self.emitting.take() {
            let range = self.function.expressions.range_from(start);
            let span = self.span;
            self.current().push(Statement::Emit(range), span);
        }
    }
}

/// Whether control never passes `statement`.
pub(super) fn is_terminator(statement: &Statement) -> bool {
    matches!(statement, Statement::Break | Statement::Continue | Statement::Return { .. } | Statement::Kill)
}

/// Tells leaves apart; floats by their bits, so that `-0.0` and `0.0` stay two.
fn leaf_key(leaf: &Expression) -> (u8, u64) {
    match *leaf {
        Expression::Literal(literal) => match literal {
            Literal::F64(value) => (0, value.to_bits()),
            Literal::F32(value) => (1, u64::from(value.to_bits())),
            Literal::F16(value) => (2, u64::from(value.to_bits())),
            Literal::U32(value) => (3, u64::from(value)),
            Literal::I32(value) => (4, u64::from(value.cast_unsigned())),
            Literal::U64(value) => (5, value),
            Literal::I64(value) => (6, value.cast_unsigned()),
            Literal::U16(value) => (7, u64::from(value)),
            Literal::I16(value) => (8, u64::from(value.cast_unsigned())),
            Literal::Bool(value) => (9, u64::from(value)),
            Literal::AbstractInt(value) => (10, value.cast_unsigned()),
            Literal::AbstractFloat(value) => (11, value.to_bits()),
        },
        Expression::Constant(constant) => (12, constant.index() as u64),
        Expression::Override(value) => (13, value.index() as u64),
        Expression::ZeroValue(ty) => (14, ty.index() as u64),
        Expression::FunctionArgument(index) => (15, u64::from(index)),
        Expression::GlobalVariable(global) => (16, global.index() as u64),
        Expression::LocalVariable(local) => (17, local.index() as u64),
        _ => unreachable!("verified: only leaves are kept once"),
    }
}
