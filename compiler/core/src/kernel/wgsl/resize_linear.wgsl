// Linear resampling of rows and columns whose numbers are known when the model runs: an invocation makes one pixel of one slice.
// Positions are computed in onnxruntime's order. A scale of zero is the quotient of the sizes.

const ITSELF: u32 = 0u;
const HALF_PIXEL: u32 = 1u;
const ALIGN_CORNERS: u32 = 2u;

// The element that a result begins with, the one after it, and the weight of that. Beyond a border there is one element.
fn taps(kind: u32, scale: f32, at: u32, src: u32, dst: u32) -> vec3<f32> {
    let x = f32(at);
    let factor = select(scale, f32(dst) / f32(src), scale == 0.0);
    // Asymmetric.
    var position = x / factor;
    if kind == ITSELF {
        position = x;
    }
    if kind == HALF_PIXEL {
        position = select((x + 0.5) / factor - 0.5, 0.0, SINGLE_IS_FIRST && dst == 1u);
    }
    if kind == ALIGN_CORNERS {
        position = x * f32(src - 1u) / f32(max(dst, 2u) - 1u);
    }
    let first = floor(position);
    let last = f32(src - 1u);
    let elements = vec2<f32>(clamp(first, 0.0, last), clamp(first + 1.0, 0.0, last));
    return vec3<f32>(elements, select(position - first, 0.0, elements.x == elements.y));
}

// An element that has no weight is not there, where it is the first once more.
fn between(a: vec4<f32>, b: vec4<f32>, taps: vec3<f32>) -> vec4<f32> {
    return a * (1.0 - taps.z) + select(b * taps.z, vec4<f32>(0.0), taps.x == taps.y);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn resize_linear(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y % DST_HEIGHT;
    let b = id.y / DST_HEIGHT;
    let s = id.z;
    if x < DST_WIDTH && id.y < DST_BATCH * DST_HEIGHT && s < DST_SLICES {
        let rows = taps(KIND_Y, SCALE_Y, y, SRC_HEIGHT, DST_HEIGHT);
        let columns = taps(KIND_X, SCALE_X, x, SRC_WIDTH, DST_WIDTH);
        let ys = vec2<u32>(rows.xy);
        let xs = vec2<u32>(columns.xy);
        let upper = between(src_read(b, ys.x, xs.x, s), src_read(b, ys.x, xs.y, s), columns);
        let lower = between(src_read(b, ys.y, xs.x, s), src_read(b, ys.y, xs.y, s), columns);
        dst_write(b, y, x, s, between(upper, lower, rows));
    }
}
