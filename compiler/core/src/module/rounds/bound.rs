//! The largest value that an unsigned expression, or a signed one that is not negative, may have.

use super::super::operands;
use naga::{
    AddressSpace, BinaryOperator, Binding, BuiltIn, EntryPoint, Expression, Handle, Literal, LocalVariable,
    MathFunction, Module, Statement,
};
use std::collections::BTreeMap;

type Operand = Handle<Expression>;

/// Invocations of the widest subgroup that an API has.
const WIDEST_SUBGROUP: u64 = 128;

/// What an entry point's expressions may be.
pub(super) struct Bounds<'m> {
    module: &'m Module,
    entry: &'m EntryPoint,
    /// The most that each word of the uniform buffer is.
    words: &'m [u64],
    /// What is stored to each local, and what it starts with.
    stored: BTreeMap<Handle<LocalVariable>, Vec<Operand>>,
}

/// A sum of products with constants: coefficients by term, and what is constant.
#[derive(Default)]
struct Linear {
    terms: BTreeMap<String, (i128, Operand)>,
    constant: i128,
}

impl Linear {
    fn add(&mut self, other: Self, times: i128) {
        self.constant += other.constant * times;
        for (key, (coefficient, operand)) in other.terms {
            self.terms.entry(key).or_insert((0, operand)).0 += coefficient * times;
        }
    }
}

impl<'m> Bounds<'m> {
    pub(super) fn new(module: &'m Module, entry: &'m EntryPoint, words: &'m [u64]) -> Self {
        let function = &entry.function;
        let mut stored: BTreeMap<_, Vec<Operand>> = BTreeMap::new();
        for (local, variable) in function.local_variables.iter() {
            stored.entry(local).or_default().extend(variable.init);
        }
        operands::each_statement(&function.body, &mut |statement| {
            if let Statement::Store { pointer, value } = statement
                && let Expression::LocalVariable(local) = function.expressions[*pointer]
            {
                stored.entry(local).or_default().push(*value);
            }
        });
        Self { module, entry, words, stored }
    }

    /// The local that an expression is the value of.
    pub(super) fn loaded(&self, value: Operand) -> Option<Handle<LocalVariable>> {
        let expressions = &self.entry.function.expressions;
        let Expression::Load { pointer } = expressions[value] else { return None };
        match expressions[pointer] {
            Expression::LocalVariable(local) => Some(local),
            _ => None,
        }
    }

    /// The word of the uniform buffer that an expression is the value of.
    fn word(&self, value: Operand) -> Option<u32> {
        let expressions = &self.entry.function.expressions;
        let Expression::Load { pointer } = expressions[value] else { return None };
        let Expression::AccessIndex { base, index } = expressions[pointer] else { return None };
        let Expression::GlobalVariable(variable) = expressions[base] else { return None };
        (self.module.global_variables[variable].space == AddressSpace::Uniform).then_some(index)
    }

    pub(super) fn is_zero(&self, value: Operand) -> bool {
        self.known(value) == Some(0)
    }

    /// The most that `end` may be beyond `start`, which is not negative; zero where it is before.
    pub(super) fn distance(&self, end: Operand, start: Option<Operand>) -> Option<u64> {
        let ends = self.alternatives(end);
        let shared = ends.iter().filter_map(|&end| self.difference(end, start)).min();
        let whole = self.most(end);
        [shared, whole].into_iter().flatten().min()
    }

    /// What a minimum is the minimum of: it is at most each of them.
    fn alternatives(&self, value: Operand) -> Vec<Operand> {
        match self.entry.function.expressions[value] {
            Expression::Math { fun: MathFunction::Min, arg, arg1: Some(other), .. } => {
                [self.alternatives(arg), self.alternatives(other)].concat()
            }
            _ => vec![value],
        }
    }

    /// `end - start` where their terms meet.
    fn difference(&self, end: Operand, start: Option<Operand>) -> Option<u64> {
        let mut sum = self.linear(end);
        if let Some(start) = start {
            sum.add(self.linear(start), -1);
        }
        let mut most = sum.constant;
        for (coefficient, operand) in sum.terms.into_values().filter(|(coefficient, _)| *coefficient > 0) {
            most += coefficient * i128::from(self.most(operand)?);
        }
        u64::try_from(most.max(0)).ok()
    }

    fn linear(&self, value: Operand) -> Linear {
        let term = || Linear { terms: BTreeMap::from([(self.key(value), (1, value))]), constant: 0 };
        if let Some(known) = self.known(value) {
            return Linear { terms: BTreeMap::new(), constant: known.into() };
        }
        match self.entry.function.expressions[value] {
            Expression::Binary { op: BinaryOperator::Add, left, right } => {
                let mut sum = self.linear(left);
                sum.add(self.linear(right), 1);
                sum
            }
            Expression::Binary { op: BinaryOperator::Multiply, left, right } => {
                let (factor, other) = match (self.known(left), self.known(right)) {
                    (Some(factor), _) => (factor, right),
                    (None, Some(factor)) => (factor, left),
                    (None, None) => return term(),
                };
                let mut product = Linear::default();
                product.add(self.linear(other), factor.into());
                product
            }
            _ => term(),
        }
    }

    /// What tells a value from others: its expression, down to what is evaluated in its place only.
    fn key(&self, value: Operand) -> String {
        if let Some(word) = self.word(value) {
            // No kernel writes words, so they are the same everywhere.
            return format!("word {word}");
        }
        match self.entry.function.expressions[value] {
            Expression::FunctionArgument(number) => format!("argument {number}"),
            Expression::AccessIndex { base, index } => format!("{}.{index}", self.key(base)),
            Expression::Literal(literal) => format!("{literal:?}"),
            Expression::Binary { op, left, right } => {
                format!("({} {op:?} {})", self.key(left), self.key(right))
            }
            Expression::As { expr, kind, .. } => format!("{kind:?}({})", self.key(expr)),
            _ => format!("value {}", value.index()),
        }
    }

    fn known(&self, value: Operand) -> Option<u64> {
        match self.entry.function.expressions[value] {
            Expression::Literal(Literal::U32(value)) => Some(value.into()),
            Expression::Literal(Literal::I32(value)) => u64::try_from(value).ok(),
            Expression::ZeroValue(_) => Some(0),
            _ => None,
        }
    }

    /// The most that a value may be.
    pub(super) fn most(&self, value: Operand) -> Option<u64> {
        self.most_beside(value, &mut Vec::new())
    }

    /// The same; locals that are being looked at have no bound by themselves.
    fn most_beside(&self, value: Operand, seen: &mut Vec<Handle<LocalVariable>>) -> Option<u64> {
        if let Some(known) = self.known(value) {
            return Some(known);
        }
        match self.entry.function.expressions[value] {
            Expression::FunctionArgument(number) => self.builtin(number, None),
            Expression::AccessIndex { base, index } => match self.entry.function.expressions[base] {
                Expression::FunctionArgument(number) => self.builtin(number, Some(index)),
                _ => None,
            },
            Expression::Load { .. } => {
                if let Some(word) = self.word(value) {
                    return self.words.get(word as usize).copied();
                }
                let local = self.loaded(value).filter(|local| !seen.contains(local))?;
                seen.push(local);
                let stored = &self.stored[&local];
                let most =
                    stored.iter().try_fold(0, |most, &value| Some(self.most_beside(value, seen)?.max(most)));
                seen.pop();
                most
            }
            Expression::Select { accept, reject, .. } => {
                Some(self.most_beside(accept, seen)?.max(self.most_beside(reject, seen)?))
            }
            Expression::As { expr, .. } => self.most_beside(expr, seen),
            Expression::Binary { op, left, right } => self.of_binary(op, left, right, seen),
            Expression::Math { fun, arg, arg1, arg2, .. } => match (fun, arg1, arg2) {
                (MathFunction::Min, Some(other), _) => {
                    let both = [self.most_beside(arg, seen), self.most_beside(other, seen)];
                    both.into_iter().flatten().min()
                }
                (MathFunction::Max, Some(other), _) => {
                    Some(self.most_beside(arg, seen)?.max(self.most_beside(other, seen)?))
                }
                (MathFunction::Clamp, _, Some(high)) => self.most_beside(high, seen),
                _ => None,
            },
            _ => None,
        }
    }

    fn of_binary(
        &self,
        op: BinaryOperator,
        left: Operand,
        right: Operand,
        seen: &mut Vec<Handle<LocalVariable>>,
    ) -> Option<u64> {
        let divisor = self.known(right);
        match op {
            BinaryOperator::Add => self.most_beside(left, seen)?.checked_add(self.most_beside(right, seen)?),
            BinaryOperator::Subtract => self.most_beside(left, seen),
            BinaryOperator::Multiply => {
                self.most_beside(left, seen)?.checked_mul(self.most_beside(right, seen)?)
            }
            BinaryOperator::Divide => match divisor {
                Some(divisor) => self.most_beside(left, seen)?.checked_div(divisor),
                None => self.most_beside(left, seen),
            },
            BinaryOperator::Modulo => {
                let by_divisor = self.most_beside(right, seen).and_then(|most| most.checked_sub(1));
                [by_divisor, self.most_beside(left, seen)].into_iter().flatten().min()
            }
            BinaryOperator::And => {
                [self.most_beside(left, seen), self.most_beside(right, seen)].into_iter().flatten().min()
            }
            BinaryOperator::ShiftRight => {
                Some(self.most_beside(left, seen)? >> divisor.filter(|&by| by < 64).unwrap_or(0))
            }
            BinaryOperator::ShiftLeft => {
                self.most_beside(left, seen)?.checked_mul(1 << divisor.filter(|&by| by < 32)?)
            }
            _ => None,
        }
    }

    /// The most that a builtin, or one of its components, is.
    fn builtin(&self, number: u32, component: Option<u32>) -> Option<u64> {
        let size = self.entry.workgroup_size.map(u64::from);
        let all: u64 = size.iter().product();
        let argument = self.entry.function.arguments.get(number as usize)?;
        let Some(Binding::BuiltIn(builtin)) = argument.binding else { return None };
        match (builtin, component) {
            (BuiltIn::LocalInvocationId, Some(axis)) => Some(size.get(axis as usize)?.saturating_sub(1)),
            (BuiltIn::LocalInvocationIndex, None) | (BuiltIn::SubgroupId, None) => {
                Some(all.saturating_sub(1))
            }
            (BuiltIn::NumSubgroups, None) => Some(all),
            (BuiltIn::SubgroupSize, None) => Some(WIDEST_SUBGROUP),
            (BuiltIn::SubgroupInvocationId, None) => Some(WIDEST_SUBGROUP - 1),
            _ => None,
        }
    }
}
