//! Concatenation, data movement of any rank, and broadcasts over axes that share a coordinate.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "concat/whole-slices-c8-c4",
        "%x: f32[2,3,8]\n%y: f32[2,3,4]\n%1 = concat %x, %y {axis=2}\nreturn %1",
    ),
    golden(
        "concat/inside-a-slice-c3-c6",
        "%x: f32[2,3]\n%y: f32[2,6]\n%1 = concat %x, %y {axis=1}\nreturn %1",
    ),
    case(
        "concat/token-before-patches",
        "%t: f32[2,1,12]\n%x: f32[2,7,12]\n%1 = concat %t, %x {axis=1}\nreturn %1",
    ),
    case("concat/outermost-odd", "%x: f32[1,3,5]\n%y: f32[2,3,5]\n%1 = concat %x, %y {axis=0}\nreturn %1"),
    case("concat/one-element-each", "%x: f32[1,1,1,1]\n%1 = concat %x, %x {axis=1}\nreturn %1"),
    case(
        "concat/images-c5-c3-b2",
        "%x: f32[2,5,3,4]\n%y: f32[2,3,3,4]\n@w: f32[6,8,3,3] = random(1)\n@v: f32[5,5,1,1] = random(2)\n%1 = conv %x, @v\n%2 = concat %1, %y {axis=1}\n%3 = conv %2, @w {pads=[1,1,1,1]}\nreturn %3",
    ),
    case(
        "concat/images-c8-c4",
        "%x: f32[1,8,3,5]\n%y: f32[1,4,3,5]\n@w: f32[8,8,1,1] = random(1)\n@v: f32[4,4,1,1] = random(2)\n%1 = conv %x, @w\n%2 = conv %y, @v\n%3 = concat %1, %2 {axis=1}\n%4 = concat %1, %1 {axis=2}\n%5 = concat %2, %2 {axis=3}\nreturn %3, %4, %5",
    ),
    case(
        "concat/with-a-constant",
        "%x: f32[3,4]\n@c: f32[3,3] = random(7)\n%1 = concat %x, @c, %x {axis=1}\nreturn %1",
    ),
    case(
        "concat/nine-parts-of-one",
        "%x: f32[3,1]\n%y: f32[3,2]\n%1 = concat %x, %y, %x, %y, %x, %y, %x, %y, %x {axis=1}\nreturn %1",
    ),
    case(
        "concat/nine-tensors",
        "%a: f32[2,4]\n%b: f32[2,8]\n%c: f32[2,3]\n%d: f32[2,4]\n%e: f32[2,1]\n%f: f32[2,4]\n%g: f32[2,4]\n%h: f32[2,5]\n%i: f32[2,2]\n%1 = concat %a, %b, %a, %d, %b, %f, %g, %a, %b {axis=1}\n%2 = concat %a, %b, %c, %d, %e, %f, %g, %h, %i {axis=1}\n%3 = concat %c, %c, %c, %c, %c, %c, %c, %c, %c {axis=0}\nreturn %1, %2, %3",
    ),
    case(
        "concat/integers-and-bools",
        "%i: i64[2,3]\n%j: i64[2,4]\n%m: bool[3]\n%1 = concat %i, %j {axis=1}\n%2 = concat %m, %m {axis=0}\nreturn %1, %2",
    ),
    case(
        "concat/rank-6",
        "%x: f32[1,2,3,2,1,5]\n%y: f32[1,2,3,1,1,5]\n%1 = concat %x, %y {axis=3}\nreturn %1",
    ),
    // Data movement.
    golden("strided/split-heads", "%x: f32[2,5,3,8]\n%1 = transpose %x {perm=[0,2,1,3]}\nreturn %1"),
    golden(
        "strided/pixel-unshuffle-rank-6",
        "%x: f32[2,3,4,2,5,2]\n%1 = transpose %x {perm=[0,1,3,5,2,4]}\nreturn %1",
    ),
    case(
        "strided/rank-5-windows",
        "%x: f32[2,2,3,4,8]\n%1 = transpose %x {perm=[0,1,3,2,4]}\n%2 = transpose %x {perm=[4,2,0,3,1]}\nreturn %1, %2",
    ),
    case(
        "strided/rank-7-everything-moves",
        "%x: f32[2,3,2,1,2,3,4]\n%1 = transpose %x {perm=[6,5,4,3,2,1,0]}\nreturn %1",
    ),
    case(
        "strided/slices",
        "%x: f32[3,4,16]\n%1 = slice %x {axes=[2], starts=[8], counts=[8]}\n%2 = slice %x {axes=[2], starts=[3], counts=[8]}\n%3 = slice %x {axes=[0,2], starts=[2,15], steps=[-1,-3], counts=[3,5]}\n%4 = slice %x {axes=[1], starts=[1], counts=[1]}\nreturn %1, %2, %3, %4",
    ),
    case(
        "strided/slice-of-rank-5",
        "%x: f32[2,3,2,3,4]\n%1 = slice %x {axes=[1,3], starts=[2,0], steps=[-2,1], counts=[2,2]}\nreturn %1",
    ),
    case(
        "strided/images",
        "%x: f32[2,6,5,7]\n@w: f32[8,6,1,1] = random(1)\n%1 = conv %x, @w\n%2 = transpose %1 {perm=[0,2,3,1]}\n%3 = slice %1 {axes=[1], starts=[4], counts=[4]}\n%4 = slice %1 {axes=[1,2], starts=[1,0], steps=[2,2], counts=[3,3]}\nreturn %2, %3, %4",
    ),
    golden(
        "copy/image-to-rows",
        "%x: f32[1,6,5,7]\n@w: f32[8,6,1,1] = random(1)\n%1 = conv %x, @w\n%2 = transpose %1 {perm=[0,2,3,1]}\nreturn %2",
    ),
    case(
        "strided/integers",
        "%x: i64[2,3,4]\n%m: bool[2,3]\n%1 = transpose %x {perm=[2,0,1]}\n%2 = transpose %m {perm=[1,0]}\n%3 = slice %x {axes=[2], starts=[1], counts=[2]}\nreturn %1, %2, %3",
    ),
    golden("transpose_tiled/m36-n20-b2", "%x: f32[2,20,36]\n%1 = transpose %x {perm=[0,2,1]}\nreturn %1"),
    case("transpose_tiled/odd-rows", "%x: f32[40,33]\n%1 = transpose %x {perm=[1,0]}\nreturn %1"),
    case(
        "transpose_tiled/outer-axes",
        "%x: f32[2,3,20,2,36]\n%1 = transpose %x {perm=[1,4,0,3,2]}\n%2 = slice %x {axes=[4], starts=[4], counts=[32]}\n%3 = transpose %2 {perm=[3,1,4,0,2]}\nreturn %1, %3",
    ),
    // Reductions of any rank.
    case(
        "reduce/rank-5-middle",
        "%x: f32[2,3,2,3,5]\n%1 = reduce_mean %x {axes=[1,2], keep_dims=true}\n%2 = reduce_max %x {axes=[0,4]}\nreturn %1, %2",
    ),
    case(
        "reduce/dropped-axis-epilogue",
        "%x: f32[2,3,5]\n%y: f32[2,3]\n%1 = reduce_sum %x {axes=[2]} epilogue(add %y)\n%2 = reduce_sum %x {axes=[1]} epilogue(relu)\nreturn %1, %2",
    ),
    case(
        "reduce/alternating-axes-in-steps",
        "%x: f32[2,3,2,3,2,5]\n%y: f32[2,2]\n%1 = reduce_mean %x {axes=[1,3,5]} epilogue(add %y)\n%2 = reduce_l2 %x {axes=[0,2,4], keep_dims=true}\n%3 = reduce_prod %x {axes=[1,3,5], keep_dims=true}\nreturn %1, %2, %3",
    ),
    case(
        "reduce/integers",
        "%i: i64[3,4,5]\n%1 = reduce_sum %i {axes=[2]}\n%2 = reduce_max %i {axes=[0,1], keep_dims=true}\n%3 = neg %i\n%4 = reduce_min %3 {axes=[1]}\n%5 = reduce_max %3 {axes=[2]}\n@one: i64[] = 1\n%6 = add %i, @one\n%7 = reduce_prod %6 {axes=[1]}\nreturn %1, %2, %4, %5, %7",
    ),
    // Broadcasts.
    golden(
        "elementwise/rank-5-broadcast-in-the-middle",
        "%x: f32[2,3,2,3,5]\n%y: f32[2,1,2,1,5]\n%1 = add %x, %y\nreturn %1",
    ),
    case(
        "elementwise/rank-6-alternating",
        "%x: f32[2,3,2,3,2,4]\n%y: f32[2,1,2,1,2,1]\n%z: f32[3,1,3,1,4]\n%1 = mul %x, %y epilogue(add %z)\n%2 = add %y, %z\nreturn %1, %2",
    ),
    case(
        "elementwise/rank-5-rows",
        "%x: f32[2,3,2,3,8]\n%y: f32[2,1,2,1,8]\n%z: f32[8]\n%1 = add %x, %y epilogue(mul %z)\nreturn %1",
    ),
    case(
        "elementwise/expand-rank-5",
        "%x: f32[2,2,1,3,4]\n%1 = expand %x {shape=[2,2,3,3,4]}\n%2 = reshape %1 {shape=[2,6,3,4]}\nreturn %2",
    ),
    case(
        "elementwise/constants-over-merged-axes",
        "%x: f32[2,3,2,3,5]\n@c: f32[3,1,3,1] = random(3)\n@d: f32[2,1,2,1,1] = random(4)\n%1 = mul %x, @c epilogue(sub @d)\nreturn %1",
    ),
    case(
        "elementwise/integer-power",
        "%i: i64[3,4]\n%j: i64[4]\n@c: i64[] = 5\n@d: i64[] = -1\n%1 = pow %i, %j\n%2 = pow %i, @c epilogue(add @c)\n%3 = mul %j, @d\n%4 = sub %i, @c\n%5 = pow %4, %j\n%6 = min %4, @d\n%7 = pow %6, %3\nreturn %1, %2, %5, %7",
    ),
    case(
        "elementwise/integer-literals",
        "%i: i64[3,5]\n@a: i64[] = 1000000007\n@b: i64[] = 3\n%1 = mul %i, @a\n%2 = greater %i, @b epilogue(select @a, @b)\nreturn %1, %2",
    ),
    case(
        "gather/broadcast-epilogue",
        "%x: f32[2,5,3,4]\n@i: i64[2,3] = [0, -1, 2, 3, 1, 1]\n%y: f32[2,1,3,3,4]\n%1 = gather %x, @i {axis=1} epilogue(add %y)\nreturn %1",
    ),
    case(
        "reshape/rank-6-to-4",
        "%x: f32[2,8,3,5]\n@w: f32[8,8,1,1] = random(1)\n%1 = conv %x, @w\n%2 = reshape %1 {shape=[2,2,2,2,3,5]}\n%3 = transpose %2 {perm=[0,3,4,1,5,2]}\n%4 = reshape %3 {shape=[2,2,6,10]}\nreturn %4",
    ),
];
