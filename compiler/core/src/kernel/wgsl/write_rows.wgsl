// A tensor with new rows from a place on, which each batch knows when the model runs: (b, block, row) of the result is new row
// `row - first` where there is one, and the tensor's own elsewhere. CIRCULAR: rows behind the last go to the front.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn write_rows(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let row = index / DST_SLICES % DST_WIDTH;
        let block = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        let first = first_scalar(0u, 0u, 0u, b);
        // Far from the ends of i32, so that no distance wraps.
        let near = clamp(first, -1073741824i, 1073741823i);
        let behind = i32(row) - near;
        let around = (behind % i32(DST_WIDTH) + i32(DST_WIDTH)) % i32(DST_WIDTH);
        let at = select(behind, around, CIRCULAR);
        var value = src_read(b, block, row, s);
        if at >= 0i && at < i32(ROWS_WIDTH) {
            value = rows_read(b, block, u32(at), s);
        }
        dst_write(b, block, row, s, value);
    }
}
