//! Copies a function, statement by statement, into a [`Builder`], with a hook wherever a pass may differ.
//!
//! A pass states only what it changes: [`Pass::expression`] for one evaluated expression, [`Pass::leaf`] for variables and
//! constants, [`Pass::statement`] for one statement. Everything else is copied, with plain blocks flattened, branches on
//! known conditions resolved, and code after a `break`, `continue` or `return` dropped.

use naga::{
    BinaryOperator, Block, Expression, Function, Handle, Literal, LocalVariable, Module, Span, Statement,
    UnaryOperator,
};

use super::{
    ModuleError,
    build::Builder,
    control::{is_short_circuit, taken_case},
    operands,
};

type Operand = Handle<Expression>;

/// What a pass does differently from a copy. `'s` is the life of the functions that are read.
pub(super) trait Pass<'s> {
    /// Prepares for a function whose locals are copied and whose statements are not.
    fn begin(&mut self, _walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        Ok(())
    }

    /// Writes one evaluated expression, whose operands are already those of the new function.
    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        _old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        walk.build.emit(mapped)
    }

    /// Writes an expression that counts as evaluated at the start. A local variable is already the new one.
    fn leaf(&mut self, walk: &mut Walk<'_, 's>, leaf: Expression) -> Result<Operand, ModuleError> {
        walk.build.leaf(leaf)
    }

    /// Writes one statement.
    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        walk.copy(self, statement)
    }

    /// Writes `*pointer = value`; both are of the new function.
    fn store(
        &mut self,
        walk: &mut Walk<'_, 's>,
        pointer: Operand,
        value: Operand,
    ) -> Result<(), ModuleError> {
        walk.build.store(pointer, value);
        Ok(())
    }

    /// Control enters a branch of a conditional, or the body of a loop.
    fn enter_branch(&mut self) {}

    /// Control leaves the branch that was entered last.
    fn leave_branch(&mut self) {}

    /// Control enters the loop `statement` for the first time, or passed the conditional or loop `statement`.
    fn forget_stores(&mut self, _walk: &Walk<'_, 's>, _statement: &'s Statement) {}
}

/// The function being read: its handles, and what became of them.
pub(super) struct Frame<'s> {
    /// Function being read.
    pub(super) source: &'s Function,
    /// Values of the parameters where the function is inlined; empty where parameters stay parameters.
    pub(super) arguments: Vec<Operand>,
    /// New local of each old one.
    pub(super) locals: Vec<Option<Handle<LocalVariable>>>,
    map: Vec<Option<Operand>>,
}

impl<'s> Frame<'s> {
    /// A frame in which nothing was read yet.
    pub(super) fn new(source: &'s Function, arguments: Vec<Operand>) -> Self {
        Self {
            source,
            arguments,
            locals: vec![None; source.local_variables.len()],
            map: vec![None; source.expressions.len()],
        }
    }
}

/// The state of a copy.
pub(super) struct Walk<'m, 's> {
    /// Where the copy goes.
    pub(super) build: Builder<'m>,
    /// What is being read.
    pub(super) frame: Frame<'s>,
}

/// Rebuilds `source` with `pass`; local variables are copied beforehand.
pub(super) fn rebuild<'s>(
    module: &mut Module,
    source: &'s Function,
    pass: &mut dyn Pass<'s>,
) -> Result<Function, ModuleError> {
    rebuild_with_locals(module, source, &vec![true; source.local_variables.len()], pass)
}

/// Rebuilds `source` with only those locals for which `keep` holds; nothing may use the others.
pub(super) fn rebuild_with_locals<'s>(
    module: &mut Module,
    source: &'s Function,
    keep: &[bool],
    pass: &mut dyn Pass<'s>,
) -> Result<Function, ModuleError> {
    let mut walk = Walk { build: Builder::new(module, source), frame: Frame::new(source, Vec::new()) };
    walk.copy_locals(keep)?;
    pass.begin(&mut walk)?;
    walk.block(pass, &source.body)?;
    Ok(walk.build.finish())
}

/// Takes every entry point out of the module in turn and puts back what `rewrite` makes of it.
pub(super) fn each_entry_point(
    module: &mut Module,
    mut rewrite: impl FnMut(&mut Module, &Function) -> Result<Function, ModuleError>,
) -> Result<(), ModuleError> {
    for index in 0..module.entry_points.len() {
        let source = std::mem::take(&mut module.entry_points[index].function);
        module.entry_points[index].function = rewrite(module, &source)?;
    }
    Ok(())
}

impl<'s> Walk<'_, 's> {
    /// Copies locals of the function being read, with their initialisers.
    fn copy_locals(&mut self, keep: &[bool]) -> Result<(), ModuleError> {
        for (old, variable) in self.frame.source.local_variables.iter().filter(|(old, _)| keep[old.index()]) {
            let init = variable
                .init
                .map(|init| self.build.initializer(&self.frame.source.expressions, init))
                .transpose()?;
            let new = self.build.add_local(LocalVariable { init, ..variable.clone() });
            self.frame.locals[old.index()] = Some(new);
        }
        Ok(())
    }

    /// What became of an old expression.
    pub(super) fn operand<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        old: Operand,
    ) -> Result<Operand, ModuleError> {
        let expression = &self.frame.source.expressions[old];
        if !expression.needs_pre_emit() {
            return self.mapped(old);
        }
        match *expression {
            Expression::FunctionArgument(index) if !self.frame.arguments.is_empty() => {
                Ok(self.frame.arguments[index as usize])
            }
            Expression::LocalVariable(local) => match self.frame.locals[local.index()] {
                Some(local) => pass.leaf(self, Expression::LocalVariable(local)),
                None => self.mapped(old),
            },
            ref leaf => pass.leaf(self, leaf.clone()),
        }
    }

    fn mapped(&self, old: Operand) -> Result<Operand, ModuleError> {
        self.frame.map[old.index()]
            .ok_or_else(|| ModuleError::OutOfScope { function: self.build.function_name() })
    }

    /// Records what became of an old expression, and gives the new one its name.
    pub(super) fn define(&mut self, old: Operand, new: Operand) {
        self.frame.map[old.index()] = Some(new);
        if let Some(name) = self.frame.source.named_expressions.get(&old) {
            self.build.name(new, name);
        }
    }

    /// As [`Walk::define`] for the value of an inlined call: the caller's name wins over names given inside the callee.
    pub(super) fn define_call(&mut self, old: Operand, new: Operand, since: usize) {
        self.frame.map[old.index()] = Some(new);
        if let Some(name) = self.frame.source.named_expressions.get(&old) {
            self.build.rename(new, name, since);
        }
    }

    /// What became of an old expression that was already evaluated.
    pub(super) fn mapped_before(&self, old: Operand) -> Option<Operand> {
        self.frame.map[old.index()]
    }

    /// Copies one statement the way `pass` wants it.
    pub(super) fn statement<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
    ) -> Result<(), ModuleError> {
        pass.statement(self, statement)
    }

    /// Copies statements of which only the `Emit`s matter.
    pub(super) fn emit_all<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statements: &'s [Statement],
    ) -> Result<(), ModuleError> {
        for statement in statements {
            if let Statement::Emit(range) = statement {
                self.emit(pass, range.clone())?;
            }
        }
        Ok(())
    }

    /// Copies a block into the block that is being written.
    pub(super) fn block<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        block: &'s Block,
    ) -> Result<(), ModuleError> {
        for (statement, span) in block.span_iter() {
            self.build.span = *span;
            pass.statement(self, statement)?;
            if self.build.is_terminated() {
                break;
            }
        }
        Ok(())
    }

    /// Copies a block as a block of its own.
    pub(super) fn nested<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        block: &'s Block,
    ) -> Result<Block, ModuleError> {
        self.build.open();
        pass.enter_branch();
        let outcome = self.block(pass, block);
        pass.leave_branch();
        let written = self.build.close();
        outcome.map(|()| written)
    }

    /// Evaluates old expressions.
    pub(super) fn emit<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        range: naga::Range<Expression>,
    ) -> Result<(), ModuleError> {
        for old in range {
            let mut expression = self.frame.source.expressions[old].clone();
            let span = self.frame.source.expressions.get_span(old);
            self.build.span = if span == Span::UNDEFINED { self.build.span } else { span };
            operands::of_expression(&mut expression, &mut |operand| {
                *operand = self.operand(pass, *operand)?;
                Ok(())
            })?;
            let new = pass.expression(self, old, expression)?;
            self.define(old, new);
        }
        Ok(())
    }

    /// Copies one statement.
    pub(super) fn copy<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
    ) -> Result<(), ModuleError> {
        match statement {
            Statement::Emit(range) => self.emit(pass, range.clone()),
            Statement::Block(block) => self.block(pass, block),
            Statement::If { condition, accept, reject } => {
                let condition = self.operand(pass, *condition)?;
                match self.build.known(condition) {
                    Some(Literal::Bool(true)) => self.block(pass, accept),
                    Some(Literal::Bool(false)) => self.block(pass, reject),
                    _ if is_short_circuit(self.frame.source, statement) => {
                        self.short_circuit(pass, condition, accept, reject)
                    }
                    _ => self.branch(pass, statement, condition),
                }
            }
            Statement::Switch { selector, cases } => self.switch(pass, statement, *selector, cases),
            Statement::Loop { body, continuing, break_if } => {
                self.repeat(pass, statement, body, continuing, *break_if)
            }
            Statement::Store { pointer, value } => {
                let pointer = self.operand(pass, *pointer)?;
                let value = self.operand(pass, *value)?;
                pass.store(self, pointer, value)
            }
            _ => self.simple(pass, statement),
        }
    }

    /// Copies a statement without nested blocks.
    fn simple<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
    ) -> Result<(), ModuleError> {
        let mut copy = statement.clone();
        operands::of_statement(&mut copy, &mut |operand| {
            *operand = self.operand(pass, *operand)?;
            Ok(())
        })?;
        if let Some(result) = operands::result_of(&mut copy) {
            let old = *result;
            *result = self.build.result(self.frame.source.expressions[old].clone())?;
            let new = *result;
            self.define(old, new);
        }
        self.build.statement(copy);
        Ok(())
    }

    fn branch<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
        condition: Operand,
    ) -> Result<(), ModuleError> {
        let Statement::If { accept, reject, .. } = statement else { return Ok(()) };
        let accept = self.nested(pass, accept)?;
        let reject = self.nested(pass, reject)?;
        pass.forget_stores(self, statement);
        if !accept.is_empty() || !reject.is_empty() {
            self.build.statement(Statement::If { condition, accept, reject });
        }
        Ok(())
    }

    fn switch<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
        selector: Operand,
        cases: &'s [naga::SwitchCase],
    ) -> Result<(), ModuleError> {
        let selector = self.operand(pass, selector)?;
        if let Some(body) = self.build.known(selector).and_then(|literal| taken_case(cases, literal)) {
            for statement in body {
                self.build.span = Span::UNDEFINED;
                pass.statement(self, statement)?;
                if self.build.is_terminated() {
                    break;
                }
            }
            return Ok(());
        }
        let mut copies = Vec::new();
        for case in cases {
            let body = self.nested(pass, &case.body)?;
            copies.push(naga::SwitchCase { value: case.value, body, fall_through: case.fall_through });
        }
        pass.forget_stores(self, statement);
        self.build.statement(Statement::Switch { selector, cases: copies });
        Ok(())
    }

    fn repeat<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        statement: &'s Statement,
        body: &'s Block,
        continuing: &'s Block,
        break_if: Option<Operand>,
    ) -> Result<(), ModuleError> {
        self.build.open();
        pass.forget_stores(self, statement);
        pass.enter_branch();
        self.block(pass, body)?;
        let body = self.build.close();
        // `continuing` also follows every `continue`, where less is known than at the end of the body.
        pass.leave_branch();
        self.build.open();
        pass.enter_branch();
        self.block(pass, continuing)?;
        let break_if = break_if.map(|condition| self.operand(pass, condition)).transpose()?;
        let continuing = self.build.close();
        pass.leave_branch();
        pass.forget_stores(self, statement);
        let never_runs = body.iter().find(|statement| !matches!(statement, Statement::Emit(_)));
        if !matches!(never_runs, Some(Statement::Break)) {
            self.build.statement(Statement::Loop { body, continuing, break_if });
        }
        Ok(())
    }

    /// Writes what naga's front end made a branch of, `a && b` or `a || b`, as one expression.
    fn short_circuit<P: Pass<'s> + ?Sized>(
        &mut self,
        pass: &mut P,
        condition: Operand,
        accept: &'s Block,
        reject: &'s Block,
    ) -> Result<(), ModuleError> {
        let (Some(Statement::Store { pointer, value }), Some(Statement::Store { value: otherwise, .. })) =
            (accept.last(), reject.last())
        else {
            return Ok(());
        };
        for statement in accept.iter().take(accept.len() - 1) {
            pass.statement(self, statement)?;
        }
        let right = self.operand(pass, *value)?;
        let is_or = self.frame.source.expressions[*otherwise] == Expression::Literal(Literal::Bool(true));
        let both = if is_or {
            let left = match self.build.function.expressions[condition] {
                Expression::Unary { op: UnaryOperator::LogicalNot, expr } => expr,
                _ => self.build.emit(Expression::Unary { op: UnaryOperator::LogicalNot, expr: condition })?,
            };
            self.build.emit(Expression::Binary { op: BinaryOperator::LogicalOr, left, right })?
        } else {
            self.build.emit(Expression::Binary { op: BinaryOperator::LogicalAnd, left: condition, right })?
        };
        let pointer = self.operand(pass, *pointer)?;
        pass.store(self, pointer, both)
    }
}
