//! What a module declares to the outside: descriptors, workgroup memory, built-in inputs and needs.

use std::collections::BTreeSet;

use super::flaw::SpirvFlaw;
use super::module::{Global, Module};
use super::op::{capability, storage};
use super::types::{Dim, Id, Image, Type};
use crate::code::{Channel, Declared, Kind, Needs, Numbering, Resource};
use crate::manifest::{DeviceElement, TextureKind};

/// Variables of workgroup memory start at multiples of this, whatever a driver does.
const SHARED_ALIGNMENT: u64 = 16;

/// The interface of a module that has been walked.
pub(super) fn of(module: &Module) -> Result<Declared, SpirvFlaw> {
    let missing = |what| SpirvFlaw::Missing { what };
    let mut resources = Vec::new();
    let mut shared_bytes = 0_u64;
    let mut built_ins = BTreeSet::new();
    for (id, global) in &module.globals {
        match global.class {
            storage::WORKGROUP => {
                let layout = module.ids.memory(global.ty).and_then(|memory| memory.natural);
                let layout = layout.ok_or(missing("size of a variable in workgroup memory"))?;
                let start = shared_bytes.checked_next_multiple_of(SHARED_ALIGNMENT);
                let end = start.and_then(|start| start.checked_add(layout.size));
                shared_bytes = end.ok_or(missing("end of workgroup memory"))?;
            }
            storage::PRIVATE => {}
            storage::INPUT => {
                input(module, *id, global)?;
                if !built_ins.insert(module.decorations.of(*id).built_in) {
                    return Err(missing("single variable for a built-in value"));
                }
            }
            _ => resources.push(resource(module, *id, global)?),
        }
    }
    let entry_point = module.entry_point.as_ref().ok_or(missing("entry point"))?;
    Ok(Declared {
        entry_point: entry_point.name.clone(),
        workgroup_size: Some(module.workgroup_size.ok_or(missing("workgroup size"))?),
        invocations: None,
        shared_bytes: Some(shared_bytes),
        resources,
        numbering: Numbering::Pairs,
        needs: needs(module),
    })
}

/// Inputs are built-in values, of the types that they have.
fn input(module: &Module, id: Id, global: &Global) -> Result<(), SpirvFlaw> {
    let subgroups = module.has(capability::GROUP_NON_UNIFORM);
    let ty = module.ids.ty(global.ty);
    let uint = |ty| module.ids.ty(ty) == Some(&Type::Int { signed: false });
    let fits = match module.decorations.of(id).built_in {
        // NumWorkgroups, WorkgroupId, LocalInvocationId, GlobalInvocationId.
        Some(24 | 26..=28) => matches!(ty, Some(Type::Vector { of, count: 3 }) if uint(*of)),
        // LocalInvocationIndex.
        Some(29) => uint(global.ty),
        // SubgroupSize, NumSubgroups, SubgroupId, SubgroupLocalInvocationId.
        Some(36 | 38 | 40 | 41) => subgroups && uint(global.ty),
        _ => false,
    };
    if fits { Ok(()) } else { Err(SpirvFlaw::Missing { what: "built-in value of its type behind an input" }) }
}

fn resource(module: &Module, id: Id, global: &Global) -> Result<Resource, SpirvFlaw> {
    let missing = |what| SpirvFlaw::Missing { what };
    let decorated = module.decorations.of(id);
    let group = decorated.descriptor_set.ok_or(missing("descriptor set of a resource"))?;
    let binding = decorated.binding.ok_or(missing("binding of a resource"))?;
    let kind = match module.ids.image(global.ty) {
        Some(image) => image_kind(module, image),
        None => {
            let memory = module.ids.memory(global.ty).copied().unwrap_or_default();
            let uniform = global.class == storage::UNIFORM;
            let is_struct = matches!(module.ids.ty(global.ty), Some(Type::Struct { .. }));
            let block = is_struct && module.decorations.of(global.ty).block;
            let layout = memory.explicit.filter(|_| block && (!uniform || (memory.uniform && !memory.open)));
            let layout = layout.ok_or(missing("block with a layout behind a buffer"))?;
            let allows_f16 = if uniform {
                module.has(capability::UNIFORM_AND_STORAGE_BUFFER_16BIT)
            } else {
                module.has(capability::STORAGE_BUFFER_16BIT)
                    || module.has(capability::UNIFORM_AND_STORAGE_BUFFER_16BIT)
            };
            if memory.f16 && !allows_f16 {
                return Err(missing("capability for a buffer of 16-bit values"));
            }
            let bytes = Some(layout.size);
            if uniform { Kind::Uniform { bytes } } else { Kind::Storage { bytes } }
        }
    };
    Ok(Resource { group, binding, kind, writable: Some(global.writable) })
}

fn image_kind(module: &Module, image: Image) -> Kind {
    let channel = match (image.format, module.ids.ty(image.of)) {
        (Some(1), _) => Channel::Exactly(DeviceElement::F32),
        (Some(2), _) => Channel::Exactly(DeviceElement::F16),
        (_, Some(Type::Int { signed: true })) => Channel::Exactly(DeviceElement::I32),
        (_, Some(Type::Int { signed: false })) => Channel::Exactly(DeviceElement::U32),
        _ => Channel::Float,
    };
    let texture = |kind| Kind::Texture { kind, channel };
    match image.dim {
        Dim::D2 => texture(TextureKind::D2),
        Dim::Array => texture(TextureKind::Array),
        Dim::D3 => texture(TextureKind::D3),
        Dim::Buffer => Kind::Texels { channel },
    }
}

fn needs(module: &Module) -> Needs {
    let element = |bits| if bits == 16 { DeviceElement::F16 } else { DeviceElement::F32 };
    let any = |capabilities: &[u32]| capabilities.iter().any(|one| module.has(*one));
    Needs {
        f16: any(&[
            capability::FLOAT16,
            capability::STORAGE_BUFFER_16BIT,
            capability::UNIFORM_AND_STORAGE_BUFFER_16BIT,
        ]),
        subgroups: any(&[
            capability::GROUP_NON_UNIFORM,
            capability::GROUP_VOTE,
            capability::GROUP_ARITHMETIC,
            capability::GROUP_BALLOT,
            capability::GROUP_SHUFFLE,
            capability::GROUP_SHUFFLE_RELATIVE,
            capability::GROUP_QUAD,
        ]),
        matrices: any(&[capability::COOPERATIVE_MATRIX, capability::VULKAN_MEMORY_MODEL]),
        products: module
            .products
            .iter()
            .map(|one| (one.m, one.n, one.k, element(one.ab_bits), element(one.c_bits)))
            .collect(),
    }
}
