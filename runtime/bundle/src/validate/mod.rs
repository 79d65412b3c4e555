//! Every rule that a manifest must keep, checked in release builds and before any GPU call.
//!
//! After [`validate`] all indices exist, all ranges are in what they index, no arithmetic on them overflows,
//! no dispatch writes what it also reads through another slot, or what it should wait for, and each shader's code
//! is what the manifest says of it. Nothing here knows a device.

mod dispatch;
mod hazard;
mod region;
mod size;
mod variant;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::code::{self, Declared, ShaderFlaw};
use crate::error::{BundleError, Flaw};
use crate::format::ALIGNMENT_BYTES;
use crate::limits;
use crate::manifest::{
    BindingKind, Entry, IoTensor, Manifest, Provenance, Shader, Target, WeightBlob, elements,
};
use size::Sizes;

/// What is in the sections that the manifest points into.
#[derive(Clone, Copy, Debug)]
pub struct SectionBytes<'a> {
    /// The shader section.
    pub shaders: &'a [u8],
    /// Size of the weights section.
    pub weights: u64,
}

/// Checks `manifest` against the sections it points into.
pub fn validate(manifest: &Manifest, sections: SectionBytes<'_>) -> Result<(), BundleError> {
    provenance(&manifest.provenance).map_err(|flaw| invalid("provenance", flaw))?;
    weights(&manifest.weights, sections.weights)?;
    let declared = shaders(&manifest.shaders, sections.shaders)?;
    entries(manifest, &declared)
}

/// Puts a place before a flaw.
fn invalid(place: impl Into<String>, flaw: Flaw) -> BundleError {
    BundleError::Invalid { place: place.into(), flaw }
}

fn provenance(provenance: &Provenance) -> Result<(), Flaw> {
    let Provenance { compiler, flags, model, model_hash, profiles } = provenance;
    for (what, text) in [("compiler", compiler), ("model name", model), ("model hash", model_hash)] {
        length(what, text)?;
    }
    count("flags", flags.len(), limits::FLAGS)?;
    count("profiles", profiles.len(), limits::FLAGS)?;
    flags.iter().try_for_each(|flag| length("flag", flag))?;
    profiles.iter().try_for_each(|profile| length("profile", profile))
}

fn weights(blobs: &[WeightBlob], section_bytes: u64) -> Result<(), BundleError> {
    count("weights", blobs.len(), limits::WEIGHTS).map_err(|flaw| invalid("weights", flaw))?;
    unique("weights", blobs.iter().map(|blob| blob.name.as_str()))
        .map_err(|flaw| invalid("weights", flaw))?;
    let mut end = 0;
    for (index, blob) in blobs.iter().enumerate() {
        end = weight(blob, end, section_bytes)
            .map_err(|flaw| invalid(format!("weight {index} `{}`", shown(&blob.name)), flaw))?;
    }
    if end != section_bytes {
        let flaw = Flaw::WeightsSection { found: section_bytes, expected: end };
        return Err(invalid("weights", flaw));
    }
    Ok(())
}

/// Returns where the blob ends; `before` is where the one before it does.
fn weight(blob: &WeightBlob, before: u64, section_bytes: u64) -> Result<u64, Flaw> {
    name("name", &blob.name)?;
    let expected = before.checked_next_multiple_of(ALIGNMENT_BYTES).unwrap_or(u64::MAX);
    if blob.offset != expected {
        return Err(Flaw::WeightOffset { found: blob.offset, expected });
    }
    range(blob.offset, blob.size, "weights section", section_bytes)?;
    Ok(blob.offset + blob.size)
}

/// Returns what each shader's code needs of a device.
fn shaders(shaders: &[Shader], section: &[u8]) -> Result<Vec<Arc<Declared>>, BundleError> {
    count("shaders", shaders.len(), limits::SHADERS).map_err(|flaw| invalid("shaders", flaw))?;
    let at = |index: usize, flaw| invalid(format!("shader {index} `{}`", shown(&shaders[index].name)), flaw);
    for (index, item) in shaders.iter().enumerate() {
        shader(item, section.len() as u64).map_err(|flaw| at(index, flaw))?;
    }
    if let Some((index, other)) = overlap(shaders) {
        return Err(at(index, ShaderFlaw::Overlap { other }.into()));
    }
    // Shaders that share code differ in the rest, and their code is read once.
    let mut read: BTreeMap<(u64, Target), Arc<Declared>> = BTreeMap::new();
    let mut declared = Vec::with_capacity(shaders.len());
    for (index, item) in shaders.iter().enumerate() {
        let known = match read.get(&(item.offset, item.target)) {
            Some(known) => Arc::clone(known),
            None => {
                let bytes = &section[item.offset as usize..][..item.size as usize];
                let new = code::read(item.target, bytes).map_err(|flaw| at(index, flaw.into()))?;
                let new = Arc::new(new);
                read.insert((item.offset, item.target), Arc::clone(&new));
                new
            }
        };
        code::compare(&known, item).map_err(|flaw| at(index, flaw.into()))?;
        declared.push(known);
    }
    Ok(declared)
}

/// Two shaders whose ranges overlap and are not the same.
fn overlap(shaders: &[Shader]) -> Option<(usize, usize)> {
    let mut ranges: Vec<(u64, u64, usize)> =
        shaders.iter().enumerate().map(|(index, one)| (one.offset, one.offset + one.size, index)).collect();
    ranges.sort_unstable();
    ranges.windows(2).find_map(|pair| {
        let ((start, end, first), (next, last, second)) = (pair[0], pair[1]);
        let apart = next >= end || (start, end) == (next, last);
        (!apart).then_some((second, first))
    })
}

fn shader(shader: &Shader, section_bytes: u64) -> Result<(), Flaw> {
    name("name", &shader.name)?;
    name("entry point", &shader.entry_point)?;
    aligned("offset", shader.offset, 4)?;
    range(shader.offset, shader.size, "shader section", section_bytes)?;
    nonzero("workgroup size", shader.workgroup_size)?;
    let invocations =
        shader.workgroup_size.iter().try_fold(1_u32, |product, size| product.checked_mul(*size));
    if invocations.is_none_or(|invocations| invocations > limits::INVOCATIONS) {
        return Err(Flaw::TooLarge { what: "workgroup", most: limits::INVOCATIONS.into() });
    }
    if shader.subgroup_size.is_some_and(|size| !size.is_power_of_two() || size > limits::SUBGROUP) {
        return Err(Flaw::TooLarge { what: "subgroup size, a power of two,", most: limits::SUBGROUP.into() });
    }
    slots(shader)
}

fn slots(shader: &Shader) -> Result<(), Flaw> {
    count("bindings", shader.bindings.len(), limits::BINDINGS)?;
    let mut seen = HashSet::new();
    for (slot, binding) in shader.bindings.iter().enumerate() {
        let (group, index) = (binding.group, binding.binding);
        if group >= limits::GROUPS {
            return Err(Flaw::TooLarge { what: "group", most: (limits::GROUPS - 1).into() });
        }
        if index >= limits::BINDING {
            return Err(Flaw::TooLarge { what: "binding", most: (limits::BINDING - 1).into() });
        }
        if !seen.insert((group, index)) {
            return Err(Flaw::SlotTwice { group, binding: index });
        }
        if binding.writable && matches!(binding.kind, BindingKind::UniformBuffer { .. }) {
            return Err(Flaw::WritableUniform { slot });
        }
    }
    Ok(())
}

fn entries(manifest: &Manifest, declared: &[Arc<Declared>]) -> Result<(), BundleError> {
    count("entries", manifest.entries.len(), limits::ENTRIES).map_err(|flaw| invalid("entries", flaw))?;
    let mut seen = HashSet::new();
    for entry in &manifest.entries {
        let place = format!("entry `{}` for {}", shown(&entry.name), entry.target.name());
        if !seen.insert((&entry.name, entry.target)) {
            return Err(invalid(
                place,
                Flaw::Duplicate { what: "entries of one target", name: shown(&entry.name) },
            ));
        }
        let sizes = interface(entry).map_err(|flaw| invalid(&*place, flaw))?;
        for item in &entry.variants {
            let place = format!("{place}, variant `{}`", shown(&item.name));
            variant::variant((manifest, declared), (entry, &sizes), item, &place)?;
        }
    }
    Ok(())
}

/// All but the variants; returns what is known of the sizes.
fn interface(entry: &Entry) -> Result<Sizes, Flaw> {
    name("name", &entry.name)?;
    let sizes = Sizes::of(entry)?;
    for (what, tensors) in [("inputs", &entry.inputs), ("outputs", &entry.outputs)] {
        count(what, tensors.len(), limits::TENSORS)?;
        unique(what, tensors.iter().map(|tensor| tensor.name.as_str()))?;
        tensors.iter().try_for_each(|item| tensor(item, &sizes))?;
    }
    if entry.variants.is_empty() {
        return Err(Flaw::Empty { what: "variants" });
    }
    count("variants", entry.variants.len(), limits::VARIANTS)?;
    unique("variants", entry.variants.iter().map(|variant| variant.name.as_str()))?;
    Ok(sizes)
}

fn tensor(tensor: &IoTensor, sizes: &Sizes) -> Result<(), Flaw> {
    name("name of an input or output", &tensor.name)?;
    shape(&tensor.shape)?;
    sizes.axes(tensor)
}

/// The number of elements of a shape, which is not absurd.
fn shape(sizes: &[u64]) -> Result<u64, Flaw> {
    count("axes", sizes.len(), limits::RANK)?;
    match elements(sizes) {
        // The caller's array of the widest type must be addressable as well.
        Some(elements) if elements <= limits::ELEMENTS => Ok(elements),
        _ => Err(Flaw::TooLarge { what: "element count", most: limits::ELEMENTS }),
    }
}

fn count(what: &'static str, count: usize, most: usize) -> Result<(), Flaw> {
    if count > most { Err(Flaw::TooMany { what, count, most }) } else { Ok(()) }
}

fn length(what: &'static str, text: &str) -> Result<(), Flaw> {
    let (bytes, most) = (text.len(), limits::NAME_BYTES);
    if bytes > most { Err(Flaw::TooLong { what, bytes, most }) } else { Ok(()) }
}

fn name(what: &'static str, text: &str) -> Result<(), Flaw> {
    if text.is_empty() { Err(Flaw::Unnamed { what }) } else { length(what, text) }
}

fn unique<'a>(what: &'static str, mut names: impl Iterator<Item = &'a str>) -> Result<(), Flaw> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => Err(Flaw::Duplicate { what, name: shown(name) }),
        None => Ok(()),
    }
}

fn indexed<'a, T>(what: &'static str, list: &'a [T], index: u32) -> Result<&'a T, Flaw> {
    list.get(index as usize).ok_or(Flaw::Index { what, index, count: list.len() })
}

fn aligned(what: &'static str, value: u64, of: u64) -> Result<(), Flaw> {
    if value.is_multiple_of(of) { Ok(()) } else { Err(Flaw::Alignment { what, value, of }) }
}

fn nonzero(what: &'static str, sizes: [u32; 3]) -> Result<(), Flaw> {
    if sizes.contains(&0) { Err(Flaw::Zero { what }) } else { Ok(()) }
}

/// Ranges hold at least one byte: no API binds an empty one.
fn range(offset: u64, size: u64, within: &'static str, available: u64) -> Result<(), Flaw> {
    if size == 0 {
        return Err(Flaw::Zero { what: "size" });
    }
    span(offset, size, within, available)
}

/// Like [`range`], for tensors that may have no elements.
fn span(offset: u64, size: u64, within: &'static str, available: u64) -> Result<(), Flaw> {
    match offset.checked_add(size) {
        Some(end) if end <= available => Ok(()),
        _ => Err(Flaw::Range { offset, size, within, available }),
    }
}

/// A name short enough for a message, whatever the file says.
fn shown(name: &str) -> String {
    const MOST: usize = 120;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}
