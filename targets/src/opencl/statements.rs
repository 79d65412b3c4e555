//! Statements. [`super::evaluation`] says when the expressions in them are evaluated.

use std::ops::Range;

use naga::{
    AddressSpace, AtomicFunction, Barrier, Block, Expression, Function, GlobalVariable, Handle, Literal,
    ScalarKind, Statement, SwitchCase, SwitchValue, TypeInner,
};

use super::Error;
use super::function::{Frame, FunctionWriter};
use super::text::Text;
use super::usage::Declaration;

impl<'a> FunctionWriter<'a, '_> {
    /// The statements of `block`, in the C scope at hand.
    pub(super) fn block(&mut self, block: &'a Block) -> Result<(), Error> {
        let outer = self.pending.len();
        self.statements(block, 0..block.len())?;
        self.pending.truncate(outer);
        Ok(())
    }

    /// The statements of `block` in `range`; what they leave pending stays pending.
    pub(super) fn statements(&mut self, block: &'a Block, range: Range<usize>) -> Result<(), Error> {
        for index in range {
            let declarations =
                self.usage.declarations.get(&(std::ptr::from_ref(block), index)).cloned().unwrap_or_default();
            self.statement(block, index, &declarations)?;
        }
        Ok(())
    }

    /// `block` in braces that the caller writes.
    pub(super) fn nested(&mut self, block: &'a Block) -> Result<(), Error> {
        self.names.enter();
        self.depth += 1;
        let result = self.block(block);
        self.depth -= 1;
        self.names.leave();
        result
    }

    fn statement(
        &mut self,
        block: &'a Block,
        index: usize,
        declarations: &[Declaration],
    ) -> Result<(), Error> {
        let statement = &block[index];
        if self.usage.shortcuts.replaces(block, index) {
            return Ok(());
        }
        self.settle(statement)?;
        if self.for_start(block, index, declarations)? {
            return Ok(());
        }
        let in_header = self.header_declaration(statement, index, declarations);
        for declaration in declarations {
            if !declaration.by_store && in_header != Some(declaration.variable) {
                self.declare_local(declaration.variable)?;
            }
        }
        match *statement {
            Statement::Emit(ref range) => self.emit(range),
            Statement::Block(ref inner) => {
                let last = block[index + 1..].iter().all(Statement::is_terminator);
                if last { self.statements(inner, 0..inner.len()) } else { self.inner_block(inner) }
            }
            Statement::If { condition, ref accept, ref reject } => self.branch(condition, accept, reject, ""),
            Statement::Switch { selector, ref cases } => self.switch(selector, cases),
            Statement::Loop { ref body, ref continuing, break_if } => {
                self.repeat(body, continuing, break_if, in_header)
            }
            Statement::Break => {
                self.line("break;");
                Ok(())
            }
            Statement::Continue => self.continue_loop(),
            Statement::Return { value } => self.finish(value, block, index),
            Statement::ControlBarrier(barrier) => self.barrier(barrier, "barrier"),
            Statement::MemoryBarrier(barrier) => self.barrier(barrier, "mem_fence"),
            Statement::Store { pointer, value } => {
                if let Some(declaration) = declarations.iter().find(|declaration| declaration.by_store) {
                    return self.declare_by_store(declaration, value);
                }
                self.store(pointer, value)
            }
            Statement::ImageStore { image, coordinate, array_index, value } => {
                self.image_store(image, coordinate, array_index, value)
            }
            Statement::Atomic { pointer, fun, value, result } => self.atomic(pointer, fun, value, result),
            Statement::WorkGroupUniformLoad { pointer, result } => self.uniform_load(pointer, result),
            Statement::Call { function, ref arguments, result } => self.call(function, arguments, result),
            Statement::SubgroupBallot { result, predicate } => self.subgroup_ballot(result, predicate),
            Statement::SubgroupGather { mode, argument, result } => {
                self.subgroup_gather(mode, argument, result)
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                self.subgroup_collective(op, collective_op, argument, result)
            }
            Statement::CooperativeStore { .. } => Err(Error::CooperativeMatrix),
            Statement::ImageAtomic { .. } => Err(Error::Unsupported { construct: "an atomic on a texture" }),
            Statement::Kill | Statement::RayQuery { .. } | Statement::RayPipelineFunction(_) => {
                Err(Error::Unsupported { construct: "a statement of another stage" })
            }
        }
    }

    /// A block of its own: braces only where it declares something.
    fn inner_block(&mut self, block: &'a Block) -> Result<(), Error> {
        let start = self.code.len();
        self.names.enter();
        let result = self.block(block);
        let declares = !self.names.innermost_is_empty();
        self.names.leave();
        result?;
        if declares {
            let inner = self.code.split_off(start);
            self.line("{");
            for line in inner.lines() {
                self.code.push_str(naga::back::INDENT);
                self.code.push_str(line);
                self.code.push('\n');
            }
            self.line("}");
        }
        Ok(())
    }

    /// `if`, with `lead` (`} else `) before it on its line.
    fn branch(
        &mut self,
        condition: Handle<Expression>,
        accept: &'a Block,
        reject: &'a Block,
        lead: &str,
    ) -> Result<(), Error> {
        let (accept_does, reject_does) = (!self.does_nothing(accept), !self.does_nothing(reject));
        if !accept_does && !reject_does {
            if !lead.is_empty() {
                self.line("}");
            }
            return Ok(());
        }
        let value = if accept_does { self.value(condition)? } else { self.negation(condition)? };
        self.line(&format!("{lead}if ({}) {{", value.code));
        self.nested(if accept_does { accept } else { reject })?;
        if accept_does && reject_does {
            if let Some((condition, accept, reject)) = self.else_if(reject) {
                return self.branch(condition, accept, reject, "} else ");
            }
            self.line("} else {");
            self.nested(reject)?;
        }
        self.line("}");
        Ok(())
    }

    /// Whether no text comes of `block`.
    fn does_nothing(&self, block: &Block) -> bool {
        let tail = self.usage.tails.contains(&std::ptr::from_ref(block));
        block.iter().all(|statement| tail && matches!(statement, Statement::Return { value: None }))
    }

    /// A block that is nothing but an `if` whose condition needs no variable.
    fn else_if(&self, block: &'a Block) -> Option<(Handle<Expression>, &'a Block, &'a Block)> {
        let (last, before) = block.split_last()?;
        let Statement::If { condition, accept, reject } = last else { return None };
        let undeclared = (0..block.len())
            .all(|index| !self.usage.declarations.contains_key(&(std::ptr::from_ref(block), index)));
        (undeclared && self.folds(block, 0..before.len(), &[*condition]))
            .then_some((*condition, accept, reject))
    }

    fn switch(&mut self, selector: Handle<Expression>, cases: &'a [SwitchCase]) -> Result<(), Error> {
        let selector = self.value(selector)?;
        self.line(&format!("switch ({}) {{", selector.code));
        self.frames.push(Frame::Switch);
        for case in cases {
            let label = match case.value {
                SwitchValue::I32(value) => {
                    format!("case {}", super::constants::literal(Literal::I32(value), false)?.code)
                }
                SwitchValue::U32(value) => format!("case {value}u"),
                SwitchValue::Default => "default".to_owned(),
            };
            if case.fall_through && case.body.is_empty() {
                self.line(&format!("{label}:"));
                continue;
            }
            self.line(&format!("{label}: {{"));
            self.nested(&case.body)?;
            if !case.fall_through && !case.body.last().is_some_and(Statement::is_terminator) {
                self.depth += 1;
                self.line("break;");
                self.depth -= 1;
            }
            self.line("}");
        }
        self.frames.pop();
        self.line("}");
        Ok(())
    }

    fn finish(
        &mut self,
        value: Option<Handle<Expression>>,
        block: &'a Block,
        index: usize,
    ) -> Result<(), Error> {
        match value {
            Some(value) => {
                let value = self.value(value)?;
                self.line(&format!("return {};", value.code));
            }
            // The end of the function returns by itself.
            None if self.usage.tails.contains(&std::ptr::from_ref(block)) && index + 1 == block.len() => {}
            None => self.line("return;"),
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: Barrier, function: &str) -> Result<(), Error> {
        if barrier.contains(Barrier::SUB_GROUP) {
            return self.subgroup_barrier();
        }
        let mut fences = Vec::new();
        if barrier.contains(Barrier::WORK_GROUP) {
            fences.push("CLK_LOCAL_MEM_FENCE");
        }
        if barrier.intersects(Barrier::STORAGE | Barrier::TEXTURE) {
            fences.push("CLK_GLOBAL_MEM_FENCE");
        }
        let fences = if fences.is_empty() { "0".to_owned() } else { fences.join(" | ") };
        self.line(&format!("{function}({fences});"));
        Ok(())
    }

    fn atomic(
        &mut self,
        pointer: Handle<Expression>,
        fun: AtomicFunction,
        value: Handle<Expression>,
        result: Option<Handle<Expression>>,
    ) -> Result<(), Error> {
        let function = match fun {
            AtomicFunction::Add => "atomic_add",
            AtomicFunction::Subtract => "atomic_sub",
            AtomicFunction::And => "atomic_and",
            AtomicFunction::ExclusiveOr => "atomic_xor",
            AtomicFunction::InclusiveOr => "atomic_or",
            AtomicFunction::Min => "atomic_min",
            AtomicFunction::Max => "atomic_max",
            AtomicFunction::Exchange { compare: None } => "atomic_xchg",
            AtomicFunction::Exchange { compare: Some(_) } => {
                return Err(Error::Unsupported { construct: "atomicCompareExchangeWeak" });
            }
        };
        if self.scalar_of(value).width != 4 || self.scalar_of(value).kind == ScalarKind::Float {
            return Err(Error::Unsupported { construct: "an atomic that is not an i32 or u32" });
        }
        let call = Text::call(function, &[self.place(pointer)?.address(), self.value(value)?]);
        match result {
            Some(result) if self.usage.counts[result.index()] > 0 => self.bind_result(result, &call, "old"),
            _ => {
                self.line(&format!("{};", call.code));
                Ok(())
            }
        }
    }

    fn uniform_load(&mut self, pointer: Handle<Expression>, result: Handle<Expression>) -> Result<(), Error> {
        if self.is_array(result) {
            return Err(Error::Unsupported { construct: "workgroupUniformLoad of an array" });
        }
        self.line("barrier(CLK_LOCAL_MEM_FENCE);");
        let value = self.load(pointer)?;
        self.bind_result(result, &value, "shared_value")?;
        self.line("barrier(CLK_LOCAL_MEM_FENCE);");
        Ok(())
    }

    fn call(
        &mut self,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
    ) -> Result<(), Error> {
        let name = self.out.function_names[function.index()].clone();
        let mut values = Vec::new();
        for &argument in arguments {
            if self.is_array(argument) {
                return Err(Error::Unsupported {
                    construct: "an array passed by value (pass a pointer to it)",
                });
            }
            values.push(self.value(argument)?);
        }
        for global in self.out.globals_of(function) {
            values.push(self.global_argument(global));
            let first = self.globals[global.index()].as_ref().and_then(|global| global.first_texel.clone());
            values.extend(first.map(Text::primary));
        }
        let call = Text::call(&name, &values);
        match result {
            Some(result) if self.usage.counts[result.index()] > 0 => {
                self.bind_result(result, &call, &format!("{name}_result"))
            }
            _ => {
                self.line(&format!("{};", call.code));
                Ok(())
            }
        }
    }

    /// A variable of the module, as a function takes it: by pointer.
    fn global_argument(&self, handle: Handle<GlobalVariable>) -> Text {
        let variable = &self.out.module.global_variables[handle];
        let Some(global) = &self.globals[handle.index()] else {
            unreachable!("validated: callers use what their callees use")
        };
        let is_array = matches!(self.out.module.types[variable.ty].inner, TypeInner::Array { .. });
        let by_name = global.is_pointer || is_array || variable.space == AddressSpace::Handle;
        if by_name { Text::primary(global.name.clone()) } else { Text::unary(format!("&{}", global.name)) }
    }
}
