// Reduction over any coordinates: a workgroup makes one slice of the result and combines through workgroup memory.
// KIND: 0 sum, 1 mean, 2 maximum, 3 minimum, 4 product, 5 square root of the sum of squares (of
// floats), 6 sum of squares, 7 square root of the sum. LOWEST_BITS and HIGHEST_BITS are those of the ends of the element type:
// infinities, which have no literal. With PART a workgroup takes so many vectors only, and the results of the parts are one
// after another along the batch, RESULT_BATCH each; they are combined by steps of BATCH_STEP.

const VECTORS: u32 = COUNT_B * COUNT_Y * COUNT_X * COUNT_S;

var<workgroup> shared_part: array<vec4<SCALAR>, WORKGROUP_X>;

fn neutral() -> SCALAR {
    var value = SCALAR(0);
    if KIND == 2u { value = bitcast<SCALAR>(LOWEST_BITS); }
    if KIND == 3u { value = bitcast<SCALAR>(HIGHEST_BITS); }
    if KIND == 4u { value = SCALAR(1); }
    return value;
}

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

fn combine(a: vec4<SCALAR>, b: vec4<SCALAR>) -> vec4<SCALAR> {
    var value = a + b;
    if KIND == 2u { value = larger(a, b); }
    if KIND == 3u { value = smaller(a, b); }
    if KIND == 4u { value = a * b; }
    return value;
}

fn element(b: u32, y: u32, x: u32, s: u32) -> vec4<SCALAR> {
    let raw = src_read(b, y, x, s);
    var value = raw;
    if KIND == 5u || KIND == 6u { value = raw * raw; }
    if REDUCE_C {
        let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        value = select(vec4<SCALAR>(neutral()), value, channel < vec4<u32>(SRC_CHANNELS));
    }
    return value;
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn reduce(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let index = min(group.y * GRID_X + group.x, DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES - 1u);
    let s = index % DST_SLICES;
    let x = index / DST_SLICES % DST_WIDTH;
    let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
    let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
    let src_first = select(b, b % RESULT_BATCH, PART > 0u);
    let first = select(0u, b / RESULT_BATCH * PART, PART > 0u);
    let end = select(VECTORS, min(first + PART, VECTORS), PART > 0u);
    var total = vec4<SCALAR>(neutral());
    for (var at = local + first; at < end; at += WORKGROUP_X) {
        let src_s = s + at % COUNT_S;
        let src_x = x + at / COUNT_S % COUNT_X;
        let src_y = y + at / (COUNT_S * COUNT_X) % COUNT_Y;
        let src_b = src_first + at / (COUNT_S * COUNT_X * COUNT_Y) * BATCH_STEP;
        total = combine(total, element(src_b, src_y, src_x, src_s));
    }
    shared_part[local] = total;
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            shared_part[local] = combine(shared_part[local], shared_part[local + stride]);
        }
        workgroupBarrier();
    }
    if local == 0u && group.y * GRID_X + group.x < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        var result = shared_part[0];
        if REDUCE_C {
            let pair = combine(result, result.zwxy);
            result = combine(pair, pair.yxwz);
        }
        if KIND == 1u { result = result / COUNT; }
        if KIND == 5u || KIND == 7u { result = vec4<SCALAR>(sqrt(vec4<f32>(result))); }
        dst_write(b, y, x, s, result);
    }
}
