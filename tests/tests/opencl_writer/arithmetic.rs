//! Scalars: every operator and function, over values that trip the careless.

use drift_targets::opencl::Options;

use crate::{assert_close, map, map_with};

const FLOATS: [f32; 12] = [-3.75, -2.5, -1.5, -1.0, -0.5, -0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 100.125];
const OTHERS: [f32; 12] = [2.0, -2.0, 0.5, -1.0, 3.0, 1.0, -0.25, 0.5, 7.0, 1.5, -2.25, 0.125];
const INTS: [i32; 10] = [0, 1, -1, 7, -7, i32::MIN, i32::MAX, 65_535, -65_536, 12];
const DIVISORS: [i32; 10] = [0, 0, 0, 2, 2, -1, -1, 256, -3, 5];

#[test]
fn float_operators_compute_as_in_rust() {
    type Case = (&'static str, fn(f32, f32) -> f32);
    let cases: [Case; 20] = [
        ("a + b", |a, b| a + b),
        ("a - b", |a, b| a - b),
        ("a * b", |a, b| a * b),
        ("a / b", |a, b| a / b),
        ("a % b", |a, b| a % b),
        ("-a - -b", |a, b| -a - -b),
        ("-(-a)", |a, _| a),
        ("a - (b - a)", |a, b| a - (b - a)),
        ("a / (b * a + 1e-3)", |a, b| a / a.mul_add(b, 1e-3)),
        ("min(a, b)", f32::min),
        ("max(a, b)", f32::max),
        ("clamp(a, -1.0, 1.0)", |a, _| a.clamp(-1.0, 1.0)),
        ("saturate(a)", |a, _| a.clamp(0.0, 1.0)),
        ("fma(a, b, a)", |a, b| a.mul_add(b, a)),
        ("mix(a, b, 0.25)", |a, b| a + (b - a) * 0.25),
        ("select(a, b, a < b)", f32::max),
        ("select(a, b, a < b && (b > 0.0 || a == -1.0))", |a, b| {
            if a < b && (b > 0.0 || a == -1.0) { b } else { a }
        }),
        ("f32(a < b) + f32(!(a <= b)) * 2.0", |a, b| {
            f32::from(u8::from(a < b)) + f32::from(u8::from(a > b)) * 2.0
        }),
        ("step(a, b)", |a, b| f32::from(u8::from(a <= b))),
        ("sign(a)", |a, _| if a == 0.0 { 0.0 } else { a.signum() }),
    ];
    let found = map(&cases.map(|case| case.0), &[&FLOATS, &OTHERS]);
    for (found, (expression, expected)) in found.iter().zip(cases) {
        let expected: Vec<_> = FLOATS.iter().zip(OTHERS).map(|(&a, b)| expected(a, b)).collect();
        assert_close(found, &expected, expression);
    }
}

#[test]
fn float_functions_compute_as_in_rust() {
    type Case = (&'static str, fn(f32) -> f32);
    let cases: [Case; 28] = [
        ("exp(a * 0.1)", |a| (a * 0.1).exp()),
        ("exp2(a * 0.1)", |a| (a * 0.1).exp2()),
        ("log(abs(a) + 1.0)", |a| (a.abs() + 1.0).ln()),
        ("log2(abs(a) + 1.0)", |a| (a.abs() + 1.0).log2()),
        ("pow(abs(a), 1.5)", |a| a.abs().powf(1.5)),
        ("sqrt(abs(a))", |a| a.abs().sqrt()),
        ("inverseSqrt(abs(a) + 0.5)", |a| 1.0 / (a.abs() + 0.5).sqrt()),
        ("tanh(a)", f32::tanh),
        ("sin(a)", f32::sin),
        ("cos(a)", f32::cos),
        ("tan(a * 0.01)", |a| (a * 0.01).tan()),
        ("sinh(a * 0.05)", |a| (a * 0.05).sinh()),
        ("cosh(a * 0.05)", |a| (a * 0.05).cosh()),
        ("asin(a * 0.009)", |a| (a * 0.009).asin()),
        ("acos(a * 0.009)", |a| (a * 0.009).acos()),
        ("atan(a)", f32::atan),
        ("atan2(a, 2.0)", |a| a.atan2(2.0)),
        ("asinh(a)", |a| f64::from(a).asinh() as f32),
        ("acosh(abs(a) + 1.5)", |a| f64::from(a.abs() + 1.5).acosh() as f32),
        ("atanh(a * 0.009)", |a| f64::from(a * 0.009).atanh() as f32),
        ("floor(a)", f32::floor),
        ("ceil(a)", f32::ceil),
        ("trunc(a)", f32::trunc),
        ("round(a)", f32::round_ties_even),
        ("fract(a)", |a| a - a.floor()),
        ("degrees(a)", f32::to_degrees),
        ("radians(a)", f32::to_radians),
        ("smoothstep(0.0, 2.0, a)", |a| {
            let t = (a / 2.0).clamp(0.0, 1.0);
            t * t * (3.0 - 2.0 * t)
        }),
    ];
    let found = map(&cases.map(|case| case.0), &[&FLOATS]);
    for (found, (expression, expected)) in found.iter().zip(cases) {
        let expected: Vec<_> = FLOATS.iter().map(|&a| expected(a)).collect();
        assert_close(found, &expected, expression);
    }
}

#[test]
fn signed_operators_compute_as_wgsl_says() {
    type Case = (&'static str, fn(i32, i32) -> i32);
    let cases: [Case; 17] = [
        ("(a + b) * 3 - a", |a, b| a.wrapping_add(b).wrapping_mul(3).wrapping_sub(a)),
        ("a / b", |a, b| if b == 0 { a } else { a.wrapping_div(b) }),
        ("a % b", |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
        ("a / 3 + a % 3", |a, _| a / 3 + a % 3),
        ("a & b | (a ^ 5)", |a, b| a & b | (a ^ 5)),
        ("~a", |a, _| !a),
        ("a << 3u", |a, _| a << 3),
        ("a >> 3u", |a, _| a >> 3),
        ("a << (u32(b) & 63u)", |a, b| a.wrapping_shl(b as u32 & 63)),
        ("a >> (u32(b) & 63u)", |a, b| a.wrapping_shr(b as u32 & 63)),
        ("min(a, b)", std::cmp::min),
        ("max(a, b)", std::cmp::max),
        ("clamp(a, -10, 10)", |a, _| a.clamp(-10, 10)),
        ("abs(a)", |a, _| a.wrapping_abs()),
        ("sign(a)", |a, _| a.signum()),
        ("select(a, b, a > b) - i32(a != b)", |a, b| {
            (if a > b { b } else { a }).wrapping_sub(i32::from(a != b))
        }),
        ("i32(bitcast<u32>(a) >> 16u)", |a, _| (a as u32 >> 16) as i32),
    ];
    let options = Options { wrap_signed: true, ..Options::default() };
    let found = map_with::<i32, i32>(&options, &cases.map(|case| case.0), &[&INTS, &DIVISORS]);
    for (found, (expression, expected)) in found.iter().zip(cases) {
        let expected: Vec<_> = INTS.iter().zip(DIVISORS).map(|(&a, b)| expected(a, b)).collect();
        assert_eq!(found, &expected, "{expression}");
    }
}

#[test]
fn unsigned_operators_compute_as_wgsl_says() {
    type Case = (&'static str, fn(u32, u32) -> u32);
    let cases: [Case; 19] = [
        ("a / b", |a, b| a.checked_div(b).unwrap_or(a)),
        ("a % b", |a, b| a.checked_rem(b).unwrap_or(0)),
        ("a - b * 3u", |a, b| a.wrapping_sub(b.wrapping_mul(3))),
        ("a << b", u32::wrapping_shl),
        ("a >> b", u32::wrapping_shr),
        ("countOneBits(a)", |a, _| a.count_ones()),
        ("countLeadingZeros(a)", |a, _| a.leading_zeros()),
        ("countTrailingZeros(a)", |a, _| a.trailing_zeros()),
        ("reverseBits(a)", |a, _| a.reverse_bits()),
        ("firstLeadingBit(a)", |a, _| if a == 0 { u32::MAX } else { 31 - a.leading_zeros() }),
        ("firstTrailingBit(a)", |a, _| if a == 0 { u32::MAX } else { a.trailing_zeros() }),
        ("extractBits(a, 5u, 9u)", |a, _| (a >> 5) & 0x1ff),
        ("extractBits(a, b, 40u)", |a, b| if b >= 32 { 0 } else { a >> b }),
        ("insertBits(a, b, 4u, 12u)", |a, b| (a & !0xfff0) | ((b << 4) & 0xfff0)),
        ("insertBits(a, b, 32u, 4u)", |a, _| a),
        ("insertBits(a, b, 0u, 32u)", |_, b| b),
        ("pack4xU8(unpack4xU8(a) + vec4(b))", |a, b| {
            u32::from_le_bytes(a.to_le_bytes().map(|byte| byte.wrapping_add(b as u8)))
        }),
        ("dot4U8Packed(a, b)", |a, b| {
            a.to_le_bytes().iter().zip(b.to_le_bytes()).map(|(&a, b)| u32::from(a) * u32::from(b)).sum()
        }),
        ("pack4xU8Clamp(unpack4xU8(a) * 3u)", |a, _| {
            u32::from_le_bytes(a.to_le_bytes().map(|byte| (u32::from(byte) * 3).min(255) as u8))
        }),
    ];
    let a = [0, 1, 7, 0x8000_0000, u32::MAX, 0x1234_5678, 0x00ff_f000, 40];
    let b = [0, 5, 0, 31, 33, 0xfedc_ba98, 64, 3];
    let found = map::<u32, u32>(&cases.map(|case| case.0), &[&a, &b]);
    for (found, (expression, expected)) in found.iter().zip(cases) {
        let expected: Vec<_> = a.iter().zip(b).map(|(&a, b)| expected(a, b)).collect();
        assert_eq!(found, &expected, "{expression}");
    }
}

#[test]
fn signed_bits_keep_their_sign() {
    type Case = (&'static str, fn(i32) -> i32);
    let cases: [Case; 4] = [
        ("extractBits(a, 8u, 12u)", |a| (a << 12) >> 20),
        ("firstLeadingBit(a)", |a| 31 - (if a < 0 { !a } else { a }).leading_zeros() as i32),
        ("dot4I8Packed(bitcast<u32>(a), 0x80ff017fu)", |a| {
            a.to_le_bytes().iter().zip([127, 1, -1, -128]).map(|(&a, b)| i32::from(a as i8) * b).sum()
        }),
        ("bitcast<i32>(pack4xI8Clamp(unpack4xI8(bitcast<u32>(a)) * 2))", |a| {
            i32::from_le_bytes(a.to_le_bytes().map(|byte| (byte as i8).saturating_mul(2) as u8))
        }),
    ];
    let a = [0, -1, i32::MIN, i32::MAX, 0x1234_5678, -0x1234_5678];
    let found = map::<i32, i32>(&cases.map(|case| case.0), &[&a]);
    for (found, (expression, expected)) in found.iter().zip(cases) {
        assert_eq!(found, &a.map(expected), "{expression}");
    }
}

#[test]
fn conversions_saturate_and_truncate() {
    let a = [0.0, -0.75, 0.75, 1.5, -1.5, 3e9, -3e9, 1e20, 16_777_217.0];
    assert_eq!(map::<f32, i32>(&["i32(a)"], &[&a])[0], a.map(|a| a as i32));
    let found = map::<f32, u32>(&["u32(a)", "bitcast<u32>(a)"], &[&a]);
    assert_eq!(found[0], a.map(|a| a as u32));
    assert_eq!(found[1], a.map(f32::to_bits));
    assert_eq!(map::<i32, f32>(&["f32(a)"], &[&INTS])[0], INTS.map(|a| a as f32));
    let found = map::<i32, u32>(&["u32(a) + u32(bool(a))"], &[&INTS]);
    assert_eq!(found[0], INTS.map(|a| (a as u32).wrapping_add(u32::from(a != 0))));
}
