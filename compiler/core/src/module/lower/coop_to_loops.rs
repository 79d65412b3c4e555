//! For devices without cooperative matrices: the same kernel with plain loops, so that every device can check it.
//!
//! The invocations of a workgroup form groups of `subgroup`, in the order of their local index. Invocation `l` of a group
//! owns row `l % rows` of each matrix of role A or C, and a whole copy of each of role B, all in registers. A product then
//! needs no exchange: row of D = row of A times B plus row of C. A store writes each row once. No subgroup feature is left:
//! the builtins become arithmetic on the local index, a subgroup barrier becomes a workgroup barrier.
//!
//! As on a device, a kernel puts a barrier between storing a matrix and loading what was stored in another shape.

use naga::{
    Arena, Barrier, BinaryOperator, CooperativeData, CooperativeRole, Expression, Function, Handle, Module,
    Statement, Type, TypeInner, UnaryOperator,
    valid::{FunctionInfo, ModuleInfo},
};

use crate::module::{
    ModuleError, Specialized,
    build::Builder,
    coop::{self, Matrix},
    dead, finish,
    lower::{
        arguments::{Argument, Arguments, replace_arguments},
        matrix::{
            Memory, array_length, each, elements, is_pointer, multiply_add, multiply_then_add, new_array,
            read, refused, storage, to_u32, write,
        },
    },
    settle,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// Rewrites a module so that it has no cooperative matrix and no subgroup operation, for groups of `subgroup` invocations.
pub fn coop_to_loops(done: Specialized, subgroup: u32) -> Result<Specialized, ModuleError> {
    let Specialized { mut module, info } = done;
    for index in 0..module.entry_points.len() {
        check_group(&module, &info, index, subgroup)?;
        let invocations: u32 = module.entry_points[index].workgroup_size.iter().product();
        let mut function = std::mem::take(&mut module.entry_points[index].function);
        let arguments = replace_arguments(&mut module, &mut function, invocations / subgroup)?;
        retype_locals(&mut module, &mut function)?;
        let mut pass = Loops {
            info: info.get_entry_point(index),
            subgroup,
            arguments,
            values: Vec::new(),
            lane: None,
            zeros: Vec::new(),
        };
        module.entry_points[index].function = walk::rebuild(&mut module, &function, &mut pass)?;
    }
    settle(&mut module, "coop-to-loops")?;
    dead::run(&mut module)?;
    settle(&mut module, "dead")?;
    finish(module)
}

/// Each row needs an owner in each group.
fn check_group(module: &Module, info: &ModuleInfo, index: usize, subgroup: u32) -> Result<(), ModuleError> {
    let entry = &module.entry_points[index];
    let invocations: u32 = entry.workgroup_size.iter().product();
    if subgroup == 0 || !invocations.is_multiple_of(subgroup) {
        return Err(refused(
            &entry.function,
            format!("a workgroup of {invocations} is not made of groups of {subgroup}"),
        ));
    }
    let facts = info.get_entry_point(index);
    for (handle, _) in entry.function.expressions.iter() {
        match coop::matrix(facts[handle].ty.inner_with(&module.types)) {
            Some(matrix) if !subgroup.is_multiple_of(matrix.rows) => {
                let reason = format!("{} rows cannot be shared evenly by groups of {subgroup}", matrix.rows);
                return Err(refused(&entry.function, reason));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives variables of matrix type the array that an invocation keeps of it.
fn retype_locals(module: &mut Module, function: &mut Function) -> Result<(), ModuleError> {
    let mut locals = Arena::new();
    for (_, mut variable, span) in function.local_variables.drain().collect::<Vec<_>>() {
        if let Some(matrix) = coop::matrix(&module.types[variable.ty].inner) {
            variable.ty = storage(module, matrix);
            variable.init = None;
        } else if holds_matrix(module, variable.ty) {
            let name = variable.name.unwrap_or_default();
            return Err(refused(
                function,
                format!("`{name}` holds matrices and is indexed by a computed value; unroll its loops"),
            ));
        }
        locals.append(variable, span);
    }
    function.local_variables = locals;
    Ok(())
}

fn holds_matrix(module: &Module, ty: Handle<Type>) -> bool {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => holds_matrix(module, *base),
        TypeInner::Struct { members, .. } => members.iter().any(|member| holds_matrix(module, member.ty)),
        inner => coop::matrix(inner).is_some(),
    }
}

/// Rewrites matrix operations. A matrix value becomes a pointer to the array that holds the invocation's part.
struct Loops<'i> {
    info: &'i FunctionInfo,
    subgroup: u32,
    arguments: Arguments,
    /// Values of the old parameters.
    values: Vec<Operand>,
    /// Position of the invocation in its group.
    lane: Option<Operand>,
    /// Arrays of zeros.
    zeros: Vec<(Matrix, Operand)>,
}

impl<'s> Pass<'s> for Loops<'_> {
    fn begin(&mut self, walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        let build = &mut walk.build;
        let local = build.leaf(Expression::FunctionArgument(self.arguments.local_index))?;
        let size = build.u32(self.subgroup)?;
        let lane = build.emit(Expression::Binary { op: BinaryOperator::Modulo, left: local, right: size })?;
        build.name(lane, "lane");
        self.lane = Some(lane);
        for (position, argument) in self.arguments.old.iter().enumerate() {
            let value = match *argument {
                Argument::Keep(index) => build.leaf(Expression::FunctionArgument(index))?,
                Argument::Lane => lane,
                Argument::Group => {
                    build.emit(Expression::Binary { op: BinaryOperator::Divide, left: local, right: size })?
                }
                Argument::Number(_) if self.arguments.subgroup_size == Some(position) => size,
                Argument::Number(number) => build.u32(number)?,
            };
            self.values.push(value);
        }
        Ok(())
    }

    fn leaf(&mut self, walk: &mut Walk<'_, 's>, leaf: Expression) -> Result<Operand, ModuleError> {
        match leaf {
            Expression::FunctionArgument(index) => Ok(self.values[index as usize]),
            Expression::ZeroValue(ty) => match coop::matrix(&walk.build.module.types[ty].inner) {
                Some(matrix) => self.zero(walk, matrix),
                None => walk.build.leaf(leaf),
            },
            _ => walk.build.leaf(leaf),
        }
    }

    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        let Some(matrix) = coop::matrix(self.info[old].ty.inner_with(&walk.build.module.types)) else {
            return walk.build.emit(mapped);
        };
        let name = walk.frame.source.named_expressions.get(&old).cloned();
        match mapped {
            Expression::CooperativeLoad { data, .. } => {
                let memory = self.memory(walk, old, data)?;
                let result = new_array(&mut walk.build, matrix, name)?;
                self.load(&mut walk.build, matrix, &memory, result)?;
                Ok(result)
            }
            Expression::CooperativeMultiplyAdd { a, b, c } => {
                let Expression::CooperativeMultiplyAdd { a: old_a, .. } = walk.frame.source.expressions[old]
                else {
                    return Err(refused(walk.frame.source, "a product is not a product"));
                };
                let inner = coop::matrix(self.info[old_a].ty.inner_with(&walk.build.module.types))
                    .map_or(0, |a| a.columns);
                let result = new_array(&mut walk.build, matrix, name)?;
                multiply_add(&mut walk.build, matrix, inner, [a, b, c], result)?;
                Ok(result)
            }
            Expression::Load { pointer } => {
                let result = new_array(&mut walk.build, matrix, name)?;
                each(&mut walk.build, elements(matrix), "element", &mut |build, index| {
                    let value = read(build, pointer, index)?;
                    write(build, result, index, value)
                })?;
                Ok(result)
            }
            Expression::Unary { op: UnaryOperator::Negate, expr } => {
                let result = new_array(&mut walk.build, matrix, name)?;
                each(&mut walk.build, elements(matrix), "element", &mut |build, index| {
                    let value = read(build, expr, index)?;
                    let value = build.emit(Expression::Unary { op: UnaryOperator::Negate, expr: value })?;
                    write(build, result, index, value)
                })?;
                Ok(result)
            }
            Expression::Binary { op, left, right } => {
                let result = new_array(&mut walk.build, matrix, name)?;
                each(&mut walk.build, elements(matrix), "element", &mut |build, index| {
                    // One side may be a scalar that scales the other.
                    let left = if is_pointer(build, left) { read(build, left, index)? } else { left };
                    let right = if is_pointer(build, right) { read(build, right, index)? } else { right };
                    let value = build.emit(Expression::Binary { op, left, right })?;
                    write(build, result, index, value)
                })?;
                Ok(result)
            }
            _ => Err(refused(
                walk.frame.source,
                "only loads, products, sums, negation and scaling can be written as loops",
            )),
        }
    }

    fn store(
        &mut self,
        walk: &mut Walk<'_, 's>,
        pointer: Operand,
        value: Operand,
    ) -> Result<(), ModuleError> {
        if !is_pointer(&walk.build, value) {
            walk.build.store(pointer, value);
            return Ok(());
        }
        let count = array_length(&walk.build, pointer);
        each(&mut walk.build, count, "element", &mut |build, index| {
            let value = read(build, value, index)?;
            write(build, pointer, index, value)
        })
    }

    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        match statement {
            Statement::CooperativeStore { target, data } => {
                let Some(matrix) = coop::matrix(self.info[*target].ty.inner_with(&walk.build.module.types))
                else {
                    return Err(refused(walk.frame.source, "what is stored is no matrix"));
                };
                if matrix.role == CooperativeRole::B {
                    return Err(refused(
                        walk.frame.source,
                        "a matrix of role B cannot be stored as loops; store roles A and C",
                    ));
                }
                let target = walk.operand(self, *target)?;
                let mapped = CooperativeData { stride: walk.operand(self, data.stride)?, ..*data };
                let memory = self.memory_at(walk, data.pointer, mapped)?;
                self.store_rows(&mut walk.build, matrix, &memory, target)
            }
            Statement::ControlBarrier(barrier) if barrier.contains(Barrier::SUB_GROUP) => {
                let wider = (*barrier - Barrier::SUB_GROUP) | Barrier::WORK_GROUP;
                walk.build.statement(Statement::ControlBarrier(wider));
                Ok(())
            }
            Statement::SubgroupBallot { .. }
            | Statement::SubgroupGather { .. }
            | Statement::SubgroupCollectiveOperation { .. } => Err(refused(
                walk.frame.source,
                "the kernel also uses subgroup operations, which have no form as loops",
            )),
            _ => walk.copy(self, statement),
        }
    }
}

impl Loops<'_> {
    fn memory(
        &mut self,
        walk: &mut Walk<'_, '_>,
        load: Operand,
        mapped: CooperativeData,
    ) -> Result<Memory, ModuleError> {
        match walk.frame.source.expressions[load] {
            Expression::CooperativeLoad { ref data, .. } => self.memory_at(walk, data.pointer, mapped),
            _ => Err(refused(walk.frame.source, "a load is not a load")),
        }
    }

    /// `pointer` is of the old function, the stride in `data` of the new one.
    fn memory_at(
        &mut self,
        walk: &mut Walk<'_, '_>,
        pointer: Operand,
        data: CooperativeData,
    ) -> Result<Memory, ModuleError> {
        let source = walk.frame.source;
        let (base, first) = match source.expressions[pointer] {
            Expression::Access { base, index } => (base, walk.operand(self, index)?),
            Expression::AccessIndex { base, index } => (base, walk.build.u32(index)?),
            _ => {
                return Err(refused(source, "the pointer of a load or store must be an element of an array"));
            }
        };
        let lanes = match *self.info[pointer].ty.inner_with(&walk.build.module.types) {
            TypeInner::Pointer { base, .. } => walk.build.module.types[base].inner.components().unwrap_or(1),
            TypeInner::ValuePointer { size, .. } => size.map_or(1, u32::from),
            _ => 1,
        };
        let array = walk.operand(self, base)?;
        let into = walk.build.inner(array).pointer_base_type();
        let is_vector = |ty: naga::proc::TypeResolution| {
            matches!(ty.inner_with(&walk.build.module.types), TypeInner::Vector { .. })
        };
        if into.is_some_and(is_vector) {
            let reason =
                "the pointer of a load or store must be an element of an array, not a component of a vector";
            return Err(refused(source, reason));
        }
        let first = to_u32(&mut walk.build, first)?;
        let stride = to_u32(&mut walk.build, data.stride)?;
        Ok(Memory { array, first, stride, row_major: data.row_major, lanes })
    }

    fn row(&self, build: &mut Builder<'_>, matrix: Matrix) -> Result<Operand, ModuleError> {
        let lane = self.lane_value(build)?;
        let rows = build.u32(matrix.rows)?;
        if matrix.rows == self.subgroup {
            Ok(lane)
        } else {
            build.emit(Expression::Binary { op: BinaryOperator::Modulo, left: lane, right: rows })
        }
    }

    fn lane_value(&self, build: &mut Builder<'_>) -> Result<Operand, ModuleError> {
        match self.lane {
            Some(lane) => Ok(lane),
            None => build.u32(0),
        }
    }

    fn load(
        &self,
        build: &mut Builder<'_>,
        matrix: Matrix,
        memory: &Memory,
        result: Operand,
    ) -> Result<(), ModuleError> {
        match matrix.role {
            CooperativeRole::A | CooperativeRole::C => {
                let row = self.row(build, matrix)?;
                each(build, matrix.columns, "column", &mut |build, column| {
                    let pointer = memory.element(build, row, column)?;
                    let value = build.emit(Expression::Load { pointer })?;
                    write(build, result, column, value)
                })
            }
            CooperativeRole::B => each(build, matrix.rows, "row", &mut |build, row| {
                each(build, matrix.columns, "column", &mut |build, column| {
                    let pointer = memory.element(build, row, column)?;
                    let value = build.emit(Expression::Load { pointer })?;
                    let columns = build.u32(matrix.columns)?;
                    let index = multiply_then_add(build, row, columns, column)?;
                    write(build, result, index, value)
                })
            }),
        }
    }

    fn store_rows(
        &self,
        build: &mut Builder<'_>,
        matrix: Matrix,
        memory: &Memory,
        value: Operand,
    ) -> Result<(), ModuleError> {
        let row = self.row(build, matrix)?;
        let lane = self.lane_value(build)?;
        let rows = build.u32(matrix.rows)?;
        let owns = build.emit(Expression::Binary { op: BinaryOperator::Less, left: lane, right: rows })?;
        build.open();
        each(build, matrix.columns, "column", &mut |build, column| {
            let pointer = memory.element(build, row, column)?;
            let value = read(build, value, column)?;
            build.store(pointer, value);
            Ok(())
        })?;
        let accept = build.close();
        build.statement(Statement::If { condition: owns, accept, reject: naga::Block::new() });
        Ok(())
    }

    /// A pointer to an array of zeros, which nothing writes to.
    fn zero(&mut self, walk: &mut Walk<'_, '_>, matrix: Matrix) -> Result<Operand, ModuleError> {
        if let Some((_, zeros)) = self.zeros.iter().find(|(known, _)| *known == matrix) {
            return Ok(*zeros);
        }
        let zeros = new_array(&mut walk.build, matrix, Some("zeros".to_owned()))?;
        self.zeros.push((matrix, zeros));
        Ok(zeros)
    }
}
