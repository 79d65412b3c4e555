// Tiles of both operands of a product on their way to workgroup memory: an invocation reads A_LOADS vectors of a's and B_LOADS of b's.
const K_SLICES: u32 = TILE_K / 4u;
const THREADS: u32 = WORKGROUP_X;
const A_LOADS: u32 = TILE_M * K_SLICES / THREADS;
const B_LOADS: u32 = TILE_N * K_SLICES / THREADS;

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
