// The source with single elements updated at indices along the width, or with ALONG_C along the channels. Each invocation
// makes one slice of the result and goes through the updates of its line in order, so the result is the same at each run
// and of several updates that replace an element the last stays. A dispatch goes through those from FIRST to END. Indices
// outside of the source update nothing.

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

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn scatter_elements(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = place % DST_SLICES;
        let x = place / DST_SLICES % DST_WIDTH;
        let y = place / (DST_SLICES * DST_WIDTH);
        var value = src_read(0u, y, x, s);
        for (var n = FIRST; n < END; n++) {
            var index = vec4<i32>();
            var fresh = vec4<SCALAR>();
            var own = vec4<i32>(i32(x));
            if ALONG_C {
                index = vec4<i32>(indices_scalar(0u, y, x, n));
                fresh = vec4<SCALAR>(updates_scalar(0u, y, x, n));
                own = vec4<i32>(i32(s * 4u)) + vec4<i32>(0i, 1i, 2i, 3i);
            } else {
                index = indices_read(0u, y, n, s);
                fresh = updates_read(0u, y, n, s);
            }
            let from_start = select(index, index + vec4<i32>(i32(LIMIT)), index < vec4<i32>(0i));
            value = select(value, updated(value, fresh), from_start == own);
        }
        dst_write(0u, y, x, s, value);
    }
}
