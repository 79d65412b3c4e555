//! Programs that compute, on every kind of resource.

use drift_bundle::manifest::{
    DeviceElement, HostElement, RegionId, Requirement, Resource, TextureKind, TextureObject,
};
use drift_runtime::{LoadOptions, SubmitLimits};
use half::f16;

use crate::program::{ARENA, FIRST, Program, SECOND, arena, dispatch, on_device, weight};

const ADD_WEIGHT: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32, 7>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 7>;
    @group(1) @binding(0) var<storage, read> w: array<f32, 7>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
        if (at.x < 7u) { y[at.x] = x[at.x] * 2.0 + w[at.x]; }
    }";

const INCREMENT: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { x[at.x] += 1.0; }";

#[test]
fn a_kernel_reads_inputs_and_weights() {
    on_device(|device| {
        // The first weight is there so that the used one is not at the start.
        let bundle = Program::new(512)
            .f32_weight("unused", &[9.0; 100])
            .f32_weight("w", &[1.0, -1.0, 0.0, 0.5, 1e30, 3.0, 7.0])
            .f32_input("x", &[1, 7], 0)
            .f32_output("y", &[7], 256)
            .dispatch(ADD_WEIGHT, &[arena(0, 28), arena(256, 28), weight(1, 0, 28)], [2, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[0.0_f32, 1.0, -2.0, 3.5, 0.0, -6.0, 100.0]).unwrap();
        session.run().unwrap();
        let y: Vec<f32> = session.read("y").unwrap();
        assert_eq!(y, [1.0, 1.0, -4.0, 7.5, 1e30, -9.0, 207.0]);
        assert_eq!(session.report().bytes.weights, 28, "only what is used is loaded");
    });
}

/// Writes far outside of what is bound as `y`, into what is behind it.
const STRAY: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
        y[at.x] = y[x[at.x]];
        y[x[at.x] + 3u] = 7.0;
    }";

#[test]
fn an_untrusted_bundle_stays_in_what_it_binds() {
    on_device(|device| {
        let bundle = Program::new(1024)
            .input("x", HostElement::I32, &[3], 0, DeviceElement::I32)
            .f32_input("secret", &[64], 512)
            .f32_output("y", &[3], 256)
            .f32_output("beyond", &[128], 512)
            .dispatch(STRAY, &[arena(0, 12), arena(256, 12)], [1, 1, 1])
            .bundle();
        let options = LoadOptions { untrusted: true, ..LoadOptions::default() };
        let mut session = device.load_with(&bundle, &options).unwrap();
        session.write("secret", &[5.0_f32; 64]).unwrap();
        // 64 floats on is where the secret starts, then memory beyond any buffer.
        for stray in [64, 1 << 28] {
            session.write("x", &[stray, stray + 1, stray + 2]).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("beyond").unwrap(), [[5.0; 64], [0.0; 64]].concat());
            // What such a read gives is not said, except that it is none of what is beyond.
            assert!(session.read::<f32>("y").unwrap().iter().all(|y| *y != 5.0));
        }
        // Trusted bundles go on beside it, on a device that checks nothing.
        assert!(device.load(&bundle).is_ok());
    });
}

#[test]
fn long_programs_are_submitted_in_parts_and_in_order() {
    on_device(|device| {
        let mut program = Program::new(256).f32_input("x", &[3], 0).f32_output("y", &[3], 0);
        let shader = program.shader(INCREMENT, |_| ());
        for step in 0..20 {
            program.variant.dispatches.push(dispatch(
                &format!("step {step}"),
                shader,
                &[arena(0, 12)],
                [1, 1, 1],
            ));
        }
        let submit = SubmitLimits { dispatches: 3, ..SubmitLimits::default() };
        let options = LoadOptions { timestamps: true, submit, ..LoadOptions::default() };
        let mut session = device.load_with(&program.bundle(), &options).unwrap();
        assert_eq!((session.report().submissions, session.report().pipelines), (7, 1));
        session.write("x", &[0.0_f32, -5.0, 0.5]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [20.0, 15.0, 20.5]);
        let timings = session.timings().unwrap();
        assert_eq!(timings.dispatches.len(), 20);
        assert_eq!(timings.dispatches[19].name, "step 19");
        let sum: std::time::Duration = timings.dispatches.iter().map(|dispatch| dispatch.time).sum();
        assert!(sum <= timings.total && !timings.total.is_zero(), "{sum:?} of {:?}", timings.total);
    });
}

#[test]
fn workgroup_memory_and_barriers_work() {
    let reduce = "
        var<workgroup> parts: array<f32, 8>;
        @group(0) @binding(0) var<storage, read> x: array<f32, 8>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32, 1>;
        @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) at: u32) {
            parts[at] = x[at];
            workgroupBarrier();
            for (var half = 4u; half > 0u; half /= 2u) {
                if (at < half) { parts[at] += parts[at + half]; }
                workgroupBarrier();
            }
            if (at == 0u) { y[0] = parts[0]; }
        }";
    on_device(|device| {
        let mut program = Program::new(512).f32_input("x", &[8], 0).f32_output("y", &[], 256);
        let shader = program.shader(reduce, |shader| shader.shared_bytes = 32);
        program.variant.dispatches.push(dispatch("sum", shader, &[arena(0, 32), arena(256, 4)], [1, 1, 1]));
        let mut session = device.load(&program.bundle()).unwrap();
        session.write("x", &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -8.0]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [20.0]);
    });
}

#[test]
fn textures_of_every_kind_are_written_and_read_in_f32_and_f16() {
    // The same 5 x 3 texels: as one plane, as rows that are layers, as rows that are planes.
    let kinds = [
        (TextureKind::D2, "2d", "at.xy", [5, 3, 1]),
        (TextureKind::Array, "2d_array", "vec2<u32>(at.x, 0u), at.y", [5, 1, 3]),
        (TextureKind::D3, "3d", "vec3<u32>(at.x, 0u, at.y)", [5, 1, 3]),
    ];
    let elements = [(DeviceElement::F32, "rgba32float"), (DeviceElement::F16, "rgba16float")];
    for ((element, format), (kind, dimension, at, extent)) in
        elements.into_iter().flat_map(|element| kinds.map(|kind| (element, kind)))
    {
        let fill = format!(
            "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>, 15>;
            @group(0) @binding(1) var t: texture_storage_{dimension}<{format}, write>;
            @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at: vec3<u32>) {{
                textureStore(t, {at}, x[at.y * 5u + at.x]);
            }}"
        );
        let transpose = format!(
            "@group(0) @binding(0) var t: texture_{dimension}<f32>;
            @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>, 15>;
            @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at: vec3<u32>) {{
                y[at.x * 3u + at.y] = textureLoad(t, {at}, 0) * 2.0;
            }}"
        );
        on_device(|device| {
            let mut program = Program::new(512)
                .f32_input("x", &[3, 5, 4], 0)
                .f32_output("y", &[5, 3, 4], 256)
                .texture(TextureKind::D2, element, [1; 3])
                .texture(kind, element, extent);
            let texture = Resource::texture(SECOND, 0, TextureObject { kind, element, extent_px: extent });
            let fill = program.shader(&fill, |_| ());
            let transpose = program.shader(&transpose, |shader| {
                shader.bindings[0].kind = drift_bundle::manifest::BindingKind::Texture { kind, element };
            });
            let steps = [
                dispatch("fill", fill, &[arena(0, 240), texture], [5, 3, 1]),
                dispatch("transpose", transpose, &[texture, arena(256, 240)], [5, 3, 1]),
            ];
            program.variant.dispatches.extend(steps);
            let mut session = device.load(&program.bundle()).unwrap();
            let x: Vec<f32> = (0..60).map(|value| value as f32 - 30.0).collect();
            session.write("x", &x).unwrap();
            session.run().unwrap();
            let expected: Vec<f32> = (0..60)
                .map(|at| (at / 12, at / 4 % 3, at % 4))
                .map(|(x_px, y_px, c)| 2.0 * x[(y_px * 5 + x_px) * 4 + c])
                .collect();
            assert_eq!(session.read::<f32>("y").unwrap(), expected);
        });
    }
}

#[test]
fn texel_buffers_are_written_and_read_from_arena_and_weights() {
    let kernel = "
        @group(0) @binding(0) var x: texture_1d<f32>;
        @group(1) @binding(0) var w: texture_1d<f32>;
        @group(0) @binding(1) var y: texture_storage_1d<rgba32float, write>;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
            textureStore(y, at.x, textureLoad(x, at.x, 0) + textureLoad(w, 2u - at.x, 0));
        }";
    on_device(|device| {
        let element = DeviceElement::F32;
        let w: Vec<f32> = (0..12).map(|value| value as f32 * 100.0).collect();
        let bundle = Program::new(512)
            .f32_weight("pad", &[0.0; 3])
            .f32_weight("w", &w)
            .f32_input("x", &[3, 4], 0)
            .f32_output("y", &[3, 4], 256)
            .dispatch(
                kernel,
                &[
                    Resource::texels(ARENA, element, 0, 48),
                    Resource::texels(RegionId::Weight(1), element, 0, 48),
                    Resource::texels(ARENA, element, 256, 48),
                ],
                [3, 1, 1],
            )
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
        session.write("x", &x).unwrap();
        session.run().unwrap();
        let y: Vec<f32> = session.read("y").unwrap();
        let expected: Vec<f32> = (0..12).map(|at| x[at] + w[(2 - at / 4) * 4 + at % 4]).collect();
        assert_eq!(y, expected);
    });
}

#[test]
fn textures_are_filled_with_weights() {
    let kernel = "
        @group(1) @binding(0) var w: texture_2d<f32>;
        @group(1) @binding(1) var a: texture_2d_array<f32>;
        @group(1) @binding(2) var v: texture_3d<f32>;
        @group(1) @binding(3) var<storage, read> plain: array<f32, 4>;
        @group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>, 30>;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
            let px = vec2<i32>(at.xy);
            let z = i32(at.z);
            let sum = textureLoad(a, px, z, 0) + 1000.0 * textureLoad(v, vec3<i32>(px, z), 0);
            y[(at.z * 3u + at.y) * 5u + at.x] = sum + 0.5 * textureLoad(w, px, 0) + plain[3];
        }";
    let (element, kind) = (DeviceElement::F32, [TextureKind::D2, TextureKind::Array, TextureKind::D3]);
    let texture = |blob, offset, n: usize| {
        let layers = if n == 0 { 1 } else { 2 };
        let texture = TextureObject { kind: kind[n], element, extent_px: [5, 3, layers] };
        Resource::texture(RegionId::Weight(blob), offset, texture)
    };
    on_device(|device| {
        let flat: Vec<f32> = (0..124).map(|value| value as f32).collect();
        let deep: Vec<f32> = (0..120).map(|value| (value * 3 % 7) as f32).collect();
        let bundle = Program::new(512)
            .f32_weight("flat", &flat)
            .f32_weight("deep", &deep)
            .f32_output("y", &[2, 3, 5, 4], 0)
            .dispatch(
                kernel,
                &[
                    // One blob as a buffer and, from two places on, as textures.
                    texture(0, 256, 0),
                    texture(1, 0, 1),
                    texture(1, 0, 2),
                    weight(0, 0, 16),
                    arena(0, 480),
                ],
                [5, 3, 2],
            )
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.run().unwrap();
        let expected: Vec<f32> =
            (0..120).map(|at| 1001.0 * deep[at] + 0.5 * flat[64 + at % 60] + 3.0).collect();
        assert_eq!(session.read::<f32>("y").unwrap(), expected);
        assert!(session.report().bytes.weights >= 496 + 60 * 4 + 2 * 120 * 4, "textures count as weights");
    });
}

/// More rows than pass through the staging buffers at once, the last part short.
#[test]
fn large_textures_are_filled_in_parts() {
    const ROWS: usize = 1_100;
    let kernel = "
        @group(1) @binding(0) var w: texture_2d<f32>;
        @group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>, 1100>;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at: vec3<u32>) {
            y[at.x] = textureLoad(w, vec2<i32>(i32(at.x * 37u % 1024u), i32(at.x)), 0);
        }";
    on_device(|device| {
        let texels: Vec<f32> = (0..1024 * ROWS * 4).map(|value| (value % 8191) as f32).collect();
        let texture = TextureObject {
            kind: TextureKind::D2,
            element: DeviceElement::F32,
            extent_px: [1024, ROWS as u32, 1],
        };
        let bundle = Program::new(ROWS as u64 * 16 + 240)
            .f32_weight("w", &texels)
            .f32_output("y", &[ROWS as u64, 4], 0)
            .dispatch(
                kernel,
                &[Resource::texture(RegionId::Weight(0), 0, texture), arena(0, ROWS as u64 * 16)],
                [ROWS as u32, 1, 1],
            )
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.run().unwrap();
        let y: Vec<f32> = session.read("y").unwrap();
        for (at, value) in y.iter().enumerate() {
            let (row, lane) = (at / 4, at % 4);
            assert_eq!(*value, texels[(row * 1024 + row * 37 % 1024) * 4 + lane], "row {row}, lane {lane}");
        }
    });
}

#[test]
fn f16_kernels_compute_in_f16() {
    let kernel = "enable f16;
        @group(0) @binding(0) var<storage, read_write> x: array<f16, 5>;
        @compute @workgroup_size(5) fn main(@builtin(global_invocation_id) at: vec3<u32>) { x[at.x] = x[at.x] * 2.0h + 0.5h; }";
    on_device(|device| {
        let mut program = Program::new(256)
            .input("x", HostElement::F16, &[5], 0, DeviceElement::F16)
            .output("y", HostElement::F32, &[5], 0, DeviceElement::F16)
            .dispatch(kernel, &[arena(0, 10)], [1, 1, 1]);
        program.variant.requires.push(Requirement::F16);
        let bundle = program.bundle();
        if !device.info().features.f16 {
            let error = device.load(&bundle).unwrap_err().to_string();
            assert!(error.contains("needs 16-bit floats, the device has no 16-bit floats"), "{error}");
            return;
        }
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[0.0, -0.25, 1000.0, 30000.0, 0.0001].map(f16::from_f32)).unwrap();
        session.run().unwrap();
        let y: Vec<f32> = session.read("y").unwrap();
        assert_eq!(y[..4], [0.5, 0.0, 2000.0, 60000.0]);
        assert!((y[4] - 0.5002).abs() < 1e-3);
    });
}

#[test]
fn uniform_buffers_hold_parameters() {
    let kernel = "
        @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
        @group(2) @binding(0) var<uniform> p: vec4<f32>;
        @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { x[at.x] += p.y; }";
    on_device(|device| {
        // Group 1 is empty here.
        let bundle = Program::new(256)
            .f32_weight("p", &[0.0, 4.0, 0.0, 0.0])
            .f32_input("x", &[3], 0)
            .f32_output("y", &[3], 0)
            .dispatch(kernel, &[arena(0, 12), weight(0, 0, 16)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[1.0_f32, 2.0, 3.0]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [5.0, 6.0, 7.0]);
    });
}

#[test]
fn init_runs_once_and_its_results_stay() {
    let double = "
        @group(1) @binding(0) var<storage, read> w: array<f32, 3>;
        @group(0) @binding(0) var<storage, read_write> packed: array<f32, 3>;
        @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { packed[at.x] += 2.0 * w[at.x]; }";
    let add = "
        @group(0) @binding(0) var<storage, read> packed: array<f32, 3>;
        @group(0) @binding(1) var<storage, read> x: array<f32, 3>;
        @group(0) @binding(2) var<storage, read_write> y: array<f32, 3>;
        @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = x[at.x] + packed[at.x]; }";
    on_device(|device| {
        let weights = weight(0, 0, 12);
        let bundle = Program::new(1024)
            .f32_weight("w", &[1.0, 2.0, 3.0])
            .f32_input("x", &[3], 0)
            .f32_output("y", &[3], 256)
            .init(double, &[weights, arena(512, 12)], [1, 1, 1])
            .dispatch(add, &[arena(512, 12), arena(0, 12), arena(256, 12)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        for _ in 0..3 {
            session.write("x", &[0.5_f32, 0.0, -6.0]).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), [2.5, 4.0, 0.0]);
        }
    });
}

/// A kernel that makes `packed` of `w`, once: running it again would change it.
const DERIVE: &str = "
    @group(1) @binding(0) var<storage, read> w: array<f32, 4>;
    @group(0) @binding(0) var<storage, read_write> packed: array<f32, 4>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3<u32>) { packed[at.x] += 2.0 * w[at.x]; }";

#[test]
fn derived_blobs_are_made_once_and_read_as_buffers_and_texels() {
    let element = DeviceElement::F32;
    let add = "
        @group(0) @binding(0) var<storage, read> x: array<vec4<f32>, 1>;
        @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>, 1>;
        @group(1) @binding(0) var<storage, read> first: array<vec4<f32>, 1>;
        @group(1) @binding(1) var second: texture_1d<f32>;
        @compute @workgroup_size(1) fn main() { y[0] = x[0] + first[0] + textureLoad(second, 0, 0); }";
    on_device(|device| {
        let weights = |blob| weight(blob, 0, 16);
        let derived = |number: usize, offset| Resource::bytes([FIRST, SECOND][number], offset, 16);
        let mut program = Program::new(512)
            .f32_weight("w", &[1.0, 2.0, 3.0, 4.0])
            .f32_weight("v", &[10.0, 0.0, -10.0, 0.5])
            .derived(16)
            .derived(512)
            .f32_input("x", &[4], 0)
            .f32_output("y", &[4], 256)
            .init(DERIVE, &[weights(0), derived(0, 0)], [1, 1, 1])
            // Of what was derived itself: the barrier stands before it.
            .init(DERIVE, &[derived(0, 0), derived(1, 0)], [1, 1, 1])
            .init(DERIVE, &[weights(1), derived(1, 256)], [1, 1, 1])
            .dispatch(
                add,
                &[arena(0, 16), arena(256, 16), derived(1, 0), Resource::texels(SECOND, element, 256, 16)],
                [1, 1, 1],
            );
        program.variant.init[2].barrier = false;
        let bundle = program.bundle();
        // One submission for each dispatch of init.
        let submit = SubmitLimits { dispatches: 1, ..SubmitLimits::default() };
        for submit in [SubmitLimits::default(), submit] {
            let options = LoadOptions { submit, ..LoadOptions::default() };
            let mut session = device.load_with(&bundle, &options).unwrap();
            for x in [0.0_f32, 100.0] {
                session.write("x", &[x; 4]).unwrap();
                session.run().unwrap();
                assert_eq!(session.read::<f32>("y").unwrap(), [24.0, 8.0, -8.0, 17.0].map(|y| x + y));
            }
        }
    });
}

#[test]
fn weights_that_only_init_reads_are_given_back() {
    let add = "
        @group(0) @binding(0) var<storage, read_write> x: array<f32, 4>;
        @group(1) @binding(0) var<storage, read> packed: array<f32, 4>;
        @group(1) @binding(1) var<storage, read> kept: array<f32, 4>;
        @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3<u32>) { x[at.x] += packed[at.x] + kept[at.x]; }";
    on_device(|device| {
        let weights = |blob| weight(blob, 0, 16);
        let derived = |number: usize| Resource::bytes([FIRST, SECOND][number], 0, 16);
        let bundle = Program::new(256)
            .f32_weight("for init", &[1.0, 2.0, 3.0, 4.0])
            .f32_weight("for both", &[0.5; 4])
            .derived(16)
            .derived(16)
            .f32_input("x", &[4], 0)
            .f32_output("y", &[4], 0)
            .init(DERIVE, &[weights(0), derived(0)], [1, 1, 1])
            .init(DERIVE, &[weights(1), derived(1)], [1, 1, 1])
            .dispatch(add, &[arena(0, 16), derived(0), weights(1)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        let bytes = session.report().bytes;
        assert_eq!((bytes.weights, bytes.derived), (16, 256 + 16), "two blobs share a buffer");
        assert!(bytes.peak >= bytes.total() + 16, "{bytes:?}");
        for _ in 0..2 {
            session.write("x", &[0.0_f32; 4]).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), [2.5, 4.5, 6.5, 8.5]);
        }
    });
}

#[test]
fn weights_larger_than_the_staging_buffer_arrive_whole() {
    const COUNT: usize = 5_000_003;
    let kernel = format!(
        "@group(1) @binding(0) var<storage, read> w: array<u32, {COUNT}>;
        @group(0) @binding(0) var<storage, read_write> sum: array<atomic<u32>, 1>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) {{
            var part = 0u;
            for (var i = at.x; i < {COUNT}u; i += 4096u) {{ part += w[i] * (i + 1u); }}
            atomicAdd(&sum[0], part);
        }}"
    );
    on_device(|device| {
        let w: Vec<u32> = (0..COUNT as u32).map(|at| at.wrapping_mul(2_654_435_761)).collect();
        let bytes: Vec<u8> = w.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bundle = Program::new(256)
            .weight("w", &bytes)
            .output("sum", HostElement::U8, &[1], 0, DeviceElement::U32)
            .dispatch(&kernel, &[weight(0, 0, bytes.len() as u64), arena(0, 4)], [64, 1, 1])
            .bundle();
        let options = LoadOptions { verify_weights: true, ..LoadOptions::default() };
        let mut session = device.load_with(&bundle, &options).unwrap();
        session.run().unwrap();
        let sum = (0..).zip(&w).fold(0_u32, |sum, (at, value)| sum.wrapping_add(value.wrapping_mul(at + 1)));
        assert_eq!(session.read::<u8>("sum").unwrap(), [sum as u8]);
    });
}

#[test]
fn a_program_without_dispatches_passes_inputs_on() {
    on_device(|device| {
        let bundle = Program::new(256).f32_input("x", &[2], 0).f32_output("y", &[2], 0).bundle();
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[1.5_f32, f32::NEG_INFINITY]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [1.5, f32::NEG_INFINITY]);
    });
}

#[test]
fn sessions_of_one_device_run_at_once() {
    on_device(|device| {
        let bundle = Program::new(256)
            .f32_input("x", &[3], 0)
            .f32_output("y", &[3], 0)
            .dispatch(INCREMENT, &[arena(0, 12)], [1, 1, 1])
            .bundle();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (device, bundle) = (device.clone(), &bundle);
                scope.spawn(move || {
                    let mut session = device.load(bundle).unwrap();
                    for round in 0..20 {
                        let x = (thread * 100 + round) as f32;
                        session.write("x", &[x; 3]).unwrap();
                        session.run().unwrap();
                        assert_eq!(session.read::<f32>("y").unwrap(), [x + 1.0; 3]);
                    }
                });
            }
        });
    });
}
