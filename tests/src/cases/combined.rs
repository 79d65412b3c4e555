//! Steps that become one: rows that are normalised in the products that read them, products and their gates in one walk, and what
//! must stay apart.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "matvec_rows/rows-normalised",
        "%x: f32[1,72]\n@s: f32[72] = random(1)\n@w: f32[72,10] = random(2)\n%n = rms_norm %x, @s {axis=1, epsilon=0.01}\n\
         %1 = matmul %n, @w\nreturn %1",
    ),
    case(
        "matvec_rows/two-rows-normalised-for-two-products",
        "%x: f32[1,2,1040]\n%r: f32[1,2,6]\n@s: f32[1040] = random(1)\n@w: f32[6,1040] = random(2)\n@v: f32[1040,13] = random(3)\n\
         %n = rms_norm %x, @s {axis=2, epsilon=1e-5}\n%1 = matmul %n, @w {transpose_b=true} epilogue(mul 0.1; add %r)\n\
         %2 = matmul %n, @v epilogue(mul 0.1)\nreturn %1, %2",
    ),
    case(
        "matvec_rows/4-bits-normalised",
        "%x: f32[1,1,100]\n@s: f32[100] = random(1)\n@w: f32[11,100] = blocks(bits=4, size=32, random=3, scales=f16, zeros=numbers)\n\
         @v: f32[7,100] = blocks(bits=8, size=16, random=4, scales=f32, zeros=f32)\n\
         %n = rms_norm %x, @s {axis=2, epsilon=1e-5}\n%1 = matmul %n, @w {transpose_b=true}\n\
         %2 = matmul %n, @v {transpose_b=true}\nreturn %1, %2",
    ),
    case(
        "matvec_rows/what-is-added-is-normalised-and-kept",
        "%x: f32[1,1,64]\n%r: f32[1,1,24]\n@u: f32[24,64] = random(1)\n@s: f32[64] = random(2)\n@w: f32[64,64] = random(3)\n\
         %h = matmul %r, @u epilogue(add %x)\n%n = rms_norm %h, @s {axis=2, epsilon=1e-5}\n\
         %1 = matmul %n, @w epilogue(mul 0.1; add %h)\nreturn %1",
    ),
    // Three rows, channels that are no whole slices, another reader, a result, a scale that repeats.
    case(
        "matvec_rows/normalised-apart",
        "%x: f32[3,64]\n%y: f32[1,42]\n%z: f32[1,64]\n@s: f32[64] = random(1)\n@t: f32[42] = random(2)\n@w: f32[64,8] = random(3)\n\
         @v: f32[5,42] = blocks(bits=4, size=16, random=4, scales=f32, zeros=8)\n@o: f32[] = 0.5\n\
         %n = rms_norm %x, @s {axis=1, epsilon=1e-5}\n%1 = matmul %n, @w\n\
         %m = rms_norm %y, @t {axis=1, epsilon=1e-5}\n%2 = matmul %m, @v {transpose_b=true}\n\
         %p = rms_norm %z, @s {axis=1, epsilon=1e-5}\n%3 = matmul %p, @w\n%4 = softmax %p {axis=1}\n\
         %q = rms_norm %z, @o {axis=1, epsilon=1e-5}\n%5 = matmul %q, @w\nreturn %1, %2, %3, %4, %5, %q",
    ),
    golden(
        "matvec_rows/gated",
        "%x: f32[1,72]\n@g: f32[72,10] = random(1)\n@u: f32[72,10] = random(2)\n%a = matmul %x, @u\n\
         %1 = matmul %x, @g epilogue(silu; mul %a)\nreturn %1",
    ),
    case(
        "matvec_rows/two-rows-gated-with-steps-behind",
        "%x: f32[1,2,520]\n%r: f32[1,2,13]\n@g: f32[13,520] = random(1)\n@u: f32[13,520] = random(2)\n\
         %a = matmul %x, @u {transpose_b=true}\n\
         %1 = matmul %x, @g {transpose_b=true} epilogue(mul 0.05; gelu_tanh; mul %a, step1; mul 0.1; add %r)\nreturn %1",
    ),
    case(
        "matvec_rows/4-bits-gated-and-normalised",
        "%x: f32[1,1,128]\n@s: f32[128] = random(5)\n@g: f32[22,128] = blocks(bits=4, size=32, random=3, scales=f16, zeros=8)\n\
         @u: f32[22,128] = blocks(bits=4, size=32, random=4, scales=f16, zeros=8)\n\
         %n = rms_norm %x, @s {axis=2, epsilon=1e-5}\n%a = matmul %n, @u {transpose_b=true} \n\
         %1 = matmul %n, @g {transpose_b=true} epilogue(silu; mul %a)\nreturn %1",
    ),
    case(
        "matvec_rows/8-bits-gated-on-many-chunks",
        "%x: f32[1,1100]\n@g: f32[9,1100] = blocks(bits=8, size=64, random=3, scales=f32, zeros=numbers)\n\
         @u: f32[9,1100] = blocks(bits=8, size=64, random=4, scales=f32, zeros=numbers)\n\
         %a = matmul %x, @u {transpose_b=true}\n%1 = matmul %x, @g {transpose_b=true} epilogue(mul 0.01; sigmoid; mul %a; mul 0.01)\n\
         return %1",
    ),
    case(
        "matvec_rows/four-rows-gated-by-the-product",
        "%x: f32[4,64]\n@g: f32[64,12] = random(1)\n@u: f32[64,12] = random(2)\n%a = matmul %x, @u\n\
         %1 = matmul %x, @g epilogue(mul %a)\nreturn %1",
    ),
    // Weights of two forms, a product that others read, a sum, and a gate that reads what is before it again.
    case(
        "matvec_rows/gates-apart",
        "%x: f32[1,64]\n@g: f32[12,64] = blocks(bits=4, size=32, random=1, scales=f32, zeros=8)\n@u: f32[64,12] = random(2)\n\
         @v: f32[64,12] = random(3)\n%a = matmul %x, @u\n%1 = matmul %x, @g {transpose_b=true} epilogue(silu; mul %a)\n\
         %b = matmul %x, @u\n%2 = matmul %x, @v epilogue(silu; mul %b)\n%c = matmul %x, @u epilogue(mul 0.5)\n\
         %3 = matmul %x, @v epilogue(silu; add %c)\n%d = matmul %x, @u epilogue(mul 0.25)\n\
         %4 = matmul %x, @v epilogue(silu; mul %d; add result)\n%e = matmul %x, @u\n\
         %5 = matmul %x, @v epilogue(relu; mul %e; mul %e)\nreturn %1, %2, %3, %4, %5, %b",
    ),
];
