//! Rules of one dispatch: each slot gets what it takes, and nothing is written that another slot touches.

use std::sync::Arc;

use crate::code::Declared;
use crate::error::Flaw;
use crate::format::ALIGNMENT_BYTES;
use crate::manifest::{
    BindingKind, BindingSlot, DeviceElement, Dispatch, Manifest, Resource, Target, TextureKind,
    TextureObject, Variant,
};

/// The list that a dispatch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Runs once, and may write derived blobs.
    Init,
    /// Runs at each replay.
    Run,
}

impl Program {
    /// A dispatch of it, in a message.
    pub(super) const fn dispatch_name(self) -> &'static str {
        match self {
            Self::Init => "init dispatch",
            Self::Run => "dispatch",
        }
    }
}

use super::hazard::place;
use super::{aligned, nonzero, range, variant};

/// Returns the slots of the dispatch's shader.
pub(super) fn dispatch<'a>(
    manifest: &'a Manifest,
    target: Target,
    variant: &Variant,
    (program, dispatch): (Program, &Dispatch),
) -> Result<&'a [BindingSlot], Flaw> {
    let shader = indexed("shader", &manifest.shaders, dispatch.shader)?;
    if shader.target != target {
        return Err(Flaw::ShaderTarget {
            shader: shader.name.clone(),
            found: shader.target,
            expected: target,
        });
    }
    nonzero("workgroup count", dispatch.workgroups)?;
    let (found, expected) = (dispatch.bindings.len(), shader.bindings.len());
    if found != expected {
        return Err(Flaw::BindingCount { shader: shader.name.clone(), found, expected });
    }
    for (slot, (declared, resource)) in shader.bindings.iter().zip(&dispatch.bindings).enumerate() {
        exists(manifest, variant, resource)?;
        accepts(variant, slot, declared, resource)?;
        may_write(program, slot, declared, resource)?;
    }
    no_overlap(&shader.bindings, &dispatch.bindings)?;
    Ok(&shader.bindings)
}

/// The variant requires of a device what the code of a dispatch needs. The shader must exist.
pub(super) fn is_required(
    manifest: &Manifest,
    declared: &[Arc<Declared>],
    variant: &Variant,
    dispatch: &Dispatch,
) -> Result<(), Flaw> {
    let code = indexed("shader", declared, dispatch.shader)?;
    match code.needs.unmet(&variant.requires) {
        Some(needed) => {
            let shader = indexed("shader", &manifest.shaders, dispatch.shader)?.name.clone();
            Err(Flaw::NotRequired { shader, needed })
        }
        None => Ok(()),
    }
}

fn indexed<'a, T>(what: &'static str, list: &'a [T], index: u32) -> Result<&'a T, Flaw> {
    list.get(index as usize).ok_or(Flaw::Index { what, index, count: list.len() })
}

/// The resource lies in what it points into.
fn exists(manifest: &Manifest, variant: &Variant, resource: &Resource) -> Result<(), Flaw> {
    match *resource {
        Resource::Arena { offset, size } | Resource::ArenaTexels { offset, size, .. } => {
            aligned("arena offset", offset, ALIGNMENT_BYTES)?;
            range(offset, size, "arena", variant.arena_bytes)
        }
        Resource::Weights { blob, offset, size } | Resource::WeightTexels { blob, offset, size, .. } => {
            let blob = indexed("weight", &manifest.weights, blob)?;
            aligned("offset in a weight", offset, ALIGNMENT_BYTES)?;
            range(offset, size, "weight", blob.size)
        }
        Resource::WeightTexture { blob, offset, texture } => {
            let blob = indexed("weight", &manifest.weights, blob)?;
            aligned("offset in a weight", offset, ALIGNMENT_BYTES)?;
            variant::texture(&texture)?;
            range(offset, texture.size_bytes(), "weight", blob.size)
        }
        Resource::Derived { blob, offset, size } | Resource::DerivedTexels { blob, offset, size, .. } => {
            let blob = indexed("derived blob", &variant.derived, blob)?;
            aligned("offset in a derived blob", offset, ALIGNMENT_BYTES)?;
            range(offset, size, "derived blob", *blob)
        }
        Resource::Texture(index) => indexed("texture", &variant.textures, index).map(|_| ()),
    }
}

/// Weights are never written, and derived blobs only by `init`.
fn may_write(program: Program, slot: usize, declared: &BindingSlot, resource: &Resource) -> Result<(), Flaw> {
    let derived = matches!(resource, Resource::Derived { .. } | Resource::DerivedTexels { .. });
    match declared.writable {
        true if resource.weight().is_some() => Err(Flaw::WritesWeights { slot }),
        true if derived && program == Program::Run => Err(Flaw::WritesDerived { slot }),
        _ => Ok(()),
    }
}

/// The slot takes this resource.
fn accepts(variant: &Variant, slot: usize, declared: &BindingSlot, resource: &Resource) -> Result<(), Flaw> {
    match (declared.kind, *resource) {
        (
            BindingKind::StorageBuffer { min_bytes } | BindingKind::UniformBuffer { min_bytes },
            Resource::Arena { size, .. } | Resource::Weights { size, .. } | Resource::Derived { size, .. },
        ) => {
            if size < min_bytes {
                Err(Flaw::TooSmall { slot, needed: min_bytes, size })
            } else {
                Ok(())
            }
        }
        (BindingKind::Texture { kind, element }, Resource::Texture(index)) => {
            same_texture(slot, (kind, element), indexed("texture", &variant.textures, index)?)
        }
        (BindingKind::Texture { kind, element }, Resource::WeightTexture { texture, .. }) => {
            same_texture(slot, (kind, element), &texture)
        }
        (
            BindingKind::ImageBuffer { element },
            Resource::ArenaTexels { element: bound, size, .. }
            | Resource::WeightTexels { element: bound, size, .. }
            | Resource::DerivedTexels { element: bound, size, .. },
        ) => {
            same_element(slot, element, bound)?;
            aligned("size of a texel range", size, element.texel_bytes())
        }
        (kind, resource) => {
            Err(Flaw::Kind { slot, expected: kind_name(kind), found: resource_name(resource) })
        }
    }
}

fn same_texture(
    slot: usize,
    (kind, element): (TextureKind, DeviceElement),
    texture: &TextureObject,
) -> Result<(), Flaw> {
    if kind != texture.kind {
        return Err(Flaw::TextureKind { slot, expected: kind, found: texture.kind });
    }
    same_element(slot, element, texture.element)
}

fn same_element(slot: usize, expected: DeviceElement, found: DeviceElement) -> Result<(), Flaw> {
    if expected == found { Ok(()) } else { Err(Flaw::Element { slot, expected, found }) }
}

fn no_overlap(slots: &[BindingSlot], resources: &[Resource]) -> Result<(), Flaw> {
    for second in 1..resources.len() {
        for first in 0..second {
            let written = slots[first].writable || slots[second].writable;
            if written && share_memory(&resources[first], &resources[second]) {
                return Err(Flaw::Overlap { first, second });
            }
        }
    }
    Ok(())
}

/// Whether two resources of a dispatch, one of which is written, meet.
fn share_memory(a: &Resource, b: &Resource) -> bool {
    match (place(a), place(b)) {
        (Some((a, a_range)), Some((b, b_range))) => {
            a == b && a_range.start < b_range.end && b_range.start < a_range.end
        }
        _ => false,
    }
}

const fn kind_name(kind: BindingKind) -> &'static str {
    match kind {
        BindingKind::StorageBuffer { .. } => "storage buffer",
        BindingKind::UniformBuffer { .. } => "uniform buffer",
        BindingKind::Texture { .. } => "texture",
        BindingKind::ImageBuffer { .. } => "texel buffer",
    }
}

const fn resource_name(resource: Resource) -> &'static str {
    match resource {
        Resource::Arena { .. } => "range of the arena",
        Resource::Weights { .. } => "range of a weight",
        Resource::Texture(_) => "texture",
        Resource::ArenaTexels { .. } => "texel range of the arena",
        Resource::WeightTexels { .. } => "texel range of a weight",
        Resource::WeightTexture { .. } => "texture of a weight",
        Resource::Derived { .. } => "range of a derived blob",
        Resource::DerivedTexels { .. } => "texel range of a derived blob",
    }
}
