// Running sums along the channels of a row: a workgroup makes one row. Each invocation sums CHUNK slices of its own, takes
// the sums before it from workgroup memory, and walks its slices again. EXCLUSIVE sums leave their own element out,
// REVERSE walks from the end.

var<workgroup> shared_sum: array<SCALAR, WORKGROUP_X>;

fn slice_at(at: u32) -> u32 {
    var s = at;
    if REVERSE { s = SRC_SLICES - 1u - at; }
    return s;
}

fn in_order(value: vec4<SCALAR>) -> vec4<SCALAR> {
    var ordered = value;
    if REVERSE { ordered = value.wzyx; }
    return ordered;
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn cumsum_rows(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    let first = local * CHUNK;
    let end = min(first + CHUNK, SRC_SLICES);
    var own = SCALAR();
    for (var at = first; at < end; at++) {
        let value = src_read(0u, 0u, x, slice_at(at));
        own += (value.x + value.y) + (value.z + value.w);
    }
    shared_sum[local] = own;
    workgroupBarrier();
    var sum = SCALAR();
    for (var other = 0u; other < local; other++) {
        sum += shared_sum[other];
    }
    if row < DST_WIDTH {
        for (var at = first; at < end; at++) {
            let value = in_order(src_read(0u, 0u, x, slice_at(at)));
            let two = value.x + value.y;
            let three = two + value.z;
            let four = three + value.w;
            var sums = vec4<SCALAR>(sum + value.x, sum + two, sum + three, sum + four);
            if EXCLUSIVE { sums = vec4<SCALAR>(sum, sum + value.x, sum + two, sum + three); }
            dst_write(0u, 0u, x, slice_at(at), in_order(sums));
            sum += four;
        }
    }
}
