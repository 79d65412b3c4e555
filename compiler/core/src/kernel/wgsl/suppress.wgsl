// Places of the boxes that are kept, in the order of falling scores, of equals the lower place first: each that overlaps
// none which was kept before it by more than the threshold. Behind the last it is -1. A workgroup makes one row, a class of
// an image, one box after the other: each invocation has one bit for each of its STEPS boxes that is still open, drops
// those that overlap what was kept last, and offers the best of the others.

var<workgroup> shared_value: array<f32, WORKGROUP_X>;
var<workgroup> shared_index: array<i32, WORKGROUP_X>;

// By bits, since a compiler may assume that comparisons of floats never see a NaN.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether what two boxes share is more than `most` of what they cover. An area that is NaN is above no number.
fn overlap(a: vec4<f32>, b: vec4<f32>, most: f32) -> bool {
    let size = min(a.zw, b.zw) - max(a.xy, b.xy);
    let covered = size.x * size.y;
    let own = (a.z - a.x) * (a.w - a.y);
    let other = (b.z - b.x) * (b.w - b.y);
    let both = own + other - covered;
    let is_there = size.x > 0.0 && size.y > 0.0 && covered > 0.0 && own > 0.0 && other > 0.0 && both > 0.0;
    return is_there && covered / both > most && !is_nan(both);
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn suppress(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * GRID_X + group.x;
    let x = min(row, DST_WIDTH - 1u);
    let image = x / CLASSES;
    let most = f32(most_scalar(0u, 0u, 0u, 0u));
    var open: array<u32, WORDS>;
    for (var step = 0u; step < STEPS; step++) {
        let c = step * WORKGROUP_X + local;
        let at = min(c, SCORES_CHANNELS - 1u);
        let is_open = c < SCORES_CHANNELS && candidates_scalar(0u, 0u, x, at) != 0i
            && !is_nan(f32(scores_scalar(0u, 0u, x, at)));
        if is_open {
            open[step / 32u] = open[step / 32u] | (1u << (step % 32u));
        }
    }
    var last = vec4<f32>();
    var last_index = -1i;
    for (var s = 0u; s < DST_SLICES; s++) {
        var found = vec4<i32>(-1i);
        for (var u_lane = 0u; u_lane < 4u; u_lane++) {
            var value = 0.0;
            var index = -1i;
            for (var step = 0u; step < STEPS; step++) {
                let bits = open[step / 32u];
                let bit = 1u << (step % 32u);
                if (bits & bit) != 0u {
                    let c = step * WORKGROUP_X + local;
                    let own = vec4<f32>(boxes_read(0u, image, c, 0u));
                    if last_index >= 0i && (i32(c) == last_index || overlap(own, last, most)) {
                        open[step / 32u] = bits & ~bit;
                    } else {
                        let other = f32(scores_scalar(0u, 0u, x, c));
                        if index < 0i || other > value {
                            value = other;
                            index = i32(c);
                        }
                    }
                }
            }
            shared_value[local] = value;
            shared_index[local] = index;
            workgroupBarrier();
            for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
                if local < stride {
                    let other = shared_value[local + stride];
                    let other_index = shared_index[local + stride];
                    let own = shared_value[local];
                    let own_index = shared_index[local];
                    let is_before = other > own || (other == own && other_index < own_index);
                    if other_index >= 0i && (own_index < 0i || is_before) {
                        shared_value[local] = other;
                        shared_index[local] = other_index;
                    }
                }
                workgroupBarrier();
            }
            last_index = shared_index[0];
            workgroupBarrier();
            last = vec4<f32>(boxes_read(0u, image, u32(max(last_index, 0i)), 0u));
            found[u_lane] = last_index;
        }
        if local == 0u && row < DST_WIDTH {
            dst_write(0u, 0u, x, s, found);
        }
    }
}
