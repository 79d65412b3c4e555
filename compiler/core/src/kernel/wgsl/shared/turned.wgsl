// Channels of a pair, (a, b), become (a cos - b sin, b cos + a sin). Pairs are neighbours, or PAIRS channels apart. Cosines and
// sines have one number for each pair or for each channel that turns, and repeat along the axes along which they have size one.
const TURNED: u32 = PAIRS * 2u;
// Pairs are of whole slices.
const WHOLE: bool = !INTERLEAVED && PAIRS % 4u == 0u;

// Which angle belongs to a channel.
fn angle_of(c: u32) -> u32 {
    let of_pair = select(c % PAIRS, c / 2u, INTERLEAVED);
    return min(select(of_pair, c, COSINE_CHANNELS == TURNED), COSINE_CHANNELS - 1u);
}

// Slice s at (b, y, x), turned, of the tensor that `part` says.
fn turned(part: u32, b: u32, y: u32, x: u32, s: u32) -> vec4<f32> {
    let cosine_b = select(b, 0u, COSINE_BATCH == 1u);
    let cosine_y = select(y, 0u, COSINE_HEIGHT == 1u);
    let cosine_x = select(x, 0u, COSINE_WIDTH == 1u);
    let sine_b = select(b, 0u, SINE_BATCH == 1u);
    let sine_y = select(y, 0u, SINE_HEIGHT == 1u);
    let sine_x = select(x, 0u, SINE_WIDTH == 1u);
    var value = slice_of(part, b, y, x, s);
    if WHOLE {
        if s < TURNED / 4u {
            let is_second = s >= PAIRS / 4u;
            let other = slice_of(part, b, y, x, select(s + PAIRS / 4u, s - PAIRS / 4u, is_second));
            let angle = angle_of(s * 4u) / 4u;
            let sine = sine_read(sine_b, sine_y, sine_x, angle);
            value = value * cosine_read(cosine_b, cosine_y, cosine_x, angle) + other * select(-sine, sine, is_second);
        }
    } else {
        for (var u_lane = 0u; u_lane < 4u; u_lane++) {
            let c = s * 4u + u_lane;
            if c < TURNED {
                let is_second = select(c >= PAIRS, c % 2u == 1u, INTERLEAVED);
                let apart = select(PAIRS, 1u, INTERLEAVED);
                let other = channel_of(part, b, y, x, select(c + apart, c - apart, is_second));
                let sine = sine_scalar(sine_b, sine_y, sine_x, angle_of(c));
                value[u_lane] = value[u_lane] * cosine_scalar(cosine_b, cosine_y, cosine_x, angle_of(c))
                    + other * select(-sine, sine, is_second);
            }
        }
    }
    return value;
}
