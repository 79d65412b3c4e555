// Parameters that change from run to run come from a uniform struct.
struct Params {
    width: u32,
    height: u32,
    offset: vec2<i32>,
    scale: vec3<f32>,
    bias: f32,
}

@group(0) @binding(0) var<storage, read_write> src: array<f32, 128>;
@group(0) @binding(1) var<storage, read_write> dst: array<f32, 128>;
@group(2) @binding(0) var<uniform> params: Params;

fn affine(value: f32, channel: u32) -> f32 {
    return value * params.scale[channel] + params.bias;
}

@compute @workgroup_size(8, 4, 1)
fn shift(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width || id.y >= params.height {
        return;
    }
    let from_x = clamp(i32(id.x) + params.offset.x, 0, i32(params.width) - 1);
    let from_y = clamp(i32(id.y) + params.offset.y, 0, i32(params.height) - 1);
    let from_index = u32(from_y) * params.width + u32(from_x);
    dst[id.y * params.width + id.x] = affine(src[from_index], id.x % 3u);
}
