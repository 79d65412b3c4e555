// Second step: a workgroup makes the mean and the factor of the four channels of one slice. A quarter of the invocations
// merges the moments of all channels and chunks of one channel's group.

const PARTS: u32 = WORKGROUP_X / 4u;

var<workgroup> shared_mean: array<f32, WORKGROUP_X>;
var<workgroup> shared_squares: array<f32, WORKGROUP_X>;
var<workgroup> shared_count: array<f32, WORKGROUP_X>;

fn of_lanes(a: f32, b: f32, c: f32, d: f32) -> vec4<f32> {
    return inverseSqrt(vec4<f32>(a, b, c, d) / COUNT + EPSILON);
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn group_norm_combine(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let s = group.x;
    let b = group.y;
    let channel = min(s * 4u + local / PARTS, MEANS_CHANNELS - 1u);
    let first = channel / GROUP_CHANNELS * GROUP_CHANNELS;
    var count = 0.0;
    var mean = 0.0;
    var squares = 0.0;
    for (var at = local % PARTS; at < GROUP_CHANNELS * MEANS_HEIGHT; at += PARTS) {
        let chunk = at % MEANS_HEIGHT;
        let c = first + at / MEANS_HEIGHT;
        let more = f32(min(CHUNK, PIXELS - chunk * CHUNK));
        let total = count + more;
        let delta = means_scalar(0u, chunk, b, c) - mean;
        squares += squares_scalar(0u, chunk, b, c) + delta * delta * (count * more / total);
        mean += delta * (more / total);
        count = total;
    }
    shared_mean[local] = mean;
    shared_squares[local] = squares;
    shared_count[local] = count;
    workgroupBarrier();
    for (var stride = PARTS / 2u; stride > 0u; stride = stride / 2u) {
        if local % PARTS < stride {
            let more = shared_count[local + stride];
            let total = shared_count[local] + more;
            let share = more / max(total, 1.0);
            let delta = shared_mean[local + stride] - shared_mean[local];
            shared_squares[local] += shared_squares[local + stride] + delta * delta * (shared_count[local] * share);
            shared_mean[local] += delta * share;
            shared_count[local] = total;
        }
        workgroupBarrier();
    }
    if local == 0u {
        let mean_of_lanes = vec4<f32>(
            shared_mean[0], shared_mean[PARTS], shared_mean[2u * PARTS], shared_mean[3u * PARTS]);
        let factor = of_lanes(
            shared_squares[0], shared_squares[PARTS], shared_squares[2u * PARTS], shared_squares[3u * PARTS]);
        mean_write(0u, 0u, b, s, mean_of_lanes);
        factor_write(0u, 0u, b, s, factor * scale_read(0u, 0u, 0u, s));
    }
}
