// Indices of the largest (with SMALLEST the smallest) few of a row, in order; of equals the lower index first. A NaN
// counts as the largest. A workgroup makes one row: it looks for the best element behind the one that it found last, as often as there are results.

var<workgroup> shared_value: array<SCALAR, WORKGROUP_X>;
var<workgroup> shared_index: array<i32, WORKGROUP_X>;

// By bits, since a compiler may assume that comparisons of floats never see a NaN.
fn is_nan(value: SCALAR) -> bool {
    return IS_FLOAT && (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether an element stands before another in the order asked for.
fn precedes(value: SCALAR, index: i32, other: SCALAR, other_index: i32) -> bool {
    let none = is_nan(value);
    let other_none = is_nan(other);
    var better = (value > other || none) && !other_none;
    if SMALLEST { better = (value < other || other_none) && !none; }
    return better || ((value == other || (none && other_none)) && index < other_index);
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn top_k(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    var last_value = SCALAR();
    // Below every index: nothing was found yet.
    var last_index = -1i;
    for (var s = 0u; s < DST_SLICES; s++) {
        var found = vec4<i32>(0i);
        for (var u_lane = 0u; u_lane < 4u; u_lane++) {
            var value = SCALAR();
            var index = -1i;
            for (var c = local; c < SRC_CHANNELS; c += WORKGROUP_X) {
                let other = src_scalar(0u, 0u, x, c);
                let is_left = last_index < 0i || precedes(last_value, last_index, other, i32(c));
                if is_left && (index < 0i || precedes(other, i32(c), value, index)) {
                    value = other;
                    index = i32(c);
                }
            }
            shared_value[local] = value;
            shared_index[local] = index;
            workgroupBarrier();
            for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
                if local < stride {
                    let other = shared_value[local + stride];
                    let other_index = shared_index[local + stride];
                    let own = shared_value[local];
                    let own_index = shared_index[local];
                    if other_index >= 0i && (own_index < 0i || precedes(other, other_index, own, own_index)) {
                        shared_value[local] = other;
                        shared_index[local] = other_index;
                    }
                }
                workgroupBarrier();
            }
            // With nothing left the lane is beyond the last result, and is not written.
            last_value = shared_value[0];
            last_index = shared_index[0];
            workgroupBarrier();
            found[u_lane] = last_index;
        }
        if local == 0u && row < DST_WIDTH {
            dst_write(0u, 0u, x, s, found);
        }
    }
}
