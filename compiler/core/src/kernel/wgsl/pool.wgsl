// Pooling over rows and columns. An invocation makes BLOCK_X neighbouring pixels of one slice and reads each of the
// columns that they share once. KIND: 0 maximum, 1 average, 2 norm of order P. A maximum starts from minus infinity, which
// has no literal, and where a NaN was seen it is that NaN: its bits without the sign are above those of infinity.

const LOWEST_BITS: u32 = 0xff800000u;
const MAGNITUDE: u32 = 0x7fffffffu;
const INFINITY: u32 = 0x7f800000u;

fn lowest() -> vec4<f32> {
    return vec4<f32>(bitcast<f32>(LOWEST_BITS));
}

// Of what is not negative. Zero, infinity and NaN are their own powers.
fn lifted(value: vec4<f32>, exponent: f32) -> vec4<f32> {
    let is_own = bitcast<vec4<u32>>(value) - vec4<u32>(1u) >= vec4<u32>(INFINITY - 1u);
    return select(exp2(log2(value) * exponent), value, is_own);
}

fn term(value: vec4<f32>) -> vec4<f32> {
    var result = value;
    if KIND == 2u {
        result = abs(value);
        if P == 2u { result = value * value; }
        if P > 2u { result = lifted(abs(value), f32(P)); }
    }
    return result;
}

fn finished(sum: vec4<f32>, seen: vec4<u32>, count: f32) -> vec4<f32> {
    var result = sum;
    if KIND == 0u { result = select(sum, bitcast<vec4<f32>>(seen), seen > vec4<u32>(INFINITY)); }
    if KIND == 1u { result = sum / count; }
    if KIND == 2u && P == 2u { result = sqrt(sum); }
    if KIND == 2u && P > 2u { result = lifted(sum, 1.0 / f32(P)); }
    return result;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn pool(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * BLOCK_X;
    let y = id.y % DST_HEIGHT;
    let b = id.y / DST_HEIGHT;
    let s = id.z;
    if x < DST_WIDTH && id.y < DST_BATCH * DST_HEIGHT && s < DST_SLICES {
        var sums: array<vec4<f32>, BLOCK_X>;
        var counts: array<f32, BLOCK_X>;
        var seen: array<vec4<u32>, BLOCK_X>;
        for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
            sums[u_x] = select(vec4<f32>(0.0), lowest(), KIND == 0u);
            seen[u_x] = vec4<u32>(0u);
            counts[u_x] = select(f32(KERNEL_Y * KERNEL_X), 0.0, COUNTED);
        }
        for (var tap_y = 0u; tap_y < KERNEL_Y; tap_y++) {
            let src_y = i32(y * STRIDE_Y + tap_y * DILATION_Y) - PAD_Y;
            let row = u32(clamp(src_y, 0i, i32(SRC_HEIGHT) - 1i));
            let inside_y = src_y == i32(row);
            for (var chunk = 0u; chunk < CHUNKS; chunk++) {
                for (var u_c = 0u; u_c < CHUNK; u_c++) {
                    let c = chunk * CHUNK + u_c;
                    let src_x = i32(x * STRIDE_X + c * DILATION_X) - PAD_X;
                    let column = u32(clamp(src_x, 0i, i32(SRC_WIDTH) - 1i));
                    let inside = !PADDED || (inside_y && src_x == i32(column));
                    var pixel = term(src_read(b, row, column, s));
                    if PADDED {
                        pixel = select(select(vec4<f32>(0.0), lowest(), KIND == 0u), pixel, inside);
                    }
                    let bits = bitcast<vec4<u32>>(pixel) & vec4<u32>(MAGNITUDE);
                    let within = src_y < i32(SRC_HEIGHT + END_Y) && src_x < i32(SRC_WIDTH + END_X);
                    let counts_here = select(0.0, 1.0, select(inside, within, COUNT_PADDING));
                    for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
                        if c >= u_x * STRIDE_X && c < u_x * STRIDE_X + KERNEL_X {
                            if KIND == 0u {
                                sums[u_x] = max(sums[u_x], pixel);
                                seen[u_x] = max(seen[u_x], bits);
                            } else {
                                sums[u_x] += pixel;
                            }
                            if COUNTED { counts[u_x] += counts_here; }
                        }
                    }
                }
            }
        }
        for (var u_x = 0u; u_x < BLOCK_X; u_x++) {
            if x + u_x < DST_WIDTH {
                dst_write(b, y, x + u_x, s, finished(sums[u_x], seen[u_x], counts[u_x]));
            }
        }
    }
}
