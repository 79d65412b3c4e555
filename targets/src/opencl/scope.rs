//! What can be said of an expression without knowing how it is used.

use naga::valid::FunctionInfo;
use naga::{AddressSpace, Block, Expression, Function, Handle, Module, TypeInner};

/// Identifies a block of one function by where it is in memory: the function outlives the analysis.
pub(super) type BlockId = *const Block;

/// The function that an expression belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) module: &'a Module,
    pub(super) function: &'a Function,
    pub(super) info: &'a FunctionInfo,
}

impl Scope<'_> {
    pub(super) fn is_pointer(&self, handle: Handle<Expression>) -> bool {
        self.info[handle].ty.inner_with(&self.module.types).pointer_space().is_some()
    }

    /// Whether the expression is written in place wherever it is used: pointers, and parts of values.
    pub(super) fn is_transparent(&self, handle: Handle<Expression>) -> bool {
        match self.function.expressions[handle] {
            Expression::AccessIndex { .. } | Expression::Swizzle { .. } => true,
            Expression::Access { .. } => self.is_pointer(handle),
            _ => false,
        }
    }

    /// Whether the source names the value. A load that is only called after what it loads has no name of its own:
    /// other text writers need one for every load, and passes may have given it for them.
    pub(super) fn is_named(&self, handle: Handle<Expression>) -> bool {
        let Some(name) = self.function.named_expressions.get(&handle) else { return false };
        let (Expression::Load { pointer: mut root } | Expression::ImageLoad { image: mut root, .. }) =
            self.function.expressions[handle]
        else {
            return true;
        };
        loop {
            match self.function.expressions[root] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => root = base,
                Expression::LocalVariable(variable) => {
                    let variable = &self.function.local_variables[variable].name;
                    return variable.as_deref().unwrap_or("condition") != name;
                }
                Expression::GlobalVariable(variable) => {
                    let variable = self.module.global_variables[variable].name.as_deref().unwrap_or_default();
                    return name != variable && name.strip_suffix("_value") != Some(variable);
                }
                _ => return true,
            }
        }
    }

    pub(super) fn is_constant(&self, handle: Handle<Expression>) -> bool {
        match self.function.expressions[handle] {
            Expression::Literal(_) | Expression::Constant(_) | Expression::ZeroValue(_) => true,
            Expression::Splat { value, .. } => self.is_constant(value),
            _ => false,
        }
    }

    /// A load whose text is no longer than a variable's name would be.
    pub(super) fn is_cheap_load(&self, handle: Handle<Expression>) -> bool {
        let Expression::Load { mut pointer } = self.function.expressions[handle] else { return false };
        if matches!(self.info[handle].ty.inner_with(&self.module.types), TypeInner::Array { .. }) {
            return true;
        }
        loop {
            match self.function.expressions[pointer] {
                Expression::AccessIndex { base, .. } => pointer = base,
                Expression::LocalVariable(_) => return true,
                Expression::GlobalVariable(variable) => {
                    return self.module.global_variables[variable].space == AddressSpace::Uniform;
                }
                _ => return false,
            }
        }
    }
}
