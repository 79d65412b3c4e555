//! Slices inside of rows, splits of heads and permutations that stay where they are: read by every kind of kernel, at places
//! that suit vectors and at places that do not, and copied where a kernel needs them dense.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "attention_rows/queries-keys-and-values-of-one-projection",
        "%x: f32[2,5,8]\n%w: f32[8,96]\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %q = slice %p {axes=[2], starts=[0], counts=[32]}\n%k = slice %p {axes=[2], starts=[32], counts=[32]}\n\
         %v = slice %p {axes=[2], starts=[64], counts=[32]}\n%1 = reshape %q {shape=[2,5,4,8]}\n\
         %2 = reshape %k {shape=[2,5,4,8]}\n%3 = reshape %v {shape=[2,5,4,8]}\n\
         %y = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.1)\nreturn %y",
    ),
    case(
        "views/indexed-heads-moved-to-the-front",
        "%x: f32[2,5,8]\n%w: f32[8,96]\n%p = matmul %x, %w epilogue(mul 0.02)\n%r = reshape %p {shape=[2,5,3,4,8]}\n\
         %t = transpose %r {perm=[2,0,3,1,4]}\n%a = slice %t {axes=[0], starts=[0], counts=[1]}\n\
         %b = slice %t {axes=[0], starts=[1], counts=[1]}\n%c = slice %t {axes=[0], starts=[2], counts=[1]}\n\
         %q = reshape %a {shape=[2,4,5,8]}\n%k = reshape %b {shape=[2,4,5,8]}\n%v = reshape %c {shape=[2,4,5,8]}\n\
         %1 = matmul %q, %k {transpose_b=true} epilogue(mul 0.05)\n%2 = softmax %1 {axis=3}\n%y = matmul %2, %v\nreturn %y",
    ),
    case(
        "views/halves-multiplied",
        "%x: f32[2,5,8]\n%w: f32[8,48]\n%p = matmul %x, %w epilogue(mul 0.02)\n%a = slice %p {axes=[2], starts=[0], counts=[24]}\n\
         %b = slice %p {axes=[2], starts=[24], counts=[24]}\n%g = gelu %b\n%y = mul %a, %g\nreturn %y",
    ),
    // One lane off: moved.
    case(
        "views/parts-that-no-vector-begins",
        "%x: f32[2,5,8]\n%w: f32[8,48]\n%p = matmul %x, %w epilogue(mul 0.02)\n%a = slice %p {axes=[2], starts=[1], counts=[24]}\n\
         %b = slice %p {axes=[2], starts=[24], counts=[23]}\n%c = slice %p {axes=[2], starts=[3], counts=[23]}\n\
         %y = mul %a, %a\n%z = mul %b, %c\nreturn %y, %z",
    ),
    case(
        "views/beside-all-of-it",
        "%x: f32[3,5,8]\n%w: f32[8,16]\n@u: f32[8,16] = random(2)\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %a = slice %p {axes=[2], starts=[4], counts=[8]}\n%b = slice %p {axes=[1], starts=[1], counts=[3]}\n\
         %t = tanh %p\n%d = matmul %a, @u epilogue(mul 0.1; add %t)\n%y = reduce_sum %b {axes=[1], keep_dims=true}\n\
         %z = sub %d, %y\nreturn %z",
    ),
    case(
        "views/rows-normalised-and-reduced",
        "%x: f32[2,6,8]\n%w: f32[8,40]\n@s: f32[12] = random(2)\n@c: f32[12] = random(3)\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %a = slice %p {axes=[2], starts=[8], counts=[12]}\n%n = layer_norm %a, @s, @c {axis=2, epsilon=1e-5}\n\
         %m = rms_norm %a, @s {axis=2, epsilon=1e-5}\n%f = softmax %a {axis=2}\n%g = softmax %a {axis=1}\n\
         %h = reduce_max %a {axes=[0,1], keep_dims=true}\n%i = arg_max %a {axis=2, keep_dims=true}\n\
         %1 = add %n, %m\n%2 = add %f, %g\n%3 = add %1, %2\n%y = add %3, %h\nreturn %y, %i",
    ),
    case(
        "views/every-other-row-of-a-slice",
        "%x: f32[2,9,8]\n%w: f32[8,32]\n%p = matmul %x, %w epilogue(mul 0.02)\n%a = slice %p {axes=[2], starts=[8], counts=[16]}\n\
         %b = slice %a {axes=[1], starts=[1], steps=[2], counts=[4]}\n%c = slice %b {axes=[2], starts=[4], counts=[8]}\n\
         %y = exp %b epilogue(mul 0.001)\n%z = mul %c, %c\nreturn %y, %z",
    ),
    case(
        "views/joined-again-in-another-order",
        "%x: f32[2,5,8]\n%w: f32[8,48]\n%p = matmul %x, %w epilogue(mul 0.02)\n%a = slice %p {axes=[2], starts=[0], counts=[16]}\n\
         %b = slice %p {axes=[2], starts=[16], counts=[32]}\n%c = concat %b, %a {axis=2}\n%d = concat %a, %a {axis=1}\n\
         %y = tanh %c\n%z = neg %d\nreturn %y, %z",
    ),
    case(
        "views/axes-that-change-places",
        "%x: f32[3,4,8]\n%w: f32[8,16]\n@u: f32[16,8] = random(2)\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %t = transpose %p {perm=[1,0,2]}\n%m = matmul %t, @u\n%e = mul %t, %t\n%s = reshape %t {shape=[12,16]}\n\
         %r = relu %s\n%q = transpose %t {perm=[2,0,1]}\n%n = neg %q\nreturn %m, %e, %r, %n",
    ),
    case(
        "views/a-column-of-heads-as-a-gate",
        "%x: f32[2,3,4,8]\n%x2: f32[2,4,3,8]\n%g: f32[2,3,1,24]\n%a = slice %g {axes=[3], starts=[8], counts=[8]}\n%y = mul %x, %a\n\
         %b = transpose %x {perm=[0,2,1,3]}\n%z = sub %b, %x2\nreturn %y, %z",
    ),
    case(
        "views/a-slice-of-what-is-written-over",
        "%x: f32[6,8]\n%w: f32[8,64]\n@v: f32[32,8] = random(2)\n@u: f32[64,8] = random(3)\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %a = slice %p {axes=[1], starts=[16], counts=[32]}\n%e = tanh %p\n%1 = matmul %e, @u\n\
         %2 = matmul %a, @v\n%y = add %1, %2\nreturn %y",
    ),
    case(
        "views/gathered-and-looked-up",
        "%x: f32[6,8]\n%w: f32[8,48]\n@i: i64[3] = [4, 0, 5]\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %a = slice %p {axes=[1], starts=[16], counts=[16]}\n%y = gather %a, @i {axis=0}\n\
         %z = pad %a {pads=[1,0,0,3], value=0.5}\nreturn %y, %z",
    ),
    // Whole slices of channels, rows, columns and batches of what is in slices or textures.
    case(
        "views/channels-of-an-image",
        "%x: f32[2,4,6,5]\n@w: f32[24,4,1,1] = random(1)\n@u: f32[6,12,3,3] = random(2)\n@v: f32[5,4,1,1] = random(3)\n\
         @s: f32[8,10,1,1] = random(4)\n%p = conv %x, @w\n%a = slice %p {axes=[1], starts=[8], counts=[12]}\n\
         %b = slice %p {axes=[1], starts=[20], counts=[4]}\n%c = slice %p {axes=[1], starts=[0], counts=[10]}\n\
         %1 = conv %a, @u {pads=[1,1,1,1]}\n%2 = conv %b, @v\n%3 = conv %c, @s\n%4 = mul %a, %a epilogue(mul 0.01)\n\
         %5 = softmax %c {axis=1}\n%6 = concat %b, %a {axis=1}\n%7 = tanh %6\nreturn %1, %2, %3, %4, %5, %7",
    ),
    case(
        "views/rows-columns-and-batches-of-an-image",
        "%x: f32[3,4,6,5]\n@w: f32[12,4,1,1] = random(1)\n@u: f32[6,12,3,3] = random(2)\n@v: f32[5,12,1,1] = random(3)\n\
         %p = conv %x, @w\n%a = slice %p {axes=[2], starts=[2], counts=[3]}\n%b = slice %p {axes=[3], starts=[1], counts=[4]}\n\
         %c = slice %p {axes=[0], starts=[1], counts=[1]}\n%d = slice %a {axes=[1,3], starts=[4,1], counts=[8,2]}\n\
         %1 = conv %a, @u {pads=[1,1,1,1]}\n%2 = conv %b, @v\n%3 = conv %c, @v\n%4 = relu %d\n\
         %5 = pool_max %b {kernel=[2,2]}\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "views/parts-of-rows-in-textures",
        "%x: f32[2,5,8]\n%w: f32[8,48]\n@u: f32[16,6] = random(2)\n%p = matmul %x, %w epilogue(mul 0.02)\n\
         %a = slice %p {axes=[2], starts=[16], counts=[16]}\n%b = slice %p {axes=[2], starts=[32], counts=[16]}\n\
         %g = gelu %b\n%1 = mul %a, %g\n%2 = matmul %a, @u\n%r = slice %p {axes=[1], starts=[3], counts=[2]}\n%3 = neg %r\n\
         %t = transpose %a {perm=[2,0,1]}\n%4 = exp %t epilogue(mul 0.01)\nreturn %1, %2, %3, %4",
    ),
];
