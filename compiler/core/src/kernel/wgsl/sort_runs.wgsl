// Indices of each run of RUN elements of a row, the largest (with SMALLEST the smallest) first, of equals the lower index
// first; a NaN counts as the largest. An invocation finds the place of one element: as many as stand before it. Places past
// the first KEPT are not written; those past the row's end hold -1 and stand last.

// By bits, since a compiler may assume that comparisons of floats never see a NaN.
fn is_nan(value: SCALAR) -> bool {
    return IS_FLOAT && (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether a value stands before another in the order asked for.
fn is_better(value: SCALAR, other: SCALAR) -> bool {
    let none = is_nan(value);
    let other_none = is_nan(other);
    var better = (value > other || none) && !other_none;
    if SMALLEST { better = (value < other || other_none) && !none; }
    return better;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn sort_runs(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_HEIGHT * (RUNS * RUN) {
        let row = place / (RUNS * RUN);
        let own = place % (RUNS * RUN);
        let run = own / RUN;
        let is_there = own < SRC_WIDTH;
        let value = src_read(0u, row, min(own, SRC_WIDTH - 1u), 0u).x;
        var before = 0u;
        for (var at = 0u; at < RUN; at++) {
            let other = run * RUN + at;
            let other_value = src_read(0u, row, min(other, SRC_WIDTH - 1u), 0u).x;
            // Neither better: equal, or both are NaN.
            let stands_before = is_better(other_value, value) || (!is_better(value, other_value) && other < own);
            let counts = select(other < own, stands_before && other < SRC_WIDTH, is_there);
            before += select(0u, 1u, counts);
        }
        if before < KEPT {
            dst_write(0u, row, run * KEPT + before, 0u, vec4<i32>(select(-1i, i32(own), is_there)));
        }
    }
}
