//! The first kernels: element-wise chains, products, convolutions, rows and data movement.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    // Element-wise chains.
    golden(
        "elementwise/chain-c5-b2",
        "%x: f32[2,3,4,5]\n%y: f32[2,3,4,5]\n%1 = add %x, %y epilogue(relu; mul %x; tanh)\nreturn %1",
    ),
    case("elementwise/one-element", "%x: f32[1,1,1,1]\n%1 = exp %x epilogue(neg)\nreturn %1"),
    case("elementwise/scalar-rank-0", "%x: f32[]\n%1 = sigmoid %x\nreturn %1"),
    case("elementwise/broadcast-both-ways", "%x: f32[2,1,4,1]\n%y: f32[3,1,6]\n%1 = mul %x, %y\nreturn %1"),
    case(
        "elementwise/activations",
        "%x: f32[3,8]\n%1 = gelu %x\n%2 = gelu_tanh %x\n%3 = silu %x\n%4 = erf %x\n%5 = sigmoid %x\n%6 = clip %x {min=-1.0, max=1.5}\nreturn %1, %2, %3, %4, %5, %6",
    ),
    case(
        "elementwise/rounding",
        "%x: f32[2,7]\n%1 = round %x\n%2 = floor %x\n%3 = ceil %x\n%4 = sign %x\n%5 = abs %x\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "elementwise/masks",
        "%x: f32[2,5]\n%m: bool[2,5]\n@low: f32[] = -100.0\n%1 = select %m, %x, @low\n%2 = not %m\n%3 = select %2, %1, %x\nreturn %1, %3",
    ),
    case(
        "elementwise/integers",
        "%i: i64[3,4]\n%j: i64[4]\n%1 = add %i, %j\n%2 = cast %1 {to=f32}\n%3 = greater %i, %j\nreturn %1, %2, %3",
    ),
    case(
        "elementwise/power",
        "%x: f32[2,6]\n@two: f32[] = 2.0\n@three: f32[] = 3.0\n%1 = pow %x, @two\n%2 = pow %x, @three\nreturn %1, %2",
    ),
    case("elementwise/expand", "%x: f32[3,1]\n%1 = expand %x {shape=[2,3,4]}\nreturn %1"),
    // Matrix products.
    golden(
        "matmul_tiled/m33-k20-n28-bias",
        "%a: f32[33,20]\n%b: f32[20,28]\n@c: f32[28] = random(3)\n%1 = matmul %a, %b epilogue(add @c)\nreturn %1",
    ),
    case(
        "matmul_tiled/odd-everything-b2",
        "%a: f32[2,3,9,7]\n%b: f32[2,3,7,5]\n%1 = matmul %a, %b\nreturn %1",
    ),
    case("matmul_tiled/batch-broadcast", "%a: f32[2,3,9,8]\n%b: f32[3,8,12]\n%1 = matmul %a, %b\nreturn %1"),
    case("matmul_tiled/one", "%a: f32[5,1]\n%b: f32[1,1]\n%1 = matmul %a, %b\nreturn %1"),
    case(
        "matmul_tiled/large-tiles",
        "%a: f32[130,36]\n@b: f32[36,140] = random(5)\n%1 = matmul %a, @b\nreturn %1",
    ),
    case(
        "matmul_tiled/transposed-activation",
        "%a: f32[2,9,7]\n%b: f32[2,6,7]\n%1 = matmul %a, %b {transpose_b=true}\nreturn %1",
    ),
    case(
        "matmul_tiled/transposed-constant",
        "%a: f32[9,7]\n@b: f32[6,7] = random(9)\n%1 = matmul %a, @b {transpose_b=true} epilogue(gelu)\nreturn %1",
    ),
    case(
        "matmul_cooperative/whole-tiles-b2",
        "%a: f32[2,128,64]\n@b: f32[64,128] = random(5)\n%1 = matmul %a, @b epilogue(relu)\nreturn %1",
    ),
    case("matvec/one-row", "%a: f32[1,40]\n@b: f32[40,30] = random(4)\n%1 = matmul %a, @b\nreturn %1"),
    golden(
        "matvec/two-rows-k7",
        "%a: f32[2,7]\n@b: f32[7,9] = random(4)\n%1 = matmul %a, @b epilogue(relu)\nreturn %1",
    ),
    case(
        "matvec/transposed",
        "%a: f32[1,24]\n@b: f32[10,24] = random(4)\n%1 = matmul %a, @b {transpose_b=true}\nreturn %1",
    ),
    // Convolutions.
    golden(
        "conv_generic/3x3-c5-to-6-stride2",
        "%x: f32[1,5,9,7]\n@w: f32[6,5,3,3] = random(1)\n@b: f32[6] = random(2)\n%1 = conv %x, @w, @b {strides=[2,2], pads=[1,1,1,1]} epilogue(clip {min=0.0, max=6.0})\nreturn %1",
    ),
    case(
        "conv_generic/pointwise-chain-residual",
        "%x: f32[2,8,5,6]\n@w: f32[12,8,1,1] = random(1)\n@v: f32[12,12,3,3] = random(2)\n%1 = conv %x, @w epilogue(relu)\n%2 = conv %1, @v {pads=[1,1,1,1]} epilogue(add %1)\nreturn %2",
    ),
    case(
        "conv_generic/one-pixel",
        "%x: f32[1,1,1,1]\n@w: f32[1,1,1,1] = random(1)\n%1 = conv %x, @w\nreturn %1",
    ),
    case(
        "conv_generic/dilated-asymmetric",
        "%x: f32[1,4,8,11]\n@w: f32[8,4,3,2] = random(1)\n%1 = conv %x, @w {strides=[1,2], pads=[2,0,1,1], dilations=[2,3]}\nreturn %1",
    ),
    case(
        "conv_generic/groups-of-4",
        "%x: f32[1,8,5,4]\n@w: f32[16,4,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1], groups=2}\nreturn %1",
    ),
    case(
        "conv_generic/groups-of-3",
        "%x: f32[1,6,5,4]\n@w: f32[4,3,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1], groups=2}\nreturn %1",
    ),
    case(
        "conv_generic/signal",
        "%x: f32[2,5,16]\n@w: f32[7,5,3] = random(1)\n%1 = conv %x, @w {strides=[2], pads=[1,1]}\nreturn %1",
    ),
    case(
        "conv_generic/deep-split",
        "%x: f32[1,64,3,3]\n@w: f32[8,64,1,1] = random(1)\n@v: f32[64,8,1,1] = random(2)\n%1 = conv %x, @w epilogue(relu)\n%2 = conv %1, @v epilogue(add %x)\nreturn %2",
    ),
    golden(
        "conv_depthwise/3x3-c6-b2",
        "%x: f32[2,6,5,7]\n@w: f32[6,1,3,3] = random(1)\n@b: f32[6] = random(2)\n%1 = conv %x, @w, @b {strides=[2,1], pads=[1,1,1,1], groups=6} epilogue(clip {min=0.0, max=6.0})\nreturn %1",
    ),
    // Rows.
    golden("softmax/c5", "%x: f32[2,3,5]\n%1 = softmax %x {axis=2}\nreturn %1"),
    case(
        "softmax/wide-rows-scaled",
        "%x: f32[3,1030]\n@s: f32[] = 0.5\n%1 = mul %x, @s\n%2 = softmax %1 {axis=1}\nreturn %2",
    ),
    case("softmax/one", "%x: f32[4,1]\n%1 = softmax %x {axis=1}\nreturn %1"),
    golden(
        "layer_norm/c10",
        "%x: f32[2,3,10]\n@s: f32[10] = random(1)\n@b: f32[10] = random(2)\n%1 = layer_norm %x, @s, @b {axis=2, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "layer_norm/two-axes",
        "%x: f32[3,4,6]\n@s: f32[4,6] = random(1)\n%1 = layer_norm %x, @s {axis=1, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "reduce/mean-image",
        "%x: f32[2,6,7,5]\n%1 = reduce_mean %x {axes=[2,3], keep_dims=true}\nreturn %1",
    ),
    golden("reduce/sum-last-c7", "%x: f32[3,4,7]\n%1 = reduce_sum %x {axes=[2]}\nreturn %1"),
    case("reduce/max-all", "%x: f32[2,3,5]\n%1 = reduce_max %x {axes=[0,1,2]}\nreturn %1"),
    case(
        "reduce/min-l2",
        "%x: f32[4,3,6]\n%1 = reduce_min %x {axes=[0], keep_dims=true}\n%2 = reduce_l2 %x {axes=[1]}\nreturn %1, %2",
    ),
    // Data.
    case("copy/transpose-heads", "%x: f32[2,5,3,6]\n%1 = transpose %x {perm=[0,2,1,3]}\nreturn %1"),
    case("copy/transpose-last", "%x: f32[3,5,6]\n%1 = transpose %x {perm=[2,0,1]}\nreturn %1"),
    case(
        "copy/slice-backwards",
        "%x: f32[4,9]\n%1 = slice %x {axes=[1], starts=[7], steps=[-2], counts=[3]}\nreturn %1",
    ),
    case(
        "reshape/view-and-copy",
        "%x: f32[2,6,5]\n%1 = relu %x\n%2 = reshape %1 {shape=[2,3,2,5]}\n%3 = transpose %2 {perm=[0,2,1,3]}\nreturn %3",
    ),
    case("gather/rows", "%i: i64[2,3]\n@t: f32[7,10] = random(1)\n%1 = gather @t, %i {axis=0}\nreturn %1"),
    // Of more than a matrix, between nodes that want their own layouts.
    case(
        "gather/batch-of-images",
        "%x: f32[2,5,3,4]\n@i: i64[3] = [1, 0, -1]\n@j: i64[] = 1\n@w: f32[6,5,1,1] = random(1)\n@u: f32[4,7] = random(2)\n\
         %1 = gather %x, @i {axis=0}\n%2 = conv %1, @w\n%3 = gather %x, @j {axis=0}\n%4 = matmul %3, @u\n\
         return %2, %4",
    ),
    case(
        "gather/middle-axis",
        "%x: f32[2,5,3]\n@i: i64[4] = [0, -1, 2, 3]\n%1 = gather %x, @i {axis=1}\nreturn %1",
    ),
    case("gather_nd/pairs", "%x: f32[3,4,5]\n@i: i64[2,2] = [0, 1, 2, -1]\n%1 = gather_nd %x, @i\nreturn %1"),
];
