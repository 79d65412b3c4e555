// What the softmax of each row needs: its largest element, and the reciprocal of the sum of exponentials relative to it. All
// else happens where the row is read. One workgroup a row, read once: each invocation keeps a running maximum and sum. Keys
// that the query does not see by its place (FIRST_KEY and LAST_KEY, distances from the query) are not read. A row without
// keys has no largest score; zero keeps the weights of hidden ones from growing.

const LOWEST: f32 = -3.4028234e38;
const ROWS: u32 = SRC_BATCH * SRC_HEIGHT * SRC_WIDTH;

var<workgroup> peaks: array<f32, WORKGROUP_X>;
var<workgroup> wholes: array<f32, WORKGROUP_X>;

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn attention_stats(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = min(group.y * GRID_X + group.x, ROWS - 1u);
    let x = row % SRC_WIDTH;
    let y = row / SRC_WIDTH % SRC_HEIGHT;
    let b = row / (SRC_WIDTH * SRC_HEIGHT);
    // Of all queries, not only of this block.
    let query = x + u32(block_scalar(0u, 0u, 0u, 0u));
    let keys_from = select(0u, u32(clamp(i32(query) + FIRST_KEY, 0i, i32(SRC_CHANNELS))), HAS_FIRST_KEY);
    let keys_until = select(
        SRC_CHANNELS, u32(clamp(i32(query) + LAST_KEY + 1i, 0i, i32(SRC_CHANNELS))), HAS_LAST_KEY);
    var largest = LOWEST;
    var whole = 0.0;
    for (var s = keys_from / 4u + local; s < (keys_until + 3u) / 4u; s += WORKGROUP_X) {
        let places = vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let live = (places < vec4<u32>(keys_until)) & select(vec4<bool>(true), places >= vec4<u32>(keys_from), HAS_FIRST_KEY);
        let score = select(vec4<f32>(LOWEST), src_read(b, y, x, s), live);
        let next = max(largest, max(max(score.x, score.y), max(score.z, score.w)));
        let weight = select(vec4<f32>(0.0), exp(score - next), live);
        whole = whole * exp(largest - next) + ((weight.x + weight.y) + (weight.z + weight.w));
        largest = next;
    }
    peaks[local] = largest;
    wholes[local] = whole;
    workgroupBarrier();
    for (var stride = WORKGROUP_X / 2u; stride > 0u; stride = stride / 2u) {
        if local < stride {
            let next = max(peaks[local], peaks[local + stride]);
            wholes[local] = wholes[local] * exp(peaks[local] - next)
                + wholes[local + stride] * exp(peaks[local + stride] - next);
            peaks[local] = next;
        }
        workgroupBarrier();
    }
    if local == 0u {
        let sum = wholes[0];
        largest_write(b, y, x, 0u, vec4<f32>(select(peaks[0], 0.0, sum == 0.0)));
        inverse_write(b, y, x, 0u, vec4<f32>(select(1.0 / sum, 0.0, UNSEEN_IS_ZERO && sum == 0.0)));
    }
}
