// Transposed convolution, gathered. An invocation makes BLOCK_S output slices of BLOCK_X pixels that are STRIDE_X apart:
// those read the same taps, of neighbouring source pixels.
// weights: blocks of four output and four input channels; vectors of a block are over outputs, or over inputs where
// INPUT_LANES.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn conv_transpose(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x / STRIDE_X * (STRIDE_X * BLOCK_X) + id.x % STRIDE_X;
    let y = id.y % DST_HEIGHT;
    let b = id.y / DST_HEIGHT;
    let s = id.z * BLOCK_S;
    if x < DST_WIDTH && id.y < DST_BATCH * DST_HEIGHT && s < DST_SLICES {
        let first_slice = s / GROUP_DST_SLICES * GROUP_SRC_SLICES;
        var sums: array<vec4<f32>, BLOCK_X * BLOCK_S>;
        for (var u_s = 0u; u_s < BLOCK_S; u_s++) {
            let bias = bias_read(0u, 0u, 0u, min(s + u_s, DST_SLICES - 1u));
            for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                sums[u_s * BLOCK_X + u_x] = bias;
            }
        }
        for (var tap_y = 0u; tap_y < KERNEL_Y; tap_y++) {
            let at_y = i32(y) + PAD_Y - i32(tap_y * DILATION_Y);
            let src_y = at_y / i32(STRIDE_Y);
            if at_y >= 0i && at_y % i32(STRIDE_Y) == 0i && src_y < i32(SRC_HEIGHT) {
                for (var tap_x = 0u; tap_x < KERNEL_X; tap_x++) {
                    let at_x = i32(x) + PAD_X - i32(tap_x * DILATION_X);
                    if at_x % i32(STRIDE_X) == 0i {
                        let first_x = at_x / i32(STRIDE_X);
                        for (var t = 0u; t < GROUP_SRC_SLICES; t++) {
                            var pixels: array<vec4<f32>, BLOCK_X>;
                            for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                                let src_x = first_x + i32(u_x);
                                let column = clamp(src_x, 0i, i32(SRC_WIDTH) - 1i);
                                let pixel = src_read(b, u32(src_y), u32(column), first_slice + t);
                                pixels[u_x] = select(vec4<f32>(0.0), pixel, src_x == column);
                            }
                            for (var u_s = 0u; u_s < BLOCK_S; u_s++) {
                                let dst_s = min(s + u_s, DST_SLICES - 1u);
                                let block = weights_block(dst_s, tap_y * KERNEL_X + tap_x, t);
                                let weights_0 = weights_read(block, 0u);
                                let weights_1 = weights_read(block, 1u);
                                let weights_2 = weights_read(block, 2u);
                                let weights_3 = weights_read(block, 3u);
                                for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                                    let pixel = pixels[u_x];
                                    if SHARED_SLICES {
                                        sums[u_s * BLOCK_X + u_x] += group_products(pixel, dst_s, t, weights_0,
                                            weights_1, weights_2, weights_3);
                                    } else if INPUT_LANES {
                                        sums[u_s * BLOCK_X + u_x] += vec4<f32>(dot(pixel, weights_0),
                                            dot(pixel, weights_1), dot(pixel, weights_2), dot(pixel, weights_3));
                                    } else {
                                        sums[u_s * BLOCK_X + u_x] += pixel.x * weights_0 + pixel.y * weights_1
                                            + pixel.z * weights_2 + pixel.w * weights_3;
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        for (var u_s = 0u; u_s < BLOCK_S; u_s++) {
            for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                if s + u_s < DST_SLICES && x + u_x * STRIDE_X < DST_WIDTH {
                    dst_write(b, y, x + u_x * STRIDE_X, s + u_s, sums[u_s * BLOCK_X + u_x]);
                }
            }
        }
    }
}
