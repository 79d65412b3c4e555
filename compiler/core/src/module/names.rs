//! Gives names to values that writers would print as `_e17`.
//!
//! Text writers print a value in a `let` of its own when it is used twice, or when it is read from memory. Without a
//! name it gets the number of its expression, which changes with every edit. A read takes the name of its variable, any
//! other value a plain word for its type.

use naga::{
    AddressSpace, Expression, Function, Handle, Module, Scalar, ScalarKind, TypeInner, valid::ModuleInfo,
};

/// Names values in all entry points. `info` is of the module as it stands.
pub(super) fn run(module: &mut Module, info: &ModuleInfo) {
    for index in 0..module.entry_points.len() {
        let names = {
            let function = &module.entry_points[index].function;
            let facts = info.get_entry_point(index);
            let unnamed = function.expressions.iter().filter(|(handle, expression)| {
                let is_printed = facts[*handle].ref_count >= expression.bake_ref_count();
                is_printed && !expression.needs_pre_emit() && !function.named_expressions.contains_key(handle)
            });
            unnamed
                .filter_map(|(handle, _)| {
                    name_of(module, function, handle, facts[handle].ty.inner_with(&module.types))
                        .map(|name| (handle, name))
                })
                .collect::<Vec<_>>()
        };
        module.entry_points[index].function.named_expressions.extend(names);
    }
}

fn name_of(
    module: &Module,
    function: &Function,
    handle: Handle<Expression>,
    ty: &TypeInner,
) -> Option<String> {
    if ty.pointer_space().is_some() {
        return None;
    }
    let read = match function.expressions[handle] {
        Expression::Load { pointer } => Some(pointer),
        Expression::ImageLoad { image, .. } | Expression::ImageSample { image, .. } => Some(image),
        _ => None,
    };
    let source = read.and_then(|pointer| variable_name(module, function, pointer));
    source.or_else(|| plain_word(ty).map(str::to_owned))
}

/// `acc` for a read of the local `acc`, `src_value` for a read of the buffer or image `src`.
fn variable_name(module: &Module, function: &Function, mut pointer: Handle<Expression>) -> Option<String> {
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
