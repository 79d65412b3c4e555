// Transposes dense matrices of ROWS x COLUMNS through workgroup memory, so that reads follow the source's rows and writes
// the result's: the source has its rows side by side at the distance SRC_STEP_COLUMN, the result its columns at the
// distance DST_STEP_ROW. Up to six outer axes number the matrices. Distances are in elements; COLUMNS is a multiple of 4.

const TILE: u32 = 32u;
// One more than the tile, so that a column meets every bank.
const PITCH: u32 = 33u;

var<workgroup> tile: array<SCALAR, PITCH * TILE>;

fn outer(matrix: u32, step_0: u32, step_1: u32, step_2: u32, step_3: u32, step_4: u32, step_5: u32) -> u32 {
    return matrix / OUTER_INNER_0 * step_0
        + matrix / OUTER_INNER_1 % OUTER_SIZE_1 * step_1
        + matrix / OUTER_INNER_2 % OUTER_SIZE_2 * step_2
        + matrix / OUTER_INNER_3 % OUTER_SIZE_3 * step_3
        + matrix / OUTER_INNER_4 % OUTER_SIZE_4 * step_4
        + matrix / OUTER_INNER_5 % OUTER_SIZE_5 * step_5;
}

@compute @workgroup_size(WORKGROUP_X, 1, 1)
fn transpose_tiled(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let number = min(group.y * GRID_X + group.x, GROUPS - 1u);
    let first_column = number % TILES_COLUMN * TILE;
    let first_row = number / TILES_COLUMN % TILES_ROW * TILE;
    let matrix = number / (TILES_COLUMN * TILES_ROW);
    let src_base = START + outer(matrix, SRC_OUTER_0, SRC_OUTER_1, SRC_OUTER_2, SRC_OUTER_3, SRC_OUTER_4, SRC_OUTER_5);
    let dst_base = outer(matrix, DST_OUTER_0, DST_OUTER_1, DST_OUTER_2, DST_OUTER_3, DST_OUTER_4, DST_OUTER_5);
    let along = local % 8u * 4u;
    let across = local / 8u;
    let read_column = min(first_column + across, COLUMNS - 1u);
    let src_row = src_base + read_column * SRC_STEP_COLUMN;
    if READ_VECTORS {
        let values = src_read(0u, 0u, 0u, (src_row + min(first_row + along, ROWS - 4u)) / 4u);
        for (var u_lane = 0u; u_lane < 4u; u_lane++) {
            tile[across * PITCH + along + u_lane] = values[u_lane];
        }
    } else {
        for (var u_lane = 0u; u_lane < 4u; u_lane++) {
            tile[across * PITCH + along + u_lane] =
                src_scalar(0u, 0u, src_row + min(first_row + along + u_lane, ROWS - 1u), 0u);
        }
    }
    workgroupBarrier();
    let row = first_row + across;
    let column = first_column + along;
    if row < ROWS && column < COLUMNS && group.y * GRID_X + group.x < GROUPS {
        dst_write(0u, 0u, 0u, (dst_base + row * DST_STEP_ROW + column) / 4u, vec4<SCALAR>(
            tile[along * PITCH + across],
            tile[(along + 1u) * PITCH + across],
            tile[(along + 2u) * PITCH + across],
            tile[(along + 3u) * PITCH + across]));
    }
}
