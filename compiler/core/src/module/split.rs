//! Turns arrays in registers into separate variables.
//!
//! A local array that is only ever indexed by constants, which is how it looks after unrolling, becomes one local per
//! element: `acc[2][3]` is `acc_2_3`. Drivers keep such variables in registers; many of them keep an array in memory. An
//! array with one computed index stays as it is.

use naga::{ArraySize, Expression, Function, Handle, LocalVariable, Module, Type, TypeInner};

use super::{
    ModuleError,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// An array of more elements is a table, not registers.
const ELEMENT_LIMIT: u32 = 1024;

/// Splits one level of arrays in all entry points; says whether there was any.
pub(super) fn run(module: &mut Module) -> Result<bool, ModuleError> {
    let mut found = false;
    walk::each_entry_point(module, |module, source| {
        let arrays = constant_arrays(module, source);
        if arrays.iter().all(Option::is_none) {
            return Ok(source.clone());
        }
        found = true;
        let mut pass = Split { arrays, elements: vec![Vec::new(); source.local_variables.len()] };
        walk::rebuild(module, source, &mut pass)
    })?;
    Ok(found)
}

struct Split {
    /// Element type and count of each local to split.
    arrays: Vec<Option<(Handle<Type>, u32)>>,
    /// The new locals, by the local that they replace.
    elements: Vec<Vec<Handle<LocalVariable>>>,
}

/// The locals to split, with element type and count.
fn constant_arrays(module: &Module, source: &Function) -> Vec<Option<(Handle<Type>, u32)>> {
    let is_plain = |init: Option<Operand>| match init.map(|init| &source.expressions[init]) {
        None | Some(Expression::ZeroValue(_) | Expression::Compose { .. }) => true,
        Some(_) => false,
    };
    let mut arrays: Vec<_> = source
        .local_variables
        .iter()
        .map(|(_, variable)| match module.types[variable.ty].inner {
            TypeInner::Array { base, size: ArraySize::Constant(count), .. }
                if count.get() <= ELEMENT_LIMIT && is_plain(variable.init) =>
            {
                Some((base, count.get()))
            }
            _ => None,
        })
        .collect();
    let mut mentioned = vec![false; arrays.len()];
    for (_, expression) in source.expressions.iter() {
        match *expression {
            Expression::LocalVariable(local) => mentioned[local.index()] = true,
            Expression::Access { base, .. } => {
                if let Expression::LocalVariable(local) = source.expressions[base] {
                    arrays[local.index()] = None;
                }
            }
            _ => {}
        }
    }
    // An array that was split before is still declared, and no longer mentioned.
    arrays.iter().zip(mentioned).map(|(array, mentioned)| array.filter(|_| mentioned)).collect()
}

impl<'s> Pass<'s> for Split {
    fn begin(&mut self, walk: &mut Walk<'_, 's>) -> Result<(), ModuleError> {
        for (old, variable) in walk.frame.source.local_variables.iter() {
            let Some((ty, count)) = self.arrays[old.index()] else { continue };
            for index in 0..count {
                let init = match variable.init {
                    Some(init) => element_init(walk, init, index)?,
                    None => None,
                };
                let name = variable.name.as_ref().map(|name| format!("{name}_{index}"));
                let element = walk.build.add_local(LocalVariable { name, ty, init });
                self.elements[old.index()].push(element);
            }
        }
        Ok(())
    }

    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        _old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        match mapped {
            Expression::AccessIndex { base, index } => match self.elements_of(walk, base) {
                Some(elements) if (index as usize) < elements.len() => {
                    walk.build.local(elements[index as usize])
                }
                _ => walk.build.emit(mapped),
            },
            Expression::Load { pointer } => match self.elements_of(walk, pointer) {
                Some(elements) => {
                    let mut components = Vec::new();
                    for element in elements {
                        let pointer = walk.build.local(*element)?;
                        components.push(walk.build.emit(Expression::Load { pointer })?);
                    }
                    let ty = pointee(walk, pointer);
                    walk.build.emit(Expression::Compose { ty, components })
                }
                None => walk.build.emit(mapped),
            },
            _ => walk.build.emit(mapped),
        }
    }

    fn store(
        &mut self,
        walk: &mut Walk<'_, 's>,
        pointer: Operand,
        value: Operand,
    ) -> Result<(), ModuleError> {
        let Some(elements) = self.elements_of(walk, pointer).map(<[_]>::to_vec) else {
            walk.build.store(pointer, value);
            return Ok(());
        };
        // All parts are read before the first is overwritten: `value` may hold loads of the same array, already evaluated.
        for (index, element) in (0..).zip(elements) {
            let part = walk.build.emit(Expression::AccessIndex { base: value, index })?;
            let pointer = walk.build.local(element)?;
            walk.build.store(pointer, part);
        }
        Ok(())
    }
}

impl Split {
    /// The locals that replace what `pointer` points to. Locals that are read keep their index in the copy.
    fn elements_of(&self, walk: &Walk<'_, '_>, pointer: Operand) -> Option<&[Handle<LocalVariable>]> {
        match walk.build.function.expressions[pointer] {
            Expression::LocalVariable(local) => {
                self.elements.get(local.index()).map(Vec::as_slice).filter(|elements| !elements.is_empty())
            }
            _ => None,
        }
    }
}

/// Type of the local that `pointer` is.
fn pointee(walk: &mut Walk<'_, '_>, pointer: Operand) -> Handle<Type> {
    match walk.build.function.expressions[pointer] {
        Expression::LocalVariable(local) => walk.build.function.local_variables[local].ty,
        _ => walk.build.type_of(pointer),
    }
}

/// The initialiser of one element, where the array's is written out; zero otherwise.
fn element_init(walk: &mut Walk<'_, '_>, init: Operand, index: u32) -> Result<Option<Operand>, ModuleError> {
    let source = &walk.frame.source.expressions;
    match &source[init] {
        Expression::Compose { components, .. } => match components.get(index as usize) {
            Some(part) => walk.build.initializer(source, *part).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}
