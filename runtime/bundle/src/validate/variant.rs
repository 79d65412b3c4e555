//! Rules of one variant: its predicates, its memory, where inputs and outputs lie, its programs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::code::Declared;
use crate::error::{BundleError, Flaw};
use crate::format::ALIGNMENT_BYTES;
use crate::manifest::{
    Dispatch, Entry, IoBinding, IoTensor, Manifest, Requirement, Resource, TextureKind, TextureObject,
    Variant,
};

use super::dispatch::Program;
use super::hazard::{Derived, Hazards};
use super::{aligned, count, dispatch, invalid, length, limits, name, shown, span};

pub(super) fn variant(
    (manifest, declared): (&Manifest, &[Arc<Declared>]),
    entry: &Entry,
    variant: &Variant,
    place: &str,
) -> Result<(), BundleError> {
    outline(entry, variant).map_err(|flaw| invalid(place, flaw))?;
    let mut derived = Derived::default();
    let mut textures = WeightTextures::default();
    for (program, dispatches) in [(Program::Init, &variant.init), (Program::Run, &variant.dispatches)] {
        let mut hazards = Hazards::default();
        let mut check = |item: &Dispatch| {
            described(item)?;
            let slots = dispatch::dispatch(manifest, entry.target, variant, (program, item))?;
            dispatch::is_required(manifest, declared, variant, item)?;
            hazards.add(slots, item)?;
            textures.add(item)?;
            match program {
                Program::Init => derived.write(slots, item),
                Program::Run => derived.holds_what_is_read(item)?,
            }
            Ok(())
        };
        for (index, item) in dispatches.iter().enumerate() {
            check(item).map_err(|flaw| {
                let list = program.dispatch_name();
                invalid(format!("{place}, {list} {index} `{}`", shown(&item.name)), flaw)
            })?;
        }
    }
    Ok(())
}

/// The textures that weights are uploaded to: each is an object of the device.
#[derive(Default)]
struct WeightTextures(BTreeSet<(u32, u64, TextureObject)>);

impl WeightTextures {
    fn add(&mut self, dispatch: &Dispatch) -> Result<(), Flaw> {
        for resource in &dispatch.bindings {
            if let Resource::WeightTexture { blob, offset, texture } = *resource {
                self.0.insert((blob, offset, texture));
            }
        }
        count("textures of weights", self.0.len(), limits::TEXTURES)
    }
}

fn outline(entry: &Entry, variant: &Variant) -> Result<(), Flaw> {
    name("name", &variant.name)?;
    length("profile", &variant.profile)?;
    count("requirements", variant.requires.len(), limits::REQUIREMENTS)?;
    variant.requires.iter().try_for_each(requirement)?;
    if variant.arena_bytes > limits::ARENA_BYTES {
        return Err(Flaw::TooLarge { what: "arena", most: limits::ARENA_BYTES });
    }
    count("textures", variant.textures.len(), limits::TEXTURES)?;
    variant.textures.iter().try_for_each(texture)?;
    count("derived blobs", variant.derived.len(), limits::DERIVED)?;
    if variant.derived.contains(&0) {
        return Err(Flaw::Zero { what: "size of a derived blob" });
    }
    if variant.derived.iter().fold(0_u64, |sum, size| sum.saturating_add(*size)) > limits::ARENA_BYTES {
        return Err(Flaw::TooLarge { what: "sum of derived blobs", most: limits::ARENA_BYTES });
    }
    placed("inputs", &entry.inputs, &variant.inputs, variant.arena_bytes)?;
    placed("outputs", &entry.outputs, &variant.outputs, variant.arena_bytes)?;
    inputs_are_disjoint(entry, variant)?;
    count("init dispatches", variant.init.len(), limits::DISPATCHES)?;
    count("dispatches", variant.dispatches.len(), limits::DISPATCHES)
}

fn requirement(requirement: &Requirement) -> Result<(), Flaw> {
    match requirement {
        Requirement::Vendor(ids) => count("vendor ids", ids.len(), limits::REQUIREMENTS),
        Requirement::F16
        | Requirement::Subgroups
        | Requirement::SubgroupSize(_)
        | Requirement::CooperativeMatrix { .. }
        | Requirement::SharedBytes(_)
        | Requirement::WorkgroupInvocations(_)
        | Requirement::StorageBindingBytes(_)
        | Requirement::BufferBytes(_)
        | Requirement::Texture2dSize(_)
        | Requirement::Texture3dSize(_)
        | Requirement::TextureLayers(_)
        | Requirement::ImageBufferTexels(_)
        | Requirement::StorageBuffers(_) => Ok(()),
    }
}

/// Sides that some device may have.
pub(super) fn texture(texture: &TextureObject) -> Result<(), Flaw> {
    let names = ["texture width", "texture height", "texture depth"];
    for (what, size) in names.into_iter().zip(texture.extent_px) {
        if size == 0 {
            return Err(Flaw::Zero { what });
        }
        if size > limits::TEXTURE_PX {
            return Err(Flaw::TooLarge { what, most: limits::TEXTURE_PX.into() });
        }
    }
    if texture.kind == TextureKind::D2 && texture.extent_px[2] > 1 {
        return Err(Flaw::TooLarge { what: "texture depth of a 2D texture", most: 1 });
    }
    Ok(())
}

fn placed(
    what: &'static str,
    tensors: &[IoTensor],
    bindings: &[IoBinding],
    arena_bytes: u64,
) -> Result<(), Flaw> {
    if tensors.len() != bindings.len() {
        return Err(Flaw::IoCount { what, found: bindings.len(), expected: tensors.len() });
    }
    for (tensor, binding) in tensors.iter().zip(bindings) {
        if !tensor.element.fits(binding.element) {
            let (host, device) = (tensor.element, binding.element);
            return Err(Flaw::IoElement { tensor: shown(&tensor.name), host, device });
        }
        aligned("offset of an input or output", binding.offset, ALIGNMENT_BYTES)?;
        span(binding.offset, size_bytes(tensor, binding), "arena", arena_bytes)?;
    }
    Ok(())
}

/// Inputs are all written before a run starts. Outputs may share memory with inputs (state) and with each
/// other.
fn inputs_are_disjoint(entry: &Entry, variant: &Variant) -> Result<(), Flaw> {
    let mut ranges: Vec<(u64, u64, &str)> = entry
        .inputs
        .iter()
        .zip(&variant.inputs)
        .map(|(tensor, binding)| (binding.offset, size_bytes(tensor, binding), tensor.name.as_str()))
        .filter(|(_, size, _)| *size > 0)
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((offset, size, first), (next, _, second)) = (pair[0], pair[1]);
        if next < offset + size {
            return Err(Flaw::InputsOverlap { first: shown(first), second: shown(second) });
        }
    }
    Ok(())
}

/// Cannot overflow: the element count is capped.
fn size_bytes(tensor: &IoTensor, binding: &IoBinding) -> u64 {
    tensor.elements().map_or(u64::MAX, |elements| elements * binding.element.size_bytes())
}

fn described(dispatch: &Dispatch) -> Result<(), Flaw> {
    name("name", &dispatch.name)?;
    count("origins", dispatch.origins.len(), limits::ORIGINS)?;
    dispatch.origins.iter().try_for_each(|origin| length("origin", origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::DeviceElement;

    #[test]
    fn textures_of_weights_are_counted_once_and_have_a_limit() {
        let texture =
            TextureObject { kind: TextureKind::D2, element: DeviceElement::F16, extent_px: [1, 1, 1] };
        let dispatch = |offset: u64| Dispatch {
            name: String::new(),
            shader: 0,
            bindings: vec![Resource::WeightTexture { blob: 0, offset, texture }],
            workgroups: [1; 3],
            barrier: false,
            origins: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
        };
        let mut textures = WeightTextures::default();
        for n in 0..limits::TEXTURES as u64 {
            assert!(textures.add(&dispatch(n * ALIGNMENT_BYTES)).is_ok());
        }
        assert!(textures.add(&dispatch(0)).is_ok());
        assert!(textures.add(&dispatch(limits::TEXTURES as u64 * ALIGNMENT_BYTES)).is_err());
    }
}
