//! For grids that a device does not take as they are: workgroups come in another shape, are numbered in it, and find
//! their place by that number. Those that hang over end at once, all invocations together.
//!
//! A kernel knows nothing of it: it asks for its workgroup or invocation, and gets those of the grid that it was written for.

use naga::{
    BinaryOperator, Binding, Block, BuiltIn, Expression, Function, FunctionArgument, Handle, Module, Scalar,
    Span, Statement, TypeInner, VectorSize,
};

use crate::module::{
    ModuleError, Specialized,
    build::Builder,
    dead, finish, settle,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// A grid and the shape in which it is dispatched, which has at least as many workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FoldedGrid {
    /// Workgroups that the kernel counts.
    pub wanted: [u32; 3],
    /// Workgroups that the device is given.
    pub dispatched: [u32; 3],
}

/// Rewrites a module that was written for `grid.wanted` so that it runs as `grid.dispatched`.
pub fn fold_grid(done: Specialized, grid: FoldedGrid) -> Result<Specialized, ModuleError> {
    let Specialized { mut module, .. } = done;
    for index in 0..module.entry_points.len() {
        let size = module.entry_points[index].workgroup_size;
        let mut function = std::mem::take(&mut module.entry_points[index].function);
        let arguments = replace_arguments(&mut module, &mut function)?;
        let mut pass = Unfold { grid, size, arguments, values: Vec::new() };
        module.entry_points[index].function = walk::rebuild(&mut module, &function, &mut pass)?;
    }
    settle(&mut module, "fold-grid")?;
    dead::run(&mut module)?;
    settle(&mut module, "dead")?;
    finish(module)
}

/// What an old parameter of the entry point becomes.
#[derive(Clone, Copy)]
enum Argument {
    /// The parameter with this new index.
    Keep(u32),
    Workgroup,
    Invocation,
    Workgroups,
}

struct Arguments {
    old: Vec<Argument>,
    /// New indices of the workgroup that the device counts and of the invocation in it.
    workgroup: u32,
    local: u32,
}

/// Takes what counts the grid out of the parameters, and makes sure that the two that it follows from are there.
fn replace_arguments(module: &mut Module, function: &mut Function) -> Result<Arguments, ModuleError> {
    let mut kept: Vec<FunctionArgument> = Vec::new();
    let mut old = Vec::new();
    for argument in &function.arguments {
        let Some(Binding::BuiltIn(builtin)) = argument.binding else {
            return Err(ModuleError::OutsideDialect {
                construct: "a parameter that is no builtin",
                place: function.name.clone().unwrap_or_default(),
                instead: "make builtins parameters of their own",
            });
        };
        old.push(match builtin {
            BuiltIn::WorkGroupId => Argument::Workgroup,
            BuiltIn::GlobalInvocationId => Argument::Invocation,
            BuiltIn::NumWorkGroups => Argument::Workgroups,
            _ => {
                kept.push(argument.clone());
                Argument::Keep(position(&kept))
            }
        });
    }
    let inner = TypeInner::Vector { size: VectorSize::Tri, scalar: Scalar::U32 };
    let ty = module.types.insert(naga::Type { name: None, inner }, Span::UNDEFINED);
    let mut index_of = |wanted: BuiltIn, name: &str| {
        let is_it = |argument: &FunctionArgument| argument.binding == Some(Binding::BuiltIn(wanted));
        let known = kept.iter().position(is_it);
        let at = known.unwrap_or_else(|| {
            let binding = Some(Binding::BuiltIn(wanted));
            kept.push(FunctionArgument { name: Some(name.to_owned()), ty, binding });
            kept.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    };
    let workgroup = index_of(BuiltIn::WorkGroupId, "dispatched");
    let local = index_of(BuiltIn::LocalInvocationId, "local_id");
    function.arguments = kept;
    Ok(Arguments { old, workgroup, local })
}

/// Index of the last of some parameters.
fn position(kept: &[FunctionArgument]) -> u32 {
    u32::try_from(kept.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

struct Unfold {
    grid: FoldedGrid,
    /// Invocations of a workgroup.
    size: [u32; 3],
    arguments: Arguments,
    /// Values of the old parameters.
    values: Vec<Operand>,
}

impl<'s> Pass<'s> for Unfold {
    fn begin(&mut self, walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        let build = &mut walk.build;
        let dispatched = build.leaf(Expression::FunctionArgument(self.arguments.workgroup))?;
        let number = number_of(build, dispatched, self.grid.dispatched)?;
        build.name(number, "group_number");
        self.leave_overhang(build, number)?;
        let [x, y, _] = self.grid.wanted;
        let row = binary(build, BinaryOperator::Divide, number, x)?;
        let place = [
            binary(build, BinaryOperator::Modulo, number, x)?,
            binary(build, BinaryOperator::Modulo, row, y)?,
            binary(build, BinaryOperator::Divide, row, y)?,
        ];
        let group = vector(build, place)?;
        build.name(group, "group");
        let uses = |wanted: fn(&Argument) -> bool| self.arguments.old.iter().any(wanted);
        let invocation = match uses(|argument| matches!(argument, Argument::Invocation)) {
            true => self.invocation(build, group)?,
            false => group,
        };
        for argument in &self.arguments.old {
            self.values.push(match *argument {
                Argument::Keep(index) => build.leaf(Expression::FunctionArgument(index))?,
                Argument::Workgroup => group,
                Argument::Invocation => invocation,
                Argument::Workgroups => {
                    let [x, y, z] = self.grid.wanted;
                    let counts = [build.u32(x)?, build.u32(y)?, build.u32(z)?];
                    vector(build, counts)?
                }
            });
        }
        Ok(())
    }

    fn leaf(&mut self, walk: &mut Walk<'_, 's>, leaf: Expression) -> Result<Operand, ModuleError> {
        match leaf {
            Expression::FunctionArgument(index) => Ok(self.values[index as usize]),
            _ => walk.build.leaf(leaf),
        }
    }
}

impl Unfold {
    /// Ends workgroups beyond the last; the number is the same for all of one.
    fn leave_overhang(&self, build: &mut Builder<'_>, number: Operand) -> Result<(), ModuleError> {
        let count = |shape: [u32; 3]| shape.into_iter().map(u64::from).product::<u64>();
        let wanted = count(self.grid.wanted);
        if count(self.grid.dispatched) == wanted {
            return Ok(());
        }
        let end = build.u32(u32::try_from(wanted).unwrap_or(u32::MAX))?;
        let beyond = Expression::Binary { op: BinaryOperator::GreaterEqual, left: number, right: end };
        let condition = build.emit(beyond)?;
        build.open();
        build.statement(Statement::Return { value: None });
        let accept = build.close();
        build.statement(Statement::If { condition, accept, reject: Block::new() });
        Ok(())
    }

    /// `group * size + local`.
    fn invocation(&self, build: &mut Builder<'_>, group: Operand) -> Result<Operand, ModuleError> {
        let local = build.leaf(Expression::FunctionArgument(self.arguments.local))?;
        let mut place = Vec::with_capacity(3);
        for (index, size) in (0..).zip(self.size) {
            let first = build.emit(Expression::AccessIndex { base: group, index })?;
            let first = binary(build, BinaryOperator::Multiply, first, size)?;
            let within = build.emit(Expression::AccessIndex { base: local, index })?;
            let sum = Expression::Binary { op: BinaryOperator::Add, left: first, right: within };
            place.push(build.emit(sum)?);
        }
        let invocation = vector(build, [place[0], place[1], place[2]])?;
        build.name(invocation, "id");
        Ok(invocation)
    }
}

/// `x + y * X + z * X * Y`.
fn number_of(build: &mut Builder<'_>, place: Operand, shape: [u32; 3]) -> Result<Operand, ModuleError> {
    let mut number = build.emit(Expression::AccessIndex { base: place, index: 0 })?;
    let mut stride = shape[0];
    for (index, size) in [(1, shape[1]), (2, shape[2])] {
        if size > 1 {
            let along = build.emit(Expression::AccessIndex { base: place, index })?;
            let right = binary(build, BinaryOperator::Multiply, along, stride)?;
            number = build.emit(Expression::Binary { op: BinaryOperator::Add, left: number, right })?;
        }
        stride = stride.wrapping_mul(size);
    }
    Ok(number)
}

fn binary(
    build: &mut Builder<'_>,
    op: BinaryOperator,
    left: Operand,
    right: u32,
) -> Result<Operand, ModuleError> {
    let right = build.u32(right)?;
    build.emit(Expression::Binary { op, left, right })
}

fn vector(build: &mut Builder<'_>, components: [Operand; 3]) -> Result<Operand, ModuleError> {
    let ty = build.ty(TypeInner::Vector { size: VectorSize::Tri, scalar: Scalar::U32 });
    build.emit(Expression::Compose { ty, components: components.to_vec() })
}
