enable f16;
enable wgpu_cooperative_matrix;
// Attention without a matrix of scores, on cooperative matrices of f16 with f32 sums: FlashAttention's online softmax
// (arXiv 2205.14135, algorithm 1). A subgroup owns as many queries as it has invocations. It multiplies them with a tile of
// keys, and the scores pass through workgroup memory, where each invocation finds the row of its own query: the softmax
// needs no exchange. Weights go back as f16 and are multiplied with the tile of values.
//
// Weights are relative to the largest score at the time when the sums were last scaled. The sums are matrices in registers,
// so they are scaled only when a score of the workgroup exceeds its row's by more than SLACK, which is rare after the first
// tile: until then weights stay below e^SLACK, at most, and their quotient is the same.
//
// Tiles of keys and values have two places each. The two barriers around the vote on scaling order all of it: a tile of
// keys is stored before them, where all have read the keys before last, a tile of values behind them, where all have
// read the values before last.
//
// Where queries are few, PARTS subgroups share the same ones: each takes every PARTS-th tile, and they are merged at the end.
//
// Steps whose keys no query of the workgroup sees by its place (FIRST_KEY and LAST_KEY, distances from the query) are left out.

const LOWEST: f32 = -3.4028234e38;
const SLACK: f32 = 8.0;
const THREADS: u32 = WORKGROUP_X;
const PIECES_M: u32 = SUBGROUP_SIZE / 16u;
const PIECES_K: u32 = (Q_SLICES + 3u) / 4u;
const PIECES_V: u32 = (V_SLICES + 3u) / 4u;
const PIECES_N: u32 = TILE / 16u;
const TILE_SLICES: u32 = TILE / 4u;
// Queries of a workgroup, and keys of a step.
const ROWS: u32 = THREADS / PARTS;
const SPAN: u32 = TILE * PARTS;
const KEY_SLICES: u32 = (K_WIDTH + 3u) / 4u;
const STEPS: u32 = (K_WIDTH + SPAN - 1u) / SPAN;
const K_LOADS: u32 = (SPAN * PIECES_K * 4u + THREADS - 1u) / THREADS;
const V_LOADS: u32 = (SPAN * PIECES_V * 4u + THREADS - 1u) / THREADS;

// Rows are sixteen bytes apart from a multiple of eight times as much, so that those of a piece are in different banks.
const K_STRIDE: u32 = PIECES_K * 4u + 2u;
const V_STRIDE: u32 = PIECES_V * 4u + 2u;
const SCORE_STRIDE: u32 = TILE_SLICES + 1u;
const WEIGHT_STRIDE: u32 = TILE_SLICES + 2u;
var<workgroup> k_tile: array<vec4<f16>, 2u * SPAN * K_STRIDE>;
var<workgroup> v_tile: array<vec4<f16>, 2u * SPAN * V_STRIDE>;
var<workgroup> scores: array<vec4<f32>, THREADS * SCORE_STRIDE>;
var<workgroup> weights: array<vec4<f16>, THREADS * WEIGHT_STRIDE>;
// Number of the last tile, counted from one, that made the sums too small. One of four, since matrices are loaded from
// multiples of sixteen bytes, wherever a driver puts this.
var<workgroup> vote: array<atomic<u32>, 4>;

// Whether all keys of all steps are seen.
const ALL_LIVE: bool = K_WIDTH % SPAN == 0u && !HAS_FIRST_KEY && !HAS_LAST_KEY;

fn are_live(m: u32, first: i32, slice: u32) -> vec4<bool> {
    let places = vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return (places < vec4<u32>(keys_until(m, first)))
        & select(vec4<bool>(true), places >= vec4<u32>(keys_from(m, first)), HAS_FIRST_KEY);
}

fn fetch_k(next: ptr<function, array<vec4<f16>, K_LOADS>>, place: vec2<u32>, step: u32, local: u32) {
    for (var u_i = 0u; u_i < K_LOADS; u_i++) {
        let at = u_i * THREADS + local;
        let key = step * SPAN + at / (PIECES_K * 4u);
        let slice = at % (PIECES_K * 4u);
        let inside = select(min(key, K_WIDTH - 1u), key, K_WIDTH % SPAN == 0u);
        let value = k_load(place.x, place.y, inside, min(slice, K_SLICES - 1u));
        (*next)[u_i] = select(vec4<f16>(), value, K_SLICES % 4u == 0u || slice < K_SLICES);
    }
}

fn store_k(next: ptr<function, array<vec4<f16>, K_LOADS>>, first: u32, local: u32) {
    for (var u_i = 0u; u_i < K_LOADS; u_i++) {
        let at = u_i * THREADS + local;
        if SPAN * PIECES_K * 4u % THREADS == 0u || at < SPAN * PIECES_K * 4u {
            k_tile[first + at / (PIECES_K * 4u) * K_STRIDE + at % (PIECES_K * 4u)] = (*next)[u_i];
        }
    }
}

// Values behind the last key are zero, since their weights would not make others so.
fn fetch_v(
    next: ptr<function, array<vec4<f16>, V_LOADS>>,
    place: vec2<u32>,
    end: u32,
    step: u32,
    local: u32,
) {
    for (var u_i = 0u; u_i < V_LOADS; u_i++) {
        let at = u_i * THREADS + local;
        let key = step * SPAN + at / (PIECES_V * 4u);
        let slice = at % (PIECES_V * 4u);
        let inside = select(min(key, K_WIDTH - 1u), key, K_WIDTH % SPAN == 0u);
        let value = v_load(place.x, place.y, inside, min(slice, V_SLICES - 1u));
        let exists = (V_SLICES % 4u == 0u || slice < V_SLICES) && (K_WIDTH % SPAN == 0u && !HAS_POSITION || key < end);
        (*next)[u_i] = select(vec4<f16>(), value, exists);
    }
}

fn store_v(next: ptr<function, array<vec4<f16>, V_LOADS>>, first: u32, local: u32) {
    for (var u_i = 0u; u_i < V_LOADS; u_i++) {
        let at = u_i * THREADS + local;
        if SPAN * PIECES_V * 4u % THREADS == 0u || at < SPAN * PIECES_V * 4u {
            v_tile[first + at / (PIECES_V * 4u) * V_STRIDE + at % (PIECES_V * 4u)] = (*next)[u_i];
        }
    }
}

@compute @workgroup_size(THREADS, 1, 1)
fn attention_cooperative(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let b = group.z;
    let head = group.y;
    let place = vec2<u32>(b, head / SHARING);
    let part = local / ROWS;
    let row = group.x * ROWS + local % ROWS;
    let m = min(row, Q_WIDTH - 1u);
    let subgroup = local / SUBGROUP_SIZE;
    let scores_first = subgroup * SUBGROUP_SIZE * SCORE_STRIDE;
    let weights_first = subgroup * SUBGROUP_SIZE * WEIGHT_STRIDE;
    let own_scores = local * SCORE_STRIDE;
    let own_weights = local * WEIGHT_STRIDE;

    // The queries, sixteen channels at a time through the place of the weights.
    var queries: array<coop_mat16x16<f16, A>, PIECES_M * PIECES_K>;
    for (var u_k = 0u; u_k < PIECES_K; u_k++) {
        for (var u_i = 0u; u_i < 4u; u_i++) {
            let slice = u_k * 4u + u_i;
            let value = q_load(b, head, m, min(slice, Q_SLICES - 1u));
            weights[own_weights + u_i] = select(vec4<f16>(), value, slice < Q_SLICES);
        }
        subgroupBarrier();
        for (var u_m = 0u; u_m < PIECES_M; u_m++) {
            let at = weights_first + u_m * 16u * WEIGHT_STRIDE;
            queries[u_m * PIECES_K + u_k] = coopLoadT<coop_mat16x16<f16, A>>(&weights[at], WEIGHT_STRIDE);
        }
        subgroupBarrier();
    }
    var sums: array<coop_mat16x16<f32, C>, PIECES_M * PIECES_V>;
    for (var u_i = 0u; u_i < PIECES_M * PIECES_V; u_i++) {
        sums[u_i] = coop_mat16x16<f32, C>();
    }
    let place_first = place_of_first(b, local);
    var reference = LOWEST;
    var whole = 0.0;
    var k_next: array<vec4<f16>, K_LOADS>;
    var v_next: array<vec4<f16>, V_LOADS>;
    let first_step = min(keys_from(group.x * ROWS, place_first) / SPAN, STEPS - 1u);
    let keys_end = keys_until(min(group.x * ROWS + ROWS, Q_WIDTH) - 1u, place_first);
    let end_step = (keys_end + SPAN - 1u) / SPAN;
    // Nothing has been written behind the last key that is seen.
    let value_end = select(K_WIDTH, keys_end, HAS_POSITION);
    fetch_k(&k_next, place, first_step, local);
    fetch_v(&v_next, place, value_end, first_step, local);
    store_k(&k_next, first_step % 2u * (SPAN * K_STRIDE), local);
    store_v(&v_next, first_step % 2u * (SPAN * V_STRIDE), local);
    if local == 0u {
        atomicStore(&vote[0], 0u);
    }
    workgroupBarrier();
    for (var step = first_step; step < end_step; step++) {
        let k_first = (step % 2u * PARTS + part) * (TILE * K_STRIDE);
        let v_first = (step % 2u * PARTS + part) * (TILE * V_STRIDE);
        if step + 1u < end_step {
            fetch_k(&k_next, place, step + 1u, local);
            fetch_v(&v_next, place, value_end, step + 1u, local);
        }
        for (var u_n = 0u; u_n < PIECES_N; u_n++) {
            var made: array<coop_mat16x16<f32, C>, PIECES_M>;
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                made[u_m] = coop_mat16x16<f32, C>();
            }
            for (var u_k = 0u; u_k < PIECES_K; u_k++) {
                let at = k_first + u_n * 16u * K_STRIDE + u_k * 4u;
                let keys = coopLoad<coop_mat16x16<f16, B>>(&k_tile[at], K_STRIDE);
                for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                    made[u_m] = coopMultiplyAdd(queries[u_m * PIECES_K + u_k], keys, made[u_m]);
                }
            }
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = scores_first + u_m * 16u * SCORE_STRIDE + u_n * 4u;
                coopStoreT(made[u_m], &scores[at], SCORE_STRIDE);
            }
        }
        subgroupBarrier();
        var kept: array<vec4<f32>, TILE_SLICES>;
        var most = vec4<f32>(LOWEST);
        for (var u_s = 0u; u_s < TILE_SLICES; u_s++) {
            let slice = (step * PARTS + part) * TILE_SLICES + u_s;
            let at = select(min(slice, KEY_SLICES - 1u), slice, K_WIDTH % SPAN == 0u);
            let live = are_live(m, place_first, slice);
            let score = value_of(b, head, m, at, scores[own_scores + u_s]);
            kept[u_s] = select(vec4<f32>(LOWEST), score, live | vec4<bool>(ALL_LIVE));
            most = max(most, kept[u_s]);
        }
        let peak = max(max(most.x, most.y), max(most.z, most.w));
        if peak > reference + SLACK {
            atomicMax(&vote[0], step + 1u);
        }
        if step + 1u < end_step {
            store_k(&k_next, (step + 1u) % 2u * (SPAN * K_STRIDE), local);
        }
        let last_vote = workgroupUniformLoad(&vote[0]);
        if last_vote == step + 1u {
            let next = max(reference, peak);
            let shrink = exp2((reference - next) * EXPONENT);
            reference = next;
            whole *= shrink;
            if step > first_step {
                for (var u_v = 0u; u_v < PIECES_V; u_v += PIECES_N) {
                    for (var u_n = u_v; u_n < min(u_v + PIECES_N, PIECES_V); u_n++) {
                        for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                            let at = scores_first + u_m * 16u * SCORE_STRIDE + (u_n - u_v) * 4u;
                            coopStoreT(sums[u_m * PIECES_V + u_n], &scores[at], SCORE_STRIDE);
                        }
                    }
                    subgroupBarrier();
                    for (var u_s = 0u; u_s < min(PIECES_N, PIECES_V - u_v) * 4u; u_s++) {
                        scores[own_scores + u_s] *= shrink;
                    }
                    subgroupBarrier();
                    for (var u_n = u_v; u_n < min(u_v + PIECES_N, PIECES_V); u_n++) {
                        for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                            let at = scores_first + u_m * 16u * SCORE_STRIDE + (u_n - u_v) * 4u;
                            sums[u_m * PIECES_V + u_n] = coopLoadT<coop_mat16x16<f32, C>>(&scores[at], SCORE_STRIDE);
                        }
                    }
                    subgroupBarrier();
                }
            }
        }
        if step + 1u < end_step {
            store_v(&v_next, (step + 1u) % 2u * (SPAN * V_STRIDE), local);
        }
        var total = vec4<f32>(0.0);
        for (var u_s = 0u; u_s < TILE_SLICES; u_s++) {
            let slice = (step * PARTS + part) * TILE_SLICES + u_s;
            let live = are_live(m, place_first, slice);
            let weight = select(
                vec4<f32>(0.0), exp2((kept[u_s] - reference) * EXPONENT), live | vec4<bool>(ALL_LIVE));
            total += weight;
            weights[own_weights + u_s] = vec4<f16>(weight);
        }
        whole += (total.x + total.y) + (total.z + total.w);
        subgroupBarrier();
        for (var u_k = 0u; u_k < PIECES_N; u_k++) {
            var rows: array<coop_mat16x16<f16, A>, PIECES_M>;
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = weights_first + u_m * 16u * WEIGHT_STRIDE + u_k * 4u;
                rows[u_m] = coopLoadT<coop_mat16x16<f16, A>>(&weights[at], WEIGHT_STRIDE);
            }
            for (var u_v = 0u; u_v < PIECES_V; u_v++) {
                let at = v_first + u_k * 16u * V_STRIDE + u_v * 4u;
                let values = coopLoadT<coop_mat16x16<f16, B>>(&v_tile[at], V_STRIDE);
                for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                    sums[u_m * PIECES_V + u_v] = coopMultiplyAdd(rows[u_m], values, sums[u_m * PIECES_V + u_v]);
                }
            }
        }
    }
    let own_row = local % ROWS * SCORE_STRIDE;
    var factor = 1.0;
    if PARTS > 1u {
        scores[own_scores] = vec4<f32>(reference, whole, 0.0, 0.0);
        workgroupBarrier();
        var most = LOWEST;
        for (var u_p = 0u; u_p < PARTS; u_p++) {
            most = max(most, scores[u_p * (ROWS * SCORE_STRIDE) + own_row].x);
        }
        whole = 0.0;
        for (var u_p = 0u; u_p < PARTS; u_p++) {
            let other = scores[u_p * (ROWS * SCORE_STRIDE) + own_row];
            whole += other.y * exp2((other.x - most) * EXPONENT);
        }
        factor = exp2((reference - most) * EXPONENT);
    }
    let inverse = select(1.0 / whole, 0.0, UNSEEN_IS_ZERO && whole == 0.0);
    for (var u_v = 0u; u_v < PIECES_V; u_v += PIECES_N) {
        // All have read what is stored over now.
        if PARTS > 1u {
            workgroupBarrier();
        } else {
            subgroupBarrier();
        }
        for (var u_n = u_v; u_n < min(u_v + PIECES_N, PIECES_V); u_n++) {
            for (var u_m = 0u; u_m < PIECES_M; u_m++) {
                let at = scores_first + u_m * 16u * SCORE_STRIDE + (u_n - u_v) * 4u;
                coopStoreT(sums[u_m * PIECES_V + u_n], &scores[at], SCORE_STRIDE);
            }
        }
        subgroupBarrier();
        if PARTS > 1u {
            for (var u_s = 0u; u_s < min(PIECES_N, PIECES_V - u_v) * 4u; u_s++) {
                scores[own_scores + u_s] *= factor;
            }
            workgroupBarrier();
        }
        for (var u_s = 0u; u_s < min(PIECES_N, PIECES_V - u_v) * 4u; u_s++) {
            let slice = u_v * 4u + u_s;
            if row < Q_WIDTH && slice < V_SLICES && part == u_s % PARTS {
                var sum = vec4<f32>(0.0);
                for (var u_p = 0u; u_p < PARTS; u_p++) {
                    sum += scores[u_p * (ROWS * SCORE_STRIDE) + own_row + u_s];
                }
                dst_write(b, head, row, slice, sum * inverse);
            }
        }
    }
}
