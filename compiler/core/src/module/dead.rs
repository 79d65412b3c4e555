//! Removes what nothing reads: stores to locals, the locals, names of unused values, unused constants.

use naga::{Arena, Block, Expression, Function, Handle, Module, Statement};

use super::{
    ModuleError, operands,
    walk::{self, Pass},
};

/// Cleans all entry points.
pub(super) fn run(module: &mut Module) -> Result<(), ModuleError> {
    walk::each_entry_point(module, |module, source| {
        let mut function = source.clone();
        drop_last_returns(&mut function.body);
        while remove_stores(&mut function) {}
        let used = used_expressions(&function);
        function.named_expressions.retain(|handle, _| used[handle.index()]);
        let keep = used_locals(&function, &used);
        walk::rebuild_with_locals(module, &function, &keep, &mut Copy)
    })?;
    forget_constants(module);
    Ok(())
}

/// Removes `return` where the kernel ends anyway.
fn drop_last_returns(block: &mut Block) {
    if matches!(block.last(), Some(Statement::Return { value: None })) {
        block.cull(block.len() - 1..);
    }
    match block.last_mut() {
        Some(Statement::If { accept, reject, .. }) => {
            drop_last_returns(accept);
            drop_last_returns(reject);
        }
        Some(Statement::Block(block)) => drop_last_returns(block),
        _ => {}
    }
}

struct Copy;

impl Pass<'_> for Copy {}

/// Which expressions some statement needs, directly or through others.
fn used_expressions(function: &Function) -> Vec<bool> {
    let mut used = vec![false; function.expressions.len()];
    operands::each_statement(&function.body, &mut |statement| {
        operands::each_statement_operand(statement, |operand| used[operand.index()] = true);
    });
    for (handle, expression) in function.expressions.iter().rev() {
        if used[handle.index()] {
            operands::each_operand(expression, |operand| used[operand.index()] = true);
        }
    }
    used
}

fn used_locals(function: &Function, used: &[bool]) -> Vec<bool> {
    let mut keep = vec![false; function.local_variables.len()];
    for (handle, expression) in function.expressions.iter() {
        if let (true, Expression::LocalVariable(local)) = (used[handle.index()], expression) {
            keep[local.index()] = true;
        }
    }
    // What is evaluated is copied even if unused, so its variables must be there.
    operands::each_statement(&function.body, &mut |statement| {
        let Statement::Emit(range) = statement else { return };
        for handle in range.clone() {
            operands::each_operand(&function.expressions[handle], |operand| {
                if let Expression::LocalVariable(local) = function.expressions[operand] {
                    keep[local.index()] = true;
                }
            });
        }
    });
    keep
}

/// Unnames module constants that no function mentions, so that compaction drops them.
fn forget_constants(module: &mut Module) {
    let mut mentioned = vec![false; module.constants.len()];
    let functions = module.functions.iter().map(|(_, function)| function);
    for function in functions.chain(module.entry_points.iter().map(|entry| &entry.function)) {
        for (_, expression) in function.expressions.iter() {
            if let Expression::Constant(constant) = expression {
                mentioned[constant.index()] = true;
            }
        }
    }
    for (handle, constant) in module.constants.iter_mut() {
        if !mentioned[handle.index()] {
            constant.name = None;
        }
    }
}

type Live = Vec<bool>;

/// What is live where a jump lands.
struct Exits<'l> {
    after_break: &'l Live,
    after_continue: &'l Live,
}

struct Liveness<'f> {
    expressions: &'f Arena<Expression>,
    used: Vec<bool>,
    /// Whether stores are removed, or only looked at.
    apply: bool,
    removed: bool,
}

/// Removes stores whose value no path reads; says whether there were any.
fn remove_stores(function: &mut Function) -> bool {
    let used = used_expressions(function);
    let mut body = std::mem::take(&mut function.body);
    let mut liveness = Liveness { expressions: &function.expressions, used, apply: true, removed: false };
    let nothing = vec![false; function.local_variables.len()];
    liveness.block(&mut body, nothing.clone(), &Exits { after_break: &nothing, after_continue: &nothing });
    let removed = liveness.removed;
    function.body = body;
    removed
}

impl Liveness<'_> {
    /// What is live before `block`, given what is live after it.
    fn block(&mut self, block: &mut Block, mut live: Live, exits: &Exits<'_>) -> Live {
        let mut kept = Vec::new();
        for (mut statement, span) in
            std::mem::take(block).span_into_iter().collect::<Vec<_>>().into_iter().rev()
        {
            if self.statement(&mut statement, &mut live, exits) {
                kept.push((statement, span));
            } else {
                self.removed = true;
            }
        }
        for (statement, span) in kept.into_iter().rev() {
            block.push(statement, span);
        }
        live
    }

    /// Steps backwards over one statement; says whether it stays.
    fn statement(&mut self, statement: &mut Statement, live: &mut Live, exits: &Exits<'_>) -> bool {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    if self.used[handle.index()] {
                        self.read_by(handle, live);
                    }
                }
            }
            Statement::Store { pointer, .. } => return self.store(*pointer, live),
            Statement::Block(block) => *live = self.block(block, live.clone(), exits),
            Statement::If { accept, reject, .. } => {
                let mut before = self.block(accept, live.clone(), exits);
                join(&mut before, &self.block(reject, live.clone(), exits));
                *live = before;
                return !(self.apply && accept.is_empty() && reject.is_empty());
            }
            Statement::Switch { cases, .. } => {
                let after = live.clone();
                let mut next = after.clone();
                for case in cases.iter_mut().rev() {
                    let end = if case.fall_through { next } else { after.clone() };
                    next = self.block(
                        &mut case.body,
                        end,
                        &Exits { after_break: &after, after_continue: exits.after_continue },
                    );
                    join(live, &next);
                }
            }
            Statement::Loop { body, continuing, break_if } => {
                *live = self.repeat(body, continuing, break_if.is_some(), live)
            }
            Statement::Break => live.clone_from(exits.after_break),
            Statement::Continue => live.clone_from(exits.after_continue),
            Statement::Return { .. } | Statement::Kill => live.fill(false),
            other => operands::each_statement_operand(other, |operand| {
                if let Some(local) = operands::root_local(self.expressions, operand) {
                    live[local.index()] = true;
                }
            }),
        }
        true
    }

    fn store(&self, pointer: Handle<Expression>, live: &mut Live) -> bool {
        let Some(local) = operands::root_local(self.expressions, pointer) else { return true };
        if !live[local.index()] {
            return !self.apply;
        }
        if matches!(self.expressions[pointer], Expression::LocalVariable(_)) {
            live[local.index()] = false;
        }
        true
    }

    fn repeat(&mut self, body: &mut Block, continuing: &mut Block, breaks: bool, after: &Live) -> Live {
        let apply = std::mem::replace(&mut self.apply, false);
        let mut entry = vec![false; after.len()];
        loop {
            let before = self.once(body, continuing, breaks, after, &entry);
            let size = entry.iter().filter(|live| **live).count();
            join(&mut entry, &before);
            if entry.iter().filter(|live| **live).count() == size {
                break;
            }
        }
        self.apply = apply;
        if apply {
            self.once(body, continuing, breaks, after, &entry);
        }
        entry
    }

    fn once(
        &mut self,
        body: &mut Block,
        continuing: &mut Block,
        breaks: bool,
        after: &Live,
        entry: &Live,
    ) -> Live {
        let mut end = entry.clone();
        if breaks {
            join(&mut end, after);
        }
        let before_continuing =
            self.block(continuing, end, &Exits { after_break: after, after_continue: entry });
        let exits = Exits { after_break: after, after_continue: &before_continuing };
        self.block(body, before_continuing.clone(), &exits)
    }

    /// Marks the locals that evaluating `handle` reads. Forming a pointer reads nothing.
    fn read_by(&self, handle: Handle<Expression>, live: &mut Live) {
        let expression = &self.expressions[handle];
        let is_part_of_pointer =
            matches!(expression, Expression::Access { .. } | Expression::AccessIndex { .. });
        operands::each_operand(expression, |operand| {
            if let (false, Some(local)) =
                (is_part_of_pointer, operands::root_local(self.expressions, operand))
            {
                live[local.index()] = true;
            }
        });
    }
}

fn join(into: &mut Live, other: &Live) {
    for (live, other) in into.iter_mut().zip(other) {
        *live |= other;
    }
}
