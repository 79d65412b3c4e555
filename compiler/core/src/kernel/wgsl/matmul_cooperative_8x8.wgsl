enable f16;
enable wgpu_cooperative_matrix;
// The product of matmul_cooperative in pieces of 8x8, the only ones that Metal has. Its matrices are read from arrays of scalars, never
// of vectors, so that is what the tiles in workgroup memory are.

const SUBGROUPS_X: u32 = TILE_N / SUBGROUP_N;
const PIECES_M: u32 = SUBGROUP_M / 8u;
const PIECES_N: u32 = SUBGROUP_N / 8u;

// Rows are sixteen bytes apart from a power of two, so that the rows of a piece are in different banks.
const A_STRIDE: u32 = TILE_K + 8u;
const B_STRIDE: u32 = B_TILE_SLICES * 4u + 8u;
const PIECE_STRIDE: u32 = PIECE_N + 4u;
var<workgroup> a_tile: array<f16, BUFFERS * TILE_M * A_STRIDE>;
var<workgroup> b_tile: array<f16, BUFFERS * B_TILE_ROWS * B_STRIDE>;
// Pieces of every subgroup on their way to the result.
var<workgroup> piece: array<f32, THREADS / SUBGROUP_SIZE * 8u * PIECE_STRIDE>;

@compute @workgroup_size(THREADS, 1, 1)
fn matmul_cooperative_8x8(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let part = group.z % SPLIT;
    let z = group.z / SPLIT;
    let b = z / OUT_HEIGHT;
    let y = z % OUT_HEIGHT;
    let first_m = group.y * TILE_M;
    let first_slice = group.x * (TILE_N / 4u);
    let subgroup = local / SUBGROUP_SIZE;
    let lane = local % SUBGROUP_SIZE;
    let subgroup_m = subgroup / SUBGROUPS_X * SUBGROUP_M;
    let subgroup_n = subgroup % SUBGROUPS_X * SUBGROUP_N;

    var places: array<vec3<u32>, A_LOADS>;
    for (var u_i = 0u; u_i < A_LOADS; u_i++) {
        let m = first_m + a_row(u_i, local);
        places[u_i] = place_of(z, select(min(m, ROWS_M - 1u), m, M_ALIGNED));
    }
    var sums: array<coop_mat8x8<f32, C>, PIECES_M * PIECES_N>;
    for (var u_i = 0u; u_i < PIECES_M * PIECES_N; u_i++) {
        sums[u_i] = coop_mat8x8<f32, C>();
    }
    var a_next: array<vec4<f16>, A_LOADS>;
    var b_next: array<vec4<f16>, B_LOADS>;
    let first_step = part * PART_STEPS;
    let end_step = min(first_step + PART_STEPS, STEPS);
    if PREFETCH {
        fetch_a(&places, &a_next, first_step, local);
        fetch_b(&b_next, b, y, first_slice, first_step, local);
    }
    for (var step = first_step; step < end_step; step++) {
        if !PREFETCH {
            fetch_a(&places, &a_next, step, local);
            fetch_b(&b_next, b, y, first_slice, step, local);
        }
        let a_first = step % BUFFERS * (TILE_M * A_STRIDE);
        let b_first = step % BUFFERS * (B_TILE_ROWS * B_STRIDE);
        for (var u_i = 0u; u_i < A_LOADS; u_i++) {
            let at = a_first + a_row(u_i, local) * A_STRIDE + a_slice(u_i, local) * 4u;
            let value = a_next[u_i];
            a_tile[at] = value.x;
            a_tile[at + 1u] = value.y;
            a_tile[at + 2u] = value.z;
            a_tile[at + 3u] = value.w;
        }
        for (var u_i = 0u; u_i < B_LOADS; u_i++) {
            let row = u_i * (THREADS / B_TILE_SLICES) + local / B_TILE_SLICES;
            let at = b_first + row * B_STRIDE + local % B_TILE_SLICES * 4u;
            let value = b_next[u_i];
            b_tile[at] = value.x;
            b_tile[at + 1u] = value.y;
            b_tile[at + 2u] = value.z;
            b_tile[at + 3u] = value.w;
        }
        workgroupBarrier();
        if PREFETCH && step + 1u < end_step {
            fetch_a(&places, &a_next, step + 1u, local);
            fetch_b(&b_next, b, y, first_slice, step + 1u, local);
        }
        for (var u_k = 0u; u_k < TILE_K; u_k += 8u) {
            var rows: array<coop_mat8x8<f16, A>, PIECES_M>;
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = a_first + (subgroup_m + u_m * 8u) * A_STRIDE + u_k;
                rows[u_m] = coopLoadT<coop_mat8x8<f16, A>>(&a_tile[at], A_STRIDE);
            }
            for (var u_n = 0u; u_n < PIECES_N; u_n++) {
                let n = subgroup_n + u_n * 8u;
                var columns = coop_mat8x8<f16, B>();
                if B_TRANSPOSED {
                    columns = coopLoad<coop_mat8x8<f16, B>>(&b_tile[b_first + n * B_STRIDE + u_k], B_STRIDE);
                } else {
                    columns = coopLoadT<coop_mat8x8<f16, B>>(&b_tile[b_first + u_k * B_STRIDE + n], B_STRIDE);
                }
                for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                    sums[u_m * PIECES_N + u_n] = coopMultiplyAdd(rows[u_m], columns, sums[u_m * PIECES_N + u_n]);
                }
            }
        }
        // With two buffers, the barrier of the next step stands between this reading and the writing after it.
        if BUFFERS == 1u {
            workgroupBarrier();
        }
    }
    // A row of pieces at a time, PIECE_N columns of it.
    let first_piece = subgroup * (8u * PIECE_STRIDE);
    for (var u_m = 0u; u_m < PIECES_M; u_m++) {
        for (var u_part = 0u; u_part < SUBGROUP_N; u_part += PIECE_N) {
            for (var u_n = 0u; u_n < PIECE_N / 8u; u_n++) {
                let at = first_piece + u_n * 8u;
                coopStoreT(sums[u_m * PIECES_N + u_part / 8u + u_n], &piece[at], PIECE_STRIDE);
            }
            workgroupBarrier();
            for (var u_i = 0u; u_i < 2u * PIECE_N; u_i += SUBGROUP_SIZE) {
                let at = u_i + lane;
                let row = select(at / (PIECE_N / 4u), at % 8u, ROWS_ADJACENT);
                let column = select(at % (PIECE_N / 4u), at / 8u, ROWS_ADJACENT);
                let m = first_m + subgroup_m + u_m * 8u + row;
                let slice = first_slice + (subgroup_n + u_part) / 4u + column;
                if m < ROWS_M && slice < DST_SLICES {
                    let first = first_piece + row * PIECE_STRIDE + column * 4u;
                    let value = vec4<f32>(piece[first], piece[first + 1u], piece[first + 2u], piece[first + 3u]);
                    let place = place_of(z, m);
                    if SPLIT > 1u {
                        dst_write(0u, group.z, m, slice, value);
                    } else {
                        dst_write(place.x, place.y, place.z, slice, value);
                    }
                }
            }
            workgroupBarrier();
        }
    }
}
