//! Queries, keys and values of one product, which attention reads as views.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "attention_rows/packed-projections-b2",
        "%x: f32[2,9,12]\n@u: f32[12,32] = random(1)\n@w: f32[12,16] = random(2)\n@z: f32[12,16] = random(3)\n@c: f32[32] = random(4)\n\
         %q = matmul %x, @u epilogue(add @c)\n%k = matmul %x, @w\n%v = matmul %x, @z\n%1 = reshape %q {shape=[2,9,4,8]}\n\
         %2 = reshape %k {shape=[2,9,2,8]}\n%3 = reshape %v {shape=[2,9,2,8]}\n\
         %4 = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.01)\nreturn %4",
    ),
    case(
        "attention_rows/packed-keys-and-values",
        "%x: f32[1,5,20]\n%y: f32[1,7,12]\n@u: f32[20,20] = random(1)\n@w: f32[12,20] = random(2)\n@z: f32[12,20] = random(3)\n\
         @c: f32[1,1,20] = random(4)\n%q = matmul %x, @u\n%k = matmul %y, @w\n%v = matmul %y, @z epilogue(add @c)\n\
         %1 = reshape %q {shape=[1,5,4,5]}\n%2 = reshape %k {shape=[1,7,4,5]}\n%3 = reshape %v {shape=[1,7,4,5]}\n\
         %4 = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.01)\nreturn %4",
    ),
    case(
        "attention_cooperative/packed-projections",
        "%x: f32[1,40,24]\n@u: f32[24,32] = random(1)\n@w: f32[24,32] = random(2)\n@z: f32[24,32] = random(3)\n%q = matmul %x, @u\n\
         %k = matmul %x, @w\n%v = matmul %x, @z\n%1 = reshape %q {shape=[1,40,2,16]}\n%2 = reshape %k {shape=[1,40,2,16]}\n\
         %3 = reshape %v {shape=[1,40,2,16]}\n\
         %4 = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.005)\nreturn %4",
    ),
];
