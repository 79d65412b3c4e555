//! Puts the value of a local variable where the variable is read, as far as one store reaches every path to the read.
//!
//! A value that is used in place of the variable takes the variable's name, so that long chains of updates stay a list
//! of short statements. Marked loops are unrolled on the way (see [`unroll`]), because their counters are such
//! values. The stores themselves stay; [`super::dead`] removes those that nothing reads any more.

use naga::{Expression, Handle, LocalVariable, Module, Statement, TypeInner};

mod unroll;

use super::{
    ModuleError, operands,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// Forwards values and unrolls loops in all entry points.
pub(super) fn run(module: &mut Module) -> Result<(), ModuleError> {
    walk::each_entry_point(module, |module, source| {
        let mut pass = Forward { known: Vec::new(), saved: Vec::new() };
        walk::rebuild(module, source, &mut pass)
    })
}

/// What is known of the locals where control stands.
pub(super) struct Forward {
    known: Vec<Option<Operand>>,
    saved: Vec<Vec<Option<Operand>>>,
}

impl<'s> Pass<'s> for Forward {
    fn begin(&mut self, walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        let locals: Vec<LocalVariable> =
            walk.build.function.local_variables.iter().map(|(_, local)| local.clone()).collect();
        self.known = locals.iter().map(|local| initial(walk, local)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        _old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        let Expression::Load { pointer } = mapped else { return walk.build.emit(mapped) };
        let Some(local) = whole_local(walk, pointer) else { return self.component(walk, pointer, mapped) };
        self.read(walk, local, pointer)
    }

    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        match statement {
            Statement::Loop { body, continuing, break_if } => {
                if !unroll::try_unroll(self, walk, body, continuing, *break_if)? {
                    walk.copy(self, statement)?;
                }
                Ok(())
            }
            _ => walk.copy(self, statement),
        }
    }

    fn store(
        &mut self,
        walk: &mut Walk<'_, 's>,
        pointer: Operand,
        value: Operand,
    ) -> Result<(), ModuleError> {
        match whole_local(walk, pointer) {
            Some(local) if self.value(local) == Some(value) => return Ok(()),
            Some(local) => self.learn(local, Some(value)),
            None => {
                if let Some(local) = operands::root_local(&walk.build.function.expressions, pointer) {
                    self.learn(local, None);
                }
            }
        }
        walk.build.store(pointer, value);
        Ok(())
    }

    fn enter_branch(&mut self) {
        self.saved.push(self.known.clone());
    }

    fn leave_branch(&mut self) {
        self.known = self.saved.pop().unwrap_or_default();
    }

    fn forget_stores(&mut self, walk: &Walk<'_, 's>, statement: &'s Statement) {
        for nested in operands::blocks_of(statement) {
            operands::each_statement(nested, &mut |statement| {
                if let Statement::Store { pointer, .. } = statement
                    && let Some(old) = operands::root_local(&walk.frame.source.expressions, *pointer)
                    && let Some(new) = walk.frame.locals[old.index()]
                {
                    self.learn(new, None);
                }
            });
        }
    }
}

impl Forward {
    /// The value that a local has here.
    pub(super) fn value(&self, local: Handle<LocalVariable>) -> Option<Operand> {
        self.known[local.index()]
    }

    /// Reads a component of a vector in a local from the value of the whole vector.
    fn component(
        &mut self,
        walk: &mut Walk<'_, '_>,
        pointer: Operand,
        load: Expression,
    ) -> Result<Operand, ModuleError> {
        let (base, lane) = match walk.build.function.expressions[pointer] {
            Expression::AccessIndex { base, index } => (base, walk.build.u32(index)?),
            Expression::Access { base, index } => (base, index),
            _ => return walk.build.emit(load),
        };
        let is_vector = |local: &Handle<LocalVariable>| {
            let ty = walk.build.function.local_variables[*local].ty;
            matches!(walk.build.module.types[ty].inner, TypeInner::Vector { .. })
        };
        let Some(local) = whole_local(walk, base).filter(is_vector) else { return walk.build.emit(load) };
        let vector = self.read(walk, local, base)?;
        walk.build.emit(Expression::Access { base: vector, index: lane })
    }

    /// Reads a local as a whole, from what is known of it if anything is.
    fn read(
        &mut self,
        walk: &mut Walk<'_, '_>,
        local: Handle<LocalVariable>,
        pointer: Operand,
    ) -> Result<Operand, ModuleError> {
        if let Some(value) = self.value(local) {
            if is_constant(walk, value) {
                return constant(walk, value);
            }
            if let Some(name) = walk.build.function.local_variables[local].name.clone() {
                walk.build.name(value, &name);
            }
            return Ok(value);
        }
        let value = walk.build.emit(Expression::Load { pointer })?;
        self.learn(local, Some(value));
        Ok(value)
    }

    /// Records what a local holds from here on.
    pub(super) fn learn(&mut self, local: Handle<LocalVariable>, value: Option<Operand>) {
        self.known[local.index()] = value;
    }
}

/// What a local holds before the first store.
fn initial(walk: &mut Walk<'_, '_>, variable: &LocalVariable) -> Result<Option<Operand>, ModuleError> {
    if !operands::is_plain_value(walk.build.module, variable.ty) {
        return Ok(None);
    }
    match variable.init {
        Some(init) => Ok(is_constant(walk, init).then_some(init)),
        None if is_cooperative(walk, variable) => Ok(None),
        None => walk.build.leaf(Expression::ZeroValue(variable.ty)).map(Some),
    }
}

/// Whether a value is made of literals and constants alone. Such a value is written where it is read: it needs no name.
fn is_constant(walk: &Walk<'_, '_>, value: Operand) -> bool {
    match &walk.build.function.expressions[value] {
        Expression::Literal(_)
        | Expression::Constant(_)
        | Expression::Override(_)
        | Expression::ZeroValue(_) => true,
        Expression::Splat { value, .. } => is_constant(walk, *value),
        Expression::Compose { components, .. } => components.iter().all(|part| is_constant(walk, *part)),
        _ => false,
    }
}

/// Evaluates a constant value here, be it an initialiser that nothing evaluates.
fn constant(walk: &mut Walk<'_, '_>, value: Operand) -> Result<Operand, ModuleError> {
    let mut expression = walk.build.function.expressions[value].clone();
    if expression.needs_pre_emit() {
        return Ok(value);
    }
    operands::of_expression(&mut expression, &mut |part| {
        *part = constant(walk, *part)?;
        Ok(())
    })?;
    walk.build.emit(expression)
}

fn is_cooperative(walk: &Walk<'_, '_>, variable: &LocalVariable) -> bool {
    matches!(walk.build.module.types[variable.ty].inner, TypeInner::CooperativeMatrix { .. })
}

/// The local that `pointer` points to as a whole, if its values fit in expressions.
fn whole_local(walk: &Walk<'_, '_>, pointer: Operand) -> Option<Handle<LocalVariable>> {
    match walk.build.function.expressions[pointer] {
        Expression::LocalVariable(local) => {
            let ty = walk.build.function.local_variables[local].ty;
            operands::is_plain_value(walk.build.module, ty).then_some(local)
        }
        _ => None,
    }
}
