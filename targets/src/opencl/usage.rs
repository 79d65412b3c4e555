//! What the writer must know about a function before it writes the first line: how often each expression's text
//! would appear, and where each local variable is best declared.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use naga::valid::FunctionInfo;
use naga::{
    BinaryOperator, Block, Expression, Function, Handle, LocalVariable, Module, ScalarKind, Statement,
    TypeInner,
};

use super::counters::counter_loads;
use super::scope::{BlockId, Scope};
use super::shortcuts::Shortcuts;
use crate::operands::{each_operand, each_statement_operand};

/// The result of looking through one function.
#[derive(Debug)]
pub(super) struct Usage<'a> {
    /// How often the text of each expression appears when nothing but repeated work goes into temporaries.
    pub(super) counts: Vec<u32>,
    /// Expressions that must live in a variable, because their text takes their address.
    pub(super) addressed: Vec<bool>,
    /// The `&&` and `||` of the source.
    pub(super) shortcuts: Shortcuts<'a>,
    /// Values of `x = x + y` that can be written `x += y`.
    pub(super) compound: HashSet<Handle<Expression>>,
    /// The loads of `x` in these values, which have no text of their own.
    pub(super) fused: HashSet<Handle<Expression>>,
    /// Loads whose variable keeps its value for as long as the load is in scope.
    pub(super) counters: HashSet<Handle<Expression>>,
    /// Local variables by the statement before which they are declared.
    pub(super) declarations: HashMap<(BlockId, usize), Vec<Declaration>>,
    /// Blocks behind which the function ends.
    pub(super) tails: HashSet<BlockId>,
}

impl Usage<'_> {
    /// Calls `visit` with each expression whose text is part of `handle`'s.
    pub(super) fn for_each_part(
        &self,
        function: &Function,
        handle: Handle<Expression>,
        mut visit: impl FnMut(Handle<Expression>),
    ) {
        if let Some(shortcut) = self.shortcuts.get(handle) {
            visit(shortcut.left);
            visit(shortcut.right);
        } else if !self.fused.contains(&handle) {
            each_operand(&function.expressions[handle], visit);
        }
    }

    /// Whether the text of `handle` stands wherever it is used, since no variable would make it shorter.
    pub(super) fn is_inline(&self, scope: &Scope<'_>, handle: Handle<Expression>) -> bool {
        if scope.is_pointer(handle) || self.fused.contains(&handle) || self.counters.contains(&handle) {
            return true;
        }
        if self.addressed[handle.index()] || scope.is_named(handle) {
            return false;
        }
        self.counts[handle.index()] <= 1
            || scope.is_transparent(handle)
            || scope.is_constant(handle)
            || (self.shortcuts.get(handle).is_none() && scope.is_cheap_load(handle))
    }

    /// Whether the `statements` of `block` only emit what the text of `roots` takes in whole, without a variable.
    pub(super) fn folds(
        &self,
        scope: &Scope<'_>,
        block: &Block,
        statements: Range<usize>,
        roots: &[Handle<Expression>],
        is_written: &dyn Fn(Handle<Expression>) -> bool,
    ) -> bool {
        let mut seen = vec![0; self.counts.len()];
        for &root in roots {
            self.tally(scope.function, root, is_written, &mut seen);
        }
        statements.into_iter().all(|index| match &block[index] {
            Statement::Emit(range) => range.clone().all(|handle| {
                let count = self.counts[handle.index()];
                let in_whole = seen[handle.index()] == count
                    || self.fused.contains(&handle)
                    || self.counters.contains(&handle);
                count == 0 || (in_whole && self.is_inline(scope, handle))
            }),
            _ => self.shortcuts.replaces(block, index),
        })
    }

    /// Adds to the uses by statements those by other expressions, last expression first, so that the users of an
    /// expression are counted before it.
    fn count_operands(&mut self, scope: &Scope<'_>) {
        for (handle, expression) in scope.function.expressions.iter().rev() {
            let count = self.counts[handle.index()];
            if count == 0 {
                continue;
            }
            let named = scope.is_named(handle) && !scope.is_pointer(handle);
            let times = if scope.is_transparent(handle) && !named { count } else { 1 };
            let mut parts = Vec::new();
            self.for_each_part(scope.function, handle, |part| parts.push(part));
            for part in parts {
                self.counts[part.index()] += times;
            }
            if let Expression::Access { base, .. } | Expression::AccessIndex { base, .. } = *expression {
                let dynamic = matches!(expression, Expression::Access { .. });
                let list = matches!(
                    scope.function.expressions[base],
                    Expression::Compose { .. } | Expression::ZeroValue(_)
                );
                self.addressed[base.index()] |= match scope.info[base].ty.inner_with(&scope.module.types) {
                    TypeInner::Vector { .. } => dynamic,
                    TypeInner::Array { .. } => list,
                    _ => false,
                };
            }
        }
    }

    /// Counts in `seen` how often each expression appears in the text of `handle`.
    fn tally(
        &self,
        function: &Function,
        handle: Handle<Expression>,
        is_written: &dyn Fn(Handle<Expression>) -> bool,
        seen: &mut [u32],
    ) {
        if !is_written(handle) {
            seen[handle.index()] += 1;
            self.for_each_part(function, handle, |part| self.tally(function, part, is_written, seen));
        }
    }
}

/// Where a local variable begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declaration {
    pub(super) variable: Handle<LocalVariable>,
    /// The statement is a store of the whole variable, which serves as its initialiser.
    pub(super) by_store: bool,
    /// The last statement of the same block that mentions the variable.
    pub(super) last: usize,
}

/// Looks through `function`.
pub(super) fn usage<'a>(module: &'a Module, function: &'a Function, info: &'a FunctionInfo) -> Usage<'a> {
    let mut shortcuts = Shortcuts::find(function);
    loop {
        let mut usage = Walk::new(module, function, info, shortcuts).finish();
        let scope = Scope { module, function, info };
        let fit = usage.shortcuts.places(|shortcut| {
            let right = shortcut.accept.len() - 1;
            usage.folds(&scope, shortcut.accept, 0..right, &[shortcut.right], &|_| false)
        });
        if !usage.shortcuts.retain(&fit) {
            return usage;
        }
        // What is no operator after all is counted anew, as the `if` that it is.
        shortcuts = usage.shortcuts;
    }
}

#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    block: &'a Block,
    statement: usize,
    /// The block runs more than once.
    repeats: bool,
}

#[derive(Clone, Debug)]
struct Span<'a> {
    path: Vec<Step<'a>>,
    last: usize,
}

struct Walk<'a> {
    scope: Scope<'a>,
    function: &'a Function,
    counts: Vec<u32>,
    shortcuts: Shortcuts<'a>,
    /// Stored values that may be compound, each with its load.
    compound: Vec<(Handle<Expression>, Handle<Expression>)>,
    /// As in [`Usage`].
    counters: HashSet<Handle<Expression>>,
    spans: Vec<Option<Span<'a>>>,
    path: Vec<Step<'a>>,
    tails: HashSet<BlockId>,
}

impl<'a> Walk<'a> {
    fn new(
        module: &'a Module,
        function: &'a Function,
        info: &'a FunctionInfo,
        shortcuts: Shortcuts<'a>,
    ) -> Self {
        let scope = Scope { module, function, info };
        let counters = counter_loads(function).into_iter().filter(|&load| !scope.is_named(load)).collect();
        Self {
            scope,
            function,
            counts: vec![0; function.expressions.len()],
            shortcuts,
            compound: Vec::new(),
            counters,
            spans: vec![None; function.local_variables.len()],
            path: Vec::new(),
            tails: HashSet::new(),
        }
    }

    fn finish(mut self) -> Usage<'a> {
        let body = &self.function.body;
        self.tails.insert(std::ptr::from_ref(body));
        self.block(body, false);
        self.drop_unsuitable_compounds();
        let declarations = self.declarations();
        let mut usage = Usage {
            addressed: vec![false; self.counts.len()],
            counts: self.counts,
            shortcuts: self.shortcuts,
            compound: self.compound.iter().map(|&(value, _)| value).collect(),
            fused: self
                .compound
                .iter()
                .map(|&(_, load)| load)
                .filter(|load| !self.counters.contains(load))
                .collect(),
            counters: self.counters,
            declarations,
            tails: self.tails,
        };
        usage.count_operands(&self.scope);
        usage
    }

    fn block(&mut self, block: &'a Block, repeats: bool) {
        self.path.push(Step { block, statement: 0, repeats });
        for (index, statement) in block.iter().enumerate() {
            if let Some(step) = self.path.last_mut() {
                step.statement = index;
            }
            if self.shortcuts.replaces(block, index) {
                self.right_operand(statement);
            } else {
                let is_last =
                    block[index + 1..].iter().all(|next| matches!(next, Statement::Return { value: None }));
                let ends = is_last && self.tails.contains(&std::ptr::from_ref(block));
                self.statement(statement, ends);
            }
        }
        self.path.pop();
    }

    /// The `if` of an operator: what its right operand mentions counts as mentioned here.
    fn right_operand(&mut self, statement: &'a Statement) {
        let Statement::If { accept, .. } = statement else { return };
        for statement in accept {
            match statement {
                Statement::Emit(range) => self.emitted(range.clone()),
                _ => self.right_operand(statement),
            }
        }
    }

    fn emitted(&mut self, range: naga::Range<Expression>) {
        for handle in range {
            each_operand(&self.function.expressions[handle], |operand| self.mention(operand));
        }
    }

    fn statement(&mut self, statement: &'a Statement, ends: bool) {
        each_statement_operand(statement, |operand| {
            self.counts[operand.index()] += 1;
            self.mention(operand);
        });
        let mut tail = |block: &'a Block| {
            if ends {
                self.tails.insert(std::ptr::from_ref(block));
            }
        };
        match statement {
            Statement::Emit(range) => self.emitted(range.clone()),
            Statement::Block(block) => {
                tail(block);
                self.block(block, false);
            }
            Statement::If { accept, reject, .. } => {
                tail(accept);
                tail(reject);
                self.block(accept, false);
                self.block(reject, false);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.block(&case.body, false)),
            Statement::Loop { body, continuing, .. } => {
                self.block(body, true);
                self.block(continuing, true);
            }
            Statement::Store { pointer, value } => self.note_compound(*pointer, *value),
            _ => {}
        }
    }

    fn mention(&mut self, operand: Handle<Expression>) {
        let Expression::LocalVariable(variable) = self.function.expressions[operand] else { return };
        if self.shortcuts.drops(variable) {
            return;
        }
        let last = |path: &[Step<'_>], depth: usize| path[depth].statement;
        let span = &mut self.spans[variable.index()];
        match span {
            None => {
                *span = Some(Span { last: last(&self.path, self.path.len() - 1), path: self.path.clone() });
            }
            Some(span) => {
                let shared = span
                    .path
                    .iter()
                    .zip(&self.path)
                    .take_while(|(a, b)| std::ptr::eq(a.block, b.block))
                    .count();
                // Steps below the first that took different statements are in different blocks already.
                span.path.truncate(shared);
                span.last = last(&self.path, shared - 1);
            }
        }
    }

    /// Notes `pointer = *pointer + other` where nothing but other expressions stands between load and store, or the
    /// variable keeps its value until the store.
    fn note_compound(&mut self, pointer: Handle<Expression>, value: Handle<Expression>) {
        let expressions = &self.function.expressions;
        let Expression::Binary { op, left, .. } = expressions[value] else { return };
        let Expression::Load { pointer: loaded } = expressions[left] else { return };
        let Scope { module, info, .. } = self.scope;
        let scalar = info[value].ty.inner_with(&module.types).scalar();
        let plain = match op {
            BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply => true,
            BinaryOperator::Divide => scalar.is_some_and(|scalar| scalar.kind == ScalarKind::Float),
            _ => false,
        };
        let lane = is_bool_or_atomic(module, info, pointer);
        let keeps = self.just_emitted(left) || self.counters.contains(&left);
        if plain && !lane && same_place(self.function, pointer, loaded) && keeps {
            self.compound.push((value, left));
        }
    }

    /// Whether `handle` is emitted by the run of `Emit`s right before the statement at hand.
    fn just_emitted(&self, handle: Handle<Expression>) -> bool {
        let Some(&Step { block, statement, .. }) = self.path.last() else { return false };
        block[..statement]
            .iter()
            .rev()
            .map_while(|earlier| match earlier {
                Statement::Emit(range) => Some(range.clone()),
                _ => None,
            })
            .any(|mut range| range.any(|emitted| emitted == handle))
    }

    /// Keeps the compounds whose value and load serve nothing else; the load of a counter may.
    fn drop_unsuitable_compounds(&mut self) {
        let mut users = self.counts.clone();
        for (_, expression) in self.function.expressions.iter() {
            each_operand(expression, |operand| users[operand.index()] += 1);
        }
        let scope = self.scope;
        self.compound.retain(|&(value, load)| {
            let is_free = |handle: Handle<Expression>| users[handle.index()] == 1 && !scope.is_named(handle);
            is_free(value) && (self.counters.contains(&load) || is_free(load))
        });
    }

    fn declarations(&mut self) -> HashMap<(BlockId, usize), Vec<Declaration>> {
        let mut declarations: HashMap<_, Vec<_>> = HashMap::new();
        for (variable, _) in self.function.local_variables.iter() {
            let Some(mut span) = self.spans[variable.index()].take() else { continue };
            let innermost = span.path[span.path.len() - 1];
            let by_store = is_store_to(self.function, innermost, variable);
            if !by_store && let Some(outermost_loop) = span.path.iter().position(|step| step.repeats) {
                // A variable that is not stored first keeps its value from one turn to the next.
                span.path.truncate(outermost_loop);
                span.last = span.path[outermost_loop - 1].statement;
            }
            let Step { block, statement, .. } = span.path[span.path.len() - 1];
            declarations.entry((std::ptr::from_ref(block), statement)).or_default().push(Declaration {
                variable,
                by_store,
                last: span.last,
            });
        }
        declarations
    }
}

fn is_store_to(function: &Function, step: Step<'_>, variable: Handle<LocalVariable>) -> bool {
    match step.block[step.statement] {
        Statement::Store { pointer, .. } => {
            matches!(function.expressions[pointer], Expression::LocalVariable(stored) if stored == variable)
        }
        _ => false,
    }
}

/// Whether two pointer expressions are written alike and point to one place.
fn same_place(function: &Function, a: Handle<Expression>, b: Handle<Expression>) -> bool {
    a == b
        || match (&function.expressions[a], &function.expressions[b]) {
            (Expression::LocalVariable(a), Expression::LocalVariable(b)) => a == b,
            (Expression::GlobalVariable(a), Expression::GlobalVariable(b)) => a == b,
            (
                &Expression::AccessIndex { base: base_a, index: index_a },
                &Expression::AccessIndex { base: base_b, index: index_b },
            ) => index_a == index_b && same_place(function, base_a, base_b),
            (
                &Expression::Access { base: base_a, index: index_a },
                &Expression::Access { base: base_b, index: index_b },
            ) => index_a == index_b && same_place(function, base_a, base_b),
            _ => false,
        }
}

fn is_bool_or_atomic(module: &Module, info: &FunctionInfo, pointer: Handle<Expression>) -> bool {
    let inner = info[pointer].ty.inner_with(&module.types);
    inner.is_atomic_pointer(&module.types)
        || inner
            .pointer_base_type()
            .and_then(|base| base.inner_with(&module.types).scalar())
            .is_some_and(|scalar| scalar.kind == naga::ScalarKind::Bool)
}
