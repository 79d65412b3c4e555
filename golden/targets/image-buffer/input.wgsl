// Adds a bias to an image buffer: reads one, writes another.
@group(0) @binding(0) var src: texture_1d<f32>;
@group(0) @binding(1) var dst: texture_storage_1d<rgba32float, write>;
@group(1) @binding(0) var bias: texture_1d<f32>;

@compute @workgroup_size(64)
fn add_bias(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= 90u {
        return;
    }
    let value = textureLoad(src, i32(id.x), 0) + textureLoad(bias, i32(id.x % 6u), 0);
    textureStore(dst, i32(id.x), value);
}
