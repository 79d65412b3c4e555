//! A matrix as an array per invocation, and the loops over it.

use std::num::NonZeroU32;

use naga::{
    ArraySize, BinaryOperator, CooperativeRole, Expression, Function, Handle, LocalVariable, Module, Scalar,
    ScalarKind, Statement, Type, TypeInner,
};

use crate::module::{ModuleError, build::Builder, coop::Matrix};

/// A refusal that names the kernel.
pub(super) fn refused(function: &Function, reason: impl Into<String>) -> ModuleError {
    ModuleError::Cooperative { function: function.name.clone().unwrap_or_default(), reason: reason.into() }
}

type Operand = Handle<Expression>;

/// An unnamed scalar type.
pub(super) fn scalar_type(scalar: Scalar) -> Type {
    Type { name: None, inner: TypeInner::Scalar(scalar) }
}

/// Elements that one invocation keeps of a matrix.
pub(super) fn elements(matrix: Matrix) -> u32 {
    match matrix.role {
        CooperativeRole::A | CooperativeRole::C => matrix.columns,
        CooperativeRole::B => matrix.rows * matrix.columns,
    }
}

/// The array that holds those elements.
pub(super) fn storage(module: &mut Module, matrix: Matrix) -> Handle<Type> {
    let base = module.types.insert(scalar_type(matrix.scalar), naga::Span::UNDEFINED);
    let count = NonZeroU32::new(elements(matrix)).unwrap_or(NonZeroU32::MIN);
    let inner =
        TypeInner::Array { base, size: ArraySize::Constant(count), stride: u32::from(matrix.scalar.width) };
    module.types.insert(Type { name: None, inner }, naga::Span::UNDEFINED)
}

/// Where a matrix is: an array of scalars or vectors, the index of element (0, 0), and how to step.
pub(super) struct Memory {
    /// The array.
    pub(super) array: Operand,
    /// Index of element (0, 0).
    pub(super) first: Operand,
    /// Elements of the array from one row or column to the next.
    pub(super) stride: Operand,
    /// Whether the stride leads to the next row.
    pub(super) row_major: bool,
    /// Components of an element of the array.
    pub(super) lanes: u32,
}

impl Memory {
    /// A pointer to one element of the matrix.
    pub(super) fn element(
        &self,
        build: &mut Builder<'_>,
        row: Operand,
        column: Operand,
    ) -> Result<Operand, ModuleError> {
        let (major, minor) = if self.row_major { (row, column) } else { (column, row) };
        let start = multiply_then_add(build, major, self.stride, self.first)?;
        let lanes = build.u32(self.lanes)?;
        let step =
            build.emit(Expression::Binary { op: BinaryOperator::Divide, left: minor, right: lanes })?;
        let index = build.emit(Expression::Binary { op: BinaryOperator::Add, left: start, right: step })?;
        let element = build.emit(Expression::Access { base: self.array, index })?;
        if self.lanes == 1 {
            return Ok(element);
        }
        let component =
            build.emit(Expression::Binary { op: BinaryOperator::Modulo, left: minor, right: lanes })?;
        build.emit(Expression::Access { base: element, index: component })
    }
}

/// `factor * other + summand`.
pub(super) fn multiply_then_add(
    build: &mut Builder<'_>,
    factor: Operand,
    other: Operand,
    summand: Operand,
) -> Result<Operand, ModuleError> {
    let product =
        build.emit(Expression::Binary { op: BinaryOperator::Multiply, left: factor, right: other })?;
    build.emit(Expression::Binary { op: BinaryOperator::Add, left: product, right: summand })
}

/// An index as u32.
pub(super) fn to_u32(build: &mut Builder<'_>, value: Operand) -> Result<Operand, ModuleError> {
    build.emit(Expression::As { expr: value, kind: ScalarKind::Uint, convert: Some(4) })
}

/// One row of `a * b + c`, where `b` is whole and has `inner` rows.
pub(super) fn multiply_add(
    build: &mut Builder<'_>,
    matrix: Matrix,
    inner: u32,
    [a, b, c]: [Operand; 3],
    result: Operand,
) -> Result<(), ModuleError> {
    let ty = build.ty(TypeInner::Scalar(matrix.scalar));
    let sum = build.add_local(LocalVariable { name: Some("sum".to_owned()), ty, init: None });
    let sum = build.local(sum)?;
    each(build, matrix.columns, "column", &mut |build, column| {
        let start = read(build, c, column)?;
        build.store(sum, start);
        each(build, inner, "inner", &mut |build, step| {
            let left = read_as(build, a, step, matrix.scalar)?;
            let columns = build.u32(matrix.columns)?;
            let index = multiply_then_add(build, step, columns, column)?;
            let right = read_as(build, b, index, matrix.scalar)?;
            let so_far = build.emit(Expression::Load { pointer: sum })?;
            let product = build.emit(Expression::Binary { op: BinaryOperator::Multiply, left, right })?;
            let total =
                build.emit(Expression::Binary { op: BinaryOperator::Add, left: so_far, right: product })?;
            build.store(sum, total);
            Ok(())
        })?;
        let total = build.emit(Expression::Load { pointer: sum })?;
        write(build, result, column, total)
    })
}

/// A variable for the part of a matrix that an invocation keeps.
pub(super) fn new_array(
    build: &mut Builder<'_>,
    matrix: Matrix,
    name: Option<String>,
) -> Result<Operand, ModuleError> {
    let ty = storage(build.module, matrix);
    let local =
        build.add_local(LocalVariable { name: name.or_else(|| Some("matrix".to_owned())), ty, init: None });
    build.local(local)
}

/// Elements of the array that a pointer points to.
pub(super) fn array_length(build: &Builder<'_>, pointer: Operand) -> u32 {
    match build.inner(pointer).pointer_base_type().map(|ty| ty.inner_with(&build.module.types).clone()) {
        Some(TypeInner::Array { size: ArraySize::Constant(count), .. }) => count.get(),
        _ => 0,
    }
}

/// Whether a value is a pointer, as matrices are here.
pub(super) fn is_pointer(build: &Builder<'_>, value: Operand) -> bool {
    build.inner(value).pointer_space().is_some()
}

/// `array[index]`.
pub(super) fn read(build: &mut Builder<'_>, array: Operand, index: Operand) -> Result<Operand, ModuleError> {
    let pointer = build.emit(Expression::Access { base: array, index })?;
    build.emit(Expression::Load { pointer })
}

/// `array[index]` in another scalar type.
pub(super) fn read_as(
    build: &mut Builder<'_>,
    array: Operand,
    index: Operand,
    scalar: Scalar,
) -> Result<Operand, ModuleError> {
    let value = read(build, array, index)?;
    build.emit(Expression::As { expr: value, kind: scalar.kind, convert: Some(scalar.width) })
}

/// `array[index] = value`.
pub(super) fn write(
    build: &mut Builder<'_>,
    array: Operand,
    index: Operand,
    value: Operand,
) -> Result<(), ModuleError> {
    let pointer = build.emit(Expression::Access { base: array, index })?;
    build.store(pointer, value);
    Ok(())
}

/// What stands in a loop; it gets the counter.
pub(super) type Body<'b, 'm> = &'b mut dyn FnMut(&mut Builder<'m>, Operand) -> Result<(), ModuleError>;

/// Writes `for (var name = 0u; name < count; name++) { body }`.
pub(super) fn each<'m>(
    build: &mut Builder<'m>,
    count: u32,
    name: &str,
    body: Body<'_, 'm>,
) -> Result<(), ModuleError> {
    let ty = build.ty(TypeInner::Scalar(Scalar::U32));
    let counter = build.add_local(LocalVariable { name: Some(name.to_owned()), ty, init: None });
    let counter = build.local(counter)?;
    let (zero, one, limit) = (build.u32(0)?, build.u32(1)?, build.u32(count)?);
    build.store(counter, zero);
    build.open();
    let value = build.emit(Expression::Load { pointer: counter })?;
    let condition = build.emit(Expression::Binary { op: BinaryOperator::Less, left: value, right: limit })?;
    build.statement(Statement::If {
        condition,
        accept: naga::Block::new(),
        reject: naga::Block::from_vec(vec![Statement::Break]),
    });
    body(build, value)?;
    let inside = build.close();
    build.open();
    let value = build.emit(Expression::Load { pointer: counter })?;
    let next = build.emit(Expression::Binary { op: BinaryOperator::Add, left: value, right: one })?;
    build.store(counter, next);
    let continuing = build.close();
    build.statement(Statement::Loop { body: inside, continuing, break_if: None });
    Ok(())
}
