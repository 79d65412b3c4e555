// Normalisation over groups of channels, a workgroup for each group: UNIT_SLICES whole slices, or one slice that holds
// several groups of GROUP_LANES channels. The variance is taken around the mean, in a second pass.

var<workgroup> shared_part: array<vec4<f32>, WORKGROUP_X>;

fn live(s: u32, value: vec4<f32>) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

// The sum over the lanes of each group, in all of them.
fn over_lanes(value: vec4<f32>) -> vec4<f32> {
    var sum = value;
    if GROUP_LANES == 2u { sum = value + value.yxwz; }
    if GROUP_LANES == 4u { sum = vec4<f32>((value.x + value.y) + (value.z + value.w)); }
    return sum;
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn group_norm(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let unit = group.y * GRID_X + group.x;
    let b = min(unit / UNITS, SRC_BATCH - 1u);
    let first = unit % UNITS * UNIT_SLICES;
    let pixels = SRC_HEIGHT * SRC_WIDTH;
    var sum = vec4<f32>(0.0);
    for (var at = local; at < UNIT_SLICES * pixels; at += WORKGROUP_X) {
        let s = first + at / pixels;
        sum += live(s, src_read(b, at % pixels / SRC_WIDTH, at % SRC_WIDTH, s));
    }
    shared_part[local] = sum;
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] += shared_part[local + stride];
        }
        workgroupBarrier();
    }
    let mean = over_lanes(shared_part[0]) / COUNT;
    workgroupBarrier();
    var squares = vec4<f32>(0.0);
    for (var at = local; at < UNIT_SLICES * pixels; at += WORKGROUP_X) {
        let s = first + at / pixels;
        let centred = live(s, src_read(b, at % pixels / SRC_WIDTH, at % SRC_WIDTH, s) - mean);
        squares += centred * centred;
    }
    shared_part[local] = squares;
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] += shared_part[local + stride];
        }
        workgroupBarrier();
    }
    let factor = inverseSqrt(over_lanes(shared_part[0]) / COUNT + EPSILON);
    if unit < SRC_BATCH * UNITS {
        for (var at = local; at < UNIT_SLICES * pixels; at += WORKGROUP_X) {
            let s = first + at / pixels;
            let y = at % pixels / SRC_WIDTH;
            let x = at % SRC_WIDTH;
            let normal = (src_read(b, y, x, s) - mean) * factor;
            dst_write(b, y, x, s, normal * scale_read(0u, 0u, 0u, s) + bias_read(0u, 0u, 0u, s));
        }
    }
}
