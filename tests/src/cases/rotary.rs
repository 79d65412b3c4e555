//! Rotary embeddings: pairs apart and side by side, parts of the channels, pairs that are no whole slices, and angles that repeat.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "rotary/halves",
        "%x: f32[1,3,2,16]\n%c: f32[1,1,2,8]\n%s: f32[1,1,2,8]\n%1 = rotary %x, %c, %s {turned=16}\nreturn %1",
    ),
    golden(
        "rotary/neighbours-of-a-part",
        "%x: f32[1,2,3,10]\n%c: f32[1,1,3,3]\n%s: f32[1,1,3,3]\n%1 = rotary %x, %c, %s {turned=6, interleaved=true}\nreturn %1",
    ),
    case(
        "rotary/angles-of-channels-and-batches",
        "%x: f32[2,3,4,24]\n%c: f32[2,1,4,16]\n%s: f32[2,1,4,16]\n%1 = rotary %x, %c, %s {turned=16}\nreturn %1",
    ),
    case(
        "rotary/pairs-of-no-whole-slices",
        "%x: f32[2,5,7]\n%c: f32[1,5,3]\n%s: f32[1,5,3]\n%y: f32[3,12]\n@d: f32[1,10] = random(1)\n@t: f32[3,10] = random(2)\n\
         %1 = rotary %x, %c, %s {turned=6}\n%2 = rotary %y, @d, @d {turned=10}\n\
         %3 = rotary %y, @t, @t {turned=10, interleaved=true}\nreturn %1, %2, %3",
    ),
    case(
        "rotary/parts-of-a-product",
        "%x: f32[1,3,8]\n@w: f32[8,64] = random(1)\n%c: f32[1,1,3,8]\n%s: f32[1,1,3,8]\n%p = matmul %x, @w\n\
         %h = reshape %p {shape=[1,3,4,16]}\n%q = slice %h {axes=[2], starts=[0], steps=[1], counts=[3]}\n\
         %k = slice %h {axes=[2], starts=[3], steps=[1], counts=[1]}\n%a = transpose %q {perm=[0,2,1,3]}\n\
         %b = transpose %k {perm=[0,2,1,3]}\n%1 = rotary %a, %c, %s {turned=16}\n%2 = rotary %b, %c, %s {turned=16}\nreturn %1, %2",
    ),
    case("rotary/a-pair", "%x: f32[2]\n%c: f32[1]\n%s: f32[1]\n%1 = rotary %x, %c, %s {turned=2}\nreturn %1"),
    case(
        "special/rotary",
        "%x: f32[5,8]\n%c: f32[5,4]\n%s: f32[5,4]\n%1 = rotary %x, %c, %s {turned=8}\n%2 = rotary %x, %c, %s {turned=8, interleaved=true}\nreturn %1, %2",
    ),
];
