// Adds up the parts of a matrix product that was split along k, and finishes the result: an invocation makes one slice of
// one row. Parts of one batch are neighbouring rows of the source.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn split_sum(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < BATCHES * ROWS_M * SRC_SLICES {
        let rows_first = index / SRC_SLICES % ROWS_M;
        let m = select(rows_first, index % ROWS_M, ROWS_ADJACENT);
        let slice = select(index % SRC_SLICES, index / ROWS_M % SRC_SLICES, ROWS_ADJACENT);
        let z = index / (SRC_SLICES * ROWS_M);
        var sum = src_read(0u, z * SPLIT, m, slice);
        for (var part = 1u; part < SPLIT; part++) {
            sum += src_read(0u, z * SPLIT + part, m, slice);
        }
        let place = place_of(z, m);
        dst_write(place.x, place.y, place.z, slice, sum);
    }
}
