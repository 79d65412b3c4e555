// Takes rows: result (outer, n, inner) = source (outer, indices[n], inner), where n counts rows and columns of the result.
// Negative indices count from the end.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn gather(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let x = index / DST_SLICES % DST_WIDTH;
        let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let outer = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        let signed = indices_scalar(0u, 0u, 0u, y * DST_WIDTH + x);
        let row = select(signed, signed + i32(SRC_WIDTH), signed < 0i);
        // An index outside of the source is the model's error; the nearest row keeps the read in bounds.
        let clamped = min(u32(max(row, 0i)), SRC_WIDTH - 1u);
        dst_write(outer, y, x, s, src_read(0u, outer, clamped, s));
    }
}
