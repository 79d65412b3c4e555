//! Types of a module and how large they are, with the layout that is written down and with the one that drivers choose.

use super::decorations::Decorations;
use super::flaw::SpirvFlaw;
use super::ids::Ids;
use super::op::{self, storage};
use super::words::Instruction;

pub(super) type Id = u32;

/// Most bytes of a value that an instruction makes, and of all private variables: kernels keep some kilobytes in registers.
pub(super) const VALUE_BYTES: u64 = 1 << 18;

/// Members of all structures on the way to a scalar: kernels nest three deep.
const NESTING: u32 = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Void,
    Bool,
    /// 32 bits.
    Int {
        signed: bool,
    },
    /// 16 or 32 bits.
    Float {
        bits: u32,
    },
    Vector {
        of: Id,
        count: u32,
    },
    Array {
        of: Id,
        count: u32,
    },
    RuntimeArray {
        of: Id,
    },
    Struct {
        members: Vec<Id>,
    },
    Pointer {
        class: u32,
        to: Id,
    },
    Function {
        result: Id,
        parameters: Vec<Id>,
    },
    Image(Image),
    Cooperative(Cooperative),
}

/// An image without depth or samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Type of a channel.
    pub(super) of: Id,
    pub(super) dim: Dim,
    /// Written, with a format; read without one otherwise.
    pub(super) format: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    D2,
    Array,
    D3,
    Buffer,
}

/// A cooperative matrix of a subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cooperative {
    pub(super) of: Id,
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// 0 for A, 1 for B, 2 for sums.
    pub(super) usage: u32,
}

/// Bytes and alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) size: u64,
    pub(super) align: u64,
}

/// What is known of a type's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// As its decorations say; none where they do not say it all.
    pub(super) explicit: Option<Layout>,
    /// As drivers lay out what has no decorations, with padding.
    pub(super) natural: Option<Layout>,
    /// Ends in an array whose length the binding tells.
    pub(super) open: bool,
    /// All array strides suit a uniform buffer.
    pub(super) uniform: bool,
    /// Holds 16-bit values.
    pub(super) f16: bool,
    nesting: u32,
}

/// Channel or component types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int,
    Float(u32),
}

/// The type that `one` declares, and its memory.
pub(super) fn declared(
    ids: &Ids,
    decorations: &Decorations,
    one: &Instruction<'_>,
) -> Result<(Id, Type, Memory), SpirvFlaw> {
    let ([id], rest) = one.at_least::<1>()?;
    let ty = match one.opcode {
        op::TYPE_VOID => one.exactly::<1>().map(|_| Type::Void)?,
        op::TYPE_BOOL => one.exactly::<1>().map(|_| Type::Bool)?,
        op::TYPE_INT => {
            let [_, bits, signed] = one.exactly()?;
            one.ensure(bits == 32 && signed < 2, "is no 32-bit integer")?;
            Type::Int { signed: signed == 1 }
        }
        op::TYPE_FLOAT => {
            let [_, bits] = one.exactly()?;
            one.ensure(bits == 16 || bits == 32, "is neither a 16-bit nor a 32-bit float")?;
            Type::Float { bits }
        }
        op::TYPE_VECTOR => {
            let [_, of, count] = one.exactly()?;
            one.ensure(
                ids.scalar(of).is_some() && (2..=4).contains(&count),
                "is no vector of 2 to 4 scalars",
            )?;
            Type::Vector { of, count }
        }
        op::TYPE_ARRAY => {
            let [_, of, length] = one.exactly()?;
            element(ids, one, of)?;
            let count = ids.literal(length).filter(|count| *count > 0);
            Type::Array { of, count: count.ok_or_else(|| one.flaw("has no constant length above zero"))? }
        }
        op::TYPE_RUNTIME_ARRAY => {
            let [_, of] = one.exactly()?;
            element(ids, one, of)?;
            Type::RuntimeArray { of }
        }
        op::TYPE_STRUCT => {
            rest.iter().try_for_each(|of| ids.memory(*of).map(|_| ()).ok_or_else(|| one.flaw(NO_MEMBER)))?;
            Type::Struct { members: rest.to_vec() }
        }
        op::TYPE_POINTER => {
            let [_, class, to] = one.exactly()?;
            pointer(ids, one, class, to)?;
            Type::Pointer { class, to }
        }
        op::TYPE_FUNCTION => {
            let ([_, result], parameters) = one.at_least::<2>()?;
            one.ensure(ids.ty(result).is_some(), "names a result that is no type")?;
            let passed =
                |id: &Id| ids.ty(*id).is_some_and(|ty| !matches!(ty, Type::Void | Type::Function { .. }));
            one.ensure(parameters.iter().all(passed), "names a parameter that is no type of values")?;
            Type::Function { result, parameters: parameters.to_vec() }
        }
        op::TYPE_IMAGE => Type::Image(image(ids, one)?),
        op::TYPE_COOPERATIVE_MATRIX => Type::Cooperative(cooperative(ids, one)?),
        _ => return Err(one.flaw("declares a type that no kernel may have")),
    };
    let memory = memory(ids, decorations, one, id, &ty)?;
    Ok((id, ty, memory))
}

const NO_MEMBER: &str = "holds a type that has no size";

fn element(ids: &Ids, one: &Instruction<'_>, of: Id) -> Result<(), SpirvFlaw> {
    one.ensure(ids.memory(of).is_some_and(|memory| !memory.open), NO_MEMBER)
}

fn pointer(ids: &Ids, one: &Instruction<'_>, class: u32, to: Id) -> Result<(), SpirvFlaw> {
    let image = matches!(ids.ty(to), Some(Type::Image(_)));
    let fits = match class {
        storage::UNIFORM_CONSTANT => image,
        storage::INPUT
        | storage::UNIFORM
        | storage::WORKGROUP
        | storage::PRIVATE
        | storage::FUNCTION
        | storage::STORAGE_BUFFER => {
            ids.memory(to).is_some() || matches!(ids.ty(to), Some(Type::Cooperative(_)))
        }
        _ => return Err(one.flaw("has a storage class that no kernel may use")),
    };
    one.ensure(fits, "points to a type that its storage class does not hold")
}

fn image(ids: &Ids, one: &Instruction<'_>) -> Result<Image, SpirvFlaw> {
    let [_, of, dim, depth, arrayed, samples, sampled, format] = one.exactly()?;
    one.ensure(depth == 0 && samples == 0, "is an image with depth or samples")?;
    let dim = match (dim, arrayed) {
        (1, 0) => Dim::D2,
        (1, 1) => Dim::Array,
        (2, 0) => Dim::D3,
        (5, 0) => Dim::Buffer,
        _ => return Err(one.flaw("is an image of dimensions that no kernel may use")),
    };
    let channel = ids.ty(of);
    let known = matches!(channel, Some(Type::Float { bits: 32 } | Type::Int { .. }));
    one.ensure(known, "is an image of channels that no kernel may use")?;
    let format = match (sampled, format) {
        (1, 0) => None,
        // Rgba32f, Rgba16f, Rgba32i, Rgba32ui.
        (2, 1 | 2) if matches!(channel, Some(Type::Float { .. })) => Some(format),
        (2, 21) if channel == Some(&Type::Int { signed: true }) => Some(format),
        (2, 30) if channel == Some(&Type::Int { signed: false }) => Some(format),
        _ => return Err(one.flaw("is an image of a format that no kernel may use")),
    };
    Ok(Image { of, dim, format })
}

fn cooperative(ids: &Ids, one: &Instruction<'_>) -> Result<Cooperative, SpirvFlaw> {
    let [_, of, scope, rows, columns, usage] = one.exactly()?;
    let literal =
        |id| ids.literal(id).ok_or_else(|| one.flaw("has a size, scope or use that is no constant"));
    one.ensure(matches!(ids.scalar(of), Some(Scalar::Float(_))), "is a matrix of other than floats")?;
    one.ensure(literal(scope)? == 3, "is no matrix of a subgroup")?;
    let (rows, columns, usage) = (literal(rows)?, literal(columns)?, literal(usage)?);
    let sizes = [rows, columns].iter().all(|size| (1..=256).contains(size));
    one.ensure(sizes && usage < 3, "is a matrix of a size or use that no device has")?;
    Ok(Cooperative { of, rows, columns, usage })
}

fn memory(
    ids: &Ids,
    decorations: &Decorations,
    one: &Instruction<'_>,
    id: Id,
    ty: &Type,
) -> Result<Memory, SpirvFlaw> {
    let of = |id: Id| ids.memory(id).copied().unwrap_or_default();
    let plain = |size, align| {
        let layout = Some(Layout { size, align });
        Memory { explicit: layout, natural: layout, uniform: true, ..Memory::default() }
    };
    Ok(match *ty {
        Type::Bool => Memory { explicit: None, ..plain(4, 4) },
        Type::Int { .. } => plain(4, 4),
        Type::Float { bits } => Memory { f16: bits == 16, ..plain(u64::from(bits / 8), u64::from(bits / 8)) },
        Type::Vector { of: scalar, count } => {
            let scalar = of(scalar);
            let size = scalar.natural.map_or(4, |layout| layout.size);
            let align = size * if count == 2 { 2 } else { 4 };
            let vector = plain(size * u64::from(count), align);
            Memory { explicit: scalar.explicit.and(vector.explicit), f16: scalar.f16, ..vector }
        }
        Type::Array { of: element, count } => {
            let stride = decorations.of(id).array_stride;
            array(one, of(element), count, stride)?
        }
        Type::RuntimeArray { of: element } => {
            let stride = decorations.of(id).array_stride;
            Memory { natural: None, open: true, ..array(one, of(element), 0, stride)? }
        }
        Type::Struct { ref members } => structure(ids, decorations, one, id, members)?,
        Type::Void | Type::Pointer { .. } | Type::Function { .. } | Type::Image(_) | Type::Cooperative(_) => {
            Memory::default()
        }
    })
}

/// Saturates: sizes that no memory has may be stated.
fn round_up(size: u64, align: u64) -> u64 {
    size.checked_next_multiple_of(align).unwrap_or(u64::MAX)
}

fn array(one: &Instruction<'_>, of: Memory, count: u32, stride: Option<u32>) -> Result<Memory, SpirvFlaw> {
    let times = |stride: u64| stride.saturating_mul(count.into());
    let explicit = match (stride, of.explicit) {
        (Some(stride), Some(element)) => {
            let stride = u64::from(stride);
            let fits = stride >= element.size && stride.is_multiple_of(element.align) && stride > 0;
            one.ensure(fits, "has a stride that its elements do not fit")?;
            Some(Layout { size: times(stride), align: element.align })
        }
        _ => None,
    };
    let natural = of
        .natural
        .map(|element| Layout { size: times(round_up(element.size, element.align)), align: element.align });
    one.ensure(of.nesting < NESTING, "nests too deep")?;
    let uniform = of.uniform && stride.is_none_or(|stride| stride.is_multiple_of(16));
    Ok(Memory { explicit, natural, open: false, uniform, f16: of.f16, nesting: of.nesting + 1 })
}

fn structure(
    ids: &Ids,
    decorations: &Decorations,
    one: &Instruction<'_>,
    id: Id,
    members: &[Id],
) -> Result<Memory, SpirvFlaw> {
    let empty = Some(Layout { size: 0, align: 1 });
    let mut whole = Memory { explicit: empty, natural: empty, uniform: true, ..Memory::default() };
    for (index, member) in (0..).zip(members) {
        let of = ids.memory(*member).copied().unwrap_or_default();
        one.ensure(!whole.open, "has a member after one without a length")?;
        one.ensure(of.nesting < NESTING, "nests too deep")?;
        let offset = decorations.member(id, index).offset;
        whole.explicit = match (whole.explicit, of.explicit, offset) {
            (Some(before), Some(layout), Some(offset)) => {
                let offset = u64::from(offset);
                let fits = offset >= before.size && offset.is_multiple_of(layout.align);
                one.ensure(fits, "has a member that overlaps another or is not aligned")?;
                Some(Layout {
                    size: offset.saturating_add(layout.size),
                    align: before.align.max(layout.align),
                })
            }
            _ => None,
        };
        whole.natural = match (whole.natural, of.natural) {
            (Some(before), Some(layout)) => Some(Layout {
                size: round_up(before.size, layout.align).saturating_add(layout.size),
                align: before.align.max(layout.align),
            }),
            _ => None,
        };
        whole.open = of.open;
        whole.uniform &= of.uniform;
        whole.f16 |= of.f16;
        whole.nesting = whole.nesting.max(of.nesting + 1);
    }
    Ok(whole)
}
