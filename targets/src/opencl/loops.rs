//! Loops, in the form that a programmer would have given them.
//!
//! naga has one loop: a body, and a continuing part that also runs after `continue`. Where the body starts with a
//! test, the text is a `while`; where the continuing part is one assignment, it is a `for`. C's `continue` knows
//! neither longer continuing parts nor `break if`, so there the part is written before each `continue`.

use naga::{Block, Expression, Handle, LocalVariable, Statement};

use super::Error;
use super::function::FunctionWriter;
use super::usage::Declaration;

/// A loop or switch around the statement at hand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame<'a> {
    Switch,
    Loop {
        /// What `continue` must do before it continues, where C does not do it.
        before_continue: Option<(&'a Block, Option<Handle<Expression>>)>,
    },
}

/// The test at the start of a loop body.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// The statements that make it up.
    statements: usize,
    condition: Handle<Expression>,
    /// The loop ends when the condition holds.
    negated: bool,
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
        let step = if break_if.is_none() { self.step(continuing) } else { None };
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
            Some((pointer, value)) => {
                let step = self.assignment(pointer, value)?;
                let condition = if header.is_some() { format!(" {condition}") } else { String::new() };
                self.line(&format!("for ({start};{condition}; {step}) {{"));
            }
            None => self.line(&format!("while ({condition}) {{")),
        }
        let tail = if step.is_some() { None } else { Some((continuing, break_if)) };
        self.loop_body(body, header.map_or(0, |header| header.statements), tail)?;
        self.names.leave();
        self.line("}");
        Ok(())
    }

    fn loop_body(
        &mut self,
        body: &'a Block,
        first: usize,
        tail: Option<(&'a Block, Option<Handle<Expression>>)>,
    ) -> Result<(), Error> {
        let tail = tail.filter(|(continuing, break_if)| !continuing.is_empty() || break_if.is_some());
        self.frames.push(Frame::Loop { before_continue: tail });
        self.names.enter();
        self.depth += 1;
        let outer = self.pending.len();
        self.statements(body, first)?;
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
        self.statements(continuing, 0)?;
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
        let (Statement::Store { value, .. }, Some(Statement::Loop { continuing, break_if, .. })) =
            (&block[index], block.get(index + 1))
        else {
            return Ok(false);
        };
        let counts = declaration.by_store
            && declaration.last == index + 1
            && break_if.is_none()
            && self.steps(continuing, declaration.variable);
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
        let Statement::Loop { continuing, break_if: None, .. } = statement else { return None };
        let counts = |declaration: &&Declaration| {
            !declaration.by_store && declaration.last == index && self.steps(continuing, declaration.variable)
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

    /// Whether the continuing part is one assignment to `variable`.
    fn steps(&self, continuing: &'a Block, variable: Handle<LocalVariable>) -> bool {
        self.step(continuing).is_some_and(|(pointer, _)| {
            matches!(self.function.expressions[pointer], Expression::LocalVariable(stepped) if stepped == variable)
        })
    }

    /// The assignment that is all of the continuing part.
    fn step(&self, continuing: &'a Block) -> Option<(Handle<Expression>, Handle<Expression>)> {
        let (last, before) = continuing.split_last()?;
        let Statement::Store { pointer, value } = *last else { return None };
        let declares =
            self.usage.declarations.contains_key(&(std::ptr::from_ref(continuing), continuing.len() - 1));
        let folds =
            !declares && !self.is_array(value) && self.folds(continuing, 0..before.len(), &[pointer, value]);
        folds.then_some((pointer, value))
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
