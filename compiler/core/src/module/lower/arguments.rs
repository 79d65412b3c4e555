//! The builtins of a kernel whose subgroups become groups of local indices.

use naga::{Binding, BuiltIn, Function, FunctionArgument, Module, Scalar};

use crate::module::{
    ModuleError,
    lower::matrix::{refused, scalar_type},
};

/// What an old parameter of the entry point becomes.
#[derive(Clone, Copy)]
pub(super) enum Argument {
    /// The parameter with this new index.
    Keep(u32),
    /// The number of the group.
    Group,
    /// The position in the group.
    Lane,
    /// A known number.
    Number(u32),
}

/// What the old parameters become, and where the local index is.
pub(super) struct Arguments {
    /// What each old parameter becomes.
    pub(super) old: Vec<Argument>,
    /// Index of the parameter that is the local index.
    pub(super) local_index: u32,
    /// Old position of the subgroup size.
    pub(super) subgroup_size: Option<usize>,
}

/// Takes the subgroup builtins out of the parameters and makes sure that the local index is one.
pub(super) fn replace_arguments(
    module: &mut Module,
    function: &mut Function,
    groups: u32,
) -> Result<Arguments, ModuleError> {
    let mut kept: Vec<FunctionArgument> = Vec::new();
    let mut arguments = Arguments { old: Vec::new(), local_index: 0, subgroup_size: None };
    let mut local_index = None;
    for (position, argument) in function.arguments.iter().enumerate() {
        let Some(Binding::BuiltIn(builtin)) = argument.binding else {
            return Err(refused(
                function,
                "builtins must be parameters of their own, not members of a struct",
            ));
        };
        let next = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        arguments.old.push(match builtin {
            BuiltIn::SubgroupId => Argument::Group,
            BuiltIn::SubgroupInvocationId => Argument::Lane,
            BuiltIn::NumSubgroups => Argument::Number(groups),
            BuiltIn::SubgroupSize => {
                arguments.subgroup_size = Some(position);
                Argument::Number(0)
            }
            other => {
                if other == BuiltIn::LocalInvocationIndex {
                    local_index = Some(next);
                }
                kept.push(argument.clone());
                Argument::Keep(next)
            }
        });
    }
    arguments.local_index = match local_index {
        Some(index) => index,
        None => {
            let ty = module.types.insert(scalar_type(Scalar::U32), naga::Span::UNDEFINED);
            let binding = Some(Binding::BuiltIn(BuiltIn::LocalInvocationIndex));
            kept.push(FunctionArgument { name: Some("local_index".to_owned()), ty, binding });
            u32::try_from(kept.len() - 1).unwrap_or(u32::MAX)
        }
    };
    function.arguments = kept;
    Ok(arguments)
}
