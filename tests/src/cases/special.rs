//! What each function makes of NaNs, infinities, zeros of both signs, the ends of types and ties. These cases also run with
//! such values among their inputs.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "special/activations",
        "%x: f32[5,9]\n%1 = relu %x\n%2 = sigmoid %x\n%3 = tanh %x\n%4 = silu %x\n%5 = gelu %x\n%6 = gelu_tanh %x\n%7 = erf %x\n\
         %8 = sign %x\n%9 = softplus %x\n%10 = clip %x {min=0.0, max=6.0}\n%11 = clip %x {max=0.5}\n%12 = clip %x {min=-0.5}\n\
         %13 = clip %x {min=2.0, max=-1.0}\n\
         return %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13",
    ),
    case(
        "special/rounding",
        "%x: f32[5,9]\n%1 = round %x\n%2 = floor %x\n%3 = ceil %x\n%4 = abs %x\n%5 = neg %x\n%6 = bfloat16 %x\n\
         return %1, %2, %3, %4, %5, %6",
    ),
    case(
        "special/infinite-bounds",
        "%x: f32[2,9]\n%1 = clip %x {min=inf, max=inf}\n%2 = clip %x {min=-inf, max=-inf}\n%3 = clip %x {min=-inf, max=inf}\n\
         return %1, %2, %3",
    ),
    case(
        "special/exponentials",
        "%x: f32[5,9]\n%1 = exp %x\n%2 = expm1 %x\n%3 = sinh %x\n%4 = cosh %x\n%5 = log %x\n%6 = sqrt %x\n%7 = reciprocal %x\n\
         %8 = asinh %x\n%9 = acosh %x\n%10 = atanh %x\nreturn %1, %2, %3, %4, %5, %6, %7, %8, %9, %10",
    ),
    // Halves, here and below: what a layout puts before them must not change a digit, since poles and remainders multiply it.
    case(
        "special/circular",
        "%h: f16[5,9]\n@k: f32[] = 0.0078125\n%x = cast %h {to=f32}\n%y = mul %x, @k\n%1 = sin %y\n%2 = cos %y\n%3 = tan %y\n%4 = asin %x\n%5 = acos %x\n\
         %6 = atan %x\nreturn %1, %2, %3, %4, %5, %6",
    ),
    case(
        "special/relu-and-clip",
        "%x: f32[5,8]\n@w: f32[8,8] = random(1)\n%1 = matmul %x, @w epilogue(relu; clip {max=6.0})\nreturn %1",
    ),
    case(
        "special/extremes",
        "%x: f32[5,9]\n%y: f32[5,9]\n@k: f32[] = 0.5\n@none: f32[] = nan\n@low: f32[] = -inf\n%1 = max %x, %y\n%2 = min %x, %y\n\
         %3 = max %x, @k\n%4 = min @k, %x\n%5 = max %x, @none\n%6 = min %x, @low\n%7 = max @low, %y\n\
         return %1, %2, %3, %4, %5, %6, %7",
    ),
    case(
        "special/comparisons",
        "%x: f32[5,9]\n%y: f32[5,9]\n%1 = equal %x, %y\n%2 = less %x, %y\n%3 = less_or_equal %x, %y\n%4 = greater %x, %y\n\
         %5 = greater_or_equal %x, %x\n%6 = is_nan %x\n%7 = is_inf %x\n%8 = cast %x {to=bool}\n%9 = equal %x, %x epilogue(not)\n\
         return %1, %2, %3, %4, %5, %6, %7, %8, %9",
    ),
    // Large finite inputs leave i32 and f16, and the factor is no bound, which would be limited under f16 (`layout/wide.rs`).
    case(
        "special/casts",
        "%x: f32[5,9]\n@big: f32[] = 59904.0\n%1 = mul %x, @big epilogue(cast {to=i32})\n%2 = cast %x {to=u8} epilogue(cast {to=f32})\n\
         %3 = cast %x {to=i8} epilogue(cast {to=f32})\n%4 = cast %x {to=f16} epilogue(cast {to=i32})\n\
         %5 = mul %x, @big epilogue(cast {to=f16}; cast {to=f32})\n%6 = cast %x {to=bool} epilogue(cast {to=f32})\nreturn %1, %2, %3, %4, %5, %6",
    ),
    case(
        "special/f16",
        "@x: f32[14] = [0.33333334, 65519.0, 65520.0, -65520.0, 2049.0, 2051.0, 1e-8, 2.9802322e-8, 2.98023259e-8, 6.1e-5, -0.0, inf, nan, 1e38]\n\
         %y: f32[14]\n@zero: f32[] = 0.0\n%0 = abs %y\n%z = less %0, @zero\n%n = select %z, %y, @x\n\
         %1 = cast %n {to=f16} epilogue(cast {to=f32})\n%2 = reciprocal %1\n%3 = bfloat16 %n\nreturn %1, %2, %3",
    ),
    case(
        "special/narrow-integers",
        "%i: i32[5,9]\n%1 = cast %i {to=u8} epilogue(cast {to=f32})\n%2 = cast %i {to=i8} epilogue(cast {to=f32})\n\
         %3 = cast %i {to=u8} epilogue(mul result; add step0; bit_not; cast {to=i32})\n\
         %4 = cast %i {to=i8} epilogue(mul result; sub result; neg; abs; cast {to=i32})\n\
         %5 = cast %i {to=i8} epilogue(cast {to=u8}; cast {to=f32})\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "special/powers",
        "%x: f32[5,9]\n%y: f32[5,9]\n@e0: f32[] = 0.0\n@e1: f32[] = 1.0\n@e2: f32[] = 2.0\n@e3: f32[] = 3.0\n@e4: f32[] = 4.0\n\
         @m1: f32[] = -1.0\n@m2: f32[] = -2.0\n@half: f32[] = 0.5\n@third: f32[] = 0.33333334\n@odd: f32[] = -7.0\n\
         %1 = pow %x, @e0\n%2 = pow %x, @e1\n%3 = pow %x, @e2\n%4 = pow %x, @e3\n%5 = pow %x, @e4\n%6 = pow %x, @m1\n\
         %7 = pow %x, @m2\n%8 = pow %x, @half\n%9 = pow %x, @third\n%10 = pow %x, @odd\n%11 = pow %x, %y\n%12 = pow @e1, %x\n\
         return %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12",
    ),
    case(
        "special/powers-of-integers-in-floats",
        "%i: i32[2,6]\n@e: f32[6] = [4.0, 3.0, 4.0, 3.0, 5.0, 7.0]\n@b: i32[6] = [3, 5, 7, 11, 10, 9]\n%1 = add %i, @b\n%2 = cast %1 {to=f32}\n\
         %3 = pow %2, @e epilogue(cast {to=i32})\nreturn %3",
    ),
    case(
        "special/remainders",
        "%g: f16[5,9]\n%h: f16[5,9]\n@big: f32[] = 1e30\n@seven: f32[] = 7.0\n%x = cast %g {to=f32}\n%y = cast %h {to=f32}\n%1 = rem %x, %y\n%2 = mod %x, %y\n\
         %4 = mul %x, @big epilogue(rem @seven)\n%5 = mul %x, @big epilogue(rem %y)\nreturn %1, %2, %4, %5",
    ),
    case(
        "special/integers",
        "%i: i32[5,9]\n%j: i32[5,9]\n%1 = div %i, %j\n%2 = rem %i, %j\n%3 = mod %i, %j\n%4 = clip %i {min=-2147483648.0, max=5.0}\n\
         %5 = max %i, %j\n%6 = mul %i, %j\n%7 = neg %i\n%8 = sign %i\nreturn %1, %2, %3, %4, %5, %6, %7, %8",
    ),
    case(
        "special/reductions",
        "%x: f32[5,9,7]\n%1 = reduce_max %x {axes=[2]}\n%2 = reduce_min %x {axes=[1]}\n%3 = reduce_max %x {axes=[0, 2]}\n\
         %4 = reduce_sum %x {axes=[1]}\n%5 = reduce_mean %x {axes=[2]}\n%6 = reduce_prod %x {axes=[2]}\n%7 = reduce_l2 %x {axes=[2]}\n\
         return %1, %2, %3, %4, %5, %6, %7",
    ),
    case(
        "special/rows-of-minus-infinity",
        "%x: f32[3,5]\n@low: f32[3,1] = [-inf, 0.0, nan]\n%1 = add %x, @low\n%2 = reduce_max %1 {axes=[1]}\n%3 = is_inf %2\n%4 = softmax %1 {axis=1}\n\
         %5 = softmax %1 {axis=0}\nreturn %2, %3, %4, %5",
    ),
    case(
        "special/pools",
        "%x: f32[1,3,6,7]\n%m: bool[1,3,6,7]\n@low: f32[] = -inf\n%y = select %m, %x, @low\n\
         %1 = pool_max %x {kernel=[2,2], strides=[2,2]}\n%2 = pool_max %y {kernel=[1,3], pads=[0,1,0,1]}\n\
         %3 = pool_max %y {kernel=[2,2], pads=[1,1,1,1], dilations=[2,2]}\n%4 = pool_average %x {kernel=[2,2]}\nreturn %1, %2, %3, %4",
    ),
    case(
        "special/pads",
        "%x: f32[1,3,4,5]\n%1 = pad %x {pads=[0,0,1,1,0,0,2,0], value=-inf}\n%2 = pad %x {pads=[0,1,0,1,0,0,2,0], value=nan}\n\
         %3 = pad_edge %x {pads=[0,0,1,1,0,0,2,0]}\nreturn %1, %2, %3",
    ),
    case(
        "special/pads-and-pools",
        "%x: f32[1,3,4,4]\n%1 = pad %x {pads=[0,0,2,2,0,0,0,0], value=-inf}\n%2 = pool_max %1 {kernel=[2,2], strides=[2,2]}\nreturn %2",
    ),
    case(
        "special/arguments",
        "%x: f32[4,9]\n%1 = arg_max %x {axis=1}\n%2 = arg_min %x {axis=1}\n%3 = arg_max %x {axis=0}\n%4 = arg_max %x {axis=1, last=true}\n\
         %5 = top_k %x {k=4, largest=true}\n%6 = top_k %x {k=4}\nreturn %1, %2, %3, %4, %5, %6",
    ),
    case(
        "special/scatters",
        "%x: f32[3,7]\n@i: i64[3,5] = [0, 1, 2, 0, 0, 1, 1, 2, 6, 5, 3, 3, 3, 4, 4]\n%u: f32[3,5]\n@j: i64[3,1] = [2, 0, 2]\n%v: f32[3,7]\n\
         %1 = scatter_elements %x, @i, %u {axis=1, update=max}\n%2 = scatter_elements %x, @i, %u {axis=1, update=min}\n%3 = scatter_nd %x, @j, %v {update=max}\n\
         %4 = scatter_nd %x, @j, %v {update=min}\nreturn %1, %2, %3, %4",
    ),
    case(
        "special/norms",
        "%x: f32[4,6,5]\n@s: f32[6] = random(1)\n@b: f32[6] = random(2)\n@t: f32[5] = random(3)\n%1 = group_norm %x, @s, @b {groups=2, epsilon=1e-5}\n\
         %2 = layer_norm %x, @t {axis=2, epsilon=1e-5}\n%3 = rms_norm %x, @t {axis=2, epsilon=1e-5}\n%4 = softmax %x {axis=2}\n\
         %5 = softmax %x {axis=1}\nreturn %1, %2, %3, %4, %5",
    ),
    // Groups of two channels share slices, and a group without special values has finite results.
    case(
        "special/groups",
        "%x: f32[1,8,2,2]\n@w: f32[12,2,1,1] = random(1)\n@v: f32[8,3,1,2] = random(2)\n%1 = conv %x, @w {groups=4}\n\
         %2 = conv_transpose %x, @v {groups=4}\nreturn %1, %2",
    ),
    case(
        "special/attention",
        "%q: f32[1,1,6,4]\n%k: f32[1,1,6,4]\n%m: f32[6,6]\n@low: f32[6,1] = [-inf, 0.0, -inf, 0.0, 0.0, nan]\n\
         @a: f32[] = 0.25\n%p = tanh %q\n%r = clip %k {min=-1.0, max=1.0}\n%s = is_nan %r\n%t = select %s, @a, %r\n\
         %1 = attention %t, %t, %t scores(mul 0.35; add @low)\n%2 = attention %t, %t, %t scores(mul 0.35; add %m)\n\
         %3 = attention %t, %t, %p\nreturn %1, %2, %3",
    ),
    // Truth values that are stored, moved and read again.
    case(
        "special/moved-truths",
        "%m: bool[3,1]\n%n: bool[1,5]\n%o: bool[]\n%1 = expand %m {shape=[3,5]}\n%2 = expand %n {shape=[3,5]}\n%3 = expand %o {shape=[2,3]}\n\
         %4 = concat %1, %2 {axis=1}\n%5 = slice %4 {axes=[1], starts=[1], counts=[7]}\n%6 = and %1, %2\nreturn %3, %5, %6",
    ),
];
