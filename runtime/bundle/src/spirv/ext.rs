//! The extended instructions `GLSL.std.450`.

use super::body::{Body, Made};
use super::flaw::SpirvFlaw;
use super::ids::{Definition, Ids};
use super::module::Module;
use super::rules::is_signed;
use super::types::{Id, Scalar, Type};
use super::words::Instruction;

/// A call of one of them.
pub(super) fn instruction(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
) -> Result<Made, SpirvFlaw> {
    let ([ty, id, set, number], operands) = one.at_least::<4>()?;
    one.ensure(matches!(module.ids.get(set), Some(Definition::Glsl)), "is of a set that is not imported")?;
    module.is_data(one, ty)?;
    let mut types = Vec::with_capacity(operands.len());
    for operand in operands {
        types.push(body.type_of(module, one, *operand)?);
    }
    one.ensure(fits(&module.ids, number, ty, &types), "calls a function that takes or makes other types")?;
    Ok(Made { ty, id, root: None })
}

/// Whether function `number` makes `ty` of `types`. Numbers are those of the specification.
fn fits(ids: &Ids, number: u32, ty: Id, types: &[Id]) -> bool {
    let shape = |n: usize| types.get(n).and_then(|ty| ids.shape(*ty));
    let same = |n: usize| types.len() == n && types.iter().all(|one| *one == ty);
    let Some((scalar, count)) = ids.shape(ty) else { return splits(ids, number, ty, types) };
    let is_float = matches!(scalar, Scalar::Float(_));
    let is_int = scalar == Scalar::Int;
    let ints =
        |n: usize| is_int && types.len() == n && (0..n).all(|n| shape(n) == Some((Scalar::Int, count)));
    let packs = |width: u32| {
        let vector = shape(0) == Some((Scalar::Float(32), width));
        types.len() == 1 && vector && is_int && count == 1 && !is_signed(ids, ty)
    };
    let unpacks = |width: u32| {
        types.len() == 1
            && shape(0) == Some((Scalar::Int, 1))
            && (scalar, count) == (Scalar::Float(32), width)
    };
    match number {
        // Round, RoundEven, Trunc, FAbs; FSign; Floor to Tan and on to Atanh; Exp to InverseSqrt.
        1..=4 | 6 | 8..=24 | 27..=32 => is_float && same(1),
        // Normalize.
        69 => is_float && same(1),
        // SAbs, SSign; FindILsb, FindSMsb, FindUMsb.
        5 | 7 | 73..=75 => ints(1),
        // Atan2, Pow, FMin, FMax, Step, NMin, NMax.
        25 | 26 | 37 | 40 | 48 | 79 | 80 => is_float && same(2),
        // UMin, SMin, UMax, SMax.
        38 | 39 | 41 | 42 => ints(2),
        // FClamp, FMix, SmoothStep, Fma, NClamp.
        43 | 46 | 49 | 50 | 81 => is_float && same(3),
        // UClamp, SClamp.
        44 | 45 => ints(3),
        // Ldexp.
        53 => is_float && types.len() == 2 && types[0] == ty && shape(1) == Some((Scalar::Int, count)),
        // PackSnorm4x8, PackUnorm4x8.
        54 | 55 => packs(4),
        // PackSnorm2x16, PackUnorm2x16, PackHalf2x16.
        56..=58 => packs(2),
        // UnpackSnorm2x16, UnpackUnorm2x16, UnpackHalf2x16.
        60..=62 => unpacks(2),
        // UnpackSnorm4x8, UnpackUnorm4x8.
        63 | 64 => unpacks(4),
        // Length, Distance.
        66 => is_float && count == 1 && types.len() == 1 && of(shape(0), scalar),
        67 => is_float && count == 1 && types.len() == 2 && types[0] == types[1] && of(shape(0), scalar),
        // Cross.
        68 => is_float && count == 3 && same(2),
        _ => false,
    }
}

fn of(shape: Option<(Scalar, u32)>, scalar: Scalar) -> bool {
    shape.is_some_and(|(one, _)| one == scalar)
}

/// ModfStruct and FrexpStruct.
fn splits(ids: &Ids, number: u32, ty: Id, types: &[Id]) -> bool {
    let (Some(Type::Struct { members }), [from]) = (ids.ty(ty), types) else { return false };
    let [first, second] = members[..] else { return false };
    let Some((Scalar::Float(_), count)) = ids.shape(*from) else { return false };
    let exponents = ids.shape(second) == Some((Scalar::Int, count));
    first == *from && ((number == 36 && second == *from) || (number == 52 && exponents))
}
