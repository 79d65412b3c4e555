// Dot products of signed and unsigned bytes, four to a word.
@group(0) @binding(0) var<storage, read_write> src: array<u32, 20>;
@group(0) @binding(1) var<storage, read_write> dst: array<i32, 5>;
@group(1) @binding(0) var<storage, read> weights: array<u32, 4>;

@compute @workgroup_size(5)
fn dots(@builtin(local_invocation_index) row: u32) {
    var sum = 0;
    for (var i = 0u; i < 4u; i += 1u) {
        sum += dot4I8Packed(src[row * 4u + i], weights[i]);
        sum -= i32(dot4U8Packed(weights[i], 0x01010101u));
    }
    dst[row] = sum;
}
