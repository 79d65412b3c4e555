//! Constants that one binding of the profile `small-bindings` cannot hold.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "large/gather-rows",
        "@t: f32[20,24] = random(1)\n%i: i64[2,3]\n%1 = gather @t, %i {axis=0}\nreturn %1",
    ),
    case(
        "large/gather-rows-of-three",
        "@t: f32[70,3] = random(1)\n%i: i64[5]\n%1 = gather @t, %i {axis=0} epilogue(neg)\nreturn %1",
    ),
    case("large/matrix", "%a: f32[9,16]\n@b: f32[16,24] = random(5)\n%1 = matmul %a, @b\nreturn %1"),
    case(
        "large/matrix-of-odd-columns",
        "%a: f32[2,17]\n@b: f32[17,22] = random(5)\n%1 = matmul %a, @b epilogue(relu)\nreturn %1",
    ),
    case(
        "large/filters",
        "%x: f32[1,5,9,7]\n@w: f32[6,5,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1]}\nreturn %1",
    ),
    case(
        "large/operand",
        "%x: f32[2,13,12]\n@c: f32[13,12] = random(1)\n%1 = exp %x epilogue(add @c)\nreturn %1",
    ),
];
