//! Computes a value once where its operands are the same.
//!
//! Shared is what the first computation dominates, of pure operations only: no read of memory or of an image, and nothing
//! that a statement defines. Floats are computed as written, only less often. A shared value stays in a register from its
//! first use to its last, so:
//!
//! * a scalar integer or truth value is shared over [`REACH`] expressions, whatever is between;
//! * a float or a vector is not carried into a loop, out of one, or over a barrier;
//! * what takes no longer to write than a name would (`x + 1u`, `x < 4u`, `v.xz`) is written again, unless it has a name;
//! * values to which the kernel's text gives different names stay two, and a constant is written wherever it is used.

use std::collections::{HashMap, HashSet};
use std::mem::Discriminant;

use naga::{
    BinaryOperator, Expression, Handle, Module, Scalar, ScalarKind, Statement, TypeInner, UnaryOperator,
};

use super::{
    ModuleError, operands,
    walk::{self, Pass, Walk},
};

/// Expressions that may be between two uses of one value.
const REACH: usize = 500;

type Operand = Handle<Expression>;
type Bucket = (Discriminant<Expression>, u64);

/// Numbers the values of all entry points.
pub(super) fn run(module: &mut Module) -> Result<(), ModuleError> {
    walk::each_entry_point(module, |module, source| walk::rebuild(module, source, &mut Number::default()))
}

/// Values in reach of where control stands.
#[derive(Default)]
struct Number {
    values: HashMap<Bucket, Vec<Value>>,
    /// Where each value was added, in order, and how many there were as each branch around was entered.
    added: Vec<Bucket>,
    branches: Vec<usize>,
    /// The first computation of a value that is written again.
    first: HashMap<Operand, Operand>,
    /// Constant vectors that something uses.
    used_constants: HashSet<Operand>,
    /// Loops entered or left and barriers passed.
    passed: usize,
}

/// A value that was computed.
struct Value {
    /// How, in terms of first computations.
    key: Expression,
    at: Operand,
    /// Expressions before its last use.
    used: usize,
    /// [`Number::passed`] as it was computed.
    passed: usize,
}

impl<'s> Pass<'s> for Number {
    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        let mapped = self.with_constants(walk, mapped)?;
        if !is_pure(walk, &mapped) {
            return walk.build.emit(mapped);
        }
        let key = self.key(&mapped);
        let bucket = bucket(&key);
        let count = walk.build.function.expressions.len();
        let found = self.find(walk, bucket, &key);
        if let Some(at) = found {
            let name = walk.frame.source.named_expressions.get(&old);
            let known = walk.build.function.named_expressions.get(&at);
            let shares = match (name, known) {
                (Some(name), Some(known)) => name == known,
                (None, None) => !is_short(walk, &mapped),
                _ => true,
            };
            if shares {
                return Ok(at);
            }
        }
        let new = walk.build.emit(mapped)?;
        match found {
            Some(at) => drop(self.first.insert(new, at)),
            None if new.index() >= count => {
                self.values.entry(bucket).or_default().push(Value {
                    key,
                    at: new,
                    used: new.index(),
                    passed: self.passed,
                });
                self.added.push(bucket);
            }
            None => {}
        }
        Ok(new)
    }

    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        let passes = matches!(
            statement,
            Statement::Loop { .. }
                | Statement::ControlBarrier(_)
                | Statement::MemoryBarrier(_)
                | Statement::WorkGroupUniformLoad { .. }
        );
        self.passed += usize::from(passes);
        walk.copy(self, statement)?;
        self.passed += usize::from(passes);
        Ok(())
    }

    fn enter_branch(&mut self) {
        self.branches.push(self.added.len());
    }

    fn leave_branch(&mut self) {
        let count = self.branches.pop().unwrap_or(0);
        for bucket in self.added.drain(count..).rev() {
            if let Some(values) = self.values.get_mut(&bucket) {
                values.pop();
            }
        }
    }
}

impl Number {
    /// Writes constants among the operands of `expression` again if they have a use already.
    fn with_constants(
        &mut self,
        walk: &mut Walk<'_, '_>,
        mut expression: Expression,
    ) -> Result<Expression, ModuleError> {
        operands::of_expression(&mut expression, &mut |operand| {
            if let Expression::Splat { size, value } = walk.build.function.expressions[*operand]
                && walk.build.function.expressions[value].needs_pre_emit()
                && !self.used_constants.insert(*operand)
            {
                let again = walk.build.append(Expression::Splat { size, value })?;
                self.first.insert(again, self.first.get(operand).copied().unwrap_or(*operand));
                *operand = again;
            }
            Ok(())
        })?;
        Ok(expression)
    }

    /// `expression` by the first computations of its operands.
    fn key(&self, expression: &Expression) -> Expression {
        let mut key = expression.clone();
        let outcome: Result<(), std::convert::Infallible> =
            operands::of_expression(&mut key, &mut |operand| {
                *operand = self.first.get(operand).copied().unwrap_or(*operand);
                Ok(())
            });
        match outcome {
            Ok(()) => key,
        }
    }

    /// The latest computation of `key`, if it may be used here.
    fn find(&mut self, walk: &Walk<'_, '_>, bucket: Bucket, key: &Expression) -> Option<Operand> {
        let values = self.values.get_mut(&bucket)?;
        let value = values.iter_mut().rev().find(|value| value.key == *key)?;
        let count = walk.build.function.expressions.len();
        let in_reach = match walk.build.inner(value.at) {
            TypeInner::Scalar(Scalar {
                kind: ScalarKind::Sint | ScalarKind::Uint | ScalarKind::Bool,
                ..
            }) => count - value.used <= REACH,
            TypeInner::Scalar(_) | TypeInner::Vector { .. } => value.passed == self.passed,
            _ => false,
        };
        in_reach.then(|| {
            value.used = count;
            value.at
        })
    }
}

fn bucket(key: &Expression) -> Bucket {
    let mut sum = 0_u64;
    operands::each_operand(key, |operand| {
        sum = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(operand.index() as u64 + 1);
    });
    (std::mem::discriminant(key), sum)
}

/// Whether an expression is a value that depends on its operands alone.
fn is_pure(walk: &Walk<'_, '_>, expression: &Expression) -> bool {
    match *expression {
        Expression::Compose { .. }
        | Expression::Splat { .. }
        | Expression::Swizzle { .. }
        | Expression::Unary { .. }
        | Expression::Binary { .. }
        | Expression::Select { .. }
        | Expression::Relational { .. }
        | Expression::Math { .. }
        | Expression::As { .. } => true,
        // What points somewhere is no value: it is written where it is used.
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
            walk.build.inner(base).pointer_space().is_none()
        }
        _ => false,
    }
}

/// Whether a name would make no text shorter.
fn is_short(walk: &Walk<'_, '_>, expression: &Expression) -> bool {
    use BinaryOperator::{Add, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual, Subtract};
    let expressions = &walk.build.function.expressions;
    let is_literal = |value: Operand| match expressions[value] {
        Expression::Splat { value, .. } => expressions[value].needs_pre_emit(),
        Expression::Literal(_) | Expression::Override(_) => true,
        _ => false,
    };
    match *expression {
        Expression::Splat { .. }
        | Expression::Swizzle { .. }
        | Expression::Unary { op: UnaryOperator::LogicalNot, .. } => true,
        Expression::As { expr, .. } => expressions[expr].needs_pre_emit(),
        Expression::Compose { ref components, .. } => {
            components.iter().all(|component| expressions[*component].needs_pre_emit())
        }
        Expression::Binary {
            op: Add | Subtract | Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual,
            left,
            right,
        } => is_literal(left) || is_literal(right),
        _ => false,
    }
}
