// A search that leaves both loops early, and one that skips.
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read_write> src: array<i32, 35>;
@group(0) @binding(1) var<storage, read_write> dst: array<u32, 5>;

@compute @workgroup_size(5)
fn first_repeat(@builtin(local_invocation_index) row: u32) {
    var found = NONE;
    for (var i = 0u; i < 7u; i += 1u) {
        let value = src[row * 7u + i];
        if value < 0 {
            continue;
        }
        var other = i + 1u;
        loop {
            if other >= 7u {
                break;
            }
            if src[row * 7u + other] == value {
                found = i;
                break;
            }
            continuing {
                other += 1u;
            }
        }
        if found != NONE {
            break;
        }
    }
    switch found {
        case 0u: { dst[row] = 1u; }
        case NONE: { dst[row] = 0u; }
        default: { dst[row] = found * 2u; }
    }
}
