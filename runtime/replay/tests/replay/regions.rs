//! Memory that is no arena: state, parameters, and inputs and outputs of their own; and several arenas.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError};

use crate::program::{FIRST, Program, SECOND, dispatch, on_device, state, weight};

/// Adds `x`, as often as the second parameter says, to a sum that is kept from run to run.
const ACCUMULATE: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32, 4>;
    @group(0) @binding(1) var<storage, read_write> sum: array<f32, 4>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32, 4>;
    @group(2) @binding(0) var<storage, read> times: array<u32, 4>;
    @group(2) @binding(1) var<uniform> offset: vec4<u32>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
        sum[at.x] += x[at.x] * f32(times[1]);
        y[at.x] = sum[at.x] + f32(offset.z);
    }";

const ACCUMULATE_OPENCL: &str = "__kernel __attribute__((reqd_work_group_size(4, 1, 1)))
void apply(__global const float *restrict x, __global float *restrict sum, __global float *restrict y, __global const uint *restrict times, __global const uint *restrict offset, const ulong x_offset, const ulong sum_offset, const ulong y_offset, const ulong times_offset, const ulong offset_offset) {
    x += x_offset / sizeof(*x);
    sum += sum_offset / sizeof(*sum);
    y += y_offset / sizeof(*y);
    times += times_offset / sizeof(*times);
    offset += offset_offset / sizeof(*offset);
    uint at = get_global_id(0);
    sum[at] += x[at] * (float)times[1];
    y[at] = sum[at] + (float)offset[2];
}
";

const X: u32 = 1;
const Y: u32 = 4;

/// `x` and `y` in regions of their own, and the sum in the second half of one of two states.
fn accumulator(target: Target) -> Program {
    let mut program = Program::new(0)
        .region(RegionKind::Io, 16)
        .region(state("idle", &[25]), 100)
        .region(state("sum", &[128]), 512)
        .region(RegionKind::Io, 16)
        .region(RegionKind::Params([7, 2, 8, 9].map(Word::Const).to_vec()), 16)
        .region(RegionKind::Params((0..64).chain([5, 4, 100, 3]).map(Word::Const).collect()), 272)
        .f32_input("x", &[4], 0)
        .f32_output("y", &[4], 0);
    program.variant.inputs[0].region = X;
    program.variant.outputs[0].region = Y;
    program.entry.target = target;
    let shader = match target {
        Target::OpenCl => {
            let slot = |group, binding, writable| BindingSlot {
                group,
                binding,
                kind: BindingKind::StorageBuffer { min_bytes: 16 },
                writable,
            };
            let shader = Shader {
                name: "accumulate".to_owned(),
                target,
                entry_point: "apply".to_owned(),
                offset: 0,
                size: 0,
                workgroup_size: [4, 1, 1],
                shared_bytes: 0,
                subgroup_size: None,
                bindings: vec![
                    slot(0, 0, false),
                    slot(0, 1, true),
                    slot(0, 2, true),
                    slot(2, 0, false),
                    slot(2, 1, false),
                ],
            };
            program.text_shader(shader, ACCUMULATE_OPENCL)
        }
        _ => program.shader(ACCUMULATE, |_| ()),
    };
    let whole = |region, offset| Resource::bytes(RegionId::Variant(region), offset, 16);
    let bindings = [whole(X, 0), whole(3, 256), whole(Y, 0), whole(5, 0), whole(6, 256)];
    program.variant.dispatches.push(dispatch("accumulate", shader, &bindings, [1; 3]));
    program
}

fn state_is_kept_until_it_is_reset(device: &Device, bundle: &Bundle) {
    let mut session = device.load(bundle).unwrap();
    let bytes = session.report().bytes;
    assert_eq!((bytes.state, bytes.io, bytes.params), (256 + 512, 32, 256 + 272));
    assert_eq!((bytes.derived, bytes.textures), (0, 0));
    session.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    let expect = |rounds: std::ops::Range<u32>, session: &mut drift_runtime::Session| {
        for round in rounds {
            session.run().unwrap();
            let expected = [1.0, 2.0, 3.0, 4.0].map(|x: f32| 2.0 * x * round as f32 + 100.0);
            assert_eq!(session.read::<f32>("y").unwrap(), expected, "run {round}");
        }
    };
    expect(1..5, &mut session);
    session.reset_state().unwrap();
    assert_eq!(session.read::<f32>("y").unwrap()[0], 108.0, "outputs stay");
    // Nothing was written again.
    expect(1..3, &mut session);
    // Each session has state of its own.
    let mut other = device.load(bundle).unwrap();
    other.reset_state().unwrap();
    other.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    expect(1..2, &mut other);
    expect(3..4, &mut session);
}

#[test]
fn state_is_kept_until_it_is_reset_on_vulkan() {
    on_device(|device| state_is_kept_until_it_is_reset(device, &accumulator(Target::Vulkan).bundle()));
}

#[test]
fn state_is_kept_until_it_is_reset_on_opencl() {
    let device = Device::open_with(DeviceKind::OpenCl, &OpenOptions::default());
    let device = device.expect("an OpenCL device is needed: apt install pocl-opencl-icd");
    state_is_kept_until_it_is_reset(&device, &accumulator(Target::OpenCl).bundle());
}

const SCALE: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32, 3>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
    @group(1) @binding(0) var<storage, read> by: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = x[at.x] * by[at.x]; }";

/// Two entries of two arenas each; the second keeps its input and its output out of them. Each scales twice, from one arena
/// to the other and on to the output.
fn arenas() -> Bundle {
    let arena = |region, offset| Resource::bytes(RegionId::Variant(region), offset, 12);
    let scale = |from, to| [from, to, weight(0, 0, 12)];
    let mut main = Program::new(512)
        .f32_weight("by", &[1.0, 2.0, 3.0])
        .region(RegionKind::Arena, 256)
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 256)
        .dispatch(SCALE, &scale(arena(0, 0), arena(1, 0)), [1; 3])
        .dispatch(SCALE, &scale(arena(1, 0), arena(0, 256)), [1; 3]);
    main.variant.inputs[0].region = 0;
    let mut second = main
        .then("second", 256)
        .region(RegionKind::Arena, 768)
        .region(RegionKind::Io, 12)
        .region(RegionKind::Io, 12)
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 0)
        .dispatch(SCALE, &scale(arena(2, 0), arena(1, 512)), [1; 3])
        .dispatch(SCALE, &scale(arena(1, 512), arena(3, 0)), [1; 3]);
    second.variant.inputs[0].region = 2;
    second.variant.outputs[0].region = 3;
    second.bundle()
}

#[test]
fn entries_share_several_arenas_and_keep_what_lies_apart() {
    on_device(|device| {
        let mut sessions =
            device.load_entries(&arenas(), &["main", "second"], &LoadOptions::default()).unwrap();
        let bytes: Vec<(u64, u64)> =
            sessions.iter().map(|s| (s.report().bytes.arena, s.report().bytes.io)).collect();
        assert_eq!(bytes, [(512 + 768, 0), (512 + 768, 24)], "each arena is as large as the largest");
        let [main, second] = &mut sessions[..] else { panic!("two entries") };
        main.write("x", &[1.0_f32; 3]).unwrap();
        second.write("x", &[10.0_f32; 3]).unwrap();
        for _ in 0..3 {
            second.run().unwrap();
            main.run().unwrap();
            assert_eq!(main.read::<f32>("y").unwrap(), [1.0, 4.0, 9.0]);
            assert_eq!(second.read::<f32>("y").unwrap(), [10.0, 40.0, 90.0], "no arena holds it");
            second.run().unwrap();
            let error = main.read::<f32>("y").unwrap_err();
            assert!(matches!(error, RuntimeError::Overwritten { .. }), "{error}");
        }
    });
}

#[test]
fn each_region_is_held_against_the_devices_buffers() {
    on_device(|device| {
        let most = device.info().limits.buffer_bytes;
        let mut program = accumulator(Target::Vulkan);
        let mut large = program.variant.clone();
        large.name = "large".to_owned();
        large.regions[3].size = most + 1;
        program.entry.variants.push(large);
        let session = device.load(&program.bundle()).unwrap();
        let said = session.report().declined[0].to_string();
        assert!(said.contains(&format!("region 3 (state) needs {} bytes in a buffer", most + 1)), "{said}");
    });
}

/// What init derives is read beside state: each is cleared and filled in its own time.
#[test]
fn a_reset_leaves_derived_blobs_alone() {
    const DERIVE: &str = "
        @group(0) @binding(0) var<storage, read_write> made: array<f32, 3>;
        @group(1) @binding(0) var<storage, read> by: array<f32, 3>;
        @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { made[at.x] = 2.0 * by[at.x]; }";
    const COUNT: &str = "
        @group(0) @binding(0) var<storage, read_write> count: array<f32, 3>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
        @group(1) @binding(0) var<storage, read> by: array<f32, 3>;
        @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
            count[at.x] += by[at.x];
            y[at.x] = count[at.x];
        }";
    on_device(|device| {
        let bytes = |region| Resource::bytes(region, 0, 12);
        let bundle = Program::new(256)
            .f32_weight("by", &[1.0, 2.0, 3.0])
            .derived(12)
            .region(state("count", &[3]), 12)
            .f32_output("y", &[3], 0)
            .init(DERIVE, &[bytes(FIRST), weight(0, 0, 12)], [1; 3])
            .dispatch(COUNT, &[bytes(SECOND), crate::program::arena(0, 12), bytes(FIRST)], [1; 3])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        for _ in 0..2 {
            for round in [1.0, 2.0] {
                session.run().unwrap();
                assert_eq!(session.read::<f32>("y").unwrap(), [2.0, 4.0, 6.0].map(|by: f32| by * round));
            }
            session.reset_state().unwrap();
        }
    });
}
