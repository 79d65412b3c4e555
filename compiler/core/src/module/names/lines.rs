//! Breaks long values: their longest parts get names, and so lines of their own, until what is left fits one line.

use naga::{BinaryOperator, Expression, ScalarKind, TypeInner};

use super::{Names, Operand};
use crate::module::operands;

/// Columns that the text of one value may take in Metal, the language that takes most.
const LINE: usize = 130;
/// A part shorter than this is left where it is.
const PART: usize = 30;

/// What a sum or product of signed integers adds: Metal casts there and back, so that it wraps. A little less than it is, as
/// the other languages add none.
const SIGNED: usize = 40;

/// How long the text of each value is where it is used.
pub(super) struct Lines {
    lengths: Vec<usize>,
}

impl Lines {
    /// Nothing is measured yet.
    pub(super) fn new(count: usize) -> Self {
        Self { lengths: vec![0; count] }
    }

    /// Measures a value whose operands are measured, and names parts of it where it is too long.
    pub(super) fn measure(&mut self, names: &mut Names<'_>, handle: Operand) {
        let mut length = self.text(names, handle);
        if length + self.reads(names, handle) > LINE {
            self.name_reads(names, handle);
        }
        while length > LINE {
            let Some(longest) = self.longest(names, handle) else { break };
            if let Expression::Compose { components, .. } = &names.function.expressions[handle] {
                // All of one kind, so that they still read alike.
                for (lane, &component) in components.iter().enumerate() {
                    self.cut_component(names, handle, component, lane);
                }
            } else {
                self.cut(names, longest);
            }
            length = self.text(names, handle);
        }
        self.lengths[handle.index()] = names.name(handle).map_or(length, columns_of_name);
    }

    /// Columns that reads among the components of a vector add, in a language that writes them where they are used.
    fn reads(&self, names: &Names<'_>, handle: Operand) -> usize {
        let Expression::Compose { components, .. } = &names.function.expressions[handle] else { return 0 };
        let added = components.iter().filter_map(|component| {
            let pointer = read_once(names, *component)?;
            Some(self.lengths[pointer.index()].saturating_sub(self.lengths[component.index()]))
        });
        added.sum()
    }

    /// Calls reads after the components that they are, which gives them lines of their own everywhere.
    fn name_reads(&mut self, names: &mut Names<'_>, handle: Operand) {
        let Expression::Compose { components, .. } = &names.function.expressions[handle] else { return };
        for (lane, &component) in components.iter().enumerate() {
            if read_once(names, component).is_some() {
                self.name_component(names, handle, component, lane);
            }
        }
    }

    /// Names the value of a store whose line would be too long.
    pub(super) fn cut_store(&mut self, names: &mut Names<'_>, pointer: Operand, value: Operand) {
        let length = self.lengths[pointer.index()] + self.lengths[value.index()];
        if length > LINE && is_part(names, value) && self.lengths[value.index()] > PART {
            self.cut(names, value);
        }
    }

    fn cut(&mut self, names: &mut Names<'_>, part: Operand) {
        let name = names.name_of(part).unwrap_or_else(|| "value".to_owned());
        self.lengths[part.index()] = columns_of_name(&name);
        names.names[part.index()] = Some(name);
    }

    fn cut_component(&mut self, names: &mut Names<'_>, whole: Operand, component: Operand, lane: usize) {
        if is_part(names, component) && self.lengths[component.index()] > PART {
            self.name_component(names, whole, component, lane);
        }
    }

    fn name_component(&mut self, names: &mut Names<'_>, whole: Operand, component: Operand, lane: usize) {
        let whole = names.name(whole).unwrap_or("value");
        let name = format!("{whole}_{}", ["x", "y", "z", "w"].get(lane).unwrap_or(&"part"));
        self.lengths[component.index()] = columns_of_name(&name);
        names.names[component.index()] = Some(name);
    }

    /// The operand with the longest text that may get a name.
    fn longest(&self, names: &Names<'_>, handle: Operand) -> Option<Operand> {
        let mut longest = None;
        operands::each_operand(&names.function.expressions[handle], |operand| {
            let length = self.lengths[operand.index()];
            if length > PART && is_part(names, operand) && longest.is_none_or(|(most, _)| length > most) {
                longest = Some((length, operand));
            }
        });
        longest.map(|(_, operand)| operand)
    }

    /// Columns of a value written in place.
    fn text(&self, names: &Names<'_>, handle: Operand) -> usize {
        let expression = &names.function.expressions[handle];
        let (mut parts, mut count) = (0, 0_usize);
        operands::each_operand(expression, |operand| {
            parts += self.lengths[operand.index()];
            count += 1;
        });
        let name = |name: &Option<String>| columns_of_name(name.as_deref().unwrap_or_default());
        match *expression {
            Expression::Literal(literal) => columns_of_literal(literal),
            // It is as long as the literal that takes its place.
            Expression::Override(number) => {
                names.module.overrides[number].name.as_deref().unwrap_or_default().len()
            }
            Expression::GlobalVariable(global) => name(&names.module.global_variables[global].name),
            Expression::LocalVariable(local) => name(&names.function.local_variables[local].name),
            Expression::FunctionArgument(index) => name(&names.function.arguments[index as usize].name),
            Expression::Access { .. } => parts + ".inner[]".len(),
            Expression::AccessIndex { .. } => parts + ".x".len(),
            Expression::Swizzle { size, .. } => parts + ".".len() + size as usize,
            Expression::Binary {
                op: BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply,
                ..
            } if names.ty(handle).scalar_kind() == Some(ScalarKind::Sint) => parts + SIGNED,
            Expression::Binary { .. } => parts + "( == )".len(),
            Expression::As { .. } => parts + "static_cast<uint>()".len(),
            Expression::Unary { .. } => parts + "!()".len(),
            Expression::Load { .. } => parts,
            _ => parts + "metal::select()".len() + ", ".len() * count.saturating_sub(1),
        }
    }
}

/// Whether a value has no name yet and may get one.
fn is_part(names: &Names<'_>, handle: Operand) -> bool {
    let is_value = matches!(names.ty(handle), TypeInner::Scalar(_) | TypeInner::Vector { .. });
    is_value && names.name(handle).is_none() && !is_constant(names, handle)
}

/// What a read reads, where it has one use and is only called after what it reads.
fn read_once(names: &Names<'_>, handle: Operand) -> Option<Operand> {
    let Expression::Load { pointer } = names.function.expressions[handle] else { return None };
    let is_named = names.function.named_expressions.contains_key(&handle);
    (!is_named && names.facts[handle].ref_count == 1).then_some(pointer)
}

fn is_constant(names: &Names<'_>, handle: Operand) -> bool {
    match names.function.expressions[handle] {
        Expression::Splat { value, .. } => is_constant(names, value),
        Expression::Compose { ref components, .. } => {
            components.iter().all(|component| is_constant(names, *component))
        }
        ref expression => expression.needs_pre_emit(),
    }
}

/// A name, and the underscore or digit that may follow it.
fn columns_of_name(name: &str) -> usize {
    name.len() + "_".len()
}

fn columns_of_literal(literal: naga::Literal) -> usize {
    match literal {
        naga::Literal::F32(value) => columns_of_float(value),
        naga::Literal::U32(value) => format!("{value}u").len(),
        naga::Literal::I32(value) => format!("{value}i").len(),
        _ => "false".len(),
    }
}

/// Columns of a float's digits, point and suffix, which are never in exponents.
pub fn columns_of_float(value: f32) -> usize {
    format!("{value}f").len()
}
