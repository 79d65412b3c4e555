// Weights of four bits, eight to a word, with one scale per row.
@group(0) @binding(0) var<storage, read_write> dst: array<f32, 56>;
@group(1) @binding(0) var<storage, read> words: array<u32, 7>;
@group(1) @binding(1) var<storage, read> scales: array<f32, 7>;

@compute @workgroup_size(7)
fn unpack(@builtin(local_invocation_index) row: u32) {
    let word = words[row];
    for (var i = 0u; i < 8u; i += 1u) {
        let unsigned_value = (word >> (i * 4u)) & 15u;
        let signed_value = extractBits(bitcast<i32>(word), i * 4u, 4u);
        dst[row * 8u + i] = select(f32(unsigned_value) - 8.0, f32(signed_value), row == 6u) * scales[row];
    }
}
