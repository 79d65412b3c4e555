// Transposes 8x8 tiles through workgroup memory. The tile has the type of a whole buffer of tiles' element, so SPIR-V
// needs that type twice: with a memory layout and without.
struct Tile {
    rows: array<array<f32, 8>, 8>,
}

@group(0) @binding(0) var<storage, read_write> src: array<Tile, 3>;
@group(0) @binding(1) var<storage, read_write> dst: array<Tile, 3>;

var<workgroup> tile: Tile;

@compute @workgroup_size(8, 8)
fn transpose(
    @builtin(local_invocation_id) at: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    tile.rows[at.y][at.x] = src[group.x].rows[at.y][at.x];
    workgroupBarrier();
    dst[group.x].rows[at.y][at.x] = tile.rows[at.x][at.y];
}
