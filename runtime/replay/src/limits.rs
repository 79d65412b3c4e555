//! Holds a variant against the limits of a device, before any GPU call.
//!
//! Drivers need not check: a kernel that wants more workgroup memory than there is has been seen to lose a
//! device without a word.

use drift_bundle::ALIGNMENT_BYTES;
use drift_bundle::manifest::{
    BindingKind, Dispatch, Region, RegionKind, Shader, TextureKind, TextureObject, View,
};

use crate::info::{DeviceFeatures, DeviceLimits};
use crate::program::{IoRange, Program, WeightTexture};
use crate::report::DeclineReason;

/// The first limit that the program exceeds; `staging_bytes` is the caller's.
pub(crate) fn first_exceeded(
    program: &Program<'_>,
    limits: &DeviceLimits,
    features: &DeviceFeatures,
    staging_bytes: u64,
) -> Option<DeclineReason> {
    memory(program, limits).or_else(|| staging(program, limits, staging_bytes)).or_else(|| {
        program.all_dispatches().find_map(|dispatch| of_dispatch(program, dispatch, limits, features))
    })
}

/// `Some` where `needed` is more than there is.
fn over(place: &str, what: &'static str, needed: u64, available: u64) -> Option<DeclineReason> {
    (needed > available).then(|| DeclineReason::Limit { place: place.to_owned(), what, needed, available })
}

fn memory(program: &Program<'_>, limits: &DeviceLimits) -> Option<DeclineReason> {
    let region = |(index, region): (usize, &Region)| {
        let place = || format!("region {index} ({})", region.kind.name());
        match &region.kind {
            RegionKind::Texture(object) => texture_size(&place(), object, limits),
            RegionKind::Arena
            | RegionKind::State { .. }
            | RegionKind::Io
            | RegionKind::Params(_)
            | RegionKind::Derived => over(&place(), "bytes in a buffer", region.size, limits.buffer_bytes),
        }
    };
    program
        .variant
        .regions
        .iter()
        .enumerate()
        .find_map(region)
        .or_else(|| {
            let used = program.used_weights();
            let blob = |index: usize| &program.bundle.manifest().weights[index];
            let place = |index| format!("weight `{}`", blob(index).name);
            let buffer =
                |index| over(&place(index), "bytes in a buffer", blob(index).size, limits.buffer_bytes);
            let mut textures = used.textures.iter();
            let texture =
                |texture: &WeightTexture| texture_size(&place(texture.blob), &texture.object, limits);
            used.blobs.into_iter().find_map(buffer).or_else(|| textures.find_map(texture))
        })
        .or_else(|| total_memory(program, limits))
}

/// The host's copies of inputs, and of outputs, which several may have of one range, are in a buffer each.
fn staging(program: &Program<'_>, limits: &DeviceLimits, most: u64) -> Option<DeclineReason> {
    let [inputs, outputs] =
        [program.input_ranges(), program.output_ranges()].map(|ranges| staged(&ranges).unwrap_or(u64::MAX));
    let needed = inputs.saturating_add(outputs);
    over("the host's copy of all inputs", "bytes in a buffer", inputs, limits.buffer_bytes)
        .or_else(|| over("the host's copy of all outputs", "bytes in a buffer", outputs, limits.buffer_bytes))
        .or_else(|| (needed > most).then_some(DeclineReason::Staging { needed, available: most }))
}

/// Size of a buffer with a copy of each range.
fn staged(ranges: &[IoRange]) -> Option<u64> {
    ranges
        .iter()
        .try_fold(0_u64, |end, range| end.checked_add(range.size)?.checked_next_multiple_of(ALIGNMENT_BYTES))
}

fn texture_size(place: &str, texture: &TextureObject, limits: &DeviceLimits) -> Option<DeclineReason> {
    let [width, height, depth] = texture.extent_px.map(u64::from);
    let side = width.max(height);
    match texture.kind {
        TextureKind::D2 => over(place, "pixels a side", side, limits.texture_2d_px.into()),
        TextureKind::Array => over(place, "pixels a side", side, limits.texture_2d_px.into())
            .or_else(|| over(place, "layers", depth, limits.texture_layers.into())),
        TextureKind::D3 => over(place, "pixels a side", side.max(depth), limits.texture_3d_px.into()),
    }
}

/// Everything at once, since an init program runs when all else is there.
fn total_memory(program: &Program<'_>, limits: &DeviceLimits) -> Option<DeclineReason> {
    let used = program.used_weights();
    let regions = program.variant.regions.iter().map(|region| region.size);
    let blobs = used.blobs.iter().map(|&index| program.bundle.manifest().weights[index].size);
    let filled = used.textures.iter().map(|texture| texture.object.size_bytes());
    let needed = regions.chain(blobs).chain(filled).fold(0, u64::saturating_add);
    over("the program", "bytes of device memory", needed, limits.memory_bytes)
}

fn of_dispatch(
    program: &Program<'_>,
    dispatch: &Dispatch,
    limits: &DeviceLimits,
    features: &DeviceFeatures,
) -> Option<DeclineReason> {
    let shader = program.shader(dispatch);
    let place = format!("dispatch `{}`", dispatch.name);
    let axes = |what, needed: [u32; 3], available: [u32; 3]| {
        needed
            .into_iter()
            .zip(available)
            .find_map(|(needed, available)| over(&place, what, needed.into(), available.into()))
    };
    let invocations = shader.workgroup_size.iter().product::<u32>();
    axes("workgroups along an axis", dispatch.workgroups, limits.workgroups)
        .or_else(|| axes("invocations along an axis", shader.workgroup_size, limits.workgroup_size))
        .or_else(|| {
            over(
                &place,
                "invocations in a workgroup",
                invocations.into(),
                limits.workgroup_invocations.into(),
            )
        })
        .or_else(|| {
            over(&place, "bytes of workgroup memory", shader.shared_bytes.into(), limits.shared_bytes.into())
        })
        .or_else(|| subgroup(&place, shader, limits, features))
        .or_else(|| counts(&place, shader, limits))
        .or_else(|| ranges(&place, shader, dispatch, limits))
}

fn subgroup(
    place: &str,
    shader: &Shader,
    limits: &DeviceLimits,
    features: &DeviceFeatures,
) -> Option<DeclineReason> {
    let lanes = shader.subgroup_size?;
    if !features.subgroups.offers(lanes) {
        let available = features.subgroups.selectable.map_or(features.subgroups.size, |(_, most)| most);
        return Some(DeclineReason::Limit {
            place: place.to_owned(),
            what: "lanes in a subgroup, exactly",
            needed: lanes.into(),
            available: available.into(),
        });
    }
    features.subgroups.selectable?;
    let subgroups = shader.workgroup_size.iter().product::<u32>().div_ceil(lanes);
    over(place, "subgroups in a workgroup", subgroups.into(), limits.workgroup_subgroups.into())
}

fn counts(place: &str, shader: &Shader, limits: &DeviceLimits) -> Option<DeclineReason> {
    let count = |wanted: fn(&BindingKind) -> bool| {
        shader.bindings.iter().filter(|slot| wanted(&slot.kind)).count() as u64
    };
    let storage = count(|kind| matches!(kind, BindingKind::StorageBuffer { .. }));
    let uniform = count(|kind| matches!(kind, BindingKind::UniformBuffer { .. }));
    let image =
        |kind: &BindingKind| matches!(kind, BindingKind::Texture { .. } | BindingKind::ImageBuffer { .. });
    let images = shader.bindings.iter().filter(|slot| image(&slot.kind));
    let (written, sampled): (Vec<_>, Vec<_>) = images.partition(|slot| slot.writable);
    over(place, "storage buffers", storage, limits.storage_buffers.into())
        .or_else(|| over(place, "uniform buffers", uniform, limits.uniform_buffers.into()))
        .or_else(|| over(place, "sampled images", sampled.len() as u64, limits.sampled_images.into()))
        .or_else(|| over(place, "storage images", written.len() as u64, limits.storage_images.into()))
        .or_else(|| over(place, "resources", shader.bindings.len() as u64, limits.resources.into()))
}

fn ranges(place: &str, shader: &Shader, dispatch: &Dispatch, limits: &DeviceLimits) -> Option<DeclineReason> {
    shader.bindings.iter().zip(&dispatch.bindings).find_map(|(slot, resource)| match resource.view {
        View::Bytes { size, .. } => match slot.kind {
            BindingKind::UniformBuffer { .. } => {
                over(place, "bytes in a uniform buffer", size, limits.uniform_binding_bytes)
            }
            BindingKind::StorageBuffer { .. }
            | BindingKind::Texture { .. }
            | BindingKind::ImageBuffer { .. } => {
                over(place, "bytes in a storage buffer", size, limits.storage_binding_bytes)
            }
        },
        View::Texels { element, size, .. } => over(
            place,
            "texels in an image buffer",
            size / element.texel_bytes(),
            limits.image_buffer_texels.into(),
        ),
        View::Texture { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use drift_bundle::manifest::*;
    use drift_bundle::{Bundle, BundleWriter, stub};

    use super::*;
    use crate::info::SubgroupFeatures;

    /// One dispatch with one of each resource, of sizes that no two limits share.
    fn bundle() -> Bundle {
        let element = DeviceElement::F32;
        let texture = TextureObject { kind: TextureKind::D2, element, extent_px: [3, 20, 1] };
        let of_weights =
            TextureObject { kind: TextureKind::Array, element: DeviceElement::F16, extent_px: [2, 1, 21] };
        let (arena, weight) = (RegionId::Variant(0), RegionId::Weight);
        let kinds = [
            (BindingKind::StorageBuffer { min_bytes: 4 }, false, Resource::bytes(arena, 0, 300)),
            (BindingKind::StorageBuffer { min_bytes: 4 }, true, Resource::bytes(arena, 512, 4)),
            (BindingKind::UniformBuffer { min_bytes: 16 }, false, Resource::bytes(weight(0), 0, 80)),
            (
                BindingKind::Texture { kind: TextureKind::D2, element },
                false,
                Resource::texture(RegionId::Variant(1), 0, texture),
            ),
            (BindingKind::ImageBuffer { element }, true, Resource::texels(arena, element, 768, 48)),
            (
                BindingKind::Texture { kind: TextureKind::Array, element: DeviceElement::F16 },
                false,
                Resource::texture(weight(1), 0, of_weights),
            ),
        ];
        let mut writer = BundleWriter::new(Provenance {
            compiler: String::new(),
            flags: Vec::new(),
            model: String::new(),
            model_hash: String::new(),
            profiles: Vec::new(),
        });
        writer.add_weight("w", [7; 900]).unwrap();
        // Only its texture takes memory on the device.
        writer.add_weight("t", [8; 2000]).unwrap();
        let slot = |(binding, (kind, writable, _)): (u32, &(BindingKind, bool, Resource))| BindingSlot {
            group: 0,
            binding,
            kind: *kind,
            writable: *writable,
        };
        let shader = Shader {
            name: "kernel".to_owned(),
            target: Target::Vulkan,
            entry_point: "main".to_owned(),
            offset: 0,
            size: 0,
            workgroup_size: [6, 5, 1],
            shared_bytes: 70,
            subgroup_size: Some(4),
            bindings: (0..).zip(&kinds).map(slot).collect(),
        };
        let dispatch = Dispatch {
            name: "step".to_owned(),
            shader: writer.add_shader(shader.clone(), &stub::code(&shader)),
            bindings: kinds.iter().map(|(_, _, resource)| *resource).collect(),
            workgroups: [9, 1, 1],
            free_workgroups: [None; 3],
            barrier: false,
            origins: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
        };
        let region = |kind, size| Region { kind, size, alignment: ALIGNMENT_BYTES };
        let variant = Variant {
            name: "generic".to_owned(),
            profile: "generic".to_owned(),
            requires: Vec::new(),
            regions: vec![
                region(RegionKind::Arena, 1024),
                region(RegionKind::Texture(texture), texture.size_bytes()),
                region(RegionKind::Derived, 1000),
                region(RegionKind::Derived, 8),
            ],
            inputs: Vec::new(),
            outputs: Vec::new(),
            init: Vec::new(),
            dispatches: vec![dispatch],
            memory: MemoryReport::default(),
        };
        writer.add_entry(Entry {
            name: "main".to_owned(),
            target: Target::Vulkan,
            dims: Vec::new(),
            sizes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            variants: vec![variant],
        });
        Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap()
    }

    /// Exactly enough for [`bundle`].
    fn enough() -> DeviceLimits {
        DeviceLimits {
            workgroups: [9, 1, 1],
            workgroup_size: [6, 5, 1],
            workgroup_invocations: 30,
            workgroup_subgroups: 8,
            shared_bytes: 70,
            storage_binding_bytes: 300,
            uniform_binding_bytes: 80,
            buffer_bytes: 1024,
            texture_2d_px: 20,
            texture_3d_px: 20,
            texture_layers: 21,
            image_buffer_texels: 3,
            storage_buffers: 2,
            uniform_buffers: 1,
            sampled_images: 2,
            storage_images: 1,
            resources: 6,
            memory_bytes: 1024 + 3 * 20 * 16 + 900 + 2 * 21 * 8 + 1008,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut DeviceLimits), expected: &str) {
        let bundle = bundle();
        let entry = &bundle.manifest().entries[0];
        let program = Program { bundle: &bundle, entry, variant: &entry.variants[0] };
        let subgroups = SubgroupFeatures { operations: true, size: 8, selectable: Some((4, 8)) };
        let features = DeviceFeatures { subgroups, ..DeviceFeatures::default() };
        let mut limits = enough();
        change(&mut limits);
        let said = first_exceeded(&program, &limits, &features, u64::MAX).map(|reason| reason.to_string());
        assert_eq!(said.unwrap_or_default(), expected);
    }

    #[test]
    fn each_limit_is_held_at_its_exact_value() {
        check(|_| (), "");
        check(
            |l| l.workgroups[0] = 8,
            "dispatch `step` needs 9 workgroups along an axis, the device allows 8",
        );
        check(
            |l| l.workgroup_size[1] = 4,
            "dispatch `step` needs 5 invocations along an axis, the device allows 4",
        );
        check(
            |l| l.workgroup_invocations = 29,
            "dispatch `step` needs 30 invocations in a workgroup, the device allows 29",
        );
        check(
            |l| l.workgroup_subgroups = 7,
            "dispatch `step` needs 8 subgroups in a workgroup, the device allows 7",
        );
        check(
            |l| l.shared_bytes = 69,
            "dispatch `step` needs 70 bytes of workgroup memory, the device allows 69",
        );
        check(
            |l| l.storage_binding_bytes = 299,
            "dispatch `step` needs 300 bytes in a storage buffer, the device allows 299",
        );
        check(
            |l| l.uniform_binding_bytes = 79,
            "dispatch `step` needs 80 bytes in a uniform buffer, the device allows 79",
        );
        check(
            |l| l.buffer_bytes = 1023,
            "region 0 (arena) needs 1024 bytes in a buffer, the device allows 1023",
        );
        check(|l| l.texture_2d_px = 19, "region 1 (texture) needs 20 pixels a side, the device allows 19");
        check(
            |l| l.image_buffer_texels = 2,
            "dispatch `step` needs 3 texels in an image buffer, the device allows 2",
        );
        check(|l| l.storage_buffers = 1, "dispatch `step` needs 2 storage buffers, the device allows 1");
        check(|l| l.uniform_buffers = 0, "dispatch `step` needs 1 uniform buffers, the device allows 0");
        check(|l| l.sampled_images = 1, "dispatch `step` needs 2 sampled images, the device allows 1");
        check(|l| l.texture_layers = 20, "weight `t` needs 21 layers, the device allows 20");
        check(|l| l.storage_images = 0, "dispatch `step` needs 1 storage images, the device allows 0");
        check(|l| l.resources = 5, "dispatch `step` needs 6 resources, the device allows 5");
        check(
            |l| l.memory_bytes -= 1,
            "the program needs 4228 bytes of device memory, the device allows 4227",
        );
    }
}
