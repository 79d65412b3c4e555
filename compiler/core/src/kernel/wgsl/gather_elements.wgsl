// Takes single elements: result (outer, n, inner) = source (outer, indices (outer, n, inner), inner), the indexed axis being
// the width, or with ALONG_C the channels. Negative indices count from the end; one outside of the source is the model's
// error, and the nearest keeps the read in bounds.

fn row(index: i32) -> u32 {
    let wrapped = select(index, index + i32(LIMIT), index < 0i);
    return min(u32(max(wrapped, 0i)), LIMIT - 1u);
}

fn element(y: u32, x: u32, c: u32, index: i32) -> SCALAR {
    var value = SCALAR();
    if ALONG_C {
        value = src_scalar(0u, y, x, row(index));
    } else {
        value = src_scalar(0u, y, row(index), min(c, DST_CHANNELS - 1u));
    }
    return value;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn gather_elements(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = place % DST_SLICES;
        let x = place / DST_SLICES % DST_WIDTH;
        let y = place / (DST_SLICES * DST_WIDTH);
        let index = indices_read(0u, y, x, s);
        dst_write(0u, y, x, s, vec4<SCALAR>(
            element(y, x, s * 4u, index.x),
            element(y, x, s * 4u + 1u, index.y),
            element(y, x, s * 4u + 2u, index.z),
            element(y, x, s * 4u + 3u, index.w)));
    }
}
