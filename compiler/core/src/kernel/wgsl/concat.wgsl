// Joins up to seven parts along the coordinate whose ALONG_* is 1. Part n stands from START_n on; slots beyond PARTS
// repeat the first. The kernel writes the slices from FIRST_* on, SIZE_* of them.

fn from_slices(b: u32, y: u32, x: u32, s: u32) -> vec4<SCALAR> {
    let at = b * ALONG_B + y * ALONG_Y + x * ALONG_X + s * (4u * ALONG_C);
    var value = vec4<SCALAR>();
    if PARTS > 6u && at >= START_6 {
        value = src_6_read(b - ALONG_B * START_6, y - ALONG_Y * START_6, x - ALONG_X * START_6, s - ALONG_C * START_6 / 4u);
    } else if PARTS > 5u && at >= START_5 {
        value = src_5_read(b - ALONG_B * START_5, y - ALONG_Y * START_5, x - ALONG_X * START_5, s - ALONG_C * START_5 / 4u);
    } else if PARTS > 4u && at >= START_4 {
        value = src_4_read(b - ALONG_B * START_4, y - ALONG_Y * START_4, x - ALONG_X * START_4, s - ALONG_C * START_4 / 4u);
    } else if PARTS > 3u && at >= START_3 {
        value = src_3_read(b - ALONG_B * START_3, y - ALONG_Y * START_3, x - ALONG_X * START_3, s - ALONG_C * START_3 / 4u);
    } else if PARTS > 2u && at >= START_2 {
        value = src_2_read(b - ALONG_B * START_2, y - ALONG_Y * START_2, x - ALONG_X * START_2, s - ALONG_C * START_2 / 4u);
    } else if PARTS > 1u && at >= START_1 {
        value = src_1_read(b - ALONG_B * START_1, y - ALONG_Y * START_1, x - ALONG_X * START_1, s - ALONG_C * START_1 / 4u);
    } else {
        value = src_0_read(b - ALONG_B * START_0, y - ALONG_Y * START_0, x - ALONG_X * START_0, s - ALONG_C * START_0 / 4u);
    }
    return value;
}

fn channel(b: u32, y: u32, x: u32, c: u32) -> SCALAR {
    var value = SCALAR();
    if PARTS > 6u && c >= START_6 {
        value = src_6_scalar(b, y, x, min(c - START_6, SRC_6_CHANNELS - 1u));
    } else if PARTS > 5u && c >= START_5 {
        value = src_5_scalar(b, y, x, min(c - START_5, SRC_5_CHANNELS - 1u));
    } else if PARTS > 4u && c >= START_4 {
        value = src_4_scalar(b, y, x, min(c - START_4, SRC_4_CHANNELS - 1u));
    } else if PARTS > 3u && c >= START_3 {
        value = src_3_scalar(b, y, x, min(c - START_3, SRC_3_CHANNELS - 1u));
    } else if PARTS > 2u && c >= START_2 {
        value = src_2_scalar(b, y, x, min(c - START_2, SRC_2_CHANNELS - 1u));
    } else if PARTS > 1u && c >= START_1 {
        value = src_1_scalar(b, y, x, min(c - START_1, SRC_1_CHANNELS - 1u));
    } else {
        value = src_0_scalar(b, y, x, min(c - START_0, SRC_0_CHANNELS - 1u));
    }
    return value;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn concat(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < SIZE_B * SIZE_Y * SIZE_X * SIZE_S {
        var b = FIRST_B;
        var y = FIRST_Y;
        var x = FIRST_X;
        var s = FIRST_S;
        if CHANNELS_INNERMOST {
            s += index % SIZE_S;
            x += index / SIZE_S % SIZE_X;
            y += index / (SIZE_S * SIZE_X) % SIZE_Y;
            b += index / (SIZE_S * SIZE_X * SIZE_Y);
        } else {
            b += index % SIZE_B;
            x += index / SIZE_B % SIZE_X;
            y += index / (SIZE_B * SIZE_X) % SIZE_Y;
            s += index / (SIZE_B * SIZE_X * SIZE_Y);
        }
        if WHOLE_SLICES {
            dst_write(b, y, x, s, from_slices(b, y, x, s));
        } else {
            dst_write(b, y, x, s, vec4<SCALAR>(
                channel(b, y, x, s * 4u),
                channel(b, y, x, s * 4u + 1u),
                channel(b, y, x, s * 4u + 2u),
                channel(b, y, x, s * 4u + 3u)));
        }
    }
}
