// Rotary position embedding (arXiv 2104.09864) of the channels of each row: one invocation per slice of the result.

fn slice_of(part: u32, b: u32, y: u32, x: u32, s: u32) -> vec4<f32> {
    return src_read(b, y, x, s);
}

fn channel_of(part: u32, b: u32, y: u32, x: u32, c: u32) -> f32 {
    return src_scalar(b, y, x, min(c, SRC_CHANNELS - 1u));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y, WORKGROUP_Z)
fn rotary(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * (GRID_X * WORKGROUP_X) + id.x;
    if index < DST_BATCH * DST_HEIGHT * DST_WIDTH * DST_SLICES {
        let s = index % DST_SLICES;
        let x = index / DST_SLICES % DST_WIDTH;
        let y = index / (DST_SLICES * DST_WIDTH) % DST_HEIGHT;
        let b = index / (DST_SLICES * DST_WIDTH * DST_HEIGHT);
        dst_write(b, y, x, s, turned(0u, b, y, x, s));
    }
}
