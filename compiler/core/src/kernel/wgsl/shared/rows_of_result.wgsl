// Batch, height and width of row m of a product's result.
fn place_of(z: u32, m: u32) -> vec3<u32> {
    if PIXELS {
        let inner = select(m, m / OUT_BATCH, BATCH_INNERMOST);
        let b = select(m / (OUT_WIDTH * OUT_HEIGHT), m % OUT_BATCH, BATCH_INNERMOST);
        return vec3<u32>(b, inner / OUT_WIDTH % OUT_HEIGHT, inner % OUT_WIDTH);
    } else {
        return vec3<u32>(z / OUT_HEIGHT, z % OUT_HEIGHT, m);
    }
}
