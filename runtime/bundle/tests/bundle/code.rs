//! Code and manifest that disagree are refused by what disagrees, in every language.

use drift_bundle::manifest::*;
use drift_bundle::{SectionBytes, stub, validate};

use crate::sample;

/// A shader with one of each resource that all targets have, and its dispatch.
fn manifest(target: Target) -> Manifest {
    let slot = |group, binding, kind, writable| BindingSlot { group, binding, kind, writable };
    let texture = |kind| BindingKind::Texture { kind, element: DeviceElement::F32 };
    let shader = Shader {
        bindings: vec![
            slot(0, 0, BindingKind::StorageBuffer { min_bytes: 64 }, false),
            slot(0, 1, BindingKind::StorageBuffer { min_bytes: 32 }, true),
            slot(0, 2, texture(TextureKind::D2), true),
            slot(1, 0, texture(TextureKind::D3), false),
            slot(1, 1, BindingKind::StorageBuffer { min_bytes: 64 }, false),
            slot(2, 0, BindingKind::UniformBuffer { min_bytes: 16 }, false),
        ],
        ..sample::shader(target, "kernel_0")
    };
    let mut manifest = sample::bundle().manifest().clone();
    manifest.entries.clear();
    manifest.shaders = vec![shader];
    manifest
}

fn said(manifest: &Manifest, code: &[u8]) -> String {
    let sections = SectionBytes { shaders: code, weights: 808 };
    validate(manifest, sections).map_err(|error| error.to_string()).err().unwrap_or_default()
}

/// What is said where the code is that of the unchanged manifest.
fn lie(target: Target, change: impl FnOnce(&mut Shader)) -> String {
    let mut manifest = manifest(target);
    let code = stub::code(&manifest.shaders[0]);
    manifest.shaders[0].size = code.len() as u64;
    assert_eq!(said(&manifest, &code), "", "{target:?}");
    change(&mut manifest.shaders[0]);
    said(&manifest, &code)
}

#[track_caller]
fn everywhere(expected: &str, change: impl Fn(&mut Shader)) {
    for target in Target::ALL {
        let found = lie(target, &change);
        assert!(found.contains(expected), "{target:?}: expected `{expected}`, found `{found}`");
        assert!(found.contains("shader 0 `kernel_0`"), "{found}");
    }
}

#[test]
fn a_manifest_that_lies_about_its_code_is_refused() {
    everywhere("the entry point is `main` in the code and `mian`", |s| s.entry_point = "mian".to_owned());
    everywhere("the workgroup is", |s| s.workgroup_size = [8, 4, 1]);
    everywhere("no such slot", |s| {
        s.bindings.pop();
    });
    everywhere("does not declare it", |s| {
        let extra = BindingSlot { group: 2, binding: 1, ..s.bindings[1].clone() };
        s.bindings.push(extra);
    });
    everywhere("another kind", |s| s.bindings[0].kind = BindingKind::UniformBuffer { min_bytes: 64 });
    everywhere("other dimensions", |s| {
        s.bindings[3].kind = BindingKind::Texture { kind: TextureKind::Array, element: DeviceElement::F32 };
    });
    everywhere("may write it", |s| s.bindings[2].writable = false);
    everywhere("only reads it", |s| s.bindings[4].writable = true);
}

/// A device binds them so without a look at the code, and code that says otherwise has no pipeline.
#[test]
fn activations_are_declared_as_written_for_webgpu() {
    let mut manifest = manifest(Target::WebGpu);
    let code = String::from_utf8(stub::code(&manifest.shaders[0])).unwrap();
    let read_only = code.replacen("storage, read_write> b0_0", "storage> b0_0", 1);
    assert_ne!(read_only, code);
    manifest.shaders[0].size = read_only.len() as u64;
    let found = said(&manifest, read_only.as_bytes());
    assert!(found.contains("a bound variable is not as any writer prints it"), "{found}");
}

#[test]
fn a_slot_that_is_only_read_may_be_missing_where_places_are_not_counted() {
    for target in Target::ALL {
        let said = lie(target, |s| {
            s.bindings.push(BindingSlot { group: 2, binding: 1, writable: false, ..s.bindings[0].clone() });
        });
        let expected = if target == Target::OpenCl { "does not declare it" } else { "" };
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{target:?}: {said}");
    }
}

#[test]
fn what_only_some_languages_say_is_compared_there() {
    let smaller = |s: &mut Shader| s.bindings[0].kind = BindingKind::StorageBuffer { min_bytes: 60 };
    let halves = |s: &mut Shader| s.bindings[0].kind = BindingKind::StorageBuffer { min_bytes: 62 };
    let all = |s: &mut Shader| s.bindings[0].kind = BindingKind::StorageBuffer { min_bytes: u64::MAX };
    for target in [Target::Vulkan, Target::WebGpu] {
        assert_eq!(lie(target, halves), "");
        assert_eq!(lie(target, all), "");
        let said = lie(target, smaller);
        assert!(said.contains("the code declares 64 bytes, the slot 60"), "{said}");
        let said = lie(target, |s| s.bindings[0].binding = 9);
        assert!(said.contains("group 0 binding 0: the code declares it"), "{said}");
    }
    for target in [Target::Vulkan, Target::WebGpu, Target::Metal] {
        let said = lie(target, |s| {
            s.bindings[3].kind = BindingKind::Texture { kind: TextureKind::D3, element: DeviceElement::I32 };
        });
        assert!(said.contains("other channels"), "{said}");
    }
}

#[test]
fn code_of_another_language_or_cut_short_is_refused() {
    for target in Target::ALL {
        for other in Target::ALL.into_iter().filter(|other| *other != target) {
            assert_ne!(lie(target, |s| s.target = other), "", "{target:?} as {other:?}");
        }
        assert_ne!(lie(target, |s| s.size -= 12), "", "{target:?}");
    }
    let said = lie(Target::Vulkan, |s| s.size = 23);
    assert!(said.contains("code must be whole 32-bit words"), "{said}");
}

#[test]
fn text_must_be_utf8_and_free_of_the_preprocessor() {
    for target in [Target::Metal, Target::WebGpu, Target::OpenCl] {
        let mut manifest = manifest(target);
        let code = stub::code(&manifest.shaders[0]);
        for (tail, expected) in [
            (&b"// \xff\n"[..], "code is not UTF-8"),
            (b"#include \"elsewhere.h\"\n", "preprocessor"),
            (b"#define a b\n", "preprocessor"),
            (b"/* hidden */", "block comment"),
        ] {
            let code = [&code[..], tail].concat();
            manifest.shaders[0].size = code.len() as u64;
            let found = said(&manifest, &code);
            assert!(found.contains(expected), "{target:?}: {found}");
        }
    }
}

#[test]
fn ranges_of_code_are_the_same_or_apart() {
    let mut manifest = manifest(Target::Vulkan);
    let code = stub::code(&manifest.shaders[0]);
    manifest.shaders[0].size = code.len() as u64;
    let first = manifest.shaders[0].clone();
    manifest.shaders.push(Shader { name: "kernel_1".to_owned(), ..first.clone() });
    assert_eq!(said(&manifest, &code), "");
    let twice = [&code[..], &code].concat();
    manifest.shaders[1].offset = first.size;
    assert_eq!(said(&manifest, &twice), "");
    manifest.shaders[1].offset = 4;
    assert!(said(&manifest, &twice).contains("shader 1 `kernel_1`: the code overlaps that of shader 0"));
}

#[test]
fn every_shader_may_share_one_code_at_the_cost_of_one() {
    let mut manifest = manifest(Target::OpenCl);
    let mut code = stub::code(&manifest.shaders[0]);
    code.extend(std::iter::repeat_n(b"float f() { return 1.0f; }\n", 40_000).flatten());
    manifest.shaders[0].size = code.len() as u64;
    manifest.shaders = vec![manifest.shaders[0].clone(); 1 << 16];
    let start = std::time::Instant::now();
    assert_eq!(said(&manifest, &code), "");
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn code_that_needs_more_than_its_variant_requires_is_refused() {
    let bundle = sample::bundle();
    let mut manifest = bundle.manifest().clone();
    // Capability Float16, put in front of the others.
    let mut code = sample::spirv();
    code.splice(20..20, [0x0002_0011_u32, 9].iter().flat_map(|word| word.to_le_bytes()));
    let mut all: Vec<u8> = code.clone();
    for shader in &mut manifest.shaders {
        let bytes = bundle.shader_code(shader);
        (shader.offset, shader.size) = (all.len() as u64, bytes.len() as u64);
        all.extend(bytes);
        all.resize(all.len().next_multiple_of(4), 0);
    }
    (manifest.shaders[0].offset, manifest.shaders[0].size) = (0, code.len() as u64);
    assert_eq!(said(&manifest, &all), "");
    manifest.entries[0].variants[0].requires.retain(|one| *one != Requirement::F16);
    let found = said(&manifest, &all);
    assert!(found.contains("needs F16, which the variant does not require"), "{found}");
}

/// The shader of [`manifest`] with a compiled library in place of its text.
fn library(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut manifest = manifest(Target::Metal);
    let mut code = stub::metal_library(&manifest.shaders[0].entry_point);
    change(&mut code);
    manifest.shaders[0].size = code.len() as u64;
    said(&manifest, &code)
}

#[test]
fn a_compiled_library_of_metal_stands_for_its_text() {
    assert_eq!(library(|_| ()), "");
    let other = stub::metal_library("other");
    assert!(library(|code| *code = other).contains("the entry point is `other` in the code and `main`"));
    assert!(library(|code| code.truncate(60)).contains("ends in its header"));
    assert!(library(|code| code.push(0)).contains("its size is not what its header says"));
    assert!(library(|code| code[24] = 255).contains("a section is outside"));
    assert!(library(|code| code[88] = 2).contains("does not hold one kernel"), "two functions");
    let kind = |code: &mut Vec<u8>| code.windows(4).position(|tag| tag == b"TYPE").unwrap() + 6;
    assert!(
        library(|code| {
            let at = kind(code);
            code[at] = 1
        })
        .contains("does not hold one kernel"),
        "a fragment shader"
    );
    // Only Metal has such libraries.
    let mut manifest = manifest(Target::OpenCl);
    let code = stub::metal_library("main");
    manifest.shaders[0].size = code.len() as u64;
    assert!(!said(&manifest, &code).is_empty());
}

#[test]
fn no_part_of_a_compiled_library_is_read_past_its_end() {
    let whole = stub::metal_library("main");
    for end in 4..whole.len() {
        let cut = library(|code| code.truncate(end));
        assert!(cut.contains("the compiled library cannot be taken"), "{end}: {cut}");
    }
    for at in 4..whole.len() {
        for value in [0, 1, 127, 255] {
            // Whatever it says, it is said; some bytes mean nothing to a reader.
            let _ = library(|code| code[at] = value);
        }
    }
}

#[test]
fn metals_arguments_are_numbered_apart_and_end_with_their_tables() {
    let mut manifest = manifest(Target::Metal);
    use Argument::{Buffer, Texture};
    let expected = [Buffer(0), Buffer(1), Texture(0), Texture(1), Buffer(2), Buffer(3)];
    assert_eq!(manifest.shaders[0].metal_arguments(), expected);
    manifest.shaders[0].bindings.reverse();
    assert_eq!(manifest.shaders[0].metal_arguments().into_iter().rev().collect::<Vec<_>>(), expected);
    let shader = &mut manifest.shaders[0];
    shader.bindings = (0..32).map(|binding| BindingSlot { binding, ..shader.bindings[4].clone() }).collect();
    for library in [false, true] {
        let shader = &mut manifest.shaders[0];
        let code = if library { stub::metal_library(&shader.entry_point) } else { stub::code(shader) };
        shader.size = code.len() as u64;
        let found = said(&manifest, &code);
        assert!(found.contains("Metal has 31 buffers"), "{found}");
    }
}
