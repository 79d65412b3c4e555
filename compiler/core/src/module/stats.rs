//! What a module needs of a device, read off the module itself.

use std::collections::BTreeSet;

use naga::{AddressSpace, Barrier, Binding, BuiltIn, Expression, Module, Scalar, Statement, Type, TypeInner};

use super::{Specialized, coop, coop::CooperativeShape, operands};

/// Needs of a specialised module; a variant's predicates are made from these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of workgroup memory.
    pub shared_bytes: u32,
    /// Whether it uses subgroup operations, subgroup builtins or subgroup barriers.
    pub uses_subgroups: bool,
    /// Whether it computes with or stores f16 values.
    pub uses_f16: bool,
    /// Shapes of its cooperative matrix products, sorted, each once.
    pub cooperative: Vec<CooperativeShape>,
    /// Whether a cooperative load or store goes through an array of vectors. Its stride then counts vectors, which
    /// SPIR-V supports and MSL does not.
    pub cooperative_vectors: bool,
}

/// Reads the needs of `done`.
pub fn stats(done: &Specialized) -> Stats {
    let module = &done.module;
    let entries = || module.entry_points.iter().enumerate();
    let cooperative: BTreeSet<CooperativeShape> = entries()
        .flat_map(|(index, entry)| coop::shapes(module, &entry.function, done.info.get_entry_point(index)))
        .collect();
    Stats {
        shared_bytes: shared_bytes(module),
        uses_subgroups: entries().any(|(_, entry)| uses_subgroups(module, &entry.function)),
        uses_f16: module.types.iter().any(|(_, ty)| ty.inner.scalar() == Some(Scalar::F16)),
        cooperative: cooperative.into_iter().collect(),
        cooperative_vectors: entries().any(|(index, entry)| {
            coop::reads_vectors(module, &entry.function, done.info.get_entry_point(index))
        }),
    }
}

fn shared_bytes(module: &Module) -> u32 {
    let shared =
        module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    // Each variable starts at a multiple of the largest alignment that WGSL has.
    shared
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16))
        .sum()
}

fn uses_subgroups(module: &Module, function: &naga::Function) -> bool {
    let is_subgroup = |binding: Option<&Binding>| {
        matches!(
            binding,
            Some(Binding::BuiltIn(
                BuiltIn::NumSubgroups
                    | BuiltIn::SubgroupId
                    | BuiltIn::SubgroupSize
                    | BuiltIn::SubgroupInvocationId
            ))
        )
    };
    let of_type = |ty: &Type| match &ty.inner {
        TypeInner::Struct { members, .. } => {
            members.iter().any(|member| is_subgroup(member.binding.as_ref()))
        }
        _ => false,
    };
    let mut found = function
        .arguments
        .iter()
        .any(|argument| is_subgroup(argument.binding.as_ref()) || of_type(&module.types[argument.ty]));
    operands::each_statement(&function.body, &mut |statement| {
        found |= match statement {
            Statement::SubgroupBallot { .. }
            | Statement::SubgroupGather { .. }
            | Statement::SubgroupCollectiveOperation { .. }
            | Statement::CooperativeStore { .. } => true,
            Statement::ControlBarrier(barrier) | Statement::MemoryBarrier(barrier) => {
                barrier.contains(Barrier::SUB_GROUP)
            }
            Statement::Emit(range) => range
                .clone()
                .any(|handle| matches!(function.expressions[handle], Expression::CooperativeLoad { .. })),
            _ => false,
        };
    });
    found
}
