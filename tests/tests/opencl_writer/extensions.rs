//! What PoCL has no extension for is compiled, not run.

use std::io::Write as _;
use std::process::{Command, Stdio};

use drift_targets::opencl::Options;

use crate::translate;

/// Whether clang takes `source` for a device with every extension. None where clang is not installed.
fn compiles(source: &str) -> Option<Result<(), String>> {
    // clang knows the functions of some extensions but not their names in pragmas.
    let arguments = "-x cl -cl-std=CL3.0 -Xclang -cl-ext=+all -target spir64 -Xclang -finclude-default-header \
                     -Werror -Wno-ignored-pragmas -fsyntax-only -";
    let mut child = Command::new("clang")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(source.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let log = || format!("{source}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(if output.status.success() { Ok(()) } else { Err(log()) })
}

/// Translates `wgsl`, compiles the text and returns the extensions that it enables.
fn extensions(wgsl: &str, options: &Options) -> Vec<&'static str> {
    let output = translate(wgsl, options);
    if let Some(Err(log)) = compiles(&output.source) {
        panic!("{log}");
    }
    output.extensions
}

#[test]
fn half_arithmetic_compiles_where_the_extension_is() {
    let wgsl = "
        enable f16;
        @group(0) @binding(0) var<storage, read> src: array<vec4<f16>, 6>;
        @group(0) @binding(1) var<storage, read_write> dst: array<vec4<f16>, 6>;
        @group(0) @binding(2) var<storage, read_write> sums: array<f16>;
        @compute @workgroup_size(6)
        fn gelu(@builtin(local_invocation_index) i: u32) {
            let x = src[i];
            var y = max(x, vec4<f16>(0.0h)) * 0.5h + saturate(x) - clamp(x, vec4<f16>(-1.0h), vec4<f16>(1.0h));
            y = select(y, x, x < y) + vec4<f16>(vec4<f32>(x) * 0.1) + vec4<f16>(x > y);
            y[i % 4u] = f16(dot(x, y)) + select(0.0h, 0.25h, any(x != y));
            dst[i] = y % vec4<f16>(3.0h) + tanh(x) + fma(x, y, y) + vec4<f16>(vec4<i32>(x)) + fract(x);
            sums[i] = min(y.x, 65504.0h) + f16(i) + f16(bool(x.y)) + sign(x.z);
        }";
    assert_eq!(extensions(wgsl, &Options { fp16: true, ..Options::default() }), ["cl_khr_fp16"]);
}

#[test]
fn subgroup_operations_compile_where_the_extensions_are() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> dst: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read_write> bits: array<vec4<u32>>;
        @compute @workgroup_size(64)
        fn gather(@builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) size: u32,
                  @builtin(subgroup_id) id: u32, @builtin(num_subgroups) count: u32) {
            let at = id * size + lane;
            let value = dst[at];
            let sum = subgroupAdd(value) + subgroupMax(value) * subgroupInclusiveAdd(value.x);
            let swapped = subgroupShuffleXor(value.y, 1u) + subgroupShuffleDown(value.z, count);
            let first = subgroupBroadcastFirst(value.x) + subgroupBroadcast(value.y, 0u);
            let quads = quadSwapX(value.w) + quadBroadcast(value.x, 2u);
            bits[at] = subgroupBallot(value.x > 0.0) + subgroupXor(lane) + u32(subgroupAny(value.y > 0.0));
            subgroupBarrier();
            dst[at] = sum + vec4(swapped + first + quads + subgroupExclusiveMul(value.x));
        }";
    let expected = [
        "cl_khr_subgroup_ballot",
        "cl_khr_subgroup_non_uniform_arithmetic",
        "cl_khr_subgroup_shuffle",
        "cl_khr_subgroup_shuffle_relative",
        "cl_khr_subgroups",
    ];
    assert_eq!(extensions(wgsl, &Options { subgroups: true, ..Options::default() }), expected);
}

#[test]
fn packed_dot_products_compile_where_the_extension_is() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> data: array<u32, 4>;
        @compute @workgroup_size(1)
        fn dots() {
            data[0] = dot4U8Packed(data[1], data[2]) + u32(dot4I8Packed(data[1], data[3]));
        }";
    let options = Options { integer_dot: true, ..Options::default() };
    assert_eq!(extensions(wgsl, &options), ["cl_khr_integer_dot_product"]);
}
