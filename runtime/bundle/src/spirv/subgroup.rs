//! Rules of barriers, atomics and subgroup operations.

use super::body::{Body, Made};
use super::flaw::SpirvFlaw;
use super::module::Module;
use super::op::{self, capability, storage};
use super::types::{Id, Scalar, Type};
use super::words::Instruction;

const DEVICE: u32 = 1;
const WORKGROUP: u32 = 2;
const SUBGROUP: u32 = 3;

/// One of them.
pub(super) fn instruction(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
) -> Result<Option<Made>, SpirvFlaw> {
    match one.opcode {
        op::CONTROL_BARRIER => {
            let [execution, memory, semantics] = one.exactly()?;
            let execution = constant(module, one, execution)?;
            one.ensure(matches!(execution, WORKGROUP | SUBGROUP), "waits for more than a workgroup")?;
            barrier(module, one, semantics)?;
            orders(module, one, memory, semantics).map(|()| None)
        }
        op::MEMORY_BARRIER => {
            let [memory, semantics] = one.exactly()?;
            barrier(module, one, semantics)?;
            orders(module, one, memory, semantics).map(|()| None)
        }
        op::ATOMIC_STORE => {
            let [pointer, scope, semantics, value] = one.exactly()?;
            orders(module, one, scope, semantics)?;
            let held = atomic(body, module, one, pointer)?;
            let ty = body.type_of(module, one, value)?;
            one.ensure(ty == held, "stores another type than the pointer's").map(|()| None)
        }
        op::ATOMIC_LOAD | op::ATOMIC_EXCHANGE | op::ATOMIC_I_ADD..=op::ATOMIC_XOR => {
            let ([ty, id, pointer, scope, semantics], values) = one.at_least::<5>()?;
            orders(module, one, scope, semantics)?;
            let held = atomic(body, module, one, pointer)?;
            one.ensure(held == ty, "makes another type than the pointer's")?;
            let expected = usize::from(one.opcode != op::ATOMIC_LOAD);
            one.ensure(values.len() == expected, "has another number of operands")?;
            for value in values {
                let given = body.type_of(module, one, *value)?;
                one.ensure(given == ty, "takes another type than the pointer's")?;
            }
            Ok(Some(Made { ty, id, root: None }))
        }
        _ => group(body, module, one).map(Some),
    }
}

fn constant(module: &Module, one: &Instruction<'_>, id: Id) -> Result<u32, SpirvFlaw> {
    module.ids.literal(id).ok_or_else(|| one.flaw("names a scope or an order that is no constant"))
}

/// A scope and an order of memory that kernels use.
fn orders(module: &Module, one: &Instruction<'_>, scope: Id, semantics: Id) -> Result<(), SpirvFlaw> {
    /// Acquire, Release and both; buffers, subgroup, workgroup and image memory.
    const PLAIN: u32 = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x800;
    /// MakeAvailable and MakeVisible.
    const PUBLISHED: u32 = 0x2000 | 0x4000;
    let vulkan = module.has(capability::VULKAN_MEMORY_MODEL);
    let (scope, semantics) = (constant(module, one, scope)?, constant(module, one, semantics)?);
    let least = if vulkan { WORKGROUP } else { DEVICE };
    one.ensure((least..=SUBGROUP).contains(&scope), "is of a scope that no kernel may have")?;
    let known = if vulkan { PLAIN | PUBLISHED } else { PLAIN };
    let one_order = (semantics & 0xe).count_ones() <= 1;
    one.ensure(semantics & !known == 0 && one_order, "orders memory as no kernel may")
}

/// A barrier orders nothing, or some memory in some order.
fn barrier(module: &Module, one: &Instruction<'_>, semantics: Id) -> Result<(), SpirvFlaw> {
    const ORDERS: u32 = 0x2 | 0x4 | 0x8;
    const MEMORY: u32 = 0x40 | 0x80 | 0x100 | 0x800;
    let semantics = constant(module, one, semantics)?;
    let whole = semantics & ORDERS != 0 && semantics & MEMORY != 0;
    let nothing = semantics == 0 && one.opcode == op::CONTROL_BARRIER;
    one.ensure(whole || nothing, "orders no memory, or memory in no order")
}

/// What an atomic's pointer points to: an integer that all of the workgroup see.
fn atomic(body: &mut Body, module: &mut Module, one: &Instruction<'_>, pointer: Id) -> Result<Id, SpirvFlaw> {
    let value = body.operand(module, one, pointer)?;
    let (class, to) = module.ids.pointer(value.ty).ok_or_else(|| one.flaw("takes what is no pointer"))?;
    let shared = matches!(class, storage::WORKGROUP | storage::STORAGE_BUFFER);
    let int = matches!(module.ids.ty(to), Some(Type::Int { .. }));
    one.ensure(shared && int, "is atomic on what is no shared integer")?;
    let written = one.opcode == op::ATOMIC_LOAD || module.may_write(value.root);
    one.ensure(written, "writes what may only be read")?;
    Ok(to)
}

fn group(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, scope], rest) = one.at_least::<3>()?;
    module.is_data(one, ty)?;
    one.ensure(constant(module, one, scope)? == SUBGROUP, "is of other than a subgroup")?;
    let needed = match one.opcode {
        op::GROUP_ELECT => capability::GROUP_NON_UNIFORM,
        op::GROUP_ALL..=op::GROUP_ALL_EQUAL => capability::GROUP_VOTE,
        op::GROUP_BROADCAST..=op::GROUP_BALLOT => capability::GROUP_BALLOT,
        op::GROUP_SHUFFLE | 346 => capability::GROUP_SHUFFLE,
        347 | op::GROUP_SHUFFLE_DOWN => capability::GROUP_SHUFFLE_RELATIVE,
        op::GROUP_I_ADD..=op::GROUP_LOGICAL_XOR => capability::GROUP_ARITHMETIC,
        op::GROUP_QUAD_BROADCAST | op::GROUP_QUAD_SWAP => capability::GROUP_QUAD,
        _ => return Err(one.flaw("is an instruction that no kernel may have")),
    };
    one.ensure(module.has(needed), "needs a capability that is not declared")?;
    let arithmetic = (op::GROUP_I_ADD..=op::GROUP_LOGICAL_XOR).contains(&one.opcode);
    let values = if arithmetic {
        // Reduce and the two scans; a clustered one needs more.
        one.ensure(rest.first().is_some_and(|operation| *operation < 3), "is clustered or unknown")?;
        &rest[1..]
    } else {
        rest
    };
    let mut types = Vec::with_capacity(values.len());
    for value in values {
        types.push(body.type_of(module, one, *value)?);
    }
    let shape = |ty: Option<&Id>| ty.and_then(|ty| module.ids.shape(*ty));
    let made = module.ids.shape(ty);
    let uint =
        |n: usize| types.get(n).is_some_and(|ty| module.ids.ty(*ty) == Some(&Type::Int { signed: false }));
    let truth = Some((Scalar::Bool, 1));
    let fits = match one.opcode {
        op::GROUP_ELECT => made == truth && types.is_empty(),
        op::GROUP_ALL | op::GROUP_ANY => made == truth && shape(types.first()) == truth && types.len() == 1,
        op::GROUP_ALL_EQUAL => made == truth && shape(types.first()).is_some() && types.len() == 1,
        op::GROUP_BROADCAST_FIRST => made.is_some() && types == [ty],
        op::GROUP_BALLOT => {
            let unsigned = !super::rules::is_signed(&module.ids, ty);
            made == Some((Scalar::Int, 4)) && unsigned && types.len() == 1 && shape(types.first()) == truth
        }
        _ if arithmetic => types == [ty] && made.is_some_and(|(of, _)| reduces(one.opcode, of)),
        op::GROUP_BROADCAST | op::GROUP_QUAD_BROADCAST | op::GROUP_QUAD_SWAP => {
            let lane = module.ids.literal(values.get(1).copied().unwrap_or(0)).is_some();
            made.is_some() && types.len() == 2 && types[0] == ty && uint(1) && lane
        }
        _ => made.is_some() && types.len() == 2 && types[0] == ty && uint(1),
    };
    one.ensure(fits, "takes or makes a type that it must not")?;
    Ok(Made { ty, id, root: None })
}

/// Whether a reduction works on such values.
fn reduces(opcode: u16, scalar: Scalar) -> bool {
    match opcode {
        // FAdd, FMul, FMin, FMax.
        350 | 352 | 355 | 358 => matches!(scalar, Scalar::Float(_)),
        362..=op::GROUP_LOGICAL_XOR => scalar == Scalar::Bool,
        _ => scalar == Scalar::Int,
    }
}
