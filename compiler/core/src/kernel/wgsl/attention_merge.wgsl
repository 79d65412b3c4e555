// Joins what SPLITS workgroups of attention_cached made of one query: each of their sums counts by how its largest score
// stands to the largest of all.

const LOWEST: f32 = -3.4028234e38;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn attention_merge(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let m = index / DST_SLICES % DST_WIDTH;
        let head = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        var largest = LOWEST;
        for (var split = 0u; split < SPLITS; split++) {
            largest = max(largest, stats_read(b, head, m * SPLITS + split, 0u).x);
        }
        var whole = 0.0;
        var sum = vec4<f32>(0.0);
        for (var split = 0u; split < SPLITS; split++) {
            let stats = stats_read(b, head, m * SPLITS + split, 0u);
            let factor = exp2((stats.x - largest) * EXPONENT);
            whole += stats.y * factor;
            sum += made_read(b, head, m * SPLITS + split, s) * factor;
        }
        let inverse = select(1.0 / whole, 0.0, UNSEEN_IS_ZERO && whole == 0.0);
        dst_write(b, head, m, s, sum * inverse);
    }
}
