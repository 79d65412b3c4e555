//! Picks an entry, and the first of its variants whose predicates hold and whose needs the device meets.

use std::collections::BTreeSet;

use drift_bundle::Bundle;
use drift_bundle::manifest::{Dispatch, Entry, Requirement, Resource, Target, Variant, View};
use drift_bundle::self_test::is_self_test;

use crate::error::RuntimeError;
use crate::info::{DeviceFeatures, DeviceInfo};
use crate::limits;
use crate::options::LoadOptions;
use crate::program::Program;
use crate::report::{DeclineReason, DeclinedVariant};

/// Name of the entry that is meant when none is named.
const DEFAULT_ENTRY: &str = "main";

/// The variant that will run, and those that were passed over; `wrong` are those whose self-test fails.
pub(crate) fn choose<'a>(
    bundle: &'a Bundle,
    info: &DeviceInfo,
    entry: Option<&str>,
    options: &LoadOptions,
    wrong: &[DeclinedVariant],
) -> Result<(Program<'a>, Vec<DeclinedVariant>), RuntimeError> {
    let entry = find_entry(bundle, info.kind.target(), entry)?;
    let variant = options.variant.as_deref();
    if let Some(wanted) = variant
        && !entry.variants.iter().any(|variant| variant.name == wanted)
    {
        let held = entry.variants.iter().map(|variant| variant.name.clone()).collect();
        return Err(RuntimeError::NoSuchVariant {
            entry: entry.name.clone(),
            wanted: wanted.to_owned(),
            held,
        });
    }
    let mut declined = Vec::new();
    for candidate in &entry.variants {
        if variant.is_some_and(|wanted| candidate.name != wanted) {
            continue;
        }
        let program = Program { bundle, entry, variant: candidate };
        let mut reasons = reasons_against(&program, info, options);
        let known = wrong.iter().filter(|known| known.variant == candidate.name);
        reasons.extend(known.flat_map(|known| known.reasons.iter().cloned()));
        if reasons.is_empty() {
            return Ok((program, declined));
        }
        declined.push(DeclinedVariant { variant: candidate.name.clone(), reasons });
    }
    Err(RuntimeError::NoVariant { entry: entry.name.clone(), device: info.name.clone(), declined })
}

fn find_entry<'a>(
    bundle: &'a Bundle,
    target: Target,
    wanted: Option<&str>,
) -> Result<&'a Entry, RuntimeError> {
    let entries = &bundle.manifest().entries;
    let ours: Vec<&Entry> = entries.iter().filter(|entry| entry.target == target).collect();
    let Some(first) = ours.first() else { return Err(no_target(bundle, target)) };
    let found = ours.iter().find(|entry| entry.name == wanted.unwrap_or(DEFAULT_ENTRY));
    match (found, wanted) {
        (Some(entry), _) => Ok(entry),
        (None, None) => Ok(first),
        (None, Some(wanted)) => {
            let shown = ours.iter().filter(|entry| !is_self_test(bundle.manifest(), entry));
            let held = shown.map(|entry| entry.name.clone()).collect();
            Err(RuntimeError::NoEntry { wanted: wanted.to_owned(), target, held })
        }
    }
}

/// The error for a bundle without an entry for `wanted`.
pub(crate) fn no_target(bundle: &Bundle, wanted: Target) -> RuntimeError {
    let entries = &bundle.manifest().entries;
    let shown = entries.iter().filter(|entry| !is_self_test(bundle.manifest(), entry));
    let held = shown.map(|entry| format!("`{}` for {}", entry.name, entry.target.name())).collect();
    RuntimeError::NoTarget { wanted, held }
}

fn reasons_against(program: &Program<'_>, info: &DeviceInfo, options: &LoadOptions) -> Vec<DeclineReason> {
    let waived =
        |requirement: &Requirement| options.any_vendor && matches!(requirement, Requirement::Vendor(_));
    let unmet = program.variant.requires.iter().filter(|requirement| !waived(requirement));
    let unmet = unmet.filter_map(|requirement| {
        let available = lacking(requirement, info)?;
        Some(DeclineReason::Requires { requirement: requirement.clone(), available })
    });
    let unbounded = options.untrusted.then(|| unbounded(program, &info.features)).flatten();
    let exceeded = limits::first_exceeded(program, &info.limits, &info.features, options.staging_bytes);
    let untested = is_untried(program, info, options).then(|| untested(program, info)).flatten();
    unmet.chain(unbounded).chain(exceeded).chain(untested).collect()
}

/// Whether the program is to be tested first, since it has a kind of kernel that has run on no such device.
pub(crate) fn is_untried(program: &Program<'_>, info: &DeviceInfo, options: &LoadOptions) -> bool {
    !options.untried && !info.kind.has_tried_matrices() && has_matrices(program)
}

fn has_matrices(program: &Program<'_>) -> bool {
    let matrices = |requirement: &Requirement| matches!(requirement, Requirement::CooperativeMatrix { .. });
    program.variant.requires.iter().any(matrices)
}

/// Why the self-test of an untried program does not do: kernels that rely on the width of a subgroup, as those on matrices do,
/// have all to be in it.
fn untested(program: &Program<'_>, info: &DeviceInfo) -> Option<DeclineReason> {
    let manifest = program.bundle.manifest();
    if is_self_test(manifest, program.entry) {
        return None;
    }
    let entry = drift_bundle::self_test::entry_of(manifest, program.entry);
    let named = |variant: &&Variant| variant.name == program.variant.name;
    let missing = match entry.and_then(|entry| entry.variants.iter().find(named)) {
        None => "the bundle has no self-test of it".to_owned(),
        Some(test) => {
            let tested: BTreeSet<u32> = test.dispatches.iter().map(|dispatch| dispatch.shader).collect();
            let left_out = |dispatch: &&Dispatch| {
                program.shader(dispatch).subgroup_size.is_some() && !tested.contains(&dispatch.shader)
            };
            format!("its self-test leaves `{}` out", program.all_dispatches().find(left_out)?.name)
        }
    };
    Some(DeclineReason::Untried { device: info.kind.title(), missing })
}

/// What the program accesses that the device cannot keep in bounds.
fn unbounded(program: &Program<'_>, features: &DeviceFeatures) -> Option<DeclineReason> {
    if !features.bounded_buffers {
        return Some(DeclineReason::Unbounded { what: "buffers" });
    }
    if !features.bounded_matrices && has_matrices(program) {
        return Some(DeclineReason::Unbounded { what: "cooperative matrices" });
    }
    let texture = |resource: &Resource| matches!(resource.view, View::Texture { .. });
    let bound = || program.all_dispatches().flat_map(|dispatch| &dispatch.bindings);
    (!features.bounded_textures && bound().any(texture))
        .then_some(DeclineReason::Unbounded { what: "textures" })
}

/// What the device has where it does not meet `requirement`.
fn lacking(requirement: &Requirement, info: &DeviceInfo) -> Option<String> {
    let (features, limits) = (&info.features, &info.limits);
    let at_least = |has: u64, needs: u64| (has < needs).then(|| has.to_string());
    match requirement {
        Requirement::F16 => (!features.f16).then(|| "no 16-bit floats".to_owned()),
        Requirement::Subgroups => (!features.subgroups.operations).then(|| "no such operations".to_owned()),
        Requirement::SubgroupSize(size) => {
            (!features.subgroups.offers(*size)).then(|| match features.subgroups.selectable {
                Some((least, most)) => format!("{least} to {most}"),
                None => features.subgroups.size.to_string(),
            })
        }
        Requirement::CooperativeMatrix { m, n, k, ab, c } => {
            let listed = features
                .cooperative_matrices
                .iter()
                .any(|matrix| (matrix.m, matrix.n, matrix.k, matrix.ab, matrix.c) == (*m, *n, *k, *ab, *c));
            (!listed).then(|| match features.cooperative_matrices.len() {
                0 => "none".to_owned(),
                count => format!("{count} other shapes"),
            })
        }
        Requirement::SharedBytes(bytes) => at_least(limits.shared_bytes.into(), (*bytes).into()),
        Requirement::WorkgroupInvocations(count) => {
            at_least(limits.workgroup_invocations.into(), (*count).into())
        }
        Requirement::StorageBindingBytes(bytes) => at_least(limits.storage_binding_bytes, *bytes),
        Requirement::BufferBytes(bytes) => at_least(limits.buffer_bytes, *bytes),
        Requirement::Texture2dSize(size) => at_least(limits.texture_2d_px.into(), (*size).into()),
        Requirement::Texture3dSize(size) => at_least(limits.texture_3d_px.into(), (*size).into()),
        Requirement::TextureLayers(layers) => at_least(limits.texture_layers.into(), (*layers).into()),
        Requirement::ImageBufferTexels(texels) => {
            at_least(limits.image_buffer_texels.into(), (*texels).into())
        }
        Requirement::StorageBuffers(count) => at_least(limits.storage_buffers.into(), (*count).into()),
        Requirement::Vendor(ids) => {
            (!ids.contains(&info.vendor_id)).then(|| format!("{:#06x}", info.vendor_id))
        }
    }
}

#[cfg(test)]
mod tests {
    use drift_bundle::manifest::DeviceElement;

    use super::*;
    use crate::info::{CooperativeMatrix, DeviceKind, DeviceLimits, DeviceType, SubgroupFeatures};

    fn device() -> DeviceInfo {
        DeviceInfo {
            kind: DeviceKind::Vulkan,
            index: 0,
            name: "test".to_owned(),
            driver: String::new(),
            api_version: "1.3.0".to_owned(),
            vendor_id: 0x10de,
            device_id: 1,
            device_type: DeviceType::Discrete,
            features: DeviceFeatures {
                f16: false,
                subgroups: SubgroupFeatures { operations: true, size: 32, selectable: Some((8, 32)) },
                cooperative_matrices: vec![CooperativeMatrix {
                    m: 16,
                    n: 16,
                    k: 16,
                    ab: DeviceElement::F16,
                    c: DeviceElement::F32,
                }],
                timestamps: true,
                bounded_buffers: true,
                bounded_textures: false,
                bounded_matrices: false,
            },
            limits: DeviceLimits { shared_bytes: 32768, storage_buffers: 8, ..DeviceLimits::default() },
        }
    }

    #[track_caller]
    fn check(requirement: Requirement, expected: Option<&str>) {
        assert_eq!(lacking(&requirement, &device()).as_deref(), expected, "{requirement:?}");
    }

    #[test]
    fn predicates_are_held_against_the_device() {
        check(Requirement::F16, Some("no 16-bit floats"));
        check(Requirement::Subgroups, None);
        check(Requirement::SubgroupSize(16), None);
        check(Requirement::SubgroupSize(64), Some("8 to 32"));
        check(Requirement::SharedBytes(32768), None);
        check(Requirement::SharedBytes(32769), Some("32768"));
        check(Requirement::StorageBuffers(9), Some("8"));
        check(Requirement::Vendor(vec![0x8086, 0x10de]), None);
        check(Requirement::Vendor(vec![0x8086]), Some("0x10de"));
    }

    #[test]
    fn matrix_shapes_match_in_size_and_types() {
        let shape = |k, c| Requirement::CooperativeMatrix { m: 16, n: 16, k, ab: DeviceElement::F16, c };
        check(shape(16, DeviceElement::F32), None);
        check(shape(8, DeviceElement::F32), Some("1 other shapes"));
        check(shape(16, DeviceElement::F16), Some("1 other shapes"));
    }

    #[test]
    fn a_fixed_subgroup_size_is_offered_alone() {
        let fixed = SubgroupFeatures { operations: true, size: 32, selectable: None };
        assert!(fixed.offers(32) && !fixed.offers(16));
    }
}
