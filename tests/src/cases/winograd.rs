//! Convolutions of 3x3, for the profiles that take Winograd's form wherever it can be: input tiles over every edge, blocks of
//! rows, dead lanes. Other profiles run them directly. An input tile loses what its largest pixel is rounded by, so results are
//! scaled to about one, where the tolerance is absolute.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "winograd/one-pixel",
        "%x: f32[1,1,1,1]\n@w: f32[1,1,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1]}\nreturn %1",
    ),
    case(
        "winograd/c5-to-6-bias-relu",
        "%x: f32[1,5,9,7]\n@w: f32[6,5,3,3] = random(1)\n@b: f32[6] = random(2)\n@h: f32[] = 0.1\n%1 = conv %x, @w, @b {pads=[1,1,1,1]} epilogue(mul @h; relu)\nreturn %1",
    ),
    case(
        "winograd/no-padding",
        "%x: f32[1,4,6,11]\n@w: f32[8,4,3,3] = random(1)\n@h: f32[] = 0.1\n%1 = conv %x, @w epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/uneven-padding",
        "%x: f32[1,8,5,6]\n@w: f32[12,8,3,3] = random(1)\n@h: f32[] = 0.1\n%1 = conv %x, @w {pads=[2,0,1,3]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/wider-than-the-kernel-padding",
        "%x: f32[1,3,2,3]\n@w: f32[4,3,3,3] = random(1)\n@h: f32[] = 0.1\n%1 = conv %x, @w {pads=[4,5,3,2]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/one-row",
        "%x: f32[1,6,1,13]\n@w: f32[5,6,3,3] = random(1)\n@h: f32[] = 0.1\n%1 = conv %x, @w {pads=[1,1,1,1]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/batch-chain-residual",
        "%x: f32[2,12,5,6]\n@w: f32[16,12,1,1] = random(1)\n@v: f32[16,16,3,3] = random(2)\n@b: f32[16] = random(3)\n@u: f32[6,16,3,3] = random(4)\n@h: f32[] = 0.05\n%1 = conv %x, @w epilogue(mul @h; relu)\n%2 = conv %1, @v, @b {pads=[1,1,1,1]} epilogue(mul @h; add %1)\n%3 = conv %2, @u {pads=[1,1,1,1]} epilogue(mul @h; silu)\nreturn %3",
    ),
    case(
        "winograd/blocks-of-rows",
        "%x: f32[1,16,33,18]\n%r: f32[1,20,33,18]\n@w: f32[20,16,3,3] = random(1)\n@b: f32[20] = random(2)\n@h: f32[] = 0.1\n%1 = conv %x, @w, @b {pads=[1,1,1,1]} epilogue(mul @h; add %r; relu)\nreturn %1",
    ),
    case(
        "winograd/blocks-of-rows-b3",
        "%x: f32[3,10,18,17]\n@w: f32[9,10,3,3] = random(1)\n@h: f32[] = 0.1\n%1 = conv %x, @w {pads=[1,0,1,2]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/deep",
        "%x: f32[1,96,6,5]\n@w: f32[40,96,3,3] = random(1)\n@h: f32[] = 0.05\n%1 = conv %x, @w {pads=[1,1,1,1]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/negatives",
        "%x: f32[1,6,7,8]\n@w: f32[8,6,3,3] = random(1)\n@h: f32[] = 0.1\n%a = abs %x\n%n = neg %a\n%1 = conv %n, @w {pads=[1,1,1,1]} epilogue(mul @h)\nreturn %1",
    ),
    case(
        "winograd/zeros",
        "%x: f32[1,4,5,5]\n@z: f32[8,4,3,3] = splat(0.0)\n@b: f32[8] = random(2)\n%1 = conv %x, @z, @b {pads=[1,1,1,1]}\nreturn %1",
    ),
    // Pixels up to 1e4: the sums are beyond f16 until the epilogue brings them back.
    case(
        "winograd/large",
        "%x: f32[1,8,9,10]\n@w: f32[12,8,3,3] = random(1)\n@up: f32[] = 500.0\n@down: f32[] = 0.00002\n%l = mul %x, @up\n%1 = conv %l, @w {pads=[1,1,1,1]} epilogue(mul @down)\nreturn %1",
    ),
];
