//! Checks that barriers and cooperative matrices stand where all invocations arrive together.
//!
//! A barrier needs the whole workgroup, a matrix operation the whole subgroup. naga checks neither barriers nor matrix
//! stores, and takes every local variable for different between invocations; this analysis follows stores instead. It
//! is conservative: what it accepts is uniform.

use naga::{
    AddressSpace, Barrier, Binding, Block, BuiltIn, CollectiveOperation, Expression, Function, GatherMode,
    Handle, ImageClass, Module, Statement, StorageAccess, TypeInner,
};

use super::{ModuleError, operands};

/// Checks all entry points.
pub(super) fn check(module: &Module) -> Result<(), ModuleError> {
    for entry in &module.entry_points {
        for level in [Level::Subgroup, Level::Workgroup] {
            if let Some(operation) = Analysis::new(module, &entry.function, level).run() {
                let function = entry.function.name.clone().unwrap_or_default();
                return Err(ModuleError::Divergent { function, operation });
            }
        }
    }
    Ok(())
}

/// Who has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Subgroup,
    Workgroup,
}

/// What is known after one more round; everything only ever grows, so rounds end.
struct Analysis<'f> {
    module: &'f Module,
    function: &'f Function,
    level: Level,
    /// Results of subgroup operations that are the same for the whole subgroup.
    agreed: Vec<bool>,
    /// Expressions that may differ between invocations.
    values: Vec<bool>,
    /// Locals that may hold different values.
    locals: Vec<bool>,
    /// Loops and switches, in source order, that some invocations may leave early.
    left: Vec<bool>,
    /// Whether some invocations may have returned.
    returned: bool,
    next: usize,
    changed: bool,
    fault: Option<&'static str>,
}

/// The loops and switches around a statement.
#[derive(Clone, Copy, Default)]
struct Around {
    divergent: bool,
    breaks: Option<usize>,
    continues: Option<usize>,
}

impl<'f> Analysis<'f> {
    fn new(module: &'f Module, function: &'f Function, level: Level) -> Self {
        let mut agreed = vec![false; function.expressions.len()];
        let mut count = 0;
        operands::each_statement(&function.body, &mut |statement| match statement {
            Statement::Loop { .. } | Statement::Switch { .. } => count += 1,
            Statement::WorkGroupUniformLoad { result, .. } => agreed[result.index()] = true,
            Statement::SubgroupBallot { result, .. } => agreed[result.index()] = level == Level::Subgroup,
            Statement::SubgroupGather {
                mode: GatherMode::BroadcastFirst | GatherMode::Broadcast(_),
                result,
                ..
            }
            | Statement::SubgroupCollectiveOperation {
                collective_op: CollectiveOperation::Reduce,
                result,
                ..
            } => {
                agreed[result.index()] = level == Level::Subgroup;
            }
            _ => {}
        });
        Self {
            module,
            function,
            level,
            agreed,
            values: Vec::new(),
            locals: vec![false; function.local_variables.len()],
            left: vec![false; count],
            returned: false,
            next: 0,
            changed: true,
            fault: None,
        }
    }

    fn run(mut self) -> Option<&'static str> {
        while std::mem::take(&mut self.changed) {
            self.values = vec![false; self.function.expressions.len()];
            for (handle, expression) in self.function.expressions.iter() {
                self.values[handle.index()] = self.differs(handle, expression);
            }
            self.next = 0;
            self.block(&self.function.body, Around::default());
        }
        self.fault
    }

    fn differs(&self, handle: Handle<Expression>, expression: &Expression) -> bool {
        match *expression {
            Expression::FunctionArgument(index) => {
                !self.agrees_on(self.function.arguments[index as usize].binding.as_ref())
            }
            Expression::LocalVariable(local) => self.locals[local.index()],
            Expression::GlobalVariable(global) => {
                let variable = &self.module.global_variables[global];
                match variable.space {
                    AddressSpace::Uniform | AddressSpace::Immediate => false,
                    AddressSpace::Storage { access } => access.contains(StorageAccess::STORE),
                    AddressSpace::Handle => match self.module.types[variable.ty].inner {
                        TypeInner::Image { class: ImageClass::Storage { access, .. }, .. } => {
                            access.contains(StorageAccess::STORE)
                        }
                        _ => false,
                    },
                    _ => true,
                }
            }
            Expression::AtomicResult { .. }
            | Expression::SubgroupBallotResult
            | Expression::SubgroupOperationResult { .. }
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::CallResult(_)
            | Expression::RayQueryProceedResult => !self.agreed[handle.index()],
            ref other => {
                let mut differs = false;
                operands::each_operand(other, |operand| differs |= self.values[operand.index()]);
                differs
            }
        }
    }

    fn agrees_on(&self, binding: Option<&Binding>) -> bool {
        match binding {
            Some(Binding::BuiltIn(
                BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::WorkGroupSize,
            )) => true,
            Some(Binding::BuiltIn(BuiltIn::SubgroupSize | BuiltIn::NumSubgroups)) => true,
            Some(Binding::BuiltIn(BuiltIn::SubgroupId)) => self.level == Level::Subgroup,
            _ => false,
        }
    }

    fn block(&mut self, block: &Block, around: Around) {
        for statement in block {
            let left = [around.breaks, around.continues].into_iter().flatten().any(|index| self.left[index]);
            let here = Around { divergent: around.divergent || self.returned || left, ..around };
            self.statement(statement, here);
        }
    }

    fn statement(&mut self, statement: &Statement, around: Around) {
        if around.divergent && self.needs_agreement(statement) {
            self.fault = Some(if self.level == Level::Subgroup {
                "a cooperative matrix operation or a subgroup barrier"
            } else {
                "a barrier"
            });
        }
        match statement {
            Statement::Store { pointer, value } => {
                if let Some(local) = operands::root_local(&self.function.expressions, *pointer)
                    && (around.divergent || self.values[value.index()] || self.values[pointer.index()])
                {
                    let local = local.index();
                    self.changed |= !self.locals[local];
                    self.locals[local] = true;
                }
            }
            Statement::Block(block) => self.block(block, around),
            Statement::If { condition, accept, reject } => {
                let inside =
                    Around { divergent: around.divergent || self.values[condition.index()], ..around };
                self.block(accept, inside);
                self.block(reject, inside);
            }
            Statement::Switch { selector, cases } => {
                let divergent = around.divergent || self.values[selector.index()];
                let inside = Around { divergent, breaks: Some(self.enter()), ..around };
                for case in cases {
                    self.block(&case.body, inside);
                }
            }
            Statement::Loop { body, continuing, break_if } => {
                let index = self.enter();
                let inside = Around { breaks: Some(index), continues: Some(index), ..around };
                self.block(body, inside);
                self.block(continuing, inside);
                if break_if.is_some_and(|condition| self.values[condition.index()]) {
                    self.leave(Some(index));
                }
            }
            Statement::Break if around.divergent => self.leave(around.breaks),
            Statement::Continue if around.divergent => self.leave(around.continues),
            Statement::Return { .. } if around.divergent => {
                self.changed |= !self.returned;
                self.returned = true;
            }
            _ => {}
        }
    }

    fn enter(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn leave(&mut self, index: Option<usize>) {
        if let Some(index) = index {
            self.changed |= !self.left[index];
            self.left[index] = true;
        }
    }

    fn needs_agreement(&self, statement: &Statement) -> bool {
        match (self.level, statement) {
            (Level::Subgroup, Statement::CooperativeStore { .. }) => true,
            (Level::Subgroup, Statement::Emit(range)) => range.clone().any(|handle| {
                matches!(
                    self.function.expressions[handle],
                    Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. }
                )
            }),
            (Level::Subgroup, Statement::ControlBarrier(barrier)) => barrier.contains(Barrier::SUB_GROUP),
            (Level::Workgroup, Statement::ControlBarrier(barrier))
                if !barrier.contains(Barrier::SUB_GROUP) =>
            {
                barrier.intersects(Barrier::WORK_GROUP | Barrier::STORAGE | Barrier::TEXTURE)
            }
            (Level::Workgroup, Statement::WorkGroupUniformLoad { .. }) => true,
            _ => false,
        }
    }
}
