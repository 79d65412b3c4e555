//! One small program for each kind of device that is tested here.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, Session};

use crate::program::{FIRST, Program, SECOND, arena, dispatch};

pub(crate) const KINDS: [DeviceKind; 3] = [DeviceKind::Vulkan, DeviceKind::OpenCl, DeviceKind::WebGpu];

/// What the program does with `x`, of four floats, to make `y`.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Doubles it.
    Double,
    /// Writes something over and over, in so many workgroups.
    Long(u32),
    /// Months on any device.
    Endless,
}

/// Opens the best device of a kind, with the validation layer where the runtime reads it.
pub(crate) fn open(kind: DeviceKind) -> Device {
    let validation = kind == DeviceKind::Vulkan;
    Device::open_with(kind, &OpenOptions { validation, ..OpenOptions::default() }).unwrap()
}

/// Runs a test on each device, after which the validation layer has said nothing.
pub(crate) fn on_each(test: impl Fn(&Device, DeviceKind)) {
    for kind in KINDS {
        let device = open(kind);
        let log = device.validation_log();
        assert!(log.is_active() == (kind == DeviceKind::Vulkan));
        test(&device, kind);
        drop(device);
        assert_eq!(log.messages(), [""; 0], "{kind:?}");
    }
}

/// Loads a bundle and writes 1, 2, 3 and 4 to `x`.
pub(crate) fn load(device: &Device, bundle: &Bundle, options: &LoadOptions) -> Session {
    let mut session = device.load_with(bundle, options).unwrap();
    session.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    session
}

/// `x` and `y` in an arena.
pub(crate) fn in_arena(kind: DeviceKind, work: Work) -> Bundle {
    let program = Program::new(512).f32_input("x", &[4], 0).f32_output("y", &[4], 256);
    with_work(program, kind, work, &[arena(0, 16), arena(256, 16)]).bundle()
}

/// `x` and `y` in regions of their own.
pub(crate) fn apart(kind: DeviceKind, work: Work) -> Bundle {
    let mut program = Program::new(0)
        .region(RegionKind::Io, 16)
        .region(RegionKind::Io, 16)
        .f32_input("x", &[4], 0)
        .f32_output("y", &[4], 0);
    program.variant.inputs[0].region = 1;
    program.variant.outputs[0].region = 2;
    let places = [Resource::bytes(FIRST, 0, 16), Resource::bytes(SECOND, 0, 16)];
    with_work(program, kind, work, &places).bundle()
}

/// Adds what the entry does.
pub(crate) fn with_work(
    mut program: Program,
    kind: DeviceKind,
    work: Work,
    places: &[Resource; 2],
) -> Program {
    program.entry.target = kind.target();
    let (body, grid) = match work {
        Work::Double => ("y[at] = 2.0f * x[at];", [1, 1, 1]),
        Work::Long(groups) => (LONG, [groups, 1, 1]),
        Work::Endless => (LONG, [65_535, 65_535, 1]),
    };
    // PoCL counts no rounds.
    let body = if matches!((kind, work), (DeviceKind::OpenCl, Work::Endless)) { FOR_EVER } else { body };
    let slot = |binding, writable| BindingSlot {
        group: 0,
        binding,
        kind: BindingKind::StorageBuffer { min_bytes: 16 },
        writable,
    };
    let shader = Shader {
        name: "step".to_owned(),
        target: kind.target(),
        entry_point: "main".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [4, 1, 1],
        shared_bytes: 0,
        subgroup_size: None,
        bindings: vec![slot(0, false), slot(1, true)],
    };
    let shader = match kind {
        DeviceKind::OpenCl => {
            let shader = Shader { entry_point: "apply".to_owned(), ..shader };
            program.text_shader(shader, &OPENCL.replace("BODY", body).replace("UINT", "uint"))
        }
        DeviceKind::WebGpu => program.text_shader(shader, &wgsl(body)),
        DeviceKind::Vulkan => program.shader(&wgsl(body).replacen("read_write", "read", 1), |_| ()),
        _ => unreachable!("not tested here"),
    };
    program.variant.dispatches.push(dispatch("step", shader, places, grid));
    program
}

fn wgsl(body: &str) -> String {
    WGSL.replace("BODY", body).replace("UINT", "var")
}

/// The same in WGSL and in OpenCL C. Software drivers end an invocation's loops after some ten thousand rounds in all.
const LONG: &str = "for (UINT i = 0u; i < 30000u; i++) { y[at] = y[at] * x[at] + 1.0f; }";
const FOR_EVER: &str = "for (uint i = 0; x[at] > 0.0f; i++) y[at] = y[at] + (float)i;";

const WGSL: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 4>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 4>;
    @compute @workgroup_size(4, 1, 1) fn main(@builtin(local_invocation_id) id: vec3<u32>) { let at = id.x; BODY }";

const OPENCL: &str = "__kernel __attribute__((reqd_work_group_size(4, 1, 1)))
void apply(__global const float *restrict x, __global float *restrict y, const ulong x_offset, const ulong y_offset) {
    x += x_offset / sizeof(*x);
    y += y_offset / sizeof(*y);
    uint at = get_local_id(0);
    BODY
}
";
