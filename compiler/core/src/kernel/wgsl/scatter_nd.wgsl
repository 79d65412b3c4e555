// The source with rows updated at index tuples: row (tuple n) of the result is made of updates (n). Each invocation makes
// one slice of the result and goes through the tuples from FIRST to END in order, so the result is the same at each run and
// of several updates that replace a row the last stays. With ALONG_C a row is one element, and a slice four rows. Up to four
// indices a tuple; LIMIT_* and STRIDE_* are sizes of the indexed axes and their distances in rows. A tuple outside of the
// source updates nothing.

// By bits, since a compiler may assume that comparisons of floats never see a NaN.
fn is_nan(value: vec4<SCALAR>) -> vec4<bool> {
    return vec4<bool>(IS_FLOAT) & ((bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// The larger and the smaller of two, and NaN where either is one.
fn larger(a: vec4<SCALAR>, b: vec4<SCALAR>) -> vec4<SCALAR> {
    return select(max(a, b), a + b, is_nan(a) | is_nan(b));
}

fn smaller(a: vec4<SCALAR>, b: vec4<SCALAR>) -> vec4<SCALAR> {
    return select(min(a, b), a + b, is_nan(a) | is_nan(b));
}

// What an update makes of an element. UPDATE: 0 replaces it, 1 adds, 2 multiplies, 3 keeps the larger, 4 the smaller.
fn updated(old: vec4<SCALAR>, fresh: vec4<SCALAR>) -> vec4<SCALAR> {
    var value = fresh;
    if UPDATE == 1u { value = old + fresh; }
    if UPDATE == 2u { value = old * fresh; }
    if UPDATE == 3u { value = larger(old, fresh); }
    if UPDATE == 4u { value = smaller(old, fresh); }
    return value;
}

// Part of a row's number that one index of tuple n gives; -1 outside of the source.
fn part(n: u32, which: u32, limit: u32, stride: u32) -> i32 {
    var row = 0i;
    if which < INDICES_CHANNELS {
        let signed = indices_scalar(0u, 0u, n, min(which, INDICES_CHANNELS - 1u));
        let index = select(signed, signed + i32(limit), signed < 0i);
        row = select(-1i, index * i32(stride), index >= 0i && index < i32(limit));
    }
    return row;
}

fn row_of(n: u32) -> i32 {
    let first = part(n, 0u, LIMIT_0, STRIDE_0);
    let second = part(n, 1u, LIMIT_1, STRIDE_1);
    let third = part(n, 2u, LIMIT_2, STRIDE_2);
    let fourth = part(n, 3u, LIMIT_3, STRIDE_3);
    let outside = min(min(first, second), min(third, fourth)) < 0i;
    return select(first + second + third + fourth, -1i, outside);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn scatter_nd(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_WIDTH * DST_SLICES {
        let s = place % DST_SLICES;
        let x = place / DST_SLICES;
        var value = src_read(0u, 0u, x, s);
        for (var n = FIRST; n < END; n++) {
            let row = row_of(n);
            if ALONG_C {
                let own = vec4<i32>(i32(s * 4u)) + vec4<i32>(0i, 1i, 2i, 3i);
                if row >= own.x && row <= own.w {
                    let fresh = vec4<SCALAR>(updates_scalar(0u, 0u, 0u, n));
                    value = select(value, updated(value, fresh), vec4<i32>(row) == own);
                }
            } else {
                if row == i32(x) {
                    value = updated(value, updates_read(0u, 0u, n, s));
                }
            }
        }
        dst_write(0u, 0u, x, s, value);
    }
}
