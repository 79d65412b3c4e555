//! Products with quantized weights and rows picked of them: every width of numbers, both kinds of zero points, rows that end within a
//! chunk, a block and a slice, few rows and many, and weights whose blocks no kernel reads.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "matvec_rows/4-bits-one-row",
        "%a: f32[1,128]\n@w: f32[10,128] = blocks(bits=4, size=32, random=1, scales=f32, zeros=8)\n\
         %1 = matmul %a, @w {transpose_b=true}\nreturn %1",
    ),
    case(
        "matvec_rows/4-bits-many-chunks",
        "%a: f32[1,1100]\n@w: f32[6,1100] = blocks(bits=4, size=128, random=2, scales=f16, zeros=numbers)\n\
         %1 = matmul %a, @w {transpose_b=true} epilogue(mul 0.1)\nreturn %1",
    ),
    case(
        "matvec_rows/4-bits-batches-and-epilogue",
        "%a: f32[1,3,41]\n%r: f32[1,3,13]\n@w: f32[13,41] = blocks(bits=4, size=16, random=3, scales=f32, zeros=f32)\n\
         %1 = matmul %a, @w {transpose_b=true} epilogue(add %r; relu)\nreturn %1",
    ),
    case(
        "matvec_rows/8-bits-two-rows",
        "%a: f32[2,52]\n@w: f32[9,52] = blocks(bits=8, size=32, random=4, scales=f16, zeros=numbers)\n\
         %1 = matmul %a, @w {transpose_b=true}\nreturn %1",
    ),
    case(
        "matvec_rows/8-bits-one-scale-a-row",
        "%a: f32[1,50]\n@w: f32[50,8] = turned_blocks(bits=8, size=50, random=5, scales=f32, zeros=128)\n\
         %1 = matmul %a, @w\nreturn %1",
    ),
    case(
        "matvec_rows/2-bits-short-blocks",
        "%a: f32[4,72]\n@w: f32[7,72] = blocks(bits=2, size=16, random=6, scales=f16, zeros=f16)\n\
         @v: f32[7,72] = blocks(bits=2, size=256, random=7, scales=f32, zeros=numbers)\n\
         %1 = matmul %a, @w {transpose_b=true}\n%2 = matmul %a, @v {transpose_b=true}\nreturn %1, %2",
    ),
    golden(
        "matmul_tiled/4-bits",
        "%a: f32[2,9,72]\n@w: f32[22,72] = blocks(bits=4, size=32, random=8, scales=f32, zeros=numbers)\n\
         %1 = matmul %a, @w {transpose_b=true}\nreturn %1",
    ),
    case(
        "matmul_cooperative/8-and-2-bits",
        "%a: f32[9,45]\n@w: f32[11,45] = blocks(bits=8, size=16, random=9, scales=f32, zeros=128)\n\
         @v: f32[45,14] = turned_blocks(bits=2, size=64, random=10, scales=f16, zeros=f16)\n\
         %1 = matmul %a, @w {transpose_b=true}\n%2 = matmul %a, @v\nreturn %1, %2",
    ),
    golden(
        "gather/4-bits",
        "%i: i64[1,3]\n@w: f32[9,42] = blocks(bits=4, size=16, random=11, scales=f32, zeros=numbers)\n\
         %1 = gather @w, %i {axis=0}\nreturn %1",
    ),
    case(
        "quantized/tied-rows",
        "%i: i64[1,3]\n@w: f32[9,42] = blocks(bits=4, size=32, random=11, scales=f32, zeros=8)\n\
         %1 = gather @w, %i {axis=0}\n%2 = matmul %1, @w {transpose_b=true}\nreturn %1, %2",
    ),
    case(
        "quantized/widened",
        "%x: f32[1,3,5,4]\n%a: f32[2,16]\n@k: f32[4,3,3,3] = blocks(bits=8, size=3, random=12, scales=f32, zeros=128)\n\
         @w: f32[16,12] = blocks(bits=4, size=4, random=13, scales=f32, zeros=8)\n\
         @v: f32[8,16] = blocks(bits=4, size=8, random=14, scales=f32, zeros=8)\n\
         %1 = conv %x, @k {pads=[1,1,1,1]}\n%2 = matmul %a, @w\n%3 = matmul %a, @v {transpose_b=true}\nreturn %1, %2, %3",
    ),
    case(
        "matvec_rows/eight-outputs-a-walk",
        "%a: f32[1,256]\n@w: f32[1100,256] = blocks(bits=4, size=32, random=17, scales=f16, zeros=8)\n\
         @v: f32[1030,64] = blocks(bits=8, size=64, random=18, scales=f32, zeros=numbers)\n\
         %1 = matmul %a, @w {transpose_b=true} epilogue(mul 0.1)\n\
         %2 = slice %1 {axes=[1], starts=[0], counts=[64]}\n%3 = matmul %2, @v {transpose_b=true}\nreturn %1, %3",
    ),
    case(
        "matvec_rows/floats",
        "%a: f32[1,1040]\n%c: f32[3,24]\n@w: f32[6,1040] = random(15)\n@v: f32[24,10] = random(16)\n\
         %1 = matmul %a, @w {transpose_b=true} epilogue(mul 0.1)\n%2 = matmul %c, @v\nreturn %1, %2",
    ),
    case(
        "large/4-bits",
        "%a: f32[1,72]\n%b: f32[9,72]\n@w: f32[22,72] = blocks(bits=4, size=16, random=19, scales=f16, zeros=numbers)\n\
         @v: f32[14,72] = blocks(bits=8, size=16, random=20, scales=f32, zeros=f32)\n\
         %1 = matmul %a, @w {transpose_b=true}\n%2 = matmul %b, @w {transpose_b=true}\n\
         %3 = matmul %b, @v {transpose_b=true}\nreturn %1, %2, %3",
    ),
];
