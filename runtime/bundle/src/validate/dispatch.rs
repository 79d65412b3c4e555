//! Rules of one dispatch: each slot gets what it takes, and nothing is written that another slot touches.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::code::Declared;
use crate::error::Flaw;
use crate::format::ALIGNMENT_BYTES;
use crate::limits;
use crate::manifest::{
    BindingKind, BindingSlot, DeviceElement, Dispatch, Manifest, RegionId, RegionKind, Resource, Target,
    TextureKind, TextureObject, Variant, View,
};

use super::{aligned, indexed, nonzero, range, region};

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

/// What a dispatch belongs to.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) target: Target,
    pub(super) variant: &'a Variant,
    /// Indices of the regions of their own that inputs are in.
    pub(super) inputs: &'a BTreeSet<u32>,
    pub(super) program: Program,
}

/// Returns the slots of the dispatch's shader.
pub(super) fn dispatch<'a>(context: Context<'a>, dispatch: &Dispatch) -> Result<&'a [BindingSlot], Flaw> {
    let Context { manifest, target, variant, .. } = context;
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
        exists(manifest, variant, slot, resource)?;
        accepts(slot, declared, &resource.view)?;
        may_touch(context, slot, declared, resource)?;
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

/// The resource is in what it points into, and is a texture where that is one.
fn exists(manifest: &Manifest, variant: &Variant, slot: usize, resource: &Resource) -> Result<(), Flaw> {
    let (kind, name, available) = match resource.region {
        RegionId::Variant(index) => {
            let region = indexed("region", &variant.regions, index)?;
            (Some(&region.kind), region.kind.name(), region.size)
        }
        RegionId::Weight(index) => (None, "weight", indexed("weight", &manifest.weights, index)?.size),
    };
    let (offset, size) = resource.view.range();
    aligned("offset of a view", offset, ALIGNMENT_BYTES)?;
    match (resource.view, kind) {
        (View::Texture { object, .. }, None) => region::texture(&object)?,
        (View::Texture { object, .. }, Some(RegionKind::Texture(own))) if object == *own => {}
        (View::Texture { .. }, Some(_)) | (_, Some(RegionKind::Texture(_))) => {
            return Err(Flaw::View { slot, view: resource.view.name(), region: name });
        }
        (View::Bytes { .. } | View::Texels { .. }, _) => {}
    }
    range(offset, size, name, available)
}

/// The slot may read the region, and write it if it writes.
fn may_touch(
    Context { variant, inputs, program, .. }: Context<'_>,
    slot: usize,
    declared: &BindingSlot,
    resource: &Resource,
) -> Result<(), Flaw> {
    let RegionId::Variant(index) = resource.region else {
        return may_write(slot, declared, Some("weights, which are read-only"));
    };
    let kind = &indexed("region", &variant.regions, index)?.kind;
    let only_runs = matches!(kind, RegionKind::State { .. } | RegionKind::Io | RegionKind::Params(_));
    if only_runs && program == Program::Init {
        return Err(Flaw::Init { slot, region: kind.name() });
    }
    let read_only = match kind {
        RegionKind::Params(_) if declared.group != limits::PARAMS_GROUP => {
            return Err(Flaw::ParamsGroup { slot, group: declared.group });
        }
        RegionKind::Params(_) => Some("parameters, which only the host writes"),
        RegionKind::Io if inputs.contains(&index) => {
            Some("the memory of an input alone, which only the host writes")
        }
        RegionKind::Derived if program == Program::Run => Some("a derived blob, which only `init` may write"),
        RegionKind::Arena
        | RegionKind::State { .. }
        | RegionKind::Io
        | RegionKind::Derived
        | RegionKind::Texture(_) => None,
    };
    may_write(slot, declared, read_only)
}

/// Refuses a slot that writes where there is a reason.
fn may_write(slot: usize, declared: &BindingSlot, reason: Option<&'static str>) -> Result<(), Flaw> {
    match reason {
        Some(reason) if declared.writable => Err(Flaw::Writes { slot, reason }),
        _ => Ok(()),
    }
}

/// The slot takes this view.
fn accepts(slot: usize, declared: &BindingSlot, view: &View) -> Result<(), Flaw> {
    match (declared.kind, *view) {
        (
            BindingKind::StorageBuffer { min_bytes } | BindingKind::UniformBuffer { min_bytes },
            View::Bytes { size, .. },
        ) => {
            if size < min_bytes {
                Err(Flaw::TooSmall { slot, needed: min_bytes, size })
            } else {
                Ok(())
            }
        }
        (BindingKind::Texture { kind, element }, View::Texture { object, .. }) => {
            same_texture(slot, (kind, element), &object)
        }
        (BindingKind::ImageBuffer { element }, View::Texels { element: bound, size, .. }) => {
            same_element(slot, element, bound)?;
            aligned("size of a texel range", size, element.texel_bytes())
        }
        (kind, view) => Err(Flaw::Kind { slot, expected: kind_name(kind), found: view.name() }),
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
    match (a.place(), b.place()) {
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
