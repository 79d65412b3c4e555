// Softmax over the channels of a row: a workgroup makes one row, and combines through workgroup memory.

const LOWEST: f32 = -3.4028234e38;

var<workgroup> shared_part: array<f32, WORKGROUP_X>;

fn live(s: u32, value: vec4<f32>, otherwise: f32) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(otherwise), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn softmax(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    var largest = vec4<f32>(LOWEST);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        largest = max(largest, live(s, src_read(0u, 0u, x, s), LOWEST));
    }
    shared_part[local] = max(max(largest.x, largest.y), max(largest.z, largest.w));
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] = max(shared_part[local], shared_part[local + stride]);
        }
        workgroupBarrier();
    }
    let row_max = shared_part[0];
    workgroupBarrier();
    var sum = vec4<f32>(0.0);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        sum += live(s, exp(src_read(0u, 0u, x, s) - row_max), 0.0);
    }
    shared_part[local] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] += shared_part[local + stride];
        }
        workgroupBarrier();
    }
    let scale = 1.0 / shared_part[0];
    if row < DST_WIDTH {
        for (var s = local; s < DST_SLICES; s += WORKGROUP_X) {
            dst_write(0u, 0u, x, s, exp(src_read(0u, 0u, x, s) - row_max) * scale);
        }
    }
}
