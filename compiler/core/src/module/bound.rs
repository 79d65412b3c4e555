//! Bound variables, which outlive compaction.
//!
//! A binding is a place among the arguments of a kernel, and Metal and OpenCL count places. So a variable that no statement
//! needs any more stays declared: without it those after it would move.

use naga::{GlobalVariable, Handle, Module, Span, Type, TypeInner, UniqueArena};

/// The bound variables of a module, and the types that they are written in.
pub(super) struct Bound {
    types: UniqueArena<Type>,
    variables: Vec<GlobalVariable>,
}

impl Bound {
    /// Those of `module`.
    pub(super) fn of(module: &Module) -> Self {
        let variables = module.global_variables.iter().map(|(_, variable)| variable);
        let variables = variables.filter(|variable| variable.binding.is_some()).cloned().collect();
        Self { types: module.types.clone(), variables }
    }

    /// Declares again what `module` lost.
    pub(super) fn restore(self, module: &mut Module) {
        for mut variable in self.variables {
            let is_it = |kept: &GlobalVariable| kept.binding == variable.binding;
            if !module.global_variables.iter().any(|(_, kept)| is_it(kept)) {
                variable.ty = copy_type(&self.types, &mut module.types, variable.ty);
                module.global_variables.append(variable, Span::UNDEFINED);
            }
        }
    }
}

/// A type of another module, with those that it is made of.
fn copy_type(from: &UniqueArena<Type>, to: &mut UniqueArena<Type>, handle: Handle<Type>) -> Handle<Type> {
    let mut ty = from[handle].clone();
    match &mut ty.inner {
        TypeInner::Array { base, .. } | TypeInner::BindingArray { base, .. } => {
            *base = copy_type(from, to, *base);
        }
        TypeInner::Struct { members, .. } => {
            for member in members {
                member.ty = copy_type(from, to, member.ty);
            }
        }
        // The others name no type, or are no type of a bound variable.
        _ => {}
    }
    to.insert(ty, Span::UNDEFINED)
}
