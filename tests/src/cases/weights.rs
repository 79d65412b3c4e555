//! Kernels with constant weights, several to a graph, for all orders and storage types of weights: channels that are not whole
//! slices, groups of whole slices and of parts of one, one tap and many, two images.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "weights/convolutions",
        "%x: f32[2,8,6,5]\n%y: f32[2,7,5,6]\n\
         @a: f32[5,7,3,3] = random(1)\n@ab: f32[5] = random(2)\n@b: f32[6,7,1,1] = random(3)\n\
         @c: f32[16,4,3,2] = random(4)\n@d: f32[12,2,3,3] = random(5)\n\
         %1 = conv %y, @a, @ab {pads=[1,1,1,1]}\n%2 = conv %y, @b\n\
         %3 = conv %x, @c {groups=2, strides=[2,1], pads=[1,0,1,1]}\n\
         %4 = conv %x, @d {groups=4, pads=[1,1,1,1], dilations=[2,1]}\nreturn %1, %2, %3, %4",
    ),
    case(
        "weights/depthwise-and-transposed",
        "%x: f32[2,8,6,5]\n%y: f32[1,7,5,6]\n\
         @a: f32[8,1,3,3] = random(1)\n@b: f32[7,1,2,3] = random(2)\n\
         @c: f32[7,5,3,3] = random(3)\n@d: f32[8,8,3,2] = random(4)\n@e: f32[8,3,2,2] = random(5)\n\
         %1 = conv %x, @a {groups=8, pads=[1,1,1,1]}\n%2 = conv %y, @b {groups=7, strides=[2,1]}\n\
         %3 = conv_transpose %y, @c {strides=[2,2], pads=[1,1,1,1]}\n\
         %4 = conv_transpose %x, @d {groups=2, strides=[1,2]}\n\
         %5 = conv_transpose %x, @e {groups=4, strides=[2,2]}\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "weights/products",
        "%x: f32[1,7,5,6]\n%y: f32[2,8,4,5]\n%a: f32[9,7]\n%b: f32[2,24]\n%c: f32[2,6,20]\n\
         @v: f32[22,7,3,3] = random(1)\n@w: f32[17,8,1,1] = random(2)\n\
         @d: f32[7,9] = random(3)\n@e: f32[10,7] = random(4)\n@f: f32[24,13] = random(5)\n\
         @g: f32[12,24] = random(6)\n@h: f32[20,36] = random(7)\n\
         %1 = conv %x, @v {pads=[1,1,1,1]} epilogue(mul 0.1)\n%2 = conv %y, @w\n\
         %3 = matmul %a, @d\n%4 = matmul %a, @e {transpose_b=true}\n\
         %5 = matmul %b, @f\n%6 = matmul %b, @g {transpose_b=true}\n%7 = matmul %c, @h\n\
         return %1, %2, %3, %4, %5, %6, %7",
    ),
];
