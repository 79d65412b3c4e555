// One row times a transposed matrix of f16: a subgroup makes one slice, four rows of b at a time, in loads of
// sixteen bytes (eight f16 of k). Row n of b holds its k values as words of two f16.

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn matvec_subgroup(
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let slice = (group.y * GRID_X + group.x) * (WORKGROUP_X / SUBGROUP_SIZE) + subgroup;
    let row = min(slice, DST_SLICES - 1u) * 4u;
    let m = group.z;
    var sum = vec4<f32>(0.0);
    for (var step = 0u; step < STEPS; step++) {
        let at = step * SUBGROUP_SIZE + lane;
        let k = min(at, B_SLICES - 1u);
        let live = STEPS * SUBGROUP_SIZE == B_SLICES || at < B_SLICES;
        let first = select(vec4<f32>(0.0), a_read(0u, 0u, m, k * 2u), live);
        let second = select(vec4<f32>(0.0), a_read(0u, 0u, m, k * 2u + 1u), live);
        for (var u_n = 0u; u_n < 4u; u_n++) {
            let words = b_read(0u, 0u, min(row + u_n, B_WIDTH - 1u), k);
            let low = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
            let high = vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w));
            sum[u_n] += dot(first, low) + dot(second, high);
        }
    }
    let total = subgroupAdd(sum);
    if lane == 0u && slice < DST_SLICES {
        dst_write(0u, 0u, m, slice, total);
    }
}
