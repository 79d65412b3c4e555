//! What memory planning changes in a program: results over the operands of rows and groups, parts of a concatenation that
//! are written where it is, slices that are read where they are, and steps in another order.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    // The scores are the largest values: softmax writes over them.
    case(
        "memory/softmax-over-its-rows",
        "%x: f32[2,24,40]\n%y: f32[2,40,36]\n%z: f32[2,36,8]\n%s = matmul %x, %y epilogue(mul 0.0625)\n%p = softmax %s {axis=2}\n\
         %r = matmul %p, %z\nreturn %r",
    ),
    case(
        "memory/softmax-over-a-column",
        "%x: f32[24,40]\n%y: f32[40,36]\n%z: f32[8,24]\n%s = matmul %x, %y epilogue(mul 0.0625)\n%p = softmax %s {axis=0}\n\
         %r = matmul %z, %p\nreturn %r",
    ),
    case(
        "memory/layer-norm-over-its-rows",
        "%x: f32[6,8]\n@w: f32[8,130] = random(1)\n@s: f32[130] = random(2)\n@b: f32[130] = random(3)\n\
         @v: f32[130,8] = random(4)\n%h = matmul %x, @w\n%n = layer_norm %h, @s, @b {axis=1, epsilon=1e-5}\n\
         %r = matmul %n, @v\nreturn %r",
    ),
    case(
        "memory/group-norm-over-its-groups",
        "%x: f32[2,4,9,7]\n@w: f32[32,4,3,3] = random(1)\n@s: f32[32] = random(2)\n@b: f32[32] = random(3)\n\
         @v: f32[4,32,1,1] = random(4)\n%h = conv %x, @w {pads=[1,1,1,1]}\n\
         %n = group_norm %h, @s, @b {groups=4, epsilon=1e-5}\n%r = conv %n, @v\nreturn %r",
    ),
    case(
        "memory/large-groups-in-three-dispatches",
        "%x: f32[1,4,96,80]\n@w: f32[8,4,1,1] = random(1)\n@s: f32[8] = random(2)\n@b: f32[8] = random(3)\n\
         @v: f32[4,8,1,1] = random(4)\n%h = conv %x, @w\n\
         %n = group_norm %h, @s, @b {groups=1, epsilon=1e-5} epilogue(silu)\n%r = conv %n, @v\nreturn %r",
    ),
    // The projected shortcut goes before the branch that it goes around.
    case(
        "memory/a-shortcut-goes-first",
        "%x: f32[1,4,10,6]\n@u: f32[64,4,1,1] = random(1)\n@v: f32[8,64,1,1] = random(2)\n\
         @w: f32[8,64,1,1] = random(3)\n@z: f32[8,8,1,1] = random(4)\n%a = conv %x, @u\n%h = tanh %a\n%k = conv %h, @w\n\
         %s = conv %a, @v epilogue(mul 0.0625)\n%y = conv %s, @z epilogue(add %k)\nreturn %y",
    ),
    // Each block of rows writes over its share of the residual.
    case(
        "winograd/over-its-residual",
        "%x: f32[1,4,22,13]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[8,8,3,3] = random(2)\n@w: f32[4,8,1,1] = random(3)\n\
         %r = conv %x, @u\n%h = tanh %r\n%y = conv %h, @v {pads=[1,1,1,1]} epilogue(mul 0.125; add %r)\n%z = conv %y, @w epilogue(mul 0.125)\nreturn %z",
    ),
    case(
        "memory/parts-of-channels-in-place",
        "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[12,4,3,3] = random(2)\n@w: f32[6,20,1,1] = random(3)\n\
         %a = conv %x, @u\n%b = conv %x, @v {pads=[1,1,1,1]}\n%c = concat %a, %b {axis=1}\n%d = conv %c, @w\nreturn %d",
    ),
    // Two images, and a last part that ends within a slice.
    case(
        "memory/parts-of-two-images",
        "%x: f32[2,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[6,4,1,1] = random(2)\n@w: f32[5,14,3,3] = random(3)\n\
         %a = conv %x, @u\n%b = conv %x, @v\n%c = concat %a, %b {axis=1}\n%d = conv %c, @w {pads=[1,1,1,1]}\nreturn %d",
    ),
    // A skip: the first part is read on its own before the second is made.
    case(
        "memory/a-skip-connection",
        "%x: f32[1,4,16,16]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[16,8,3,3] = random(2)\n@t: f32[8,16,1,1] = random(3)\n\
         @w: f32[4,16,1,1] = random(4)\n%a = conv %x, @u epilogue(tanh)\n\
         %h = conv %a, @v {pads=[1,1,1,1], strides=[2,2]} epilogue(mul 0.125; tanh)\n%g = resize %h {axes=[2,3], sizes=[16,16], mode=nearest}\n\
         %b = conv %g, @t\n%c = concat %b, %a {axis=1}\n%d = conv %c, @w\nreturn %d",
    ),
    // The input has a place of its own and is copied; the other part is not.
    case(
        "memory/a-part-that-is-an-input",
        "%x: f32[1,8,8,8]\n@u: f32[8,8,1,1] = random(1)\n@w: f32[4,16,1,1] = random(2)\n%a = conv %x, @u\n\
         %c = concat %x, %a {axis=1}\n%d = conv %c, @w\nreturn %d",
    ),
    case(
        "memory/rows-joined-in-place",
        "%x: f32[8,16]\n@u: f32[16,32] = random(1)\n@v: f32[16,32] = random(2)\n@w: f32[32,4] = random(3)\n\
         %a = matmul %x, @u\n%b = matmul %x, @v\n%c = concat %a, %b {axis=0}\n%d = matmul %c, @w\nreturn %d",
    ),
    case(
        "memory/a-concat-within-a-concat",
        "%x: f32[1,4,8,8]\n@u: f32[4,4,1,1] = random(1)\n@w: f32[4,12,1,1] = random(2)\n@v: f32[4,8,1,1] = random(3)\n\
         %a = conv %x, @u\n%b = conv %a, @u\n%c = concat %a, %b {axis=1}\n%e = conv %c, @v\n%d = concat %c, %e {axis=1}\n\
         %y = conv %d, @w\nreturn %y",
    ),
    // One step reads the part and the whole, which cannot both be bound.
    case(
        "memory/a-part-read-beside-the-whole",
        "%x: f32[1,4,8,8]\n@u: f32[4,4,1,1] = random(1)\n@w: f32[4,8,1,1] = random(2)\n%a = conv %x, @u\n%b = conv %a, @u\n\
         %c = concat %a, %b {axis=1}\n%d = conv %c, @w epilogue(add %a)\nreturn %d",
    ),
    case(
        "memory/slices-backwards-beside-a-cut",
        "%x: f32[3,10,4]\n%a = tanh %x\n%1 = slice %a {axes=[0,1], starts=[0,9], steps=[1,-1], counts=[1,10]}\n\
         %2 = slice %a {axes=[0,2], starts=[1,3], steps=[1,-1], counts=[2,4]}\nreturn %1, %2",
    ),
    case(
        "memory/slices-of-rows-are-views",
        "%x: f32[16,32]\n@u: f32[32,64] = random(1)\n@w: f32[64,4] = random(2)\n%a = matmul %x, @u\n\
         %b = slice %a {axes=[0], starts=[4], counts=[8]}\n%c = matmul %b, @w\nreturn %c",
    ),
    case(
        "memory/slices-of-channels-are-views",
        "%x: f32[2,4,8,8]\n@u: f32[16,4,1,1] = random(1)\n@w: f32[3,8,1,1] = random(2)\n@v: f32[3,6,1,1] = random(3)\n\
         @t: f32[14,4,1,1] = random(4)\n%a = conv %x, @u\n%b = slice %a {axes=[1], starts=[4], counts=[8]}\n%c = conv %b, @w\n%e = conv %x, @t\n\
         %f = slice %e {axes=[1], starts=[8], counts=[6]}\n%g = conv %f, @v\n%h = add %c, %g\nreturn %h",
    ),
    // A product of two halves reads two ranges of one storage.
    case(
        "memory/a-gate-of-two-halves",
        "%x: f32[8,16]\n@u: f32[16,64] = random(1)\n@w: f32[64,4] = random(2)\n%a = matmul %x, @u\n%b = slice %a {axes=[0], starts=[0], counts=[4]}\n\
         %c = slice %a {axes=[0], starts=[4], counts=[4]}\n%d = mul %b, %c\n%e = matmul %d, @w\nreturn %e",
    ),
    // The slice and its source are read by one step.
    case(
        "memory/a-slice-beside-its-source",
        "%x: f32[8,16]\n@u: f32[16,64] = random(1)\n%a = matmul %x, @u\n%b = slice %a {axes=[0], starts=[4], counts=[1]}\n%d = mul %a, %b\nreturn %d",
    ),
    case(
        "memory/an-output-that-is-a-slice",
        "%x: f32[8,16]\n@u: f32[16,64] = random(1)\n%a = matmul %x, @u\n%b = slice %a {axes=[0], starts=[4], counts=[2]}\nreturn %a, %b",
    ),
];
