//! Rules of regions: what each kind is, and who may touch it.

use drift_bundle::limits;
use drift_bundle::manifest::*;

use crate::rules::{bound, check, variant, verdict};
use crate::sample::{self, ARENA, TEXTURE, arena, region};

#[test]
fn regions_are_what_their_kinds_say() {
    check("regions where at most", |m| {
        variant(m).regions = vec![region(sample::state("s"), 1); limits::REGIONS + 1];
    });
    check("arenas where at most", |m| {
        variant(m).regions.extend(vec![region(RegionKind::Arena, 1); limits::ARENAS]);
    });
    for alignment in [0, 3, 128, 1 << 17, u64::MAX] {
        check("alignment of a region", |m| variant(m).regions[0].alignment = alignment);
    }
    assert_eq!(verdict(|m| variant(m).regions[0].alignment = limits::REGION_ALIGNMENT), "");
    check("region of kind `texture` has 120 bytes, 128 are stated", |m| variant(m).regions[1].size = 128);
    check("slot 2 is bound to a texture, its region is of kind `texture`", |m| {
        variant(m).regions[1].kind =
            RegionKind::Texture(TextureObject { extent_px: [3, 5, 1], ..sample::texture() });
    });
    check("slot 2 is bound to a texture, its region is of kind `arena`", |m| bound(m)[2].region = ARENA);
    check("slot 0 is bound to a range of bytes, its region is of kind `texture`", |m| {
        bound(m)[0].region = TEXTURE;
    });
    check("region 4 does not exist", |m| variant(m).outputs[0].region = 4);
    check("tensor `logits` is in a region of kind `derived blob`", |m| variant(m).outputs[0].region = 2);
}

#[test]
fn several_arenas_are_memory_apart() {
    let second = verdict(|m| {
        variant(m).regions.push(region(RegionKind::Arena, 1024));
        variant(m).dispatches[1].barrier = false;
        variant(m).inputs[1].region = 4;
        variant(m).inputs[1].offset = 0;
        for slot in [1, 3] {
            bound(m)[slot].region = RegionId::Variant(4);
        }
        let again = variant(m).regions[1].clone();
        variant(m).regions.push(again);
        bound(m)[2].region = RegionId::Variant(5);
    });
    assert_eq!(second, "", "equal offsets of two arenas are no hazard, nor inputs that share bytes");
}

/// The sample with another region, and slot 0 of dispatch 1, which reads, bound to it.
fn with_region(m: &mut Manifest, kind: RegionKind, size: u64) -> u32 {
    variant(m).regions.push(region(kind, size));
    let index = variant(m).regions.len() as u32 - 1;
    bound(m)[0] = Resource::bytes(RegionId::Variant(index), 0, 60);
    index
}

/// The same with slot 1, which writes, bound to it.
fn with_written(m: &mut Manifest, kind: RegionKind, size: u64) -> u32 {
    let index = with_region(m, kind, size);
    bound(m)[0] = arena(0, 60);
    bound(m)[1] = Resource::bytes(RegionId::Variant(index), 0, 30);
    index
}

#[test]
fn state_is_like_an_arena_that_init_leaves_alone() {
    for change in [with_region, with_written] {
        let found = verdict(|m| {
            change(m, sample::state("s"), 256);
        });
        assert_eq!(found, "");
    }
    check("slot 0 is bound to a region of kind `state`, which `init` may not touch", |m| {
        let index = with_region(m, sample::state("s"), 700);
        variant(m).init[0].bindings[0] = Resource::bytes(RegionId::Variant(index), 0, 400);
    });
    check("bytes 0 + 60 leave the state of 59", |m| {
        with_region(m, sample::state("s"), 59);
    });
    check("size of a region is zero", |m| {
        with_region(m, sample::state("s"), 0);
    });
    check("dispatch 1 `add_2: eltwise`: slot 1 touches memory that an earlier dispatch writes", |m| {
        with_written(m, sample::state("s"), 256);
        let state = bound(m)[1];
        variant(m).dispatches[0].bindings[1] = state;
        variant(m).dispatches[1].barrier = false;
    });
    check("tensor `logits` is in a region of kind `state`", |m| {
        variant(m).outputs[0].region = with_written(m, sample::state("s"), 256);
        variant(m).outputs[0].offset = 0;
    });
}

#[test]
fn states_have_names_of_their_own_and_fit_their_regions() {
    let with_state = |m: &mut Manifest, name: &str, shape: &[u64], size: u64| {
        let element = DeviceElement::F32;
        let kind = RegionKind::State { name: name.to_owned(), element, shape: shape.to_vec() };
        variant(m).regions.push(region(kind, size));
    };
    let fine: &[(&str, &[u64], u64)] =
        &[("a", &[3, 5], 60), ("b", &[3, 5], 400), ("c", &[], 4), ("d", &[0, 7], 1), ("a ", &[1], 4)];
    assert_eq!(
        verdict(|m| fine.iter().for_each(|(name, shape, size)| with_state(m, name, shape, *size))),
        ""
    );
    check("two states are named `a`", |m| {
        with_state(m, "a", &[1], 4);
        with_state(m, "b", &[1], 4);
        with_state(m, "a", &[1], 4);
    });
    check("name of a state is empty", |m| with_state(m, "", &[1], 4));
    check("name of a state is 4097 bytes long", |m| {
        with_state(m, &"n".repeat(limits::NAME_BYTES + 1), &[1], 4);
    });
    check("17 axes where at most 16", |m| with_state(m, "a", &[1; limits::RANK + 1], 4));
    check("bytes 0 + 64 leave the state of 63 bytes", |m| with_state(m, "a", &[4, 4], 63));
    for shape in [&[u64::MAX][..], &[1 << 32, 1 << 32], &[u64::MAX, 2, 0], &[limits::ELEMENTS + 1]] {
        check("element count", |m| with_state(m, "a", shape, 1 << 40));
    }
    check("leave the state of", |m| with_state(m, "a", &[limits::ELEMENTS], 1 << 40));
}

#[test]
fn an_input_of_its_own_is_never_written() {
    let own_input = |m: &mut Manifest| {
        let index = with_region(m, RegionKind::Io, 60);
        variant(m).inputs[0] = IoBinding { region: index, offset: 0, element: DeviceElement::F32 };
        index
    };
    let read = verdict(|m| {
        own_input(m);
    });
    assert_eq!(read, "");
    check("slot 1 is writable and bound to the memory of an input alone, which only the host writes", |m| {
        let index = own_input(m);
        bound(m)[0] = arena(0, 60);
        bound(m)[1] = Resource::bytes(RegionId::Variant(index), 0, 30);
    });
    let own_output = |m: &mut Manifest| {
        let index = with_written(m, RegionKind::Io, 60);
        variant(m).outputs[0] = IoBinding { region: index, offset: 0, element: DeviceElement::F32 };
        index
    };
    let written = verdict(|m| {
        own_output(m);
    });
    assert_eq!(written, "");
    check("slot 1 is writable and bound to the memory of an input alone", |m| {
        let index = own_output(m);
        variant(m).inputs[0] = IoBinding { region: index, offset: 0, element: DeviceElement::F32 };
    });
    let as_it_is = verdict(|m| {
        let index = own_input(m);
        variant(m).outputs[0] = IoBinding { region: index, offset: 0, element: DeviceElement::F32 };
    });
    assert_eq!(as_it_is, "", "an output may be the input as it was written");
    check("region 4 is for an input or output and holds none", |m| {
        with_region(m, RegionKind::Io, 60);
    });
    check("leave the input or output of 59", |m| {
        let index = own_output(m);
        variant(m).regions[index as usize].size = 59;
    });
    check("region of kind `input or output`, which `init` may not touch", |m| {
        let index = own_output(m);
        variant(m).regions[index as usize].size = 400;
        variant(m).init[0].bindings[0] = Resource::bytes(RegionId::Variant(index), 0, 400);
    });
}

#[test]
fn parameters_are_read_through_group_2() {
    let words = || RegionKind::Params([1, 2, 3, 4].map(Word::Const).to_vec());
    let bind = |m: &mut Manifest| {
        with_region(m, words(), 16);
        bound(m)[0] = arena(0, 60);
        bound(m)[6] = Resource::bytes(RegionId::Variant(4), 0, 16);
    };
    assert_eq!(verdict(bind), "");
    check("slot 0 of group 0 is bound to parameters, which slots of group 2 take", |m| {
        with_region(m, RegionKind::Params(vec![Word::Const(0); 15]), 60);
    });
    check("slot 1 is writable and bound to parameters, which only the host writes", |m| {
        bind(m);
        m.shaders[0].bindings[1].group = 2;
        m.shaders[0].bindings[1].kind = BindingKind::StorageBuffer { min_bytes: 16 };
        bound(m)[1] = bound(m)[6];
    });
    check("region of kind `parameters` has 16 bytes, 12 are stated", |m| {
        bind(m);
        variant(m).regions[4].size = 12;
    });
    check("size of a region is zero", |m| {
        with_region(m, RegionKind::Params(Vec::new()), 0);
    });
    check("words of parameters where at most", |m| {
        with_region(
            m,
            RegionKind::Params(vec![Word::Const(0); limits::PARAMS + 1]),
            4 * (limits::PARAMS as u64 + 1),
        );
    });
    check("region of kind `parameters`, which `init` may not touch", |m| {
        with_region(m, RegionKind::Params(vec![Word::Const(0); 100]), 400);
        bound(m)[0] = arena(0, 60);
        m.shaders[2].bindings[0].group = 2;
        variant(m).init[0].bindings[0] = Resource::bytes(RegionId::Variant(4), 0, 400);
    });
}
