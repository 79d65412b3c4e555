// Half precision in memory only: four halves are two words.
@group(0) @binding(0) var<storage, read_write> src: array<vec2<u32>, 15>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec2<u32>, 15>;

@compute @workgroup_size(15)
fn square(@builtin(local_invocation_index) index: u32) {
    let words = src[index];
    let value = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
    let squared = value * value;
    dst[index] = vec2<u32>(pack2x16float(squared.xy), pack2x16float(squared.zw));
}
