// An element-wise function of its operands: ITEMS slices an invocation, in the order in which the result is stored.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn elementwise(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = (group.y * GRID_X + group.x) * (WORKGROUP_X * ITEMS) + local;
    for (var u_item = 0u; u_item < ITEMS; u_item++) {
        let index = first + u_item * WORKGROUP_X;
        if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
            var b = 0u;
            var y = 0u;
            var x = 0u;
            var s = 0u;
            if CHANNELS_INNERMOST {
                s = index % DST_SLICES;
                x = index / DST_SLICES % DST_WIDTH;
                y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
                b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
            } else {
                b = index % DST_BATCH;
                x = index / DST_BATCH % DST_WIDTH;
                y = index / (DST_BATCH * DST_WIDTH) % DST_HEIGHT;
                s = index / (DST_BATCH * DST_WIDTH * DST_HEIGHT);
            }
            dst_write(b, y, x, s, value_read(b, y, x, s));
        }
    }
}
