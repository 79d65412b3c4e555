//! The WebGPU device, on kernels that are written out as the compiler's writer prints them: wgpu runs them on lavapipe.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::time::{Duration, Instant};

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{
    CacheUse, Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError, SubmitLimits, f16,
};

use crate::child;
use crate::program::{FIRST, Program, SECOND, arena, dispatch, weight};

const STORAGE: BindingKind = BindingKind::StorageBuffer { min_bytes: 16 };
const TEXTURE: BindingKind = BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F32 };

fn open() -> Device {
    Device::open(DeviceKind::WebGpu).expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers")
}

/// Adds a kernel of one invocation whose slots are these, by group and kind, the last one of group 0 being written.
fn kernel(program: &mut Program, body: &str, slots: &[(u32, BindingKind)]) -> u32 {
    let last = slots.iter().rposition(|(group, _)| *group == 0);
    let (mut declared, mut bindings) = (String::new(), Vec::new());
    for (n, (group, kind)) in slots.iter().enumerate() {
        let written = Some(n) == last;
        let variable = match (kind, group) {
            (BindingKind::StorageBuffer { .. }, 0) => {
                format!("<storage, read_write> b{n}: array<vec4<f32>, 1>")
            }
            (BindingKind::StorageBuffer { .. }, _) => format!("<storage> b{n}: array<vec4<f32>, 1>"),
            (BindingKind::Texture { .. }, _) if written => {
                format!(" b{n}: texture_storage_2d<rgba32float,write>")
            }
            (BindingKind::Texture { .. }, _) => format!(" b{n}: texture_2d<f32>"),
            (other, _) => unreachable!("not used here: {other:?}"),
        };
        declared += &format!("@group({group}) @binding({n})\nvar{variable};\n");
        bindings.push(BindingSlot { group: *group, binding: n as u32, kind: *kind, writable: written });
    }
    let code = format!("{declared}\n@compute @workgroup_size(1, 1, 1)\nfn apply() {{\n    {body}\n}}\n");
    text(program, &code, bindings)
}

fn text(program: &mut Program, code: &str, bindings: Vec<BindingSlot>) -> u32 {
    let shader = Shader {
        name: "step".to_owned(),
        target: Target::WebGpu,
        entry_point: "apply".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [1; 3],
        shared_bytes: 4096,
        subgroup_size: None,
        bindings,
    };
    program.text_shader(shader, code)
}

fn program(arena_bytes: u64) -> Program {
    let mut program = Program::new(arena_bytes);
    program.entry.target = Target::WebGpu;
    program
}

/// A program of one dispatch from `x` to `y`, four floats each.
fn step(body: &str) -> Bundle {
    let mut program = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let shader = kernel(&mut program, body, &[(0, STORAGE), (0, STORAGE)]);
    program.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], [1; 3]));
    program.bundle()
}

/// `y = 2 x + w` with every range at an odd multiple of 256 bytes, by way of a texture.
fn all_resources() -> Bundle {
    let element = DeviceElement::F32;
    let texture = TextureObject { kind: TextureKind::D2, element, extent_px: [1; 3] };
    let mut blob = vec![-1.0_f32; 64];
    blob.extend([10.0, 20.0, 30.0, 40.0]);
    let mut program = program(4096)
        .f32_weight("w", &blob)
        .f32_weight("t", &[0.5; 4])
        .derived(512)
        .texture(TextureKind::D2, element, [1; 3])
        .f32_input("x", &[4], 256)
        .f32_output("y", &[4], 2816);
    let double = kernel(&mut program, "b1[0] = 2.0 * b0[0];", &[(0, STORAGE), (0, STORAGE)]);
    let derive = kernel(&mut program, "b0[0] = 2.0 * b1[0];", &[(0, STORAGE), (1, STORAGE)]);
    let fill = kernel(&mut program, "textureStore(b1, vec2(0, 0), b0[0]);", &[(0, STORAGE), (0, TEXTURE)]);
    let load = kernel(
        &mut program,
        "b2[0] = textureLoad(b0, vec2(0, 0), 0) + textureLoad(b1, vec2(0, 0), 0);",
        &[(0, TEXTURE), (1, TEXTURE), (0, STORAGE)],
    );
    let add = kernel(&mut program, "b2[0] = b0[0] + b1[0];", &[(0, STORAGE), (1, STORAGE), (0, STORAGE)]);
    let weights = weight(0, 256, 16);
    let derived = Resource::bytes(FIRST, 256, 16);
    let halves = Resource::texture(RegionId::Weight(1), 0, texture);
    let pooled = Resource::texture(SECOND, 0, texture);
    program.variant.init.push(dispatch("derive", derive, &[derived, weights], [1; 3]));
    program.variant.dispatches.extend([
        dispatch("double", double, &[arena(256, 16), arena(768, 16)], [1; 3]),
        dispatch("fill", fill, &[arena(768, 16), pooled], [1; 3]),
        dispatch("load", load, &[pooled, halves, arena(1792, 16)], [1; 3]),
        dispatch("add", add, &[arena(1792, 16), derived, arena(2816, 16)], [1; 3]),
    ]);
    program.bundle()
}

const X: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
const Y: [f32; 4] = [22.5, 44.5, 66.5, 88.5];

#[test]
fn every_resource_is_bound_where_it_begins() {
    let device = open();
    let submit = SubmitLimits { dispatches: 1, ..SubmitLimits::default() };
    for submit in [SubmitLimits::default(), submit] {
        let options = LoadOptions { timestamps: true, submit, ..LoadOptions::default() };
        let mut session = device.load_with(&all_resources(), &options).unwrap();
        for _ in 0..3 {
            session.write("x", &X).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), Y);
        }
        let timings = session.timings().unwrap();
        let names: Vec<&str> = timings.dispatches.iter().map(|timing| timing.name.as_str()).collect();
        assert_eq!(names, ["double", "fill", "load", "add"]);
        let sum: Duration = timings.dispatches.iter().map(|timing| timing.time).sum();
        assert!(timings.total >= sum && sum > Duration::ZERO, "{timings:?}");
    }
}

#[test]
fn an_odd_number_of_halves_comes_and_goes_whole() {
    let words = BindingKind::StorageBuffer { min_bytes: 6 };
    let three = [1.5, -2.0, 0.25].map(f16::from_f32);
    let (host, element) = (HostElement::F16, DeviceElement::F16);
    let mut program = program(768).weight("w", &[7; 6]).input("x", host, &[3], 256, element).output(
        "y",
        host,
        &[3],
        512,
        element,
    );
    let slot = |group, writable| BindingSlot { group, binding: 0, kind: words, writable };
    let to = BindingSlot { binding: 1, ..slot(0, true) };
    let code = "@group(0) @binding(0)\nvar<storage, read_write> b0: array<u32, 2>;\n\
        @group(0) @binding(1)\nvar<storage, read_write> b1: array<u32, 2>;\n\
        @group(1) @binding(0)\nvar<storage> w: array<u32, 2>;\n\
        @compute @workgroup_size(1, 1, 1)\nfn apply() { b1[0] = b0[0]; b1[1] = select(0u, b0[1], (w[1] & 0xffffu) == 0x707u); }\n";
    let copy = text(&mut program, code, vec![slot(0, false), to, slot(1, false)]);
    let weight = weight(0, 0, 6);
    program.variant.dispatches.push(dispatch("copy", copy, &[arena(256, 6), arena(512, 6), weight], [1; 3]));
    let mut session = open().load(&program.bundle()).unwrap();
    session.write("x", &three).unwrap();
    session.run().unwrap();
    assert_eq!(session.read::<f16>("y").unwrap(), three);
}

#[test]
fn sessions_of_several_threads_share_a_device() {
    let (device, bundle) = (open(), all_resources());
    std::thread::scope(|scope| {
        for factor in [1.0_f32, 3.0, 5.0] {
            let (device, bundle) = (&device, &bundle);
            scope.spawn(move || {
                let mut session = device.load(bundle).unwrap();
                for _ in 0..20 {
                    session.write("x", &X.map(|x| x * factor)).unwrap();
                    session.run().unwrap();
                    let expected: Vec<f32> =
                        X.iter().zip(Y).map(|(x, y)| y + 2.0 * x * (factor - 1.0)).collect();
                    assert_eq!(session.read::<f32>("y").unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn sessions_move_to_other_threads_and_devices_are_shared_by_them() {
    fn goes<T: Send>(_: &T) {}
    fn is_shared<T: Sync>(_: &T) {}
    let device = open();
    is_shared(&device);
    let session = device.load(&all_resources()).unwrap();
    goes(&session);
    std::thread::spawn(move || drop(session)).join().unwrap();
    drop(device);
}

#[test]
fn pipelines_are_kept_between_loads() {
    let (device, bundle, folder) = (open(), all_resources(), tempfile::tempdir().unwrap());
    let options = LoadOptions { cache_dir: Some(folder.path().to_owned()), ..LoadOptions::default() };
    let load = || {
        let mut session = device.load_with(&bundle, &options).unwrap();
        session.write("x", &X).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), Y);
        session.report().cache.clone()
    };
    let CacheUse::Created(path) = load() else { panic!("no cache was written") };
    assert_eq!(load(), CacheUse::Used(path.clone()));
    let mut damaged = std::fs::read(&path).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    assert_eq!(load(), CacheUse::Replaced(path));
}

#[test]
fn what_the_compiler_refuses_is_said_in_its_words() {
    let error = open().load(&step("b1[0] = no_such_thing;")).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver { .. }), "{error}");
    assert!(
        error.to_string().contains("shader `step`: ") && error.to_string().contains("no_such_thing"),
        "{error}"
    );
}

#[test]
fn an_expression_that_is_nested_too_deep_is_refused() {
    let depth = 100_000;
    let body = format!("b1[0] = {}b0[0]{};", "(".repeat(depth), ")".repeat(depth));
    let error = open().load(&step(&body)).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver { .. }), "{error}");
}

#[test]
fn a_buffer_that_is_written_and_bound_to_be_read_only_is_refused() {
    let mut program =
        program(512).f32_weight("w", &[1.0; 4]).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let slots = [(0, STORAGE), (1, STORAGE), (0, STORAGE)];
    let shader = kernel(&mut program, "b2[0] = b0[0] + b1[0];", &slots);
    let weights = weight(0, 0, 16);
    program.variant.dispatches.push(dispatch("add", shader, &[weights, weights, arena(256, 16)], [1; 3]));
    let error = open().load(&program.bundle()).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver { .. }), "{error}");
    assert!(error.to_string().contains("dispatch `add` both writes a buffer"), "{error}");
}

#[test]
fn variants_for_f16_are_declined_where_the_device_has_none() {
    let device = open();
    let mut program = program(256).f32_input("x", &[4], 0).f32_output("y", &[4], 0);
    program.variant.requires.push(Requirement::F16);
    let loaded = device.load(&program.bundle());
    match (device.info().features.f16, loaded) {
        (true, Ok(mut session)) => {
            session.write("x", &X).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), X);
        }
        (false, Err(error)) => assert!(error.to_string().contains("no 16-bit floats"), "{error}"),
        (has, loaded) => panic!("f16 {has}: {:?}", loaded.map(drop)),
    }
}

/// Index 64 of `b0` and `b1` is `z`, which another dispatch wrote: an untrusted kernel neither reads nor writes it. What it has
/// not written of workgroup memory is zero.
#[test]
fn untrusted_kernels_keep_to_their_bindings() {
    let device = open();
    let mut program = program(2048)
        .f32_input("x", &[4], 0)
        .f32_output("y", &[4], 256)
        .f32_output("z", &[4], 1024)
        .f32_output("past", &[4], 1280);
    let seven = kernel(&mut program, "b0[0] = vec4(7.0);", &[(0, STORAGE)]);
    let slots = |count| {
        let slot = |n| BindingSlot { group: 0, binding: n, kind: STORAGE, writable: n > 0 };
        (0..count).map(slot).collect::<Vec<_>>()
    };
    let code = "@group(0) @binding(0)\nvar<storage, read_write> b0: array<f32, 4>;\n\
        @group(0) @binding(1)\nvar<storage, read_write> b1: array<f32, 4>;\n\
        var<workgroup> shared_: array<f32, 64>;\n\
        @compute @workgroup_size(1, 1, 1)\nfn apply() {\n\
            let at = u32(b0[0]);\n    b1[0] = b0[at];\n    b1[1] = shared_[at / 8u];\n    b1[at] = 9.0;\n}\n";
    let outside = text(&mut program, code, slots(2));
    program.variant.dispatches.extend([
        dispatch("seven", seven, &[arena(1024, 16)], [1; 3]),
        dispatch("again", seven, &[arena(1280, 16)], [1; 3]),
        dispatch("outside", outside, &[arena(0, 16), arena(256, 16)], [1; 3]),
    ]);
    let bundle = program.bundle();
    for at in [256.0_f32, 1e9] {
        let options = LoadOptions { untrusted: true, ..LoadOptions::default() };
        let mut session = device.load_with(&bundle, &options).unwrap();
        session.write("x", &[at, 1.0, 2.0, 3.0]).unwrap();
        session.run().unwrap();
        let y = session.read::<f32>("y").unwrap();
        assert!([0.0, at, 1.0, 2.0, 3.0].contains(&y[0]) && y[1] == 0.0, "{y:?}");
        for kept in ["z", "past"] {
            assert_eq!(session.read::<f32>(kept).unwrap(), [7.0; 4]);
        }
    }
    // The same numbers come out of what keeps to its bindings by itself.
    let options = LoadOptions { untrusted: true, ..LoadOptions::default() };
    let mut session = device.load_with(&all_resources(), &options).unwrap();
    session.write("x", &X).unwrap();
    session.run().unwrap();
    assert_eq!(session.read::<f32>("y").unwrap(), Y);
}

#[test]
fn any_device_that_has_the_bundles_target_will_do() {
    let device = Device::open_any(&all_resources(), &OpenOptions::default()).unwrap();
    assert_eq!(device.info().kind, DeviceKind::WebGpu);
}

/// Set in the child.
const CHILD: &str = "DRIFT_TEST_WEBGPU_ENDLESS";

/// What never ends runs in a process of its own, which it may keep from ending.
#[test]
fn an_endless_kernel_stops_nobody_for_longer_than_asked() {
    const NAME: &str = "webgpu::an_endless_kernel_stops_nobody_for_longer_than_asked";
    if std::env::var_os(CHILD).is_some() {
        endless();
        std::process::abort();
    }
    let output = child::run(NAME, (CHILD, "1"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("given up as it should be"), "{said}");
}

/// Software drivers end an invocation's loops after some ten thousand rounds in all, so that only many workgroups take long.
#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn endless() {
    let mut endless = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let body = "for (var i = 0u; i < 30000u; i++) { b1[0] = b1[0] * b0[0] + vec4(1.0); }";
    let shader = kernel(&mut endless, body, &[(0, STORAGE), (0, STORAGE)]);
    let months = [65_535, 65_535, 1];
    endless.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], months));
    let (fine, endless) = (all_resources(), endless.bundle());
    let grace = Duration::from_millis(500);
    let options = OpenOptions { grace, ..OpenOptions::default() };
    let device = Device::open_with(DeviceKind::WebGpu, &options).unwrap();
    let untrusted = LoadOptions { untrusted: true, ..LoadOptions::default() };
    let mut apart = device.load_with(&fine, &untrusted).unwrap();
    let mut other = device.load(&fine).unwrap();
    for session in [&mut apart, &mut other] {
        session.write("x", &X).unwrap();
        session.run().unwrap();
    }
    let options = LoadOptions { timeout: Duration::from_millis(300), ..LoadOptions::default() };
    let mut stuck = device.load_with(&endless, &options).unwrap();
    stuck.write("x", &X).unwrap();
    let start = Instant::now();
    let error = stuck.run().unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    let error = stuck.write("x", &X).unwrap_err();
    assert!(matches!(error, RuntimeError::Failed), "{error}");
    // A wait that begins in the grace ends with it.
    let error = other.run().unwrap_err();
    assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
    let error = device.load(&fine).map(drop).unwrap_err();
    assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
    // Another logical device takes work, which the driver may run or not.
    apart.write("x", &X).unwrap();
    drop((stuck, other, apart, device));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    eprintln!("given up as it should be");
}
