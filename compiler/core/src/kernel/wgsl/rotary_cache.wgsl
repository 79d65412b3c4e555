// What a decoder does between its projections and attention: queries turn (the result), keys turn and go where the state of keys
// has rows for them, and values, where they are here too, go to theirs. The place of the first new row is known when the model
// runs; rows that would be behind the last, or before the first, are left out, or with CIRCULAR go to the front.
// Without HAS_VALUES v and values are there in name only. One invocation per slice, first those of queries, then those of keys, then those of values.

fn slice_of(part: u32, b: u32, y: u32, x: u32, s: u32) -> vec4<f32> {
    var value = vec4<f32>(0.0);
    if part == 0u {
        value = q_read(b, y, x, s);
    } else {
        value = k_read(b, y, x, s);
    }
    return value;
}

fn channel_of(part: u32, b: u32, y: u32, x: u32, c: u32) -> f32 {
    var value = 0.0;
    if part == 0u {
        value = q_scalar(b, y, x, min(c, Q_CHANNELS - 1u));
    } else {
        value = k_scalar(b, y, x, min(c, K_CHANNELS - 1u));
    }
    return value;
}

// The row of a state with `rows` that new row `fresh` of batch b goes to; as many as there are where it is left out.
fn row_of(b: u32, fresh: u32, rows: u32) -> u32 {
    let row = clamp(first_scalar(0u, 0u, 0u, b), -1073741824i, 1073741823i) + i32(fresh);
    let around = (row % i32(rows) + i32(rows)) % i32(rows);
    let at = select(row, around, CIRCULAR);
    return select(rows, u32(at), at >= 0i && at < i32(rows));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn rotary_cache(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    let query_items = DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES;
    let key_items = K_BATCH * K_HEIGHT * K_WIDTH * K_SLICES;
    let value_items = select(0u, V_BATCH * V_HEIGHT * V_WIDTH * V_SLICES, HAS_VALUES);
    if index < query_items {
        let s = index % DST_SLICES;
        let x = index / DST_SLICES % DST_WIDTH;
        let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        dst_write(b, y, x, s, turned(0u, b, y, x, s));
    } else if index < query_items + key_items {
        let item = index - query_items;
        let s = item % K_SLICES;
        let fresh = item / K_SLICES % K_WIDTH;
        let block = item / (K_SLICES * K_WIDTH) % K_HEIGHT;
        let b = item / (K_SLICES * K_WIDTH * K_HEIGHT);
        let row = row_of(b, fresh, KEYS_WIDTH);
        if row < KEYS_WIDTH {
            keys_write(b, block, row, s, turned(1u, b, block, fresh, s));
        }
    } else if index < query_items + key_items + value_items {
        let item = index - query_items - key_items;
        let s = item % V_SLICES;
        let fresh = item / V_SLICES % V_WIDTH;
        let block = item / (V_SLICES * V_WIDTH) % V_HEIGHT;
        let b = item / (V_SLICES * V_WIDTH * V_HEIGHT);
        let row = row_of(b, fresh, VALUES_WIDTH);
        if row < VALUES_WIDTH {
            values_write(b, block, row, s, v_read(b, block, fresh, s));
        }
    }
}
