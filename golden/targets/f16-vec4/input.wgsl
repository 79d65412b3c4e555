// Half precision in memory and in arithmetic; the sum is kept in f32.
enable f16;

@group(0) @binding(0) var<storage, read_write> src: array<vec4<f16>, 24>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec4<f16>, 6>;
@group(1) @binding(0) var<storage, read> scale: array<vec4<f16>, 6>;

@compute @workgroup_size(6)
fn scaled_sum(@builtin(global_invocation_id) id: vec3<u32>) {
    let slice = id.x;
    var sum = vec4<f32>();
    for (var i = 0u; i < 4u; i += 1u) {
        let value = src[slice * 4u + i] * scale[slice] + vec4<f16>(0.5h);
        sum += vec4<f32>(value);
    }
    dst[slice] = max(vec4<f16>(sum), vec4<f16>());
}
