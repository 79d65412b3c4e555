// The source with rows updated where `writer` names the update: the compiler knew the indices and that no row is updated
// more than once. Rows that are not updated have a writer of -1. With ALONG_C a row is one element, and a slice four rows.

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

fn scalar_of(writer: i32) -> SCALAR {
    return updates_scalar(0u, 0u, 0u, u32(max(writer, 0i)));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn scatter_known(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if place < DST_WIDTH * DST_SLICES {
        let s = place % DST_SLICES;
        let x = place / DST_SLICES;
        let old = src_read(0u, 0u, x, s);
        var writer = vec4<i32>();
        var fresh = vec4<SCALAR>();
        if ALONG_C {
            writer = writer_read(0u, 0u, 0u, s);
            fresh = vec4<SCALAR>(scalar_of(writer.x), scalar_of(writer.y), scalar_of(writer.z), scalar_of(writer.w));
        } else {
            writer = vec4<i32>(writer_scalar(0u, 0u, 0u, x));
            fresh = updates_read(0u, 0u, u32(max(writer.x, 0i)), s);
        }
        dst_write(0u, 0u, x, s, select(old, updated(old, fresh), writer >= vec4<i32>(0i)));
    }
}
