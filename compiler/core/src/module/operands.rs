//! What passes ask of naga's statements and expressions; their operands are listed in [`drift_targets::operands`].

use naga::{Block, Expression, Handle, LocalVariable, Module, RayQueryFunction, Statement, TypeInner};

pub(super) use drift_targets::operands::{each_operand, each_statement_operand, of_expression, of_statement};

type Operand = Handle<Expression>;

/// The expression that `statement` defines outside every `Emit`, if any.
pub(super) fn result_of(statement: &mut Statement) -> Option<&mut Operand> {
    match statement {
        Statement::Atomic { result, .. } | Statement::Call { result, .. } => result.as_mut(),
        Statement::WorkGroupUniformLoad { result, .. }
        | Statement::SubgroupBallot { result, .. }
        | Statement::SubgroupGather { result, .. }
        | Statement::SubgroupCollectiveOperation { result, .. }
        | Statement::RayQuery { fun: RayQueryFunction::Proceed { result }, .. } => Some(result),
        _ => None,
    }
}

/// The blocks nested directly in `statement`, in source order.
pub(super) fn blocks_of(statement: &Statement) -> Vec<&Block> {
    match statement {
        Statement::Block(block) => vec![block],
        Statement::If { accept, reject, .. } => vec![accept, reject],
        Statement::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
        Statement::Loop { body, continuing, .. } => vec![body, continuing],
        _ => Vec::new(),
    }
}

/// Every statement of `block` and of the blocks inside it.
pub(super) fn each_statement<'b>(block: &'b Block, visit: &mut dyn FnMut(&'b Statement)) {
    for statement in block {
        visit(statement);
        for nested in blocks_of(statement) {
            each_statement(nested, visit);
        }
    }
}

/// The local variable that a pointer expression points into.
pub(super) fn root_local(
    expressions: &naga::Arena<Expression>,
    mut pointer: Operand,
) -> Option<Handle<LocalVariable>> {
    loop {
        match expressions[pointer] {
            Expression::LocalVariable(local) => return Some(local),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
            _ => return None,
        }
    }
}

/// Whether a value of this type fits in an expression: scalars, vectors and matrices.
pub(super) fn is_plain_value(module: &Module, ty: Handle<naga::Type>) -> bool {
    matches!(
        module.types[ty].inner,
        TypeInner::Scalar(_)
            | TypeInner::Vector { .. }
            | TypeInner::Matrix { .. }
            | TypeInner::CooperativeMatrix { .. }
    )
}
