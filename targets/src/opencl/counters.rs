//! Loop counters: variables that change only between two turns of a loop.
//!
//! Within one turn such a variable keeps its value, so its name stands for every load of it, however many uses the
//! load has. That is what makes `for (uint i = 0u; i < n; i++)` of a loop whose test and body share one load of `i`.

use std::collections::HashSet;

use naga::{Block, Expression, Function, Handle, LocalVariable, Statement};

use super::scope::BlockId;
use crate::operands::{each_operand, each_statement_operand};

/// Loads of counters, by their loops' own variables.
pub(super) fn counter_loads(function: &Function) -> HashSet<Handle<Expression>> {
    let count = function.local_variables.len();
    let mut walk = Walk { function, loops: Vec::new(), loads: Vec::new(), stores: vec![Vec::new(); count] };
    walk.block(&function.body, None);
    let escaped = escaped(function);
    let mut loads = std::mem::take(&mut walk.loads);
    loads.retain(|(_, variable, around)| {
        !escaped.contains(variable)
            && around.iter().any(|&turn| {
                let mut inside =
                    walk.stores[variable.index()].iter().filter(|store| store.around.contains(&turn));
                matches!((inside.next(), inside.next()), (Some(step), None) if step.ends == Some(turn))
            })
    });
    loads.into_iter().map(|(load, ..)| load).collect()
}

#[derive(Clone, Debug)]
struct Store {
    /// The loops around the store, by their bodies.
    around: Vec<BlockId>,
    /// The loop whose turn ends with the store.
    ends: Option<BlockId>,
}

struct Walk<'a> {
    function: &'a Function,
    loops: Vec<BlockId>,
    loads: Vec<(Handle<Expression>, Handle<LocalVariable>, Vec<BlockId>)>,
    stores: Vec<Vec<Store>>,
}

impl Walk<'_> {
    /// `ends` is the loop whose turns end with `block`.
    fn block(&mut self, block: &Block, ends: Option<BlockId>) {
        for (index, statement) in block.iter().enumerate() {
            match statement {
                Statement::Emit(range) => range.clone().for_each(|handle| self.load(handle)),
                Statement::Store { pointer, .. } => {
                    if let Expression::LocalVariable(variable) = self.function.expressions[*pointer] {
                        let ends = ends.filter(|_| index + 1 == block.len());
                        self.stores[variable.index()].push(Store { around: self.loops.clone(), ends });
                    }
                }
                Statement::Block(inner) => self.block(inner, None),
                Statement::If { accept, reject, .. } => {
                    self.block(accept, None);
                    self.block(reject, None);
                }
                Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.block(&case.body, None)),
                Statement::Loop { body, continuing, break_if } => {
                    let turn = std::ptr::from_ref(body);
                    self.loops.push(turn);
                    let is_all = continuing.is_empty() && break_if.is_none();
                    self.block(body, is_all.then_some(turn));
                    // A `break if` would still see the old value behind the step.
                    self.block(continuing, break_if.is_none().then_some(turn));
                    self.loops.pop();
                }
                _ => {}
            }
        }
    }

    fn load(&mut self, handle: Handle<Expression>) {
        let Expression::Load { pointer } = self.function.expressions[handle] else { return };
        if let Expression::LocalVariable(variable) = self.function.expressions[pointer] {
            self.loads.push((handle, variable, self.loops.clone()));
        }
    }
}

/// Variables that are reached other than by loads and stores of the whole.
fn escaped(function: &Function) -> HashSet<Handle<LocalVariable>> {
    let mut escaped = HashSet::new();
    let variable = |handle: Handle<Expression>| match function.expressions[handle] {
        Expression::LocalVariable(variable) => Some(variable),
        _ => None,
    };
    for (_, expression) in function.expressions.iter() {
        if !matches!(expression, Expression::Load { .. }) {
            each_operand(expression, |operand| escaped.extend(variable(operand)));
        }
    }
    escape_by_statement(&function.body, &mut |operand| escaped.extend(variable(operand)));
    escaped
}

fn escape_by_statement(block: &Block, visit: &mut impl FnMut(Handle<Expression>)) {
    for statement in block {
        match statement {
            Statement::Store { .. } => {}
            Statement::Block(inner) => escape_by_statement(inner, visit),
            Statement::If { accept, reject, .. } => {
                escape_by_statement(accept, visit);
                escape_by_statement(reject, visit);
            }
            Statement::Switch { cases, .. } => {
                cases.iter().for_each(|case| escape_by_statement(&case.body, visit))
            }
            Statement::Loop { body, continuing, .. } => {
                escape_by_statement(body, visit);
                escape_by_statement(continuing, visit);
            }
            _ => each_statement_operand(statement, &mut *visit),
        }
    }
}
