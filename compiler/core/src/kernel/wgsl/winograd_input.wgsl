// First step of a convolution F(TILE x TILE, 3 x 3) after Winograd: an input tile d of the source, TILE + 2 pixels wide, becomes
// B^T d B, one vector at each of (TILE + 2)^2 positions of the transform domain. An invocation transforms one input tile of one
// slice. Tiles of four use the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, tiles of two 0, +-1 and infinity. Rows of B^T are
// scaled by powers of two, so that a row never adds up to more than 2.25 times the largest pixel: its square fits f16 for pixels
// up to 1e4.

const INNER: u32 = TILE + 2u;
const ROOT: f32 = 1.4142135;
const HALF_ROOT: f32 = 0.70710677;

// B^T times the vectors `step` apart.
fn transform(v: ptr<function, array<vec4<f32>, INNER * INNER>>, first: u32, step: u32) {
    let d_0 = (*v)[first];
    let d_1 = (*v)[first + step];
    let d_2 = (*v)[first + 2u * step];
    let d_3 = (*v)[first + 3u * step];
    if TILE == 2u {
        (*v)[first] = d_2 - d_0;
        (*v)[first + step] = d_2 + d_1;
        (*v)[first + 2u * step] = d_2 - d_1;
        (*v)[first + 3u * step] = d_3 - d_1;
    } else {
        let d_4 = (*v)[first + 4u * step];
        let d_5 = (*v)[first + 5u * step];
        let near_even = 0.25 * d_4 - 0.5 * d_2;
        let near_odd = HALF_ROOT * (0.25 * d_3 - 0.5 * d_1);
        let far_even = 0.5 * d_4 - 0.25 * d_2;
        let far_odd = ROOT * (0.5 * d_3 - 0.25 * d_1);
        (*v)[first] = 0.5 * (d_0 + d_4) - 1.25 * d_2;
        (*v)[first + step] = near_even + near_odd;
        (*v)[first + 2u * step] = near_even - near_odd;
        (*v)[first + 3u * step] = far_even + far_odd;
        (*v)[first + 4u * step] = far_even - far_odd;
        (*v)[first + 5u * step] = 0.5 * (d_1 + d_5) - 1.25 * d_3;
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn winograd_input(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = id.x;
    let s = id.y;
    if tile < DOMAIN_WIDTH && s < DOMAIN_SLICES {
        let b = tile % SRC_BATCH;
        let tile_x = tile / SRC_BATCH % TILES_X;
        let tile_y = u32(block_scalar(0u, 0u, 0u, 0u)) + tile / (SRC_BATCH * TILES_X);
        let first_x = i32(tile_x * TILE) - PAD_X;
        let first_y = i32(tile_y * TILE) - PAD_Y;
        var v: array<vec4<f32>, INNER * INNER>;
        for (var u_y = 0u; u_y < INNER; u_y++) {
            let y = first_y + i32(u_y);
            let src_y = clamp(y, 0i, i32(SRC_HEIGHT) - 1i);
            for (var u_x = 0u; u_x < INNER; u_x++) {
                let x = first_x + i32(u_x);
                let src_x = clamp(x, 0i, i32(SRC_WIDTH) - 1i);
                let value = src_read(b, u32(src_y), u32(src_x), s);
                v[u_y * INNER + u_x] = select(vec4<f32>(0.0), value, y == src_y && x == src_x);
            }
        }
        for (var u_x = 0u; u_x < INNER; u_x++) {
            transform(&v, u_x, INNER);
        }
        for (var u_y = 0u; u_y < INNER; u_y++) {
            transform(&v, u_y * INNER, 1u);
        }
        for (var u_position = 0u; u_position < INNER * INNER; u_position++) {
            domain_write(0u, u_position, tile, s, v[u_position]);
        }
    }
}
