// Index of the largest, or with SMALLEST the smallest, element along one coordinate; of equals the first, or with LAST
// the last. A NaN is found before all else. A workgroup makes one slice of the result and combines through workgroup memory.

var<workgroup> shared_value: array<vec4<SCALAR>, WORKGROUP_X>;
var<workgroup> shared_index: array<vec4<i32>, WORKGROUP_X>;

// By bits, since a compiler may assume that comparisons of floats never see a NaN.
fn is_nan(value: vec4<SCALAR>) -> vec4<bool> {
    return vec4<bool>(IS_FLOAT) & ((bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// Whether the second of two elements is the one to keep.
fn wins(value: vec4<SCALAR>, index: vec4<i32>, other: vec4<SCALAR>, other_index: vec4<i32>) -> vec4<bool> {
    var better = other > value;
    if SMALLEST { better = other < value; }
    var before = other_index < index;
    if LAST { before = other_index > index; }
    let none = is_nan(value);
    let other_none = is_nan(other);
    let same = (other == value) | (none & other_none);
    return ((better | other_none) & !none) | (same & before);
}

fn index_at(at: u32) -> vec4<i32> {
    var index = vec4<i32>(i32(at));
    if ALONG_C { index = vec4<i32>(i32(at * 4u)) + vec4<i32>(0i, 1i, 2i, 3i); }
    return index;
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn arg_reduce(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let number = group.y * GRID_X + group.x;
    let place = min(number, DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES - 1u);
    let s = place % DST_SLICES;
    let x = place / DST_SLICES % DST_WIDTH;
    let y = place / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
    let b = place / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
    let first = min(local, COUNT - 1u);
    var value = src_read(b + first * ALONG_B, y + first * ALONG_Y, x + first * ALONG_X, s + first * ALONG_S);
    var index = index_at(first);
    if ALONG_C {
        // Lanes beyond the last channel stand for the first one, so that they never win.
        let live = index < vec4<i32>(i32(SRC_CHANNELS));
        value = select(value.xxxx, value, live);
        index = select(index.xxxx, index, live);
    }
    for (var at = local + WORKGROUP_X; at < COUNT; at += WORKGROUP_X) {
        var other = src_read(b + at * ALONG_B, y + at * ALONG_Y, x + at * ALONG_X, s + at * ALONG_S);
        var other_index = index_at(at);
        if ALONG_C {
            let live = other_index < vec4<i32>(i32(SRC_CHANNELS));
            other = select(other.xxxx, other, live);
            other_index = select(other_index.xxxx, other_index, live);
        }
        let take = wins(value, index, other, other_index);
        value = select(value, other, take);
        index = select(index, other_index, take);
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
            let take = wins(own, own_index, other, other_index);
            shared_value[local] = select(own, other, take);
            shared_index[local] = select(own_index, other_index, take);
        }
        workgroupBarrier();
    }
    if local == 0u && number < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        var found = shared_index[0];
        if ALONG_C {
            let all = shared_value[0];
            let half = wins(all, found, all.zwxy, found.zwxy);
            let pair = select(all, all.zwxy, half);
            let pair_index = select(found, found.zwxy, half);
            found = select(pair_index, pair_index.yxwz, wins(pair, pair_index, pair.yxwz, pair_index.yxwz));
        }
        dst_write(b, y, x, s, found);
    }
}
