//! Modules that differ in numbers alone: what they have in common goes through the passes once.
//!
//! In the common text each number is an override, `override q0___: f32;`, of which no pass knows the value. So nothing that was made
//! of the text depends on the numbers, and any can be put in their places. A name has as many characters as its number has
//! columns, since long lines are broken by the columns of what is in them.

use std::collections::BTreeSet;

use naga::{Arena, Expression, Function, Handle, Literal, Module};

use super::{ModuleError, Specialized, operands, parsed, settle, specialize, validate};

/// A module after all passes, with places for numbers.
#[derive(Clone, Debug)]
pub struct Alike {
    done: Specialized,
    /// The literals of each number.
    places: Vec<Vec<Handle<Expression>>>,
    /// The bits of all other floats that the text, or what became of it, has.
    others: BTreeSet<u32>,
}

/// Runs all passes on a text whose numbers are the overrides that `names` lists. Nothing where a pass would compute with them if it
/// knew them.
pub fn alike(source: &str, names: &[String]) -> Result<Option<Alike>, ModuleError> {
    let module = parsed(source)?;
    let mut others = BTreeSet::new();
    floats(&module, &mut others);
    let Specialized { mut module, .. } = specialize(module)?;
    floats(&module, &mut others);
    let [entry] = module.entry_points.as_mut_slice() else { return Ok(None) };
    if computes(&entry.function) {
        return Ok(None);
    }
    // What stands in for the numbers until their places are known.
    let stands_in = (1.25_f32.to_bits()..).filter(|bits| !others.contains(bits)).take(names.len());
    let stands_in: Vec<Expression> =
        stands_in.map(|bits| Expression::Literal(Literal::F32(f32::from_bits(bits)))).collect();
    for (_, expression) in entry.function.expressions.iter_mut() {
        let Expression::Override(number) = *expression else { continue };
        let is_it = |name: &String| module.overrides[number].name.as_ref() == Some(name);
        let Some(number) = names.iter().position(is_it) else { return Ok(None) };
        expression.clone_from(&stands_in[number]);
    }
    module.overrides = Arena::new();
    settle(&mut module, "alike")?;
    let expressions = || module.entry_points[0].function.expressions.iter();
    let of =
        |number: &Expression| expressions().filter(|(_, e)| *e == number).map(|(place, _)| place).collect();
    let places = stands_in.iter().map(of).collect();
    let info = validate(&module, "alike")?;
    Ok(Some(Alike { done: Specialized { module, info }, places, others }))
}

impl Alike {
    /// The module with these numbers; nothing where one of them is in it already, and so would be one literal with it.
    pub fn with(&self, numbers: &[f32]) -> Option<Specialized> {
        if numbers.iter().any(|number| self.others.contains(&number.to_bits())) {
            return None;
        }
        let mut done = self.done.clone();
        let expressions = &mut done.module.entry_points[0].function.expressions;
        for (places, &number) in self.places.iter().zip(numbers) {
            for &place in places {
                expressions[place] = Expression::Literal(Literal::F32(number));
            }
        }
        Some(done)
    }
}

/// Adds the bits of all floats of a module.
fn floats(module: &Module, found: &mut BTreeSet<u32>) {
    let functions = module.functions.iter().map(|(_, function)| function);
    let functions = functions.chain(module.entry_points.iter().map(|entry| &entry.function));
    let local = functions.flat_map(|function| function.expressions.iter());
    found.extend(local.chain(module.global_expressions.iter()).filter_map(
        |(_, expression)| match expression {
            Expression::Literal(Literal::F32(value)) => Some(value.to_bits()),
            _ => None,
        },
    ));
}

/// Whether anything is computed of overrides and constants alone.
fn computes(function: &Function) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Known {
        Not,
        Yes,
        Override,
    }
    let mut known = vec![Known::Not; function.expressions.len()];
    for (handle, expression) in function.expressions.iter() {
        known[handle.index()] = match expression {
            Expression::Literal(_) | Expression::Constant(_) | Expression::ZeroValue(_) => Known::Yes,
            Expression::Override(_) => Known::Override,
            _ => {
                let mut operands = Vec::new();
                operands::each_operand(expression, |operand| operands.push(known[operand.index()]));
                if operands.is_empty() || operands.contains(&Known::Not) {
                    Known::Not
                } else if !operands.contains(&Known::Override) {
                    Known::Yes
                } else if matches!(expression, Expression::Splat { .. } | Expression::Compose { .. }) {
                    Known::Override
                } else {
                    return true;
                }
            }
        };
    }
    false
}
