// Operands of a self-test: OFFSET + SCALE * n for one of COUNT numbers n, which follows from SEED and from the element's place
// in the dense row-major tensor, whatever layout keeps it. STRIDE_* are the distances of the coordinates in that tensor.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn self_test_fill(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let x = index / DST_SLICES % DST_WIDTH;
        let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        let channels = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let first = b * STRIDE_B + y * STRIDE_Y + x * STRIDE_X;
        let places = vec4<u32>(first) + channels * STRIDE_C;
        let numbers = scattered(places + vec4<u32>(SEED)) % vec4<u32>(COUNT);
        dst_write(b, y, x, s, vec4<SCALAR>(vec4<f32>(OFFSET) + vec4<f32>(numbers) * SCALE));
    }
}
