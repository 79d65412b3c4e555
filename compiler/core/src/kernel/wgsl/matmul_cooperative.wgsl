enable f16;
enable wgpu_cooperative_matrix;
// Matrix product of f16 on cooperative matrices with f32 accumulators, and convolution as one: there a row is an output
// pixel and k runs over taps and input slices. A workgroup makes TILE_M x TILE_N, a subgroup SUBGROUP_M x SUBGROUP_N of it,
// in 16x16 pieces; with PREFETCH the next tiles are read while the present ones are multiplied. Tiles that overhang are
// filled with zeros, and only what is inside is written. Where SPLIT > 1 a workgroup adds up one part of k, and the parts
// are the result. Rows of b are k and its channels n, or the other way round where B_TRANSPOSED.

const K_SLICES: u32 = TILE_K / 4u;
const THREADS: u32 = WORKGROUP_X;
const SUBGROUPS_X: u32 = TILE_N / SUBGROUP_N;
const PIECES_M: u32 = SUBGROUP_M / 16u;
const PIECES_N: u32 = SUBGROUP_N / 16u;
const A_LOADS: u32 = TILE_M * K_SLICES / THREADS;
const B_LOADS: u32 = TILE_N * K_SLICES / THREADS;

// Rows are sixteen bytes apart from a power of two, so that the rows of a piece are in different banks.
const A_STRIDE: u32 = K_SLICES + 2u;
const B_STRIDE: u32 = B_TILE_SLICES + 2u;
const PIECE_STRIDE: u32 = PIECE_N / 4u + 1u;
var<workgroup> a_tile: array<vec4<f16>, BUFFERS * TILE_M * A_STRIDE>;
var<workgroup> b_tile: array<vec4<f16>, BUFFERS * B_TILE_ROWS * B_STRIDE>;
// Pieces of every subgroup on their way to the result.
var<workgroup> piece: array<vec4<f32>, THREADS / SUBGROUP_SIZE * 16u * PIECE_STRIDE>;

// Batch, height and width of row m of the result.
fn place_of(z: u32, m: u32) -> vec3<u32> {
    if PIXELS {
        let inner = select(m, m / OUT_BATCH, BATCH_INNERMOST);
        let b = select(m / (OUT_WIDTH * OUT_HEIGHT), m % OUT_BATCH, BATCH_INNERMOST);
        return vec3<u32>(b, inner / OUT_WIDTH % OUT_HEIGHT, inner % OUT_WIDTH);
    } else {
        return vec3<u32>(z / OUT_HEIGHT, z % OUT_HEIGHT, m);
    }
}

// Slice `first + slice` of k in the row at `place`; `first` starts a tile.
fn a_at(place: vec3<u32>, first: u32, slice: u32) -> vec4<f16> {
    let k_slice = first + slice;
    let at = select(min(k_slice, TAPS * A_SLICES - 1u), k_slice, K_ALIGNED);
    let tap = select(select(at, first, WHOLE_TAPS) / A_SLICES, 0u, TAPS == 1u);
    let y = place.y * STRIDE_Y + tap / KERNEL_X * DILATION_Y;
    let x = place.z * STRIDE_X + tap % KERNEL_X * DILATION_X;
    let src_y = select(y, u32(clamp(i32(y) - PAD_Y, 0i, i32(A_HEIGHT) - 1i)), PADDED);
    let src_x = select(x, u32(clamp(i32(x) - PAD_X, 0i, i32(A_WIDTH) - 1i)), PADDED);
    let inside = !PADDED || (i32(y) - PAD_Y == i32(src_y) && i32(x) - PAD_X == i32(src_x));
    let value = a_load(place.x, src_y, src_x, at - tap * A_SLICES);
    return select(vec4<f16>(), value, (K_ALIGNED || k_slice < TAPS * A_SLICES) && inside);
}

// Slice `slice` of row `row` of b, zero beyond k. What overhangs n is some other column, which nobody writes.
fn b_at(b: u32, y: u32, row: u32, slice: u32) -> vec4<f16> {
    let k_inside = K_ALIGNED || select(row < B_WIDTH, slice < B_SLICES, B_TRANSPOSED);
    let row_free = select(K_ALIGNED, N_ALIGNED, B_TRANSPOSED);
    let slice_free = select(N_ALIGNED, K_ALIGNED, B_TRANSPOSED);
    let value = b_load(
        b, y, select(min(row, B_WIDTH - 1u), row, row_free), select(min(slice, B_SLICES - 1u), slice, slice_free));
    return select(vec4<f16>(), value, k_inside);
}

// Row and slice in the tile of a of an invocation's load number u_i: RUN neighbours take neighbouring rows, the next ones
// the next slice. All sizes are powers of two, so what depends on u_i is a constant apart.
fn a_row(u_i: u32, local: u32) -> u32 {
    return local % RUN + local / RUN / K_SLICES * RUN + u_i * (THREADS / RUN) / K_SLICES * RUN;
}

fn a_slice(u_i: u32, local: u32) -> u32 {
    return local / RUN % K_SLICES + u_i * (THREADS / RUN) % K_SLICES;
}

fn fetch_a(
    places: ptr<function, array<vec3<u32>, A_LOADS>>,
    next: ptr<function, array<vec4<f16>, A_LOADS>>,
    step: u32,
    local: u32,
) {
    for (var u_i = 0u; u_i < A_LOADS; u_i++) {
        (*next)[u_i] = a_at((*places)[u_i], step * K_SLICES, a_slice(u_i, local));
    }
}

fn fetch_b(next: ptr<function, array<vec4<f16>, B_LOADS>>, b: u32, y: u32, first_slice: u32, step: u32, local: u32) {
    for (var u_i = 0u; u_i < B_LOADS; u_i++) {
        let row = u_i * (THREADS / B_TILE_SLICES) + local / B_TILE_SLICES;
        let slice = local % B_TILE_SLICES;
        if B_TRANSPOSED {
            (*next)[u_i] = b_at(b, y, first_slice * 4u + row, step * K_SLICES + slice);
        } else {
            (*next)[u_i] = b_at(b, y, step * TILE_K + row, first_slice + slice);
        }
    }
}

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
