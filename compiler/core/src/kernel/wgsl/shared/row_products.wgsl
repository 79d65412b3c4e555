const ALL_CHUNKS: bool = CHUNKS == STEPS * UNROLL * LANES;

// Products of rows of a with OUTPUTS rows of b from `first` on, over every LANES-th chunk of k. The chunks of UNROLL steps and
// their scales are all asked for before the first is used: reading them is what takes time.
fn row_products(first: u32, lane: u32, sums: ptr<function, array<f32, ROWS_M * OUTPUTS>>) {
    for (var u_n = 0u; u_n < ROWS_M * OUTPUTS; u_n++) {
        (*sums)[u_n] = 0.0;
    }
    for (var step = 0u; step < STEPS; step++) {
        var words: array<vec4<u32>, UNROLL * OUTPUTS>;
        var parameters: array<vec2<f32>, UNROLL * SPANS * OUTPUTS>;
        for (var u_step = 0u; u_step < UNROLL; u_step++) {
            let at = (step * UNROLL + u_step) * LANES + lane;
            let chunk = select(min(at, CHUNKS - 1u), at, ALL_CHUNKS);
            for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                words[u_step * OUTPUTS + u_o] = b_words(min(first + u_o, B_WIDTH - 1u), chunk);
            }
            for (var u_span = 0u; u_span < SPANS; u_span++) {
                let block = (chunk * SPANS + u_span) / BLOCK_SPANS;
                for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                    parameters[(u_step * SPANS + u_span) * OUTPUTS + u_o] =
                        b_parameters(min(first + u_o, B_WIDTH - 1u), select(min(block, BLOCKS - 1u), block, ALL_LIVE));
                }
            }
        }
        for (var u_step = 0u; u_step < UNROLL; u_step++) {
            let chunk = (step * UNROLL + u_step) * LANES + lane;
            if ALL_CHUNKS || chunk < CHUNKS {
                for (var u_span = 0u; u_span < SPANS; u_span++) {
                    let span = chunk * SPANS + u_span;
                    var dots: array<f32, ROWS_M * OUTPUTS>;
                    for (var u_n = 0u; u_n < ROWS_M * OUTPUTS; u_n++) {
                        dots[u_n] = 0.0;
                    }
                    for (var u_s = 0u; u_s < SPAN_SLICES; u_s++) {
                        let slice = span * SPAN_SLICES + u_s;
                        var values: array<vec4<f32>, ROWS_M>;
                        for (var u_m = 0u; u_m < ROWS_M; u_m++) {
                            let value = a_read(0u, 0u, u_m, select(min(slice, A_SLICES - 1u), slice, ALL_LIVE));
                            values[u_m] = select(vec4<f32>(0.0), value, ALL_LIVE || slice < A_SLICES);
                        }
                        for (var u_o = 0u; u_o < OUTPUTS; u_o++) {
                            let numbers = b_numbers(words[u_step * OUTPUTS + u_o], u_span * SPAN_SLICES + u_s);
                            let zero = parameters[(u_step * SPANS + u_span) * OUTPUTS + u_o].y;
                            let centred = numbers - vec4<f32>(zero);
                            // One after the other, each a multiplication with an addition.
                            for (var u_m = 0u; u_m < ROWS_M; u_m++) {
                                let at = u_m * OUTPUTS + u_o;
                                dots[at] += values[u_m].x * centred.x;
                                dots[at] += values[u_m].y * centred.y;
                                dots[at] += values[u_m].z * centred.z;
                                dots[at] += values[u_m].w * centred.w;
                            }
                        }
                    }
                    for (var u_n = 0u; u_n < ROWS_M * OUTPUTS; u_n++) {
                        let scale = parameters[(u_step * SPANS + u_span) * OUTPUTS + u_n % OUTPUTS].x;
                        (*sums)[u_n] += dots[u_n] * scale;
                    }
                }
            }
        }
    }
}
