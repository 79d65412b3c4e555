// Joins what SPLITS workgroups of attention_cached made of one query: each of their sums counts by how its largest score
// stands to the largest of all. A workgroup for each query of each head; PARTS invocations share a slice of the result. All that is
// read is asked for before any of it is used.

const LOWEST: f32 = -3.4028234e38;
const THREADS: u32 = WORKGROUP_X;
const PARTS: u32 = THREADS / DST_SLICES;
// Shares that an invocation joins.
const OWN: u32 = (SPLITS + PARTS - 1u) / PARTS;

var<workgroup> peaks: array<f32, SPLITS>;
var<workgroup> wholes: array<f32, SPLITS>;
var<workgroup> sums: array<vec4<f32>, THREADS>;

@compute @workgroup_size(THREADS, 1, 1)
fn attention_merge(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let m = group.x;
    let head = group.y;
    let b = group.z;
    let s = local % DST_SLICES;
    let part = local / DST_SLICES;
    var made: array<vec4<f32>, OWN>;
    for (var u_i = 0u; u_i < OWN; u_i++) {
        made[u_i] = made_read(b, head, m * SPLITS + min(part + u_i * PARTS, SPLITS - 1u), s);
    }
    if local < SPLITS {
        let stats = stats_read(b, head, m * SPLITS + local, 0u);
        peaks[local] = stats.x;
        wholes[local] = stats.y;
    }
    workgroupBarrier();
    var largest = LOWEST;
    for (var split = 0u; split < SPLITS; split++) {
        largest = max(largest, peaks[split]);
    }
    var sum = vec4<f32>(0.0);
    for (var u_i = 0u; u_i < OWN; u_i++) {
        let split = part + u_i * PARTS;
        if split < SPLITS {
            sum += made[u_i] * exp2((peaks[split] - largest) * EXPONENT);
        }
    }
    sums[local] = sum;
    workgroupBarrier();
    if part == 0u {
        var whole = 0.0;
        for (var split = 0u; split < SPLITS; split++) {
            whole += wholes[split] * exp2((peaks[split] - largest) * EXPONENT);
        }
        for (var other = local + DST_SLICES; other < PARTS * DST_SLICES; other += DST_SLICES) {
            sum += sums[other];
        }
        let inverse = select(1.0 / whole, 0.0, UNSEEN_IS_ZERO && whole == 0.0);
        dst_write(b, head, m, s, sum * inverse);
    }
}
