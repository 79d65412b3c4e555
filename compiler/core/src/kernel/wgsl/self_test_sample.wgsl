// Samples of a result for a self-test: slices at the sixteen corners of its coordinates, then at places that look random. The
// result's bits are what is written, whatever its type.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn self_test_sample(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = id.x;
    if n < DST_SLICES {
        let sizes = vec4<u32>(SRC_BATCH, SRC_HEIGHT, SRC_WIDTH, SRC_SLICES);
        let bits = (vec4<u32>(n) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u);
        let corner = bits * (sizes - vec4<u32>(1u));
        let inner = scattered(vec4<u32>(n * 4u) + vec4<u32>(0u, 1u, 2u, 3u)) % sizes;
        let at = select(inner, corner, vec4<bool>(n < 16u));
        dst_write(0u, 0u, 0u, n, bitcast<vec4<i32>>(src_read(at.x, at.y, at.z, at.w)));
    }
}
