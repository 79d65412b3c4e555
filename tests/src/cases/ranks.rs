//! More axes than a kernel has coordinates, and more workgroups than an axis of a grid has.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("ranks/matmul-both-repeat", "%a: f32[2,1,3,2,4]\n%b: f32[3,1,4,2]\n%1 = matmul %a, %b\nreturn %1"),
    case(
        "ranks/matmul-constant-repeats",
        "%a: f32[2,1,3,2,5]\n@b: f32[3,1,5,7] = random(1)\n%1 = matmul %a, @b\nreturn %1",
    ),
    case(
        "ranks/matmul-batches-of-heads",
        "%a: f32[2,2,3,6,8]\n%b: f32[2,2,3,5,8]\n%c: f32[3,1,5]\n%1 = matmul %a, %b {transpose_b=true} epilogue(add %c)\nreturn %1",
    ),
    case("ranks/matvec-repeats", "%a: f32[2,3,1,1,8]\n%b: f32[3,2,8,4]\n%1 = matmul %a, %b\nreturn %1"),
    case(
        "ranks/pad-constant",
        "%x: f32[2,3,2,2,5]\n%1 = pad %x {value=2.5, pads=[1,0,2,0,1,0,1,0,1,0]}\nreturn %1",
    ),
    case("ranks/pad-edge", "%x: f32[2,3,2,4,5]\n%1 = pad_edge %x {pads=[1,2,0,1,1,1,0,2,1,0]}\nreturn %1"),
    case(
        "ranks/pad-reflect",
        "%x: f32[2,3,2,4,5]\n%y: f32[5]\n%1 = pad_reflect %x {pads=[1,2,0,1,0,1,0,1,0,0]} epilogue(add %y)\nreturn %1",
    ),
    case(
        "ranks/pad-wrap",
        "%x: f32[2,3,2,1,2,3]\n%1 = pad_wrap %x {pads=[0,1,0,0,1,2,1,0,0,0,0,1]}\nreturn %1",
    ),
    case(
        "ranks/resize-five-axes",
        "%x: f32[1,2,3,4,5]\n%1 = resize %x {axes=[0,1,2,3,4], sizes=[2,3,5,2,7], mode=nearest, coordinates=half_pixel}\n%2 = resize %x {axes=[1,2,4], sizes=[3,5,3], mode=linear, coordinates=align_corners}\nreturn %1, %2",
    ),
    case(
        "ranks/pad-one-axis",
        "%x: i64[2,3,2,2,3]\n%1 = pad %x {value=7, pads=[0,1,0,0,0,0,1,0,0,0]}\nreturn %1",
    ),
    case("grids/batches", "%a: f32[66000,1,4]\n%b: f32[66000,4,4]\n%1 = matmul %a, %b\nreturn %1"),
    case(
        "grids/slices",
        "%x: f32[1,262148,1,2]\n@w: f32[262148,1,1,2] = random(1)\n%1 = conv %x, @w {groups=262148}\nreturn %1",
    ),
];
