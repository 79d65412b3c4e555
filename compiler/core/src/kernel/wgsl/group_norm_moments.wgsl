// First of three steps that normalise over groups which are few and large: a workgroup takes the mean and the sum of
// squared deviations of each channel of one slice over CHUNK pixels, by Welford's method, which reads them once.

const ITEMS: u32 = 4u;

var<workgroup> shared_mean: array<vec4<f32>, WORKGROUP_X>;
var<workgroup> shared_squares: array<vec4<f32>, WORKGROUP_X>;
var<workgroup> shared_count: array<f32, WORKGROUP_X>;

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn group_norm_moments(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let chunk = group.x;
    let s = group.y;
    let b = group.z;
    let end = min((chunk + 1u) * CHUNK, SRC_HEIGHT * SRC_WIDTH);
    var count = 0.0;
    var mean = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    for (var base = chunk * CHUNK + local; base < end; base += WORKGROUP_X * ITEMS) {
        var values: array<vec4<f32>, ITEMS>;
        for (var u_i = 0u; u_i < ITEMS; u_i++) {
            let at = min(base + u_i * WORKGROUP_X, end - 1u);
            values[u_i] = src_read(b, at / SRC_WIDTH, at % SRC_WIDTH, s);
        }
        for (var u_i = 0u; u_i < ITEMS; u_i++) {
            if base + u_i * WORKGROUP_X < end {
                count += 1.0;
                let delta = values[u_i] - mean;
                mean += delta * (1.0 / count);
                squares += delta * (values[u_i] - mean);
            }
        }
    }
    shared_mean[local] = mean;
    shared_squares[local] = squares;
    shared_count[local] = count;
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            let more = shared_count[local + stride];
            let total = shared_count[local] + more;
            // Neither has seen a pixel where the total is zero.
            let share = more / max(total, 1.0);
            let delta = shared_mean[local + stride] - shared_mean[local];
            shared_squares[local] += shared_squares[local + stride] + delta * delta * (shared_count[local] * share);
            shared_mean[local] += delta * share;
            shared_count[local] = total;
        }
        workgroupBarrier();
    }
    if local == 0u {
        means_write(0u, chunk, b, s, shared_mean[0]);
        squares_write(0u, chunk, b, s, shared_squares[0]);
    }
}
