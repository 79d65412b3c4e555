enable f16;
enable wgpu_cooperative_matrix;
// Matrix product of f16 on cooperative matrices with f32 accumulators, and convolution as one: there a row is an output
// pixel and k runs over taps and input slices. A workgroup makes TILE_M x TILE_N, a subgroup SUBGROUP_M x SUBGROUP_N of it,
// in 16x16 pieces; with PREFETCH the next tiles are read while the present ones are multiplied. Tiles that overhang are
// filled with zeros, and only what is inside is written. Where SPLIT > 1 a workgroup adds up one part of k, and the parts
// are the result. Rows of b are k and its channels n, or the other way round where B_TRANSPOSED.

const SUBGROUPS_X: u32 = TILE_N / SUBGROUP_N;
const PIECES_M: u32 = SUBGROUP_M / 16u;
const PIECES_N: u32 = SUBGROUP_N / 16u;

// Rows are sixteen bytes apart from a power of two, so that the rows of a piece are in different banks.
const A_STRIDE: u32 = K_SLICES + 2u;
const B_STRIDE: u32 = B_TILE_SLICES + 2u;
const PIECE_STRIDE: u32 = PIECE_N / 4u + 1u;
var<workgroup> a_tile: array<vec4<f16>, BUFFERS * TILE_M * A_STRIDE>;
var<workgroup> b_tile: array<vec4<f16>, BUFFERS * B_TILE_ROWS * B_STRIDE>;
// Pieces of every subgroup on their way to the result.
var<workgroup> piece: array<vec4<f32>, THREADS / SUBGROUP_SIZE * 16u * PIECE_STRIDE>;

@compute @workgroup_size(THREADS, 1, 1)
fn matmul_cooperative(
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
    var sums: array<coop_mat16x16<f32, C>, PIECES_M * PIECES_N>;
    for (var u_i = 0u; u_i < PIECES_M * PIECES_N; u_i++) {
        sums[u_i] = coop_mat16x16<f32, C>();
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
            a_tile[a_first + a_row(u_i, local) * A_STRIDE + a_slice(u_i, local)] = a_next[u_i];
        }
        for (var u_i = 0u; u_i < B_LOADS; u_i++) {
            let row = u_i * (THREADS / B_TILE_SLICES) + local / B_TILE_SLICES;
            b_tile[b_first + row * B_STRIDE + local % B_TILE_SLICES] = b_next[u_i];
        }
        workgroupBarrier();
        if PREFETCH && step + 1u < end_step {
            fetch_a(&places, &a_next, step + 1u, local);
            fetch_b(&b_next, b, y, first_slice, step + 1u, local);
        }
        for (var u_k = 0u; u_k < TILE_K; u_k += 16u) {
            var rows: array<coop_mat16x16<f16, A>, PIECES_M>;
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = a_first + (subgroup_m + u_m * 16u) * A_STRIDE + u_k / 4u;
                rows[u_m] = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[at], A_STRIDE);
            }
            for (var u_n = 0u; u_n < PIECES_N; u_n++) {
                let n = subgroup_n + u_n * 16u;
                var columns = coop_mat16x16<f16, B>();
                if B_TRANSPOSED {
                    columns = coopLoad<coop_mat16x16<f16, B>>(&b_tile[b_first + n * B_STRIDE + u_k / 4u], B_STRIDE);
                } else {
                    columns = coopLoadT<coop_mat16x16<f16, B>>(&b_tile[b_first + u_k * B_STRIDE + n / 4u], B_STRIDE);
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
    let first_piece = subgroup * (16u * PIECE_STRIDE);
    for (var u_m = 0u; u_m < PIECES_M; u_m++) {
        for (var u_part = 0u; u_part < SUBGROUP_N; u_part += PIECE_N) {
            for (var u_n = 0u; u_n < PIECE_N / 16u; u_n++) {
                let at = first_piece + u_n * 4u;
                coopStoreT(sums[u_m * PIECES_N + u_part / 16u + u_n], &piece[at], PIECE_STRIDE);
            }
            workgroupBarrier();
            for (var u_i = 0u; u_i < 4u * PIECE_N; u_i += SUBGROUP_SIZE) {
                let at = u_i + lane;
                let row = select(at / (PIECE_N / 4u), at % 16u, ROWS_ADJACENT);
                let column = select(at % (PIECE_N / 4u), at / 16u, ROWS_ADJACENT);
                let m = first_m + subgroup_m + u_m * 16u + row;
                let slice = first_slice + (subgroup_n + u_part) / 4u + column;
                if m < ROWS_M && slice < DST_SLICES {
                    let value = piece[first_piece + row * PIECE_STRIDE + column];
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
