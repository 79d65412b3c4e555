//! Matrix products and convolutions through tiles: every tiling's edges, parts of k, batches and windows. Names start with
//! the kernel; those of `matmul_cooperative` run on `matmul_tiled` where a profile has no cooperative matrices.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    // Products.
    case(
        "matmul_cooperative/rows-197-k-67",
        "%a: f32[1,197,67]\n@b: f32[67,45] = random(5)\n@c: f32[45] = random(6)\n%1 = matmul %a, @b epilogue(add @c; gelu)\nreturn %1",
    ),
    case(
        "matmul_tiled/batches-as-rows",
        "%a: f32[2,3,9,20]\n%r: f32[2,3,9,12]\n@b: f32[20,12] = random(5)\n%1 = matmul %a, @b epilogue(add %r)\nreturn %1",
    ),
    case(
        "matmul_tiled/batches-with-row-operand",
        "%a: f32[2,5,20]\n%r: f32[1,5,12]\n@b: f32[20,12] = random(5)\n%1 = matmul %a, @b epilogue(add %r)\nreturn %1",
    ),
    golden(
        "matmul_tiled/parts-of-k",
        "%a: f32[8,512]\n@b: f32[512,24] = random(5)\n@c: f32[24] = random(6)\n%1 = matmul %a, @b epilogue(add @c; relu)\nreturn %1",
    ),
    case(
        "matmul_cooperative/parts-of-k-n-13-b2",
        "%a: f32[2,6,300]\n%b: f32[2,300,13]\n%1 = matmul %a, %b\nreturn %1",
    ),
    case(
        "matmul_cooperative/attention-scores",
        "%q: f32[2,2,77,40]\n%k: f32[2,2,77,40]\n%1 = matmul %q, %k {transpose_b=true}\nreturn %1",
    ),
    case(
        "matmul_cooperative/attention-values",
        "%p: f32[1,2,50,77]\n%v: f32[1,2,77,80]\n%1 = matmul %p, %v\nreturn %1",
    ),
    golden(
        "matmul_tiled/transposed-parts-of-k",
        "%a: f32[1,9,290]\n%b: f32[1,21,290]\n%1 = matmul %a, %b {transpose_b=true}\nreturn %1",
    ),
    case(
        "matmul_tiled/transposed-constant-batches",
        "%a: f32[2,9,10]\n@b: f32[2,6,10] = random(9)\n%1 = matmul %a, @b {transpose_b=true}\nreturn %1",
    ),
    case(
        "matmul_tiled/wide-tiles",
        "%a: f32[260,20]\n@b: f32[270,20] = random(5)\n%1 = matmul %a, @b {transpose_b=true}\nreturn %1",
    ),
    // Convolutions as products.
    case(
        "matmul_cooperative/conv-3x3-c5-to-12",
        "%x: f32[1,5,9,7]\n@w: f32[12,5,3,3] = random(1)\n@b: f32[12] = random(2)\n%1 = conv %x, @w, @b {strides=[2,1], pads=[1,1,1,1]} epilogue(clip {min=0.0, max=6.0})\nreturn %1",
    ),
    case(
        "matmul_tiled/conv-first-layer-7x7",
        "%x: f32[1,3,30,22]\n@w: f32[20,3,7,7] = random(1)\n%1 = conv %x, @w {strides=[2,2], pads=[3,3,3,3]} epilogue(relu)\nreturn %1",
    ),
    golden(
        "matmul_tiled/conv-1x1-stride-2",
        "%x: f32[2,16,7,6]\n@w: f32[24,16,1,1] = random(1)\n%1 = conv %x, @w {strides=[2,2]}\nreturn %1",
    ),
    case(
        "matmul_cooperative/conv-batch-chain-residual",
        "%x: f32[2,12,5,6]\n@w: f32[16,12,1,1] = random(1)\n@v: f32[16,16,3,3] = random(2)\n@b: f32[16] = random(3)\n%1 = conv %x, @w epilogue(relu)\n%2 = conv %1, @v, @b {pads=[1,1,1,1]} epilogue(add %1)\nreturn %2",
    ),
    case(
        "matmul_cooperative/conv-deep-small-image",
        "%x: f32[1,96,3,3]\n@w: f32[36,96,3,3] = random(1)\n@b: f32[36] = random(2)\n%1 = conv %x, @w, @b {pads=[1,1,1,1]} epilogue(relu)\nreturn %1",
    ),
    case(
        "matmul_tiled/conv-deep-batch-scaled",
        "%x: f32[3,60,2,3]\n%s: f32[3,20,1,1]\n@w: f32[20,60,3,3] = random(1)\n@h: f32[] = 0.02\n%1 = conv %x, @w {pads=[1,1,1,1]} epilogue(mul %s; mul @h)\nreturn %1",
    ),
    case(
        "matmul_tiled/conv-dilated-asymmetric",
        "%x: f32[1,8,8,11]\n@w: f32[10,8,3,2] = random(1)\n%1 = conv %x, @w {strides=[1,2], pads=[2,0,1,1], dilations=[2,3]}\nreturn %1",
    ),
    case(
        "matmul_tiled/conv-signal",
        "%x: f32[2,10,16]\n@w: f32[14,10,3] = random(1)\n%1 = conv %x, @w {strides=[2], pads=[1,1]} epilogue(gelu)\nreturn %1",
    ),
    case(
        "matmul_tiled/conv-wide-image",
        "%x: f32[1,16,40,33]\n@w: f32[16,16,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1]}\nreturn %1",
    ),
    // Rows.
    case("softmax/narrow-77", "%x: f32[3,5,77]\n%1 = softmax %x {axis=2}\nreturn %1"),
    case("softmax/rows-4099", "%x: f32[2,4099]\n%1 = softmax %x {axis=1}\nreturn %1"),
];
