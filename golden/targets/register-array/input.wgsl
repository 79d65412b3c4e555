// A 4x4 register tile of a matrix product, indexed by loops that are not unrolled.
@group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>, 12>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec4<f32>, 12>;
@group(1) @binding(0) var<storage, read> b: array<vec4<f32>, 12>;

const OFFSETS: array<u32, 4> = array<u32, 4>(0u, 3u, 6u, 9u);

@compute @workgroup_size(3)
fn outer_products(@builtin(global_invocation_id) id: vec3<u32>) {
    var rows: array<vec4<f32>, 4>;
    for (var k = 0u; k < 3u; k += 1u) {
        let left = a[id.x * 4u + k];
        let right = b[id.x * 4u + k];
        for (var row = 0u; row < 4u; row += 1u) {
            rows[row] = fma(vec4<f32>(left[row]), right, rows[row]);
        }
    }
    for (var row = 0u; row < 4u; row += 1u) {
        var offsets = OFFSETS;
        dst[id.x + offsets[row]] = rows[row];
    }
}
