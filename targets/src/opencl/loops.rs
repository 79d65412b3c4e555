//! Loops, in the form that a programmer would have given them.
//!
//! naga has one loop: a body, and a continuing part that also runs after `continue`. Where the body starts with a
//! test, the text is a `while`; where the continuing part is one assignment, it is a `for`, and so it is where a body
//! without `continue` ends with an assignment to what its test asks for. C's `continue` knows neither longer continuing
//! parts nor `break if`, so there the part is written before each `continue`.

use std::ops::Range;

use naga::{Block, Expression, Handle, LocalVariable, Statement};

use super::Error;
use super::function::{Frame, FunctionWriter};
use super::usage::Declaration;
use crate::operands::each_operand;

/// The test at the start of a loop body.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// The statements that make it up.
    statements: usize,
    condition: Handle<Expression>,
    /// The loop ends when the condition holds.
    negated: bool,
}

/// The assignment between two turns.
#[derive(Clone, Copy, Debug)]
struct Step {
    pointer: Handle<Expression>,
    value: Handle<Expression>,
    /// The statements of the body before it, where it is the body's last.
    within: Option<usize>,
}

impl<'a> FunctionWriter<'a, '_> {
    /// Writes a loop; `counter` is a variable whose declaration belongs into the `for`.
    pub(super) fn repeat(
        &mut self,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
        counter: Option<Handle<LocalVariable>>,
    ) -> Result<(), Error> {
        let header = self.header(body);
        let step = if break_if.is_none() { self.step(body, continuing) } else { None };
        self.names.enter();
        let start = match (self.loop_start.take(), counter) {
            (Some((name, start)), _) => {
                self.names.declare(&name);
                start
            }
            (None, Some(counter)) => self.counter_declaration(counter)?,
            (None, None) => String::new(),
        };
        let condition = match header {
            Some(header) => {
                let Header { condition, negated, .. } = header;
                if negated { self.negation(condition)?.code } else { self.value(condition)?.code }
            }
            None => "true".to_owned(),
        };
        match step {
            Some(Step { pointer, value, .. }) => {
                let step = self.assignment(pointer, value)?;
                let condition = if header.is_some() { format!(" {condition}") } else { String::new() };
                self.line(&format!("for ({start};{condition}; {step}) {{"));
            }
            None => self.line(&format!("while ({condition}) {{")),
        }
        let tail = if step.is_some() { None } else { Some((continuing, break_if)) };
        let end = step.and_then(|step| step.within).unwrap_or(body.len());
        self.loop_body(body, header.map_or(0, |header| header.statements)..end, tail)?;
        self.names.leave();
        self.line("}");
        Ok(())
    }

    fn loop_body(
        &mut self,
        body: &'a Block,
        range: Range<usize>,
        tail: Option<(&'a Block, Option<Handle<Expression>>)>,
    ) -> Result<(), Error> {
        let tail = tail.filter(|(continuing, break_if)| !continuing.is_empty() || break_if.is_some());
        self.frames.push(Frame::Loop { before_continue: tail });
        self.names.enter();
        self.depth += 1;
        let outer = self.pending.len();
        self.statements(body, range)?;
        if let Some((continuing, break_if)) = tail
            && !body.last().is_some_and(Statement::is_terminator)
        {
            self.continuing(continuing, break_if)?;
        }
        self.pending.truncate(outer);
        self.depth -= 1;
        self.names.leave();
        self.frames.pop();
        Ok(())
    }

    fn continuing(
        &mut self,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
    ) -> Result<(), Error> {
        self.statements(continuing, 0..continuing.len())?;
        if let Some(condition) = break_if {
            let condition = self.value(condition)?;
            self.line(&format!("if ({}) {{", condition.code));
            self.depth += 1;
            self.line("break;");
            self.depth -= 1;
            self.line("}");
        }
        Ok(())
    }

    /// `continue`, after what the loop does between two turns.
    pub(super) fn continue_loop(&mut self) -> Result<(), Error> {
        let in_switch = matches!(self.frames.last(), Some(Frame::Switch));
        let innermost = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Loop { before_continue } => Some(*before_continue),
            Frame::Switch => None,
        });
        if let Some(Some((continuing, break_if))) = innermost {
            if in_switch && break_if.is_some() {
                return Err(Error::Unsupported {
                    construct: "`continue` in a switch of a loop with `break if`",
                });
            }
            // The part is written once more at the end of the body, with variables of its own.
            let state = (self.written.clone(), self.left.clone(), self.locals.clone(), self.pending.clone());
            self.continuing(continuing, break_if)?;
            (self.written, self.left, self.locals, self.pending) = state;
        }
        self.line("continue;");
        Ok(())
    }

    /// Whether the store at `index` starts the `for` loop right after it. If so its text is kept for the loop.
    pub(super) fn for_start(
        &mut self,
        block: &'a Block,
        index: usize,
        declarations: &[Declaration],
    ) -> Result<bool, Error> {
        let [declaration] = declarations else { return Ok(false) };
        let (Statement::Store { value, .. }, Some(Statement::Loop { body, continuing, break_if })) =
            (&block[index], block.get(index + 1))
        else {
            return Ok(false);
        };
        let counts = declaration.by_store
            && declaration.last == index + 1
            && break_if.is_none()
            && self.steps(body, continuing, declaration.variable);
        if counts {
            let value = self.value(*value)?.code;
            // The counter belongs to the scope of the loop, which takes the name again when it is written.
            self.names.enter();
            let text = self.local_declaration(declaration.variable)?;
            self.names.leave();
            let name = self.locals[declaration.variable.index()].clone().unwrap_or_default();
            self.loop_start = Some((name, format!("{text} = {value}")));
        }
        Ok(counts)
    }

    /// The variable that the loop `statement` counts with, if nothing but the loop needs it.
    pub(super) fn header_declaration(
        &self,
        statement: &'a Statement,
        index: usize,
        declarations: &[Declaration],
    ) -> Option<Handle<LocalVariable>> {
        let Statement::Loop { body, continuing, break_if: None } = statement else { return None };
        let counts = |declaration: &&Declaration| {
            !declaration.by_store
                && declaration.last == index
                && self.steps(body, continuing, declaration.variable)
        };
        if self.loop_start.is_some() {
            return None;
        }
        declarations.iter().find(counts).map(|declaration| declaration.variable)
    }

    fn counter_declaration(&mut self, counter: Handle<LocalVariable>) -> Result<String, Error> {
        let variable = &self.function.local_variables[counter];
        let value = match variable.init {
            Some(init) => self.initializer(init)?,
            None => self.out.zero_initializer(variable.ty)?,
        };
        Ok(format!("{} = {value}", self.local_declaration(counter)?))
    }

    /// Whether the assignment between two turns is one to `variable`.
    fn steps(&self, body: &'a Block, continuing: &'a Block, variable: Handle<LocalVariable>) -> bool {
        self.step(body, continuing).is_some_and(|step| self.variable(step.pointer) == Some(variable))
    }

    /// The assignment that is all of the continuing part, or the end of the body where there is none.
    fn step(&self, body: &'a Block, continuing: &'a Block) -> Option<Step> {
        if !continuing.is_empty() {
            return self.last_assignment(continuing, 0);
        }
        let test = self.header(body)?;
        let emits = |statement: &&Statement| matches!(statement, Statement::Emit(_));
        let before = body.split_last()?.1.iter().rev().take_while(emits).count();
        let first = test.statements.max(body.len() - 1 - before);
        let step = self.last_assignment(body, first)?;
        let counter = self.variable(step.pointer)?;
        let counts = self.reads(test.condition, counter) && self.reads(step.value, counter);
        let outside =
            counts && self.stands_outside(step.value, &body[..first]) && !body.iter().any(continues);
        outside.then_some(Step { within: Some(first), ..step })
    }

    /// The assignment that ends `block`, where it is all that comes of the statements from `first` on.
    fn last_assignment(&self, block: &'a Block, first: usize) -> Option<Step> {
        let Statement::Store { pointer, value } = *block.last()? else { return None };
        let last = block.len() - 1;
        let declares = self.usage.declarations.contains_key(&(std::ptr::from_ref(block), last));
        let folds = !declares && !self.is_array(value) && self.folds(block, first..last, &[pointer, value]);
        folds.then_some(Step { pointer, value, within: None })
    }

    fn variable(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            _ => None,
        }
    }

    /// Whether the text of `value` has `variable` in it.
    fn reads(&self, value: Handle<Expression>, variable: Handle<LocalVariable>) -> bool {
        let mut found = self.variable(value) == Some(variable);
        if self.written[value.index()].is_some() {
            return false;
        }
        each_operand(&self.function.expressions[value], |operand| found |= self.reads(operand, variable));
        found
    }

    /// Whether the text of `value` has no name of `statements` in it, and means the same after them.
    fn stands_outside(&self, value: Handle<Expression>, statements: &[Statement]) -> bool {
        let is_inside = statements.iter().any(|statement| match statement {
            Statement::Emit(range) => range.clone().any(|emitted| emitted == value),
            _ => false,
        });
        if self.written[value.index()].is_some() || self.usage.counters.contains(&value) {
            return true;
        }
        let expression = &self.function.expressions[value];
        let mut outside = !is_inside && !defined_by_statement(expression);
        each_operand(expression, |operand| outside &= self.stands_outside(operand, statements));
        outside
    }

    fn header(&self, body: &'a Block) -> Option<Header> {
        let test = (0..body.len()).find(|&index| {
            !matches!(body[index], Statement::Emit(_)) && !self.usage.shortcuts.replaces(body, index)
        })?;
        let Statement::If { condition, accept, reject } = &body[test] else { return None };
        let breaks = |block: &Block| matches!(block.first(), Some(Statement::Break));
        let negated = match (accept.is_empty(), reject.is_empty()) {
            (true, false) if breaks(reject) => false,
            (false, true) if breaks(accept) => true,
            _ => return None,
        };
        let declares =
            (0..=test).any(|index| self.usage.declarations.contains_key(&(std::ptr::from_ref(body), index)));
        let folds = !declares && self.folds(body, 0..test, &[*condition]);
        folds.then_some(Header { statements: test + 1, condition: *condition, negated })
    }
}

/// Whether some statement gives the expression its value.
fn defined_by_statement(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::CallResult(_)
            | Expression::AtomicResult { .. }
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::SubgroupBallotResult
            | Expression::SubgroupOperationResult { .. }
    )
}

/// Whether `statement` holds a `continue` of the loop around it.
fn continues(statement: &Statement) -> bool {
    match statement {
        Statement::Continue => true,
        Statement::Block(block) => block.iter().any(continues),
        Statement::If { accept, reject, .. } => accept.iter().chain(reject.iter()).any(continues),
        Statement::Switch { cases, .. } => cases.iter().flat_map(|case| case.body.iter()).any(continues),
        _ => false,
    }
}
