// The place of the first query among the keys: zero, or what is known when the model runs. One of four, since matrices are loaded
// from multiples of sixteen bytes, wherever a driver puts this.
var<workgroup> shared_first: array<i32, 4>;

fn place_of_first(b: u32, local: u32) -> i32 {
    if HAS_POSITION {
        if local == 0u {
            // Far from the ends of i32, beyond which sums of places would wrap.
            shared_first[0] = clamp(position_scalar(b, 0u, 0u, 0u), -1073741824i, 1073741823i);
        }
        return workgroupUniformLoad(&shared_first[0]);
    } else {
        return 0i;
    }
}

// The keys that query m sees by its place: the first, and the end.
fn keys_from(m: u32, first: i32) -> u32 {
    return select(0u, u32(clamp(i32(m) + (first + FIRST_KEY), 0i, i32(K_WIDTH))), HAS_FIRST_KEY);
}

fn keys_until(m: u32, first: i32) -> u32 {
    return select(K_WIDTH, u32(clamp(i32(m) + (first + LAST_KEY + 1i), 0i, i32(K_WIDTH))), HAS_LAST_KEY);
}
