// A 5x3 texture is mirrored along x into another; one side is read, the other is written.
@group(0) @binding(0) var src: texture_2d<f32>;
@group(0) @binding(1) var dst: texture_storage_2d<rgba16float, write>;

@compute @workgroup_size(8, 8)
fn mirror(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= 5u || id.y >= 3u {
        return;
    }
    let texel = textureLoad(src, vec2<i32>(i32(4u - id.x), i32(id.y)), 0);
    textureStore(dst, vec2<i32>(id.xy), texel * 2.0);
}
