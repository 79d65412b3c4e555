// Third step: each channel by its mean and factor, ITEMS pixels of one slice an invocation.

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn group_norm_apply(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let s = group.y;
    let b = group.z;
    let mean = mean_read(0u, 0u, b, s);
    let factor = factor_read(0u, 0u, b, s);
    let bias = bias_read(0u, 0u, 0u, s);
    for (var u_i = 0u; u_i < ITEMS; u_i++) {
        let at = (group.x * ITEMS + u_i) * WORKGROUP_X + local;
        if at < DST_HEIGHT * DST_WIDTH {
            let y = at / DST_WIDTH;
            let x = at % DST_WIDTH;
            dst_write(b, y, x, s, (src_read(b, y, x, s) - mean) * factor + bias);
        }
    }
}
