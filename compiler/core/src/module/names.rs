//! Gives names to values that writers would print as `_e17`, and to the parts of values whose text would be too long.
//!
//! Text writers print a value in a `let` of its own when it is used twice, or when it is read from memory. Without a
//! name it gets the number of its expression, which changes with every edit. A read takes the name of its variable; a value
//! that says where something is in a buffer is called after the buffer, a product after what is multiplied, any other a
//! plain word for its type. [`lines`] says which values become too long.

mod lines;

pub use lines::columns_of_float;

use naga::{
    AddressSpace, BinaryOperator, Expression, Function, Handle, Literal, MathFunction, Module, Scalar,
    ScalarKind, Statement, TypeInner,
    valid::{FunctionInfo, ModuleInfo},
};

use super::operands;

type Operand = Handle<Expression>;

/// Longest name that is made of another one.
const LONGEST: usize = 24;

/// Names values in all entry points. `info` is of the module as it stands.
pub(super) fn run(module: &mut Module, info: &ModuleInfo) {
    for index in 0..module.entry_points.len() {
        let function = &module.entry_points[index].function;
        let names = Names {
            module,
            function,
            facts: info.get_entry_point(index),
            names: vec![None; function.expressions.len()],
            places: places(module, function),
        };
        let names = names.of_all();
        let named = &mut module.entry_points[index].function.named_expressions;
        named.extend(names);
    }
}

/// The names of one function under way.
struct Names<'m> {
    module: &'m Module,
    function: &'m Function,
    facts: &'m FunctionInfo,
    /// New names, by expression.
    names: Vec<Option<String>>,
    /// The variable into which a value is an index, or a part of one.
    places: Vec<Option<&'m str>>,
}

impl<'m> Names<'m> {
    fn of_all(mut self) -> Vec<(Operand, String)> {
        let mut lines = lines::Lines::new(self.function.expressions.len());
        for (handle, expression) in self.function.expressions.iter() {
            let is_printed = self.facts[handle].ref_count >= expression.bake_ref_count();
            if is_printed && self.name(handle).is_none() && !expression.needs_pre_emit() {
                self.names[handle.index()] = self.name_of(handle);
            }
            lines.measure(&mut self, handle);
        }
        operands::each_statement(&self.function.body, &mut |statement| {
            if let Statement::Store { pointer, value } = statement {
                lines.cut_store(&mut self, *pointer, *value);
            }
        });
        let names = self.function.expressions.iter().zip(self.names);
        names.filter_map(|((handle, _), name)| Some((handle, name?))).collect()
    }

    /// The name that a value has, or was given here.
    fn name(&self, handle: Operand) -> Option<&str> {
        let own = self.names[handle.index()].as_deref();
        own.or_else(|| self.function.named_expressions.get(&handle).map(String::as_str))
    }

    fn ty(&self, handle: Operand) -> &'m TypeInner {
        self.facts[handle].ty.inner_with(&self.module.types)
    }

    fn name_of(&self, handle: Operand) -> Option<String> {
        if self.ty(handle).pointer_space().is_some() {
            return None;
        }
        let read = match self.function.expressions[handle] {
            Expression::Load { pointer } => Some(pointer),
            Expression::ImageLoad { image, .. } | Expression::ImageSample { image, .. } => Some(image),
            _ => None,
        };
        if let Some(source) = read.and_then(|pointer| variable_name(self.module, self.function, pointer)) {
            return Some(source);
        }
        match self.ty(handle) {
            _ if self.asks_for_nan(handle) => Some("is_nan".to_owned()),
            _ if self.is_bits(handle) => Some("bits".to_owned()),
            TypeInner::Scalar(Scalar { kind: ScalarKind::Sint | ScalarKind::Uint, .. }) => {
                Some(self.of_index(handle))
            }
            ty => plain_word(ty).map(str::to_owned),
        }
    }

    /// What an integer is called: it counts or says where something is.
    fn of_index(&self, handle: Operand) -> String {
        let made = match self.function.expressions[handle] {
            Expression::Binary { op: BinaryOperator::Multiply, left, right } if self.is_literal(right) => {
                self.word(left).map(|word| format!("{word}_offset"))
            }
            Expression::Binary { op: BinaryOperator::Divide, .. } => Some("quotient".to_owned()),
            Expression::Binary { op: BinaryOperator::Modulo, .. } => Some("remainder".to_owned()),
            Expression::Math {
                fun: MathFunction::Min | MathFunction::Max | MathFunction::Clamp,
                arg,
                ..
            } => self.word(arg).map(|word| format!("clamped_{word}")),
            _ => None,
        };
        let short = |name: &String| name.len() <= LONGEST;
        let place = || self.places[handle.index()].map(|variable| format!("{variable}_index"));
        let product = matches!(
            self.function.expressions[handle],
            Expression::Binary { op: BinaryOperator::Multiply, .. }
        );
        let plain = if product { "offset" } else { "index" };
        made.filter(short).or_else(place).unwrap_or_else(|| plain.to_owned())
    }

    /// Whether an integer is a bit pattern, masked or as it is.
    fn is_bits(&self, handle: Operand) -> bool {
        match self.function.expressions[handle] {
            Expression::Binary { op: BinaryOperator::And, left, .. } => self.is_bits(left),
            Expression::As { kind: ScalarKind::Sint | ScalarKind::Uint, convert: None, .. } => true,
            _ => false,
        }
    }

    /// Whether a truth value is that of `bits & 0x7fffffff > 0x7f800000`.
    fn asks_for_nan(&self, handle: Operand) -> bool {
        let Expression::Binary { op: BinaryOperator::Greater, mut right, .. } =
            self.function.expressions[handle]
        else {
            return false;
        };
        if let Expression::Splat { value, .. } = self.function.expressions[right] {
            right = value;
        }
        self.function.expressions[right] == Expression::Literal(Literal::U32(f32::INFINITY.to_bits()))
    }

    /// The word that the text has for a value: a name of the source, or a component of one.
    fn word(&self, handle: Operand) -> Option<String> {
        if let Some(name) = self.function.named_expressions.get(&handle) {
            return Some(name.clone());
        }
        match self.function.expressions[handle] {
            Expression::FunctionArgument(index) => self.function.arguments[index as usize].name.clone(),
            Expression::AccessIndex { base, index } if matches!(self.ty(base), TypeInner::Vector { .. }) => {
                let lane = ["x", "y", "z", "w"].get(index as usize)?;
                Some(format!("{}_{lane}", self.word(base)?))
            }
            Expression::Load { pointer } => variable_name(self.module, self.function, pointer),
            _ => None,
        }
    }

    fn is_literal(&self, handle: Operand) -> bool {
        matches!(self.function.expressions[handle], Expression::Literal(_) | Expression::Override(_))
    }
}

/// For each expression the variable into which it is an index: sums without their constants, and their operands.
fn places<'m>(module: &'m Module, function: &'m Function) -> Vec<Option<&'m str>> {
    let mut places = vec![None; function.expressions.len()];
    for (_, expression) in function.expressions.iter() {
        let Expression::Access { base, index } = *expression else { continue };
        let Expression::GlobalVariable(global) = function.expressions[base] else { continue };
        let Some(name) = module.global_variables[global].name.as_deref() else { continue };
        places[index.index()] = places[index.index()].or(Some(name.strip_suffix("_data").unwrap_or(name)));
    }
    // Users stand behind what they use.
    for (handle, expression) in function.expressions.iter().rev() {
        if let (Some(place), Expression::Binary { op: BinaryOperator::Add, left, right }) =
            (places[handle.index()], expression)
        {
            for part in [left, right] {
                places[part.index()] = places[part.index()].or(Some(place));
            }
        }
    }
    places
}

/// `acc` for a read of the local `acc`, `src_value` for a read of the buffer or image `src`.
fn variable_name(module: &Module, function: &Function, mut pointer: Operand) -> Option<String> {
    loop {
        match function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
            Expression::LocalVariable(local) => return function.local_variables[local].name.clone(),
            Expression::GlobalVariable(global) => {
                let variable = &module.global_variables[global];
                let name = variable.name.as_ref()?;
                return Some(match variable.space {
                    AddressSpace::Private => name.clone(),
                    _ => format!("{name}_value"),
                });
            }
            _ => return None,
        }
    }
}

fn plain_word(ty: &TypeInner) -> Option<&'static str> {
    match ty {
        TypeInner::Scalar(Scalar { kind, .. }) | TypeInner::Vector { scalar: Scalar { kind, .. }, .. } => {
            Some(match kind {
                ScalarKind::Bool => "condition",
                ScalarKind::Sint | ScalarKind::Uint => "index",
                ScalarKind::Float | ScalarKind::AbstractInt | ScalarKind::AbstractFloat => "value",
            })
        }
        TypeInner::Matrix { .. } | TypeInner::CooperativeMatrix { .. } => Some("matrix"),
        _ => None,
    }
}
