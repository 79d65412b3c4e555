//! `a && b` and `a || b` again, after naga has made an `if` of each.
//!
//! The right operand must not be evaluated when the left one decides. naga says so with a nameless variable, which
//! an `if` sets and one load reads. C's operators say the same, so the `if` and its variable need not be written.

use std::collections::{HashMap, HashSet};

use naga::{Block, Expression, Function, Handle, Literal, LocalVariable, Statement, UnaryOperator};

use super::scope::BlockId;
use crate::operands::{each_operand, each_statement_operand};

/// One `&&` or `||`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortcut<'a> {
    /// `&&` rather than `||`.
    pub(super) is_and: bool,
    pub(super) left: Handle<Expression>,
    pub(super) right: Handle<Expression>,
    variable: Handle<LocalVariable>,
    /// Where the `if` stands.
    place: (BlockId, usize),
    /// The statements that evaluate the right operand.
    pub(super) accept: &'a Block,
}

/// The operators of a function.
#[derive(Debug, Default)]
pub(super) struct Shortcuts<'a> {
    /// By the load of the nameless variable: it has the operator's value.
    by_load: HashMap<Handle<Expression>, Shortcut<'a>>,
    places: HashSet<(BlockId, usize)>,
}

impl<'a> Shortcuts<'a> {
    pub(super) fn find(function: &'a Function) -> Self {
        let mut shortcuts = Self::default();
        shortcuts.search(function, &function.body);
        shortcuts
    }

    /// The operator whose value `load` is.
    pub(super) fn get(&self, load: Handle<Expression>) -> Option<&Shortcut<'a>> {
        self.by_load.get(&load)
    }

    /// Whether the statement is an `if` that need not be written.
    pub(super) fn replaces(&self, block: &Block, statement: usize) -> bool {
        self.places.contains(&(std::ptr::from_ref(block), statement))
    }

    /// Whether no variable of this name is left.
    pub(super) fn drops(&self, variable: Handle<LocalVariable>) -> bool {
        self.by_load.values().any(|shortcut| shortcut.variable == variable)
    }

    /// The places of the operators that `fit` holds for.
    pub(super) fn places(&self, fit: impl Fn(&Shortcut<'a>) -> bool) -> HashSet<(BlockId, usize)> {
        self.by_load.values().filter(|shortcut| fit(shortcut)).map(|shortcut| shortcut.place).collect()
    }

    /// Gives up on all but the operators at `kept`, and says whether there were others.
    pub(super) fn retain(&mut self, kept: &HashSet<(BlockId, usize)>) -> bool {
        let before = self.by_load.len();
        self.by_load.retain(|_, shortcut| kept.contains(&shortcut.place));
        // An operator whose right operand holds a lost one is lost as well.
        loop {
            let count = self.by_load.len();
            self.places = self.places(|_| true);
            let places = &self.places;
            self.by_load.retain(|_, shortcut| is_pure(shortcut.accept, places));
            if self.by_load.len() == count {
                return count < before;
            }
        }
    }

    fn search(&mut self, function: &'a Function, block: &'a Block) {
        for (index, statement) in block.iter().enumerate() {
            match statement {
                Statement::Block(inner) => self.search(function, inner),
                Statement::If { accept, reject, .. } => {
                    self.search(function, accept);
                    self.search(function, reject);
                }
                Statement::Switch { cases, .. } => {
                    cases.iter().for_each(|case| self.search(function, &case.body))
                }
                Statement::Loop { body, continuing, .. } => {
                    self.search(function, body);
                    self.search(function, continuing);
                }
                _ => {}
            }
            if let Some((load, shortcut)) = self.recognize(function, block, index) {
                self.places.insert(shortcut.place);
                self.by_load.insert(load, shortcut);
            }
        }
    }

    fn recognize(
        &self,
        function: &'a Function,
        block: &'a Block,
        index: usize,
    ) -> Option<(Handle<Expression>, Shortcut<'a>)> {
        let Statement::If { condition, accept, reject } = &block[index] else { return None };
        let (last, before) = accept.split_last()?;
        let (variable, right) = stored(function, last)?;
        let (other, otherwise) = stored(function, reject.first()?)?;
        let declared = &function.local_variables[variable];
        let is_plain =
            declared.name.is_none() && declared.init.is_none() && variable == other && reject.len() == 1;
        let pure = before.iter().enumerate().all(|(index, statement)| match statement {
            Statement::Emit(_) => true,
            _ => self.replaces(accept, index),
        });
        if !is_plain || !pure {
            return None;
        }
        let (is_and, left) = match (&function.expressions[otherwise], &function.expressions[*condition]) {
            (Expression::Literal(Literal::Bool(false)), _) => (true, *condition),
            (
                Expression::Literal(Literal::Bool(true)),
                Expression::Unary { op: UnaryOperator::LogicalNot, expr },
            ) => (false, *expr),
            _ => return None,
        };
        let load = self.only_load(function, variable)?;
        let place = (std::ptr::from_ref(block), index);
        self.follows(block, index, load)
            .then_some((load, Shortcut { is_and, left, right, variable, place, accept }))
    }

    /// The load of `variable`, if nothing but it and the two stores mention the variable.
    fn only_load(&self, function: &Function, variable: Handle<LocalVariable>) -> Option<Handle<Expression>> {
        let is_variable = |handle: Handle<Expression>| matches!(function.expressions[handle], Expression::LocalVariable(mentioned) if mentioned == variable);
        let mut users = Vec::new();
        for (handle, expression) in function.expressions.iter() {
            each_operand(expression, |operand| {
                if is_variable(operand) {
                    users.push(handle);
                }
            });
        }
        let mut mentions = 0;
        count_statement_operands(&function.body, &mut |operand| {
            mentions += usize::from(is_variable(operand))
        });
        match users.as_slice() {
            &[load] if mentions == 2 && matches!(function.expressions[load], Expression::Load { .. }) => {
                Some(load)
            }
            _ => None,
        }
    }

    /// Whether `load` is emitted after the statement at `index`, before anything has effects.
    fn follows(&self, block: &Block, index: usize, load: Handle<Expression>) -> bool {
        for statement in &block[index + 1..] {
            match statement {
                Statement::Emit(range) if range.clone().any(|handle| handle == load) => return true,
                Statement::Emit(_) => {}
                _ => return false,
            }
        }
        false
    }
}

/// Whether a right operand's statements are all without effects, given the `if`s that are replaced.
fn is_pure(accept: &Block, places: &HashSet<(BlockId, usize)>) -> bool {
    accept[..accept.len().saturating_sub(1)].iter().enumerate().all(|(index, statement)| match statement {
        Statement::Emit(_) => true,
        _ => places.contains(&(std::ptr::from_ref(accept), index)),
    })
}

/// The local variable that `statement` stores to, and the value.
fn stored(function: &Function, statement: &Statement) -> Option<(Handle<LocalVariable>, Handle<Expression>)> {
    let Statement::Store { pointer, value } = *statement else { return None };
    match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Some((variable, value)),
        _ => None,
    }
}

fn count_statement_operands(block: &Block, visit: &mut impl FnMut(Handle<Expression>)) {
    for statement in block {
        each_statement_operand(statement, &mut *visit);
        match statement {
            Statement::Block(inner) => count_statement_operands(inner, visit),
            Statement::If { accept, reject, .. } => {
                count_statement_operands(accept, visit);
                count_statement_operands(reject, visit);
            }
            Statement::Switch { cases, .. } => {
                cases.iter().for_each(|case| count_statement_operands(&case.body, visit));
            }
            Statement::Loop { body, continuing, .. } => {
                count_statement_operands(body, visit);
                count_statement_operands(continuing, visit);
            }
            _ => {}
        }
    }
}
