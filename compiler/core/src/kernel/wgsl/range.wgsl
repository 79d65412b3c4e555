// START, START + DELTA, and so on.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn range(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_SLICES {
        let place = vec4<SCALAR>(vec4<u32>(index * 4u) + vec4<u32>(0u, 1u, 2u, 3u));
        dst_write(0u, 0u, 0u, index, START + place * DELTA);
    }
}
