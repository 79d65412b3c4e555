//! Checks on cooperative matrices that naga leaves out.
//!
//! naga takes the element type of a load from the pointer and ignores the declared one, accepts factors whose sizes do
//! not fit each other, and puts the arguments of `coopStore` after the store that needs them.

use naga::{
    AddressSpace, Barrier, Block, CooperativeData, Expression, Function, Handle, Module, Scalar, Statement,
    TypeInner,
    valid::{FunctionInfo, ModuleInfo},
};

use super::{ModuleError, operands};

/// One `D = A * B + C`: A has `m` rows and `k` columns, B `k` rows and `n` columns, C and D `m` rows and `n` columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CooperativeShape {
    /// Rows of A, C and D.
    pub m: u32,
    /// Columns of B, C and D.
    pub n: u32,
    /// Columns of A and rows of B.
    pub k: u32,
    /// Element type of A and B.
    pub factor: Scalar,
    /// Element type of C and D.
    pub accumulator: Scalar,
}

/// Puts what a `coopStore` needs before it: naga's front end evaluates the arguments after the statement.
pub(super) fn order_stores(module: &mut Module) {
    let entries = module.entry_points.iter_mut().map(|entry| &mut entry.function);
    for function in module.functions.iter_mut().map(|(_, function)| function).chain(entries) {
        let mut body = std::mem::take(&mut function.body);
        order_block(function, &mut body);
        function.body = body;
    }
}

/// Lets subgroup barriers order workgroup memory: naga's order none that a device has, and subgroups exchange rows of
/// matrices through it.
pub(super) fn order_workgroup_memory(module: &mut Module) {
    let entries = module.entry_points.iter_mut().map(|entry| &mut entry.function);
    for function in module.functions.iter_mut().map(|(_, function)| function).chain(entries) {
        widen_barriers(&mut function.body);
    }
}

fn widen_barriers(block: &mut Block) {
    for statement in block.iter_mut() {
        match statement {
            Statement::ControlBarrier(barrier) if barrier.contains(Barrier::SUB_GROUP) => {
                barrier.insert(Barrier::WORK_GROUP);
            }
            Statement::Block(block) => widen_barriers(block),
            Statement::If { accept, reject, .. } => {
                widen_barriers(accept);
                widen_barriers(reject);
            }
            Statement::Switch { cases, .. } => {
                cases.iter_mut().for_each(|case| widen_barriers(&mut case.body))
            }
            Statement::Loop { body, continuing, .. } => {
                widen_barriers(body);
                widen_barriers(continuing);
            }
            _ => {}
        }
    }
}

fn order_block(function: &Function, block: &mut Block) {
    for index in 1..block.len() {
        let needs_next = match (&block[index - 1], &block[index]) {
            (store @ Statement::CooperativeStore { .. }, Statement::Emit(range)) => {
                range.clone().any(|handle| depends_on(function, store, handle))
            }
            _ => false,
        };
        if needs_next {
            block.swap(index - 1, index);
        }
    }
    for statement in block.iter_mut() {
        match statement {
            Statement::Block(block) => order_block(function, block),
            Statement::If { accept, reject, .. } => {
                order_block(function, accept);
                order_block(function, reject);
            }
            Statement::Switch { cases, .. } => {
                cases.iter_mut().for_each(|case| order_block(function, &mut case.body))
            }
            Statement::Loop { body, continuing, .. } => {
                order_block(function, body);
                order_block(function, continuing);
            }
            _ => {}
        }
    }
}

fn depends_on(function: &Function, statement: &Statement, wanted: Handle<Expression>) -> bool {
    let mut pending = Vec::new();
    operands::each_statement_operand(statement, |operand| pending.push(operand));
    while let Some(handle) = pending.pop() {
        if handle == wanted {
            return true;
        }
        operands::each_operand(&function.expressions[handle], |operand| pending.push(operand));
    }
    false
}

/// Checks that each `coopLoad` declares the element type of the memory that it reads.
pub(super) fn check_declared(module: &Module, info: &ModuleInfo, source: &str) -> Result<(), ModuleError> {
    for (handle, function) in module.functions.iter() {
        declared_in(module, function, &info[handle], source)?;
    }
    for (index, entry) in module.entry_points.iter().enumerate() {
        declared_in(module, &entry.function, info.get_entry_point(index), source)?;
    }
    Ok(())
}

fn declared_in(
    module: &Module,
    function: &Function,
    info: &FunctionInfo,
    source: &str,
) -> Result<(), ModuleError> {
    for (handle, expression) in function.expressions.iter() {
        if !matches!(expression, Expression::CooperativeLoad { .. }) {
            continue;
        }
        let text = function
            .expressions
            .get_span(handle)
            .to_range()
            .and_then(|range| source.get(range))
            .unwrap_or_default();
        let read = info[handle].ty.inner_with(&module.types).scalar();
        match declared_element(module, text) {
            Some(declared) if Some(declared) != read => {
                let reason = format!(
                    "`{}` reads memory of another element type; declare the type of the memory",
                    text.trim()
                );
                return Err(refused(function, reason));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The element type in `coopLoad<coop_mat8x8<f32, A>>(...)`, or behind the names of aliases.
fn declared_element(module: &Module, text: &str) -> Option<Scalar> {
    let template = text.split_once('<')?.1;
    let template = template.split('(').next()?;
    let word = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || c == '>' || c == ',').to_owned();
    match template.split_once('<') {
        Some((_, element)) => scalar_named(module, &word(element.split(',').next()?)),
        None => scalar_named(module, &word(template)),
    }
}

fn scalar_named(module: &Module, name: &str) -> Option<Scalar> {
    match name {
        "f32" => Some(Scalar::F32),
        "f16" => Some(Scalar::F16),
        _ => module
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some(name))
            .and_then(|(_, ty)| ty.inner.scalar()),
    }
}

/// Bytes that a matrix in workgroup memory begins at a multiple of. A driver puts variables one after another, so that each of them
/// has to take whole ones.
const MATRIX_ALIGNMENT: u32 = 16;

/// Refuses variables in workgroup memory that would leave those behind them, in a driver's order, where no matrix can be loaded from.
fn check_workgroup_memory(module: &Module, function: &Function) -> Result<(), ModuleError> {
    let variables = module.global_variables.iter().map(|(_, variable)| variable);
    for variable in variables.filter(|variable| variable.space == AddressSpace::WorkGroup) {
        let bytes = module.types[variable.ty].inner.size(module.to_ctx());
        if !bytes.is_multiple_of(MATRIX_ALIGNMENT) {
            let name = variable.name.as_deref().unwrap_or_default();
            let reason = format!(
                "`{name}` takes {bytes} bytes of workgroup memory, beside matrices that begin at multiples of \
                 {MATRIX_ALIGNMENT}; make it whole {MATRIX_ALIGNMENT} bytes"
            );
            return Err(refused(function, reason));
        }
    }
    Ok(())
}

/// Checks shapes and element types of all products of a specialised module, and where their factors are.
pub(super) fn check(module: &Module, info: &ModuleInfo) -> Result<(), ModuleError> {
    for (index, entry) in module.entry_points.iter().enumerate() {
        let function = &entry.function;
        for (_, expression) in function.expressions.iter() {
            if let Expression::CooperativeMultiplyAdd { a, b, c } = *expression {
                shape(module, info.get_entry_point(index), [a, b, c])
                    .map_err(|reason| refused(function, reason))?;
            }
        }
        if function.expressions.iter().any(|(_, made)| matches!(made, Expression::CooperativeLoad { .. })) {
            check_workgroup_memory(module, function)?;
        }
    }
    Ok(())
}

fn refused(function: &Function, reason: String) -> ModuleError {
    ModuleError::Cooperative { function: function.name.clone().unwrap_or_default(), reason }
}

/// The shapes of all products in a function.
pub(super) fn shapes(module: &Module, function: &Function, info: &FunctionInfo) -> Vec<CooperativeShape> {
    let products = function.expressions.iter().filter_map(|(_, expression)| match *expression {
        Expression::CooperativeMultiplyAdd { a, b, c } => shape(module, info, [a, b, c]).ok(),
        _ => None,
    });
    products.collect()
}

fn shape(
    module: &Module,
    info: &FunctionInfo,
    factors: [Handle<Expression>; 3],
) -> Result<CooperativeShape, String> {
    let [a, b, c] = factors.map(|factor| matrix(info[factor].ty.inner_with(&module.types)));
    let (Some(a), Some(b), Some(c)) = (a, b, c) else {
        return Err("an operand of coopMultiplyAdd is no matrix".to_owned());
    };
    if a.columns != b.rows || a.rows != c.rows || b.columns != c.columns {
        return Err(format!(
            "A is {}x{}, B {}x{}, C {}x{} (rows x columns); the columns of A must be the rows of B, and C as high as A and as wide as B",
            a.rows, a.columns, b.rows, b.columns, c.rows, c.columns
        ));
    }
    if a.scalar != b.scalar || c.scalar.width < a.scalar.width {
        return Err("A and B must have one element type, and C the same or a wider one".to_owned());
    }
    Ok(CooperativeShape { m: a.rows, n: b.columns, k: a.columns, factor: a.scalar, accumulator: c.scalar })
}

/// Size and element type of a cooperative matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) scalar: Scalar,
    pub(super) role: naga::CooperativeRole,
}

/// What matrix a type is.
pub(super) fn matrix(inner: &TypeInner) -> Option<Matrix> {
    match *inner {
        TypeInner::CooperativeMatrix { columns, rows, scalar, role } => {
            Some(Matrix { rows: rows as u32, columns: columns as u32, scalar, role })
        }
        _ => None,
    }
}

/// Whether a cooperative load or store of a function goes through an array of vectors.
pub(super) fn reads_vectors(module: &Module, function: &Function, info: &FunctionInfo) -> bool {
    let is_vector = |data: &CooperativeData| match info[data.pointer].ty.inner_with(&module.types) {
        TypeInner::Pointer { base, .. } => matches!(module.types[*base].inner, TypeInner::Vector { .. }),
        TypeInner::ValuePointer { size, .. } => size.is_some(),
        _ => false,
    };
    let mut found = function.expressions.iter().any(|(_, expression)| match expression {
        Expression::CooperativeLoad { data, .. } => is_vector(data),
        _ => false,
    });
    operands::each_statement(&function.body, &mut |statement| {
        if let Statement::CooperativeStore { data, .. } = statement {
            found |= is_vector(data);
        }
    });
    found
}
