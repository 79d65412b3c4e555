//! Rules of the memory that a variant takes.

use std::collections::BTreeSet;

use super::size::Sizes;
use super::{aligned, count, shape, span, unique};
use crate::error::Flaw;
use crate::format::ALIGNMENT_BYTES;
use crate::limits;
use crate::manifest::{DeviceElement, IoBinding, Region, RegionKind, TextureKind, TextureObject, Variant};

pub(super) fn regions(regions: &[Region], sizes: &Sizes) -> Result<(), Flaw> {
    count("regions", regions.len(), limits::REGIONS)?;
    let arenas = regions.iter().filter(|region| region.kind == RegionKind::Arena);
    count("arenas", arenas.count(), limits::ARENAS)?;
    let textures = regions.iter().filter(|region| matches!(region.kind, RegionKind::Texture(_)));
    count("textures", textures.count(), limits::TEXTURES)?;
    regions.iter().try_for_each(|item| region(item, sizes))?;
    unique("states", regions.iter().filter_map(state_name))?;
    let bytes = regions.iter().fold(0_u64, |sum, region| sum.saturating_add(region.size));
    if bytes > limits::REGION_BYTES {
        return Err(Flaw::TooLarge { what: "sum of all regions", most: limits::REGION_BYTES });
    }
    Ok(())
}

fn region(region: &Region, sizes: &Sizes) -> Result<(), Flaw> {
    let Region { kind, size, alignment } = region;
    if !alignment.is_power_of_two() || *alignment > limits::REGION_ALIGNMENT {
        let what = "alignment of a region, a power of two,";
        return Err(Flaw::TooLarge { what, most: limits::REGION_ALIGNMENT });
    }
    aligned("alignment of a region", *alignment, ALIGNMENT_BYTES)?;
    match kind {
        RegionKind::Texture(object) => {
            texture(object)?;
            same_size(region, object.size_bytes())
        }
        // A program may keep nothing in buffers, and a tensor may have no elements.
        RegionKind::Arena | RegionKind::Io => Ok(()),
        _ if *size == 0 => Err(Flaw::Zero { what: "size of a region" }),
        RegionKind::State { name, element, shape } => state(name, *element, shape, *size),
        RegionKind::Derived => Ok(()),
        RegionKind::Params(words) => {
            count("words of parameters", words.len(), limits::PARAMS)?;
            sizes.words(words)?;
            same_size(region, 4 * words.len() as u64)
        }
    }
}

fn state_name(region: &Region) -> Option<&str> {
    match &region.kind {
        RegionKind::State { name, .. } => Some(name),
        _ => None,
    }
}

/// What a state holds has a name and fits its region.
fn state(name: &str, element: DeviceElement, sizes: &[u64], available: u64) -> Result<(), Flaw> {
    super::name("name of a state", name)?;
    // Cannot overflow: the element count is capped.
    let bytes = shape(sizes)? * element.size_bytes();
    span(0, bytes, "state", available)
}

/// Each region of inputs or outputs holds some; returns the indices of those that hold inputs. The regions of all inputs and
/// outputs must exist.
pub(super) fn inputs(variant: &Variant) -> Result<BTreeSet<u32>, Flaw> {
    let own = |bindings: &[IoBinding]| -> BTreeSet<u32> {
        let regions = bindings.iter().map(|binding| binding.region);
        regions.filter(|region| variant.regions[*region as usize].kind == RegionKind::Io).collect()
    };
    let (inputs, outputs) = (own(&variant.inputs), own(&variant.outputs));
    let io = (0..).zip(&variant.regions).filter(|(_, region)| region.kind == RegionKind::Io);
    let mut unused = io.filter(|(index, _)| !inputs.contains(index) && !outputs.contains(index));
    match unused.next() {
        Some((region, _)) => Err(Flaw::UnusedIo { region }),
        None => Ok(inputs),
    }
}

fn same_size(Region { kind, size, .. }: &Region, expected: u64) -> Result<(), Flaw> {
    if *size == expected {
        return Ok(());
    }
    Err(Flaw::RegionSize { kind: kind.name(), expected, found: *size })
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
