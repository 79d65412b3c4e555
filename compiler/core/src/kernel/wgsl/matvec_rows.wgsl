// Few rows times a matrix in rows of inputs, which may be quantized: LANES neighbours make OUTPUTS channels of each row of the
// result, and their parts are added up through workgroup memory, two by two.

var<workgroup> partial: array<vec4<f32>, WORKGROUP_X * SUMS / 4u>;

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn matvec_rows(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let lane = local % LANES;
    let slice = ((group.y * GRID_X + group.x) * (WORKGROUP_X / LANES) + local / LANES) * SLICES;
    var sums: array<f32, SUMS>;
    row_products(slice * 4u, lane, &sums);
    for (var u_n = 0u; u_n < SUMS / 4u; u_n++) {
        partial[u_n * WORKGROUP_X + local] =
            vec4<f32>(sums[u_n * 4u], sums[u_n * 4u + 1u], sums[u_n * 4u + 2u], sums[u_n * 4u + 3u]);
    }
    workgroupBarrier();
    for (var reach = LANES / 2u; reach > 0u; reach = reach / 2u) {
        if lane < reach {
            for (var u_n = 0u; u_n < SUMS / 4u; u_n++) {
                partial[u_n * WORKGROUP_X + local] += partial[u_n * WORKGROUP_X + local + reach];
            }
        }
        workgroupBarrier();
    }
    if lane == 0u {
        for (var u_n = 0u; u_n < ROWS_M * SLICES; u_n++) {
            if slice + u_n % SLICES < DST_SLICES {
                let made = u_n / SLICES * SLICES * PRODUCTS + u_n % SLICES;
                let gate = made + SLICES * (PRODUCTS - 1u);
                var squares = 0.0;
                if NORMED {
                    let row = ROWS_M * WALKED / 4u + u_n / SLICES / 4u;
                    squares = partial[row * WORKGROUP_X + local][u_n / SLICES % 4u];
                }
                dst_write(0u, 0u, u_n / SLICES, slice + u_n % SLICES, finished(
                    u_n / SLICES, slice + u_n % SLICES, partial[made * WORKGROUP_X + local],
                    partial[gate * WORKGROUP_X + local], squares));
            }
        }
    }
}
