// Matrix product through workgroup memory: a workgroup makes TILE_M x TILE_N, an invocation ROW_GROUPS x 4 rows of
// COLUMN_SLICES slices. Rows of a are the width coordinate, k its channels; rows of b are k and its channels n, or the
// other way round where B_TRANSPOSED.

const THREADS_X: u32 = TILE_N / (4u * COLUMN_SLICES);
const THREADS_Y: u32 = TILE_M / (4u * ROW_GROUPS);
const THREADS: u32 = THREADS_X * THREADS_Y;

// a_tile is transposed: four neighbouring rows of one k are a vector.
var<workgroup> a_tile: array<vec4<f32>, TILE_K * TILE_M / 4u>;
var<workgroup> b_tile: array<vec4<f32>, TILE_K * TILE_N / 4u>;

fn a_at(b: u32, y: u32, m: u32, k_slice: u32) -> vec4<f32> {
    let row = min(m, A_WIDTH - 1u);
    let slice = min(k_slice, A_SLICES - 1u);
    return select(vec4<f32>(0.0), a_read(b, y, row, slice), K_ALIGNED || k_slice < A_SLICES);
}

fn b_at(b: u32, y: u32, k: u32, n_slice: u32) -> vec4<f32> {
    let row = min(k, B_WIDTH - 1u);
    let slice = min(n_slice, B_SLICES - 1u);
    return select(vec4<f32>(0.0), b_read(b, y, row, slice), K_ALIGNED || k < B_WIDTH);
}

// Rows of a transposed b are n, its channels k.
fn b_turned(b: u32, y: u32, n: u32, k_slice: u32) -> vec4<f32> {
    let row = min(n, B_WIDTH - 1u);
    let slice = min(k_slice, B_SLICES - 1u);
    return select(vec4<f32>(0.0), b_read(b, y, row, slice), K_ALIGNED || k_slice < B_SLICES);
}

@compute @workgroup_size(THREADS, 1, 1)
fn matmul_tiled(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let y = group.z % DST_HEIGHT;
    let b = group.z / DST_HEIGHT;
    let first_m = group.y * TILE_M;
    let first_slice = group.x * (TILE_N / 4u);
    let thread_x = local % THREADS_X;
    let thread_y = local / THREADS_X;

    var sums: array<vec4<f32>, ROW_GROUPS * 4u * COLUMN_SLICES>;
    for (var u_i = 0u; u_i < ROW_GROUPS * 4u * COLUMN_SLICES; u_i++) {
        sums[u_i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < A_CHANNELS; k += TILE_K) {
        // Four rows at a time, turned in registers, so that one invocation writes each vector.
        for (var u_i = 0u; u_i < TILE_M * TILE_K / 16u; u_i += THREADS) {
            let at = u_i + local;
            if (TILE_M * TILE_K / 16u) % THREADS == 0u || at < TILE_M * TILE_K / 16u {
                let rows = at / (TILE_K / 4u);
                let slice = at % (TILE_K / 4u);
                let row_0 = a_at(b, y, first_m + rows * 4u, k / 4u + slice);
                let row_1 = a_at(b, y, first_m + rows * 4u + 1u, k / 4u + slice);
                let row_2 = a_at(b, y, first_m + rows * 4u + 2u, k / 4u + slice);
                let row_3 = a_at(b, y, first_m + rows * 4u + 3u, k / 4u + slice);
                let first = slice * TILE_M + rows;
                a_tile[first] = vec4<f32>(row_0.x, row_1.x, row_2.x, row_3.x);
                a_tile[first + TILE_M / 4u] = vec4<f32>(row_0.y, row_1.y, row_2.y, row_3.y);
                a_tile[first + TILE_M / 2u] = vec4<f32>(row_0.z, row_1.z, row_2.z, row_3.z);
                a_tile[first + TILE_M / 4u * 3u] = vec4<f32>(row_0.w, row_1.w, row_2.w, row_3.w);
            }
        }
        if B_TRANSPOSED {
            for (var u_i = 0u; u_i < TILE_N * TILE_K / 16u; u_i += THREADS) {
                let at = u_i + local;
                if (TILE_N * TILE_K / 16u) % THREADS == 0u || at < TILE_N * TILE_K / 16u {
                    let columns = at / (TILE_K / 4u);
                    let slice = at % (TILE_K / 4u);
                    let n = (first_slice + columns) * 4u;
                    let column_0 = b_turned(b, y, n, k / 4u + slice);
                    let column_1 = b_turned(b, y, n + 1u, k / 4u + slice);
                    let column_2 = b_turned(b, y, n + 2u, k / 4u + slice);
                    let column_3 = b_turned(b, y, n + 3u, k / 4u + slice);
                    let first = slice * TILE_N + columns;
                    b_tile[first] = vec4<f32>(column_0.x, column_1.x, column_2.x, column_3.x);
                    b_tile[first + TILE_N / 4u] = vec4<f32>(column_0.y, column_1.y, column_2.y, column_3.y);
                    b_tile[first + TILE_N / 2u] = vec4<f32>(column_0.z, column_1.z, column_2.z, column_3.z);
                    b_tile[first + TILE_N / 4u * 3u] = vec4<f32>(column_0.w, column_1.w, column_2.w, column_3.w);
                }
            }
        } else {
            for (var u_i = 0u; u_i < TILE_K * TILE_N / 4u; u_i += THREADS) {
                let at = u_i + local;
                if (TILE_K * TILE_N / 4u) % THREADS == 0u || at < TILE_K * TILE_N / 4u {
                    b_tile[at] = b_at(b, y, k + at / (TILE_N / 4u), first_slice + at % (TILE_N / 4u));
                }
            }
        }
        workgroupBarrier();
        for (var step = 0u; step < TILE_K; step++) {
            var columns: array<vec4<f32>, COLUMN_SLICES>;
            for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
                columns[u_c] = b_tile[step * (TILE_N / 4u) + u_c * THREADS_X + thread_x];
            }
            for (var u_r = 0u; u_r < ROW_GROUPS; u_r++) {
                let rows = a_tile[step * (TILE_M / 4u) + u_r * THREADS_Y + thread_y];
                for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
                    sums[(u_r * 4u) * COLUMN_SLICES + u_c] += rows.x * columns[u_c];
                    sums[(u_r * 4u + 1u) * COLUMN_SLICES + u_c] += rows.y * columns[u_c];
                    sums[(u_r * 4u + 2u) * COLUMN_SLICES + u_c] += rows.z * columns[u_c];
                    sums[(u_r * 4u + 3u) * COLUMN_SLICES + u_c] += rows.w * columns[u_c];
                }
            }
        }
        workgroupBarrier();
    }
    for (var u_r = 0u; u_r < ROW_GROUPS * 4u; u_r++) {
        let m = first_m + (u_r / 4u * THREADS_Y + thread_y) * 4u + u_r % 4u;
        for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
            let slice = first_slice + u_c * THREADS_X + thread_x;
            if m < DST_WIDTH && slice < DST_SLICES {
                dst_write(b, y, m, slice, sums[u_r * COLUMN_SLICES + u_c]);
            }
        }
    }
}
