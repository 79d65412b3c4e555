//! Puts every called function into the entry point that calls it.
//!
//! A call becomes the callee's statements, with arguments in place of parameters and fresh locals of the same names. A
//! local with an initialiser is set again each time when the call stands in a loop, since WGSL initialises on every call.
//! The value of a call takes the name that the caller gives it.

use naga::{Arena, Block, Expression, Function, Handle, LocalVariable, Module, Statement, Type};

use super::{
    ModuleError, operands,
    walk::{self, Frame, Pass, Walk},
};

type Operand = Handle<Expression>;

/// Inlines all calls; no function but the entry points remains.
pub(super) fn run(module: &mut Module) -> Result<(), ModuleError> {
    let functions = std::mem::take(&mut module.functions);
    for (_, function) in functions.iter() {
        if !returns_at_end(&function.body) {
            return Err(ModuleError::NotSingleExit { function: function.name.clone().unwrap_or_default() });
        }
    }
    walk::each_entry_point(module, |module, source| {
        walk::rebuild(module, source, &mut Inline { functions: &functions, loops: 0, exit: None })
    })
}

struct Inline<'s> {
    functions: &'s Arena<Function>,
    /// Loops around the statement being written, in callers too.
    loops: usize,
    /// How the function being inlined hands over its value; `None` in the entry point.
    exit: Option<Exit>,
}

/// The value of an inlined function.
enum Exit {
    /// One `return`: the value itself, once it was met.
    Value(Option<Operand>),
    /// A `return` in each branch: a variable that they store to.
    Variable(Operand),
}

impl<'s> Pass<'s> for Inline<'s> {
    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        match statement {
            Statement::Call { function, arguments, result } => {
                let since = walk.build.function.expressions.len();
                let value = self.call(walk, *function, arguments)?;
                if let (Some(old), Some(value)) = (result, value) {
                    walk.define_call(*old, value, since);
                }
                Ok(())
            }
            Statement::Return { value } => self.leave(walk, statement, *value),
            Statement::Loop { .. } => {
                self.loops += 1;
                let outcome = walk.copy(self, statement);
                self.loops -= 1;
                outcome
            }
            _ => walk.copy(self, statement),
        }
    }
}

impl<'s> Inline<'s> {
    fn call(
        &mut self,
        walk: &mut Walk<'_, 's>,
        function: Handle<Function>,
        arguments: &[Operand],
    ) -> Result<Option<Operand>, ModuleError> {
        let callee = &self.functions[function];
        let arguments =
            arguments.iter().map(|argument| walk.operand(self, *argument)).collect::<Result<Vec<_>, _>>()?;
        let exit = match &callee.result {
            Some(result) if count_returns(&callee.body) > 1 => {
                Some(Exit::Variable(result_variable(walk, callee, result.ty)?))
            }
            _ => Some(Exit::Value(None)),
        };
        let caller = std::mem::replace(&mut walk.frame, Frame::new(callee, arguments));
        let outer = std::mem::replace(&mut self.exit, exit);
        self.declare_locals(walk)?;
        walk.block(self, &callee.body)?;
        walk.frame = caller;
        match std::mem::replace(&mut self.exit, outer) {
            Some(Exit::Variable(pointer)) => walk.build.emit(Expression::Load { pointer }).map(Some),
            Some(Exit::Value(value)) => Ok(value),
            None => Ok(None),
        }
    }

    /// Fresh locals for one execution of the function being inlined.
    fn declare_locals(&self, walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        let callee = walk.frame.source;
        for (old, variable) in callee.local_variables.iter() {
            let is_repeated = self.loops > 0;
            let init = match variable.init {
                Some(init) if !is_repeated => Some(walk.build.initializer(&callee.expressions, init)?),
                _ => None,
            };
            let new = walk.build.add_local(LocalVariable { init, ..variable.clone() });
            walk.frame.locals[old.index()] = Some(new);
            if is_repeated {
                let pointer = walk.build.local(new)?;
                let value = match variable.init {
                    Some(init) => evaluated(walk, init)?,
                    None => walk.build.leaf(Expression::ZeroValue(variable.ty))?,
                };
                walk.build.store(pointer, value);
            }
        }
        Ok(())
    }

    fn leave(
        &mut self,
        walk: &mut Walk<'_, 's>,
        statement: &'s Statement,
        value: Option<Operand>,
    ) -> Result<(), ModuleError> {
        if self.exit.is_none() {
            return walk.copy(self, statement);
        }
        let value = value.map(|value| walk.operand(self, value)).transpose()?;
        match (&mut self.exit, value) {
            (Some(Exit::Variable(pointer)), Some(value)) => {
                let pointer = *pointer;
                walk.build.store(pointer, value);
            }
            (Some(Exit::Value(exit)), value) => *exit = value,
            // A function without a value ends where its last statement does.
            (Some(Exit::Variable(_)) | None, _) => {}
        }
        Ok(())
    }
}

fn result_variable(
    walk: &mut Walk<'_, '_>,
    callee: &Function,
    ty: Handle<Type>,
) -> Result<Operand, ModuleError> {
    let local = walk.build.add_local(LocalVariable { name: callee.name.clone(), ty, init: None });
    walk.build.local(local)
}

/// Evaluates a constant initialiser of the function being read.
fn evaluated(walk: &mut Walk<'_, '_>, init: Operand) -> Result<Operand, ModuleError> {
    let mut expression = walk.frame.source.expressions[init].clone();
    operands::of_expression(&mut expression, &mut |operand| {
        *operand = evaluated(walk, *operand)?;
        Ok(())
    })?;
    walk.build.emit(expression)
}

fn count_returns(block: &Block) -> usize {
    let mut count = 0;
    operands::each_statement(block, &mut |statement| {
        count += usize::from(matches!(statement, Statement::Return { .. }))
    });
    count
}

/// Whether every `return` in `block` is the last thing that it does.
fn returns_at_end(block: &Block) -> bool {
    let Some((last, before)) = block.split_last() else { return true };
    let early = before.iter().any(|statement| {
        matches!(statement, Statement::Return { .. })
            || operands::blocks_of(statement).into_iter().any(|nested| count_returns(nested) > 0)
    });
    !early
        && match last {
            Statement::Block(_) | Statement::If { .. } => {
                operands::blocks_of(last).into_iter().all(returns_at_end)
            }
            Statement::Return { .. } => true,
            _ => operands::blocks_of(last).into_iter().all(|nested| count_returns(nested) == 0),
        }
}
