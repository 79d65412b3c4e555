// Resampling of rows and columns: an invocation makes one pixel of one slice.
// rows, columns: for each row or column of the result the first one that it reads, 1 where it is outside of the source,
// and a weight for each that it reads.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn resize(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y % DST_HEIGHT;
    let b = id.y / DST_HEIGHT;
    let s = id.z;
    if x < DST_WIDTH && id.y < DST_BATCH * DST_HEIGHT && s < DST_SLICES {
        let first_y = u32(rows_scalar(0u, 0u, y, 0u));
        let first_x = u32(columns_scalar(0u, 0u, x, 0u));
        var sum = vec4<f32>(0.0);
        if NEAREST {
            sum = src_read(b, first_y, first_x, s);
        } else {
            for (var u_y = 0u; u_y < TAPS_Y; u_y++) {
                var line = vec4<f32>(0.0);
                for (var u_x = 0u; u_x < TAPS_X; u_x++) {
                    line += columns_scalar(0u, 0u, x, 2u + u_x) * src_read(b, first_y + u_y, first_x + u_x, s);
                }
                sum += rows_scalar(0u, 0u, y, 2u + u_y) * line;
            }
        }
        if EXTRAPOLATES {
            let outside = rows_scalar(0u, 0u, y, 1u) + columns_scalar(0u, 0u, x, 1u) > 0.0;
            sum = select(sum, vec4<f32>(EXTRAPOLATION), outside);
        }
        dst_write(b, y, x, s, sum);
    }
}
