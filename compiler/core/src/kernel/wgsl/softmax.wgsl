// Softmax over the channels of a row: WORKGROUP_X invocations make a row, each workgroup WORKGROUP_Y rows. An invocation
// keeps its first ITEMS slices in registers and reads later ones again. Rows combine through workgroup memory.

const LOWEST: f32 = -3.4028234e38;
const KEPT: u32 = ITEMS * WORKGROUP_X;

var<workgroup> shared_part: array<f32, WORKGROUP_X * WORKGROUP_Y>;

fn live(s: u32, value: vec4<f32>, otherwise: f32) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(otherwise), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

// Slice s of row x, and the lowest value where there is none.
fn slice_at(x: u32, s: u32) -> vec4<f32> {
    let value = live(s, src_read(0u, 0u, x, min(s, SRC_SLICES - 1u)), LOWEST);
    return select(vec4<f32>(LOWEST), value, SRC_SLICES % KEPT == 0u || s < SRC_SLICES);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn softmax(
    @builtin(local_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let local = id.x;
    let first = id.y * WORKGROUP_X;
    let row = (group.y * GRID_X + group.x) * WORKGROUP_Y + id.y;
    let x = min(row, DST_WIDTH - 1u);
    var kept: array<vec4<f32>, ITEMS>;
    var largest = vec4<f32>(LOWEST);
    for (var u_i = 0u; u_i < ITEMS; u_i++) {
        kept[u_i] = slice_at(x, u_i * WORKGROUP_X + local);
        largest = max(largest, kept[u_i]);
    }
    if SRC_SLICES > KEPT {
        for (var s = KEPT + local; s < SRC_SLICES; s += WORKGROUP_X) {
            largest = max(largest, slice_at(x, s));
        }
    }
    shared_part[first + local] = max(max(largest.x, largest.y), max(largest.z, largest.w));
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[first + local] = max(shared_part[first + local], shared_part[first + local + stride]);
        }
        workgroupBarrier();
    }
    let row_max = shared_part[first];
    workgroupBarrier();
    var sum = vec4<f32>(0.0);
    for (var u_i = 0u; u_i < ITEMS; u_i++) {
        let s = u_i * WORKGROUP_X + local;
        kept[u_i] = live(s, exp(kept[u_i] - row_max), 0.0);
        sum += select(vec4<f32>(0.0), kept[u_i], SRC_SLICES % KEPT == 0u || s < SRC_SLICES);
    }
    if SRC_SLICES > KEPT {
        for (var s = KEPT + local; s < SRC_SLICES; s += WORKGROUP_X) {
            sum += live(s, exp(slice_at(x, s) - row_max), 0.0);
        }
    }
    shared_part[first + local] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[first + local] += shared_part[first + local + stride];
        }
        workgroupBarrier();
    }
    let scale = 1.0 / shared_part[first];
    if row < DST_WIDTH {
        for (var u_i = 0u; u_i < ITEMS; u_i++) {
            let s = u_i * WORKGROUP_X + local;
            if SRC_SLICES % KEPT == 0u || s < SRC_SLICES {
                dst_write(0u, 0u, x, s, kept[u_i] * scale);
            }
        }
        if SRC_SLICES > KEPT {
            for (var s = KEPT + local; s < SRC_SLICES; s += WORKGROUP_X) {
                dst_write(0u, 0u, x, s, exp(slice_at(x, s) - row_max) * scale);
            }
        }
    }
}
