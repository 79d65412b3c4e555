//! Vectors: by lanes, with vectors of bools, and one lane at a time.

use drift_tests::opencl::ClArg;

use crate::{assert_close, run_groups};

#[test]
fn vectors_compare_select_and_convert_by_lanes() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read> src: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read_write> dst: array<vec4<f32>>;
        fn scaled(v: vec4<f32>, by: f32) -> vec4<f32> {
            return v * by + by;
        }
        @compute @workgroup_size(1)
        fn lanes(@builtin(global_invocation_id) id: vec3<u32>) {
            let a = src[2u * id.x];
            let b = src[2u * id.x + 1u];
            let at = id.x * 16u;
            let less = a < b;
            dst[at] = select(a, b, less);
            dst[at + 1u] = vec4<f32>(less);
            dst[at + 2u] = vec4<f32>(vec4<i32>(less | (a == b))) - vec4<f32>(vec4<u32>(!less));
            dst[at + 3u] = vec4(f32(any(less)), f32(all(less)), f32(less.z), f32(all(less == (b > a))));
            dst[at + 4u] = select(a, b, less.x && !less.y);
            dst[at + 5u] = max(a, vec4(0.0)) + clamp(b, vec4(-1.0), vec4(1.0)) + 1.0;
            dst[at + 6u] = a.wzyx * b.xxyy;
            dst[at + 7u] = vec4(dot(a, b), dot(a.xy, b.zw), length(a.xyz), distance(a.xy, b.xy));
            dst[at + 8u] = vec4(cross(a.xyz, b.xyz), 1.0);
            dst[at + 9u] = vec4<f32>(vec4<i32>(a)) + vec4<f32>(vec4<u32>(abs(b)));
            dst[at + 10u] = vec4<f32>(vec4<i32>(a) / vec4<i32>(b)) + vec4<f32>(vec4<i32>(a * 4.0) % vec4(3));
            var lanes = a;
            lanes[id.x + 1u] = 7.0;
            lanes.x *= 2.0;
            dst[at + 11u] = lanes + a[id.x];
            var flags = vec4(true, false, less.x, less.y);
            flags.y = a.x < 0.0;
            dst[at + 12u] = select(vec4(0.0), vec4(1.0, 2.0, 3.0, 4.0), flags);
            dst[at + 13u] = scaled(a, b.x) % 2.5;
            dst[at + 14u] = normalize(a) + fract(b);
            dst[at + 15u] = vec4<f32>(vec4(dot(vec4<i32>(a), vec4<i32>(b)))) + vec4(a.xy, 1.0, f32(flags.y));
        }";
    let src: [[f32; 4]; 4] =
        [[-1.5, 2.0, 0.25, 4.0], [3.0, -2.0, 0.25, 5.0], [9.0, -8.0, 7.5, 1.0], [-0.5, 0.75, 100.0, 2.0]];
    let mut args = [ClArg::f32(src.as_flattened()), ClArg::f32(&[0.0; 128])];
    run_groups(wgsl, [2, 1, 1], [1, 1, 1], &mut args);
    let found = args[1].to_f32();
    for (pair, found) in found.chunks(64).enumerate() {
        let expected = lanes_in_rust(src[2 * pair], src[2 * pair + 1], pair);
        for (index, (found, expected)) in found.chunks(4).zip(expected).enumerate() {
            assert_close(found, &expected, &format!("pair {pair}, vector {index}"));
        }
    }
}

fn lanes_in_rust(a: [f32; 4], b: [f32; 4], id: usize) -> [[f32; 4]; 16] {
    let each = |f: &dyn Fn(f32, f32) -> f32| [0, 1, 2, 3].map(|lane| f(a[lane], b[lane]));
    let truth = |value: bool| f32::from(u8::from(value));
    let less = [0, 1, 2, 3].map(|lane| a[lane] < b[lane]);
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let int_dot: i32 = a.iter().zip(b).map(|(&a, b)| a as i32 * b as i32).sum();
    let div = |a: i32, b: i32| a.checked_div(b).unwrap_or(a);
    let length = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
    let mut lanes = a;
    lanes[id + 1] = 7.0;
    lanes[0] *= 2.0;
    let flags = [true, a[0] < 0.0, less[0], less[1]];
    let norm = length(&a);
    [
        each(&|a, b| if a < b { b } else { a }),
        each(&|a, b| truth(a < b)),
        each(&|a, b| truth(a <= b) - truth(a >= b)),
        [truth(less.contains(&true)), truth(!less.contains(&false)), truth(less[2]), 1.0],
        if less[0] && !less[1] { b } else { a },
        each(&|a, b| a.max(0.0) + b.clamp(-1.0, 1.0) + 1.0),
        [a[3] * b[0], a[2] * b[0], a[1] * b[1], a[0] * b[1]],
        [dot, a[0] * b[2] + a[1] * b[3], length(&a[..3]), length(&[a[0] - b[0], a[1] - b[1]])],
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0], 1.0],
        each(&|a, b| a.trunc() + b.abs().trunc()),
        each(&|a, b| (div(a as i32, b as i32) + (a * 4.0) as i32 % 3) as f32),
        lanes.map(|lane| lane + a[id]),
        [0, 1, 2, 3].map(|lane| if flags[lane] { lane as f32 + 1.0 } else { 0.0 }),
        a.map(|a| (a * b[0] + b[0]) % 2.5),
        each(&|a, b| a / norm + (b - b.floor())),
        [
            int_dot as f32 + a[0],
            int_dot as f32 + a[1],
            int_dot as f32 + 1.0,
            int_dot as f32 + truth(flags[1]),
        ],
    ]
}
