// Softmax over the channels of a row: ROW_THREADS invocations make a row, each workgroup ROWS rows. An invocation keeps its
// first ITEMS slices in registers and reads later ones again. Subgroups combine first; where ROWS > 1 a subgroup is a row,
// otherwise workgroup memory carries one value of each.

const LOWEST: f32 = -3.4028234e38;
const KEPT: u32 = ITEMS * ROW_THREADS;

var<workgroup> shared_part: array<f32, WORKGROUP_X>;

fn live(s: u32, value: vec4<f32>, otherwise: f32) -> vec4<f32> {
    let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(otherwise), value, vec4<bool>(SRC_CHANNELS % 4u == 0u) | (channel < vec4<u32>(SRC_CHANNELS)));
}

// Slice s of row x, and the lowest value where there is none.
fn slice_at(x: u32, s: u32) -> vec4<f32> {
    let value = live(s, src_read(0u, 0u, x, min(s, SRC_SLICES - 1u)), LOWEST);
    return select(vec4<f32>(LOWEST), value, SRC_SLICES % KEPT == 0u || s < SRC_SLICES);
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn softmax_subgroup(
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let local = select(index, lane, ROWS > 1u);
    let row = (group.y * GRID_X + group.x) * ROWS + select(0u, subgroup, ROWS > 1u);
    let x = min(row, DST_WIDTH - 1u);
    var kept: array<vec4<f32>, ITEMS>;
    var largest = vec4<f32>(LOWEST);
    for (var u_i = 0u; u_i < ITEMS; u_i++) {
        kept[u_i] = slice_at(x, u_i * ROW_THREADS + local);
        largest = max(largest, kept[u_i]);
    }
    if SRC_SLICES > KEPT {
        for (var s = KEPT + local; s < SRC_SLICES; s += ROW_THREADS) {
            largest = max(largest, slice_at(x, s));
        }
    }
    var row_max = subgroupMax(max(max(largest.x, largest.y), max(largest.z, largest.w)));
    if ROWS == 1u {
        shared_part[subgroup] = row_max;
        workgroupBarrier();
        for (var part = 0u; part < subgroups; part++) {
            row_max = max(row_max, shared_part[part]);
        }
        workgroupBarrier();
    }
    var sum = vec4<f32>(0.0);
    for (var u_i = 0u; u_i < ITEMS; u_i++) {
        let s = u_i * ROW_THREADS + local;
        kept[u_i] = live(s, exp(kept[u_i] - row_max), 0.0);
        sum += select(vec4<f32>(0.0), kept[u_i], SRC_SLICES % KEPT == 0u || s < SRC_SLICES);
    }
    if SRC_SLICES > KEPT {
        for (var s = KEPT + local; s < SRC_SLICES; s += ROW_THREADS) {
            sum += live(s, exp(slice_at(x, s) - row_max), 0.0);
        }
    }
    var total = subgroupAdd((sum.x + sum.y) + (sum.z + sum.w));
    if ROWS == 1u {
        shared_part[subgroup] = total;
        workgroupBarrier();
        total = 0.0;
        for (var part = 0u; part < subgroups; part++) {
            total += shared_part[part];
        }
    }
    let scale = 1.0 / total;
    if row < DST_WIDTH {
        for (var u_i = 0u; u_i < ITEMS; u_i++) {
            let s = u_i * ROW_THREADS + local;
            if SRC_SLICES % KEPT == 0u || s < SRC_SLICES {
                dst_write(0u, 0u, x, s, kept[u_i] * scale);
            }
        }
        if SRC_SLICES > KEPT {
            for (var s = KEPT + local; s < SRC_SLICES; s += ROW_THREADS) {
                dst_write(0u, 0u, x, s, exp(slice_at(x, s) - row_max) * scale);
            }
        }
    }
}
