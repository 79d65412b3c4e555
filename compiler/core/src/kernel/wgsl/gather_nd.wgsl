// Takes slices at index tuples: result (batch, n, inner) = source (batch, indices[batch, n, ..], inner).
// Up to four indices a tuple; LIMIT_* and STRIDE_* are sizes of the indexed axes and their distances in slices.

fn part(batch: u32, n: u32, which: u32, limit: u32, stride: u32) -> u32 {
    var row = 0u;
    if which < INDICES_CHANNELS {
        let signed = indices_scalar(0u, batch, n, min(which, INDICES_CHANNELS - 1u));
        let wrapped = select(signed, signed + i32(limit), signed < 0i);
        row = min(u32(max(wrapped, 0i)), limit - 1u) * stride;
    }
    return row;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn gather_nd(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let n = index / DST_SLICES % DST_WIDTH;
        let batch = index / (DST_SLICES * DST_WIDTH);
        let row = part(batch, n, 0u, LIMIT_0, STRIDE_0) + part(batch, n, 1u, LIMIT_1, STRIDE_1)
            + part(batch, n, 2u, LIMIT_2, STRIDE_2) + part(batch, n, 3u, LIMIT_3, STRIDE_3);
        dst_write(0u, batch, n, s, src_read(0u, batch, row, s));
    }
}
