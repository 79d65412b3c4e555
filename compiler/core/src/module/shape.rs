//! Gives loops and branches the form in which a programmer writes them.
//!
//! naga's front end makes of `for` a loop with a block that also runs after `continue`, and of its condition a branch that does
//! nothing where the condition holds. Text writers print both as they stand, Metal's the first as a flag. Here the block joins
//! the end of the body where no `continue` passes it, and the branch asks for the opposite.

use naga::{BinaryOperator, Block, Expression, Handle, Literal, Module, Statement, UnaryOperator};

use super::{
    ModuleError, control,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// Reshapes all entry points.
pub(super) fn run(module: &mut Module) -> Result<(), ModuleError> {
    walk::each_entry_point(module, |module, source| walk::rebuild(module, source, &mut Shape))
}

struct Shape;

impl<'s> Pass<'s> for Shape {
    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        match statement {
            Statement::If { condition, accept, reject } if accept.is_empty() && !reject.is_empty() => {
                self.unless(walk, statement, *condition, reject)
            }
            Statement::Loop { body, continuing, break_if } if !control::continues(body) => {
                self.straight_loop(walk, body, continuing, *break_if)
            }
            _ => walk.copy(self, statement),
        }
    }
}

impl Shape {
    /// `if !condition { otherwise }`.
    fn unless<'s>(
        &mut self,
        walk: &mut Walk<'_, 's>,
        statement: &'s Statement,
        condition: Operand,
        otherwise: &'s Block,
    ) -> Result<(), ModuleError> {
        let condition = walk.operand(self, condition)?;
        if walk.build.known(condition).is_some() {
            return walk.copy(self, statement);
        }
        let condition = opposite(walk, condition)?;
        let accept = walk.nested(self, otherwise)?;
        if !accept.is_empty() {
            walk.build.statement(Statement::If { condition, accept, reject: Block::new() });
        }
        Ok(())
    }

    /// A loop that goes from the end of its body to its start.
    fn straight_loop<'s>(
        &mut self,
        walk: &mut Walk<'_, 's>,
        body: &'s Block,
        continuing: &'s Block,
        break_if: Option<Operand>,
    ) -> Result<(), ModuleError> {
        walk.build.open();
        walk.block(self, body)?;
        if !walk.build.is_terminated() {
            walk.block(self, continuing)?;
            if let Some(condition) = break_if {
                let condition = walk.operand(self, condition)?;
                let accept = Block::from_vec(vec![Statement::Break]);
                walk.build.statement(Statement::If { condition, accept, reject: Block::new() });
            }
        }
        let body = walk.build.close();
        let continuing = Block::new();
        walk.build.statement(Statement::Loop { body, continuing, break_if: None });
        Ok(())
    }
}

/// `!condition`, and `x == 0` of an unsigned `x > 0`.
fn opposite(walk: &mut Walk<'_, '_>, condition: Operand) -> Result<Operand, ModuleError> {
    let expression = match walk.build.function.expressions[condition] {
        Expression::Binary { op: BinaryOperator::Greater, left, right }
            if walk.build.known(right) == Some(Literal::U32(0)) =>
        {
            Expression::Binary { op: BinaryOperator::Equal, left, right }
        }
        _ => Expression::Unary { op: UnaryOperator::LogicalNot, expr: condition },
    };
    walk.build.emit(expression)
}
