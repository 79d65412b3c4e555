// Sum of each row by one subgroup per row; a row has 70 values, so the last step of the loop is partial.
const COLUMNS: u32 = 70u;

@group(0) @binding(0) var<storage, read_write> src: array<f32, 350>;
@group(0) @binding(1) var<storage, read_write> dst: array<f32, 5>;

@compute @workgroup_size(32)
fn row_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let row = group.x;
    var sum = 0.0;
    for (var column = lane; column < COLUMNS; column += lanes) {
        sum += src[row * COLUMNS + column];
    }
    let total = subgroupAdd(sum);
    let largest = subgroupMax(total);
    let first = subgroupBroadcastFirst(largest);
    let neighbour = subgroupShuffleXor(sum, 1u);
    if lane == 0u {
        dst[row] = select(first, neighbour, neighbour > first);
    }
}
