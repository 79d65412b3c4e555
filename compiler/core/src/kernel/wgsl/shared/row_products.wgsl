const ALL_CHUNKS: bool = CHUNKS == STEPS * UNROLL * LANES;
// Slices of a row of the result that are made at once.
const SLICES: u32 = OUTPUTS / 4u;
// Rows of weights that are walked along at once: OUTPUTS of b, then, where there are two products, as many of c.
const GATED: bool = PRODUCTS == 2u;
const WALKED: u32 = OUTPUTS * PRODUCTS;
// The sums of a row of a: its products, slice by slice, and behind those of all rows the squares of each, where a is normalised.
const NORMED: bool = SQUARES > 0u;
const SUMS: u32 = ROWS_M * WALKED + SQUARES;

// Products of rows of a with OUTPUTS rows of b from `first` on, over every LANES-th chunk of k. The chunks of UNROLL steps and
// their scales are all asked for before the first is used: reading them is what takes time.
fn row_products(first: u32, lane: u32, sums: ptr<function, array<f32, SUMS>>) {
    for (var u_n = 0u; u_n < SUMS; u_n++) {
        (*sums)[u_n] = 0.0;
    }
    for (var step = 0u; step < STEPS; step++) {
        var words: array<vec4<u32>, UNROLL * WALKED>;
        var parameters: array<vec2<f32>, UNROLL * SPANS * WALKED>;
        for (var u_step = 0u; u_step < UNROLL; u_step++) {
            let at = (step * UNROLL + u_step) * LANES + lane;
            let chunk = select(min(at, CHUNKS - 1u), at, ALL_CHUNKS);
            for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                words[u_step * WALKED + u_o] = b_words(min(first + u_o, B_WIDTH - 1u), chunk);
            }
            if GATED {
                for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                    words[u_step * WALKED + OUTPUTS + u_o] = c_words(min(first + u_o, B_WIDTH - 1u), chunk);
                }
            }
            for (var u_span = 0u; u_span < SPANS; u_span++) {
                let block = (chunk * SPANS + u_span) / BLOCK_SPANS;
                let within = select(min(block, BLOCKS - 1u), block, ALL_LIVE);
                for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                    parameters[(u_step * SPANS + u_span) * WALKED + u_o] =
                        b_parameters(min(first + u_o, B_WIDTH - 1u), within);
                }
                if GATED {
                    for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                        parameters[(u_step * SPANS + u_span) * WALKED + OUTPUTS + u_o] =
                            c_parameters(min(first + u_o, B_WIDTH - 1u), within);
                    }
                }
            }
        }
        for (var u_step = 0u; u_step < UNROLL; u_step++) {
            let chunk = (step * UNROLL + u_step) * LANES + lane;
            if ALL_CHUNKS || chunk < CHUNKS {
                for (var u_span = 0u; u_span < SPANS; u_span++) {
                    let span = chunk * SPANS + u_span;
                    var dots: array<f32, ROWS_M * WALKED>;
                    for (var u_n = 0u; u_n < ROWS_M * WALKED; u_n++) {
                        dots[u_n] = 0.0;
                    }
                    for (var u_s = 0u; u_s < SPAN_SLICES; u_s++) {
                        let slice = span * SPAN_SLICES + u_s;
                        var values: array<vec4<f32>, ROWS_M>;
                        for (var u_m = 0u; u_m < ROWS_M; u_m++) {
                            let value = a_read(0u, 0u, u_m, select(min(slice, A_SLICES - 1u), slice, ALL_LIVE));
                            values[u_m] = select(vec4<f32>(0.0), value, ALL_LIVE || slice < A_SLICES);
                        }
                        if NORMED {
                            let factor = scale_read(0u, 0u, 0u, select(min(slice, A_SLICES - 1u), slice, ALL_LIVE));
                            for (var u_m = 0u; u_m < ROWS_M; u_m++) {
                                let square = values[u_m] * values[u_m];
                                (*sums)[ROWS_M * WALKED + u_m] += (square.x + square.y) + (square.z + square.w);
                                values[u_m] *= factor;
                            }
                        }
                        for (var u_o = 0u; u_o < WALKED; u_o++) {
                            let numbers = b_numbers(words[u_step * WALKED + u_o], u_span * SPAN_SLICES + u_s);
                            let zero = parameters[(u_step * SPANS + u_span) * WALKED + u_o].y;
                            let centred = numbers - vec4<f32>(zero);
                            // One after the other, each a multiplication with an addition.
                            for (var u_m = 0u; u_m < ROWS_M; u_m++) {
                                let at = u_m * WALKED + u_o;
                                dots[at] += values[u_m].x * centred.x;
                                dots[at] += values[u_m].y * centred.y;
                                dots[at] += values[u_m].z * centred.z;
                                dots[at] += values[u_m].w * centred.w;
                            }
                        }
                    }
                    for (var u_n = 0u; u_n < ROWS_M * WALKED; u_n++) {
                        let scale = parameters[(u_step * SPANS + u_span) * WALKED + u_n % WALKED].x;
                        (*sums)[u_n] += dots[u_n] * scale;
                    }
                }
            }
        }
    }
}

// What a slice of row `m` of the result is, from its sums: those of b, those of c, and the squares of the row of a.
fn finished(m: u32, slice: u32, made: vec4<f32>, gate: vec4<f32>, squares: f32) -> vec4<f32> {
    var value = made;
    var opened = gate;
    if NORMED {
        let scale = inverseSqrt(squares / f32(A_CHANNELS) + EPSILON);
        value *= scale;
        opened *= scale;
    }
    if GATED {
        value *= value_of(0u, 0u, m, slice, opened);
    }
    return value;
}
