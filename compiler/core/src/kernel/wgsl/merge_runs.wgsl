// Merges neighbours of the RUNS sorted runs of a row, LENGTH indices each, into runs of KEPT indices: the largest (with
// SMALLEST the smallest) elements of the source first, of equals the lower index first; a NaN counts as the largest. Indices
// of -1 stand last. An invocation finds one index of a result: how many of those before it come from the first run is what
// HALVINGS of the possible numbers tell.

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

// Index `at` of a run, -1 past its end and past the last run.
fn index_at(row: u32, run: u32, at: u32) -> i32 {
    let index = runs_read(0u, row, min(run * LENGTH + at, RUNS_WIDTH - 1u), 0u).x;
    return select(-1i, index, run < RUNS && at < LENGTH);
}

// Whether an index of the first run stands before one of the second, whose indices are larger.
fn is_first(row: u32, index: i32, other: i32) -> bool {
    let value = src_read(0u, row, u32(max(index, 0i)), 0u).x;
    let other_value = src_read(0u, row, u32(max(other, 0i)), 0u).x;
    return other < 0i || (index >= 0i && !is_better(other_value, value));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn merge_runs(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_HEIGHT * DST_WIDTH {
        let row = place / DST_WIDTH;
        let own = place % DST_WIDTH;
        let first = own / KEPT * 2u;
        let at = own % KEPT;
        // Of the first `at` indices of the result at least so many are the first run's, and at most.
        var least = select(0u, at - LENGTH, at > LENGTH);
        var most = min(at, LENGTH);
        for (var halving = 0u; halving < HALVINGS; halving++) {
            let middle = (least + most) / 2u;
            let goes_on = least < most;
            let comes = is_first(row, index_at(row, first, middle), index_at(row, first + 1u, at - 1u - middle));
            least = select(least, middle + 1u, goes_on && comes);
            most = select(most, middle, goes_on && !comes);
        }
        let index = index_at(row, first, least);
        let other = index_at(row, first + 1u, at - least);
        let is_own = least < LENGTH && (at - least >= LENGTH || is_first(row, index, other));
        dst_write(0u, row, own, 0u, vec4<i32>(select(other, index, is_own)));
    }
}
