//! Tensors without elements: what follows from them is known, and nothing is dispatched for them.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "empty/reductions",
        "%x: f32[3,0,4]\n%1 = reduce_sum %x {axes=[1], keep_dims=true}\n%2 = reduce_prod %x {axes=[1], keep_dims=false}\n%3 = reduce_l2 %x {axes=[0,1], keep_dims=true}\n%4 = add %1, %3\nreturn %2, %4",
    ),
    case(
        "empty/extremes",
        "%x: f32[2,0]\n%1 = reduce_max %x {axes=[1], keep_dims=true}\n%2 = reduce_min %x {axes=[1], keep_dims=true}\nreturn %1, %2",
    ),
    case(
        "empty/product-of-no-terms",
        "%a: f32[3,0]\n%b: f32[0,5]\n%c: f32[5]\n%1 = matmul %a, %b\n%2 = add %1, %c\n%3 = matmul %a, %b epilogue(add %c; relu)\nreturn %2, %3",
    ),
    case(
        "empty/batch-of-no-images",
        "%x: f32[0,3,5,5]\n@w: f32[4,3,3,3] = random(1)\n%1 = conv %x, @w\n%2 = relu %1\n%3 = reduce_sum %2 {axes=[0], keep_dims=true}\nreturn %2, %3",
    ),
    case(
        "empty/images-of-no-channels",
        "%x: f32[2,0,5,5]\n%w: f32[4,0,3,3]\n@b: f32[4] = random(1)\n%1 = conv %x, %w, @b\nreturn %1",
    ),
    case("empty/padded", "%x: f32[2,0]\n%1 = pad %x {value=3.0, pads=[1,2,0,1]}\n%2 = tanh %1\nreturn %2"),
    case(
        "empty/parts",
        "%p: f32[1,2,0,4]\n%k: f32[1,2,3,4]\n%1 = concat %p, %k {axis=2}\n%2 = concat %p, %k, %p {axis=2}\n%3 = concat %p, %p {axis=2}\nreturn %1, %2, %3",
    ),
    case(
        "empty/no-past",
        "%pk: f32[1,2,0,4]\n%pv: f32[1,2,0,4]\n%q: f32[1,2,3,4]\n%k: f32[1,2,3,4]\n%v: f32[1,2,3,4]\n%1 = concat %pk, %k {axis=2}\n%2 = transpose %1 {perm=[0,1,3,2]}\n%3 = matmul %q, %2\n%4 = softmax %3 {axis=3}\n%5 = concat %pv, %v {axis=2}\n%6 = matmul %4, %5\nreturn %6, %1",
    ),
    case(
        "empty/no-keys",
        "%q: f32[2,3,4]\n%k: f32[2,0,4]\n%v: f32[2,0,6]\n%1 = matmul %q, %k {transpose_b=true}\n%2 = softmax %1 {axis=2}\n%3 = matmul %2, %v\nreturn %3",
    ),
    case(
        "empty/nothing-taken",
        "%x: f32[4,3]\n%i: i64[0]\n%1 = gather %x, %i {axis=0}\n%2 = exp %1\n%3 = reduce_sum %2 {axes=[0], keep_dims=true}\n%4 = slice %x {axes=[0], starts=[2], counts=[0]}\n%5 = transpose %4 {perm=[1,0]}\nreturn %3, %2, %5",
    ),
    case(
        "empty/nothing-updated",
        "%x: f32[4,3]\n%i: i64[0,1]\n%u: f32[0,3]\n%1 = scatter_nd %x, %i, %u\n%2 = tanh %1\nreturn %2",
    ),
    case(
        "empty/arithmetic",
        "%x: f32[0,4]\n%y: f32[1,4]\n%m: bool[0,1]\n%1 = add %x, %y\n%2 = select %m, %1, %y\n%3 = softmax %2 {axis=1}\n%4 = reshape %3 {shape=[4,0]}\n%5 = cast %4 {to=i64}\nreturn %3, %5",
    ),
    case(
        "empty/integers",
        "%x: i64[2,0]\n%1 = reduce_sum %x {axes=[1], keep_dims=true}\n%2 = cumsum %x {axis=1}\n%3 = reduce_prod %x {axes=[0,1], keep_dims=false}\nreturn %1, %2, %3",
    ),
];
