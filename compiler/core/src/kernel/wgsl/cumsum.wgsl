// Running sums along the width: an invocation walks one slice of channels. EXCLUSIVE sums leave their own element out,
// REVERSE walks from the end.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn cumsum(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_HEIGHT * DST_SLICES {
        let s = index % DST_SLICES;
        let y = index / DST_SLICES;
        var sum = vec4<SCALAR>();
        for (var at = 0u; at < DST_WIDTH; at++) {
            var x = at;
            if REVERSE { x = DST_WIDTH - 1u - at; }
            let before = sum;
            sum += src_read(0u, y, x, s);
            if EXCLUSIVE {
                dst_write(0u, y, x, s, before);
            } else {
                dst_write(0u, y, x, s, sum);
            }
        }
    }
}
