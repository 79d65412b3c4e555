//! Repeats the body of a marked loop, once for each value of its counter.
//!
//! A loop is marked by a counter whose name starts with `u_`. Its first value, bound and step must be known here, after
//! inlining and after outer loops are unrolled; a marked loop that cannot be unrolled is an error. A loop without a mark is
//! treated the same way only where it runs at most once.

use naga::{Block, Expression, Handle, Literal, LocalVariable, Statement};

use super::Forward;
use crate::module::{
    ModuleError,
    control::{Leave, leaves_enclosing},
    literal, operands,
    walk::Walk,
};

/// Prefix of the counters of loops to unroll.
const MARK: &str = "u_";
/// A function longer than this helps no driver.
const STATEMENT_LIMIT: usize = 20_000;

type Operand = Handle<Expression>;

/// Unrolls the loop where it stands, if it is marked or runs at most once; says whether it did.
pub(super) fn try_unroll<'s>(
    pass: &mut Forward,
    walk: &mut Walk<'_, 's>,
    body: &'s Block,
    continuing: &'s Block,
    break_if: Option<Operand>,
) -> Result<bool, ModuleError> {
    let counters = stored_locals(walk, continuing);
    let marked = counters.iter().find_map(|local| {
        let name = walk.frame.source.local_variables[*local].name.as_deref()?;
        name.starts_with(MARK).then(|| name.to_owned())
    });
    let refuse = |reason| match &marked {
        Some(counter) => Err(ModuleError::NotUnrollable { counter: counter.clone(), reason }),
        None => Ok(false),
    };
    let (&[counter], None) = (&*counters, break_if) else {
        return refuse("it is not a plain `for` loop over one counter");
    };
    let Some(shape) = Shape::of(walk, counter, body, continuing) else {
        return refuse("it is not of the form `for (var i = a; i < b; i += c)`");
    };
    if shape.rest.iter().any(|statement| leaves_enclosing(statement, Leave::BreakOrContinue)) {
        return refuse("its body holds a `break` or `continue`");
    }
    if shape.rest.iter().any(|statement| stores_to(walk, statement, counter)) {
        return refuse("its body changes the counter");
    }
    let limit = if marked.is_some() { STATEMENT_LIMIT } else { 1 };
    let Some(new) = walk.frame.locals[counter.index()] else { return Ok(false) };
    let Some(first) = pass.value(new).and_then(|value| walk.build.known(value)) else {
        return refuse("the first value of its counter is not a constant");
    };
    let Some(values) = shape.values(pass, walk, first, limit) else {
        return refuse("its bound or step is not a constant, or it runs too often");
    };
    for value in &values.inside {
        let value = walk.build.literal(*value)?;
        pass.learn(new, Some(value));
        walk.emit_all(pass, shape.guard)?;
        for statement in shape.rest {
            walk.statement(pass, statement)?;
            if walk.build.is_terminated() {
                return Ok(true);
            }
        }
        if walk.build.statement_count() > STATEMENT_LIMIT {
            return Err(ModuleError::TooLarge {
                function: walk.build.function_name(),
                limit: STATEMENT_LIMIT,
            });
        }
    }
    let (pointer, last) = (walk.build.local(new)?, walk.build.literal(values.after)?);
    pass.learn(new, Some(last));
    walk.build.store(pointer, last);
    Ok(true)
}

/// A counted loop as naga's front end writes `for`.
struct Shape<'s> {
    counter: Handle<LocalVariable>,
    /// Evaluates the condition.
    guard: &'s [Statement],
    condition: Operand,
    /// The body proper.
    rest: &'s [Statement],
    /// Next value of the counter.
    next: Operand,
}

/// Values that a counter takes.
struct Values {
    inside: Vec<Literal>,
    after: Literal,
}

impl<'s> Shape<'s> {
    fn of(
        walk: &Walk<'_, 's>,
        counter: Handle<LocalVariable>,
        body: &'s Block,
        continuing: &'s Block,
    ) -> Option<Self> {
        let at = body.iter().position(|statement| !matches!(statement, Statement::Emit(_)))?;
        let (guard, rest) = body.split_at(at);
        let (Statement::If { condition, accept, reject }, rest) = rest.split_first()? else { return None };
        let leaves = accept.is_empty() && matches!(&**reject, [Statement::Break]);
        let (Statement::Store { pointer, value }, before) = continuing.split_last()? else { return None };
        let is_counter = walk.frame.source.expressions[*pointer] == Expression::LocalVariable(counter);
        let is_plain = before.iter().all(|statement| matches!(statement, Statement::Emit(_)));
        (leaves && is_counter && is_plain).then_some(Self {
            counter,
            guard,
            condition: *condition,
            rest,
            next: *value,
        })
    }

    /// All values of the counter, if they are constants and at most `limit`.
    fn values(&self, pass: &Forward, walk: &Walk<'_, '_>, first: Literal, limit: usize) -> Option<Values> {
        let mut inside = Vec::new();
        let mut value = first;
        while literal::is_true(self.evaluate(pass, walk, self.condition, value)?) {
            if inside.len() == limit {
                return None;
            }
            inside.push(value);
            value = self.evaluate(pass, walk, self.next, value)?;
        }
        Some(Values { inside, after: value })
    }

    /// The value of an expression of the function being read, given the counter.
    fn evaluate(
        &self,
        pass: &Forward,
        walk: &Walk<'_, '_>,
        expression: Operand,
        counter: Literal,
    ) -> Option<Literal> {
        match walk.frame.source.expressions[expression] {
            Expression::Literal(literal) => Some(literal),
            Expression::Constant(constant) => walk.build.constant(constant),
            Expression::Load { pointer } => match walk.frame.source.expressions[pointer] {
                Expression::LocalVariable(local) if local == self.counter => Some(counter),
                Expression::LocalVariable(local) => {
                    let new = walk.frame.locals[local.index()]?;
                    walk.build.known(pass.value(new)?)
                }
                _ => None,
            },
            Expression::Unary { op, expr } => literal::unary(op, self.evaluate(pass, walk, expr, counter)?),
            Expression::Binary { op, left, right } => {
                let left = self.evaluate(pass, walk, left, counter)?;
                literal::binary(op, left, self.evaluate(pass, walk, right, counter)?)
            }
            Expression::As { expr, kind, convert: Some(width) } => {
                literal::convert(self.evaluate(pass, walk, expr, counter)?, kind, width)
            }
            Expression::Math { fun, arg, arg1: Some(other), arg2: None, .. } => {
                let arguments =
                    [self.evaluate(pass, walk, arg, counter)?, self.evaluate(pass, walk, other, counter)?];
                literal::math(fun, &arguments)
            }
            _ => walk.build.known(walk.mapped_before(expression)?),
        }
    }
}

/// The locals that a block stores to, each once.
fn stored_locals(walk: &Walk<'_, '_>, block: &Block) -> Vec<Handle<LocalVariable>> {
    let mut locals = Vec::new();
    operands::each_statement(block, &mut |statement| {
        if let Statement::Store { pointer, .. } = statement
            && let Some(local) = operands::root_local(&walk.frame.source.expressions, *pointer)
            && !locals.contains(&local)
        {
            locals.push(local);
        }
    });
    locals
}

fn stores_to(walk: &Walk<'_, '_>, statement: &Statement, local: Handle<LocalVariable>) -> bool {
    let own = match statement {
        Statement::Store { pointer, .. } => {
            operands::root_local(&walk.frame.source.expressions, *pointer) == Some(local)
        }
        _ => false,
    };
    own || operands::blocks_of(statement)
        .into_iter()
        .any(|nested| stored_locals(walk, nested).contains(&local))
}
