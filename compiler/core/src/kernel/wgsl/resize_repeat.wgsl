// Nearest resampling by whole factors: an invocation reads one pixel of one slice and writes it FACTOR_Y by FACTOR_X times.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn resize_repeat(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y % SRC_HEIGHT;
    let b = id.y / SRC_HEIGHT;
    let s = id.z;
    if x < SRC_WIDTH && id.y < SRC_BATCH * SRC_HEIGHT && s < SRC_SLICES {
        let pixel = src_read(b, y, x, s);
        for (var u_y = 0u; u_y < FACTOR_Y; u_y++) {
            for (var u_x = 0u; u_x < FACTOR_X; u_x++) {
                dst_write(b, y * FACTOR_Y + u_y, x * FACTOR_X + u_x, s, pixel);
            }
        }
    }
}
