//! Kernels compute the same before and after all passes.

use super::{
    done,
    interpreter::{Value, floats, numbers, run, vectors},
    kernel,
};
use crate::module::parse;

#[track_caller]
fn same(source: &str, buffers: &[(&str, Value)]) {
    let before = parse(source).unwrap_or_else(|error| panic!("{error}"));
    let after = done(source).module;
    let (mut expected, mut found) = (buffers.to_vec(), buffers.to_vec());
    run(&before, [2, 1], &mut expected);
    run(&after, [2, 1], &mut found);
    assert_eq!(found, expected, "{source}");
    assert_ne!(expected, buffers, "the kernel writes nothing");
}

/// Compares the results of a kernel body on buffers of 64 numbers.
#[track_caller]
pub(super) fn same_floats(declarations: &str, body: &str) {
    let src = floats((0..64_u8).map(|index| f32::from(index) * 0.75 - 11.0));
    same(&kernel(declarations, body), &[("src", src), ("dst", floats([0.0; 64]))]);
}

#[test]
fn conditional_stores_reach_later_reads() {
    same_floats(
        "",
        "var value = 1.0;
         if id.x > 2u { value = src[id.x]; } else if id.x == 1u { value += 2.0; }
         let before = value;
         if id.x < 6u { value = value * 3.0; }
         dst[id.x] = value + before;",
    );
}

#[test]
fn loops_with_continue_break_and_carried_values() {
    same_floats(
        "fn part(x: u32) -> f32 { var sum = 0.5; var seen: f32; for (var i = 0u; i < x; i++) { if i == 2u { continue; } seen += 1.0; sum += src[i] * seen; } return sum; }",
        "var previous = 7.0; var total = 0.0; var k = 0u;
         loop {
             if k >= 6u { break; }
             let now = part(k) + previous;
             if now > 100.0 { previous = 1.0; k += 2u; continue; }
             previous = now;
             total += now;
             continuing { k += 1u; break if total > 1000.0; }
         }
         dst[id.x] = total + previous * f32(id.x);",
    );
}

#[test]
fn swapped_values_keep_apart() {
    same_floats(
        "",
        "var a = src[id.x]; var b = src[id.x + 1u];
         for (var u_i = 0u; u_i < 3u; u_i++) { let t = a; a = b; b = t + b; }
         dst[id.x] = a * 10.0 + b;",
    );
}

#[test]
fn arrays_are_initialised_copied_and_partly_indexed_by_computed_values() {
    same_floats(
        "fn fill(start: f32) -> f32 { var local: array<f32, 3>; for (var u_i = 0u; u_i < 3u; u_i++) { local[u_i] += start * f32(u_i + 1u); } return local[0] + local[1] * local[2]; }",
        "var a = array<f32, 3>(1.0, 2.0, 3.0);
         var c: array<array<f32, 3>, 2>;
         for (var k = 0u; k < 3u; k++) { a[1] += fill(f32(k)); }
         c[1] = a;
         c[0] = array<f32, 3>(4.0, 5.0, 6.0);
         a[2] = 9.0;
         dst[id.x] = c[1][id.x % 3u] + c[0][2] + a[1] + c[1][2];",
    );
}

#[test]
fn vector_components_change_one_by_one() {
    same_floats(
        "",
        "var v = vec4<f32>(src[0], src[1], 2.0, 3.0);
         let x = v.x; v.y += 4.0; v[id.x % 4u] = 8.0; v.z = x + v.y;
         dst[id.x] = v.x + v.y * 2.0 + v.z * 4.0 + v.w * 8.0 + v[id.x % 3u];",
    );
}

#[test]
fn switches_fall_to_the_right_case() {
    same_floats(
        "",
        "var value = 0.0;
         switch id.x { case 0u, 3u: { value = 1.0; } case 1u: { if src[0] < 0.0 { value = 5.0; break; } value = 2.0; } default: { value = 3.0; } }
         dst[id.x] = value;",
    );
}

#[test]
fn a_convolution_with_an_odd_size() {
    let source = "
        const WIDTH: u32 = 5u; const HEIGHT: u32 = 3u; const TILE: u32 = 2u; const RELU: bool = true;
        @group(0) @binding(0) var<storage, read> src: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read_write> dst: array<vec4<f32>>;
        fn src_read(y: i32, x: i32) -> vec4<f32> {
            var value = vec4<f32>(0.0);
            if y >= 0i && y < i32(HEIGHT) && x >= 0i && x < i32(WIDTH) { value = src[u32(y) * WIDTH + u32(x)]; }
            return value;
        }
        fn dst_write(y: u32, x: u32, value: vec4<f32>) {
            if x < WIDTH { if RELU { dst[y * WIDTH + x] = max(value, vec4<f32>(0.0)); } else { dst[y * WIDTH + x] = value; } }
        }
        @compute @workgroup_size(3, 3, 1)
        fn kernel(@builtin(global_invocation_id) id: vec3<u32>) {
            var acc: array<vec4<f32>, TILE>;
            for (var ky = 0i; ky < 3i; ky++) {
                for (var u_kx = 0i; u_kx < 3i; u_kx++) {
                    for (var u_t = 0u; u_t < TILE; u_t++) {
                        let texel = src_read(i32(id.y) + ky - 1i, i32(id.x * TILE + u_t) + u_kx - 1i);
                        acc[u_t] += texel * f32(ky * 3i + u_kx - 4i);
                    }
                }
            }
            for (var u_t = 0u; u_t < TILE; u_t++) { dst_write(id.y, id.x * TILE + u_t, acc[u_t]); }
        }";
    let values: Vec<f32> = (0..60_u16).map(|index| f32::from(index * 7 % 31) - 12.0).collect();
    same(source, &[("src", vectors(&values)), ("dst", vectors(&[0.0; 60]))]);
    let mut buffers = [("src", vectors(&values)), ("dst", vectors(&[0.0; 60]))];
    run(&done(source).module, [2, 1], &mut buffers);
    assert!(numbers(&buffers[1].1).iter().any(|value| *value > 0.0));
}
