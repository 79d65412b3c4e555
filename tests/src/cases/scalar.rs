//! Scalar functions that are not plain WGSL: series, tests of bits, remainders, powers and bits of integers.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    case(
        "elementwise/circular",
        "%x: f32[2,3,7]\n%i: i32[3,7]\n@k: f32[] = 37.5\n%1 = sin %x\n%2 = cos %x\n%3 = cast %i {to=f32} epilogue(mul @k; sin)\n%4 = cast %i {to=f32} epilogue(mul @k; cos)\nreturn %1, %2, %3, %4",
    ),
    golden("elementwise/tangent", "%x: f32[2,7]\n%1 = tan %x epilogue(tanh)\nreturn %1"),
    case(
        "elementwise/inverse-circular",
        "%x: f32[5,6]\n@k: f32[] = 20.0\n%1 = clip %x {min=-0.96, max=0.96}\n%2 = asin %1\n%3 = acos %1\n%4 = atan %x\n%5 = mul %x, @k\n%6 = atan %5\n%7 = sign %x epilogue(asin)\n%8 = sign %x epilogue(acos)\nreturn %2, %3, %4, %6, %7, %8",
    ),
    case(
        "elementwise/hyperbolic",
        "%x: f32[3,9]\n%1 = clip %x {min=-9.0, max=9.0}\n%2 = sinh %1\n%3 = cosh %1\n%4 = clip %x {min=-0.5, max=0.5} epilogue(sinh)\nreturn %2, %3, %4",
    ),
    case(
        "elementwise/inverse-hyperbolic",
        "%x: f32[3,9]\n@k: f32[] = 0.3\n@one: f32[] = 1.0\n%1 = asinh %x\n%2 = abs %x epilogue(add @one)\n%3 = acosh %2\n%4 = mul %x, @k\n%5 = clip %4 {min=-0.99, max=0.99}\n%6 = atanh %5\nreturn %1, %3, %6",
    ),
    case(
        "elementwise/exponentials-near-zero",
        "%x: f32[4,5]\n@k: f32[] = 0.001\n%1 = expm1 %x\n%2 = mul %x, @k\n%3 = expm1 %2\n%4 = softplus %x\n%5 = mul %x, %x epilogue(neg; softplus)\nreturn %1, %3, %4, %5",
    ),
    golden("elementwise/elu", "%x: f32[2,5]\n%1 = clip %x {max=0.0} epilogue(expm1; max %x)\nreturn %1"),
    golden(
        "elementwise/infinities",
        "%x: f32[2,6]\n@odd: f32[6] = [inf, nan, -inf, 1.0, 1e4, 0.5]\n@z: f32[] = 0.0\n%1 = mul %x, @odd\n%2 = is_nan %1\n%3 = select %2, @z, %x\n%4 = is_inf %1\nreturn %2, %3, %4",
    ),
    case(
        "elementwise/masks-of-infinity",
        "%x: f32[2,6]\n%m: bool[2,6]\n%row: bool[2,1]\n@low: f32[] = -inf\n@zero: f32[] = 0.0\n%1 = select %m, %x, @low\n%2 = equal %1, @low\n%3 = softmax %1 {axis=1}\n%4 = select %row, %x, @low\n%5 = softmax %4 {axis=1}\n%6 = is_nan %5\n%7 = select %6, @zero, %5\nreturn %2, %3, %6, %7",
    ),
    case(
        "elementwise/remainders",
        "%i: i32[3,5]\n@k: f32[] = 1.25\n@d: f32[5] = [2.5, -2.5, 0.125, 4.0, -0.75]\n%1 = cast %i {to=f32} epilogue(mul @k; rem @d)\n%2 = cast %i {to=f32} epilogue(mul @k; mod @d)\nreturn %1, %2",
    ),
    golden(
        "elementwise/integer-remainders",
        "%i: i64[3,6]\n@d: i64[6] = [3, -3, 5, 1, -1, 7]\n%1 = div %i, @d\n%2 = rem %i, @d\n%3 = mod %i, @d\nreturn %1, %2, %3",
    ),
    case(
        "elementwise/integer-powers",
        "%i: i32[3,6]\n@e: i32[6] = [0, 1, 2, 3, 5, 2]\n%1 = pow %i, @e\nreturn %1",
    ),
    case(
        "elementwise/bits",
        "%i: i32[3,6]\n%j: i32[6]\n@s: i32[6] = [0, 1, 31, 32, 5, 40]\n%1 = bit_and %i, %j\n%2 = bit_or %i, %j\n%3 = bit_xor %i, %j\n%4 = bit_not %i\n%5 = shift_left %i, @s\n%6 = shift_right %i, @s\nreturn %1, %2, %3, %4, %5, %6",
    ),
    case(
        "elementwise/casts-toward-zero",
        "%i: i32[3,6]\n@k: f32[] = 0.375\n%1 = cast %i {to=f32} epilogue(mul @k)\n%2 = cast %1 {to=i32}\n%3 = cast %1 {to=i64}\n%4 = cast %2 {to=bool}\nreturn %2, %3, %4",
    ),
];
