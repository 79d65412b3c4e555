// Last step of a convolution F(TILE x TILE, 3 x 3) after Winograd: the vectors m that a tile has at the (TILE + 2)^2 positions of
// products become A^T m A, TILE x TILE pixels of the result. Filters were divided by
// FILTER_SCALE, a power of two, so that f16 holds them. An invocation makes one tile of one slice.

const INNER: u32 = TILE + 2u;
const ROOT: f32 = 1.4142135;
const HALF_ROOT: f32 = 0.70710677;

// A^T times the vectors `step` apart: the first TILE of them are the result.
fn transform(v: ptr<function, array<vec4<f32>, INNER * INNER>>, first: u32, step: u32) {
    let m_0 = (*v)[first];
    let near_even = (*v)[first + step] + (*v)[first + 2u * step];
    let near_odd = (*v)[first + step] - (*v)[first + 2u * step];
    let m_3 = (*v)[first + 3u * step];
    if TILE == 2u {
        (*v)[first] = m_0 + near_even;
        (*v)[first + step] = near_odd + m_3;
    } else {
        let m_4 = (*v)[first + 4u * step];
        let m_5 = (*v)[first + 5u * step];
        let far_even = m_3 + m_4;
        let far_odd = m_3 - m_4;
        (*v)[first] = m_0 + near_even + far_even;
        (*v)[first + step] = HALF_ROOT * near_odd + ROOT * far_odd;
        (*v)[first + 2u * step] = 0.5 * near_even + 2.0 * far_even;
        (*v)[first + 3u * step] = 0.5 * HALF_ROOT * near_odd + 2.0 * ROOT * far_odd + m_5;
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn winograd_output(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = id.x;
    let s = id.y;
    if tile < DOMAIN_WIDTH && s < DOMAIN_SLICES {
        let b = tile % DST_BATCH;
        let first_x = tile / DST_BATCH % TILES_X * TILE;
        let first_y = (u32(block_scalar(0u, 0u, 0u, 0u)) + tile / (DST_BATCH * TILES_X)) * TILE;
        var v: array<vec4<f32>, INNER * INNER>;
        for (var u_position = 0u; u_position < INNER * INNER; u_position++) {
            v[u_position] = domain_read(0u, u_position, tile, s);
        }
        for (var u_x = 0u; u_x < INNER; u_x++) {
            transform(&v, u_x, INNER);
        }
        for (var u_y = 0u; u_y < TILE; u_y++) {
            transform(&v, u_y * INNER, 1u);
        }
        let bias = bias_read(0u, 0u, 0u, s);
        for (var u_y = 0u; u_y < TILE; u_y++) {
            for (var u_x = 0u; u_x < TILE; u_x++) {
                let y = first_y + u_y;
                let x = first_x + u_x;
                if y < DST_HEIGHT && x < DST_WIDTH {
                    dst_write(b, y, x, s, v[u_y * INNER + u_x] * FILTER_SCALE + bias);
                }
            }
        }
    }
}
