// Few rows times a matrix in rows of inputs, which may be quantized: LANES neighbours, which are whole subgroups, make OUTPUTS
// channels of each row of the result. Subgroups add up their parts on their own; workgroup memory adds up those of several.

const SUBGROUPS: u32 = LANES / SUBGROUP_SIZE;

var<workgroup> partial: array<vec4<f32>, WORKGROUP_X / SUBGROUP_SIZE * SUMS / 4u>;

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn matvec_rows_subgroup(
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let part = subgroup % SUBGROUPS;
    let first = subgroup - part;
    let slice = ((group.y * GRID_X + group.x) * (WORKGROUP_X / LANES) + subgroup / SUBGROUPS) * SLICES;
    var sums: array<f32, SUMS>;
    row_products(slice * 4u, part * SUBGROUP_SIZE + invocation, &sums);
    var totals: array<vec4<f32>, SUMS / 4u>;
    for (var u_n = 0u; u_n < SUMS / 4u; u_n++) {
        totals[u_n] = subgroupAdd(
            vec4<f32>(sums[u_n * 4u], sums[u_n * 4u + 1u], sums[u_n * 4u + 2u], sums[u_n * 4u + 3u]));
    }
    if SUBGROUPS > 1u {
        if invocation == 0u {
            for (var u_n = 0u; u_n < SUMS / 4u; u_n++) {
                partial[subgroup * (SUMS / 4u) + u_n] = totals[u_n];
            }
        }
        workgroupBarrier();
        for (var u_n = 0u; u_n < SUMS / 4u; u_n++) {
            var total = partial[first * (SUMS / 4u) + u_n];
            for (var u_part = 1u; u_part < SUBGROUPS; u_part++) {
                total += partial[(first + u_part) * (SUMS / 4u) + u_n];
            }
            totals[u_n] = total;
        }
    }
    if part == 0u && invocation == 0u {
        for (var u_n = 0u; u_n < ROWS_M * SLICES; u_n++) {
            if slice + u_n % SLICES < DST_SLICES {
                let made = u_n / SLICES * SLICES * PRODUCTS + u_n % SLICES;
                var squares = 0.0;
                if NORMED {
                    squares = totals[ROWS_M * WALKED / 4u + u_n / SLICES / 4u][u_n / SLICES % 4u];
                }
                dst_write(0u, 0u, u_n / SLICES, slice + u_n % SLICES, finished(
                    u_n / SLICES, slice + u_n % SLICES, totals[made], totals[made + SLICES * (PRODUCTS - 1u)], squares));
            }
        }
    }
}
