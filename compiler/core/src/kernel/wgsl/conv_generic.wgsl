// Direct convolution. An invocation makes BLOCK_X neighbouring pixels of BLOCK_S output slices; SPLIT invocations share
// the input slices of one block and add up through workgroup memory.
// weights: blocks of four output and four input channels; vectors of a block are over outputs, or over inputs where
// INPUT_LANES.

var<workgroup> partial: array<vec4<f32>, WORKGROUP_X * WORKGROUP_Y * SPLIT * BLOCK_X * BLOCK_S>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, SPLIT)
fn conv_generic(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let x = id.x * BLOCK_X;
    let row = min(id.y, DST_BATCH * DST_HEIGHT - 1u);
    let y = row % DST_HEIGHT;
    let b = row / DST_HEIGHT;
    let s = group.z * BLOCK_S;
    let first_slice = s / GROUP_DST_SLICES * GROUP_SRC_SLICES;

    var sums: array<vec4<f32>, BLOCK_X * BLOCK_S>;
    for (var u_i = 0u; u_i < BLOCK_X * BLOCK_S; u_i++) {
        sums[u_i] = vec4<f32>(0.0);
    }
    for (var tap_y = 0u; tap_y < KERNEL_Y; tap_y++) {
        let src_y = i32(y * STRIDE_Y + tap_y * DILATION_Y) - PAD_Y;
        let inside_y = !PADDED || (src_y >= 0i && src_y < i32(SRC_HEIGHT));
        let row_y = select(u32(src_y), u32(clamp(src_y, 0i, i32(SRC_HEIGHT) - 1i)), PADDED);
        for (var tap_x = 0u; tap_x < KERNEL_X; tap_x++) {
            for (var t = local.z; t < GROUP_SRC_SLICES; t += SPLIT) {
                var pixels: array<vec4<f32>, BLOCK_X>;
                for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                    let dst_x = min(x + u_x, DST_WIDTH - 1u);
                    let src_x = i32(dst_x * STRIDE_X + tap_x * DILATION_X) - PAD_X;
                    let column = select(u32(src_x), u32(clamp(src_x, 0i, i32(SRC_WIDTH) - 1i)), PADDED);
                    let pixel = src_read(b, row_y, column, first_slice + t);
                    let inside = !PADDED || (inside_y && src_x >= 0i && src_x < i32(SRC_WIDTH));
                    pixels[u_x] = select(vec4<f32>(0.0), pixel, inside);
                }
                for (var u_s = 0u; u_s < BLOCK_S; u_s++) {
                    let dst_s = min(s + u_s, DST_SLICES - 1u);
                    let block = weights_block(dst_s, tap_y * KERNEL_X + tap_x, t);
                    let weights_0 = weights_read(block, 0u);
                    let weights_1 = weights_read(block, 1u);
                    let weights_2 = weights_read(block, 2u);
                    let weights_3 = weights_read(block, 3u);
                    for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                        if SHARED_SLICES {
                            sums[u_s * BLOCK_X + u_x] += group_products(pixels[u_x], dst_s, t, weights_0, weights_1,
                                weights_2, weights_3);
                        } else if INPUT_LANES {
                            sums[u_s * BLOCK_X + u_x] += vec4<f32>(dot(pixels[u_x], weights_0), dot(pixels[u_x], weights_1),
                                dot(pixels[u_x], weights_2), dot(pixels[u_x], weights_3));
                        } else {
                            sums[u_s * BLOCK_X + u_x] += pixels[u_x].x * weights_0 + pixels[u_x].y * weights_1
                                + pixels[u_x].z * weights_2 + pixels[u_x].w * weights_3;
                        }
                    }
                }
            }
        }
    }
    if SPLIT > 1u {
        let lane = (local.y * WORKGROUP_X + local.x) * SPLIT;
        for (var u_i = 0u; u_i < BLOCK_X * BLOCK_S; u_i++) {
            partial[(lane + local.z) * (BLOCK_X * BLOCK_S) + u_i] = sums[u_i];
        }
        workgroupBarrier();
        for (var u_i = 0u; u_i < BLOCK_X * BLOCK_S; u_i++) {
            sums[u_i] = partial[lane * (BLOCK_X * BLOCK_S) + u_i];
            for (var z = 1u; z < SPLIT; z++) {
                sums[u_i] += partial[(lane + z) * (BLOCK_X * BLOCK_S) + u_i];
            }
        }
    }
    if local.z == 0u && id.y < DST_BATCH * DST_HEIGHT {
        for (var u_s = 0u; u_s < BLOCK_S; u_s++) {
            let dst_s = s + u_s;
            if dst_s < DST_SLICES {
                let bias = bias_read(0u, 0u, 0u, dst_s);
                for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                    if x + u_x < DST_WIDTH {
                        dst_write(b, y, x + u_x, dst_s, sums[u_s * BLOCK_X + u_x] + bias);
                    }
                }
            }
        }
    }
}
