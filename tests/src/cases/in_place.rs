//! Programs whose memory plan writes results over operands, and programs where that would be wrong.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "in_place/residual-c6-b2",
        "%x: f32[2,5,4,7]\n@u: f32[6,5,1,1] = random(1)\n@v: f32[9,6,3,3] = random(2)\n@w: f32[6,9,1,1] = random(3)\n%r = conv %x, @u epilogue(relu)\n%h = conv %r, @v {pads=[1,1,1,1]} epilogue(relu)\n%y = conv %h, @w epilogue(add %r)\nreturn %y",
    ),
    case(
        "in_place/residual-rows",
        "%x: f32[5,12]\n@u: f32[12,10] = random(1)\n@v: f32[10,14] = random(2)\n@w: f32[14,10] = random(3)\n%r = matmul %x, @u\n%h = matmul %r, @v epilogue(gelu)\n%y = matmul %h, @w epilogue(add %r; mul %r)\nreturn %y",
    ),
    case(
        "in_place/chain-odd",
        "%x: f32[3,7]\n@u: f32[7,9] = random(1)\n@v: f32[9,2] = random(2)\n%a = matmul %x, @u\n%s = matmul %a, @v\n%b = exp %a\n%t = matmul %b, @v\n%c = tanh %b epilogue(mul %b)\n%w = matmul %c, @v\nreturn %s, %t, %w",
    ),
    // The operand is read at other places, too.
    case(
        "in_place/operand-is-also-the-source",
        "%x: f32[1,8,5,6]\n@u: f32[8,8,1,1] = random(1)\n@v: f32[8,8,3,3] = random(2)\n%1 = conv %x, @u epilogue(relu)\n%2 = conv %1, @v {pads=[1,1,1,1]} epilogue(add %1)\n%3 = conv %2, @u\nreturn %3",
    ),
    case(
        "in_place/operand-is-also-broadcast",
        "%x: f32[6,4]\n@u: f32[4,6] = random(1)\n%a = matmul %x, @u\n%s = matmul %a, %x\n%b = reshape %a {shape=[6,6,1]}\n%c = reshape %a {shape=[6,1,6]}\n%d = mul %b, %c\n%e = reduce_sum %d {axes=[2]}\nreturn %s, %e",
    ),
    case(
        "in_place/input-and-output-stay",
        "%x: f32[4,8]\n%y = exp %x\n%z = mul %x, %y\n%w = mul %y, %z\nreturn %y, %w",
    ),
];
