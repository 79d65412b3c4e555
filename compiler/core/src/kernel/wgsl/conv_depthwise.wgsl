// Depthwise convolution, one filter per channel: an invocation makes one pixel of one slice.
// weights: a vector for each slice and tap.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn conv_depthwise(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y % DST_HEIGHT;
    let b = id.y / DST_HEIGHT;
    let s = id.z;
    if x < DST_WIDTH && id.y < DST_BATCH * DST_HEIGHT && s < DST_SLICES {
        var sum = bias_read(0u, 0u, 0u, s);
        for (var u_y = 0u; u_y < KERNEL_Y; u_y++) {
            let src_y = i32(y * STRIDE_Y + u_y * DILATION_Y) - PAD_Y;
            let row = u32(clamp(src_y, 0i, i32(SRC_HEIGHT) - 1i));
            for (var u_x = 0u; u_x < KERNEL_X; u_x++) {
                let src_x = i32(x * STRIDE_X + u_x * DILATION_X) - PAD_X;
                let column = u32(clamp(src_x, 0i, i32(SRC_WIDTH) - 1i));
                let inside = src_y == i32(row) && src_x == i32(column);
                let pixel = select(vec4<f32>(0.0), src_read(b, row, column, s), inside);
                sum += pixel * weights_read(weights_block(s, u_y * KERNEL_X + u_x, 0u), 0u);
            }
        }
        dst_write(b, y, x, s, sum);
    }
}
