//! Activations up to 1e4, which f16 holds but whose squares and sums they do not.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "large_values/group_norm",
        "%x: f32[2,12,5,7]\n@k: f32[] = 1e4\n@s: f32[12] = random(1)\n@b: f32[12] = random(2)\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %3 = group_norm %2, @s, @b {groups=3, epsilon=1e-5} epilogue(silu)\nreturn %3",
    ),
    case(
        "large_values/group_norm-in-parts",
        "%x: f32[1,8,72,70]\n@k: f32[] = 1e4\n@s: f32[8] = random(1)\n@b: f32[8] = random(2)\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %3 = group_norm %2, @s, @b {groups=2, epsilon=1e-5}\nreturn %3",
    ),
    // A mean far above the deviation: E[x^2] - E[x]^2 has no digits left.
    case(
        "large_values/group_norm-around-a-large-mean",
        "%x: f32[1,8,9,7]\n@k: f32[] = 64.0\n@m: f32[] = 8192.0\n@s: f32[8] = random(1)\n@b: f32[8] = random(2)\n\
         %1 = floor %x\n%2 = mul %1, @k\n%3 = add %2, @m\n%4 = group_norm %3, @s, @b {groups=2, epsilon=1e-5}\nreturn %4",
    ),
    case(
        "large_values/layer_norm",
        "%x: f32[2,3,70]\n@k: f32[] = 1e4\n@s: f32[70] = random(1)\n@b: f32[70] = random(2)\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %3 = layer_norm %2, @s, @b {axis=2, epsilon=1e-5}\nreturn %3",
    ),
    case(
        "large_values/layer_norm-around-a-large-mean",
        "%x: f32[3,70]\n@k: f32[] = 64.0\n@m: f32[] = 8192.0\n@s: f32[70] = random(1)\n%1 = floor %x\n%2 = mul %1, @k\n%3 = add %2, @m\n\
         %4 = layer_norm %3, @s {axis=1, epsilon=1e-5}\nreturn %4",
    ),
    case(
        "large_values/rms_norm",
        "%x: f32[2,3,70]\n@k: f32[] = 1e4\n@s: f32[70] = random(1)\n%1 = tanh %x\n%2 = mul %1, @k\n%3 = rms_norm %2, @s {axis=2, epsilon=1e-6}\nreturn %3",
    ),
    // Multiples of 2048 are exact in f16, so the weights of a row are known.
    case(
        "large_values/softmax",
        "%x: f32[3,50]\n@k: f32[] = 2048.0\n%1 = floor %x\n%2 = mul %1, @k\n%3 = softmax %2 {axis=1}\nreturn %3",
    ),
    case(
        "large_values/gelu-silu-sigmoid",
        "%x: f32[3,50]\n@k: f32[] = 1e4\n@n: f32[] = 1e-4\n%1 = tanh %x\n%2 = mul %1, @k\n%3 = gelu %2 epilogue(mul @n)\n%4 = silu %2 epilogue(mul @n)\n\
         %5 = sigmoid %2\nreturn %3, %4, %5",
    ),
    // Scores beyond the range of f16 are held in f32 between the products.
    case(
        "large_values/attention",
        "%x: f32[1,2,9,8]\n%y: f32[1,2,11,8]\n@k: f32[] = 256.0\n%a = floor %x\n%q = mul %a, @k\n%b = floor %y\n%v = mul %b, @k\n\
         %1 = attention %q, %v, %b scores(mul 0.35)\nreturn %1",
    ),
    case(
        "large_values/conv-1e4-in-1e4-out",
        "%x: f32[1,16,6,7]\n@k: f32[] = 1e4\n@n: f32[] = 1e-4\n@w: f32[16,16,3,3] = random(1)\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %3 = conv %2, @w {pads=[1,1,1,1]} epilogue(mul 0.02)\n%4 = mul %3, @n\nreturn %4",
    ),
    case(
        "large_values/matmul-1e4",
        "%x: f32[5,64]\n@k: f32[] = 1e4\n@n: f32[] = 1e-4\n@w: f32[64,20] = random(1)\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %3 = matmul %2, @w epilogue(mul 0.02)\n%4 = mul %3, @n\nreturn %4",
    ),
    case(
        "large_values/mean-of-1e4",
        "%x: f32[2,9,8,300]\n@k: f32[] = 1e4\n@n: f32[] = 1e-4\n%1 = tanh %x\n%2 = mul %1, @k\n%3 = reduce_mean %2 {axes=[3], keep_dims=true}\n%4 = mul %3, @n\nreturn %4",
    ),
    // Positions that f16 cannot tell apart, and their angles.
    case(
        "large_values/angles-of-positions",
        "%p: i64[1,6]\n@first: i64[] = 4091\n@f: f32[1,1,5] = [1.0, 0.7, 0.31, 0.1, 0.01]\n%1 = add %p, @first\n%2 = cast %1 {to=f32}\n\
         %3 = reshape %2 {shape=[1,6,1]}\n%4 = matmul %3, @f\n%5 = cos %4\n%6 = sin %4\n%7 = concat %5, %6 {axis=2}\nreturn %7",
    ),
];
