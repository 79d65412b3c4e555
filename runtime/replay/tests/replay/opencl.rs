//! The OpenCL device, on kernels that are written out as the compiler's writer prints them: PoCL runs them on the processor.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::time::{Duration, Instant};

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{CacheUse, Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError, SubmitLimits};

use crate::child;
use crate::program::{ARENA, FIRST, Program, SECOND, arena, dispatch, weight};

const STORAGE: BindingKind = BindingKind::StorageBuffer { min_bytes: 16 };
const TEXELS: BindingKind = BindingKind::ImageBuffer { element: DeviceElement::F32 };
const TEXTURE: BindingKind = BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F32 };

fn open() -> Device {
    Device::open(DeviceKind::OpenCl).expect("an OpenCL device is needed: apt install pocl-opencl-icd")
}

/// Adds a kernel of one invocation whose slots are these, the last one being written.
fn kernel(program: &mut Program, body: &str, kinds: &[BindingKind]) -> u32 {
    let (mut arguments, mut offsets, mut moves) = (Vec::new(), Vec::new(), String::new());
    for (n, kind) in kinds.iter().enumerate() {
        let written = n + 1 == kinds.len();
        arguments.push(match kind {
            BindingKind::StorageBuffer { .. } => {
                moves += &format!("    b{n} += b{n}_offset / sizeof(*b{n});\n");
                offsets.push(format!("const ulong b{n}_offset"));
                format!("__global {}float4 *restrict b{n}", if written { "" } else { "const " })
            }
            BindingKind::ImageBuffer { .. } => {
                offsets.push(format!("const ulong b{n}_first"));
                format!("{} image1d_buffer_t b{n}", if written { "write_only" } else { "read_only" })
            }
            BindingKind::Texture { .. } => {
                format!("{} image2d_t b{n}", if written { "write_only" } else { "read_only" })
            }
            BindingKind::UniformBuffer { .. } => unreachable!("not used here"),
        });
    }
    arguments.extend(offsets);
    let head = "__kernel __attribute__((reqd_work_group_size(1, 1, 1)))";
    let code = format!("{head}\nvoid apply({}) {{\n{moves}    {body}\n}}\n", arguments.join(", "));
    let slot = |(n, kind): (usize, &BindingKind)| BindingSlot {
        group: 0,
        binding: n as u32,
        kind: *kind,
        writable: n + 1 == kinds.len(),
    };
    let shader = Shader {
        name: "step".to_owned(),
        target: Target::OpenCl,
        entry_point: "apply".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [1; 3],
        shared_bytes: 0,
        subgroup_size: None,
        bindings: kinds.iter().enumerate().map(slot).collect(),
    };
    program.text_shader(shader, &code)
}

fn program(arena_bytes: u64) -> Program {
    let mut program = Program::new(arena_bytes);
    program.entry.target = Target::OpenCl;
    program
}

/// `y = 2 x + w` with every range at an odd multiple of 256 bytes, by way of a texture and image buffers.
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
    let double = kernel(&mut program, "b1[0] = 2.0f * b0[0];", &[STORAGE, STORAGE]);
    let fill = kernel(&mut program, "write_imagef(b1, (int2)(0, 0), b0[0]);", &[STORAGE, TEXTURE]);
    let sampled =
        "read_imagef(b0, CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST, (int2)(0, 0))";
    let load = kernel(
        &mut program,
        &format!("write_imagef(b2, (int)(b2_first + 0u), {sampled} + {});", sampled.replace("b0", "b1")),
        &[TEXTURE, TEXTURE, TEXELS],
    );
    let add = kernel(
        &mut program,
        "b2[0] = read_imagef(b0, (int)(b0_first + 0u)) + read_imagef(b1, (int)(b1_first + 0u));",
        &[TEXELS, TEXELS, STORAGE],
    );
    let weights = weight(0, 256, 16);
    let derived = Resource::bytes(FIRST, 256, 16);
    let halves = Resource::texture(RegionId::Weight(1), 0, texture);
    let texels = |offset| Resource::texels(ARENA, element, offset, 16);
    let derived_texels = Resource::texels(FIRST, element, 256, 16);
    program.variant.init.push(dispatch("derive", double, &[weights, derived], [1; 3]));
    program.variant.dispatches.extend([
        dispatch("double", double, &[arena(256, 16), arena(768, 16)], [1; 3]),
        dispatch("fill", fill, &[arena(768, 16), Resource::texture(SECOND, 0, texture)], [1; 3]),
        dispatch("load", load, &[Resource::texture(SECOND, 0, texture), halves, texels(1792)], [1; 3]),
        dispatch("add", add, &[texels(1792), derived_texels, arena(2816, 16)], [1; 3]),
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
fn programs_are_kept_between_loads() {
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

/// The file of another bundle, under this one's name: every kernel has the same name and place in its bundle.
#[test]
fn programs_of_another_bundle_are_not_taken() {
    let times = |factor: u32| {
        let mut program = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
        let shader = kernel(&mut program, &format!("b1[0] = {factor}.0f * b0[0];"), &[STORAGE, STORAGE]);
        program.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], [1; 3]));
        program.bundle()
    };
    let (device, folders) = (open(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let run = |factor: u32, folder: usize| {
        let cache_dir = Some(folders[folder].path().to_owned());
        let mut session =
            device.load_with(&times(factor), &LoadOptions { cache_dir, ..LoadOptions::default() }).unwrap();
        session.write("x", &X).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), X.map(|x| x * factor as f32));
        session.report().cache.clone()
    };
    let (CacheUse::Created(two), CacheUse::Created(three)) = (run(2, 0), run(3, 1)) else {
        panic!("no cache was written")
    };
    std::fs::copy(&two, &three).unwrap();
    run(3, 1);
}

#[test]
fn what_the_compiler_refuses_is_said_in_its_words() {
    let mut program = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let shader = kernel(&mut program, "b1[0] = no_such_thing;", &[STORAGE, STORAGE]);
    program.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], [1; 3]));
    let error = open().load(&program.bundle()).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver { .. }), "{error}");
    assert!(error.to_string().contains("no_such_thing"), "{error}");
}

#[test]
fn more_invocations_than_can_be_counted_are_refused() {
    let mut program = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let shader = kernel(&mut program, "b1[0] = b0[0];", &[STORAGE, STORAGE]);
    let all = [i32::MAX as u32, i32::MAX as u32, 64];
    program.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], all));
    let error = open().load(&program.bundle()).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver { .. }), "{error}");
    assert!(error.to_string().contains("dispatch `step` has"), "{error}");
}

/// OpenCL C can reach all of a process's memory on a processor, and no device checks what it accesses.
#[test]
fn untrusted_bundles_are_declined() {
    let options = LoadOptions { untrusted: true, ..LoadOptions::default() };
    let error = open().load_with(&all_resources(), &options).unwrap_err();
    assert!(matches!(error, RuntimeError::NoVariant { .. }), "{error}");
    assert!(error.to_string().contains("accesses to buffers"), "{error}");
}

#[test]
fn any_device_that_has_the_bundles_target_will_do() {
    let device = Device::open_any(&all_resources(), &OpenOptions::default()).unwrap();
    assert_eq!(device.info().kind, DeviceKind::OpenCl);
}

/// Set in the child.
const CHILD: &str = "DRIFT_TEST_OPENCL_ENDLESS";

/// A kernel that never ends keeps PoCL from ending its process as well, so that the child leaves without it.
#[test]
fn an_endless_kernel_stops_nobody_for_longer_than_asked() {
    const NAME: &str = "opencl::an_endless_kernel_stops_nobody_for_longer_than_asked";
    if std::env::var_os(CHILD).is_some() {
        endless();
        std::process::abort();
    }
    let output = child::run(NAME, (CHILD, "1"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("given up as it should be"), "{said}");
}

#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn endless() {
    let mut endless = program(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    let body = "for (uint i = 0; b0[0].x > 0.0f; i++) b1[0] = b1[0] + (float4)((float)i);";
    let shader = kernel(&mut endless, body, &[STORAGE, STORAGE]);
    endless.variant.dispatches.push(dispatch("step", shader, &[arena(0, 16), arena(256, 16)], [1; 3]));
    let (fine, endless) = (all_resources(), endless.bundle());
    let grace = Duration::from_millis(500);
    let options = OpenOptions { grace, ..OpenOptions::default() };
    let device = Device::open_with(DeviceKind::OpenCl, &options).unwrap();
    let mut other = device.load(&fine).unwrap();
    other.write("x", &X).unwrap();
    other.run().unwrap();
    let options = LoadOptions { timeout: Duration::from_millis(300), ..LoadOptions::default() };
    let mut stuck = device.load_with(&endless, &options).unwrap();
    stuck.write("x", &X).unwrap();
    let start = Instant::now();
    let error = stuck.run().unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    let error = stuck.write("x", &X).unwrap_err();
    assert!(matches!(error, RuntimeError::Failed), "{error}");
    std::thread::sleep(grace);
    for error in [other.run().unwrap_err(), device.load(&fine).map(drop).unwrap_err()] {
        assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
    }
    drop((stuck, other, device));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    eprintln!("given up as it should be");
}
