// Softmax over the channels of a row: a workgroup makes one row; subgroups combine first, workgroup memory only
// carries one value of each.

const LOWEST: f32 = -3.4028234e38;

var<workgroup> shared_part: array<f32, WORKGROUP_X>;

fn live(s: u32, value: vec4<f32>, otherwise: f32) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(otherwise), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn softmax_subgroup(
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    var largest = vec4<f32>(LOWEST);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        largest = max(largest, live(s, src_read(0u, 0u, x, s), LOWEST));
    }
    let subgroup_max = subgroupMax(max(max(largest.x, largest.y), max(largest.z, largest.w)));
    shared_part[subgroup] = subgroup_max;
    workgroupBarrier();
    var row_max = shared_part[0];
    for (var part = 1u; part < subgroups; part++) {
        row_max = max(row_max, shared_part[part]);
    }
    workgroupBarrier();
    var sum = vec4<f32>(0.0);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        sum += live(s, exp(src_read(0u, 0u, x, s) - row_max), 0.0);
    }
    let subgroup_sum = subgroupAdd((sum.x + sum.y) + (sum.z + sum.w));
    shared_part[subgroup] = subgroup_sum;
    workgroupBarrier();
    var total = shared_part[0];
    for (var part = 1u; part < subgroups; part++) {
        total += shared_part[part];
    }
    let scale = 1.0 / total;
    if row < DST_WIDTH {
        for (var s = local; s < DST_SLICES; s += WORKGROUP_X) {
            dst_write(0u, 0u, x, s, exp(src_read(0u, 0u, x, s) - row_max) * scale);
        }
    }
}
