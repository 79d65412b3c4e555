// Moves elements by coordinates: transposition, strided slices and change of layout. A source coordinate is
// START_* + STEP_* times the result's coordinate that PICK_* says. With WHOLE_SLICES channels stay channels.

fn picked(which: u32, b: u32, y: u32, x: u32, c: u32) -> u32 {
    var coordinate = 0u;
    if which == 0u { coordinate = b; }
    if which == 1u { coordinate = y; }
    if which == 2u { coordinate = x; }
    if which == 3u { coordinate = c; }
    return coordinate;
}

fn moved(start: i32, step: i32, coordinate: u32) -> u32 {
    return u32(start + step * i32(coordinate));
}

fn element(b: u32, y: u32, x: u32, c: u32) -> SCALAR {
    return src_scalar(
        moved(START_B, STEP_B, picked(PICK_B, b, y, x, c)),
        moved(START_Y, STEP_Y, picked(PICK_Y, b, y, x, c)),
        moved(START_X, STEP_X, picked(PICK_X, b, y, x, c)),
        moved(START_C, STEP_C, picked(PICK_C, b, y, x, c)));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn copy(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
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
        if WHOLE_SLICES {
            dst_write(b, y, x, s, src_read(
                moved(START_B, STEP_B, picked(PICK_B, b, y, x, 0u)),
                moved(START_Y, STEP_Y, picked(PICK_Y, b, y, x, 0u)),
                moved(START_X, STEP_X, picked(PICK_X, b, y, x, 0u)),
                s + u32(START_C / 4i)));
        } else {
            let last = DST_CHANNELS - 1u;
            dst_write(b, y, x, s, vec4<SCALAR>(
                element(b, y, x, min(s * 4u, last)),
                element(b, y, x, min(s * 4u + 1u, last)),
                element(b, y, x, min(s * 4u + 2u, last)),
                element(b, y, x, min(s * 4u + 3u, last))));
        }
    }
}
