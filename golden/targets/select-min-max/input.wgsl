// Element-wise functions: clamps, selections and the functions of activations.
@group(0) @binding(0) var<storage, read_write> src: array<vec4<f32>, 7>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec4<f32>, 7>;
@group(0) @binding(2) var<storage, read_write> counts: array<vec4<i32>, 7>;

@compute @workgroup_size(7)
fn activations(@builtin(local_invocation_index) index: u32) {
    let value = src[index];
    let relu6 = clamp(value, vec4<f32>(0.0), vec4<f32>(6.0));
    let leaky = select(0.1 * value, value, value >= vec4<f32>());
    let sigmoid = 1.0 / (1.0 + exp(-value));
    let bounded = min(max(tanh(leaky), sigmoid), abs(relu6)) + floor(value) + sign(value);
    let finite = select(bounded, vec4<f32>(), any(bounded != bounded));
    dst[index] = finite * inverseSqrt(dot(value, value) + 1e-5);
    counts[index] = vec4<i32>(round(relu6)) - counts[index] % vec4<i32>(3);
}
