// Reduction over any coordinates: a workgroup makes one slice of the result and combines through workgroup memory.
// KIND: 0 sum, 1 mean, 2 maximum, 3 minimum, 4 product, 5 square root of the sum of squares.

const LOWEST: f32 = -3.4028234e38;
const HIGHEST: f32 = 3.4028234e38;

var<workgroup> shared_part: array<vec4<f32>, WORKGROUP_X>;

fn neutral() -> f32 {
    var value = 0.0f;
    if KIND == 2u { value = LOWEST; }
    if KIND == 3u { value = HIGHEST; }
    if KIND == 4u { value = 1.0f; }
    return value;
}

fn combine(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    var value = a + b;
    if KIND == 2u { value = max(a, b); }
    if KIND == 3u { value = min(a, b); }
    if KIND == 4u { value = a * b; }
    return value;
}

fn element(b: u32, y: u32, x: u32, s: u32) -> vec4<f32> {
    let raw = src_read(b, y, x, s);
    var value = raw;
    if KIND == 5u { value = raw * raw; }
    if REDUCE_C {
        let channel = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        value = select(vec4<f32>(neutral()), value, channel < vec4<u32>(SRC_CHANNELS));
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
    var total = vec4<f32>(neutral());
    for (var at = local; at < COUNT_B * COUNT_Y * COUNT_X * COUNT_S; at += WORKGROUP_X) {
        let src_s = s + at % COUNT_S;
        let src_x = x + at / COUNT_S % COUNT_X;
        let src_y = y + at / (COUNT_S * COUNT_X) % COUNT_Y;
        let src_b = b + at / (COUNT_S * COUNT_X * COUNT_Y);
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
        if KIND == 5u { result = sqrt(result); }
        dst_write(b, y, x, s, result);
    }
}
