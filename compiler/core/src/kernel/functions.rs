//! WGSL functions that element-wise steps call: what WGSL has no function for, and what its functions do too coarsely.
//!
//! WGSL lets `sin` and `cos` be off by 2^-11 and gives no bound beyond pi, `atan` by 4096 units in the last place, and
//! `asin` by 7e-5; drivers use that freedom. The polynomials are least-squares fits at Chebyshev nodes, within 1e-7 of
//! their functions. None of them overflows on the way to a finite result, and each makes a NaN of a NaN: where a value is
//! chosen by a comparison of floats, which a compiler may turn round, both choices are NaN then.

/// One function and those that it calls.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    calls: &'static [&'static str],
    text: &'static str,
}

/// The texts of the functions that are called, callees first.
pub(super) fn texts(called: &[&str]) -> Vec<&'static str> {
    let mut needed: Vec<&str> = called.to_vec();
    for caller in FUNCTIONS.iter().rev() {
        if needed.contains(&caller.name) {
            needed.extend(caller.calls);
        }
    }
    FUNCTIONS
        .iter()
        .filter(|function| needed.contains(&function.name))
        .map(|function| function.text)
        .collect()
}

/// All functions, each after those that it calls.
const FUNCTIONS: &[Function] = &[
    Function { name: "maximum", calls: &[], text: MAXIMUM },
    Function { name: "minimum", calls: &[], text: MINIMUM },
    Function { name: "saturated", calls: &[], text: SATURATED },
    Function { name: "rounded_to_half", calls: &[], text: ROUNDED_TO_HALF },
    Function { name: "rounded_to_bfloat16", calls: &[], text: ROUNDED_TO_BFLOAT16 },
    Function { name: "rounded_to_small", calls: &[], text: ROUNDED_TO_SMALL },
    Function { name: "rounded_to_scale", calls: &[], text: ROUNDED_TO_SCALE },
    Function { name: "erf", calls: &[], text: ERF },
    Function { name: "quarter_turns", calls: &[], text: QUARTER_TURNS },
    Function { name: "inner_sine", calls: &[], text: INNER_SINE },
    Function { name: "inner_cosine", calls: &[], text: INNER_COSINE },
    Function { name: "sine", calls: CIRCULAR, text: SINE },
    Function { name: "cosine", calls: CIRCULAR, text: COSINE },
    Function { name: "tangent", calls: CIRCULAR, text: TANGENT },
    Function { name: "half_inverse_sine", calls: &[], text: HALF_INVERSE_SINE },
    Function { name: "inverse_sine", calls: &["half_inverse_sine"], text: INVERSE_SINE },
    Function { name: "inverse_cosine", calls: &["half_inverse_sine"], text: INVERSE_COSINE },
    Function { name: "inverse_tangent", calls: &[], text: INVERSE_TANGENT },
    Function { name: "expm1", calls: &[], text: EXPM1 },
    Function { name: "log1p", calls: &[], text: LOG1P },
    Function { name: "softplus", calls: &["log1p"], text: SOFTPLUS },
    Function { name: "hyperbolic_sine", calls: &[], text: HYPERBOLIC_SINE },
    Function { name: "hyperbolic_cosine", calls: &[], text: HYPERBOLIC_COSINE },
    Function { name: "hyperbolic_tangent", calls: &[], text: HYPERBOLIC_TANGENT },
    Function { name: "inverse_hyperbolic_sine", calls: &["log1p"], text: INVERSE_HYPERBOLIC_SINE },
    Function { name: "inverse_hyperbolic_cosine", calls: &["log1p"], text: INVERSE_HYPERBOLIC_COSINE },
    Function { name: "inverse_hyperbolic_tangent", calls: &["log1p"], text: INVERSE_HYPERBOLIC_TANGENT },
    Function { name: "remainder", calls: &[], text: REMAINDER },
    Function { name: "floored_remainder", calls: &["remainder"], text: FLOORED_REMAINDER },
    Function { name: "quotient_of_integers", calls: &[], text: QUOTIENT_OF_INTEGERS },
    Function { name: "remainder_of_integers", calls: &[], text: REMAINDER_OF_INTEGERS },
    Function {
        name: "floored_remainder_of_integers",
        calls: &["remainder_of_integers"],
        text: FLOORED_REMAINDER_OF_INTEGERS,
    },
    Function { name: "power", calls: &[], text: POWER },
    Function { name: "integer_power", calls: &[], text: INTEGER_POWER },
    Function { name: "shift_left", calls: &[], text: SHIFT_LEFT },
    Function { name: "shift_right", calls: &[], text: SHIFT_RIGHT },
    Function { name: "saturated_word", calls: &[], text: SATURATED_WORD },
    Function { name: "quotient_of_words", calls: &[], text: QUOTIENT_OF_WORDS },
    Function { name: "remainder_of_words", calls: &[], text: REMAINDER_OF_WORDS },
    Function { name: "word_power", calls: &[], text: WORD_POWER },
    Function { name: "shift_word_right", calls: &[], text: SHIFT_WORD_RIGHT },
];

/// The larger of two, and NaN where either is one.
const MAXIMUM: &str = "\
fn maximum(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let bits = max(bitcast<vec4<u32>>(a) & vec4<u32>(0x7fffffffu), bitcast<vec4<u32>>(b) & vec4<u32>(0x7fffffffu));
    return select(max(a, b), a + b, bits > vec4<u32>(0x7f800000u));
}
";

const MINIMUM: &str = "\
fn minimum(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let bits = max(bitcast<vec4<u32>>(a) & vec4<u32>(0x7fffffffu), bitcast<vec4<u32>>(b) & vec4<u32>(0x7fffffffu));
    return select(min(a, b), a + b, bits > vec4<u32>(0x7f800000u));
}
";

/// A float as an integer: toward zero, at the ends of i32 where it is beyond, zero where it is NaN.
const SATURATED: &str = "\
fn saturated(x: vec4<f32>) -> vec4<i32> {
    let inside = vec4<i32>(clamp(x, vec4<f32>(-2147483648.0f), vec4<f32>(2147483520.0f)));
    let whole = select(inside, vec4<i32>(2147483647i), x >= vec4<f32>(2147483648.0f));
    return select(whole, vec4<i32>(0i), (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
";

/// The half next to a float, of two the even one, by its bits: conversions leave the direction and what overflows open.
/// Ten bits of the mantissa stay; below 2^-14 f16 are multiples of 2^-24. A carry makes 65536 of 65520, which is infinite.
const ROUNDED_TO_HALF: &str = "\
fn rounded_to_half(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let even = (magnitude >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = (magnitude + vec4<u32>(0xfffu) + even) & vec4<u32>(0xffffe000u);
    let small = bitcast<vec4<u32>>(round(abs(x) * 16777216.0f) * 5.9604645e-8f);
    let finite = select(normal, small, magnitude < vec4<u32>(0x38800000u));
    let half = select(finite, max(magnitude, vec4<u32>(0x7f800000u)), normal >= vec4<u32>(0x47800000u));
    return bitcast<vec4<f32>>(half | (bits & vec4<u32>(0x80000000u)));
}
";

/// The bfloat16 next to a float, of two the even one: the upper half of its bits.
const ROUNDED_TO_BFLOAT16: &str = "\
fn rounded_to_bfloat16(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let even = (bits >> vec4<u32>(16u)) & vec4<u32>(1u);
    let rounded = (bits + vec4<u32>(0x7fffu) + even) & vec4<u32>(0xffff0000u);
    let number = (bits & vec4<u32>(0x7fffffffu)) <= vec4<u32>(0x7f800000u);
    return bitcast<vec4<f32>>(select(bits, rounded, number));
}
";

/// The number of few bits next to a float, of two the even one: a multiple of its unit, which is a power of two. `least` is the exponent of the
/// least number with a full mantissa, biased as f32 has it; `beyond`, as bits, is what is larger than `most`.
const ROUNDED_TO_SMALL: &str = "\
fn rounded_to_small(x: vec4<f32>, mantissa: u32, least: u32, most: f32, beyond: u32, signed: u32, nan: u32) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7fffffffu);
    let exponent = clamp(size >> vec4<u32>(23u), vec4<u32>(least), vec4<u32>(253u)) - vec4<u32>(mantissa);
    let unit = bitcast<vec4<f32>>(exponent << vec4<u32>(23u));
    let inverse = bitcast<vec4<f32>>((vec4<u32>(254u) - exponent) << vec4<u32>(23u));
    let rounded = round(bitcast<vec4<f32>>(min(size, vec4<u32>(0x7f000000u))) * inverse) * unit;
    let limited = select(bitcast<vec4<u32>>(rounded), vec4<u32>(beyond), rounded > vec4<f32>(most));
    let sign = select(bits & vec4<u32>(0x80000000u), vec4<u32>(0u), (limited | vec4<u32>(signed)) == vec4<u32>(0u));
    return bitcast<vec4<f32>>(select(limited | sign, vec4<u32>(nan), size > vec4<u32>(0x7f800000u)));
}
";

/// The power of two below a float, or the next one where `up` carries the mantissa; as f32 has it, 2^-127 is half the least number
/// with a full mantissa.
const ROUNDED_TO_SCALE: &str = "\
fn rounded_to_scale(x: vec4<f32>, up: u32) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let carried = min((bits + vec4<u32>(up)) & vec4<u32>(0x7f800000u), vec4<u32>(0x7f000000u));
    let power = select(carried, vec4<u32>(0x00400000u), bits <= vec4<u32>(0x00400000u));
    let low = select(power, vec4<u32>(0x00400000u), carried == vec4<u32>(0u));
    let none = (bits > vec4<u32>(0x7f800000u)) & (bits != vec4<u32>(0x80000000u));
    let zero = select(low, vec4<u32>(0x00400000u), bits == vec4<u32>(0x80000000u));
    return bitcast<vec4<f32>>(select(zero, vec4<u32>(0x7fc00000u), none));
}
";

/// Powers as IEEE's `pow` has them. Whole exponents up to 127 go by squares, which is exact where the result is, unless a
/// reciprocal would lose what is too small for f32; all others by logarithms. A negative base that is finite has no power
/// under a broken exponent.
const POWER: &str = "\
fn power(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let size = abs(x);
    let exponent = abs(y);
    let exponent_bits = bitcast<vec4<u32>>(exponent);
    var product = vec4<f32>(1.0f);
    var square = size;
    var bits = vec4<u32>(min(exponent, vec4<f32>(127.0f)));
    for (var bit = 0u; bit < 7u; bit++) {
        product = select(product, product * square, (bits & vec4<u32>(1u)) != vec4<u32>(0u));
        square = square * square;
        bits = bits >> vec4<u32>(1u);
    }
    let is_whole = floor(y) == y;
    let is_inverse = y < vec4<f32>(0.0f);
    let by_squares = is_whole & (exponent_bits <= vec4<u32>(0x42fe0000u))
        & (!is_inverse | (bitcast<vec4<u32>>(product) >= vec4<u32>(0x00800000u)));
    let by_logarithm = select(exp2(y * log2(size)), select(product, 1.0f / product, is_inverse), by_squares);
    // Not every device has logarithms of zero and infinity.
    let size_bits = bitcast<vec4<u32>>(size);
    let is_zero = size_bits == vec4<u32>(0u);
    let is_end = (is_zero | (size_bits == vec4<u32>(0x7f800000u))) & (exponent_bits <= vec4<u32>(0x7f800000u));
    let end = select(vec4<f32>(0.0f), vec4<f32>(bitcast<f32>(0x7f800000u)), (is_zero & is_inverse) | !(is_zero | is_inverse));
    let raised = select(by_logarithm, end, is_end);
    let is_negative = (bitcast<vec4<u32>>(x) >> vec4<u32>(31u)) != vec4<u32>(0u);
    let signed = select(raised, -raised, is_negative & (fract(0.5f * y) == vec4<f32>(0.5f)));
    let broken = is_negative & !is_whole & !is_zero & (size_bits < vec4<u32>(0x7f800000u));
    let has_none = broken | (max(size_bits, exponent_bits) > vec4<u32>(0x7f800000u));
    let value = select(signed, vec4<f32>(bitcast<f32>(0x7fc00000u)), has_none);
    // Minus one, too, has infinite powers of one.
    let is_one = (exponent_bits == vec4<u32>(0u)) | (bitcast<vec4<u32>>(x) == vec4<u32>(0x3f800000u))
        | ((size_bits == vec4<u32>(0x3f800000u)) & (exponent_bits == vec4<u32>(0x7f800000u)));
    return select(value, vec4<f32>(1.0f), is_one);
}
";

const CIRCULAR: &[&str] = &["quarter_turns", "inner_sine", "inner_cosine"];

/// The error function within 2 ulp below 1 (a Chebyshev fit of `erf(x) / x` in `x^2`), and within 1.5e-7 above
/// (Abramowitz and Stegun, 7.1.26). By its bits a NaN counts among those below 1.
const ERF: &str = "\
fn erf(value: vec4<f32>) -> vec4<f32> {
    let u = value * value;
    let near = value * (1.1283791f + u * (-0.37612626f + u * (0.112835974f + u * (-0.026854329f
        + u * (0.0051893122f + u * (-0.0008018855f + u * 0.00007882497f))))));
    let magnitude = min(abs(value), vec4<f32>(9.0f));
    let t = 1.0f / (1.0f + 0.3275911f * magnitude);
    let tail = t * (0.2548296f + t * (-0.28449672f + t * (1.4214138f + t * (-1.4531521f + t * 1.0614054f))));
    let far = sign(value) * (1.0f - tail * exp(-magnitude * magnitude));
    let beyond = (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) - vec4<u32>(0x3f800000u) <= vec4<u32>(0x40000000u);
    return select(near, far, beyond);
}
";

/// The number of quarter turns next to an angle. The first two parts of pi/2 have 8 and 11 bits, so that their multiples
/// are exact for angles up to 1e4 even where `fma` rounds twice (Cody and Waite's reduction).
const QUARTER_TURNS: &str = "\
fn quarter_turns(angle: vec4<f32>) -> vec4<f32> {
    return round(angle * 0.63661975f);
}
";

/// The sine of what is left of an angle after `turns` quarter turns, in -pi/4..=pi/4.
const INNER_SINE: &str = "\
fn inner_sine(angle: vec4<f32>, turns: vec4<f32>) -> vec4<f32> {
    let coarse = fma(turns, vec4<f32>(-1.5703125f), angle);
    let middle = fma(turns, vec4<f32>(-0.0004837513f), coarse);
    let rest = fma(turns, vec4<f32>(-7.5497894e-8f), middle);
    let u = rest * rest;
    return rest + rest * u * (-0.16666667f + u * (0.008333328f + u * (-0.0001983912f + u * 2.716587e-6f)));
}
";

const INNER_COSINE: &str = "\
fn inner_cosine(angle: vec4<f32>, turns: vec4<f32>) -> vec4<f32> {
    let coarse = fma(turns, vec4<f32>(-1.5703125f), angle);
    let middle = fma(turns, vec4<f32>(-0.0004837513f), coarse);
    let rest = fma(turns, vec4<f32>(-7.5497894e-8f), middle);
    let u = rest * rest;
    return 1.0f + u * (-0.5f + u * (0.041666612f + u * (-0.0013886527f + u * 2.4371513e-5f)));
}
";

const SINE: &str = "\
fn sine(angle: vec4<f32>) -> vec4<f32> {
    let turns = quarter_turns(angle);
    let quadrant = vec4<i32>(turns) & vec4<i32>(3i);
    let magnitude = select(inner_sine(angle, turns), inner_cosine(angle, turns), (quadrant & vec4<i32>(1i)) == vec4<i32>(1i));
    return select(magnitude, -magnitude, quadrant >= vec4<i32>(2i));
}
";

const COSINE: &str = "\
fn cosine(angle: vec4<f32>) -> vec4<f32> {
    let turns = quarter_turns(angle);
    let quadrant = (vec4<i32>(turns) + vec4<i32>(1i)) & vec4<i32>(3i);
    let magnitude = select(inner_sine(angle, turns), inner_cosine(angle, turns), (quadrant & vec4<i32>(1i)) == vec4<i32>(1i));
    return select(magnitude, -magnitude, quadrant >= vec4<i32>(2i));
}
";

const TANGENT: &str = "\
fn tangent(angle: vec4<f32>) -> vec4<f32> {
    let turns = quarter_turns(angle);
    let odd = (vec4<i32>(turns) & vec4<i32>(1i)) == vec4<i32>(1i);
    let opposite = inner_sine(angle, turns);
    let adjacent = inner_cosine(angle, turns);
    return select(opposite, -adjacent, odd) / select(adjacent, opposite, odd);
}
";

/// The inverse sine of `|x|` up to a half, that of `sqrt((1 - |x|) / 2)` beyond: half of what is left to pi/2.
const HALF_INVERSE_SINE: &str = "\
fn half_inverse_sine(magnitude: vec4<f32>) -> vec4<f32> {
    let beyond = magnitude > vec4<f32>(0.5f);
    let u = select(magnitude * magnitude, 0.5f - 0.5f * magnitude, beyond);
    let base = select(magnitude, sqrt(u), beyond);
    return base + base * u * (0.16666786f + u * (0.074945346f + u * (0.04553901f + u * (0.023909364f + u * 0.0425536f))));
}
";

const INVERSE_SINE: &str = "\
fn inverse_sine(x: vec4<f32>) -> vec4<f32> {
    let half = half_inverse_sine(abs(x));
    let angle = select(half, 1.5707964f - 2.0f * half, abs(x) > vec4<f32>(0.5f));
    return select(angle, -angle, x < vec4<f32>(0.0f));
}
";

const INVERSE_COSINE: &str = "\
fn inverse_cosine(x: vec4<f32>) -> vec4<f32> {
    let half = half_inverse_sine(abs(x));
    let negative = x < vec4<f32>(0.0f);
    let near = 1.5707964f - select(half, -half, negative);
    let far = select(2.0f * half, 3.1415927f - 2.0f * half, negative);
    return select(near, far, abs(x) > vec4<f32>(0.5f));
}
";

/// Reduced by `atan x = pi/2 - atan 1/x` and `atan x = pi/4 + atan((x - 1) / (x + 1))` to `|x| <= tan(pi/8)`.
const INVERSE_TANGENT: &str = "\
fn inverse_tangent(x: vec4<f32>) -> vec4<f32> {
    let magnitude = abs(x);
    let steep = magnitude > vec4<f32>(1.0f);
    let slope = select(magnitude, 1.0f / magnitude, steep);
    let beyond = slope > vec4<f32>(0.41421357f);
    let rest = select(slope, (slope - 1.0f) / (slope + 1.0f), beyond);
    let u = rest * rest;
    let inner = rest + rest * u * (-0.33333308f + u * (0.1999821f + u * (-0.14239983f + u * (0.10572814f + u * -0.060332417f))));
    let flat = inner + select(vec4<f32>(0.0f), vec4<f32>(0.7853982f), beyond);
    let angle = select(flat, 1.5707964f - flat, steep);
    return select(angle, -angle, x < vec4<f32>(0.0f));
}
";

const EXPM1: &str = "\
fn expm1(x: vec4<f32>) -> vec4<f32> {
    let near = x + x * x * (0.5f + x * (0.16666667f + x * (0.041666668f + x * (0.008333117f + x * (0.0013888597f
        + x * (0.00019979497f + x * 2.4957046e-5f))))));
    return select(exp(x) - 1.0f, near, abs(x) <= vec4<f32>(0.5f));
}
";

/// `log(1 + x)` for `x` from 0 on; up to 1 as `2 atanh(x / (2 + x))`, which does not cancel.
const LOG1P: &str = "\
fn log1p(x: vec4<f32>) -> vec4<f32> {
    let ratio = x / (2.0f + x);
    let u = ratio * ratio;
    let near = 2.0f * (ratio + ratio * u * (0.3333334f + u * (0.19999348f + u * (0.14310312f + u * (0.10697134f + u * 0.122047015f)))));
    return select(log(1.0f + x), near, abs(x) <= vec4<f32>(1.0f));
}
";

const SOFTPLUS: &str = "\
fn softplus(x: vec4<f32>) -> vec4<f32> {
    return max(x, vec4<f32>(0.0f)) + log1p(exp(-abs(x)));
}
";

/// A driver's own loses the digits of small arguments, which cancel in a quotient of exponentials, and overflows in those of large ones. The
/// polynomial is that of Cephes's `tanhf`.
const HYPERBOLIC_TANGENT: &str = "\
fn hyperbolic_tangent(x: vec4<f32>) -> vec4<f32> {
    let u = x * x;
    let near = x + x * u * (-0.33333282f + u * (0.13331442f + u * (-0.053739715f + u * (0.020639088f + u * -0.0057049887f))));
    return select(tanh(clamp(x, vec4<f32>(-10.0f), vec4<f32>(10.0f))), near, abs(x) <= vec4<f32>(0.625f));
}
";

/// The exponential of half the argument does not overflow before the result does.
const HYPERBOLIC_SINE: &str = "\
fn hyperbolic_sine(x: vec4<f32>) -> vec4<f32> {
    let u = x * x;
    let near = x + x * u * (0.16666666f + u * (0.008333353f + u * (0.00019835711f + u * 2.819029e-6f)));
    let root = exp(0.5f * abs(x));
    let far = 0.5f * root * root - 0.5f / root / root;
    return select(select(far, -far, x < vec4<f32>(0.0f)), near, abs(x) <= vec4<f32>(1.0f));
}
";

const HYPERBOLIC_COSINE: &str = "\
fn hyperbolic_cosine(x: vec4<f32>) -> vec4<f32> {
    let root = exp(0.5f * abs(x));
    return 0.5f * root * root + 0.5f / root / root;
}
";

const INVERSE_HYPERBOLIC_SINE: &str = "\
fn inverse_hyperbolic_sine(x: vec4<f32>) -> vec4<f32> {
    let magnitude = abs(x);
    let near = log1p(magnitude + magnitude * magnitude / (1.0f + sqrt(magnitude * magnitude + 1.0f)));
    let far = log(magnitude) + 0.6931472f;
    let area = select(near, far, magnitude > vec4<f32>(1.0e9f));
    return select(area, -area, x < vec4<f32>(0.0f));
}
";

const INVERSE_HYPERBOLIC_COSINE: &str = "\
fn inverse_hyperbolic_cosine(x: vec4<f32>) -> vec4<f32> {
    let above = x - 1.0f;
    let near = log1p(above + sqrt(above) * sqrt(above + 2.0f));
    return select(near, log(x) + 0.6931472f, x > vec4<f32>(1.0e9f));
}
";

const INVERSE_HYPERBOLIC_TANGENT: &str = "\
fn inverse_hyperbolic_tangent(x: vec4<f32>) -> vec4<f32> {
    let magnitude = abs(x);
    let area = 0.5f * log1p(2.0f * magnitude / (1.0f - magnitude));
    return select(area, -area, x < vec4<f32>(0.0f));
}
";

/// The sign of `a`. Long division, 11 bits of the quotient a round, and the exponents of f32 are 277 apart at most: its products
/// with the halves of the divisor's 24 bits are exact, whether or not a device fuses them. A quotient may be rounded to a
/// neighbour, which the remainder then shows. Of NaN, infinities and by zero there is none.
const REMAINDER: &str = "\
fn remainder(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let size = abs(b);
    var rest = abs(a);
    for (var part = 0u; part < 27u && any(rest >= size); part++) {
        let apart = vec4<i32>(bitcast<vec4<u32>>(rest) >> vec4<u32>(23u)) - vec4<i32>(bitcast<vec4<u32>>(size) >> vec4<u32>(23u));
        let shift = vec4<u32>(max(apart - vec4<i32>(10i), vec4<i32>(0i)));
        let unit = bitcast<vec4<f32>>(bitcast<vec4<u32>>(size) + (shift << vec4<u32>(23u)));
        let coarse = bitcast<vec4<f32>>(bitcast<vec4<u32>>(unit) & vec4<u32>(0xfffff000u));
        let quotient = floor(rest / unit);
        let raw = (rest - quotient * coarse) - quotient * (unit - coarse);
        let raised = select(raw, raw + unit, raw < vec4<f32>(0.0f));
        rest = select(rest, select(raised, raised - unit, raised >= unit), rest >= size);
    }
    let signed = bitcast<vec4<f32>>(bitcast<vec4<u32>>(rest) | (bitcast<vec4<u32>>(a) & vec4<u32>(0x80000000u)));
    let has_none = (bitcast<vec4<u32>>(size) - vec4<u32>(1u) >= vec4<u32>(0x7f800000u))
        | ((bitcast<vec4<u32>>(a) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f800000u));
    return select(signed, vec4<f32>(bitcast<f32>(0x7fc00000u)), has_none);
}
";

const FLOORED_REMAINDER: &str = "\
fn floored_remainder(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let rest = remainder(a, b);
    let crosses = (rest != vec4<f32>(0.0f)) & ((rest < vec4<f32>(0.0f)) != (b < vec4<f32>(0.0f)));
    return select(rest, rest + b, crosses);
}
";

/// By zero, zero. The quotient of the least integer and -1 wraps, as it would in two's complement.
const QUOTIENT_OF_INTEGERS: &str = "\
fn quotient_of_integers(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    let by_zero = b == vec4<i32>(0i);
    let wraps = (b == vec4<i32>(-1i)) & (a == vec4<i32>(-2147483647i - 1i));
    return select(a / select(b, vec4<i32>(1i), by_zero | wraps), vec4<i32>(0i), by_zero);
}
";

/// By zero, zero. Not by `%`, which some devices leave open where an operand is negative.
const REMAINDER_OF_INTEGERS: &str = "\
fn remainder_of_integers(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    let wraps = (b == vec4<i32>(-1i)) & (a == vec4<i32>(-2147483647i - 1i));
    let divisor = select(b, vec4<i32>(1i), (b == vec4<i32>(0i)) | wraps);
    return a - divisor * (a / divisor);
}
";

const FLOORED_REMAINDER_OF_INTEGERS: &str = "\
fn floored_remainder_of_integers(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    let rest = remainder_of_integers(a, b);
    let crosses = (rest != vec4<i32>(0i)) & ((rest ^ b) < vec4<i32>(0i));
    return select(rest, rest + b, crosses);
}
";

/// Powers of integers, which wrap; below an exponent of zero only 1 and -1 have any. Of a negative exponent's bits the
/// loop needs the lowest only, since both squares are 1.
const INTEGER_POWER: &str = "\
fn integer_power(base: vec4<i32>, exponent: vec4<i32>) -> vec4<i32> {
    var result = vec4<i32>(1i);
    var square = base;
    var bits = exponent;
    for (var bit = 0u; bit < 31u; bit++) {
        result = select(result, result * square, (bits & vec4<i32>(1i)) != vec4<i32>(0i));
        square = square * square;
        bits = bits >> vec4<u32>(1u);
    }
    let inverse = select(vec4<i32>(0i), result, abs(base) == vec4<i32>(1i));
    return select(result, inverse, exponent < vec4<i32>(0i));
}
";

const SHIFT_LEFT: &str = "\
fn shift_left(a: vec4<i32>, count: vec4<i32>) -> vec4<i32> {
    let shifted = a << (vec4<u32>(count) & vec4<u32>(31u));
    return select(shifted, vec4<i32>(0i), vec4<u32>(count) > vec4<u32>(31u));
}
";

const SHIFT_RIGHT: &str = "\
fn shift_right(a: vec4<i32>, count: vec4<i32>) -> vec4<i32> {
    return a >> min(vec4<u32>(count), vec4<u32>(31u));
}
";

/// A float as the bits of a u32: toward zero, at the ends of u32 where it is beyond, zero where it is NaN.
const SATURATED_WORD: &str = "\
fn saturated_word(x: vec4<f32>) -> vec4<i32> {
    let inside = vec4<i32>(vec4<u32>(clamp(x, vec4<f32>(0.0f), vec4<f32>(4294967040.0f))));
    let whole = select(inside, vec4<i32>(-1i), x >= vec4<f32>(4294967296.0f));
    return select(whole, vec4<i32>(0i), (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
";

/// By zero, zero.
const QUOTIENT_OF_WORDS: &str = "\
fn quotient_of_words(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    let by_zero = b == vec4<i32>(0i);
    return select(vec4<i32>(vec4<u32>(a) / vec4<u32>(select(b, vec4<i32>(1i), by_zero))), vec4<i32>(0i), by_zero);
}
";

/// By zero, zero.
const REMAINDER_OF_WORDS: &str = "\
fn remainder_of_words(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    return vec4<i32>(vec4<u32>(a) % vec4<u32>(select(b, vec4<i32>(1i), b == vec4<i32>(0i))));
}
";

/// Powers of u32, which wrap.
const WORD_POWER: &str = "\
fn word_power(base: vec4<i32>, exponent: vec4<i32>) -> vec4<i32> {
    var result = vec4<i32>(1i);
    var square = base;
    var bits = vec4<u32>(exponent);
    for (var bit = 0u; bit < 32u; bit++) {
        result = select(result, result * square, (bits & vec4<u32>(1u)) != vec4<u32>(0u));
        square = square * square;
        bits = bits >> vec4<u32>(1u);
    }
    return result;
}
";

const SHIFT_WORD_RIGHT: &str = "\
fn shift_word_right(a: vec4<i32>, count: vec4<i32>) -> vec4<i32> {
    let shifted = vec4<i32>(vec4<u32>(a) >> (vec4<u32>(count) & vec4<u32>(31u)));
    return select(shifted, vec4<i32>(0i), vec4<u32>(count) > vec4<u32>(31u));
}
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text calls a function: names may end with other names.
    fn calls(text: &str, name: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let mut found = text.match_indices(name);
        found.any(|(at, _)| !text[..at].ends_with(is_part) && text[at + name.len()..].starts_with('('))
    }

    #[test]
    fn functions_stand_after_those_that_they_call_and_are_declared_under_their_names() {
        for (index, function) in FUNCTIONS.iter().enumerate() {
            assert!(function.text.starts_with(&format!("fn {}(", function.name)), "{}", function.name);
            for (other_index, other) in FUNCTIONS.iter().enumerate().filter(|(other, _)| *other != index) {
                let is_called = calls(function.text, other.name);
                assert_eq!(
                    is_called,
                    function.calls.contains(&other.name),
                    "{} {}",
                    function.name,
                    other.name
                );
                assert!(!is_called || other_index < index, "{} {}", function.name, other.name);
            }
        }
    }

    #[test]
    fn no_kernel_declares_a_function_of_these_names() {
        for kernel in crate::kernel::ALL {
            for function in FUNCTIONS {
                let declaration = format!("fn {}(", function.name);
                assert!(!kernel.text.contains(&declaration), "{}: {declaration}", kernel.name);
            }
        }
    }

    #[test]
    fn a_function_brings_its_callees() {
        assert_eq!(texts(&["softplus"]), [LOG1P, SOFTPLUS]);
        assert!(texts(&[]).is_empty());
    }
}
