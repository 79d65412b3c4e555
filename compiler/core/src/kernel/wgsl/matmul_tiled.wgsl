// Matrix product through workgroup memory, and convolution as one: there a row is an output pixel and k runs over taps and
// input slices. A workgroup makes TILE_M x TILE_N, an invocation ROWS rows of COLUMN_SLICES slices; with PREFETCH the next
// tiles are read while the present ones are multiplied, and stay packed until they are stored. Where SPLIT > 1 a workgroup adds
// up one part of k, and the parts are the result. Rows of b are k and its channels n, or the other way round where B_TRANSPOSED.

const K_SLICES: u32 = TILE_K / 4u;
const THREADS: u32 = WORKGROUP_X;
const THREADS_X: u32 = TILE_N / (4u * COLUMN_SLICES);
const THREADS_Y: u32 = THREADS / THREADS_X;
const A_LOADS: u32 = TILE_M * K_SLICES / THREADS;
const B_LOADS: u32 = TILE_N * K_SLICES / THREADS;

// Four neighbouring k of one row are a vector; rows of one slice are side by side.
var<workgroup> a_tile: array<vec4<f32>, BUFFERS * K_SLICES * TILE_M>;
// Four neighbouring n of one k are a vector. Where B_TRANSPOSED, four k of one n are, and every fourth n is side by side.
var<workgroup> b_tile: array<vec4<f32>, BUFFERS * K_SLICES * B_PITCH>;

// Slice `first + slice` of k in the row at `place`; `first` starts a tile.
fn a_at(place: vec3<u32>, first: u32, slice: u32) -> A_PACKED {
    let k_slice = first + slice;
    let at = select(min(k_slice, TAPS * A_SLICES - 1u), k_slice, K_ALIGNED);
    let tap = select(select(at, first, WHOLE_TAPS) / A_SLICES, 0u, TAPS == 1u);
    let y = place.y * STRIDE_Y + tap / KERNEL_X * DILATION_Y;
    let x = place.z * STRIDE_X + tap % KERNEL_X * DILATION_X;
    let src_y = select(y, u32(clamp(i32(y) - PAD_Y, 0i, i32(A_HEIGHT) - 1i)), PADDED);
    let src_x = select(x, u32(clamp(i32(x) - PAD_X, 0i, i32(A_WIDTH) - 1i)), PADDED);
    let inside = !PADDED || (i32(y) - PAD_Y == i32(src_y) && i32(x) - PAD_X == i32(src_x));
    let value = a_packed(place.x, src_y, src_x, at - tap * A_SLICES);
    return select(A_PACKED(), value, (K_ALIGNED || k_slice < TAPS * A_SLICES) && inside);
}

// Slice `slice` of row `row` of b, zero beyond k. What overhangs n is some other column, which nobody writes.
fn b_at(b: u32, y: u32, row: u32, slice: u32) -> B_PACKED {
    let k_inside = K_ALIGNED || select(row < B_WIDTH, slice < B_SLICES, B_TRANSPOSED);
    let row_free = select(K_ALIGNED, N_ALIGNED, B_TRANSPOSED);
    let slice_free = select(N_ALIGNED, K_ALIGNED, B_TRANSPOSED);
    let value = b_packed(
        b, y, select(min(row, B_WIDTH - 1u), row, row_free), select(min(slice, B_SLICES - 1u), slice, slice_free));
    return select(B_PACKED(), value, k_inside);
}

// Row and slice in the tile of a of an invocation's load number u_i: RUN neighbours take neighbouring rows, the next ones
// the next slice. All sizes are powers of two, so what depends on u_i is a constant apart.
fn a_row(u_i: u32, local: u32) -> u32 {
    return local % RUN + local / RUN / K_SLICES * RUN + u_i * (THREADS / RUN) / K_SLICES * RUN;
}

fn a_slice(u_i: u32, local: u32) -> u32 {
    return local / RUN % K_SLICES + u_i * (THREADS / RUN) % K_SLICES;
}

// The same for b where it is transposed: eight neighbours take neighbouring n.
fn b_column(u_i: u32, local: u32) -> u32 {
    return local % 8u + local / 8u / K_SLICES * 8u + u_i * (THREADS / 8u) / K_SLICES * 8u;
}

fn b_slice(u_i: u32, local: u32) -> u32 {
    return local / 8u % K_SLICES + u_i * (THREADS / 8u) % K_SLICES;
}

fn fetch_a(
    places: ptr<function, array<vec3<u32>, A_LOADS>>,
    next: ptr<function, array<A_PACKED, A_LOADS>>,
    step: u32,
    local: u32,
) {
    for (var u_i = 0u; u_i < A_LOADS; u_i++) {
        (*next)[u_i] = a_at((*places)[u_i], step * K_SLICES, a_slice(u_i, local));
    }
}

fn fetch_b(next: ptr<function, array<B_PACKED, B_LOADS>>, b: u32, y: u32, first_slice: u32, step: u32, local: u32) {
    for (var u_i = 0u; u_i < B_LOADS; u_i++) {
        if B_TRANSPOSED {
            let n = first_slice * 4u + b_column(u_i, local);
            (*next)[u_i] = b_at(b, y, n, step * K_SLICES + b_slice(u_i, local));
        } else {
            let row = u_i * (THREADS / (TILE_N / 4u)) + local / (TILE_N / 4u);
            (*next)[u_i] = b_at(b, y, step * TILE_K + row, first_slice + local % (TILE_N / 4u));
        }
    }
}

@compute @workgroup_size(THREADS, 1, 1)
fn matmul_tiled(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let part = group.z % SPLIT;
    let z = group.z / SPLIT;
    let b = z / OUT_HEIGHT;
    let y = z % OUT_HEIGHT;
    let first_m = group.y * TILE_M;
    let first_slice = group.x * (TILE_N / 4u);
    // Neighbours two by two share a column, and every other one a row: their reads of the tiles coincide.
    let lane = local % 32u;
    let block = local / 32u;
    let thread_x = lane / 2u % LANES_X + block % (THREADS_X / LANES_X) * LANES_X;
    let thread_y = lane % 2u + lane / (2u * LANES_X) * 2u + block / (THREADS_X / LANES_X) * (32u / LANES_X);

    var places: array<vec3<u32>, A_LOADS>;
    for (var u_i = 0u; u_i < A_LOADS; u_i++) {
        let m = first_m + a_row(u_i, local);
        places[u_i] = place_of(z, select(min(m, ROWS_M - 1u), m, M_ALIGNED));
    }
    var sums: array<vec4<f32>, ROWS * COLUMN_SLICES>;
    for (var u_i = 0u; u_i < ROWS * COLUMN_SLICES; u_i++) {
        sums[u_i] = vec4<f32>(0.0);
    }
    var a_next: array<A_PACKED, A_LOADS>;
    var b_next: array<B_PACKED, B_LOADS>;
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
        let a_first = step % BUFFERS * (K_SLICES * TILE_M);
        let b_first = step % BUFFERS * (K_SLICES * B_PITCH);
        for (var u_i = 0u; u_i < A_LOADS; u_i++) {
            a_tile[a_first + a_slice(u_i, local) * TILE_M + a_row(u_i, local)] = a_widen(a_next[u_i]);
        }
        for (var u_i = 0u; u_i < B_LOADS; u_i++) {
            if B_TRANSPOSED {
                let n = b_column(u_i, local);
                b_tile[b_first + b_slice(u_i, local) * B_PITCH + n % 4u * (B_PITCH / 4u) + n / 4u] = b_widen(b_next[u_i]);
            } else {
                b_tile[b_first + u_i * THREADS + local] = b_widen(b_next[u_i]);
            }
        }
        workgroupBarrier();
        if PREFETCH && step + 1u < end_step {
            fetch_a(&places, &a_next, step + 1u, local);
            fetch_b(&b_next, b, y, first_slice, step + 1u, local);
        }
        for (var slice = 0u; slice < K_SLICES; slice++) {
            // Four k: columns[k * COLUMN_SLICES + c].
            var columns: array<vec4<f32>, 4u * COLUMN_SLICES>;
            for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
                let first = b_first + slice * B_PITCH + u_c * THREADS_X + thread_x;
                let next_0 = b_tile[first];
                let next_1 = b_tile[first + B_PITCH / 4u];
                let next_2 = b_tile[first + B_PITCH / 2u];
                let next_3 = b_tile[first + B_PITCH / 4u * 3u];
                if B_TRANSPOSED {
                    columns[u_c] = vec4<f32>(next_0.x, next_1.x, next_2.x, next_3.x);
                    columns[COLUMN_SLICES + u_c] = vec4<f32>(next_0.y, next_1.y, next_2.y, next_3.y);
                    columns[2u * COLUMN_SLICES + u_c] = vec4<f32>(next_0.z, next_1.z, next_2.z, next_3.z);
                    columns[3u * COLUMN_SLICES + u_c] = vec4<f32>(next_0.w, next_1.w, next_2.w, next_3.w);
                } else {
                    columns[u_c] = next_0;
                    columns[COLUMN_SLICES + u_c] = next_1;
                    columns[2u * COLUMN_SLICES + u_c] = next_2;
                    columns[3u * COLUMN_SLICES + u_c] = next_3;
                }
            }
            for (var u_r = 0u; u_r < ROWS; u_r++) {
                let row = a_tile[a_first + slice * TILE_M + u_r * THREADS_Y + thread_y];
                for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
                    sums[u_r * COLUMN_SLICES + u_c] += row.x * columns[u_c];
                    sums[u_r * COLUMN_SLICES + u_c] += row.y * columns[COLUMN_SLICES + u_c];
                    sums[u_r * COLUMN_SLICES + u_c] += row.z * columns[2u * COLUMN_SLICES + u_c];
                    sums[u_r * COLUMN_SLICES + u_c] += row.w * columns[3u * COLUMN_SLICES + u_c];
                }
            }
        }
        // With two buffers, the barrier of the next step stands between this reading and the writing after it.
        if BUFFERS == 1u {
            workgroupBarrier();
        }
    }
    for (var u_r = 0u; u_r < ROWS; u_r++) {
        let m = first_m + u_r * THREADS_Y + thread_y;
        let place = place_of(z, m);
        for (var u_c = 0u; u_c < COLUMN_SLICES; u_c++) {
            let slice = first_slice + u_c * THREADS_X + thread_x;
            if m < ROWS_M && slice < DST_SLICES {
                if SPLIT > 1u {
                    dst_write(0u, group.z, m, slice, sums[u_r * COLUMN_SLICES + u_c]);
                } else {
                    dst_write(place.x, place.y, place.z, slice, sums[u_r * COLUMN_SLICES + u_c]);
                }
            }
        }
    }
}
