// Moves elements between dense tensors: result element (i0, i1, ..) is source element START + i0 * STEP_0 + i1 * STEP_1
// + .., both counted in row-major order. Axis n has SIZE_n places, and INNER_n results stand between two of them. With
// WHOLE_VECTORS all are counted in vectors of four; with ONE_ROW four results in a row are STEP_LAST apart.

fn moved(index: u32) -> u32 {
    return u32(START + i32(index / INNER_0) * STEP_0
        + i32(index / INNER_1 % SIZE_1) * STEP_1
        + i32(index / INNER_2 % SIZE_2) * STEP_2
        + i32(index / INNER_3 % SIZE_3) * STEP_3
        + i32(index / INNER_4 % SIZE_4) * STEP_4
        + i32(index / INNER_5 % SIZE_5) * STEP_5
        + i32(index / INNER_6 % SIZE_6) * STEP_6
        + i32(index / INNER_7 % SIZE_7) * STEP_7);
}

fn element(index: u32) -> SCALAR {
    return src_scalar(0u, 0u, index, 0u);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn strided(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_SLICES {
        if WHOLE_VECTORS {
            dst_write(0u, 0u, 0u, index, src_read(0u, 0u, 0u, moved(index)));
        } else if ONE_ROW {
            let first = moved(index * 4u);
            dst_write(0u, 0u, 0u, index, vec4<SCALAR>(
                element(first),
                element(u32(i32(first) + STEP_LAST)),
                element(u32(i32(first) + 2i * STEP_LAST)),
                element(u32(i32(first) + 3i * STEP_LAST))));
        } else {
            let last = DST_CHANNELS - 1u;
            dst_write(0u, 0u, 0u, index, vec4<SCALAR>(
                element(moved(min(index * 4u, last))),
                element(moved(min(index * 4u + 1u, last))),
                element(moved(min(index * 4u + 2u, last))),
                element(moved(min(index * 4u + 3u, last)))));
        }
    }
}
