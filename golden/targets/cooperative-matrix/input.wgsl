// One 8x8 block of a 16x16 product per subgroup; the second operand goes through workgroup memory.
enable wgpu_cooperative_matrix;

@group(0) @binding(0) var<storage, read_write> a: array<f32, 256>;
@group(0) @binding(1) var<storage, read_write> dst: array<f32, 256>;
@group(1) @binding(0) var<storage, read> b: array<f32, 256>;

var<workgroup> block: array<f32, 64>;

@compute @workgroup_size(32)
fn product(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = coop_mat8x8<f32, C>();
    for (var k = 0u; k < 16u; k += 8u) {
        for (var i = lane; i < 64u; i += 32u) {
            block[i] = b[(k + i / 8u) * 16u + group.x * 8u + i % 8u];
        }
        workgroupBarrier();
        let left = coopLoadT<coop_mat8x8<f32, A>>(&a[group.y * 128u + k], 16u);
        let right = coopLoadT<coop_mat8x8<f32, B>>(&block[0], 8u);
        sum = coopMultiplyAdd(left, right, sum);
        workgroupBarrier();
    }
    coopStoreT(sum, &dst[group.y * 128u + group.x * 8u], 16u);
}
