// Layer normalisation over the channels of a row: a workgroup makes one row. The variance is taken around the mean, in a
// second pass, so that large offsets do not cancel. The mean is taken around the first channel, so that that of equals is exact where
// a driver divides inexactly.

var<workgroup> shared_part: array<f32, WORKGROUP_X>;

fn live(s: u32, value: vec4<f32>) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn layer_norm(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    let first = src_read(0u, 0u, x, 0u).x;
    var sum = vec4<f32>(0.0);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        sum += live(s, src_read(0u, 0u, x, s) - first);
    }
    shared_part[local] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] += shared_part[local + stride];
        }
        workgroupBarrier();
    }
    let mean = first + shared_part[0] / f32(SRC_CHANNELS);
    workgroupBarrier();
    var squares = vec4<f32>(0.0);
    for (var s = local; s < SRC_SLICES; s += WORKGROUP_X) {
        let centred = live(s, src_read(0u, 0u, x, s) - mean);
        squares += centred * centred;
    }
    shared_part[local] = (squares.x + squares.y) + (squares.z + squares.w);
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] += shared_part[local + stride];
        }
        workgroupBarrier();
    }
    let scale = inverseSqrt(shared_part[0] / f32(SRC_CHANNELS) + EPSILON);
    if row < DST_WIDTH {
        for (var s = local; s < DST_SLICES; s += WORKGROUP_X) {
            let normal = (src_read(0u, 0u, x, s) - mean) * scale;
            dst_write(0u, 0u, x, s, normal * scale_read(0u, 0u, 0u, s) + bias_read(0u, 0u, 0u, s));
        }
    }
}
