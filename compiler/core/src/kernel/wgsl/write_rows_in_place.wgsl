// New rows of a state, from a place on that each batch knows when the model runs: the result is where the state does, and
// only what is new is written. CIRCULAR: rows behind the last go to the front; otherwise they, and those before the first, are
// left out.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn write_rows_in_place(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < ROWS_BATCH * ROWS_HEIGHT * ROWS_WIDTH * ROWS_SLICES {
        let s = index % ROWS_SLICES;
        let fresh = index / ROWS_SLICES % ROWS_WIDTH;
        let block = index / (ROWS_SLICES * ROWS_WIDTH) % ROWS_HEIGHT;
        let b = index / (ROWS_SLICES * ROWS_WIDTH * ROWS_HEIGHT);
        let first = clamp(first_scalar(0u, 0u, 0u, b), -1073741824i, 1073741823i);
        let row = first + i32(fresh);
        let around = (row % i32(DST_WIDTH) + i32(DST_WIDTH)) % i32(DST_WIDTH);
        let at = select(row, around, CIRCULAR);
        if at >= 0i && at < i32(DST_WIDTH) {
            dst_write(b, block, u32(at), s, rows_read(b, block, fresh, s));
        }
    }
}
