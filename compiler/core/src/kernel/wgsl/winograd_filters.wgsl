// The weights of a convolution F(TILE x TILE, 3 x 3) after Winograd, made when the program is loaded: a filter g of 3 x 3 taps
// becomes G g G^T, one value at each of (TILE + 2)^2 positions. An invocation makes the filters from one input channel to one slice
// of output channels and writes DST_HEIGHT of the positions, from FIRST_POSITION on. The weights' rows are (tap, input channel).
// The points are those of winograd_input. Rows of G are scaled by the inverses of what rows of B^T are scaled by, and halved or
// divided by eight, so that no position holds more than the largest weight.

const INNER: u32 = TILE + 2u;
const ROOT: f32 = 1.4142135;
const HALF_ROOT: f32 = 0.70710677;
const THIRD: f32 = 0.33333334;
const FAR: f32 = 0.041666668;

// G times three vectors `step` apart: the first INNER of them are the result.
fn transform(v: ptr<function, array<vec4<f32>, INNER * INNER>>, first: u32, step: u32) {
    let g_0 = (*v)[first];
    let g_1 = (*v)[first + step];
    let g_2 = (*v)[first + 2u * step];
    if TILE == 2u {
        let even = 0.25 * (g_0 + g_2);
        let odd = 0.25 * g_1;
        (*v)[first] = -0.5 * g_0;
        (*v)[first + step] = even + odd;
        (*v)[first + 2u * step] = even - odd;
        (*v)[first + 3u * step] = 0.5 * g_2;
    } else {
        let near_even = -THIRD * (g_0 + 0.5 * g_2);
        let near_odd = -THIRD * HALF_ROOT * g_1;
        let far_even = FAR * (g_0 + 2.0 * g_2);
        let far_odd = FAR * ROOT * g_1;
        (*v)[first] = 0.25 * g_0;
        (*v)[first + step] = near_even + near_odd;
        (*v)[first + 2u * step] = near_even - near_odd;
        (*v)[first + 3u * step] = far_even + far_odd;
        (*v)[first + 4u * step] = far_even - far_odd;
        (*v)[first + 5u * step] = 0.25 * g_2;
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn winograd_filters(@builtin(global_invocation_id) id: vec3<u32>) {
    let s = id.x;
    let i = id.y;
    if s < DST_SLICES && i < DST_WIDTH {
        var v: array<vec4<f32>, INNER * INNER>;
        for (var u_y = 0u; u_y < 3u; u_y++) {
            for (var u_x = 0u; u_x < 3u; u_x++) {
                v[u_y * INNER + u_x] = weights_read(0u, 0u, (u_y * 3u + u_x) * DST_WIDTH + i, s);
            }
        }
        for (var u_x = 0u; u_x < 3u; u_x++) {
            transform(&v, u_x, INNER);
        }
        for (var u_y = 0u; u_y < INNER; u_y++) {
            transform(&v, u_y * INNER, 1u);
        }
        for (var u_position = 0u; u_position < DST_HEIGHT; u_position++) {
            dst_write(0u, u_position, i, s, v[FIRST_POSITION + u_position]);
        }
    }
}
