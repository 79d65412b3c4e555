// Attention without a matrix of scores: FlashAttention's online softmax (arXiv 2205.14135, algorithm 1). LANES invocations
// share a query, ROWS queries a workgroup; each invocation takes every LANES-th slice of four keys and keeps the query, the
// largest score, the sum of weights and the weighted sum of values in registers. At the end the LANES parts are merged.
// STAGED puts a tile of keys and values into workgroup memory, from where all queries read them. Keys that no query of the
// workgroup sees by its place (FIRST_KEY and LAST_KEY, distances from the query) are not read.

const LOWEST: f32 = -3.4028234e38;
const THREADS: u32 = WORKGROUP_X;
const LANES: u32 = THREADS / ROWS;
const BATCH: u32 = 8u;
const KEY_SLICES: u32 = (K_WIDTH + 3u) / 4u;
// One vector more than a row has, so that rows are in different banks.
const K_STRIDE: u32 = K_SLICES + 1u;
const V_STRIDE: u32 = V_SLICES + 1u;

var<workgroup> k_tile: array<vec4<f32>, TILE * K_STRIDE>;
var<workgroup> v_tile: array<vec4<f32>, TILE * V_STRIDE>;
var<workgroup> peaks: array<f32, THREADS>;
var<workgroup> wholes: array<f32, THREADS>;
var<workgroup> parts: array<vec4<f32>, THREADS>;

// Slice c of key `key`, which is number `at` of the tile.
fn k_at(place: vec2<u32>, key: u32, at: u32, c: u32) -> vec4<f32> {
    if STAGED {
        return k_tile[at * K_STRIDE + c];
    } else {
        return k_read(place.x, place.y, min(key, K_WIDTH - 1u), c);
    }
}

// Values of a key that there is not are zero: its weight is, and zero times infinity is none.
fn v_of(place: vec2<u32>, end: u32, key: u32, c: u32) -> vec4<f32> {
    let value = v_read(place.x, place.y, min(key, K_WIDTH - 1u), c);
    return select(vec4<f32>(0.0), value, K_WIDTH % TILE == 0u && !HAS_POSITION || key < end);
}

fn v_at(place: vec2<u32>, end: u32, key: u32, at: u32, c: u32) -> vec4<f32> {
    if STAGED {
        return v_tile[at * V_STRIDE + c];
    } else {
        return v_of(place, end, key, c);
    }
}

fn product(place: vec2<u32>, key: u32, at: u32, query: ptr<function, array<vec4<f32>, Q_SLICES>>) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var u_c = 0u; u_c < Q_SLICES; u_c++) {
        sum += (*query)[u_c] * k_at(place, key, at, u_c);
    }
    return (sum.x + sum.y) + (sum.z + sum.w);
}

@compute @workgroup_size(THREADS, 1, 1)
fn attention_rows(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let b = group.z;
    let head = group.y;
    let place = vec2<u32>(b, head / SHARING);
    let lane = local / ROWS;
    let row = group.x * ROWS + local % ROWS;
    let m = min(row, Q_WIDTH - 1u);
    let place_first = place_of_first(b, local);
    var query: array<vec4<f32>, Q_SLICES>;
    for (var u_c = 0u; u_c < Q_SLICES; u_c++) {
        query[u_c] = q_read(b, head, m, u_c);
    }
    var sums: array<vec4<f32>, V_SLICES>;
    for (var u_c = 0u; u_c < V_SLICES; u_c++) {
        sums[u_c] = vec4<f32>(0.0);
    }
    var largest = LOWEST;
    var whole = 0.0;
    let keys_begin = keys_from(group.x * ROWS, place_first) / 4u * 4u;
    let keys_end = keys_until(min(group.x * ROWS + ROWS, Q_WIDTH) - 1u, place_first);
    // Nothing has been written behind the last key that is seen.
    let value_end = select(K_WIDTH, keys_end, HAS_POSITION);
    for (var first = keys_begin; first < keys_end; first += TILE) {
        if STAGED {
            // Many reads at once, so that their waits overlap.
            for (var i = local; i < TILE * K_SLICES; i += THREADS * BATCH) {
                var got: array<vec4<f32>, BATCH>;
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let at = i + u_i * THREADS;
                    got[u_i] = k_read(place.x, place.y, min(first + at / K_SLICES, K_WIDTH - 1u), at % K_SLICES);
                }
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let at = i + u_i * THREADS;
                    if at < TILE * K_SLICES {
                        k_tile[at / K_SLICES * K_STRIDE + at % K_SLICES] = got[u_i];
                    }
                }
            }
            for (var i = local; i < TILE * V_SLICES; i += THREADS * BATCH) {
                var got: array<vec4<f32>, BATCH>;
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let at = i + u_i * THREADS;
                    got[u_i] = v_of(place, value_end, first + at / V_SLICES, at % V_SLICES);
                }
                for (var u_i = 0u; u_i < BATCH; u_i++) {
                    let at = i + u_i * THREADS;
                    if at < TILE * V_SLICES {
                        v_tile[at / V_SLICES * V_STRIDE + at % V_SLICES] = got[u_i];
                    }
                }
            }
            workgroupBarrier();
        }
        let slices = select(TILE / 4u, min(TILE / 4u, (keys_end - first + 3u) / 4u), HAS_LAST_KEY);
        for (var slice = lane; slice < slices; slice += LANES) {
            let at = slice * 4u;
            let key = first + at;
            let raw = vec4<f32>(
                product(place, key, at, &query),
                product(place, key + 1u, at + 1u, &query),
                product(place, key + 2u, at + 2u, &query),
                product(place, key + 3u, at + 3u, &query),
            );
            let places = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u);
            let live = (places < vec4<u32>(keys_until(m, place_first)))
                & select(vec4<bool>(true), places >= vec4<u32>(keys_from(m, place_first)), HAS_FIRST_KEY);
            let score = select(
                vec4<f32>(LOWEST), value_of(b, head, m, min(key / 4u, KEY_SLICES - 1u), raw), live);
            let peak = max(max(score.x, score.y), max(score.z, score.w));
            if peak > largest {
                let shrink = exp2((largest - peak) * EXPONENT);
                for (var u_c = 0u; u_c < V_SLICES; u_c++) {
                    sums[u_c] *= shrink;
                }
                whole *= shrink;
                largest = peak;
            }
            let weight = select(vec4<f32>(0.0), exp2((score - largest) * EXPONENT), live);
            whole += (weight.x + weight.y) + (weight.z + weight.w);
            for (var u_c = 0u; u_c < V_SLICES; u_c++) {
                sums[u_c] += weight.x * v_at(place, value_end, key, at, u_c);
                sums[u_c] += weight.y * v_at(place, value_end, key + 1u, at + 1u, u_c);
                sums[u_c] += weight.z * v_at(place, value_end, key + 2u, at + 2u, u_c);
                sums[u_c] += weight.w * v_at(place, value_end, key + 3u, at + 3u, u_c);
            }
        }
        if STAGED {
            workgroupBarrier();
        }
    }
    var factor = 1.0;
    if LANES > 1u {
        peaks[local] = largest;
        wholes[local] = whole;
        workgroupBarrier();
        var most = LOWEST;
        for (var other = local % ROWS; other < THREADS; other += ROWS) {
            most = max(most, peaks[other]);
        }
        whole = 0.0;
        for (var other = local % ROWS; other < THREADS; other += ROWS) {
            whole += wholes[other] * exp2((peaks[other] - most) * EXPONENT);
        }
        factor = exp2((largest - most) * EXPONENT);
    }
    let inverse = select(1.0 / whole, 0.0, UNSEEN_IS_ZERO && whole == 0.0);
    for (var u_c = 0u; u_c < V_SLICES; u_c++) {
        var sum = sums[u_c];
        if LANES > 1u {
            parts[local] = sum * factor;
            workgroupBarrier();
            sum = vec4<f32>(0.0);
            if lane == u_c % LANES {
                for (var other = local % ROWS; other < THREADS; other += ROWS) {
                    sum += parts[other];
                }
            }
            workgroupBarrier();
        }
        if row < Q_WIDTH && lane == u_c % LANES {
            dst_write(b, head, row, u_c, sum * inverse);
        }
    }
}
