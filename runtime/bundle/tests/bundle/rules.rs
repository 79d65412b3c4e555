//! One test a rule of the validator: a change to a valid manifest, and what is said about it.

use drift_bundle::manifest::*;
use drift_bundle::{SectionBytes, limits, stub, validate};

use crate::sample::{self, ARENA, DERIVED, TEXTURE, arena, derived, region, weight};

/// Applies `change` to the sample's manifest and returns what the validator says, empty when it accepts. The code of a
/// shader that is changed is made anew, so that it agrees.
pub(crate) fn verdict(change: impl FnOnce(&mut Manifest)) -> String {
    let bytes = sample::bytes();
    let original = sample::bundle().manifest().clone();
    let mut manifest = original.clone();
    change(&mut manifest);
    let mut shaders = bytes[sample::section(&bytes, 1)].to_vec();
    for (shader, before) in manifest.shaders.iter_mut().zip(&original.shaders) {
        let moved = (shader.offset, shader.size) != (before.offset, before.size);
        if shader != before && !moved {
            shaders.resize(shaders.len().next_multiple_of(4), 0);
            let code = stub::code(shader);
            (shader.offset, shader.size) = (shaders.len() as u64, code.len() as u64);
            shaders.extend(code);
        }
    }
    let sections =
        SectionBytes { shaders: &shaders, weights: sample::section(&bytes, sample::WEIGHTS).len() as u64 };
    match validate(&manifest, sections) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
pub(crate) fn check(expected: &str, change: impl FnOnce(&mut Manifest)) {
    let found = verdict(change);
    assert!(found.contains(expected), "expected `{expected}`, found `{found}`");
}

pub(crate) fn variant(manifest: &mut Manifest) -> &mut Variant {
    &mut manifest.entries[0].variants[0]
}

pub(crate) fn bound(manifest: &mut Manifest) -> &mut Vec<Resource> {
    &mut variant(manifest).dispatches[1].bindings
}

/// Changes the texture region, and with it what binds it.
fn with_texture(m: &mut Manifest, change: impl Fn(&mut TextureObject)) {
    let variant = variant(m);
    let mut object = sample::texture();
    change(&mut object);
    variant.regions[1] = region(RegionKind::Texture(object), object.size_bytes());
    for resource in variant.dispatches.iter_mut().flat_map(|dispatch| &mut dispatch.bindings) {
        if resource.region == TEXTURE {
            resource.view = View::Texture { offset: 0, object };
        }
    }
}

#[test]
fn the_sample_is_valid() {
    assert_eq!(verdict(|_| ()), "");
}

#[test]
fn a_message_names_entry_variant_and_dispatch() {
    let place = "entry `main` for vulkan, variant `generic`, dispatch 1 `add_2: eltwise`: ";
    check(&format!("{place}shader 99 does not exist, there are 4"), |m| variant(m).dispatches[1].shader = 99);
    check("variant `generic`, init dispatch 0 `derive`: ", |m| variant(m).init[0].shader = 99);
}

#[test]
fn ranges_lie_in_what_they_index() {
    check("leave the arena of 1024 bytes", |m| bound(m)[0] = arena(768, 257));
    check("leave the arena", |m| bound(m)[0] = arena(u64::MAX - 255, 256));
    check("leave the weight of 700", |m| bound(m)[4] = weight(0, 512, 300));
    check("weight 2 does not exist", |m| bound(m)[4] = weight(2, 0, 300));
    check("region 4 does not exist, there are 4", |m| bound(m)[2].region = RegionId::Variant(4));
    check("leave the weights section", |m| m.weights[1].size = 100_000);
    check("leave the shader section", |m| m.shaders[1].size = 100_000);
    check("leave the arena", |m| variant(m).outputs[0].offset = 1024);
    check("leave the arena", |m| variant(m).regions[0].size = 0);
    check("size is zero", |m| bound(m)[0] = arena(0, 0));
}

#[test]
fn offsets_are_aligned() {
    check("offset of a view is 4, not a multiple of 256", |m| bound(m)[0] = arena(4, 60));
    check("offset of a view is 128", |m| bound(m)[4] = weight(0, 128, 400));
    check("offset is 2, not a multiple of 4", |m| m.shaders[1].offset = 2);
}

#[test]
fn weights_follow_one_another_and_fill_their_section() {
    check("weight 1 `conv1.bias`: starts at 100 in the weights section, 768 follows", |m| {
        m.weights[1].offset = 100;
    });
    check("starts at 0 in the weights section, 768 follows", |m| m.weights[1].offset = 0);
    check("starts at 1024 in the weights section, 768 follows", |m| m.weights[1].offset = 1024);
    check("starts at 768 in the weights section, 512 follows", |m| m.weights[0].size = 500);
    check("the weights take 807 bytes of a section of 808", |m| m.weights[1].size = 39);
    check("weight 1 `conv1.bias`: size is zero", |m| m.weights[1].size = 0);
    check("leave the weights section", |m| m.weights[1].size = u64::MAX);
    check("the weights take 700 bytes of a section of 808", |m| m.weights.truncate(1));
}

#[test]
fn slots_get_what_they_take() {
    check("slot 0 takes a storage buffer, a texture is bound", |m| {
        bound(m)[0] = Resource::texture(TEXTURE, 0, sample::texture())
    });
    check("slot 2 takes a texture, a range of bytes is bound", |m| {
        bound(m)[2] = arena(768, 16);
    });
    check("slot 0 needs 60 bytes, 59 are bound", |m| bound(m)[0] = arena(0, 59));
    check("slot 1 is writable and bound to weights", |m| {
        bound(m)[1] = weight(0, 0, 300);
    });
    check("slot 2 takes F16 channels, F32 is bound", |m| with_texture(m, |t| t.element = DeviceElement::F32));
    check("slot 5 takes F16 channels, F32 is bound", |m| {
        bound(m)[5] = Resource::texels(RegionId::Weight(1), DeviceElement::F32, 0, 32);
    });
    check("size of a texel range is 24, not a multiple of 16", |m| {
        bound(m)[3] = Resource::texels(ARENA, DeviceElement::F32, 512, 24);
    });
    check("9 resources are bound, shader `conv_tiled_0` declares 10", |m| {
        bound(m).pop();
    });
    check("is for OpenCl, the entry is for Vulkan", |m| variant(m).dispatches[0].shader = 1);
}

#[test]
fn what_is_written_is_bound_once() {
    check("slots 0 and 1 share memory", |m| bound(m)[0] = arena(256, 60));
    check("slots 0 and 3 share memory", |m| bound(m)[0] = arena(512, 60));
    let two_readers = verdict(|m| {
        m.shaders[0].bindings[1].writable = false;
        bound(m)[1] = arena(0, 60);
        bound(m)[0] = arena(0, 60);
    });
    assert_eq!(two_readers, "", "reading twice is fine");
    check("slots 2 and 3 share memory", |m| {
        m.shaders[0].bindings[3].kind =
            BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F16 };
        variant(m).dispatches[0].bindings[3] = Resource::texture(TEXTURE, 0, sample::texture());
    });
}

#[test]
fn textures_of_weights_are_filled_from_their_blobs() {
    let bind = |m: &mut Manifest, offset, change: fn(&mut TextureObject)| {
        let mut texture = sample::weight_texture();
        change(&mut texture);
        bound(m)[9] = Resource::texture(RegionId::Weight(0), offset, texture);
    };
    check("bytes 256 + 480 leave the weight of 700", |m| bind(m, 256, |t| t.extent_px[0] = 12));
    check("leave the weight", |m| bind(m, u64::MAX - 255, |_| ()));
    check("offset of a view is 128, not a multiple of 256", |m| bind(m, 128, |_| ()));
    check("weight 2 does not exist", |m| {
        bound(m)[9] = Resource::texture(RegionId::Weight(2), 0, sample::weight_texture());
    });
    check("texture width is zero", |m| bind(m, 256, |t| t.extent_px[0] = 0));
    check("texture depth of a 2D texture", |m| bind(m, 0, |t| t.extent_px = [1, 1, 2]));
    check("texture height", |m| bind(m, 256, |t| t.extent_px[1] = u32::MAX));
    check("slot 9 takes F16 channels, F32 is bound", |m| {
        bind(m, 256, |t| (t.element, t.extent_px) = (DeviceElement::F32, [1; 3]));
    });
    check("slot 9 takes a texture of kind D2, one of kind D3 is bound", |m| {
        bind(m, 256, |t| t.kind = TextureKind::D3)
    });
    check("slot 9 takes a texture, a range of bytes is bound", |m| {
        bound(m)[9] = weight(0, 0, 16);
    });
    check("slot 0 takes a storage buffer, a texture is bound", |m| {
        bound(m)[0] = Resource::texture(RegionId::Weight(0), 0, sample::weight_texture());
    });
    check("slot 2 is writable and bound to weights", |m| {
        bound(m)[2] = Resource::texture(RegionId::Weight(0), 0, sample::weight_texture());
    });
}

#[test]
fn derived_ranges_lie_in_their_blobs_and_are_aligned() {
    check("bytes 256 + 245 leave the derived blob of 500", |m| bound(m)[7] = derived(0, 256, 245));
    check("leave the derived blob", |m| bound(m)[7] = derived(0, u64::MAX - 255, 256));
    check("offset of a view is 128, not a multiple of 256", |m| bound(m)[7] = derived(0, 128, 200));
    check("size is zero", |m| bound(m)[7] = derived(0, 0, 0));
    check("slot 7 needs 100 bytes, 99 are bound", |m| bound(m)[7] = derived(0, 256, 99));
    check("slot 8 takes F32 channels, F16 is bound", |m| {
        bound(m)[8] = Resource::texels(DERIVED[1], DeviceElement::F16, 0, 64);
    });
    check("size of a texel range is 24, not a multiple of 16", |m| {
        bound(m)[8] = Resource::texels(DERIVED[1], DeviceElement::F32, 0, 24);
    });
    check("slot 8 takes a texel buffer, a range of bytes is bound", |m| bound(m)[8] = derived(1, 0, 64));
    check("size of a region is zero", |m| variant(m).regions[3].size = 0);
}

#[test]
fn derived_blobs_are_written_by_init_and_by_nothing_else() {
    check("dispatch 1 `add_2: eltwise`: slot 1 is writable and bound to a derived blob", |m| {
        bound(m)[1] = derived(0, 0, 64);
    });
    check("dispatch 1 `add_2: eltwise`: slot 3 is writable and bound to a derived blob", |m| {
        bound(m)[3] = Resource::texels(DERIVED[1], DeviceElement::F32, 0, 64);
    });
    check(
        "dispatch 0 `conv_1: conv_tiled`: slot 7 reads bytes of region 2, a derived blob, that `init`",
        |m| {
            variant(m).init.clear();
        },
    );
    check("slot 8 reads bytes of region 3, a derived blob, that `init` does not write", |m| {
        // Most of it is written, and the dispatch reads all.
        variant(m).regions[3].size = 128;
        variant(m).init[0].bindings[2] = derived(1, 0, 96);
        bound(m)[8] = Resource::texels(DERIVED[1], DeviceElement::F32, 0, 128);
    });
    let in_two_parts = verdict(|m| {
        let mut second = variant(m).init[0].clone();
        variant(m).regions[2].size = 1024;
        variant(m).regions.push(region(RegionKind::Derived, 64));
        variant(m).init[0].bindings[1] = derived(0, 0, 512);
        second.bindings[1] = derived(0, 512, 512);
        second.bindings[2] = Resource::bytes(RegionId::Variant(4), 0, 64);
        second.barrier = false;
        variant(m).init.push(second);
        bound(m)[7] = derived(0, 256, 768);
    });
    assert_eq!(in_two_parts, "", "several dispatches may make one blob, at once");
}

#[test]
fn dispatches_of_init_wait_for_what_they_depend_on() {
    check("init dispatch 1 `derive`: slot 1 touches memory that an earlier dispatch writes", |m| {
        let mut second = variant(m).init[0].clone();
        second.barrier = false;
        variant(m).init.push(second);
    });
    check("init dispatch 1 `derive`: slot 2 touches memory that an earlier dispatch reads", |m| {
        let init = &mut variant(m).init;
        init[0].bindings[0] = derived(0, 0, 500);
        init[0].bindings[1] = arena(0, 512);
        init.push(init[0].clone());
        init[1].bindings[0] = weight(0, 256, 400);
        init[1].bindings[1] = arena(512, 512);
        init[1].bindings[2] = derived(0, 256, 200);
        init[1].barrier = false;
    });
    check("init dispatch 0 `derive`: slots 1 and 2 share memory", |m| {
        variant(m).init[0].bindings[2] = derived(0, 256, 200);
    });
}

#[test]
fn textures_have_the_dimensions_that_shaders_take() {
    check("takes a texture of kind D2, one of kind D3 is bound", |m| {
        with_texture(m, |t| t.kind = TextureKind::D3);
    });
    check("takes a texture of kind Array, one of kind D2 is bound", |m| {
        m.shaders[0].bindings[2].kind =
            BindingKind::Texture { kind: TextureKind::Array, element: DeviceElement::F16 };
    });
}

#[test]
fn dispatches_wait_for_what_they_depend_on() {
    check("dispatch 1 `add_2: eltwise`: slot 1 touches memory that an earlier dispatch writes", |m| {
        variant(m).dispatches[1].barrier = false;
    });
    check("slot 1 touches memory that an earlier dispatch reads, with no barrier", |m| {
        variant(m).dispatches[1].barrier = false;
        bound(m)[0] = arena(768, 60);
        bound(m)[1] = arena(0, 30);
    });
    check("slot 2 touches memory that an earlier dispatch writes", |m| {
        variant(m).dispatches[1].barrier = false;
        bound(m)[1] = arena(768, 30);
    });
    let apart = verdict(|m| {
        let again = variant(m).regions[1].clone();
        variant(m).regions.push(again);
        variant(m).regions[0].size = 2048;
        variant(m).dispatches[1].barrier = false;
        bound(m)[1] = arena(1024, 30);
        bound(m)[2].region = RegionId::Variant(4);
        bound(m)[3] = Resource::texels(ARENA, DeviceElement::F32, 1280, 64);
    });
    assert_eq!(apart, "", "two that only share what they read may run at once");
    assert_eq!(
        verdict(|m| variant(m).dispatches[0].barrier = false),
        "",
        "the first has nothing to wait for"
    );
}

#[test]
fn names_are_there_unique_and_short() {
    check("two weights are named `conv1.bias`", |m| m.weights[0].name = "conv1.bias".to_owned());
    check("two inputs are named `ids`", |m| m.entries[0].inputs[0].name = "ids".to_owned());
    check("name is empty", |m| m.shaders[0].name.clear());
    check("entry `main` for vulkan: two entries", |m| {
        let entry = m.entries[0].clone();
        m.entries.push(entry);
    });
    check("two variants are named `generic`", |m| {
        let again = variant(m).clone();
        m.entries[0].variants.push(again);
    });
    check("origin is 4097 bytes long", |m| variant(m).dispatches[0].origins[0] = "x".repeat(4097));
    check("flag is 5000 bytes long", |m| m.provenance.flags.push("é".repeat(2500)));
}

#[test]
fn lists_are_capped() {
    check("17 axes", |m| m.entries[0].inputs[0].shape = vec![1; 17]);
    check("textures where at most 65536", |m| {
        let texture = variant(m).regions[1].clone();
        variant(m).regions.extend(vec![texture; limits::TEXTURES]);
    });
    check("no variants", |m| m.entries[0].variants.clear());
    check("1 inputs are placed, the entry declares 2", |m| {
        variant(m).inputs.pop();
    });
}

#[test]
fn shapes_do_not_overflow() {
    check("element count is too large", |m| m.entries[0].inputs[0].shape = vec![u64::MAX, 2]);
    check("element count is too large", |m| m.entries[0].inputs[0].shape = vec![1 << 49]);
    let empty = verdict(|m| m.entries[0].inputs[0].shape = vec![0, 3]);
    assert_eq!(empty, "", "a tensor may have no elements");
}

#[test]
fn inputs_lie_apart_and_in_a_type_that_holds_them() {
    check("inputs `ids` and `image` share memory", |m| variant(m).inputs[1].offset = 0);
    check("tensor `ids` is I64 for the caller and cannot be F32", |m| {
        variant(m).inputs[1].element = DeviceElement::F32;
    });
    let in_place = verdict(|m| variant(m).outputs[0].offset = 0);
    assert_eq!(in_place, "", "state is an output in an input's place");
}

#[test]
fn sizes_are_not_zero_or_absurd() {
    check("workgroup count is zero", |m| variant(m).dispatches[0].workgroups[2] = 0);
    check("workgroup size is zero", |m| m.shaders[0].workgroup_size[1] = 0);
    check("workgroup is too large", |m| m.shaders[0].workgroup_size = [u32::MAX, u32::MAX, 1]);
    check("texture width is zero", |m| with_texture(m, |t| t.extent_px[0] = 0));
    check("texture height is too large", |m| with_texture(m, |t| t.extent_px[1] = u32::MAX));
    check("texture depth of a 2D texture is too large", |m| with_texture(m, |t| t.extent_px[2] = 2));
    check("subgroup size, a power of two, is too large", |m| m.shaders[0].subgroup_size = Some(33));
    check("sum of all regions is too large", |m| variant(m).regions[0].size = u64::MAX);
    check("sum of all regions is too large", |m| {
        variant(m).regions.extend([1 << 47, 1 << 47].map(|size| region(RegionKind::Derived, size)));
    });
}

#[test]
fn slots_are_declared_once_and_in_range() {
    check("group 0 binding 0 is declared twice", |m| m.shaders[0].bindings[1].binding = 0);
    check("group is too large", |m| m.shaders[0].bindings[1].group = 3);
    check("binding is too large", |m| m.shaders[0].bindings[1].binding = u32::MAX);
    check("slot 6 is a uniform buffer and cannot be writable", |m| m.shaders[0].bindings[6].writable = true);
}
