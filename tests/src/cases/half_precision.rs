//! Compositions whose results f16 holds and whose parts they do not: squares, powers and sums of activations up to 1e4, and masks
//! beyond the range of f16.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "f16/layer_norm-over-channels",
        "%x: f32[2,6,3,4]\n@k: f32[] = 1e4\n@two: f32[] = 2.0\n@e: f32[] = 1e-5\n@s: f32[6,1,1] = random(1)\n@b: f32[6,1,1] = random(2)\n\
         %1 = tanh %x\n%2 = mul %1, @k\n%m = reduce_mean %2 {axes=[1], keep_dims=true}\n%d = sub %2, %m\n%q = pow %d, @two\n\
         %v = reduce_mean %q {axes=[1], keep_dims=true}\n%w = add %v, @e\n%r = sqrt %w\n%n = div %d, %r\n%3 = mul %n, @s\n%4 = add %3, @b\n\
         return %4",
    ),
    case(
        "f16/norm-over-batch-and-pixels",
        "%x: f32[2,5,3,4]\n@k: f32[] = 1e4\n@e: f32[] = 1e-9\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %m = reduce_mean %2 {axes=[0,2,3], keep_dims=true}\n%d = sub %2, %m\n%q = mul %d, %d\n\
         %v = reduce_mean %q {axes=[0,2,3], keep_dims=true}\n%r = sqrt %v\n%s = add %r, @e\n%y = div %d, %s\nreturn %y",
    ),
    case(
        "f16/unbiased-deviation",
        "%x: f32[3,32]\n@k: f32[] = 1e4\n@n: f32[] = 31.0\n@e: f32[] = 1e-5\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %m = reduce_mean %2 {axes=[1], keep_dims=true}\n%d = sub %2, %m\n%q = mul %d, %d\n%v = reduce_sum %q {axes=[1], keep_dims=true}\n\
         %w = div %v, @n\n%r = sqrt %w\n%s = add %r, @e\n%y = div %d, %s\nreturn %y",
    ),
    case(
        "f16/mean-of-squares-minus-square-of-mean",
        "%x: f32[3,4,10]\n@k: f32[] = 3000.0\n@e: f32[] = 1e-5\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %m = reduce_mean %2 {axes=[1,2], keep_dims=true}\n%q = mul %2, %2\n%p = reduce_mean %q {axes=[1,2], keep_dims=true}\n\
         %a = mul %m, %m\n%v = sub %p, %a\n%w = add %v, @e\n%r = sqrt %w\n%d = sub %2, %m\n%y = div %d, %r\nreturn %y",
    ),
    case(
        "f16/norm-of-a-vector",
        "%x: f32[3,5,64]\n@k: f32[] = 3e4\n%1 = tanh %x\n%2 = mul %1, @k\n%q = mul %2, %2\n%s = reduce_sum %q {axes=[2], keep_dims=true}\n\
         %n = sqrt %s\n%y = div %2, %n\n%l = reduce_l2 %2 {axes=[1], keep_dims=true}\n%z = div %2, %l\n%a = abs %2\n\
         %t = reduce_sum %a {axes=[1], keep_dims=true}\n%w = div %2, %t\nreturn %y, %z, %w",
    ),
    case(
        "f16/third-norm-of-channels",
        "%x: f32[2,6,7,9]\n@k: f32[] = 1e3\n@n: f32[] = 1e-4\n@three: f32[] = 3.0\n@third: f32[] = 0.33333334\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %a = abs %2\n%p = pow %a, @three\n%s = reduce_sum %p {axes=[2,3], keep_dims=true}\n%r = pow %s, @third\n%y = mul %r, @n\nreturn %y",
    ),
    case(
        "f16/response-of-neighbouring-channels",
        "%x: f32[1,6,3,4]\n@k: f32[] = 1e4\n@a: f32[] = 1e-4\n@one: f32[] = 1.0\n@b: f32[] = 0.75\n%1 = tanh %x\n%2 = mul %1, @k\n\
         %q = mul %2, %2\n%r = reshape %q {shape=[1,1,6,12]}\n%p = pool_average %r {kernel=[3,1], pads=[1,0,1,0], count_padding=true}\n\
         %s = reshape %p {shape=[1,6,3,4]}\n%t = mul %s, @a\n%u = add %t, @one\n%v = pow %u, @b\n%y = div %2, %v\nreturn %y",
    ),
    case(
        "f16/exponentials-by-their-sum-over-two-axes",
        "%x: f32[2,3,4,5]\n@k: f32[] = 0.7\n%1 = mul %x, @k\n%2 = abs %1\n%e = exp %2\n%s = reduce_sum %e {axes=[1,3], keep_dims=true}\n\
         %y = div %e, %s\nreturn %y",
    ),
    // Whole numbers around 700, which f16 holds, less the 700 that they began with, in units of a small deviation.
    case(
        "f16/batch-of-small-variance",
        "%x: f32[1,4,3,3]\n@m: f32[] = 700.0\n@s: f32[4,1,1] = [95.25, 95.25, -95.25, 0.5]\n@o: f32[4,1,1] = [-66675.0, -66690.0, 66660.0, -350.0]\n\
         @n: f32[] = 1e-2\n%1 = floor %x\n%2 = add %1, @m\n%3 = mul %2, @s\n%4 = add %3, @o\n%y = mul %4, @n\nreturn %y",
    ),
    case(
        "f16/masks-of-the-least-float",
        "%s: f32[2,2,4,8]\n%m: bool[4,8]\n@hide: f32[4,1] = [0.0, 0.0, 1.0, 0.0]\n@low: f32[] = -3.4028235e38\n@one: f32[] = 1.0\n@none: f32[] = 0.0\n\
         %f = select %m, @one, @none\n%a = max %f, @hide\n%b = mul %a, @low\n%c = add %s, %b\n%y = softmax %c {axis=3}\nreturn %y",
    ),
    case(
        "f16/constant-masks-of-minus-1e9",
        "%s: f32[2,2,3,4]\n@b: f32[3,4] = [0.0, -1e9, -1e9, -1e9, -1e9, -1e9, -1e9, -1e9, 0.0, 0.0, 0.0, -1e9]\n\
         %c = add %s, @b\n%y = softmax %c {axis=3}\nreturn %y",
    ),
    case(
        "f16/attention-masked-by-the-least-float",
        "%q: f32[1,2,5,8]\n%k: f32[1,2,7,8]\n%v: f32[1,2,7,8]\n%m: bool[5,7]\n@hide: f32[5,1] = [0.0, 1.0, 0.0, 0.0, 1.0]\n\
         @low: f32[] = -3.4028235e38\n@one: f32[] = 1.0\n@none: f32[] = 0.0\n%f = select %m, @one, @none\n%a = max %f, @hide\n%b = mul %a, @low\n\
         %1 = attention %q, %k, %v, %b scores(mul 0.35; add operand0)\nreturn %1",
    ),
];
