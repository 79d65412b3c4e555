enable f16;
enable wgpu_cooperative_matrix;
// Matrix product of halves on cooperative matrices with f32 accumulators. A workgroup of four subgroups makes
// TILE_M x TILE_N, a subgroup SUBGROUP_M x SUBGROUP_N, in 16x16 pieces. The sizes divide by the tiles.

const SUBGROUPS_X: u32 = TILE_N / SUBGROUP_N;
const THREADS: u32 = WORKGROUP_X;
const PIECES_M: u32 = SUBGROUP_M / 16u;
const PIECES_N: u32 = SUBGROUP_N / 16u;

// Rows are sixteen bytes apart from a power of two, so that the rows of a piece lie in different banks.
const A_STRIDE: u32 = TILE_K / 4u + 2u;
const B_STRIDE: u32 = TILE_N / 4u + 2u;
var<workgroup> a_tile: array<vec4<f16>, TILE_M * A_STRIDE>;
var<workgroup> b_tile: array<vec4<f16>, TILE_K * B_STRIDE>;
// One piece of every subgroup, on its way to the result.
var<workgroup> piece: array<f32, THREADS / SUBGROUP_SIZE * 256u>;

@compute @workgroup_size(THREADS, 1, 1)
fn matmul_cooperative(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let y = group.z % DST_HEIGHT;
    let b = group.z / DST_HEIGHT;
    let first_m = group.y * TILE_M;
    let first_slice = group.x * (TILE_N / 4u);
    let subgroup = local / SUBGROUP_SIZE;
    let lane = local % SUBGROUP_SIZE;
    let subgroup_m = subgroup / SUBGROUPS_X * SUBGROUP_M;
    let subgroup_n = subgroup % SUBGROUPS_X * SUBGROUP_N;

    var sums: array<coop_mat16x16<f32, C>, PIECES_M * PIECES_N>;
    for (var u_i = 0u; u_i < PIECES_M * PIECES_N; u_i++) {
        sums[u_i] = coop_mat16x16<f32, C>();
    }
    for (var k = 0u; k < A_CHANNELS; k += TILE_K) {
        for (var u_i = 0u; u_i < TILE_M * TILE_K / 4u; u_i += THREADS) {
            let at = u_i + local;
            let m = at / (TILE_K / 4u);
            let slice = at % (TILE_K / 4u);
            a_tile[m * A_STRIDE + slice] = a_load(b, y, first_m + m, k / 4u + slice);
        }
        for (var u_i = 0u; u_i < TILE_K * TILE_N / 4u; u_i += THREADS) {
            let at = u_i + local;
            let row = at / (TILE_N / 4u);
            let slice = at % (TILE_N / 4u);
            b_tile[row * B_STRIDE + slice] = b_load(b, y, k + row, first_slice + slice);
        }
        workgroupBarrier();
        for (var u_k = 0u; u_k < TILE_K; u_k += 16u) {
            var rows: array<coop_mat16x16<f16, A>, PIECES_M>;
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = (subgroup_m + u_m * 16u) * A_STRIDE + u_k / 4u;
                rows[u_m] = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[at], A_STRIDE);
            }
            for (var u_n = 0u; u_n < PIECES_N; u_n++) {
                let at = u_k * B_STRIDE + (subgroup_n + u_n * 16u) / 4u;
                let columns = coopLoadT<coop_mat16x16<f16, B>>(&b_tile[at], B_STRIDE);
                for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                    sums[u_m * PIECES_N + u_n] = coopMultiplyAdd(rows[u_m], columns, sums[u_m * PIECES_N + u_n]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var u_m = 0u; u_m < PIECES_M; u_m++) {
        for (var u_n = 0u; u_n < PIECES_N; u_n++) {
            let at = subgroup * 256u;
            coopStoreT(sums[u_m * PIECES_N + u_n], &piece[at], 16u);
            workgroupBarrier();
            for (var u_i = 0u; u_i < 64u; u_i += SUBGROUP_SIZE) {
                let part = u_i + lane;
                let value = vec4<f32>(
                    piece[at + part * 4u], piece[at + part * 4u + 1u],
                    piece[at + part * 4u + 2u], piece[at + part * 4u + 3u]);
                dst_write(
                    b, y, first_m + subgroup_m + u_m * 16u + part / 4u,
                    first_slice + (subgroup_n + u_n * 16u) / 4u + part % 4u, value);
            }
            workgroupBarrier();
        }
    }
}
