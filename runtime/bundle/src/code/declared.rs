//! Declarations of a shader's code in words that all targets share, and their comparison with the manifest.

use std::collections::BTreeSet;

use crate::manifest::{
    Argument, BindingKind, BindingSlot, DeviceElement, Requirement, Shader, Target, TextureKind,
};

use super::flaw::ShaderFlaw;

/// What a shader's code declares.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) entry_point: String,
    /// None where the language does not state it.
    pub(crate) workgroup_size: Option<[u32; 3]>,
    /// The product of the workgroup's sides, where only that is stated.
    pub(crate) invocations: Option<u32>,
    pub(crate) shared_bytes: Option<u64>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) numbering: Numbering,
    pub(crate) needs: Needs,
}

/// A bound variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Group and index, or zero and a number of [`Numbering`].
    pub(crate) group: u32,
    pub(crate) binding: u32,
    pub(crate) kind: Kind,
    /// Whether the code writes it; none where it cannot be told.
    pub(crate) writable: Option<bool>,
}

/// How resources are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// By group and index, as slots are.
    Pairs,
    /// In the order of slots by group and index, buffers and textures apart.
    ByKind,
    /// The same, together.
    InOrder,
    /// The code does not tell.
    Untold,
}

/// What is bound; sizes are those that the code may touch, where they can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Storage { bytes: Option<u64> },
    Uniform { bytes: Option<u64> },
    Texture { kind: TextureKind, channel: Channel },
    Texels { channel: Channel },
}

/// Type of a channel as far as code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Any,
    /// Either float.
    Float,
    Exactly(DeviceElement),
}

/// What the code needs of a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) f16: bool,
    pub(crate) subgroups: bool,
    /// Any cooperative matrix.
    pub(crate) matrices: bool,
    /// Shapes that are multiplied: m, n, k, and the types of operands and sums.
    pub(crate) products: BTreeSet<(u32, u32, u32, DeviceElement, DeviceElement)>,
}

impl Needs {
    /// The first need that `requires` does not state.
    pub(crate) fn unmet(&self, requires: &[Requirement]) -> Option<Requirement> {
        let has = |wanted: &Requirement| requires.contains(wanted);
        let states_a_matrix =
            requires.iter().any(|stated| matches!(stated, Requirement::CooperativeMatrix { .. }));
        let mut products =
            self.products.iter().map(|&(m, n, k, ab, c)| Requirement::CooperativeMatrix { m, n, k, ab, c });
        // Devices with cooperative matrices have subgroups and f16, and no device has a matrix of no size.
        let any = DeviceElement::F16;
        let matrix = Requirement::CooperativeMatrix { m: 0, n: 0, k: 0, ab: any, c: any };
        (self.f16 && !has(&Requirement::F16))
            .then_some(Requirement::F16)
            .or_else(|| (self.subgroups && !has(&Requirement::Subgroups)).then_some(Requirement::Subgroups))
            .or_else(|| products.find(|product| !has(product)))
            .or_else(|| (self.matrices && !states_a_matrix).then_some(matrix))
    }
}

/// Holds what `code` declares against the manifest's words, both ways.
pub(crate) fn compare(code: &Declared, shader: &Shader) -> Result<(), ShaderFlaw> {
    if code.entry_point != shader.entry_point {
        let (found, expected) = (code.entry_point.clone(), shader.entry_point.clone());
        return Err(ShaderFlaw::EntryPoint { found, expected });
    }
    let expected = shader.workgroup_size;
    if let Some(found) = code.workgroup_size.filter(|found| *found != expected) {
        return Err(ShaderFlaw::WorkgroupSize { found, expected });
    }
    let product = expected.iter().fold(1_u32, |product, side| product.saturating_mul(*side));
    if let Some(found) = code.invocations.filter(|found| *found != product) {
        return Err(ShaderFlaw::WorkgroupSize { found: [found, 1, 1], expected });
    }
    if let Some(found) = code.shared_bytes.filter(|found| *found > u64::from(shader.shared_bytes)) {
        return Err(ShaderFlaw::SharedBytes { found, declared: shader.shared_bytes });
    }
    slots(code, shader)
}

fn slots(code: &Declared, shader: &Shader) -> Result<(), ShaderFlaw> {
    if shader.target == Target::Metal {
        within_tables(shader)?;
    }
    if code.numbering == Numbering::Untold {
        return Ok(());
    }
    let numbered = numbered(code.numbering, shader);
    let mut free = vec![true; numbered.len()];
    for resource in &code.resources {
        let image = matches!(resource.kind, Kind::Texture { .. } | Kind::Texels { .. });
        let key = (resource.group, resource.binding, image && code.numbering == Numbering::ByKind);
        let at = numbered.binary_search_by_key(&key, |(key, _)| *key);
        let flaw = |problem| ShaderFlaw::Slot { group: resource.group, binding: resource.binding, problem };
        let Ok(at) = at else { return Err(flaw("the code declares it, the manifest has no such slot")) };
        if !std::mem::replace(&mut free[at], false) {
            return Err(flaw("the code declares it twice"));
        }
        slot(resource, numbered[at].1)?;
    }
    // An optimiser drops what is never read, where places are not counted; what is said to be written must be there.
    let dropped = |slot: &BindingSlot| !slot.writable && code.numbering != Numbering::InOrder;
    let left = (0..free.len()).filter(|at| free[*at]).map(|at| numbered[at].1);
    match left.into_iter().find(|slot| !dropped(slot)) {
        Some(slot) => Err(ShaderFlaw::Slot {
            group: slot.group,
            binding: slot.binding,
            problem: "the manifest has this slot, the code does not declare it",
        }),
        None => Ok(()),
    }
}

/// More arguments than Metal's tables have would end the process that binds them.
fn within_tables(shader: &Shader) -> Result<(), ShaderFlaw> {
    let mut arguments = shader.metal_arguments().into_iter().zip(&shader.bindings);
    match arguments.find(|(argument, _)| argument.index() >= argument.table()) {
        Some((_, BindingSlot { group, binding, .. })) => Err(ShaderFlaw::Slot {
            group: *group,
            binding: *binding,
            problem: "Metal has 31 buffers and 128 textures in a dispatch, and this is beyond them",
        }),
        None => Ok(()),
    }
}

/// Slots by the number under which code declares them; the last part of a number says that textures count apart.
fn numbered(numbering: Numbering, shader: &Shader) -> Vec<((u32, u32, bool), &BindingSlot)> {
    let mut sorted: Vec<(Argument, &BindingSlot)> =
        shader.metal_arguments().into_iter().zip(&shader.bindings).collect();
    sorted.sort_by_key(|(_, slot)| (slot.group, slot.binding));
    let numbers = (0..).zip(sorted).map(|(place, (argument, slot))| match numbering {
        Numbering::Pairs => ((slot.group, slot.binding, false), slot),
        Numbering::ByKind => ((0, argument.index(), matches!(argument, Argument::Texture(_))), slot),
        Numbering::InOrder | Numbering::Untold => ((0, place, false), slot),
    });
    let mut numbered: Vec<_> = numbers.collect();
    numbered.sort_by_key(|(key, _)| *key);
    numbered
}

fn slot(resource: &Resource, slot: &BindingSlot) -> Result<(), ShaderFlaw> {
    let (group, binding) = (slot.group, slot.binding);
    let flaw = |problem| Err(ShaderFlaw::Slot { group, binding, problem });
    match (resource.kind, slot.kind) {
        (Kind::Storage { bytes }, BindingKind::StorageBuffer { min_bytes })
        | (Kind::Uniform { bytes }, BindingKind::UniformBuffer { min_bytes }) => {
            // An odd number of f16 is declared as pairs of them.
            if let Some(found) = bytes.filter(|found| found.div_ceil(4) > min_bytes.div_ceil(4)) {
                return Err(ShaderFlaw::SlotBytes { group, binding, found, declared: min_bytes });
            }
        }
        (Kind::Texture { kind, channel }, BindingKind::Texture { kind: expected, element }) => {
            if kind != expected {
                return flaw("the code declares a texture of other dimensions");
            }
            if !channel.holds(element) {
                return flaw("the code declares a texture of other channels");
            }
        }
        (Kind::Texels { channel }, BindingKind::ImageBuffer { element }) => {
            if !channel.holds(element) {
                return flaw("the code declares a texel buffer of other channels");
            }
        }
        _ => return flaw("the code declares a resource of another kind"),
    }
    match (resource.writable, slot.writable) {
        (Some(true), false) => flaw("the code may write it, the manifest says that it is only read"),
        (Some(false), true) => flaw("the manifest says that it is written, the code only reads it"),
        _ => Ok(()),
    }
}

impl Channel {
    fn holds(self, element: DeviceElement) -> bool {
        match self {
            Self::Any => true,
            Self::Float => matches!(element, DeviceElement::F32 | DeviceElement::F16),
            Self::Exactly(one) => one == element,
        }
    }
}
