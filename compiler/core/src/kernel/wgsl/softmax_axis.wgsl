// Softmax along the width, for channels side by side: WORKGROUP_X slices a workgroup, WORKGROUP_Y invocations share the
// axis of each and combine through workgroup memory.

const LOWEST: f32 = -3.4028234e38;

var<workgroup> shared_part: array<vec4<f32>, WORKGROUP_X * WORKGROUP_Y>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn softmax_axis(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let number = group.y * GRID_X + group.x;
    let slice = number % TILES * WORKGROUP_X + local.x;
    let s = min(slice, SRC_SLICES - 1u);
    let y = min(number / TILES, SRC_HEIGHT - 1u);
    let place = local.y * WORKGROUP_X + local.x;
    var largest = vec4<f32>(LOWEST);
    for (var x = local.y; x < SRC_WIDTH; x += WORKGROUP_Y) {
        largest = max(largest, src_read(0u, y, x, s));
    }
    shared_part[place] = largest;
    workgroupBarrier();
    for (var stride = WORKGROUP_Y / 2u; stride > 0u; stride = stride / 2u) {
        if local.y < stride {
            shared_part[place] = max(shared_part[place], shared_part[place + stride * WORKGROUP_X]);
        }
        workgroupBarrier();
    }
    let most = shared_part[local.x];
    workgroupBarrier();
    var sum = vec4<f32>(0.0);
    for (var x = local.y; x < SRC_WIDTH; x += WORKGROUP_Y) {
        sum += exp(src_read(0u, y, x, s) - most);
    }
    shared_part[place] = sum;
    workgroupBarrier();
    for (var stride = WORKGROUP_Y / 2u; stride > 0u; stride = stride / 2u) {
        if local.y < stride {
            shared_part[place] += shared_part[place + stride * WORKGROUP_X];
        }
        workgroupBarrier();
    }
    let scale = vec4<f32>(1.0) / shared_part[local.x];
    if slice < SRC_SLICES && number < TILES * SRC_HEIGHT {
        for (var x = local.y; x < SRC_WIDTH; x += WORKGROUP_Y) {
            dst_write(0u, y, x, s, exp(src_read(0u, y, x, s) - most) * scale);
        }
    }
}
