// Same elements in row-major order, another shape: by the row-major index of each element.
// *_AXES_* give the distance of each coordinate in its dense row-major tensor.

fn element(index: u32) -> SCALAR {
    return src_scalar(
        index / SRC_STRIDE_B % SRC_BATCH,
        index / SRC_STRIDE_Y % SRC_HEIGHT,
        index / SRC_STRIDE_X % SRC_WIDTH,
        index / SRC_STRIDE_C % SRC_CHANNELS);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn reshape(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let x = index / DST_SLICES % DST_WIDTH;
        let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        let base = b * DST_STRIDE_B + y * DST_STRIDE_Y + x * DST_STRIDE_X;
        let last = DST_CHANNELS - 1u;
        dst_write(b, y, x, s, vec4<SCALAR>(
            element(base + min(s * 4u, last) * DST_STRIDE_C),
            element(base + min(s * 4u + 1u, last) * DST_STRIDE_C),
            element(base + min(s * 4u + 2u, last) * DST_STRIDE_C),
            element(base + min(s * 4u + 3u, last) * DST_STRIDE_C)));
    }
}
