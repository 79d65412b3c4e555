// Adds elements around a tensor: an invocation makes one slice. MODE: 0 constant, 1 edge, 2 reflect, 3 wrap.
// The constant is given by its bits, since infinities and NaNs have no literal.

fn fill() -> SCALAR {
    return bitcast<SCALAR>(FILL_BITS);
}

fn source_of(at: i32, size: u32) -> u32 {
    let last = i32(size) - 1i;
    var position = at;
    if MODE == 2u { position = select(abs(at), 2i * last - at, at > last); }
    if MODE == 3u { position = (at % (last + 1i) + last + 1i) % (last + 1i); }
    return u32(clamp(position, 0i, last));
}

fn outside(at: i32, size: u32) -> bool {
    return at < 0i || at >= i32(size);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn pad(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        var s = 0u;
        var x = 0u;
        var y = 0u;
        var b = 0u;
        if CHANNELS_INNERMOST {
            s = index % DST_SLICES;
            x = index / DST_SLICES % DST_WIDTH;
            y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
            b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        } else {
            x = index % DST_WIDTH;
            y = index / DST_WIDTH % DST_HEIGHT;
            s = index / (DST_WIDTH * DST_HEIGHT) % DST_SLICES;
            b = index / (DST_WIDTH * DST_HEIGHT * DST_SLICES);
        }
        let at_b = i32(b) - BEGIN_B;
        let at_y = i32(y) - BEGIN_Y;
        let at_x = i32(x) - BEGIN_X;
        let src_b = source_of(at_b, SRC_BATCH);
        let src_y = source_of(at_y, SRC_HEIGHT);
        let src_x = source_of(at_x, SRC_WIDTH);
        let beyond = outside(at_b, SRC_BATCH) || outside(at_y, SRC_HEIGHT) || outside(at_x, SRC_WIDTH);
        var value = vec4<SCALAR>();
        if PADS_CHANNELS {
            for (var u_lane = 0u; u_lane < 4u; u_lane++) {
                let at_c = i32(min(s * 4u + u_lane, DST_CHANNELS - 1u)) - BEGIN_C;
                let element = src_scalar(src_b, src_y, src_x, source_of(at_c, SRC_CHANNELS));
                let fills = MODE == 0u && (beyond || outside(at_c, SRC_CHANNELS));
                value[u_lane] = select(element, fill(), fills);
            }
        } else {
            value = select(src_read(src_b, src_y, src_x, s), vec4<SCALAR>(fill()), MODE == 0u && beyond);
        }
        dst_write(b, y, x, s, value);
    }
}
