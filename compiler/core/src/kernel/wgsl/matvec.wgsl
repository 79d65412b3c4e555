// Few rows times a matrix: an invocation makes one slice of one row from every WORKGROUP_Y-th slice of k; the parts are
// added up through workgroup memory. Neighbours read neighbouring columns.

var<workgroup> partial: array<vec4<f32>, WORKGROUP_X * WORKGROUP_Y>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, 1)
fn matvec(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let slice = group.x * WORKGROUP_X + local.x;
    let column = min(slice, DST_SLICES - 1u);
    let m = group.y;
    let y = group.z % DST_HEIGHT;
    let b = group.z / DST_HEIGHT;
    var sum = vec4<f32>(0.0);
    for (var k = local.y; k < A_SLICES; k += WORKGROUP_Y) {
        let value = a_read(b, y, m, k);
        let row = k * 4u;
        sum += value.x * b_read(b, y, row, column);
        if K_ALIGNED || row + 1u < B_WIDTH { sum += value.y * b_read(b, y, row + 1u, column); }
        if K_ALIGNED || row + 2u < B_WIDTH { sum += value.z * b_read(b, y, row + 2u, column); }
        if K_ALIGNED || row + 3u < B_WIDTH { sum += value.w * b_read(b, y, row + 3u, column); }
    }
    partial[local.y * WORKGROUP_X + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && slice < DST_SLICES {
        var total = partial[local.x];
        for (var part = 1u; part < WORKGROUP_Y; part++) {
            total += partial[part * WORKGROUP_X + local.x];
        }
        dst_write(b, y, m, slice, total);
    }
}
