//! Rules of instructions that only compute: what types they take, and what they make of them.

use super::body::{Body, Made};
use super::flaw::SpirvFlaw;
use super::ids::Ids;
use super::module::Module;
use super::op;
use super::types::{Id, Scalar, Type};
use super::words::Instruction;

/// From this version on, a truth value selects between whole composites.
const SPIRV_1_4: u32 = 0x0001_0400;

/// An instruction with a result.
pub(super) fn instruction(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
) -> Result<Made, SpirvFlaw> {
    let ([ty, id], operands) = one.at_least::<2>()?;
    module.is_data(one, ty)?;
    match one.opcode {
        op::UNDEF => {
            one.exactly::<2>()?;
        }
        op::COMPOSITE_CONSTRUCT => construct(body, module, one)?,
        op::COMPOSITE_EXTRACT | op::COMPOSITE_INSERT => extract_or_insert(body, module, one)?,
        op::VECTOR_SHUFFLE => shuffle(body, module, one)?,
        _ => {
            let mut types = Vec::with_capacity(operands.len());
            for operand in operands {
                types.push(body.type_of(module, one, *operand)?);
            }
            if one.opcode == op::SELECT && module.version < SPIRV_1_4 {
                let shape = |ty| module.ids.shape(ty).map(|(_, count)| count);
                let alike = types.first().is_some_and(|condition| shape(*condition) == shape(ty));
                one.ensure(alike && shape(ty).is_some(), "selects as only SPIR-V 1.4 can")?;
            }
            one.ensure(fits(&module.ids, one.opcode, ty, &types), "takes or makes a type that it must not")?;
        }
    }
    Ok(Made { ty, id, root: None })
}

/// Whether an instruction whose operands are all values makes `ty` of `types`.
fn fits(ids: &Ids, opcode: u16, ty: Id, types: &[Id]) -> bool {
    let Some((scalar, count)) = ids.shape(ty) else { return composite(ids, opcode, ty, types) };
    let shape = |n: usize| types.get(n).and_then(|ty| ids.shape(*ty));
    let is_float = matches!(scalar, Scalar::Float(_));
    let same = |n: usize| types.len() == n && types.iter().all(|one| *one == ty);
    let ints = |n: usize| types.len() == n && (0..n).all(|n| shape(n) == Some((Scalar::Int, count)));
    let one_to_one =
        |from: fn(Scalar) -> bool| types.len() == 1 && shape(0).is_some_and(|(of, n)| from(of) && n == count);
    let from_float: fn(Scalar) -> bool = |of| matches!(of, Scalar::Float(_));
    let from_int: fn(Scalar) -> bool = |of| of == Scalar::Int;
    let signed = |ty: Id| is_signed(ids, ty);
    match opcode {
        op::COPY_OBJECT => same(1),
        op::F_NEGATE => is_float && same(1),
        op::F_ADD | op::F_SUB | op::F_MUL | op::F_DIV | op::F_REM | op::F_MOD => is_float && same(2),
        op::S_NEGATE | op::NOT => scalar == Scalar::Int && ints(1),
        op::U_DIV | op::U_MOD => {
            scalar == Scalar::Int && ints(2) && types.iter().all(|ty| !signed(*ty)) && !signed(ty)
        }
        op::I_ADD | op::I_SUB | op::I_MUL | op::S_DIV | op::S_REM | op::S_MOD => {
            scalar == Scalar::Int && ints(2)
        }
        op::SHIFT_RIGHT_LOGICAL..=op::SHIFT_LEFT_LOGICAL | op::BITWISE_OR..=op::BITWISE_AND => {
            scalar == Scalar::Int && ints(2)
        }
        op::BIT_FIELD_INSERT => {
            let base = types.len() == 4 && types[..2].iter().all(|one| *one == ty);
            base && scalar == Scalar::Int && shape(2) == INT && shape(3) == INT
        }
        op::BIT_FIELD_S_EXTRACT | op::BIT_FIELD_U_EXTRACT => {
            let base = types.len() == 3 && types[0] == ty;
            base && scalar == Scalar::Int && shape(1) == INT && shape(2) == INT
        }
        op::BIT_REVERSE => scalar == Scalar::Int && same(1),
        op::BIT_COUNT => scalar == Scalar::Int && ints(1),
        op::VECTOR_TIMES_SCALAR => {
            is_float && count > 1 && types.len() == 2 && types[0] == ty && shape(1) == Some((scalar, 1))
        }
        op::DOT => {
            let vectors = types.len() == 2 && types[0] == types[1];
            is_float && count == 1 && vectors && shape(0).is_some_and(|(of, n)| of == scalar && n > 1)
        }
        op::ANY | op::ALL => {
            let vector = shape(0).is_some_and(|(of, n)| of == Scalar::Bool && n > 1);
            scalar == Scalar::Bool && count == 1 && types.len() == 1 && vector
        }
        op::IS_NAN | op::IS_INF => scalar == Scalar::Bool && one_to_one(from_float),
        op::LOGICAL_EQUAL..=op::LOGICAL_AND => scalar == Scalar::Bool && same(2),
        op::LOGICAL_NOT => scalar == Scalar::Bool && same(1),
        op::SELECT => {
            let condition = [Some((Scalar::Bool, count)), Some((Scalar::Bool, 1))].contains(&shape(0));
            types.len() == 3 && condition && types[1] == ty && types[2] == ty
        }
        op::I_EQUAL..=op::S_LESS_THAN_EQUAL => scalar == Scalar::Bool && ints(2),
        op::F_ORD_EQUAL..=op::F_UNORD_GREATER_THAN_EQUAL => {
            let alike = types.len() == 2 && types[0] == types[1];
            scalar == Scalar::Bool && alike && shape(0).is_some_and(|(of, n)| from_float(of) && n == count)
        }
        op::CONVERT_F_TO_U => scalar == Scalar::Int && !signed(ty) && one_to_one(from_float),
        op::CONVERT_F_TO_S => scalar == Scalar::Int && one_to_one(from_float),
        op::CONVERT_S_TO_F | op::CONVERT_U_TO_F => is_float && one_to_one(from_int),
        op::F_CONVERT => is_float && one_to_one(from_float) && shape(0) != Some((scalar, count)),
        op::QUANTIZE_TO_F16 => scalar == Scalar::Float(32) && same(1),
        op::BITCAST => {
            let from = shape(0).and_then(|(of, n)| Some(bits(of)? * n));
            types.len() == 1 && from.is_some() && from == bits(scalar).map(|bits| bits * count)
        }
        op::VECTOR_EXTRACT_DYNAMIC => {
            types.len() == 2
                && shape(1) == INT
                && matches!(ids.ty(types[0]), Some(Type::Vector { of, .. }) if *of == ty)
        }
        op::VECTOR_INSERT_DYNAMIC => {
            let vector = matches!(ids.ty(ty), Some(Type::Vector { of, .. }) if types.get(1) == Some(of));
            types.len() == 3 && vector && types[0] == ty && shape(2) == INT
        }
        _ => false,
    }
}

const INT: Option<(Scalar, u32)> = Some((Scalar::Int, 1));

fn bits(scalar: Scalar) -> Option<u32> {
    match scalar {
        Scalar::Bool => None,
        Scalar::Int => Some(32),
        Scalar::Float(bits) => Some(bits),
    }
}

/// Whether integers of `ty` have a sign.
pub(super) fn is_signed(ids: &Ids, ty: Id) -> bool {
    match ids.ty(ty) {
        Some(Type::Int { signed }) => *signed,
        Some(Type::Vector { of, .. }) => matches!(ids.ty(*of), Some(Type::Int { signed: true })),
        _ => false,
    }
}

/// The few instructions that make structures, arrays or matrices.
fn composite(ids: &Ids, opcode: u16, ty: Id, types: &[Id]) -> bool {
    let same = |n: usize| types.len() == n && types.iter().all(|one| *one == ty);
    match (opcode, ids.ty(ty)) {
        (op::COPY_OBJECT, _) => same(1),
        (op::SELECT, _) => {
            types.len() == 3 && ids.scalar(types[0]) == Some(Scalar::Bool) && types[1..] == [ty, ty]
        }
        (op::I_ADD_CARRY..=op::S_MUL_EXTENDED, Some(Type::Struct { members })) => {
            let ints =
                members.first().and_then(|one| ids.shape(*one)).is_some_and(|(of, _)| of == Scalar::Int);
            ints && types.len() == 2
                && members.len() == 2
                && [&members[..], types].concat().iter().all(|one| *one == members[0])
        }
        (op::F_NEGATE, Some(Type::Cooperative(_))) => same(1),
        (op::F_ADD | op::F_SUB | op::F_MUL | op::F_DIV, Some(Type::Cooperative(_))) => same(2),
        (op::MATRIX_TIMES_SCALAR, Some(Type::Cooperative(matrix))) => types == [ty, matrix.of],
        (op::F_CONVERT, Some(Type::Cooperative(to))) => {
            let from = types.first().and_then(|ty| ids.cooperative(*ty));
            types.len() == 1
                && from.is_some_and(|from| {
                    (from.rows, from.columns, from.usage) == (to.rows, to.columns, to.usage)
                        && ids.scalar(from.of) != ids.scalar(to.of)
                })
        }
        _ => false,
    }
}

fn construct(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    let ([ty, _], members) = one.at_least::<2>()?;
    let mut types = Vec::with_capacity(members.len());
    for member in members {
        types.push(body.type_of(module, one, *member)?);
    }
    if let Some(Type::Vector { of, count }) = module.ids.ty(ty) {
        // A vector is also made of shorter ones.
        let parts = types.iter().map(|part| match module.ids.ty(*part) {
            Some(Type::Vector { of: part, count }) if part == of => *count,
            _ if part == of => 1,
            _ => u32::MAX,
        });
        let sum = parts.fold(0_u32, u32::saturating_add);
        return one.ensure(sum == *count && types.len() > 1, "is made of other members than its type has");
    }
    module.has_members(one, ty, &types)
}

/// The type that `path` leads to from a composite of type `ty`.
fn member(ids: &Ids, mut ty: Id, path: &[u32]) -> Option<Id> {
    for &index in path {
        ty = match ids.ty(ty)? {
            Type::Vector { of, count } | Type::Array { of, count } if index < *count => *of,
            Type::Struct { members } => *members.get(index as usize)?,
            _ => return None,
        };
    }
    Some(ty)
}

fn extract_or_insert(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    let insert = one.opcode == op::COMPOSITE_INSERT;
    let ([ty, _, first], rest) = one.at_least::<3>()?;
    let first = body.type_of(module, one, first)?;
    let (found, expected, path) = match rest.split_first() {
        Some((composite, path)) if insert => {
            let composite = body.type_of(module, one, *composite)?;
            one.ensure(composite == ty, "takes or makes a type that it must not")?;
            (member(&module.ids, composite, path), first, path)
        }
        _ => (member(&module.ids, first, rest), ty, rest),
    };
    one.ensure(
        !path.is_empty() && found == Some(expected),
        "names a member that is not there or of another type",
    )
}

fn shuffle(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    const UNDEFINED: u32 = u32::MAX;
    let ([ty, _, a, b], picked) = one.at_least::<4>()?;
    let (a, b) = (body.type_of(module, one, a)?, body.type_of(module, one, b)?);
    let (Some(Type::Vector { of: of_a, count: n }), Some(Type::Vector { of: of_b, count: m })) =
        (module.ids.ty(a), module.ids.ty(b))
    else {
        return Err(one.flaw("takes what is no vector"));
    };
    let Some(Type::Vector { of, count }) = module.ids.ty(ty) else {
        return Err(one.flaw("makes what is no vector"));
    };
    let inside = picked.iter().all(|at| *at == UNDEFINED || *at < n + m);
    let fits = of == of_a && of == of_b && picked.len() == *count as usize && inside;
    one.ensure(fits, "picks components that are not there or of another type")
}
