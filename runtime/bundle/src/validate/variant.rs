//! Rules of one variant: its predicates, its memory, where inputs and outputs are, its programs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::code::Declared;
use crate::error::{BundleError, Flaw};
use crate::format::ALIGNMENT_BYTES;
use crate::limits;
use crate::manifest::{
    Dispatch, Entry, IoBinding, IoTensor, Manifest, Region, RegionId, RegionKind, Requirement, Resource,
    TextureObject, Variant, View,
};

use super::dispatch::{Context, Program};
use super::hazard::{Derived, Hazards};
use super::size::Sizes;
use super::{aligned, count, dispatch, indexed, invalid, length, name, region, shown, span};

pub(super) fn variant(
    (manifest, declared): (&Manifest, &[Arc<Declared>]),
    (entry, sizes): (&Entry, &Sizes),
    variant: &Variant,
    place: &str,
) -> Result<(), BundleError> {
    let inputs = outline((entry, sizes), variant).map_err(|flaw| invalid(place, flaw))?;
    let mut derived = Derived::default();
    let mut textures = WeightTextures::default();
    for (program, dispatches) in [(Program::Init, &variant.init), (Program::Run, &variant.dispatches)] {
        let mut hazards = Hazards::default();
        let context = Context { manifest, target: entry.target, variant, inputs: &inputs, program };
        let mut check = |item: &Dispatch| {
            described(item)?;
            let slots = dispatch::dispatch(context, item)?;
            dispatch::is_required(manifest, declared, variant, item)?;
            match program {
                Program::Init if item.free_workgroups != [None; 3] => return Err(Flaw::FreeInit),
                Program::Init | Program::Run => sizes.grid(item)?,
            }
            hazards.add(slots, item)?;
            textures.add(item)?;
            match program {
                Program::Init => derived.write(slots, item),
                Program::Run => derived.holds_what_is_read(variant, item)?,
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
            if let Resource { region: RegionId::Weight(blob), view: View::Texture { offset, object } } =
                *resource
            {
                self.0.insert((blob, offset, object));
            }
        }
        count("textures of weights", self.0.len(), limits::TEXTURES)
    }
}

/// All but the dispatches; returns the indices of the regions of their own that inputs are in.
fn outline((entry, sizes): (&Entry, &Sizes), variant: &Variant) -> Result<BTreeSet<u32>, Flaw> {
    name("name", &variant.name)?;
    length("profile", &variant.profile)?;
    count("requirements", variant.requires.len(), limits::REQUIREMENTS)?;
    variant.requires.iter().try_for_each(requirement)?;
    region::regions(&variant.regions, sizes)?;
    placed("inputs", &entry.inputs, &variant.inputs, &variant.regions)?;
    placed("outputs", &entry.outputs, &variant.outputs, &variant.regions)?;
    inputs_are_disjoint(entry, variant)?;
    count("init dispatches", variant.init.len(), limits::DISPATCHES)?;
    count("dispatches", variant.dispatches.len(), limits::DISPATCHES)?;
    region::inputs(variant)
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

fn placed(
    what: &'static str,
    tensors: &[IoTensor],
    bindings: &[IoBinding],
    regions: &[Region],
) -> Result<(), Flaw> {
    if tensors.len() != bindings.len() {
        return Err(Flaw::IoCount { what, found: bindings.len(), expected: tensors.len() });
    }
    for (tensor, binding) in tensors.iter().zip(bindings) {
        if !tensor.element.fits(binding.element) {
            let (host, device) = (tensor.element, binding.element);
            return Err(Flaw::IoElement { tensor: shown(&tensor.name), host, device });
        }
        let region = indexed("region", regions, binding.region)?;
        if !matches!(region.kind, RegionKind::Arena | RegionKind::Io) {
            return Err(Flaw::IoRegion { tensor: shown(&tensor.name), region: region.kind.name() });
        }
        aligned("offset of an input or output", binding.offset, ALIGNMENT_BYTES)?;
        span(binding.offset, size_bytes(tensor, binding), region.kind.name(), region.size)?;
    }
    Ok(())
}

/// Inputs are all written before a run starts. Outputs may share memory with inputs (state) and with each
/// other.
fn inputs_are_disjoint(entry: &Entry, variant: &Variant) -> Result<(), Flaw> {
    let mut ranges: Vec<(u32, u64, u64, &str)> = entry
        .inputs
        .iter()
        .zip(&variant.inputs)
        .map(|(tensor, binding)| {
            (binding.region, binding.offset, size_bytes(tensor, binding), tensor.name.as_str())
        })
        .filter(|(_, _, size, _)| *size > 0)
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((region, offset, size, first), (next_region, next, _, second)) = (pair[0], pair[1]);
        if next_region == region && next < offset + size {
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
    use crate::manifest::{DeviceElement, TextureKind};

    #[test]
    fn textures_of_weights_are_counted_once_and_have_a_limit() {
        let object =
            TextureObject { kind: TextureKind::D2, element: DeviceElement::F16, extent_px: [1, 1, 1] };
        let dispatch = |offset: u64| Dispatch {
            name: String::new(),
            shader: 0,
            bindings: vec![Resource::texture(RegionId::Weight(0), offset, object)],
            workgroups: [1; 3],
            free_workgroups: [None; 3],
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
