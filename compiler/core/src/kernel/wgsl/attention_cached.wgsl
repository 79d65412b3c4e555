// Attention of few queries over a cache of keys and values, where the place of the first query among the keys is known when
// the model runs. The keys that the queries see are shared out among SPLITS workgroups, a number that does not follow the
// place ("Flash-Decoding for long-context inference", 2023). Each leaves, for every query, its largest score, the sum of its
// weights and the weighted sum of its values; attention_merge joins them. Rows of the cache behind the last key are not read
// as values, since nothing has been written there.
//
// Heads of queries that share keys are rows of one workgroup: ROWS rows, in the order of queries, then heads. KEY_PARTS
// invocations multiply one key of a tile with all rows, each a part of the key's slices; then LANES invocations share the softmax
// of a row, and KEY_LANES each slice of the values. The values of a tile that an invocation reads first are asked for together with
// the keys.

const LOWEST: f32 = -3.4028234e38;
const THREADS: u32 = WORKGROUP_X;
const TILE: u32 = THREADS / KEY_PARTS;
const KEY_SLICES: u32 = (K_WIDTH + 3u) / 4u;
const ALL_ROWS: u32 = Q_WIDTH * SHARING;
const ROW_BLOCKS: u32 = (ALL_ROWS + ROWS - 1u) / ROWS;
const LANES: u32 = THREADS / ROWS;
const KEY_LANES: u32 = THREADS / V_SLICES;
// Vectors that an invocation reads at a time, so that their waits overlap.
const BATCH: u32 = 4u;
const K_BATCHES: u32 = (K_SLICES + BATCH * KEY_PARTS - 1u) / (BATCH * KEY_PARTS);
const Q_STRIDE: u32 = K_BATCHES * BATCH * KEY_PARTS;
// A smaller share is not worth a workgroup.
const LEAST_SHARE: u32 = 32u;

var<workgroup> place: i32;
var<workgroup> queries: array<vec4<f32>, ROWS * Q_STRIDE>;
// For each row and key the parts of its product, the first of which becomes the score, then the weight.
var<workgroup> scores: array<f32, ROWS * THREADS>;
var<workgroup> lanes: array<f32, THREADS>;
var<workgroup> shrinks: array<f32, ROWS>;
var<workgroup> sums_of_lanes: array<vec4<f32>, THREADS>;

// The keys that the query at a place sees: the first, and the end.
fn keys_from(at: i32) -> u32 {
    return select(0u, u32(clamp(at + FIRST_KEY, 0i, i32(K_WIDTH))), HAS_FIRST_KEY);
}

fn keys_until(at: i32) -> u32 {
    return select(K_WIDTH, u32(clamp(at + LAST_KEY + 1i, 0i, i32(K_WIDTH))), HAS_LAST_KEY);
}

@compute @workgroup_size(THREADS, 1, 1)
fn attention_cached(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let split = group.x;
    let b = group.z;
    let kv_head = group.y / ROW_BLOCKS;
    let first_row = group.y % ROW_BLOCKS * ROWS;
    if local == 0u {
        // Far from the ends of i32, beyond which sums of places would wrap.
        place = clamp(position_scalar(b, 0u, 0u, 0u), -1073741824i, 1073741823i);
    }
    for (var i = local; i < ROWS * Q_STRIDE; i += THREADS) {
        let row = min(first_row + i / Q_STRIDE, ALL_ROWS - 1u);
        let slice = i % Q_STRIDE;
        let value = q_read(b, kv_head * SHARING + row % SHARING, row / SHARING, min(slice, Q_SLICES - 1u));
        queries[i] = select(vec4<f32>(0.0), value, slice < Q_SLICES);
    }
    let first = workgroupUniformLoad(&place);
    let last_row = min(first_row + ROWS, ALL_ROWS) - 1u;
    let all_begin = keys_from(first + i32(first_row / SHARING)) / 4u * 4u;
    let all_end = max(keys_until(first + i32(last_row / SHARING)), all_begin);
    let share = max(((all_end - all_begin + SPLITS - 1u) / SPLITS + 3u) / 4u * 4u, LEAST_SHARE);
    let begin = all_begin + split * share;
    let end = min(begin + share, all_end);

    // The row whose softmax this invocation shares.
    let own_row = local / LANES;
    let lane = local % LANES;
    let row = min(first_row + own_row, ALL_ROWS - 1u);
    let head = kv_head * SHARING + row % SHARING;
    let m = row / SHARING;
    let own_from = keys_from(first + i32(m));
    let own_until = keys_until(first + i32(m));
    // The slice of values that it sums up.
    let value_slice = local % V_SLICES;
    let key_lane = local / V_SLICES;

    var sums: array<vec4<f32>, ROWS>;
    for (var u_r = 0u; u_r < ROWS; u_r++) {
        sums[u_r] = vec4<f32>(0.0);
    }
    var largest = LOWEST;
    var whole = 0.0;
    for (var base = begin; base < end; base += TILE) {
        let own_key = local / KEY_PARTS;
        let key_part = local % KEY_PARTS;
        let key = min(base + own_key, K_WIDTH - 1u);
        let count = min(TILE, end - base);
        // The values of the first keys, whose weights are not known yet.
        var first_values: array<vec4<f32>, BATCH>;
        for (var u_i = 0u; u_i < BATCH; u_i++) {
            first_values[u_i] = vec4<f32>(0.0);
        }
        if key_lane < KEY_LANES {
            for (var u_i = 0u; u_i < BATCH; u_i++) {
                let own = key_lane + u_i * KEY_LANES;
                let value = v_read(b, kv_head, min(base + own, K_WIDTH - 1u), value_slice);
                // A weight of zero does not make a number of what is none.
                first_values[u_i] = select(vec4<f32>(0.0), value, own < count);
            }
        }
        var products: array<vec4<f32>, ROWS>;
        for (var u_r = 0u; u_r < ROWS; u_r++) {
            products[u_r] = vec4<f32>(0.0);
        }
        if base + own_key < end {
            for (var c = 0u; c < K_BATCHES; c++) {
                var got: array<vec4<f32>, BATCH>;
                let first_slice = (c * KEY_PARTS + key_part) * BATCH;
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let slice = first_slice + u_i;
                    let value = k_read(b, kv_head, key, min(slice, K_SLICES - 1u));
                    got[u_i] = select(vec4<f32>(0.0), value, K_SLICES == Q_STRIDE || slice < K_SLICES);
                }
                for (var u_r = 0u; u_r < ROWS; u_r++) {
                    for (var u_i = 0u; u_i < BATCH; u_i++) {
                        products[u_r] += queries[u_r * Q_STRIDE + first_slice + u_i] * got[u_i];
                    }
                }
            }
        }
        for (var u_r = 0u; u_r < ROWS; u_r++) {
            let sum = products[u_r];
            scores[u_r * THREADS + local] = (sum.x + sum.y) + (sum.z + sum.w);
        }
        workgroupBarrier();

        // Scores, and the largest of each invocation.
        var peak = LOWEST;
        for (var slice = lane; slice < TILE / 4u; slice += LANES) {
            let at = own_row * THREADS + slice * (4u * KEY_PARTS);
            var raw = vec4<f32>(0.0);
            for (var u_p = 0u; u_p < KEY_PARTS; u_p++) {
                raw += vec4<f32>(scores[at + u_p], scores[at + KEY_PARTS + u_p],
                    scores[at + 2u * KEY_PARTS + u_p], scores[at + 3u * KEY_PARTS + u_p]);
            }
            let places = vec4<u32>(base + slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
            let live = (places < vec4<u32>(min(own_until, end))) & (places >= vec4<u32>(own_from));
            let made = value_of(b, head, m, min(base / 4u + slice, KEY_SLICES - 1u), raw);
            let score = select(vec4<f32>(LOWEST), made, live);
            peak = max(peak, max(max(score.x, score.y), max(score.z, score.w)));
            scores[at] = score.x;
            scores[at + KEY_PARTS] = score.y;
            scores[at + 2u * KEY_PARTS] = score.z;
            scores[at + 3u * KEY_PARTS] = score.w;
        }
        lanes[local] = peak;
        workgroupBarrier();
        var most = largest;
        for (var other = own_row * LANES; other < own_row * LANES + min(LANES, TILE / 4u); other++) {
            most = max(most, lanes[other]);
        }
        let shrink = exp2((largest - most) * EXPONENT);
        whole *= shrink;
        largest = most;
        for (var slice = lane; slice < TILE / 4u; slice += LANES) {
            let at = own_row * THREADS + slice * (4u * KEY_PARTS);
            let places = vec4<u32>(base + slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
            let live = (places < vec4<u32>(min(own_until, end))) & (places >= vec4<u32>(own_from));
            let score = vec4<f32>(scores[at], scores[at + KEY_PARTS], scores[at + 2u * KEY_PARTS], scores[at + 3u * KEY_PARTS]);
            let weight = select(vec4<f32>(0.0), exp2((score - most) * EXPONENT), live);
            whole += (weight.x + weight.y) + (weight.z + weight.w);
            scores[at] = weight.x;
            scores[at + KEY_PARTS] = weight.y;
            scores[at + 2u * KEY_PARTS] = weight.z;
            scores[at + 3u * KEY_PARTS] = weight.w;
        }
        if lane == 0u {
            shrinks[own_row] = shrink;
        }
        workgroupBarrier();

        for (var u_r = 0u; u_r < ROWS; u_r++) {
            sums[u_r] *= shrinks[u_r];
        }
        if key_lane < KEY_LANES {
            for (var u_r = 0u; u_r < ROWS; u_r++) {
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let own = min(key_lane + u_i * KEY_LANES, TILE - 1u);
                    sums[u_r] += scores[u_r * THREADS + own * KEY_PARTS] * first_values[u_i];
                }
            }
            for (var at = key_lane + KEY_LANES * BATCH; at < count; at += KEY_LANES * BATCH) {
                var got: array<vec4<f32>, BATCH>;
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let own = at + u_i * KEY_LANES;
                    let value = v_read(b, kv_head, min(base + own, K_WIDTH - 1u), value_slice);
                    // A weight of zero does not make a number of what is none.
                    got[u_i] = select(vec4<f32>(0.0), value, own < count);
                }
                for (var u_r = 0u; u_r < ROWS; u_r++) {
                    for (var u_i = 0u; u_i < BATCH; u_i++) {
                        let own = min(at + u_i * KEY_LANES, TILE - 1u);
                        sums[u_r] += scores[u_r * THREADS + own * KEY_PARTS] * got[u_i];
                    }
                }
            }
        }
        workgroupBarrier();
    }

    lanes[local] = whole;
    workgroupBarrier();
    if lane == 0u && first_row + own_row < ALL_ROWS {
        var sum = 0.0;
        for (var other = local; other < local + LANES; other++) {
            sum += lanes[other];
        }
        stats_write(b, head, m * SPLITS + split, 0u, vec4<f32>(largest, sum, 0.0, 0.0));
    }
    for (var u_r = 0u; u_r < ROWS; u_r++) {
        sums_of_lanes[local] = sums[u_r];
        workgroupBarrier();
        if key_lane == 0u && first_row + u_r < ALL_ROWS {
            var sum = vec4<f32>(0.0);
            for (var other = local; other < V_SLICES * KEY_LANES; other += V_SLICES) {
                sum += sums_of_lanes[other];
            }
            let at = first_row + u_r;
            made_write(b, kv_head * SHARING + at % SHARING, at / SHARING * SPLITS + split, value_slice, sum);
        }
        workgroupBarrier();
    }
}
