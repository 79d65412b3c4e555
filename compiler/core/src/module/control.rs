//! Questions about control flow: which branch is taken, what leaves a loop, what is `&&` written as a branch.

use naga::{Block, Expression, Function, Handle, Literal, Statement};

use super::operands;

type Operand = Handle<Expression>;

/// Whether `statement` computes `a && b` or `a || b` into an unnamed variable, and `b` may as well be evaluated always:
/// it reads no memory that `a` might guard.
pub(super) fn is_short_circuit(source: &Function, statement: &Statement) -> bool {
    let Statement::If { accept, reject, .. } = statement else { return false };
    let (Some((Statement::Store { pointer, .. }, before)), [Statement::Store { pointer: target, value }]) =
        (accept.split_last(), &**reject)
    else {
        return false;
    };
    let Expression::LocalVariable(local) = source.expressions[*pointer] else { return false };
    let same_target = source.expressions[*target] == Expression::LocalVariable(local);
    let is_bool = matches!(source.expressions[*value], Expression::Literal(Literal::Bool(_)));
    same_target
        && is_bool
        && source.local_variables[local].name.is_none()
        && before.iter().all(|statement| match statement {
            Statement::Emit(range) => range.clone().all(|handle| is_speculable(source, handle)),
            nested => is_short_circuit(source, nested),
        })
}

/// Whether evaluating an expression where the program would not is harmless.
fn is_speculable(source: &Function, handle: Operand) -> bool {
    match source.expressions[handle] {
        Expression::Load { mut pointer } => loop {
            match source.expressions[pointer] {
                Expression::LocalVariable(_) | Expression::GlobalVariable(_) => return true,
                Expression::AccessIndex { base, .. } => pointer = base,
                _ => return false,
            }
        },
        Expression::Compose { .. }
        | Expression::Access { .. }
        | Expression::AccessIndex { .. }
        | Expression::Splat { .. }
        | Expression::Swizzle { .. }
        | Expression::Unary { .. }
        | Expression::Binary { .. }
        | Expression::Select { .. }
        | Expression::Relational { .. }
        | Expression::Math { .. }
        | Expression::As { .. }
        | Expression::ArrayLength(_) => true,
        _ => false,
    }
}

/// The statements of the case that `selector` takes, where that is a straight path out of the switch.
pub(super) fn taken_case(cases: &[naga::SwitchCase], selector: Literal) -> Option<&[Statement]> {
    let selected = |case: &naga::SwitchCase| match (case.value, selector) {
        (naga::SwitchValue::I32(value), Literal::I32(selector)) => value == selector,
        (naga::SwitchValue::U32(value), Literal::U32(selector)) => value == selector,
        _ => false,
    };
    let mut index = match cases.iter().position(selected) {
        Some(index) => index,
        None => cases.iter().position(|case| case.value == naga::SwitchValue::Default)?,
    };
    while cases[index].fall_through {
        if !cases[index].body.is_empty() || index + 1 == cases.len() {
            return None;
        }
        index += 1;
    }
    let body = match cases[index].body.split_last() {
        Some((Statement::Break, body)) => body,
        _ => &cases[index].body,
    };
    body.iter().all(|statement| !leaves_enclosing(statement, Leave::Break)).then_some(body)
}

/// A way out of a loop or switch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// `break`.
    Break,
    /// `break` or `continue`.
    BreakOrContinue,
}

/// Whether `statement` holds a jump that leaves the loop or switch around it.
pub(super) fn leaves_enclosing(statement: &Statement, leave: Leave) -> bool {
    let inside = |leave| {
        operands::blocks_of(statement).into_iter().flatten().any(|nested| leaves_enclosing(nested, leave))
    };
    match statement {
        Statement::Break => true,
        Statement::Continue => leave == Leave::BreakOrContinue,
        // A `break` inside belongs to the nested loop or switch; a `continue` passes through a switch.
        Statement::Loop { .. } => false,
        Statement::Switch { .. } => leave == Leave::BreakOrContinue && holds_continue(statement),
        _ => inside(leave),
    }
}

/// Whether a `continue` in `body` goes to the next round of the loop that it is the body of.
pub(super) fn continues(body: &Block) -> bool {
    body.iter().any(holds_continue)
}

fn holds_continue(statement: &Statement) -> bool {
    match statement {
        Statement::Continue => true,
        Statement::Loop { .. } => false,
        _ => operands::blocks_of(statement).into_iter().flatten().any(holds_continue),
    }
}
