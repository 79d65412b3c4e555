//! Bounds the rounds that one invocation makes in all loops of a kernel together, from the module alone.
//!
//! A driver may end loops early: lavapipe does so without a word once the loops of an invocation, nested ones and ones after
//! another, have made 65,535 rounds. So each loop has to be one whose bound can be read: a counter that one store changes,
//! up by a constant or down by a division, and a condition that compares it with something bounded, alone or beside others
//! (`&&`). Bounds follow from constants, builtins, remainders, minima and clamps; where a loop walks from `first` to
//! `min(first + COUNT, ALL)`, what start and end share falls away. As everywhere in the dialect, indices do not wrap.

mod bound;

use super::{ModuleError, build, control, operands};
use bound::Bounds;
use naga::{
    BinaryOperator, Block, EntryPoint, Expression, Handle, Literal, LocalVariable, Module, Statement,
    UnaryOperator,
};
use std::collections::BTreeMap;

/// What selection aims for: it splits work so that the loops of one invocation stay below.
pub const LOOP_ROUNDS: u64 = 1 << 15;

/// Rounds of all loops of one invocation together that are sure to run on every driver.
pub const MOST_ROUNDS: u64 = 65_535;

type Operand = Handle<Expression>;

/// The most rounds that an invocation of any entry point makes, where the words of the uniform buffer are at most `words`.
pub fn rounds(module: &Module, words: &[u64]) -> Result<u64, ModuleError> {
    module.entry_points.iter().try_fold(0, |most, entry| {
        let locals = entry.function.local_variables.iter();
        let starts = locals.filter_map(|(local, variable)| Some((local, variable.init?))).collect();
        let counting = Counting { entry, bounds: Bounds::new(module, entry, words), starts };
        Ok(counting.run()?.max(most))
    })
}

/// A walk over an entry point.
struct Counting<'m> {
    entry: &'m EntryPoint,
    bounds: Bounds<'m>,
    /// What each local holds here, where one store decides it.
    starts: BTreeMap<Handle<LocalVariable>, Operand>,
}

/// A truth value and what it is in each round.
struct Condition {
    value: Operand,
    holds: bool,
}

/// How a round changes a counter.
#[derive(Clone, Copy)]
enum Step {
    Up(u64),
    /// Divided by.
    Down(u64),
}

impl Counting<'_> {
    fn run(mut self) -> Result<u64, ModuleError> {
        self.block(&self.entry.function.body)
    }

    /// Rounds of the loops of a block. Both branches of a conditional count: a driver that masks invocations runs both.
    fn block(&mut self, block: &Block) -> Result<u64, ModuleError> {
        let mut sum = 0_u64;
        for statement in block {
            let rounds = match statement {
                Statement::Loop { body, continuing, .. } => {
                    let own = self.of_loop(body, continuing)?;
                    self.forget(statement);
                    let inside = self.block(body)?.saturating_add(self.block(continuing)?);
                    own.saturating_add(own.saturating_mul(inside))
                }
                Statement::Block(block) => self.block(block)?,
                _ => self.branches(statement)?,
            };
            sum = sum.saturating_add(rounds);
            match statement {
                Statement::Store { pointer, value } => self.learn(*pointer, *value),
                Statement::Loop { .. } => self.forget(statement),
                // A block is always run, so what it stores holds after it.
                _ => {}
            }
        }
        Ok(sum)
    }

    /// Rounds of all branches; none of them knows what another one stores.
    fn branches(&mut self, statement: &Statement) -> Result<u64, ModuleError> {
        let mut sum = 0_u64;
        for block in operands::blocks_of(statement) {
            sum = sum.saturating_add(self.block(block)?);
            self.forget(statement);
        }
        Ok(sum)
    }

    fn learn(&mut self, pointer: Operand, value: Operand) {
        let expressions = &self.entry.function.expressions;
        match expressions[pointer] {
            Expression::LocalVariable(local) => drop(self.starts.insert(local, value)),
            _ => {
                if let Some(local) = operands::root_local(expressions, pointer) {
                    self.starts.remove(&local);
                }
            }
        }
    }

    /// Forgets what the statements inside of `statement` may have stored to.
    fn forget(&mut self, statement: &Statement) {
        let expressions = &self.entry.function.expressions;
        for block in operands::blocks_of(statement) {
            operands::each_statement(block, &mut |inner| {
                if let Statement::Store { pointer, .. } = inner
                    && let Some(local) = operands::root_local(expressions, *pointer)
                {
                    self.starts.remove(&local);
                }
            });
        }
    }

    /// The most rounds of a loop: the best of the bounds that the conditions give under which it goes on.
    fn of_loop(&self, body: &Block, continuing: &Block) -> Result<u64, ModuleError> {
        let mut conditions = Vec::new();
        for statement in body {
            match statement {
                Statement::Emit(_) => {}
                Statement::If { condition, accept, reject } => match (&**accept, &**reject) {
                    ([], [Statement::Break]) => self.conjuncts(*condition, true, &mut conditions),
                    ([Statement::Break], []) => self.conjuncts(*condition, false, &mut conditions),
                    _ => break,
                },
                _ => break,
            }
        }
        let bound = |condition: &Condition| self.of_condition(condition, body, continuing);
        conditions.iter().filter_map(bound).min().ok_or_else(|| ModuleError::Unbounded {
            function: self.entry.name.clone(),
            counter: self.counter_name(&conditions),
        })
    }

    /// What all has to be as the loop goes on, where `value` has to be `holds`: the parts of `a && b && c`, or of
    /// `!(a || b || c)`.
    fn conjuncts(&self, value: Operand, holds: bool, found: &mut Vec<Condition>) {
        match self.entry.function.expressions[value] {
            Expression::Binary { op: BinaryOperator::LogicalAnd, left, right } if holds => {
                self.conjuncts(left, holds, found);
                self.conjuncts(right, holds, found);
            }
            Expression::Binary { op: BinaryOperator::LogicalOr, left, right } if !holds => {
                self.conjuncts(left, holds, found);
                self.conjuncts(right, holds, found);
            }
            Expression::Unary { op: UnaryOperator::LogicalNot, expr } => self.conjuncts(expr, !holds, found),
            _ => found.push(Condition { value, holds }),
        }
    }

    /// A name for messages.
    fn counter_name(&self, conditions: &[Condition]) -> String {
        let function = &self.entry.function;
        let named = conditions.iter().find_map(|condition| match function.expressions[condition.value] {
            Expression::Binary { left, right, .. } => {
                let local = self.loaded(left).or_else(|| self.loaded(right))?;
                function.local_variables[local].name.clone()
            }
            _ => None,
        });
        named.unwrap_or_else(|| "no counter".to_owned())
    }

    /// The rounds after which a condition fails.
    fn of_condition(&self, condition: &Condition, body: &Block, continuing: &Block) -> Option<u64> {
        use BinaryOperator::{Greater, GreaterEqual, Less, LessEqual, NotEqual};
        let Expression::Binary { op, left, right } = self.entry.function.expressions[condition.value] else {
            return None;
        };
        // Bounds are of integers, whose comparisons have opposites.
        let op = if condition.holds { op } else { build::opposite(op)? };
        let (counter, limit, op) = match (self.loaded(left), self.loaded(right), op) {
            (Some(counter), _, op) if self.step(counter, body, continuing).is_some() => (counter, right, op),
            (_, Some(counter), Less) => (counter, left, Greater),
            (_, Some(counter), LessEqual) => (counter, left, GreaterEqual),
            (_, Some(counter), Greater) => (counter, left, Less),
            (_, Some(counter), GreaterEqual) => (counter, left, LessEqual),
            _ => return None,
        };
        let start = self.starts.get(&counter).copied();
        match (self.step(counter, body, continuing)?, op) {
            (Step::Up(by), Less) => Some(self.bounds.distance(limit, start)?.div_ceil(by)),
            (Step::Up(by), LessEqual) => Some((self.bounds.distance(limit, start)? + 1).div_ceil(by)),
            (Step::Down(by), Greater | NotEqual) if self.bounds.is_zero(limit) => {
                Some(u64::from(self.bounds.most(start?)?.checked_ilog(by).map_or(0, |log| log + 1)))
            }
            _ => None,
        }
    }

    fn loaded(&self, value: Operand) -> Option<Handle<LocalVariable>> {
        self.bounds.loaded(value)
    }

    /// How each round changes `counter`, if by one store that no round passes by.
    fn step(&self, counter: Handle<LocalVariable>, body: &Block, continuing: &Block) -> Option<Step> {
        let expressions = &self.entry.function.expressions;
        let mut stores = 0;
        for block in [body, continuing] {
            operands::each_statement(block, &mut |statement| {
                if let Statement::Store { pointer, .. } = statement {
                    stores += usize::from(operands::root_local(expressions, *pointer) == Some(counter));
                }
            });
        }
        let always = if control::continues(body) { &[] } else { &**body };
        let value = continuing.iter().chain(always).find_map(|statement| match statement {
            Statement::Store { pointer, value }
                if expressions[*pointer] == Expression::LocalVariable(counter) =>
            {
                Some(*value)
            }
            _ => None,
        });
        let Expression::Binary { op, left, right } = expressions[value.filter(|_| stores == 1)?] else {
            return None;
        };
        let (own, other) = match self.loaded(left) == Some(counter) {
            true => (left, right),
            false => (right, left),
        };
        // A signed counter might start below zero.
        let Expression::Literal(Literal::U32(by)) = expressions[other] else { return None };
        let by = u64::from(by);
        (self.loaded(own) == Some(counter)).then_some(())?;
        match op {
            BinaryOperator::Add if by > 0 => Some(Step::Up(by)),
            BinaryOperator::Divide if own == left && by > 1 => Some(Step::Down(by)),
            BinaryOperator::ShiftRight if own == left && (1..32).contains(&by) => Some(Step::Down(1 << by)),
            _ => None,
        }
    }
}
